"""Whether what a program prints is what a page shows: the same words, and numbers that are about the same."""

from __future__ import annotations

import re

# How long it took differs from run to run.
TIME = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)? (?=m?s\b)")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
# Another processor rounds in another way, and an optimisation makes more of that.
RELATIVE, ABSOLUTE = 0.2, 0.05


def differences(said: str, shown: str) -> list[str]:
    """Return what differs, in words."""
    said, shown = (TIME.sub("", text).strip() for text in (said, shown))
    words, expected = (NUMBER.sub("#", text) for text in (said, shown))
    if words != expected:
        return [f"said:\n{words}\nshown:\n{expected}"]
    pairs = zip(NUMBER.findall(said), NUMBER.findall(shown), strict=True)
    return [
        f"{got} is not {wanted}" for got, wanted in pairs if not _near(float(got), float(wanted))
    ]


def _near(got: float, wanted: float) -> bool:
    return abs(got - wanted) <= ABSOLUTE + RELATIVE * abs(wanted)
