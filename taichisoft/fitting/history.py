"""The history of a fit: losses, gradients, times and snapshots, as numbers, a curve and a film."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer, check_type
from taichisoft.base.words import in_words
from taichisoft.files.animations import frame_of, write_gif

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ParameterValues = Any
"""What is optimised: ``dict[str, Tensor]`` or ``list[Tensor]``, whichever was given to `fit`."""


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot:
    """The parameters after a number of steps.

    Parameters
    ----------
    step : int
        How many steps had been tried.
    parameters : dict or list of Tensor
        Detached copies.
    """

    step: int
    parameters: ParameterValues

    def __repr__(self) -> str:
        parameters = self.parameters
        named = parameters if isinstance(parameters, dict) else dict(enumerate(parameters))
        words = "; ".join(f"{name} {in_words(value)}" for name, value in named.items())
        return f"after {self.step} steps: {words}"


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """What happened during a fit of E evaluations, E - 1 of which were followed by a step.

    Parameters
    ----------
    loss : Tensor, (E,) or (E, B)
        What was minimised, before each step and after the last; not finite where it was not.
    judged : Tensor, (E,) or (E, B)
        What the best parameters were chosen by: the loss itself unless `fit` was told otherwise.
    best : Tensor, (E,) or (E, B)
        Least finite ``judged`` so far; infinite as long as there was none.
    gradient_norms : dict of Tensor, (E - 1,) or (E - 1, B)
        By parameter, Euclidean norm of its gradient before clipping.
    taken : Tensor, (E - 1,) or (E - 1, B), bool
        Which steps were taken; the others had a loss or gradient that was not finite.
    seconds : Tensor, (E,)
        Wall time since the start of the fit.
    snapshots : tuple of Snapshot
        At the start, every so many steps, and at the end, if they were asked for.
    """

    loss: Tensor
    judged: Tensor
    best: Tensor
    gradient_norms: dict[str, Tensor]
    taken: Tensor
    seconds: Tensor
    snapshots: tuple[Snapshot, ...]

    def __repr__(self) -> str:
        best = f"best {losses_in_words(self.best[-1])}"
        return (
            f"{len(self.taken)} steps in {float(self.seconds[-1]):.3g} s, "
            f"{len(self.snapshots)} snapshots: {losses_in_words(self.judged[0])} at the start, {best}"
        )

    def plot(self, axes: Axes | None = None) -> Figure:
        """Draw what was judged and the best of it over the steps, a thin line for each problem.

        Parameters
        ----------
        axes : Axes, optional
            What to draw on. Default: a new figure, which is not known to pyplot; notebooks show it, and
            ``figure.savefig(path)`` saves it.

        Raises
        ------
        ImportError
            matplotlib is missing; it comes with ``taichisoft[train]``.
        """
        from taichisoft.softness.plot import new_figure

        axes = new_figure(6.4, 4.0).subplots() if axes is None else axes
        judged, best = (value.reshape(len(value), -1) for value in (self.judged, self.best))
        finite = torch.where(judged.isfinite(), judged, torch.nan)
        now = axes.plot(finite, color="#56b4e9", linewidth=0.9)
        least = axes.plot(torch.where(best.isfinite(), best, torch.nan), color="#0072b2")
        if bool((finite[judged.isfinite()] > 0).all()):
            axes.set_yscale("log")
        axes.set(xlabel="steps", ylabel="loss")
        axes.legend([now[0], least[0]], ["at the step", "best so far"], frameon=False)
        axes.grid(color="0.92", linewidth=0.7)
        return cast("Figure", axes.figure)

    def animate(
        self,
        path: str | os.PathLike,
        render: Callable[[ParameterValues], Tensor],
        *,
        frame_ms: int = 80,
        last_frame_ms: int = 1000,
    ) -> None:
        """Save an animated GIF with a frame for each snapshot.

        Equal frames in a row are stored as one that is shown as long.

        Parameters
        ----------
        path : path
            File to write.
        render : callable
            Draws parameters: (H, W), (H, W, 1) or (H, W, 3) in [0, 1], or a batch of one of these.
        frame_ms, last_frame_ms : int
            How long a frame, and the last one, is shown, in milliseconds.

        Raises
        ------
        TypeError, ValueError
            There are no snapshots, or ``render`` returns something else.
        """
        check_type(path, "path", (str, os.PathLike))
        check_integer(frame_ms, "frame_ms", minimum=1)
        check_integer(last_frame_ms, "last_frame_ms", minimum=1)
        if not self.snapshots:
            raise ValueError("there must be snapshots to animate, got none: fit(snapshot_every=1)")
        with torch.no_grad():
            frames = [
                frame_of(render(snapshot.parameters), "the image that render returns")
                for snapshot in self.snapshots
            ]
        write_gif(frames, [frame_ms] * (len(frames) - 1) + [last_frame_ms], path)


def losses_in_words(loss: Tensor) -> str:
    """Return a loss, or the least, the median and the largest of losses (B,), in words."""
    if loss.ndim == 0:
        return f"loss {float(loss):.4g}"
    return f"losses {range_of(loss)} of {len(loss)} problems, median {float(loss.median()):.4g}"


def range_of(values: Tensor) -> str:
    """Return a number, or the least and the largest of several."""
    least, largest = float(values.min()), float(values.max())
    return f"{least:.4g}" if least == largest else f"{least:.4g} to {largest:.4g}"


@dataclass(eq=False)
class Recorder:
    """Collects a history step by step."""

    started: float = field(default_factory=time.perf_counter)
    losses: list[Tensor] = field(default_factory=list)
    judged: list[Tensor] = field(default_factory=list)
    best: list[Tensor] = field(default_factory=list)
    norms: list[dict[str, Tensor]] = field(default_factory=list)
    taken: list[Tensor] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)

    def evaluated(self, loss: Tensor, judged: Tensor, best: Tensor) -> None:
        """Add an evaluation."""
        self.losses.append(_kept(loss))
        self.judged.append(_kept(judged))
        self.best.append(_kept(best))
        self.seconds.append(time.perf_counter() - self.started)

    def stepped(self, norms: dict[str, Tensor], taken: Tensor) -> None:
        """Add a step that was tried."""
        self.norms.append({name: _kept(norm) for name, norm in norms.items()})
        self.taken.append(_kept(taken))

    def history(self) -> History:
        """Return all of it; what an interruption left half-done is left out."""
        count = len(self.seconds)
        empty = self.losses[0].new_zeros(0, *self.losses[0].shape)
        norms, taken = self.norms[: count - 1], self.taken[: count - 1]
        return History(
            torch.stack(self.losses[:count]),
            torch.stack(self.judged[:count]),
            torch.stack(self.best[:count]),
            {name: torch.stack([step[name] for step in norms]) for name in norms[0]}
            if norms
            else {},
            torch.stack(taken) if taken else empty.bool(),
            torch.tensor(self.seconds, dtype=torch.float64),
            tuple(self.snapshots),
        )


def _kept(value: Tensor) -> Tensor:
    return value.detach().cpu().clone()
