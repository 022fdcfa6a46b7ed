"""`Trained`: what a softness file says of how the softness was learned, as data and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Characters of a value that is not known here, and lines in all.
MOST = 72
MOST_LINES = 24


class Trained(dict):
    """The header ``trained`` of a softness file, as it is there; ``print`` shows a few lines of it.

    What ``meta.train``, ``meta.merge`` and ``meta.publish`` write is told in words, anything else by its
    first characters. Nothing is told that the file does not hold.
    """

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the lines: how it was learned, what it earned, and whatever else is there."""
        lines = self._lines()
        more = len(lines) - MOST_LINES
        lines = lines[:MOST_LINES] + ([f"... and {more} lines more"] if more > 0 else [])
        # A file from elsewhere does not get to control a terminal.
        return ["".join(c if c.isprintable() else "?" for c in line) for line in lines]

    def _lines(self) -> list[str]:
        if not self:
            return ["learned: nothing is said about it"]
        known = {"step", "settings", "versions"}
        lines = [f"learned: {'; '.join(parts)}"] if (parts := list(self._origin())) else []
        if merged := _mapping(self.get("merged")):
            known.add("merged")
            lines += [f"merged: from {', '.join(map(_short, merged))}"]
        rows = self.get("evaluation")
        if isinstance(rows, list) and rows and all(map(_is_row, rows)):
            known.add("evaluation")
            lines += ["earned:", *(f"  {_row(row)}" for row in rows)]
        if not parts:
            known = known - {"step", "settings", "versions"}
        if judged := _judged(_mapping(self.get("validation"))):
            known.add("validation")
            lines.insert(1 if parts else 0, judged)
        if rate := _rate(self.get("rate")):
            known.add("rate")
            lines.append(rate)
        return lines + [f"{name}: {_short(self[name])}" for name in self if name not in known]

    def _origin(self) -> Iterator[str]:
        settings = _mapping(self.get("settings"))
        families = [_name(family) for family in _list(settings.get("families"))]
        step, on = self.get("step"), f" on {', '.join(families)}" if families else ""
        if isinstance(step, int):
            yield f"{step} outer steps{on}"
        elif on:
            yield on.strip()
        if gradient := _name(settings.get("gradient", "")):
            yield f"gradient {gradient}"
        # Settings have nested since; before, all were side by side.
        learn = _mapping(settings.get("softness")).get("learn", settings.get("learn"))
        if parts := [part for part in _list(learn) if isinstance(part, str)]:
            yield f"of its parts {', '.join(parts)}"
        if isinstance(size := settings.get("image_size"), int):
            yield f"images of {size} x {size} pixels"
        if isinstance(version := _mapping(self.get("versions")).get("taichisoft"), str):
            yield f"by taichisoft {version}"


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("family"), str) and "success_mean" in row


def _row(row: dict) -> str:
    """Return what one row of an evaluation says."""
    where = ", ".join(str(row[name]) for name in ("family", "split") if name in row)
    low, high = row.get("success_low"), row.get("success_high")
    parts = [f"{where}: {_percent(row['success_mean'])} % solved"]
    if low is not None and high is not None:
        parts[0] += f" [{_percent(low)}, {_percent(high)}]"
    if "error_median" in row:
        parts.append(f"median error {_number(row['error_median'])}")
    if "problems" in row:
        seeds = f" x {row['seeds']} seeds" if "seeds" in row else ""
        parts.append(f"{_number(row['problems'])} problems{seeds}")
    if "steps" in row:
        parts.append(f"{_number(row['steps'])} steps")
    if "learning_rate" in row:
        parts.append(f"learning rate {_number(row['learning_rate'])}")
    return ", ".join(parts)


def _judged(verdict: dict) -> str:
    """Return why it was kept; nothing if that is not said as it is by ``meta.train``."""
    if any(name not in verdict for name in ("taken", "problems", "ahead", "interval")):
        return ""
    parts = f"kept: best of {_short(verdict['taken'])} steps and the start"
    parts += f" by {_short(verdict['problems'])} validation problems of each family"
    low, high = (_list(verdict["interval"]) + [None, None])[:2]
    ends = "" if low is None or high is None else f" [{_number(low)}, {_number(high)}]"
    return f"{parts}, ahead of the start by {_number(verdict['ahead'])}{ends}"


def _rate(rate: Any) -> str:
    """Return which learning rate belongs to it; nothing if that is not said as it is by ``meta``."""
    times = "times the learning rate that a family of problems has"
    if isinstance(rate, float):
        return f"rate: {_number(rate)} {times}"
    bounds = [_mapping(rate).get(name) for name in ("low", "high")]
    if not all(isinstance(bound, float) for bound in bounds):
        return ""
    low, high = map(_number, bounds)
    return f"rate: {low} to {high} {times}, by the situation"


def _percent(share: Any) -> str:
    if isinstance(share, int):
        return _short(100 * share)
    return f"{100 * share:.0f}" if isinstance(share, float) else _short(share)


def _number(value: Any) -> str:
    # An int may be beyond any float.
    return f"{value:.3g}" if isinstance(value, float) else _short(value)


def _name(value: Any) -> str:
    """Return a name, which newer files keep within the settings of what it names."""
    name = _mapping(value).get("name", value)
    return name if isinstance(name, str) else _short(value)


def _mapping(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MOST else f"{text[: MOST - 3]}..."
