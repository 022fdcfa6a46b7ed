"""`multi_start`: the same problem from many starts side by side, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer, check_tensor, check_type
from taichisoft.fitting.fit import fit
from taichisoft.fitting.history import ParameterValues
from taichisoft.fitting.parameters import Parameters
from taichisoft.fitting.run import Fit
from taichisoft.render.rasterizer import SoftRasterizer


@dataclass(frozen=True, eq=False, repr=False)
class MultiStart:
    """The outcome of many starts.

    Parameters
    ----------
    parameters : dict or list of Tensor
        The best of all, without the axis of the starts.
    loss : Tensor, ()
        Their loss.
    start : int
        Which start led there.
    fit : Fit
        All that were optimised.
    chosen : Tensor, (K,), int64
        Which starts these were.
    """

    parameters: ParameterValues
    loss: Tensor
    start: int
    fit: Fit
    chosen: Tensor

    def __repr__(self) -> str:
        return (
            f"loss {float(self.loss):.4g} from start {self.start}; of those optimised:\n{self.fit}"
        )


def multi_start(
    loss: Callable[[ParameterValues], Tensor],
    starts: Mapping[str, Tensor] | Sequence[Tensor],
    steps: int = 100,
    *,
    keep: int | None = None,
    renderer: SoftRasterizer | None = None,
    **options: Any,
) -> MultiStart:
    """Minimise a loss from many starts as one batch, and keep the best.

    For losses with many local minima, as those of a pose are.

    Parameters
    ----------
    loss : callable
        Takes parameters whose first axis is that of the starts, of any length, and returns as many losses.
    starts : dict or sequence of Tensor, (N, ...)
        Where to start from.
    steps : int
        Number of steps.
    keep : int, optional
        Optimise only so many starts, those of the least loss: each of the others costs one forward pass.
        Default: all.
    renderer : SoftRasterizer, optional
        As for `fit`; the losses of the starts are those at its progress 0.
    **options
        As for `fit`.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `fit`; or ``keep`` is no int from 1 to N, or the losses are not (N,).
    """
    all_starts = Parameters.of(starts)
    if renderer is not None:
        check_type(renderer, "renderer", SoftRasterizer)
        renderer.set_progress(0.0)
    with torch.no_grad():
        first = loss(all_starts.given())
    check_tensor(first, "what loss returns", ("starts",))
    all_starts.check_problems(first)
    keep = len(first) if keep is None else check_integer(keep, "keep", minimum=1)
    if keep > len(first):
        raise ValueError(f"keep must be at most the number of starts, {len(first)}, got {keep}")
    # NaN sorts last.
    chosen = (
        torch.where(first.isfinite(), first, torch.inf).argsort(stable=True)[:keep].sort().values
    )
    kept = {name: leaf.detach()[chosen] for name, leaf in all_starts.leaves.items()}
    found = fit(loss, all_starts.form(kept), steps, renderer=renderer, **options)
    at = int(found.loss.argmin())
    rows = Parameters.of(found.parameters).leaves
    best = all_starts.form({name: row.detach()[at] for name, row in rows.items()})
    return MultiStart(best, found.loss[at], int(chosen[at]), found, chosen)
