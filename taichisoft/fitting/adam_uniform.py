"""`AdamUniform`: Adam with one step size for all entries of a parameter, for `LargeSteps`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from taichisoft.base.checks import check_number, check_type


class AdamUniform(Optimizer):
    """Adam, but the step is divided by the largest second moment of a parameter, not by that of each entry.

    Adam makes steps of all entries equally long, and so takes the smoothness out of a gradient that
    `LargeSteps` put in. After Nicolet, Jacobson and Jakob, "Large Steps in Inverse Rendering of Geometry"
    (SIGGRAPH Asia 2021), and Kingma and Ba, "Adam" (ICLR 2015).

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        As for any `torch.optim.Optimizer`.
    lr : float
        The length of a step of the entry whose gradients are largest; positive.
    betas : (float, float)
        Decay of the first and of the second moment in a step, from 0 up to, but without, 1.
    eps : float
        Added to the largest root, not negative, so that a gradient of 0 takes no step.
    batched : bool
        Whether the first axis of every parameter counts problems, as in `fit` with losses (B,). Each then has
        a step size of its own.

    Raises
    ------
    TypeError, ValueError
        A bad argument.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-12,
        batched: bool = False,
    ) -> None:
        check_number(lr, "lr", above=0)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"betas must be a pair of numbers, got {betas!r}")
        for index, beta in enumerate(betas):
            if not 0 <= check_number(beta, f"betas[{index}]") < 1:
                raise ValueError(f"betas[{index}] must be at least 0 and less than 1, got {beta}")
        if check_number(eps, "eps") < 0:
            raise ValueError(f"eps must not be negative, got {eps}")
        check_type(batched, "batched", bool)
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "batched": batched})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; returns what the closure, if there is one, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.numel():
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["first"] = torch.zeros_like(parameter)
            state["second"] = torch.zeros_like(parameter)
        state["step"] += 1
        weights = [1 - beta for beta in group["betas"]]
        state["first"].lerp_(gradient, weights[0])
        state["second"].lerp_(gradient.square(), weights[1])
        first, second = (
            state[name] / (1 - beta ** state["step"])
            for name, beta in zip(("first", "second"), group["betas"], strict=True)
        )
        axes = tuple(range(int(group["batched"]), parameter.ndim))
        largest = second.amax(axes, keepdim=True) if axes else second
        size = largest.sqrt() + group["eps"]
        # Without any gradient so far there is nothing to divide.
        parameter.sub_(group["lr"] * first / torch.where(size > 0, size, 1))
