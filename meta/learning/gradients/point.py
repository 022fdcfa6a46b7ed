"""The trainable parameters of a method as a point that can be moved."""

from __future__ import annotations

import torch
from torch import Tensor

from meta.learning.gradients.base import trainable
from meta.learning.method import Method
from meta.learning.objective import frozen


class Point:
    """A copy of a method whose parameters are one vector.

    Parameters
    ----------
    method : Method
        Is copied; at least one of its parameters requires a gradient.

    Attributes
    ----------
    center : Tensor, (D,) float64
        Its trainable parameters, one after the other.
    """

    def __init__(self, method: Method):
        self._names = list(trainable(method))
        self._copy = frozen(method)
        self._parameters = [self._copy.get_parameter(name) for name in self._names]
        self.center = torch.cat([p.detach().reshape(-1).double() for p in self._parameters])

    def moved(self, to: Tensor) -> Method:
        """Return the copy with other parameters (D,); it holds until the next call."""
        with torch.no_grad():
            for parameter, part in zip(self._parameters, self._parts(to), strict=True):
                parameter.copy_(part)
        return self._copy

    def by_name(self, vector: Tensor) -> dict[str, Tensor]:
        """Return a vector (D,) as tensors like the parameters."""
        return {
            name: part.to(parameter)
            for name, part, parameter in zip(
                self._names, self._parts(vector), self._parameters, strict=True
            )
        }

    def _parts(self, vector: Tensor) -> list[Tensor]:
        parts = vector.split([p.numel() for p in self._parameters])
        return [part.reshape(p.shape) for part, p in zip(parts, self._parameters, strict=True)]
