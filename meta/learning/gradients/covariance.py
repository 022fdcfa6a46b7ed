"""CMA-ES: a normal distribution of parameters that moves, and adapts its shape, by the ranks of values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from meta.config.settings import Index, PositiveFloat
from meta.learning.gradients.base import MetaGradient, MetaGradientSettings
from meta.learning.gradients.estimate import Move
from meta.learning.gradients.point import Point
from meta.learning.method import Method
from meta.learning.objective import Objective, mean_outcome
from taichisoft.base.checks import (
    check_finite,
    check_integer,
    check_number,
    check_tensor,
    check_type,
)

# Fewer have no second best, by which the covariance is adapted.
SMALLEST = 4
# What the package remembers from one generation to the next besides the mean: our names for its own.
KEPT = {
    **{"generation": "_g", "sigma": "_sigma", "covariance": "_C"},
    **{"step_path": "_p_sigma", "covariance_path": "_pc"},
}
# For the adaptation of its learning rates.
KEPT_FOR_RATES = {
    **{"mean_rate": "_eta_mean", "covariance_rate": "_eta_Sigma"},
    **{"mean_power": "_Vmean", "covariance_power": "_VSigma"},
    **{"mean_signal": "_Emean", "covariance_signal": "_ESigma"},
}


class CovarianceAdaptation(MetaGradient):
    """CMA-ES: a generation of candidates each outer step, of which the better half moves the mean.

    The parameters are the mean of a normal distribution. All candidates of a generation solve the same
    problems, and the next generation new ones. Their ranks are all that counts, so that a candidate
    whose value is not finite is the last of them and does no more harm. Step size and covariance follow from
    the steps so far; learning rate, schedule and clipping of the outer optimiser have no part.

    Parameters
    ----------
    sigma : float
        Standard deviation of each parameter in the first generation; see `Evolution`.
    population : int
        Number of candidates of a generation, at least 4; 0 is the usual ``4 + floor(3 ln D)`` for D
        parameters.
    adapt : bool
        Whether the learning rates of mean and covariance fall as far as the noise of the values demands.

    Raises
    ------
    ImportError
        The package cmaes is not installed.

    Notes
    -----
    Hansen, "The CMA evolution strategy: a tutorial" (arXiv 1604.00772); for `adapt` Nomura, Akimoto and Ono,
    "CMA-ES with learning rate adaptation" (GECCO 2023). Both by the package cmaes. With new problems each
    generation even a distribution that is at the optimum sees another best place every time; adapted
    rates average over these, at the cost of slower progress where parameters are many.

    The outcome is the mean over the generation, without candidates that are not finite: worse than at the
    mean of the distribution, the more the wider it is.
    """

    def __init__(self, sigma: float, population: int = 0, *, adapt: bool = False):
        self.sigma = check_number(sigma, "sigma", above=0)
        self.population = check_integer(population, "population", minimum=0)
        if 0 < population < SMALLEST:
            raise ValueError(f"population must be 0 or at least {SMALLEST}, got {population}")
        self.adapt = adapt
        self._cmaes = _package()
        self._state: dict[str, Any] = {}

    def estimate(self, objective: Objective, method: Method, generator: torch.Generator) -> Move:
        """Return the step of the mean; see `MetaGradient.estimate`.

        If no candidate has a finite value, the outcome has none either, and the distribution stays.
        """
        point = Point(method)
        center = point.center.cpu().numpy()
        optimizer = self._restored(center, int(torch.randint(2**32, (), generator=generator)))
        drawn = [optimizer.ask() for _ in range(optimizer.population_size)]
        outcomes = [
            objective.evaluate(point.moved(torch.from_numpy(x).to(point.center))) for x in drawn
        ]
        whole = [outcome for outcome in outcomes if math.isfinite(outcome.value)]
        if not whole:
            return Move(mean_outcome(outcomes), point.by_name(torch.zeros_like(point.center)))
        values = [o.value if math.isfinite(o.value) else math.inf for o in outcomes]
        optimizer.tell(list(zip(drawn, values, strict=True)))
        # Made anew from this each time, so that a run that goes on does as one that never stopped.
        self._state = {name: _plain(getattr(optimizer, own)) for name, own in self._names.items()}
        step = torch.from_numpy(optimizer.mean - center).to(point.center)
        return Move(mean_outcome(whole), point.by_name(step))

    def state_dict(self) -> dict[str, Any]:
        """Return the distribution but for its mean, which the parameters are; empty before the first step.

        Step size "sigma" and "generation", numbers; "covariance" (D, D), "step_path" and "covariance_path"
        (D,), float64; with `adapt` also those of the learning rates.
        """
        return dict(self._state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a generation; see `MetaGradient.load_state_dict`."""
        if state:
            self._check(state)
        self._state = dict(state)

    @property
    def _names(self) -> dict[str, str]:
        """What the package calls what is kept."""
        return KEPT | (KEPT_FOR_RATES if self.adapt else {})

    def _restored(self, mean: np.ndarray, seed: int) -> Any:
        """Return the optimiser of the package at a generation, with a seed for that one."""
        optimizer = self._cmaes.CMA(
            mean=mean,
            sigma=self.sigma,
            seed=seed,
            population_size=self.population or None,
            lr_adapt=self.adapt,
        )
        if self._state and len(self._state["covariance"]) != len(mean):
            raise ValueError(
                f"state must be of {len(mean)} parameters, as the method has, got one of "
                f"{len(self._state['covariance'])}"
            )
        for name, value in self._state.items():
            kept = value.numpy().copy() if isinstance(value, Tensor) else value
            setattr(optimizer, self._names[name], kept)
        return optimizer

    def _check(self, state: dict[str, Any]) -> None:
        if state.keys() != self._names.keys():
            raise ValueError(
                f"state must have {', '.join(self._names)}, got {', '.join(sorted(state))}"
            )
        size = len(check_type(state["step_path"], "state.step_path", Tensor))
        shapes = {
            **{"step_path": (size,), "covariance_path": (size,), "covariance": (size, size)},
            **{"mean_signal": (size, 1), "covariance_signal": (size * size, 1)},
        }
        for name, value in state.items():
            text = f"state.{name}"
            if name in shapes:
                check_finite(check_tensor(value, text, shapes[name], dtypes=(torch.float64,)), text)
            else:
                check_number(value, text, above=0)


@dataclass(frozen=True)
class CovarianceSettings(MetaGradientSettings):
    """CMA-ES."""

    name: ClassVar[str] = "cma"
    label: ClassVar[str] = "CMA-ES"
    gives_slope: ClassVar[bool] = False

    sigma: PositiveFloat = 0.3  # Standard deviation of each parameter in the first generation.
    population: Index = 0  # Candidates of a generation; 0: 4 + 3 ln D for D parameters.
    adapt: bool = False  # Whether learning rates fall with the noise of the values.

    def build(self, steps: int) -> CovarianceAdaptation:
        """Return the estimator."""
        return CovarianceAdaptation(self.sigma, self.population, adapt=self.adapt)


def _package() -> ModuleType:
    try:
        import cmaes
    except ImportError as error:
        raise ImportError(
            "CMA-ES needs cmaes, which is not installed: pip install 'taichisoft[train]'"
        ) from error
    return cmaes


def _plain(value: Any) -> Tensor | int | float:
    """Return an array or number of numpy as a tensor or a number of Python."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value if isinstance(value, int) else float(value)
