"""The outer optimisation: steps of the parameters of a method, by Adam or as estimated, guarded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from meta.learning.gradients import Estimate, trainable
from meta.learning.method import Method
from taichisoft.base.checks import (
    check_finite,
    check_integer,
    check_number,
    check_tensor,
    check_type,
)


class OuterOptimizer:
    """Adam with a learning rate that falls to zero, gradient clipping and a guard against bad estimates.

    An estimate that knows itself how far to go (`Move`) is guarded alone.

    Parameters
    ----------
    method : Method
        Its trainable parameters are optimised in place.
    learning_rate : float
        Rate of the first step; it falls along half a cosine.
    steps : int
        Number of steps over which it falls.
    clip : float
        Largest Euclidean norm of the gradient; a longer one is scaled down to it.

    Attributes
    ----------
    skipped, clipped : int
        Numbers of steps so far that were left out, or whose gradient was scaled down.
    """

    def __init__(self, method: Method, *, learning_rate: float, steps: int, clip: float):
        self.learning_rate = check_number(learning_rate, "learning_rate", above=0)
        self.steps = check_integer(steps, "steps", minimum=1)
        self.clip = check_number(clip, "clip", above=0)
        self.parameters = trainable(method)
        self.adam = torch.optim.Adam(self.parameters.values(), lr=learning_rate, betas=(0.9, 0.99))
        self.skipped = 0
        self.clipped = 0

    def step(self, estimate: Estimate, index: int) -> None:
        """Take one step, or count it as skipped if the estimate is not finite.

        Parameters
        ----------
        estimate : Estimate
            Of the trainable parameters, by name.
        index : int
            How many steps were taken before; it sets the learning rate.
        """
        if not estimate.is_finite():
            self.skipped += 1
            return
        norm = estimate.norm()
        estimate.apply(self.parameters, lambda gradients: self._descend(gradients, norm, index))

    def _descend(self, gradients: Mapping[str, Tensor], norm: float, index: int) -> None:
        factor = self._factor(norm)
        for name, parameter in self.parameters.items():
            parameter.grad = factor * gradients[name]
        for group in self.adam.param_groups:
            group["lr"] = self.rate(index)
        self.adam.step()
        self.adam.zero_grad()

    def rate(self, index: int) -> float:
        """Return the learning rate of the step after `index` steps."""
        return self.learning_rate * (1 + math.cos(math.pi * min(index / self.steps, 1.0))) / 2

    def _factor(self, norm: float) -> float:
        """Return what a gradient is multiplied with, and count it if that is not 1."""
        if norm <= self.clip:
            return 1.0
        self.clipped += 1
        return self.clip / norm

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs: tensors and numbers."""
        counts = {"skipped": self.skipped, "clipped": self.clipped}
        return {"adam": self.adam.state_dict(), **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state.

        Raises
        ------
        TypeError, ValueError
            Something in it is missing, of a wrong kind or shape, or not finite; the message says what.
        """
        check_type(state, "outer", dict)
        for name in ("adam", "skipped", "clipped"):
            if name not in state:
                raise ValueError(
                    f"outer must have {name!r}, got {', '.join(map(str, state)) or 'nothing'}"
                )
        moments = check_type(state["adam"], "outer.adam", dict).get("state")
        self._check_moments(check_type(moments, "outer.adam.state", dict))
        # The rest of its state are settings, which are those of this optimiser.
        self.adam.load_state_dict({**self.adam.state_dict(), "state": moments})
        self.skipped = check_integer(state["skipped"], "outer.skipped", minimum=0)
        self.clipped = check_integer(state["clipped"], "outer.clipped", minimum=0)

    def _check_moments(self, moments: dict[int, Any]) -> None:
        """Check Adam's moments, which it would take whatever they are, and fail with in the next step."""
        parameters = dict(enumerate(self.parameters.values()))
        if moments and moments.keys() != parameters.keys():
            raise ValueError(
                f"outer.adam.state must be of {len(parameters)} parameters, got those of "
                f"{', '.join(map(str, moments))}"
            )
        for index, found in moments.items():
            name, shape = f"outer.adam.state[{index}]", tuple(parameters[index].shape)
            check_type(found, name, dict)
            for key, expected in (("step", ()), ("exp_avg", shape), ("exp_avg_sq", shape)):
                value = check_tensor(found.get(key), f"{name}.{key}", expected)
                check_finite(value, f"{name}.{key}")
