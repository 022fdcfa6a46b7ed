"""How faces hide each other, in plain torch: behind the nearest of a pixel, or each behind every other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.engine.depth_extent import LEAST_WIDTH
from taichisoft.engine.kernels.blend_functions import TIES
from taichisoft.softness.aggregation import Aggregation
from taichisoft.softness.curves import CompositeCurves
from taichisoft.softness.occlusion import FrontToBack
from taichisoft.softness.remainder import Remainder
from taichisoft.softness.tables.domain import SHARP
from taichisoft.softness.tables.table import slope_of

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Front:
    """Weights by how far a face is behind the nearest of the pixel.

    Parameters
    ----------
    faint : float
        A face whose coverage is not above this is not the nearest.
    occlusion : callable
        Of a difference of depth in scene units.
    """

    faint: float
    occlusion: Function

    def weights(self, cover: Tensor, _: Tensor, depth: Tensor, corner_depth: Tensor) -> Tensor:
        """Return the weights of all faces at all pixels, (F, P); arguments as of `Layering.weights`."""
        # What is faint has no say in what is in front, and may itself be in front of that.
        reaching = torch.where(cover > self.faint, depth, torch.inf)
        # Of faces that are equally near the first one moves it.
        front = reaching.gather(0, reaching.detach().argmin(0, keepdim=True))[0]
        hidden = (cover > 0) & front.isfinite()
        gap = front.where(front.isfinite(), 0) - depth
        # What is as near as the front but for rounding is the front.
        tie = _tolerance(depth, corner_depth)[:, None]
        gap = torch.where(gap.abs() > tie, gap, gap - gap.detach())
        behind = torch.where(hidden, gap, 0).clamp(max=0)
        return cover * self.occlusion(behind)


@dataclass(frozen=True, eq=False)
class Layering:
    """Weights by what a face adds to alpha behind those in front of it: see `FrontToBack`.

    Parameters
    ----------
    order : callable
        How much a face counts as being in front, by how much nearer it is in gammas; below `full`.
    full : float
        From here on it is in front wholly.
    at_tie : Tensor, (3,)
        The order of equal depths, and its first two derivatives: means of both sides of 0.
    generator : callable
        Of the T-conorm; it is given a coverage minus 1.
    added : callable
        What faces add to alpha: see `Remainder.added`.
    occlusion : FrontToBack
        With gamma.
    takes_max : bool
        Whether the largest coverage counts instead of a sum.
    """

    order: Function
    full: float
    at_tie: Tensor
    generator: Function
    added: Callable[[Tensor, Tensor, Tensor], Tensor]
    occlusion: FrontToBack
    takes_max: bool

    @classmethod
    def through_tables(cls, curves: CompositeCurves) -> Layering:
        """Return that of the tables which the kernels read."""
        return cls(
            curves.order,
            curves.order.domain.high,
            curves.at_tie,
            (lambda s: s + 1) if curves.takes_max else curves.part,
            curves.inverse.added,
            curves.occlusion,
            curves.takes_max,
        )

    @classmethod
    def exact(cls, occlusion: FrontToBack, aggregation: Aggregation) -> Layering:
        """Return that of the functions themselves."""
        # Under `Max` it is not used.
        remainder = Remainder.of(aggregation)

        def order(u: Tensor) -> Tensor:
            return occlusion(u.double()).to(u.dtype)

        def added(*totals: Tensor) -> Tensor:
            return remainder.added(*(x.double() for x in totals)).to(totals[0].dtype)

        def generator(s: Tensor) -> Tensor:
            return aggregation.generator(s.double() + 1).to(s.dtype)

        return cls(
            order,
            occlusion.domain().high,
            _at_tie(occlusion),
            generator,
            added,
            occlusion,
            aggregation.takes_max,
        )

    @property
    def by_index(self) -> bool:
        """Whether of equally deep faces the one with the smaller index is in front."""
        return self.takes_max and self.occlusion.domain().span == 0

    def gamma(self, corner_depth: Tensor) -> Tensor:
        """Return the width of the order in scene units, given the depths of all corners drawn, (F, 3)."""
        flat = corner_depth.flatten()
        nearest, farthest = flat[flat.detach().argmin()], flat[flat.detach().argmax()]
        size = float(corner_depth.detach().abs().max())
        width = self.occlusion.widths((farthest - nearest).reshape(1))[0]
        width = width.clamp(min=LEAST_WIDTH * size)
        return torch.where(width > 0, width, 1.0).to(flat)

    def weights(
        self, cover: Tensor, generator: Tensor, depth: Tensor, corner_depth: Tensor
    ) -> Tensor:
        """Return what each face adds to alpha behind those in front of it, (F, P).

        Parameters
        ----------
        cover, generator : Tensor, (F, P)
            Coverage, and the generator of it.
        depth : Tensor, (F, P)
            Of the point of each face that is nearest to the pixel.
        corner_depth : Tensor, (F, 3)
            Of the corners of the faces.
        """
        gamma = self.gamma(corner_depth)
        least = _tolerance(depth, corner_depth)
        faces = torch.arange(len(cover), device=cover.device)
        rows = []
        for behind in range(len(faces)):
            others = faces[faces != behind]
            tie = torch.maximum(least[behind], least[others])
            amounts = self._in_front(
                depth[behind] - depth[others],
                (torch.zeros_like(tie) if self.by_index else tie)[:, None],
                (others < behind)[:, None],
                cover[others],
                generator[others],
                gamma,
            )
            rows.append(self._added(generator[behind], *amounts))
        return torch.stack(rows)

    def _added(self, generator: Tensor, in_front: Tensor, wholly: Tensor) -> Tensor:
        """Return what a face adds, (P,), to those in front of it, (F - 1, P)."""
        if not self.takes_max:
            whole = torch.where(wholly, in_front, 0).sum(0).detach()
            return self.added(in_front.sum(0), whole, generator)
        if not len(in_front):
            return torch.relu(generator)
        # Of equal ones the first moves it.
        most = in_front.gather(0, in_front.detach().argmax(0, keepdim=True))[0]
        return torch.relu(generator - most)

    def _in_front(
        self,
        nearer: Tensor,
        tolerance: Tensor,
        first: Tensor,
        cover: Tensor,
        generator: Tensor,
        gamma: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the generator of what of other faces, (F - 1, P), is in front of one; if all of them."""
        tied = nearer.detach().abs() <= tolerance
        u = torch.where(tied, nearer - nearer.detach(), nearer) / gamma
        share = self.order(u)
        # The value at a tie is given, and how it changes with depth.
        value, slope, bend = self.at_tie.to(u)
        moves = torch.where(tied, u, 0)
        given = first.to(u) if self.by_index else value + (slope + bend / 2 * moves) * moves
        share = torch.where(tied, given, share)
        wholly = (u.detach() >= self.full) & ~tied
        return torch.where(wholly, generator, self.generator(share * cover - 1)), wholly


def _at_tie(occlusion: FrontToBack) -> Tensor:
    """Return the order of equal depths, and its first two derivatives, (3,): means of both sides of 0."""
    device = next(occlusion.order.buffers()).device
    with torch.enable_grad():
        u = torch.tensor([-SHARP, SHARP], dtype=torch.float64, device=device, requires_grad=True)
        value = occlusion(u)
        slope = slope_of(value, u, create_graph=True)
        bend = slope_of(slope, u, create_graph=True).detach()
    tie = torch.stack([value, slope, bend]).mean(1)
    learned = torch.is_grad_enabled() and any(p.requires_grad for p in occlusion.parameters())
    # Without a graph of what is not learned.
    return tie if learned else tie.detach()


def _tolerance(depth: Tensor, corner_depth: Tensor) -> Tensor:
    """Return by how much depths on each face may differ and are equal but for rounding, (F,)."""
    return TIES[torch.finfo(depth.dtype).bits] * corner_depth.detach().abs().amax(1)
