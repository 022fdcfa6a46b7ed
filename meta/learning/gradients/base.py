"""The interface of meta-gradient estimators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from meta.config.settings import Settings
from meta.learning.gradients.estimate import Estimate
from meta.learning.method import Method
from meta.learning.objective import Objective, Rollout


class MetaGradient(ABC):
    """Estimates the gradient of an objective by the parameters of a method, or where to move them.

    Black-box estimators call ``objective.evaluate``; others look at ``objective.rollouts``, the problems and
    how they are solved, from which a trajectory can be rebuilt with a graph (see `Objective`). All random
    numbers come from the generator, and the method that is passed is not changed.

    Most estimators keep nothing from one outer step to the next. One that does says so through
    `objective_step`, `state_dict` and `load_state_dict`.
    """

    @abstractmethod
    def estimate(
        self, objective: Objective, method: Method, generator: torch.Generator
    ) -> Estimate:
        """Return an estimate at the current parameters.

        Parameters
        ----------
        objective : Objective
            What is to be lowered.
        method : Method
            Softness and rate; at least one of their parameters requires a gradient.
        generator : torch.Generator
            Source of random numbers, on the CPU.

        Raises
        ------
        ValueError
            The method has no trainable parameter, or the objective lacks what the estimator needs.
        """

    def objective_step(self, step: int) -> int:
        """Return the outer step, from 0, whose problems the estimate of an outer step is made with."""
        return step

    def state_dict(self) -> dict[str, Any]:
        """Return what later estimates depend on, tensors and plain values; empty if nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises
        ------
        ValueError
            It is not one of this estimator.
        """
        if state:
            raise ValueError(
                f"state of {type(self).__name__} must be empty, got {', '.join(sorted(state))}"
            )


@dataclass(frozen=True)
class MetaGradientSettings(Settings, ABC):
    """Settings of an estimator: options on the command line, which say how to make one.

    Attributes
    ----------
    label : str
        Its name in tables and figures.
    gives_slope : bool
        Whether it estimates a gradient, which can be compared with others.
    """

    label: ClassVar[str] = ""
    gives_slope: ClassVar[bool] = True

    @abstractmethod
    def build(self, steps: int) -> MetaGradient:
        """Return a new estimator for trajectories of so many inner steps."""


def trainable(method: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that require a gradient, by name.

    Raises
    ------
    ValueError
        There are none.
    """
    parameters = {n: p for n, p in method.named_parameters() if p.requires_grad}
    if not parameters:
        raise ValueError("method must have a parameter that requires a gradient, it has none")
    return parameters


def rollouts_of(objective: Objective, method: str) -> tuple[Rollout, ...]:
    """Return the rollouts of an objective, for a method that cannot do without.

    Raises
    ------
    ValueError
        There are none.
    """
    if not objective.rollouts:
        raise ValueError(f"objective must have rollouts for {method}, it has none")
    return objective.rollouts
