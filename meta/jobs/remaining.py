"""How long work in several parts still takes, by how long it took so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from taichisoft.base.checks import check_number


class Remaining:
    """An estimate of the time left for the whole of a work, from the times of its pieces.

    Each part of the work has pieces of one kind, whose sizes are told in advance in a unit that is the same
    for all parts, as far as it can be. A part goes on as fast as it went so far, or if that is not known yet,
    as fast as all parts together. The first piece of a part does not count, since what has to be compiled,
    or read, is in it; unless there is nothing else to go by.

    Parameters
    ----------
    parts : mapping of str to float
        The size of each part, by its name; not negative.
    clock : callable
        Tells seconds. The time of a piece is that since the piece before, or since `begin`.

    Raises
    ------
    TypeError, ValueError
        A size that is no number, or negative.
    """

    def __init__(
        self, parts: Mapping[str, float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        for name, size in parts.items():
            if check_number(size, f"parts[{name!r}]") < 0:
                raise ValueError(f"parts[{name!r}] must not be negative, got {size}")
        self._left = dict(parts)
        self._pieces: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
        self._clock = clock
        self._last = clock()

    def begin(self) -> None:
        """Let the next piece begin now: what took the time until now was none."""
        self._last = self._clock()

    def add(self, part: str, size: float) -> None:
        """Say that a piece of a part is done. A part that is larger than was told has nothing left."""
        now = self._clock()
        self._pieces[part].append((size, now - self._last))
        self._left[part] = max(self._left[part] - size, 0.0)
        self._last = now

    @property
    def seconds(self) -> float | None:
        """The time left; None before the first piece."""
        known = self._pieces.values()
        usual = _pace([piece for pieces in known for piece in pieces[1:]])
        if usual is None:
            usual = _pace([piece for pieces in known for piece in pieces])
        if usual is None:
            return None
        paces = {name: _pace(pieces[1:]) for name, pieces in self._pieces.items()}
        return sum(
            left * (usual if (pace := paces[name]) is None else pace)
            for name, left in self._left.items()
        )

    def __str__(self) -> str:
        """Return the time left in words, or that it is not known yet."""
        seconds = self.seconds
        return "time left not known yet" if seconds is None else f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return a time in words, to ten seconds, from ten minutes on to a minute."""
    tens = max(round(seconds / 10), 1)
    if tens < 6:
        return f"{10 * tens} s"
    if tens < 60:
        minutes, rest = divmod(tens, 6)
        return f"{minutes} min {10 * rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _pace(pieces: list[tuple[float, float]]) -> float | None:
    """Return the seconds for each unit of size, None if nothing was done."""
    size = sum(size for size, _ in pieces)
    return sum(seconds for _, seconds in pieces) / size if size > 0 else None
