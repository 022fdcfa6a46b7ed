"""The authors' published pose protocol, on Spot: `python -m benchmarks.spot_pose --out results`.

Writes `spot_pose.json` and `spot_pose.md`. The JSON grows by every softness and seed, so a run that was
killed goes on where it was when the same command is given again, and more seeds or entries can be added
later.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import taichisoft as ts
from benchmarks.pose_entries import Choice, Entry, all_entries
from benchmarks.pose_record import Protocol, Record, Row
from benchmarks.pose_report import to_markdown
from meta.evaluation.tuning import split_rounds
from meta.learning.inner import InnerSettings, Trajectory
from meta.runs.folder import write_text_atomically
from meta.runs.versions import versions
from taichisoft.softness.pretrained import shipped
from tasks.base import Split, Task
from tasks.look_at_pose import SOLVED_DEGREES, LookAtPoseFamily

SPOT = Path(__file__).resolve().parents[1] / "../shared/data/spot.obj"
BETAS = (0.9, 0.99)


def choose(
    entry: Entry, rounds: Sequence[Task], settings: InnerSettings, cap: float
) -> tuple[Choice, dict[str, float]]:
    """Return the best choice of an entry, and the scores of all.

    By successive halving, as in `meta.evaluation.tuning.tune`: all choices solve the first round, the
    better half of them the next one as well. The score is success rate minus mean error in caps, at the
    last step.

    Parameters
    ----------
    entry : Entry
        The choices.
    rounds : sequence of Task
        Problems with seeds that are not judged.
    settings : InnerSettings
        Of the inner optimisation.
    cap : float
        An error that is as good as lost.
    """
    kept, scores, tried = list(entry.choices), {}, 0
    totals = dict.fromkeys((choice.text for choice in kept), 0.0)
    for task in rounds:
        tried += task.count
        for choice in kept:
            outcome, _ = _solve(entry, choice, task, settings, seed=0)
            last = outcome.errors[-1]
            lost = last.clamp(max=cap) / cap
            totals[choice.text] += float((task.success(last).float() - lost).sum())
            scores[choice.text] = totals[choice.text] / tried
        kept = sorted(kept, key=lambda choice: -scores[choice.text])[: (len(kept) + 1) // 2]
    return kept[0], scores


def run(
    entries: Sequence[Entry],
    family: LookAtPoseFamily,
    protocol: Protocol,
    seeds: int,
    record: Record,
) -> list[Row]:
    """Run every entry with every seed, but for what the record has already.

    Parameters
    ----------
    entries : sequence of Entry
        What takes part.
    family : LookAtPoseFamily
        Source of the problems.
    protocol : Protocol
        Numbers of steps and poses.
    seeds : int
        The seeds are 0 to ``seeds - 1``.
    record : Record
        Where results are kept.
    """
    settings = InnerSettings(protocol.steps, family.learning_rate, BETAS)
    sizes = split_rounds(protocol.tuning_poses)
    rounds = [family.sample(i, size, Split.TRAIN) for i, size in enumerate(sizes)]
    for entry in entries:
        if record.chosen(entry) is None:
            contested = len(entry.choices) > 1
            choice, scores = choose(entry, rounds if contested else [], settings, family.error_cap)
            record.add_choice(entry, choice.text, scores)
        choice = next(c for c in entry.choices if c.text == record.chosen(entry))
        for seed in range(seeds):
            if not record.has(entry, seed, choice.text):
                task = family.sample(seed, protocol.poses, Split.HELD_OUT)
                outcome, seconds = _solve(entry, choice, task, settings, seed)
                record.add(entry, seed, choice.text, outcome, seconds)
                rate = float(task.success(outcome.errors[-1]).float().mean())
                print(
                    f"{entry.key} ({choice.text}), seed {seed}: {rate:.1%}, {seconds:.1f} s",
                    flush=True,
                )
    return [row for entry in entries if (row := record.row(entry, SOLVED_DEGREES)) is not None]


def _solve(
    entry: Entry, choice: Choice, task: Task, settings: InnerSettings, seed: int
) -> tuple[Trajectory, float]:
    """Return what happened, and the seconds that it took."""
    begin = time.perf_counter()
    outcome = entry.solver(task, choice.make(seed), settings)
    return outcome, time.perf_counter() - begin


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
    entries = all_entries(options.weights)
    unknown = sorted(set(options.entries or ()) - set(entries))
    if unknown:
        parser.error(f"--entries must be among {', '.join(entries)}; got {', '.join(unknown)}")
    if not options.mesh.is_file():
        return _failed(f"there is no mesh at {options.mesh}; name one by --mesh")
    try:
        family = LookAtPoseFamily(
            ts.load_mesh(options.mesh),
            (options.image_size, options.image_size),
            fit_fov=not options.frozen_fov,
        )
        protocol = Protocol(
            options.steps,
            options.poses,
            options.tuning_poses,
            options.image_size,
            family.fit_fov,
            _digest(family.mesh),
        )
        options.out.mkdir(parents=True, exist_ok=True)
        record = Record(options.out / "spot_pose.json", protocol)
    except ValueError as error:
        return _failed(str(error))
    wanted = [entries[key] for key in options.entries or entries]
    rows = run(wanted, family, protocol, options.seeds, record)
    command = "python -m benchmarks.spot_pose " + " ".join(arguments or sys.argv[1:])
    about = _about(command.strip(), options.mesh)
    record.finish(rows, about)
    text = to_markdown(rows, protocol, about)
    write_text_atomically(options.out / "spot_pose.md", text)
    print(text)
    return 0


def _about(command: str, mesh: Path) -> dict[str, object]:
    return {
        "command": command,
        "mesh": mesh.name,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "backend": ts.backend(),
        **versions(),
    }


def _digest(mesh: ts.Mesh) -> str:
    content = mesh.vertices.numpy().tobytes() + mesh.faces.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()[:12]


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
