"""Estimates: what an outer step should do, a slope to go down or a move of the parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from meta.learning.objective import Outcome

Tensors = Mapping[str, Tensor]
Descend = Callable[[Tensors], None]


@dataclass(frozen=True, eq=False)
class Estimate(ABC):
    """An estimate of an objective, and of where to go.

    Parameters
    ----------
    outcome : Outcome
        The objective and what comes with it.
    """

    outcome: Outcome

    @property
    @abstractmethod
    def vectors(self) -> Tensors:
        """What is estimated for each trainable parameter of the method, by name, a tensor like it."""

    @abstractmethod
    def apply(self, parameters: Tensors, descend: Descend) -> None:
        """Move parameters as the estimate says.

        Parameters
        ----------
        parameters : mapping of str to Tensor
            Those of `vectors`; they are changed in place.
        descend : callable
            Takes a step of the outer optimiser down the gradients that it is given.
        """

    def norm(self) -> float:
        """Return the Euclidean norm of all vectors together."""
        return float(torch.cat([vector.reshape(-1) for vector in self.vectors.values()]).norm())

    def is_finite(self) -> bool:
        """Return whether the value and every vector are finite."""
        values = [torch.tensor(self.outcome.value), *self.vectors.values()]
        return all(bool(torch.isfinite(v).all()) for v in values)


@dataclass(frozen=True, eq=False)
class Slope(Estimate):
    """A gradient; how far to go is left to the outer optimiser.

    Parameters
    ----------
    outcome : Outcome
        See `Estimate`.
    gradients : dict of Tensor
        For each trainable parameter of the method, by name, a tensor like it.
    """

    gradients: dict[str, Tensor]

    @property
    def vectors(self) -> Tensors:
        """The gradients."""
        return self.gradients

    def apply(self, parameters: Tensors, descend: Descend) -> None:
        """Go down the gradients."""
        descend(self.gradients)


@dataclass(frozen=True, eq=False)
class Move(Estimate):
    """A step, as it is: neither scaled nor clipped.

    Parameters
    ----------
    outcome : Outcome
        See `Estimate`.
    steps : dict of Tensor
        What is added to each trainable parameter of the method, by name, a tensor like it.
    """

    steps: dict[str, Tensor]

    @property
    def vectors(self) -> Tensors:
        """The steps."""
        return self.steps

    def apply(self, parameters: Tensors, descend: Descend) -> None:
        """Take the step."""
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.add_(self.steps[name])
