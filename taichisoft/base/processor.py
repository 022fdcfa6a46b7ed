"""The processor: with other vector instructions the same seed gives other numbers."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

# Flags of Linux, the widest first, and what they are called.
SIMD = {
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "avx": "AVX",
    "sse4_2": "SSE4.2",
    "sve": "SVE",
    "asimd": "NEON",
}


@cache
def processor() -> str:
    """Return the model of the processor and its widest vector instructions, as far as the system tells them.

    Compilers round by the instructions that they use, and an optimisation of many steps makes much of a
    little rounding: hence a result says what it was made on.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return described(text) or platform.processor() or platform.machine()


def described(text: str) -> str:
    """Return model and instructions of the first processor that Linux tells of; empty if of none."""
    pairs = [line.partition(":")[::2] for line in text.splitlines()]
    # In reverse, so that the first of each name is the one that stays.
    told = {name.strip().lower(): value.strip() for name, value in reversed(pairs)}
    flags = (told.get("flags") or told.get("features") or "").split()
    widest = next((name for flag, name in SIMD.items() if flag in flags), "")
    model = told.get("model name") or (platform.machine() if widest else "")
    return ", ".join(part for part in (model, widest) if part)
