"""Seeds: one for each purpose of each step."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, step: int, purpose: str) -> int:
    """Return a seed that depends on all three, in [0, 2^48).

    Seeds made from the step leave no generator state to save, and sums of seed and step would give two
    runs with neighbouring seeds the same problems.
    """
    digest = hashlib.sha256(f"{seed} {step} {purpose}".encode()).digest()
    return int.from_bytes(digest[:6], "little")
