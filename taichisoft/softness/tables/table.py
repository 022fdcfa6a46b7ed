"""Tables of curves of one number: cells that a kernel can read.

A curve is sampled in float64 at knots, value and slope, and stored as one cubic per cell (Hermite
interpolation). The gradient with respect to the cells flows back to whatever made the curve through torch
autograd, so that nothing is derived by hand for any particular curve. Where the cells lie follows from the
`Domain` (see `taichisoft.softness.tables.domain`); how kernels find them is in
`taichisoft.engine.kernels.curve`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import is_

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_holds_numbers
from taichisoft.softness.tables.domain import Domain, Piece, pieces_of
from taichisoft.softness.untouched import NOT_PLAIN, OWN, Watch, plain_value

# Numbers per piece in the array that kernels read: low, anchor, rate, first, count, resolution.
PIECE_NUMBERS = 6
# Tensors that are kept for a table: those of an annealed width are new each step.
MOST_FORMS = 16
# Slopes of the wrong sign below this are rounding.
ROUNDED = 1e-14


class _Forms:
    """Tensors that were made of a table, by what they were made for."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Tensor] = {}

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """Return the tensor of a key; a new one is kept."""
        found = self._made.get(key)
        if found is None:
            # One made in inference mode could not be used outside of it.
            with torch.inference_mode(False):
                found = make()
            if len(self._made) >= MOST_FORMS:
                self._made.clear()
            # A mode of torch may have given it another class, which holds no numbers.
            if type(found) is Tensor:
                self._made[key] = found
        return found


@dataclass(frozen=True)
class Table:
    """A tabulated curve.

    Parameters
    ----------
    cells : Tensor
        (N, 4) float64: for each piece the constant before it, one cubic per cell from the anchor
        outwards, and the constant after it.
    pieces : tuple of Piece
        From the top down.
    domain : Domain
        Where the curve varies.
    """

    cells: Tensor
    pieces: tuple[Piece, ...]
    domain: Domain

    @cached_property
    def layout(self) -> tuple[float, ...]:
        """The pieces as numbers for a kernel, filled up to a power of two with unreachable ones."""
        count = 1 << (len(self.pieces) - 1).bit_length()
        rows = [
            (p.low, p.anchor, p.rate, p.first, p.count, p.resolution)
            for p in self.pieces + self.pieces[-1:] * (count - len(self.pieces))
        ]
        # The last real piece reaches down without end, so those behind it are never chosen.
        rows[len(self.pieces) - 1] = (-1e30, *rows[len(self.pieces) - 1][1:])
        return tuple(float(number) for row in rows for number in row)

    def cells_like(self, like: Tensor) -> Tensor:
        """Return the cells in the dtype and on the device of `like`, differentiable."""
        cells = self.cells
        if cells.requires_grad:
            return cells.to(like.device, like.dtype)
        return self._forms.get((like.dtype, like.device), lambda: cells.to(like.device, like.dtype))

    def numbers_like(self, like: Tensor, width: float, lowest: float) -> Tensor:
        """Return the array that `taichisoft.engine.kernels.curve` describes.

        Parameters
        ----------
        like : Tensor
            Of the dtype and on the device wanted.
        width : float
            Pixels (or scene units) per unit of the argument.
        lowest : float
            The argument below which nothing is reached.
        """

        def make() -> Tensor:
            inverse = 1 / width if width else math.inf
            # In float64 first: it rounds, and not every device has it.
            numbers = (inverse, reach_of(width, lowest), *self.layout)
            return torch.tensor(numbers, dtype=torch.float64).to(like.dtype).to(like.device)

        return self._forms.get((like.dtype, like.device, width, lowest), make)

    @cached_property
    def _forms(self) -> _Forms:
        return _Forms()

    def locate(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return for each argument its cell and the two numbers of ``t = (s - corner) rate``.

        All three have the shape of `s` and carry no gradient; the rate is 0 where the curve is constant.
        """
        s = s.detach()
        layout = s.new_tensor(self.layout).reshape(-1, PIECE_NUMBERS)
        piece = (s.unsqueeze(-1) < layout[:-1, 0]).sum(-1)
        _, anchor, rate, first, count, resolution = layout[piece].unbind(-1)
        v = (1 + (anchor - s) * rate).clamp(0.5, 2.0**100)
        exponent = torch.frexp(v)[1].to(s.dtype) - 1
        octave = torch.exp2(exponent)
        per_octave = torch.exp2(resolution)
        part = ((v / octave - 1) * per_octave).floor()
        index = torch.where(v < 1, -1, exponent * per_octave + part)
        inside = (index >= 0) & (index < count)
        index = torch.minimum(index.clamp(min=-1), count)
        start = octave * (1 + part / per_octave)
        corner = anchor - (start - 1) / rate
        by_s = -rate * per_octave / octave
        zero = torch.zeros_like(s)
        return (
            (first + index).long(),
            torch.where(inside, corner, zero),
            torch.where(inside, by_s, zero),
        )

    def __call__(self, s: Tensor) -> Tensor:
        """Evaluate the tabulated curve in torch: the twin of the kernels' look-up.

        Parameters
        ----------
        s : Tensor
            Arguments, any shape, in scales.

        Returns
        -------
        Tensor
            Values of the same shape and dtype, differentiable with respect to `s` and the cells.
        """
        return self.looked_up(s)[0]

    def with_derivatives(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return values, slopes and second derivatives, differentiable with respect to the cells."""
        cell, corner, rate = self.locate(s)
        t = (s - corner) * rate
        c0, c1, c2, c3 = self.cells.to(s.dtype)[cell].unbind(-1)
        value = ((c3 * t + c2) * t + c1) * t + c0
        slope = (3 * c3 * t + 2 * c2) * t + c1
        return value, slope * rate, (6 * c3 * t + 2 * c2) * rate * rate

    def looked_up(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values, and the rows of the cells in which they are."""
        cell, corner, rate = self.locate(s)
        t = (s - corner) * rate
        c0, c1, c2, c3 = self.cells.to(s.dtype)[cell].unbind(-1)
        return ((c3 * t + c2) * t + c1) * t + c0, cell


def reach_of(width: float, lowest: float) -> float:
    """Return how far outside of a face a curve reaches, in pixels (or scene units).

    Arguments as in `Table.numbers_like`.
    """
    return max(-lowest, 0.0) * width


def tabulate(
    curve: Callable[[Tensor], Tensor],
    top: Tensor,
    domain: Domain,
    *,
    within: tuple[float, float] | None = None,
    bottom: Tensor | None = None,
) -> Table:
    """Tabulate a curve.

    Parameters
    ----------
    curve : callable
        Maps a (K,) float64 tensor of arguments in `domain` to values of the same shape. It may hold
        parameters that require gradients. Every kink and jump is approached from both sides.
    top : Tensor
        Scalar: the value above ``domain.high`` (a curve may jump there).
    domain : Domain
        Where the curve varies.
    within : tuple of float, optional
        Between which numbers the samples lie. Then the table lies there everywhere, and rises (or falls)
        between any two samples where the curve does so at both: a bend that the cells do not resolve makes
        no cubic swing beyond them.
    bottom : Tensor, optional
        Scalar: the value below ``domain.low``; 0 if not given.

    Returns
    -------
    Table
        Differentiable with respect to the parameters of the curve when gradients are enabled.
    """
    pieces = pieces_of(domain)
    top_row = _constant(top)
    bottom_row = torch.zeros_like(top_row) if bottom is None else _constant(bottom)
    if domain.span == 0:
        return Table(torch.stack([top_row, top_row, torch.zeros_like(top_row)]), pieces, domain)
    at = [piece.samples(top.device) for piece in pieces]
    value, slope = value_and_slope(curve, torch.cat(at))
    sizes = [len(s) for s in at]
    rows = []
    for piece, v, m in zip(pieces, value.split(sizes), slope.split(sizes), strict=True):
        ends = [_constant(v[0]), _constant(v[-1])]
        # Beyond the outermost ends lie the top and the bottom, in the order in which the piece runs.
        if piece is pieces[0]:
            ends[0 if piece.rate > 0 else 1] = top_row
        if piece is pieces[-1]:
            ends[1 if piece.rate > 0 else 0] = bottom_row
        rows += [ends[0][None], _cubics(piece, v, m, within), ends[1][None]]
    return Table(torch.cat(rows), pieces, domain)


def of_parts(
    parts: Sequence[tuple[Tensor, Tensor]], domain: Domain, within: tuple[float, float]
) -> Table:
    """Return the table of a curve of one piece that is another function in each of several ranges of cells.

    Parameters
    ----------
    parts : sequence of (Tensor, Tensor)
        From the lower end on, values and slopes at the samples of the piece: (K,) each, where the last one of
        a part and the first one of the next are those of both sides of a corner.
    domain : Domain
        Of a single piece with its cells counted from the lower end.
    within : tuple of float
        As in `tabulate`.
    """
    (piece,) = pieces_of(domain)
    value, slope = (
        torch.cat([x[:-1] for x in part] + [x[1:] for x in part])
        for part in zip(*parts, strict=True)
    )
    ends = [_constant(parts[0][0][0])[None], _constant(parts[-1][0][-1])[None]]
    cells = torch.cat([ends[0], _cubics(piece, value, slope, within), ends[1]])
    return Table(cells, (piece,), domain)


def stacked(lower: Table, upper: Table) -> Table:
    """Return the table of a curve of which there are two parts; the rows of the lower one come first."""
    moved = tuple(replace(piece, first=piece.first + len(lower.cells)) for piece in upper.pieces)
    domain = Domain(lower.domain.low, upper.domain.high)
    return Table(torch.cat([lower.cells, upper.cells]), moved + lower.pieces, domain)


def value_and_slope(curve: Callable[[Tensor], Tensor], s: Tensor) -> tuple[Tensor, Tensor]:
    """Return a curve and its slope at samples, differentiable again if gradients are on."""
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        s = s.requires_grad_()
        value = curve(s)
        slope = slope_of(value, s, create_graph=keep_graph)
    return (value, slope) if keep_graph else (value.detach(), slope)


def slope_of(value: Tensor, s: Tensor, *, create_graph: bool) -> Tensor:
    """Return d value / d s of an elementwise function; 0 for one that does not depend on s."""
    if not value.requires_grad:
        return torch.zeros_like(s)
    (slope,) = torch.autograd.grad(
        value.sum(), s, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return slope


def _constant(value: Tensor) -> Tensor:
    return torch.cat([value.reshape(1), value.new_zeros(3)])


def _cubics(
    piece: Piece, value: Tensor, slope: Tensor, within: tuple[float, float] | None
) -> Tensor:
    """Return the Hermite cubics of the cells, in t from 0 to 1."""
    step = piece.knots(value.device).diff()
    starts, ends = slice(piece.count), slice(-piece.count, None)
    v0, v1, m0, m1 = value[starts], value[ends], slope[starts] * step, slope[ends] * step
    if within is not None:
        m0, m1 = _limited(v0, v1, m0, m1)
        # A cubic lies within its control points, which are a third of a slope from its ends.
        m0 = 3 * ((v0 + m0 / 3).clamp(*within) - v0) if _leaves(v0 + m0 / 3, within) else m0
        m1 = 3 * (v1 - (v1 - m1 / 3).clamp(*within)) if _leaves(v1 - m1 / 3, within) else m1
    return torch.stack([v0, m0, 3 * (v1 - v0) - 2 * m0 - m1, 2 * (v0 - v1) + m0 + m1], dim=1)


def _leaves(control: Tensor, within: tuple[float, float]) -> bool:
    least, most = control.detach().aminmax()
    return float(least) < within[0] or float(most) > within[1]


def _limited(v0: Tensor, v1: Tensor, m0: Tensor, m1: Tensor) -> tuple[Tensor, Tensor]:
    """Limit slopes of one sign to three times the rise between, which keeps a cubic monotone.

    Fritsch and Carlson, "Monotone piecewise cubic interpolation" (1980).
    """
    most = 3 * (v1 - v0)
    up = (most >= 0) & (m0 > -ROUNDED) & (m1 > -ROUNDED)
    down = (most <= 0) & (m0 < ROUNDED) & (m1 < ROUNDED)
    steep = (up | down) & (torch.maximum(m0.abs(), m1.abs()) > most.abs())
    if not bool(steep.any()):
        return m0, m1
    low, high = most.clamp(max=0), most.clamp(min=0)
    return (
        torch.where(steep, torch.minimum(torch.maximum(m0, low), high), m0),
        torch.where(steep, torch.minimum(torch.maximum(m1, low), high), m1),
    )


class TableCache:
    """Keeps tables whose curves have not changed, so that an inner loop tabulates once."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def get(
        self,
        name: str,
        build: Callable[[Tensor, Domain], Table],
        domain: Callable[[], Domain],
        *modules: nn.Module,
        apart: nn.Module | None = None,
    ) -> Table:
        """Return ``build(high, domain())``, or the last table of that name if nothing it depends on changed.

        Parameters
        ----------
        name : str
            Which of the tables.
        build : callable
            Makes the table, given the upper end of the domain as a float64 scalar tensor, and the domain.
        domain : callable
            Returns the domain of the curve, which depends on the modules as well.
        *modules : nn.Module
            What the curve depends on: which modules there are in them, and their tensors and plain values,
            also those in lists, tuples and dictionaries.
        apart : Module, optional
            A part of them that it does not depend on: the width in which its argument is counted, which may
            change every step.

        Raises
        ------
        ValueError
            A tensor of them holds no numbers (device meta).
        """
        kept = self._kept.get(name)
        if kept is not None and kept.is_untouched(modules, apart):
            return kept.table
        state = _State.of(domain, modules, apart)
        learned = torch.is_grad_enabled() and any(t.requires_grad for t in state.tensors)
        if not learned and kept is not None and kept.state.equals(state):
            self._kept[name] = _Kept.of(modules, apart, state, kept.state, kept.table)
            return kept.table
        # A table made in inference mode could not be used outside of it. Leaving that mode turns gradients
        # on, so they are switched as they were.
        with torch.inference_mode(False), torch.set_grad_enabled(learned):
            device = state.tensors[0].device if state.tensors else None
            high = torch.tensor(state.domain.high, dtype=torch.float64, device=device)
            table = build(high, state.domain)
            if not learned:
                self._kept[name] = _Kept.of(modules, apart, state, state.copied(), table)
        return table


@dataclass(frozen=True, eq=False)
class _State:
    """All that a curve depends on.

    Parameters
    ----------
    domain : Domain
    modules : tuple of Module
        Kept, since the identity of what is gone may be given to something new.
    values : tuple
        Plain attributes of the modules.
    tensors : tuple of Tensor
        Parameters, buffers and tensors among the attributes.
    """

    domain: Domain
    modules: tuple[nn.Module, ...]
    values: tuple
    tensors: tuple[Tensor, ...]

    @classmethod
    def of(
        cls,
        domain: Callable[[], Domain],
        roots: tuple[nn.Module, ...],
        apart: nn.Module | None = None,
    ) -> _State:
        modules = tuple(module for root in roots for module in _modules(root, apart))
        attributes = [item for m in modules for item in vars(m).items()]
        tensors = [
            t for m in modules for t in (*m.parameters(recurse=False), *m.buffers(recurse=False))
        ]
        tensors += [v for _, v in attributes if isinstance(v, Tensor)]
        for tensor in tensors:
            check_holds_numbers(tensor, "the renderer")
        plain = [(k, plain_value(v)) for k, v in attributes if k not in OWN]
        values = tuple(item for item in plain if item[1] is not NOT_PLAIN)
        return cls(domain(), modules, values, tuple(tensors))

    def copied(self) -> _State:
        return replace(self, tensors=tuple(t.detach().clone() for t in self.tensors))

    def equals(self, other: _State) -> bool:
        return (
            self.domain == other.domain
            and len(self.modules) == len(other.modules)
            and all(a is b for a, b in zip(self.modules, other.modules, strict=True))
            and self.values == other.values
            and _equal(self.tensors, other.tensors)
        )


@dataclass(frozen=True, eq=False)
class _Kept:
    """A table, what it was made of, and what tells quickly whether that was touched.

    Parameters
    ----------
    roots : tuple of Module
        As they were given.
    apart : Module or None
        As it was given.
    state : _State
        With copies of the tensors.
    table : Table
    watch : Watch or None
        None if it cannot be told quickly.
    """

    roots: tuple[nn.Module, ...]
    apart: nn.Module | None
    state: _State
    table: Table
    watch: Watch | None

    @classmethod
    def of(
        cls,
        roots: tuple[nn.Module, ...],
        apart: nn.Module | None,
        now: _State,
        state: _State,
        table: Table,
    ) -> _Kept:
        return cls(roots, apart, state, table, Watch.over(now.modules, now.tensors))

    def is_untouched(self, roots: tuple[nn.Module, ...], apart: nn.Module | None) -> bool:
        """Return whether the table is that of these modules for certain, with no gradient to be had."""
        return (
            self.watch is not None
            and apart is self.apart
            and len(roots) == len(self.roots)
            and all(map(is_, roots, self.roots))
            and self.watch.is_same()
            and not (torch.is_grad_enabled() and self.watch.requires_grad())
        )


def _modules(root: nn.Module, apart: nn.Module | None) -> Iterator[nn.Module]:
    """Return a module and all in it, but for that child; where it is used further in as well, it counts."""
    yield root
    for child in root.children():
        if child is not apart:
            yield from child.modules()


def _equal(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    """Return whether tensors are equal, at the cost of one answer of their device for all of them."""
    if len(first) != len(second):
        return False
    pairs = list(zip(first, second, strict=True))
    if any((a.device, a.dtype, a.shape) != (b.device, b.dtype, b.shape) for a, b in pairs):
        return False
    # In the main memory each answers at once, and the first that differs ends it.
    here = [pair for pair in pairs if pair[0].device.type == "cpu"]
    there = [(a == b).all() for a, b in pairs if a.device.type != "cpu"]
    if not all(torch.equal(*pair) for pair in here):
        return False
    return not there or bool(torch.stack([t.to(there[0].device) for t in there]).all())
