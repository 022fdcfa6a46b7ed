"""Frank's p, learned: the number under which training problems of a family end nearest to their solutions."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

import taichisoft as ts
from meta.learning.gradients import AntitheticSettings
from meta.learning.inner import InnerSettings
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective
from meta.learning.outer import OuterOptimizer
from tasks.base import Split, TaskFamily

START = 100.0
# Seeds of problems to learn from: no others are drawn from near here.
FIRST_SEED = 5_000_000
# Two problems differ more than what a factor of two in p changes, so that p is moved by larger ones. One
# parameter has one direction: further pairs would be the same one.
ESTIMATOR = AntitheticSettings(sigma=1.5, pairs=1)
# Of the logarithm of p: 24 steps reach a factor of about 1,800.
LEARNING_RATE = 0.6


@dataclass(frozen=True)
class Learning:
    """How p is learned.

    Parameters
    ----------
    steps : int
        Outer steps.
    problems : int
        New training problems of each of them.
    """

    steps: int
    problems: int


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Parameters
    ----------
    p : list of float
        Before the first outer step and after every one.
    objectives : list of float
        What was to be lowered, in [0, 1]: the mean over both sides of p, of every outer step.
    slopes : list of float
        Its derivative by the logarithm of p as it was estimated, of every outer step.
    problems : int
        Of every outer step.
    seconds : float
        Time that learning took.
    """

    p: list[float]
    objectives: list[float]
    slopes: list[float]
    problems: int
    seconds: float


def learn(
    family: TaskFamily,
    coverage: ts.Coverage,
    occlusion: ts.Occlusion,
    inner_steps: int,
    learning: Learning,
    seed: int,
) -> Learned:
    """Learn Frank's p by the errors of problems that are being solved, at the family's learning rate."""
    p = ts.Positive(START, learn=True)
    method = Method(ts.SoftRasterizer(coverage, ts.Frank(p), occlusion))
    outer = OuterOptimizer(method, learning_rate=LEARNING_RATE, steps=learning.steps, clip=1.0)
    gradient = ESTIMATOR.build(inner_steps)
    generator = torch.Generator().manual_seed(seed)
    inner = InnerSettings(inner_steps, family.learning_rate)
    values, objectives, slopes = [float(p().detach())], [], []
    begin = time.perf_counter()
    for step in range(learning.steps):
        problems = FIRST_SEED + 10_000 * seed + step
        task = family.sample(problems, learning.problems, Split.TRAIN)
        objective = TrajectoryObjective((Rollout(task, inner, family.error_cap),))
        estimate = gradient.estimate(objective, method, generator)
        outer.step(estimate, step)
        values.append(float(p().detach()))
        objectives.append(estimate.outcome.value)
        slopes.append(float(sum(g.sum() for g in estimate.vectors.values())))
    return Learned(values, objectives, slopes, learning.problems, time.perf_counter() - begin)
