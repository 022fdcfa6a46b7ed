"""`fit`: an optimisation loop that keeps the best, survives NaN, can be interrupted, and says what it did."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from taichisoft.annealing import FollowsProgress
from taichisoft.checks import check_integer, check_number, check_tensor, check_type
from taichisoft.fit_history import History, Parameters, Recorder, Snapshot
from taichisoft.fit_leaves import Best, Leaves, reshaped
from taichisoft.progress_bar import progress_bar
from taichisoft.rasterizer import SoftRasterizer

if TYPE_CHECKING:
    from torch.optim import Optimizer

Loss = Callable[[Parameters], Tensor]


@runtime_checkable
class Problem(Protocol):
    """A batch of P problems that brings its own start and loss."""

    def init(self) -> dict[str, Tensor]:
        """Return the start of every problem, (P, ...)."""

    def loss(self, unknowns: dict[str, Tensor], renderer: SoftRasterizer) -> Tensor:
        """Return the loss of each problem, (P,)."""


@dataclass(frozen=True, eq=False)
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

    parameters: Parameters
    loss: Tensor
    step: Tensor
    reason: str
    history: History


@dataclass(frozen=True)
class FitSettings:
    """How long to go on, and what to do about gradients; see `fit`."""

    steps: int
    patience: int | None
    tolerance: float
    clip: float | None
    bad_steps: int
    snapshot_every: int | None

    def __post_init__(self):
        check_integer(self.steps, "steps", minimum=0)
        check_integer(self.bad_steps, "bad_steps", minimum=1)
        for name in ("patience", "snapshot_every"):
            if getattr(self, name) is not None:
                check_integer(getattr(self, name), name, minimum=1)
        if check_number(self.tolerance, "tolerance") < 0:
            raise ValueError(f"tolerance must not be negative, got {self.tolerance}")
        if self.clip is not None:
            check_number(self.clip, "clip", above=0)


def fit(
    problem: Loss | Problem,
    parameters: Mapping[str, Tensor] | Sequence[Tensor] | None = None,
    steps: int = 100,
    *,
    learning_rate: float = 0.01,
    optimizer: Callable[[list[Tensor]], Optimizer] | None = None,
    renderer: SoftRasterizer | None = None,
    judge: Loss | None = None,
    patience: int | None = None,
    tolerance: float = 0.0,
    clip: float | None = None,
    bad_steps: int = 5,
    snapshot_every: int | None = None,
    progress: bool = True,
    on_step: Callable[[int, Parameters], None] | None = None,
) -> Fit:
    """Minimise a loss by gradient descent and return the best parameters that were met.

    Parameters
    ----------
    problem : callable or Problem
        Returns the loss of the parameters: a scalar, or (B,) losses of independent problems that are solved
        side by side; the first axis of every parameter is then B. Or an object with ``init()`` and
        ``loss(unknowns, renderer)``, as the tasks of this repository have.
    parameters : dict or sequence of Tensor
        The start, float32 or float64; the tensors themselves are not changed. The callable gets a dict or a
        list of their like. Not needed for a `Problem`.
    steps : int
        Number of steps.
    learning_rate : float
        Of Adam (Kingma and Ba, ICLR 2015), which is the default optimizer.
    optimizer : callable, optional
        Makes a `torch.optim.Optimizer` of the list of parameters, instead of Adam. Not one that evaluates the
        loss itself (LBFGS).
    renderer : SoftRasterizer, optional
        Told before each step how much is done, so that its annealed scales follow: 0 before the first step, 1
        before the last and afterwards. Passed to the loss of a `Problem`, which needs one.
    judge : callable, optional
        What the best parameters are chosen by, in place of the loss; less is better. Takes parameters, gives
        the shape of the loss, needs no gradient. By default the loss; with an annealed renderer the loss at
        progress 1 (one more forward pass a step), as losses of different softness do not compare.
    patience : int, optional
        Stop when nothing has improved by more than `tolerance` in so many steps, in any problem.
    tolerance : float
        See there; not negative.
    clip : float, optional
        Largest Euclidean norm of the gradient of all parameters together, of each problem; longer ones are
        shortened.
    bad_steps : int
        Stop after so many steps in a row whose loss or gradient is not finite. Such a step is not taken. A
        problem that fails so does not hold up the others; its parameters stay.
    snapshot_every : int, optional
        Keep the parameters every so many steps, at the start and at the end, for `History.animate`.
    progress : bool
        Show a progress bar, in terminals and notebooks (tqdm).
    on_step : callable, optional
        Called with the number of steps so far and the parameters before each step and after the last.

    Returns
    -------
    Fit
        Also after Ctrl-C, if anything was evaluated by then.

    Raises
    ------
    TypeError, ValueError
        A bad argument; a loss that is no scalar or (B,), or does not depend on the parameters.
    FloatingPointError
        No loss was finite. If only the last steps could not be taken, there is a RuntimeWarning.
    """
    settings = FitSettings(steps, patience, tolerance, clip, bad_steps, snapshot_every)
    check_type(progress, "progress", bool)
    if renderer is not None:
        check_type(renderer, "renderer", SoftRasterizer)
    if isinstance(problem, Problem):
        if renderer is None:
            raise ValueError(
                "renderer must be given for a problem with init() and loss(), got None"
            )
        parameters = problem.init() if parameters is None else parameters
        loss = _bound(problem, renderer)
    elif callable(problem):
        loss = problem
    else:
        raise TypeError(
            f"problem must be a callable, or have init() and loss(), got {type(problem).__name__}"
        )
    if parameters is None:
        raise ValueError("parameters must be given for a callable, got None")
    leaves = Leaves.of(parameters)
    run = _Run(settings, leaves, loss, renderer, judge, _made(optimizer, learning_rate, leaves))
    return run.finish(run.go(progress, on_step))


class _Run:
    """A fit in progress."""

    def __init__(self, settings, leaves: Leaves, loss: Loss, renderer, judge, optimizer):
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
        self.failed: Tensor | None = None
        self.culprit = ""

    def go(self, progress: bool, on_step) -> str:
        """Optimise; return why it ended."""
        steps = self.settings.steps
        with progress_bar(steps, progress) as bar:
            try:
                for step in range(steps + 1):
                    if on_step is not None:
                        on_step(step, self.leaves.given())
                    value = self._evaluate(step, last=step == steps)
                    self._keep_snapshot(step, last=False)
                    bar.advance(step, self.best.loss)
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
        if not bool(self.best.loss.isfinite().any()):
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
        best = self.best
        return Fit(
            self.leaves.form(best.values), best.loss, best.step, reason, self.recorder.history()
        )

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
        return patience is not None and step - self.best.improved_at >= patience

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


def _bound(problem: Problem, renderer: SoftRasterizer) -> Loss:
    return lambda parameters: problem.loss(parameters, renderer)


def _made(optimizer, learning_rate: float, leaves: Leaves) -> Optimizer:
    """Return the optimizer of the leaves."""
    if optimizer is None:
        rate = check_number(learning_rate, "learning_rate", above=0)
        return torch.optim.Adam(leaves.tensors, lr=rate)
    made = optimizer(leaves.tensors)
    check_type(made, "what optimizer returns", torch.optim.Optimizer)
    if isinstance(made, torch.optim.LBFGS):
        raise ValueError("optimizer must not be LBFGS, which evaluates the loss itself")
    return made
