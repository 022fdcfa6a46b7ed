"""Evolution strategies: the meta-gradient from forward trajectories alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from meta.gradients.base import Estimate, MetaGradient, trainable
from meta.objective import Objective, Outcome, frozen, mean_outcome
from taichisoft import SoftRasterizer
from taichisoft.checks import check_integer, check_number


class EvolutionStrategies(MetaGradient):
    """The gradient of the objective smoothed over a sphere of parameters, by antithetic pairs.

    ``g = sum_i (f(p + sigma e_i) - f(p - sigma e_i)) e_i / (2 n sigma)`` over n pairs. Both signs and
    all pairs are evaluated on the same problems. Only values of the objective are used, so any backend will
    do, and objectives without a derivative (hard images) as well.

    Parameters
    ----------
    sigma : float
        Size of the perturbation of each parameter, root mean square. It is the same absolute size for all
        of them; the weights of a softness are of order 1, and scales are kept as logarithms, so that it is
        a relative change of a scale.
    pairs : int
        Number n of pairs, at least 1; an estimate takes 2 n evaluations.

    Notes
    -----
    After Salimans et al., "Evolution strategies as a scalable alternative to reinforcement learning"
    (2017), with directions that are orthogonal to each other as in Choromanski et al., "Structured
    evolution with compact architectures for scalable policy optimization" (ICML 2018): n pairs then explore
    n dimensions, and with as many pairs as parameters the estimate of a linear objective is exact.

    The outcome is the mean over all evaluations, that is of the smoothed objective; an evaluation at the
    parameters themselves would add to the cost and not to the gradient.
    """

    def __init__(self, sigma: float, pairs: int):
        self.sigma = check_number(sigma, "sigma", above=0)
        self.pairs = check_integer(pairs, "pairs", minimum=1)

    @torch.no_grad()
    def estimate(
        self, objective: Objective, renderer: SoftRasterizer, generator: torch.Generator
    ) -> Estimate:
        """Return the estimate; see `MetaGradient.estimate`."""
        names = list(trainable(renderer))
        work = frozen(renderer)
        parameters = [work.get_parameter(name) for name in names]
        center = torch.cat([p.reshape(-1).double() for p in parameters])
        total, outcomes = torch.zeros_like(center), []
        for direction in directions(self.pairs, len(center), generator).to(center.device):
            pair: list[Outcome] = []
            for sign in (1, -1):
                _assign(parameters, center + sign * self.sigma * direction)
                # Trajectories switch gradients on again, for the unknowns.
                pair.append(objective.evaluate(work))
            total += (pair[0].value - pair[1].value) * direction
            outcomes += pair
        gradient = total / (2 * self.pairs * self.sigma)
        parts = gradient.split([p.numel() for p in parameters])
        gradients = {
            name: part.reshape(p.shape).to(p.dtype)
            for name, part, p in zip(names, parts, parameters, strict=True)
        }
        return Estimate(mean_outcome(outcomes), gradients)


def directions(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Return random directions of length ``sqrt(size)``, (count, size) float64.

    Each set of up to `size` successive ones is orthogonal, uniformly rotated, so that the mean of their outer
    products is the identity in expectation.
    """
    blocks = []
    for start in range(0, count, size):
        kept = min(size, count - start)
        normal = torch.randn(size, size, generator=generator, dtype=torch.float64)
        rotation, triangle = torch.linalg.qr(normal)
        # Without these signs the rotations would not be uniform (Mezzadri 2007).
        rotation = rotation * torch.sign(torch.diagonal(triangle))
        blocks.append(math.sqrt(size) * rotation.mT[:kept])
    return torch.cat(blocks)


def _assign(parameters: list[Tensor], flat: Tensor) -> None:
    parts = flat.split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.copy_(part.reshape(parameter.shape))
