"""The tensors that a fit moves, and the best of them so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.base.checks import check_finite, check_tensor
from taichisoft.fitting.history import ParameterValues


@dataclass(frozen=True, eq=False)
class Parameters:
    """Leaf tensors by name.

    Parameters
    ----------
    leaves : dict of Tensor
        Those of a list are named ``parameters[0]`` and so on.
    is_mapping : bool
        Whether they were given by name.
    """

    leaves: dict[str, Tensor]
    is_mapping: bool

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor] | Sequence[Tensor]) -> Parameters:
        """Copy parameters.

        Raises
        ------
        TypeError, ValueError
            Neither a dict nor a sequence, empty, or not of finite floating-point tensors.
        """
        is_mapping = isinstance(parameters, Mapping)
        if isinstance(parameters, Mapping):
            values = {str(name): value for name, value in parameters.items()}
        elif isinstance(parameters, Sequence) and not isinstance(parameters, Tensor):
            values = {f"parameters[{index}]": value for index, value in enumerate(parameters)}
        else:
            raise TypeError(
                f"parameters must be a dict or a list of tensors, got {type(parameters).__name__}"
            )
        if not values:
            raise ValueError("parameters must hold at least one tensor, got none")
        for name, value in values.items():
            check_tensor(value, name)
            check_finite(value, name)
        return cls({n: v.detach().clone().requires_grad_() for n, v in values.items()}, is_mapping)

    @property
    def tensors(self) -> list[Tensor]:
        """The leaves, in order."""
        return list(self.leaves.values())

    def given(self) -> ParameterValues:
        """Return the leaves in the form that was given."""
        return self.form(self.leaves)

    def form(self, values: dict[str, Tensor]) -> ParameterValues:
        """Return values by name in the form that was given."""
        return dict(values) if self.is_mapping else list(values.values())

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        """Return the gradients of the sum of losses, zero for a leaf that it does not depend on.

        Raises
        ------
        ValueError
            It depends on no leaf.
        """
        gradients: Sequence[Tensor | None] = [None] * len(self.leaves)
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss.sum(), self.tensors, allow_unused=True)
        if all(gradient is None for gradient in gradients):
            raise ValueError(
                f"the loss must depend on {' or '.join(self.leaves)} through differentiable operations, "
                "and does not"
            )
        return {
            name: torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(self.leaves.items(), gradients, strict=True)
        }

    def check_problems(self, loss: Tensor) -> None:
        """Raise ValueError unless each leaf has the axis of losses (B,); a scalar asks for nothing."""
        for name, leaf in self.leaves.items():
            if leaf.shape[: loss.ndim] != loss.shape:
                raise ValueError(
                    f"{name} must have one row for each of the {len(loss)} losses, got shape "
                    f"{tuple(leaf.shape)}; take their mean if they are not independent problems"
                )


@dataclass(eq=False)
class Best:
    """The best values so far, of each problem its own.

    Parameters
    ----------
    loss : Tensor, () or (B,)
        Theirs.
    step : Tensor, () or (B,), int64
        When they were met.
    values : dict of Tensor
        Detached.
    reference : Tensor, () or (B,)
        The loss when it last improved by more than the tolerance.
    improved_at : int
        The last step at which any did.
    """

    loss: Tensor
    step: Tensor
    values: dict[str, Tensor]
    reference: Tensor
    improved_at: int = 0

    @classmethod
    def start(cls, loss: Tensor, leaves: Parameters) -> Best:
        """Return the best before anything was judged: infinite losses at the start."""
        worst = torch.full_like(loss.detach(), torch.inf)
        values = {name: leaf.detach().clone() for name, leaf in leaves.leaves.items()}
        return cls(worst, torch.zeros_like(worst, dtype=torch.int64), values, worst.clone())

    def update(self, step: int, judged: Tensor, leaves: Parameters, tolerance: float) -> None:
        """Take over what is better; a loss that is not finite is not."""
        judged = torch.where(judged.isfinite(), judged, torch.inf)
        better = judged < self.loss
        self.loss = torch.where(better, judged, self.loss)
        self.step = torch.where(better, step, self.step)
        for name, leaf in leaves.leaves.items():
            self.values[name] = torch.where(
                reshaped(better, leaf), leaf.detach(), self.values[name]
            )
        clearly = judged < self.reference - tolerance
        self.reference = torch.where(clearly, judged, self.reference)
        if bool(clearly.any()):
            self.improved_at = step


def reshaped(value: Tensor, leaf: Tensor) -> Tensor:
    """Return a value for each problem, () or (B,), with axes to go with a leaf."""
    return value.reshape((*value.shape, *(1,) * (leaf.ndim - value.ndim)))
