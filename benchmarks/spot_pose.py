"""The authors' published pose protocol, on Spot: `python -m benchmarks.spot_pose --out results`.

Writes `spot_pose.json` and `spot_pose.md`. What is finished is kept in records beside them, a file for every
softness and seed, so a run that was killed goes on where it was when the same command is given again, and
more seeds or entries can be added later.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

import taichisoft as ts
from benchmarks.pose_candidates import PoseCandidate, all_candidates
from benchmarks.pose_report import to_markdown
from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.family_jobs import RECORDS
from meta.evaluation.measurements import Measurements
from meta.evaluation.protocol import Protocol
from meta.evaluation.statistics import Bootstrap
from meta.evaluation.tuning import Tuned, split_rounds
from meta.jobs.jobs import run_jobs
from meta.runs.folder import write_json_atomically, write_text_atomically
from meta.runs.versions import versions
from taichisoft.softness.pretrained import shipped
from tasks.base import Split, Task, TaskFamily
from tasks.look_at_pose import SOLVED_DEGREES, LookAtPoseFamily

SPOT = Path(__file__).resolve().parents[1] / "../shared/data/spot.obj"


@dataclass(frozen=True)
class PoseProtocol(Protocol):
    """A protocol whose poses have the seeds of the published results: 0, 1, 2 and so on."""

    def tuning_tasks(self, family: TaskFamily) -> list[Task]:
        """Return the poses on which settings are chosen, a task for each round."""
        sizes = split_rounds(self.tuning_problems)
        return [family.sample(i, size, Split.TRAIN) for i, size in enumerate(sizes)]

    def evaluation_tasks(self, family: TaskFamily, split: Split) -> list[Task]:
        """Return the poses of the one seed."""
        return [family.sample(self.seed, self.problems, split)]


def evaluate(tuning: CandidateJob, seeds: int) -> tuple[Tuned, list[Measurements]]:
    """Return what a job without splits chooses, and the results of each seed, with it.

    Of as many seeds as were asked for, and of more if they are there.
    """
    run_jobs([tuning])
    tuned, outcomes = tuning.load().tuned, []
    for seed in count():
        candidate = tuning.candidate.on_seed(tuned.choice, seed)
        protocol = replace(tuning.protocol, seed=seed)
        job = replace(tuning, candidate=candidate, protocol=protocol, splits=(Split.HELD_OUT,))
        if seed >= seeds and not job.done():
            return tuned, outcomes
        run_jobs([job])
        outcome = job.load().outcomes[Split.HELD_OUT]
        rate = float(outcome.solved[-1].double().mean())
        name = f"{tuning.candidate.key} ({tuned.choice.text}), seed {seed}"
        print(f"{name}: {rate:.1%}, {outcome.seconds:.1f} s", flush=True)
        outcomes.append(outcome)


def run_json(text: str, outcome: Measurements) -> dict[str, Any]:
    """Return what one seed led to; losses are sums over its poses, None if not finite."""
    sums = outcome.losses.double().sum(1)
    losses = {"loss_first": sums[0], "loss_last": sums[-1], "loss_least": sums.min()}
    return {
        "choice": text,
        "errors_last": outcome.errors[-1].tolist(),
        "errors_best": outcome.errors_best[-1].tolist(),
        **{name: float(loss) if math.isfinite(loss) else None for name, loss in losses.items()},
        "loss_least_step": int(sums.argmin()),
        "seconds": outcome.seconds,
    }


def row_json(candidate: PoseCandidate, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what a candidate did over all seeds: shares of poses, median error, means over the seeds."""
    last, best = (
        torch.tensor([error for run in runs for error in run[name]], dtype=torch.float64)
        for name in ("errors_last", "errors_best")
    )
    means = {}
    for name in ("loss_first", "loss_last", "seconds"):
        values = [run[name] for run in runs]
        means[name] = None if None in values else fmean(values)
    bootstrap = Bootstrap.of(len(last), seed=0)
    return {
        "key": candidate.key,
        "label": candidate.label,
        "choice": runs[0]["choice"],
        "poses": len(last),
        "success_last": asdict(bootstrap.rate(last < SOLVED_DEGREES)),
        "success_best": asdict(bootstrap.rate(best < SOLVED_DEGREES)),
        "median_error": asdict(bootstrap.median(last)),
        **means,
    }


def read_results(path: Path, protocol: dict[str, Any]) -> dict[str, Any]:
    """Return the results of a file, empty ones if there is none; ValueError if they are of something else."""
    if not path.is_file():
        return {"protocol": protocol, "choices": {}, "runs": {}}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(results[name], dict) for name in ("protocol", "choices", "runs")):
            raise TypeError("protocol, choices and runs must be objects")
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no results of this protocol: {error!r}") from error
    there = results["protocol"]
    different = {name: value for name, value in protocol.items() if there.get(name) != value}
    if different:
        raise ValueError(
            f"{path} holds results of another protocol (there "
            f"{ {name: there.get(name) for name in different} }, now {different}): choose another folder, or "
            "remove the file"
        )
    return results


def add_results(
    results: dict[str, Any], jobs: Iterable[CandidateJob], seeds: int
) -> list[dict[str, Any]]:
    """Run jobs that choose settings, add choices and runs to results, and return the rows."""
    rows = []
    for job in jobs:
        candidate, (tuned, outcomes) = job.candidate, evaluate(job, seeds)
        text, tried = tuned.choice.text, list(candidate.makers)
        scores = dict(zip(tried, tuned.scores, strict=False))
        results["choices"][candidate.key] = {"text": text, "tried": tried, "scores": scores}
        runs = [run_json(text, outcome) for outcome in outcomes]
        results["runs"][candidate.key] = {str(seed): run for seed, run in enumerate(runs)}
        rows.append(row_json(candidate, runs))
    return rows


def with_rows(
    there: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], order: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the rows of a file with new ones in the places of those with the same keys."""
    found = {row["key"]: row for row in (*there, *rows)}
    return sorted(found.values(), key=lambda row: order.index(row["key"]))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the results")
    parser.add_argument("--mesh", type=Path, default=SPOT, help="mesh file (default: Spot, shared)")
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path(str(shipped())),
        help="folder of softness files (default: those of the package)",
    )
    parser.add_argument("--entries", nargs="+", metavar="KEY", help="which entries (default: all)")
    parser.add_argument("--seeds", type=_positive, default=5)
    parser.add_argument("--poses", type=_positive, default=24, help="poses per seed")
    parser.add_argument("--tuning-poses", type=_positive, default=48)
    parser.add_argument("--steps", type=_positive, default=300)
    parser.add_argument("--image-size", type=_positive, default=64)
    parser.add_argument(
        "--frozen-fov",
        action="store_true",
        help="leave the field of view where it starts, as the authors' program does",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the protocol and write JSON and Markdown; return the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    candidates = all_candidates(options.weights)
    unknown = sorted(set(options.entries or ()) - set(candidates))
    if unknown:
        parser.error(f"--entries must be among {', '.join(candidates)}; got {', '.join(unknown)}")
    if not options.mesh.is_file():
        return _failed(f"there is no mesh at {options.mesh}; name one by --mesh")
    path = options.out / "spot_pose.json"
    try:
        size = (options.image_size, options.image_size)
        mesh = ts.load_mesh(options.mesh, materials=False)
        family = LookAtPoseFamily(mesh, size, fit_fov=not options.frozen_fov)
        results = read_results(path, _protocol_json(options, family))
    except ValueError as error:
        return _failed(str(error))
    # Candidates bring their scales; Adam's rate is that of the family, and every error is measured.
    protocol = PoseProtocol(
        problems=options.poses,
        seeds=1,
        tuning_problems=options.tuning_poses,
        steps=options.steps,
        scales=(),
        gammas=(),
        rates=(1.0,),
        measure_every=1,
        seed=0,
    )
    jobs = (
        CandidateJob(family, candidates[key], protocol, (), options.out / RECORDS)
        for key in options.entries or candidates
    )
    rows = add_results(results, jobs, options.seeds)
    command = "python -m benchmarks.spot_pose " + " ".join(arguments or sys.argv[1:])
    results["about"] = {
        "command": command.strip(),
        "mesh": options.mesh.name,
        "threads": torch.get_num_threads(),
        "backend": ts.backend(),
        **versions(),
    }
    results["rows"] = with_rows(results.get("rows", ()), rows, list(candidates))
    text = to_markdown(results)
    write_json_atomically(path, results)
    write_text_atomically(path.with_suffix(".md"), text)
    print(text)
    return 0


def _protocol_json(options: argparse.Namespace, family: LookAtPoseFamily) -> dict[str, Any]:
    content = family.mesh.vertices.numpy().tobytes() + family.mesh.faces.numpy().tobytes()
    names = ("steps", "poses", "tuning_poses", "image_size")
    return {
        **{name: getattr(options, name) for name in names},
        "fit_fov": family.fit_fov,
        "mesh": hashlib.sha256(content).hexdigest()[:12],
    }


def _failed(message: str) -> int:
    print(f"benchmarks.spot_pose: {message}", file=sys.stderr)
    return 1


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
