"""`fit`: an optimisation loop that keeps the best, survives NaN, can be interrupted, and says what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from taichisoft.base.checks import check_number, check_type
from taichisoft.fitting.parameters import Parameters
from taichisoft.fitting.run import Fit, FitSettings, Loss, OnStep, Run
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.situation import Situation

if TYPE_CHECKING:
    from torch.optim import Optimizer


@runtime_checkable
class Problem(Protocol):
    """A batch of P problems that brings its own start and loss."""

    def init(self) -> dict[str, Tensor]:
        """Return the start of every problem, (P, ...)."""

    def loss(self, unknowns: dict[str, Tensor], renderer: SoftRasterizer) -> Tensor:
        """Return the loss of each problem, (P,)."""


@runtime_checkable
class SituatedProblem(Problem, Protocol):
    """A batch of problems that also says what is known of its scenes before the first step."""

    def situation(self) -> Situation:
        """Return it, for a softness that follows it."""


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
    on_step: OnStep | None = None,
) -> Fit:
    """Minimise a loss by gradient descent and return the best parameters that were met.

    Parameters
    ----------
    problem : callable or Problem
        Returns the loss of the parameters: a scalar, or (B,) losses of independent problems that are solved
        side by side; the first axis of every parameter is then B. Or an object with ``init()`` and
        ``loss(unknowns, renderer)``, as the tasks of this repository have. If it has ``situation()`` too, as
        these do, a renderer that follows the situation is told it before the first step.
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
        before the last and afterwards. Passed to the loss of a `Problem`, which needs one. With a callable
        and a softness that follows the situation, call ``renderer.set_situation`` first.
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
        Called with the number of steps so far and the parameters, which it must not change, before each step
        and after the last.

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
        if isinstance(problem, SituatedProblem) and renderer.softness.is_conditioned:
            renderer.set_situation(problem.situation())
    elif callable(problem):
        loss = problem
    else:
        raise TypeError(
            f"problem must be a callable, or have init() and loss(), got {type(problem).__name__}"
        )
    if parameters is None:
        raise ValueError("parameters must be given for a callable, got None")
    leaves = Parameters.of(parameters)
    run = Run(settings, leaves, loss, renderer, judge, _made(optimizer, learning_rate, leaves))
    return run.finish(run.go(progress, on_step))


def _bound(problem: Problem, renderer: SoftRasterizer) -> Loss:
    return lambda parameters: problem.loss(parameters, renderer)


def _made(
    optimizer: Callable[[list[Tensor]], Optimizer] | None, learning_rate: float, leaves: Parameters
) -> Optimizer:
    """Return the optimizer of the leaves."""
    if optimizer is None:
        rate = check_number(learning_rate, "learning_rate", above=0)
        return torch.optim.Adam(leaves.tensors, lr=rate)
    made = optimizer(leaves.tensors)
    check_type(made, "what optimizer returns", torch.optim.Optimizer)
    if isinstance(made, torch.optim.LBFGS):
        raise ValueError("optimizer must not be LBFGS, which evaluates the loss itself")
    return made
