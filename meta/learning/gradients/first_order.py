"""First order: the direct derivative of the soft loss where a trajectory ends."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from meta.learning.gradients.base import (
    MetaGradient,
    MetaGradientSettings,
    rollouts_of,
    trainable,
)
from meta.learning.gradients.estimate import Slope
from meta.learning.method import Method
from meta.learning.objective import Objective, Rollout


class FirstOrder(MetaGradient):
    """The derivative of the mean soft loss with respect to the softness, at fixed final unknowns.

    It costs one trajectory and one backward pass. It is biased: how the softness shapes the trajectory is not
    seen, nor is the error that counts. It rewards a soft picture that looks like the target once the unknowns
    are given, which mostly means a sharp one, even where a wider softness would have led the unknowns to a
    better place. The rate has no part in the loss at fixed unknowns: its derivative is 0, and it stays where
    it is. It is here for comparison with Wu et al., "Learning to Rasterize Differentiably" (EGSR 2024), whose
    published code does this.
    """

    def estimate(self, objective: Objective, method: Method, generator: torch.Generator) -> Slope:
        """Return the estimate; see `MetaGradient.estimate`. No random numbers are drawn."""
        rollouts = rollouts_of(objective, "a first-order gradient")
        outcome = objective.evaluate(method)
        totals = {name: torch.zeros_like(p) for name, p in trainable(method).items()}
        for rollout, trajectory in zip(rollouts, outcome.trajectories, strict=True):
            gradients = direct_gradient(rollout, method, trajectory.unknowns)
            for name, gradient in gradients.items():
                totals[name] += rollout.weight * gradient
        totals = {name: objective.group.sum(total) for name, total in totals.items()}
        return Slope(outcome, totals)


@dataclass(frozen=True)
class FirstOrderSettings(MetaGradientSettings):
    """The derivative of the soft loss where a trajectory ends; it has no options."""

    name: ClassVar[str] = "first-order"
    label: ClassVar[str] = "first order"

    def build(self, steps: int) -> FirstOrder:
        """Return the estimator."""
        return FirstOrder()


def direct_gradient(
    rollout: Rollout, method: Method, unknowns: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the derivative of the mean soft loss at fixed unknowns, by parameter name.

    An annealed scale is taken where a trajectory ends, a conditioned one for the rollout's situation. The
    derivative by the rate is 0.
    """
    work = copy.deepcopy(method)
    rollout.task.tell(work.renderer)
    work.renderer.set_progress(1.0)
    parameters = trainable(work)
    fixed = {name: value.detach() for name, value in unknowns.items()}
    with torch.enable_grad():
        loss = rollout.task.loss(fixed, work.renderer).mean()
        if not loss.requires_grad:
            return {name: torch.zeros_like(p) for name, p in parameters.items()}
        gradients = torch.autograd.grad(
            loss, list(parameters.values()), allow_unused=True, materialize_grads=True
        )
    return dict(zip(parameters, gradients, strict=True))
