"""Tabulation: turn any curve of one number into cells that a kernel can read.

A curve is sampled in float64 at knots, value and slope, and stored as one cubic per cell (Hermite
interpolation). The gradient with respect to the cells flows back to whatever made the curve through torch
autograd, so that nothing is derived by hand for any particular curve. See `taichisoft.kernels.lookup` for
the layout that the kernels read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

KNOTS = 1024


@dataclass(frozen=True)
class Domain:
    """Where a curve varies: it is 0 below `low`, constant above `high`.

    Parameters
    ----------
    low, high : float
        Ends of the tabulated range, in scales; ``low <= high``. If they are equal the curve is a step that
        jumps at that point and has its upper value there.
    grading : float
        How much finer the cells are at `high` than at `low`: their widths are in the ratio
        ``1 : (1 + grading)^2``. 0 for curves that are smooth up to `high`.
    """

    low: float
    high: float
    grading: float = 0.0

    def __post_init__(self):
        if not self.low <= self.high:
            raise ValueError(f"low must be <= high, got low={self.low}, high={self.high}")
        if not self.grading >= 0:
            raise ValueError(f"grading must be >= 0, got {self.grading}")

    @property
    def span(self) -> float:
        """Width of the tabulated range, in scales."""
        return self.high - self.low


@dataclass(frozen=True)
class Table:
    """A tabulated curve.

    Parameters
    ----------
    cells : Tensor
        (K + 2, 4) float64: the constant top, K cubics from `high` downwards, the zero below.
    domain : Domain
        Where the curve varies.
    """

    cells: Tensor
    domain: Domain

    @property
    def coordinates(self) -> tuple[float, float, float, int]:
        """The numbers ``high, a, g, K`` that map an argument to a cell."""
        return _coordinates(self.domain, self.cells.shape[0] - 2)

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
        high, a, g, count = self.coordinates
        y = high - s
        x = 1 + y * a / (1 + y.clamp(min=0) * g)
        x = x.clamp(0, count + 1.5)
        index = x.detach().floor().long()
        t = x - index
        c0, c1, c2, c3 = self.cells.to(s.dtype)[index].unbind(-1)
        return ((c3 * t + c2) * t + c1) * t + c0


def _coordinates(domain: Domain, count: int) -> tuple[float, float, float, int]:
    if domain.span == 0:
        # Any distance below the step leaves the one dummy cell.
        return domain.high, 1e30, 0.0, count
    g = domain.grading / domain.span
    return domain.high, count * (1 + domain.grading) / domain.span, g, count


def tabulate(
    curve: Callable[[Tensor], Tensor], top: Tensor, domain: Domain, knots: int = KNOTS
) -> Table:
    """Tabulate a curve.

    Parameters
    ----------
    curve : callable
        Maps a (K + 1,) float64 tensor of arguments in `domain` to values of the same shape. It may hold
        parameters that require gradients.
    top : Tensor
        Scalar: the value above ``domain.high`` (a curve may jump there).
    domain : Domain
        Where the curve varies.
    knots : int
        Number of cells K.

    Returns
    -------
    Table
        Differentiable with respect to the parameters of the curve when gradients are enabled.
    """
    if domain.span == 0:
        constant = torch.cat([top.reshape(1, 1), top.new_zeros(1, 3)], dim=1)
        cells = torch.cat([constant, constant, top.new_zeros(1, 4)])
        return Table(cells, domain)
    high, a, g, count = _coordinates(domain, knots)
    xi = torch.arange(count + 1, dtype=torch.float64, device=top.device)
    width = a - xi * g
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        s = (high - xi / width).requires_grad_()
        value = curve(s)
        (slope,) = torch.autograd.grad(value.sum(), s, create_graph=keep_graph)
    if not keep_graph:
        value = value.detach()
    by_cell = -slope * a / width**2
    v0, v1, m0, m1 = value[:-1], value[1:], by_cell[:-1], by_cell[1:]
    cubics = torch.stack([v0, m0, 3 * (v1 - v0) - 2 * m0 - m1, 2 * (v0 - v1) + m0 + m1], dim=1)
    above = torch.cat([top.reshape(1, 1), top.new_zeros(1, 3)], dim=1)
    return Table(torch.cat([above, cubics, top.new_zeros(1, 4)]), domain)


class TableCache:
    """Keeps tables whose curves have not changed, so that an inner loop tabulates once."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple, Tensor, Table]] = {}

    def get(
        self, name: str, build: Callable[[Tensor], Table], domain: Domain, *modules: nn.Module
    ) -> Table:
        """Return ``build(high)``, or the last table of that name if nothing it depends on changed.

        Parameters
        ----------
        name : str
            Which of the tables.
        build : callable
            Makes the table, given the upper end of the domain as a float64 scalar tensor.
        domain : Domain
            Domain of the curve.
        *modules : nn.Module
            What the curve depends on: their identity, parameters and buffers are compared, by value.
        """
        state = [t for m in modules for t in (*m.parameters(), *m.buffers())]
        device = state[0].device if state else None
        high = torch.tensor(domain.high, dtype=torch.float64, device=device)
        if torch.is_grad_enabled() and any(t.requires_grad for t in state):
            return build(high)
        key = (domain, *(id(m) for m in modules))
        values = torch.cat([t.detach().reshape(-1).double() for t in state]) if state else high
        kept = self._kept.get(name)
        if kept is None or kept[0] != key or not torch.equal(kept[1], values):
            with torch.no_grad():
                self._kept[name] = (key, values, build(high))
        return self._kept[name][2]
