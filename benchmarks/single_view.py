"""A network that learns shapes from pictures, through several renderers: `python -m benchmarks.single_view`.

Writes `single_view.json` and `single_view.md`, with `--unknown-poses` those of `single_view_poses`. Each
training has a folder in records beside them, so the same command goes on where it was stopped, and more
renderers or seeds can be added later. What a training depends on is in the name of its folder: with another
softness, or other code, it is done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import taichisoft as ts
from benchmarks.about import about, headline, write_results
from meta.evaluation.candidate_job import CODE, DRAWS
from meta.evaluation.family_jobs import RECORDS
from meta.jobs.code import code_digest
from meta.jobs.records import digest
from meta.report.markdown import markdown_table
from taichisoft.base.checks import check_integer
from tasks import single_view
from tasks.single_view.checkpoint import origin_of
from tasks.single_view.evaluation import INPUTS
from tasks.single_view.renderers import RENDERERS
from tasks.single_view.report import cell, spread, summary, to_markdown
from tasks.single_view.runs import Data, run
from tasks.single_view.settings import Settings, quick
from tasks.single_view.training import Training

COMPARED = ("general", "softras", "softras-recon", "antialiased", "suggested")
SEEDS = 3
# Of a training.
STEPS = 700
PRINTED = 100
# What of a run is not published: what is the same for all, and how the loss went.
LEFT_OUT = ("history", "parameters")


def compare(
    settings: Settings, renderers: Sequence[str], seeds: int, records: Path
) -> list[dict[str, Any]]:
    """Return the results of all trainings, see `tasks.single_view.runs.run`.

    Those of one seed follow each other, so that what there is after a stop can be compared.
    """
    data = Data.of(settings.data)
    return [
        run(
            settings,
            data,
            renderer,
            seed,
            folder_of(settings, renderer, seed, records),
            command="python -m benchmarks.single_view",
            on_step=lambda training, name=f"{renderer}, seed {seed}": _tell(training, name),
        )
        for seed in range(seeds)
        for renderer in renderers
    ]


def folder_of(settings: Settings, renderer: str, seed: int, records: Path) -> Path:
    """Return where a training is kept; its name changes with all that the result depends on."""
    softness = RENDERERS[renderer].make().fingerprint()
    origin = {
        "code": code_digest((*CODE, single_view)),
        "draws": {name: version(name) for name in DRAWS},
        "engine": ts.engine_name(),
        "backend": ts.backend(),
        "training": origin_of(settings, renderer, softness, seed),
    }
    return records / "single_view" / f"{renderer}-{seed}-{digest(origin)}"


def results_of(runs: Sequence[dict[str, Any]], settings: Settings) -> dict[str, Any]:
    """Return what is published of runs, but for the head."""
    kept = [{k: v for k, v in run.items() if k not in LEFT_OUT} for run in runs]
    for one in kept:
        one["softness"] = one.pop("settings")["softness"]
    return {
        "settings": asdict(settings),
        "parameters": runs[0]["parameters"],
        "rows": summary(kept),
        "categories": by_category(kept),
        "runs": kept,
    }


def by_category(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return mean and spread over the seeds of the volume IoU, for each renderer and category."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in runs:
        own = found.setdefault(one["renderer"], {})
        for category, measured in one["end"]["categories"].items():
            own.setdefault(category, []).append(measured["volume_iou"])
    return {
        renderer: {category: spread(values) for category, values in own.items()}
        for renderer, own in found.items()
    }


def to_text(results: Mapping[str, Any]) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    results : dict
        What `main` writes as JSON.
    """
    head, settings, rows = results["about"], results["settings"], results["rows"]
    data, categories = settings["data"], results["categories"]
    names = list(next(iter(categories.values())))
    seeds = ", ".join(map(str, rows[0]["seeds"]))
    views = len(data["views"]["elevations"]) * data["views"]["per_ring"]
    size = data["image_size"]
    cells = (
        [RENDERERS[renderer].label, *(cell(own[name], 3) for name in names)]
        for renderer, own in categories.items()
    )
    sections = (
        "# A shape from one image",
        f"{headline(head)}; {head['engine']}, taichisoft {head['taichisoft']}, torch {head['torch']}.",
        f"A network of {results['parameters']:,} numbers learns from {views} images of each of "
        f"{data['objects'] * len(names)} objects ({size} x {size} pixels, cameras "
        f"{'known' if settings['known_poses'] else 'unknown'}), in "
        f"{settings['steps']} steps of {settings['batch']} objects with two views each. It is measured on "
        f"{data['held_out'] * len(names)} objects that it never saw, from {INPUTS} images each: mean and "
        f"standard deviation over the seeds {seeds}. `docs/single-view.md` tells what is learned and "
        "what is measured.",
        to_markdown(rows).rstrip(),
        "## Volume IoU by category",
        markdown_table(["trained through", *names], cells),
    )
    return "\n\n".join(sections) + "\n"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the results")
    parser.add_argument("--renderers", nargs="+", choices=RENDERERS, default=COMPARED)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="trainings through each")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training")
    parser.add_argument("--unknown-poses", action="store_true", help="the cameras are learned, too")
    parser.add_argument("--quick", action="store_true", help="small objects, images and network")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Train, measure and write."""
    options = build_parser().parse_args(arguments)
    check_integer(options.seeds, "seeds", minimum=1)
    # Small tensors: more threads only wait for each other.
    torch.set_num_threads(1)
    settings = replace(
        quick() if options.quick else Settings(),
        steps=options.steps,
        known_poses=not options.unknown_poses,
    )
    runs = compare(settings, options.renderers, options.seeds, options.out / RECORDS)
    head = about("benchmarks.single_view", arguments)
    results = {"about": head, **results_of(runs, settings)}
    name = "single_view_poses" if options.unknown_poses else "single_view"
    write_results(options.out / name, results, to_text(results))


def _tell(training: Training, name: str) -> None:
    if training.step % PRINTED == 0 or training.step == training.settings.steps:
        print(
            f"{name}: step {training.step}, {training.seconds:.0f} s of the processor", flush=True
        )


if __name__ == "__main__":
    main()
