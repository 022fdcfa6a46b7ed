"""Small comparisons for the tests of the evaluation: exact ones of points, and made-up ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

import taichisoft as ts
from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.candidates import FIXED, Choice, Learned
from meta.evaluation.comparison import Comparison, Result, collect
from meta.evaluation.measurements import Measurements
from meta.evaluation.protocol import Protocol
from meta.evaluation.statistics import Bootstrap
from meta.evaluation.tuning import Tuned
from meta.jobs.jobs import run_jobs
from tasks import Split, TaskFamily
from tests.meta.learning.problems import PointFamily

PROTOCOL = Protocol(
    problems=10,
    seeds=2,
    tuning_problems=4,
    steps=40,
    scales=(0.4, 1.0, 1.8),
    gammas=(0.05,),
    rates=(0.01, 1.0),
    measure_every=7,
    seed=0,
)
RESAMPLES = 200


def softness_file(folder: Path, scale: float, key: str = "learned") -> Learned:
    """Return a candidate with a spline of that scale."""
    path = folder / f"{key}.safetensors"
    ts.Softness(ts.MonotoneSpline(scale)).save(path)
    return Learned(key, key.capitalize(), path, 64, PointFamily().learning_rate)


def jobs(
    folder: Path,
    scales: dict[str, float],
    *,
    protocol: Protocol = PROTOCOL,
    family: TaskFamily | None = None,
    fixed: tuple[str, ...] = ("gaussian", "uniform"),
    splits: tuple[Split, ...] = (Split.HELD_OUT,),
) -> tuple[list[CandidateJob], list[CandidateJob]]:
    """Return jobs of learned softnesses with given scales, and of fixed ones, on points."""
    family = family or PointFamily()
    learned = [softness_file(folder, scale, key) for key, scale in scales.items()]
    kept = folder / "records"
    return (
        [CandidateJob(family, candidate, protocol, splits, kept) for candidate in learned],
        [CandidateJob(family, FIXED[key], protocol, (Split.HELD_OUT,), kept) for key in fixed],
    )


def points(folder: Path, scale: float = 1.0, **changes) -> Comparison:
    """Return the comparison of one learned softness on points; see `jobs`."""
    learned, fixed = jobs(folder, {"learned": scale}, **changes)
    run_jobs([*learned, *fixed])
    return collect(learned, fixed, resamples=RESAMPLES, seed=learned[0].protocol.seed)


def result(key: str, errors: torch.Tensor) -> Result:
    """Return a result with given errors (M, N), of which those below 1 are successes."""
    solved = errors < 1
    outcome = Measurements(
        torch.arange(len(errors)), errors, solved, solved.cummax(0).values, errors[1:], 1.5, {}
    )
    candidate = FIXED.get(key) or Learned(key, key.capitalize(), Path("none"), 64, 0.1)
    tuned = Tuned(Choice(0.25, 0.05, 0.1), (), ())
    bootstrap = Bootstrap.of(errors.shape[1], 0, resamples=RESAMPLES)
    return Result(candidate, Split.HELD_OUT, tuned, outcome, 2.0, bootstrap)


def comparison_of(*results: Result) -> Comparison:
    """Return a comparison of results, the fixed ones told by their keys."""
    protocol = replace(PROTOCOL, problems=results[0].errors.shape[1], seeds=1)
    learned = tuple(r for r in results if r.key not in FIXED)
    fixed = tuple(r for r in results if r.key in FIXED)
    return Comparison(PointFamily(), protocol, learned, fixed)


def made_up(solved: dict[str, int], count: int = 100) -> Comparison:
    """Return a comparison in which so many problems are solved, all with the same error."""
    index = torch.arange(count, dtype=torch.float64)
    return comparison_of(
        *(
            result(key, torch.where(index < number, 0.5, 1.5).double()[None])
            for key, number in solved.items()
        )
    )
