"""The steps of a fit: which are taken, which parameters are the best, when it ends."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer, check_number, check_tensor
from taichisoft.fitting.history import (
    History,
    ParameterValues,
    Recorder,
    Snapshot,
    losses_in_words,
    range_of,
)
from taichisoft.fitting.parameters import Best, Parameters, reshaped
from taichisoft.fitting.progress_bar import progress_bar
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.annealing import FollowsProgress

if TYPE_CHECKING:
    from torch.optim import Optimizer

Loss = Callable[[ParameterValues], Tensor]
OnStep = Callable[[int, ParameterValues], None]


@dataclass(frozen=True)
class FitSettings:
    """How long to go on, and what to do about gradients; see `fit`."""

    steps: int
    patience: int | None
    tolerance: float
    clip: float | None
    bad_steps: int
    snapshot_every: int | None

    def __post_init__(self) -> None:
        check_integer(self.steps, "steps", minimum=0)
        check_integer(self.bad_steps, "bad_steps", minimum=1)
        for name in ("patience", "snapshot_every"):
            if getattr(self, name) is not None:
                check_integer(getattr(self, name), name, minimum=1)
        if check_number(self.tolerance, "tolerance") < 0:
            raise ValueError(f"tolerance must not be negative, got {self.tolerance}")
        if self.clip is not None:
            check_number(self.clip, "clip", above=0)


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """The outcome of a fit.

    Parameters
    ----------
    parameters : dict or list of Tensor
        The best ones that were met, of each problem its own; detached, in the form that was given.
    loss : Tensor, () or (B,)
        What was judged there; infinite for a problem that never had a finite one.
    step : Tensor, () or (B,), int64
        After how many steps they were met. Step 0 is the first.
    reason : str
        Why it ended.
    history : History
        What happened on the way.
    """

    parameters: ParameterValues
    loss: Tensor
    step: Tensor
    reason: str
    history: History

    def __repr__(self) -> str:
        parameters = self.parameters
        named = parameters if isinstance(parameters, dict) else dict(enumerate(parameters))
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in named.items())
        after = range_of(self.step)
        return (
            f"{losses_in_words(self.loss)}, at the start {losses_in_words(self.history.judged[0])}\n"
            f"parameters after {after} steps: {shapes}\n"
            f"{self.reason}, in {float(self.history.seconds[-1]):.3g} s"
        )


class Run:
    """A fit in progress."""

    def __init__(
        self,
        settings: FitSettings,
        leaves: Parameters,
        loss: Loss,
        renderer: SoftRasterizer | None,
        judge: Loss | None,
        optimizer: Optimizer,
    ):
        self.settings = settings
        self.leaves = leaves
        self.loss = loss
        self.judge = judge
        self.optimizer = optimizer
        self.renderer = renderer
        self.anneals = renderer is not None and any(
            isinstance(module, FollowsProgress) for module in renderer.modules()
        )
        self.recorder = Recorder()
        self.best: Best | None = None
        # Of each problem, steps in a row that were not taken, and what was not finite last.
        self.failed = torch.zeros((), dtype=torch.int64)
        self.culprit = ""

    def go(self, progress: bool, on_step: OnStep | None) -> str:
        """Optimise; return why it ended."""
        steps = self.settings.steps
        with progress_bar(steps, progress) as bar:
            try:
                for step in range(steps + 1):
                    if on_step is not None:
                        on_step(step, self.leaves.given())
                    value = self._evaluate(step, last=step == steps)
                    self._keep_snapshot(step, last=False)
                    bar.advance(step, self._met().loss)
                    if step == steps:
                        break
                    if self._is_stale(step):
                        return (
                            f"no loss fell by more than {self.settings.tolerance:g} "
                            f"in {self.settings.patience} steps, at step {step}"
                        )
                    if bool((self.failed >= self.settings.bad_steps).all()):
                        first = step - self.settings.bad_steps
                        return f"steps {first} to {step - 1} were not taken: {self.culprit} was not finite"
                    self._step(value)
            except KeyboardInterrupt:
                if self.best is None:
                    raise
                return f"interrupted at step {step}"
        return f"all {steps} steps were tried"

    def finish(self, reason: str) -> Fit:
        """Return the outcome."""
        step = len(self.recorder.seconds) - 1
        self._keep_snapshot(step, last=True)
        if self.renderer is not None:
            self.renderer.set_progress(1.0)
        best = self._met()
        if not bool(best.loss.isfinite().any()):
            raise FloatingPointError(
                f"the loss was never finite in {step + 1} evaluations: {reason}"
            )
        if bool((self.failed > 0).any()):
            whose = (
                f" of {int((self.failed > 0).sum())} of {len(self.failed)} problems"
                if self.failed.ndim
                else ""
            )
            warnings.warn(
                f"the last steps{whose}, up to step {step - 1}, were not taken: {self.culprit} was "
                "not finite",
                RuntimeWarning,
                stacklevel=3,
            )
        return Fit(
            self.leaves.form(best.values), best.loss, best.step, reason, self.recorder.history()
        )

    def _met(self) -> Best:
        """Return the best; something was evaluated before."""
        assert self.best is not None
        return self.best

    def _evaluate(self, step: int, *, last: bool) -> Tensor:
        """Return the loss, and let it, or what it is judged by, be known."""
        judged = None
        if self.judge is not None or self.anneals:
            self._set_progress(1.0)
            with torch.no_grad():
                judged = (self.judge or self.loss)(self.leaves.given())
        self._set_progress(min(step / max(self.settings.steps - 1, 1), 1.0))
        with torch.set_grad_enabled(not last):
            value = self.loss(self.leaves.given())
        check_tensor(value, "the loss that problem returns", (), ("B",))
        judged = value.detach() if judged is None else judged
        check_tensor(judged, "what judge returns", tuple(value.shape))
        if self.best is None:
            self.leaves.check_problems(value)
            self.best = Best.start(value, self.leaves)
            self.failed = torch.zeros_like(value, dtype=torch.int64)
        self.best.update(step, judged, self.leaves, self.settings.tolerance)
        self.recorder.evaluated(value, judged, self.best.loss)
        return value

    def _set_progress(self, progress: float) -> None:
        if self.renderer is not None:
            self.renderer.set_progress(progress)

    def _is_stale(self, step: int) -> bool:
        patience = self.settings.patience
        return patience is not None and step - self._met().improved_at >= patience

    def _step(self, value: Tensor) -> None:
        """Take a step in the problems where loss and gradient are finite."""
        gradients = self.leaves.gradients(value)
        norms = {
            name: torch.linalg.vector_norm(gradient.reshape(*value.shape, -1), dim=-1)
            for name, gradient in gradients.items()
        }
        parts = {"the loss": value.detach()}
        parts |= {f"the gradient of {name}": norm for name, norm in norms.items()}
        finite = torch.stack([part.isfinite() for part in parts.values()])
        good = finite.all(0)
        if not bool(good.all()):
            # Named in this order: where the loss is not finite, no gradient is to blame.
            self.culprit = next(
                n for n, ok in zip(parts, finite, strict=True) if not bool(ok.all())
            )
        self.failed = torch.where(good, 0, self.failed + 1)
        if bool(good.any()):
            self._move(gradients, norms, good)
        self.recorder.stepped(norms, good)

    def _move(self, gradients: dict[str, Tensor], norms: dict[str, Tensor], good: Tensor) -> None:
        total = torch.stack(list(norms.values())).square().sum(0).sqrt()
        clip = math.inf if self.settings.clip is None else self.settings.clip
        factor = torch.where(total > clip, clip / total, 1)
        before = {name: leaf.detach().clone() for name, leaf in self.leaves.leaves.items()}
        for name, leaf in self.leaves.leaves.items():
            gradient = gradients[name] * reshaped(factor, leaf)
            leaf.grad = torch.where(reshaped(good, leaf), gradient, 0)
        self.optimizer.step()
        with torch.no_grad():
            # Momentum moves without a gradient, too.
            for name, leaf in self.leaves.leaves.items():
                leaf.copy_(torch.where(reshaped(good, leaf), leaf, before[name]))

    def _keep_snapshot(self, step: int, *, last: bool) -> None:
        every, kept = self.settings.snapshot_every, self.recorder.snapshots
        if every is None or (not last and step % every) or (kept and kept[-1].step == step):
            return
        values = {name: leaf.detach().clone() for name, leaf in self.leaves.leaves.items()}
        kept.append(Snapshot(step, self.leaves.form(values)))
