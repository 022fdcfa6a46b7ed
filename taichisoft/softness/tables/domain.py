"""Domains of curves, and their division into pieces: where the cells of a table lie.

Within a piece the cells follow the floating-point grid of ``v = 1 + |s - anchor| rate``: 2^resolution equal
cells in each octave of v. One octave makes uniform cells; many make cells that grow with the distance from
the anchor, as fine as wanted where a curve is singular and as coarse as allowed in a heavy tail. A kernel
finds the cell in the bits of v, without a search, a root or a logarithm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

# Cells of a uniform piece that spans a whole domain.
UNIFORM = 1024
# Cells per octave of a graded piece, as a power of two: each cell is 1/32 of its distance.
GRADED_RESOLUTION = 5
SHARP = 2.0**-40
"""Width at which grading starts where a curve has an unbounded slope: its square root is 1e-6."""
# How far from the ends of a piece a curve is evaluated: at least so far, farther where numbers are so large
# that rounding would leave the piece, and at most by that part of a cell.
INWARDS = 2.0**-47
ROUNDING = 2.0**-49
OF_A_CELL = 1 / 4


@dataclass(frozen=True)
class Domain:
    """Where a curve varies: it is 0 below `low`, constant above `high`.

    Parameters
    ----------
    low, high : float
        Ends of the tabulated range, in scales; ``low <= high``. If they are equal the curve is a step that
        jumps at that point and has its upper value there.
    kinks : tuple of float
        Points in between at which a derivative of the curve jumps; they become corners of cells.
    graded : tuple of (float, float)
        Points (ends included) towards which cells shrink, each with the distance below which they need
        not shrink further: `SHARP` for a slope that is unbounded, about 1 for a heavy tail. Only here may
        the curve itself jump; it has its upper value there.
    cells : int
        Number of cells of a piece between neighbouring corners that are not graded.
    graded_cells : int
        Least number of cells of a piece whose cells shrink.
    """

    low: float
    high: float
    kinks: tuple[float, ...] = ()
    graded: tuple[tuple[float, float], ...] = ()
    cells: int = UNIFORM
    graded_cells: int = 0

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low must be <= high, got low={self.low}, high={self.high}")
        if not all(math.isfinite(x) for x in (self.low, self.high)):
            raise ValueError(f"low and high must be finite, got low={self.low}, high={self.high}")
        if not all(self.low < kink < self.high for kink in self.kinks):
            raise ValueError(f"kinks must lie between low and high, got {self.kinks}")
        if not all(self.low <= at <= self.high and width > 0 for at, width in self.graded):
            raise ValueError(
                f"graded must hold pairs of a point in the domain and a width > 0, got {self.graded}"
            )

    @property
    def span(self) -> float:
        """Width of the tabulated range, in scales."""
        return self.high - self.low

    def scaled(self, factor: float) -> Domain:
        """Return this domain for a function that is `factor` > 0 times as wide."""
        return Domain(
            self.low * factor,
            self.high * factor,
            tuple(kink * factor for kink in self.kinks),
            tuple((at * factor, width * factor) for at, width in self.graded),
            self.cells,
            self.graded_cells,
        )

    def with_graded(self, point: float, width: float = SHARP) -> Domain:
        """Return this domain with cells that shrink towards one more point."""
        if self.span == 0 or (point, width) in self.graded:
            return self
        return replace(self, graded=(*self.graded, (point, width)))


@dataclass(frozen=True)
class Piece:
    """A range of a table whose cells share one floating-point grid.

    Parameters
    ----------
    low : float
        Its lower end.
    anchor : float
        The end at which its cells start: the upper one if `rate` > 0, else the lower one.
    rate : float
        Steps of v per scale, positive downwards.
    first : int
        Row of its first cell in the table; the row before it holds the constant before the anchor.
    count : int
        Number of its cells.
    resolution : int
        log2 of the number of cells per octave.
    bends : bool
        Whether there are kinks at corners between its cells.
    """

    low: float
    anchor: float
    rate: float
    first: int
    count: int
    resolution: int
    bends: bool = False

    def knots(self, device: torch.device | None = None) -> Tensor:
        """Return the (count + 1,) corners of the cells, float64, from the anchor outwards."""
        per_octave = 2**self.resolution
        index = torch.arange(self.count + 1, dtype=torch.float64, device=device)
        octave = (index / per_octave).floor()
        v = torch.exp2(octave) * (1 + index / per_octave - octave)
        return self.anchor - (v - 1) / self.rate

    def samples(self, device: torch.device | None = None) -> Tensor:
        """Return where to sample a curve: the (count + 1,) corners, float64.

        With `bends`, instead the (2 count,) starts and then ends of the cells. What is an end of the piece
        or of a cell that bends is moved inwards by next to nothing, so that a curve is never evaluated on
        its singularity and has its one-sided value and slope at a kink.
        """
        s = self.knots(device)
        if self.bends:
            starts, ends = s[:-1], s[1:]
            return torch.cat([self._inwards(starts, ends), self._inwards(ends, starts)])
        first, last = self._inwards(s[[0, -1]], s[[1, -2]]).split(1)
        inner = torch.cat([first, s[1:-1], last])
        return inner if self.count > 1 else inner[[0, -1]]

    def _inwards(self, s: Tensor, other: Tensor) -> Tensor:
        """Move corners towards the others of their cells, by more than their rounding."""
        step = (ROUNDING * (s.abs() + abs(self.anchor))).clamp(min=INWARDS)
        moved = s + torch.minimum(step, OF_A_CELL * (other - s).abs()) * torch.sign(other - s)
        return torch.where(moved == s, torch.nextafter(s, other), moved)


def pieces_of(domain: Domain) -> tuple[Piece, ...]:
    """Divide a domain into pieces, from the top down."""
    if domain.span == 0:
        # The one cell is the step itself: any distance below it leaves it.
        return (Piece(domain.low, domain.high, 1e30, 1, 1, 0),)
    graded = _finest(domain.graded)
    corners = sorted({domain.low, domain.high, *domain.kinks, *graded}, reverse=True)
    pieces: list[Piece] = []
    for high, low in _merged(corners, graded):
        for piece in _divide(high, low, domain, graded):
            first = 1 + sum(p.count + 2 for p in pieces)
            pieces.append(replace(piece, first=first))
    return tuple(pieces)


def _finest(graded: tuple[tuple[float, float], ...]) -> dict[float, float]:
    widths: dict[float, float] = {}
    for at, width in graded:
        widths[at] = min(width, widths.get(at, math.inf))
    return widths


def _merged(corners: list[float], graded: dict[float, float]) -> list[tuple[float, float]]:
    """Return the intervals between corners; neighbours without grading stay together."""
    intervals: list[tuple[float, float]] = []
    for high, low in pairwise(corners):
        plain = high not in graded and low not in graded
        if plain and intervals and intervals[-1][1] == high and intervals[-1][0] not in graded:
            intervals[-1] = (intervals[-1][0], low)
        else:
            intervals.append((high, low))
    return intervals


def _divide(high: float, low: float, domain: Domain, graded: dict[float, float]) -> list[Piece]:
    least = domain.graded_cells
    if high in graded and low in graded:
        middle = (high + low) / 2
        return [
            _graded(high, middle, True, graded[high], least),
            _graded(middle, low, False, graded[low], least),
        ]
    if high in graded or low in graded:
        at_high = high in graded
        return [_graded(high, low, at_high, graded[high if at_high else low], least)]
    inner = [kink for kink in domain.kinks if low < kink < high]
    aligned = _aligned_count(high, low, inner, domain.cells)
    if aligned is not None:
        return [_uniform(high, low, aligned, bends=bool(inner))]
    ends = [high, *sorted(inner, reverse=True), low]
    return [_uniform(a, b, domain.cells) for a, b in pairwise(ends)]


def _aligned_count(high: float, low: float, kinks: list[float], most: int) -> int | None:
    """Return a number of uniform cells whose corners meet all kinks, if there is one."""
    for count in range(most, most // 2, -1):
        places = [(high - kink) / (high - low) * count for kink in kinks]
        if all(abs(place - round(place)) < 1e-9 for place in places):
            return count
    return None


def _uniform(high: float, low: float, count: int, *, bends: bool = False) -> Piece:
    resolution = max(count - 1, 1).bit_length()
    rate = count / 2**resolution / (high - low)
    return Piece(low, high, rate, 0, count, resolution, bends)


def _graded(high: float, low: float, at_high: bool, width: float, least: int) -> Piece:
    octaves = max(1, math.ceil(math.log2(1 + (high - low) / width)))
    rate = (2.0**octaves - 1) / (high - low)
    resolution = max(GRADED_RESOLUTION, math.ceil(math.log2(max(least, 1) / octaves)))
    anchor, rate = (high, rate) if at_high else (low, -rate)
    return Piece(low, anchor, rate, 0, octaves * 2**resolution, resolution)
