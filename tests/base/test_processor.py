"""What is said of the processor."""

from __future__ import annotations

import platform

from taichisoft.base.processor import described, processor

INTEL = "model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu sse4_2 avx avx2\nmodel name\t: Other\n"


def test_model_and_widest_instructions():
    assert described(INTEL) == "Some CPU @ 2 GHz, AVX2"
    assert described(INTEL.replace("avx2", "avx2 avx512f")) == "Some CPU @ 2 GHz, AVX-512"
    assert described("Features\t: fp asimd\n") == f"{platform.machine()}, NEON"
    assert described("") == ""
    assert processor()
