"""Conditioned numbers: usable wherever fixed ones are, they follow what is known of a scene.

Another scene wants another softness: what is right for faces of five pixels is too wide for faces of one.
Whoever runs an optimisation says before its first step what the scene is like:
``renderer.set_situation(ts.situation_of(mesh, camera, colors=False))``.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from taichisoft.base.checks import check_number, check_type
from taichisoft.softness.parameters import Number, Positive, Real
from taichisoft.softness.situation import FEATURES, Situation

Weights = Mapping[str, float] | Sequence[float]


class FollowsSituation(nn.Module):
    """What depends on the situation, that is on what is known of a scene.

    The situation is the state of a run and not of a softness: it starts as the reference, is copied with the
    module and is neither in its ``state_dict`` nor in a saved file.

    Attributes
    ----------
    situation : Situation
        The one that was set last.
    knows_situation : bool
        Whether one was ever set.
    """

    situation: Situation = Situation()
    knows_situation: bool = False

    def set_situation(self, situation: Situation) -> None:
        """Go to a situation."""
        self.situation = check_type(situation, "situation", Situation)
        self.knows_situation = True


class Conditioned(FollowsSituation, Number):
    """A number that follows the situation. A subclass says what the features are added to.

    Attributes
    ----------
    weights : Tensor, (5,)
        Of the features, float64; a parameter if the number is learned, else a buffer.
    low, high : float or None
        Bounds of the value.
    """

    weights: Tensor

    def __init__(
        self,
        value: float,
        weights: Weights | None = None,
        *,
        learn: bool = False,
        low: float | None = None,
        high: float | None = None,
    ):
        # That of the kind of number, which comes after this class among the bases of a subclass.
        super().__init__(value, learn=learn)  # type: ignore[call-arg]
        self.hold("weights", torch.tensor(_listed(weights), dtype=torch.float64), learn=learn)
        self.low = None if low is None else check_number(low, "low", above=self.lowest())
        self.high = None if high is None else check_number(high, "high", above=self.lowest())
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low must be less than high, got {self.low:g} and {self.high:g}")

    @staticmethod
    @abstractmethod
    def lowest() -> float:
        """Return what the bounds must be above."""

    def offset(self) -> Tensor:
        """Return the features times their weights, a float64 scalar tensor; 0 at the reference."""
        return self.weights @ self.situation.features().to(self.weights)

    def settings(self) -> dict[str, Any]:
        """Return the constructor arguments that make an equal number; the value is that at the reference."""
        return {
            "value": self.plain(),
            "weights": self.weights.tolist(),
            "learn": isinstance(self.weights, nn.Parameter),
            "low": self.low,
            "high": self.high,
        }

    def followed(self) -> list[str]:
        """Return the names of the features that have a weight."""
        weights = self.weights.tolist()
        return [name for name, weight in zip(FEATURES, weights, strict=True) if weight != 0]

    def extra_repr(self) -> str:
        """Return the arguments, and what is followed with which weights."""
        settings = self.settings()
        named = zip(FEATURES, settings["weights"], strict=True)
        weights = {name: round(weight, 4) for name, weight in named if weight != 0}
        found = f"{settings['value']:.4g}, weights={weights}, learn={settings['learn']}"
        bounds = ((name, settings[name]) for name in ("low", "high"))
        return found + "".join(f", {name}={value:g}" for name, value in bounds if value is not None)


class ConditionedPositive(Conditioned, Positive):
    """A positive number that follows the situation: ``value exp(weights . features)``.

    It is a `Positive`, and usable as one: as a length, ``ts.Pixels(ts.ConditionedPositive(0.5))``, also at an
    end or knot of an annealed one; as the p of a T-conorm; as a gamma. A weight of 1 for "edge_length" makes
    it proportional to the edge length. The features are those of `Situation.features`. Until `set_situation`
    is called they are those of the reference, all 0.

    Parameters
    ----------
    value : float
        The (initial) value at the reference, before the bounds; > 0.
    weights : mapping of str to float, or sequence of float, optional
        The (initial) weights, by name of the feature or all five in order. Default: zeros.
    learn : bool
        Whether the logarithm of the value, and the weights, are parameters.
    low, high : float, optional
        Bounds, > 0. Beyond one the value is that bound, and has no gradient: a guard for scenes unlike those
        that it was made for.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.
    """

    @staticmethod
    def lowest() -> float:
        """Return 0."""
        return 0.0

    def forward(self) -> Tensor:
        """Return the value in the current situation, a float64 scalar tensor."""
        # Held before it could overflow, where the gradient would be 0 times infinity.
        low, high = (None if end is None else math.log(end) for end in (self.low, self.high))
        return _held(self.log_value + self.offset(), low, high).exp()


class ConditionedReal(Conditioned, Real):
    """A real number that follows the situation: ``value + weights . features``.

    It is a `Real`, and usable as one: as the shift of a coverage.

    Parameters
    ----------
    value : float
        The (initial) value at the reference, before the bounds.
    weights : mapping of str to float, or sequence of float, optional
        As in `ConditionedPositive`.
    learn : bool
        Whether the value and the weights are parameters.
    low, high : float, optional
        Bounds. Beyond one the value is that bound, and has no gradient.

    Raises
    ------
    TypeError, ValueError
        Wrong type or range of an argument.
    """

    @staticmethod
    def lowest() -> float:
        """Return minus infinity."""
        return -math.inf

    def forward(self) -> Tensor:
        """Return the value in the current situation, a float64 scalar tensor."""
        return _held(self.value + self.offset(), self.low, self.high)


def _held(value: Tensor, low: float | None, high: float | None) -> Tensor:
    return value if low is None and high is None else value.clamp(low, high)


def _listed(weights: Weights | None) -> list[float]:
    """Return five weights in the order of the features."""
    if weights is None:
        return [0.0] * len(FEATURES)
    if isinstance(weights, Mapping):
        unknown = [str(name) for name in weights if name not in FEATURES]
        if unknown:
            raise ValueError(
                f"weights must be for {', '.join(FEATURES)}, got one for {', '.join(unknown)}"
            )
        return [check_number(weights.get(name, 0.0), f"the weight of {name}") for name in FEATURES]
    check_type(weights, "weights", (dict, list, tuple))
    if len(weights) != len(FEATURES):
        raise ValueError(f"weights must be five numbers, got {len(weights)}")
    return [
        check_number(weight, f"the weight of {name}")
        for name, weight in zip(FEATURES, weights, strict=True)
    ]
