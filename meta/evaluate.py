"""Compare a learned softness with tuned fixed ones on problems that it has not seen.

``python -m meta.evaluate RUN`` writes evaluation.json, evaluation.md, softness.png, convergence.png and
examples.gif into the run folder.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

import taichisoft
from meta.animation import save_examples
from meta.baselines import BASELINES
from meta.comparison import Comparison, Protocol, compare
from meta.config import TrainSettings, build_parser, settings_from_args, to_json
from meta.families import build_families
from meta.options import check_options, option
from meta.plots import save_convergence, save_softness_curves
from meta.report import markdown, rows, verdict
from meta.run_folder import RunFolder, write_json_atomically, write_text_atomically
from meta.softness import load_renderer, scale_in_pixels
from meta.versions import versions
from taichisoft.runtime import BACKENDS

FILES = ("evaluation.json", "evaluation.md", "softness.png", "convergence.png", "examples.gif")


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of `meta.evaluate`; every field is a command-line option with the same name.

    The defaults take about three minutes on two CPU cores after a training run with its defaults.
    """

    backend: str = option("auto", "backend of the kernels", choices=("auto", *BACKENDS))
    out: str = option("", "folder of the results; none: the run folder")
    seed: int = option(0, "seed of problems and resamples", minimum=0)
    problems: int = option(64, "pose problems per seed", minimum=1)
    shape_problems: int = option(16, "shape3d problems per seed", minimum=1)
    seeds: int = option(2, "seeds", minimum=1)
    tuning_problems: int = option(16, "pose problems for choosing settings", minimum=1)
    shape_tuning_problems: int = option(8, "shape3d problems for choosing settings", minimum=1)
    train_split: bool = option(False, "run the learned softness on training problems too")
    inner_steps: int = option(0, "Adam steps; 0: as many as in training", minimum=0)
    baselines: tuple[str, ...] = option(
        tuple(BASELINES), "fixed functions to compare with", choices=tuple(BASELINES)
    )
    scales: tuple[float, ...] = option(
        (0.06, 0.12, 0.25, 0.5, 1.0), "scales in pixels that they choose from", above=0.0
    )
    rates: tuple[float, ...] = option(
        (0.5, 1.0, 2.0), "learning rates to choose from, as multiples of the family's", above=0.0
    )
    measure_every: int = option(4, "steps between measurements of the error", minimum=1)
    resamples: int = option(2000, "resamples of the bootstrap", minimum=2)
    threads: int = option(
        1, "threads of torch, whose operations here are too small to share", minimum=1
    )

    def __post_init__(self):
        check_options(self)
        for name in ("baselines", "scales", "rates"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise ValueError(f"{name} must be one or more different values, got {values}")

    def protocol(self, training: TrainSettings, family: str) -> Protocol:
        """Return how to compare softnesses on a family after a training run."""
        problems, tuning_problems = {
            "pose": (self.problems, self.tuning_problems),
            "shape3d": (self.shape_problems, self.shape_tuning_problems),
        }[family]
        return Protocol(
            problems=problems,
            seeds=self.seeds,
            tuning_problems=tuning_problems,
            steps=self.inner_steps or training.inner_steps,
            scales=tuple(sorted(self.scales)),
            # Everyone may choose the rate that the learned softness was trained with.
            rates=tuple(sorted({*self.rates, training.inner_rate})),
            measure_every=self.measure_every,
            resamples=self.resamples,
            seed=self.seed,
            train_split=self.train_split,
        )


def evaluate(run: str | Path, settings: EvaluationSettings, command: str = "") -> list[Comparison]:
    """Compare the learned softness of a run with fixed ones, and write all results.

    Parameters
    ----------
    run : path
        Folder made by `meta.train`.
    settings : EvaluationSettings
        Budget, grid and output folder.
    command : str
        Command line to keep with the results.

    Returns
    -------
    list of Comparison
        One for each family.

    Raises
    ------
    FileNotFoundError
        The run folder or a file in it is missing.
    ValueError, TypeError
        A file in it is damaged.
    """
    folder = RunFolder(Path(run))
    training = folder.read_settings()
    if not folder.softness.is_file():
        raise FileNotFoundError(
            f"no learned softness in {folder.path}: {folder.softness} is missing; "
            "training writes it with its first checkpoint"
        )
    learned = load_renderer(folder.softness)
    out = Path(settings.out) if settings.out else folder.path
    out.mkdir(parents=True, exist_ok=True)
    comparisons = _compare_all(learned.requires_grad_(False), training, settings)
    write(comparisons, out, settings, command, training.image_size)
    return comparisons


def write(
    comparisons: Sequence[Comparison],
    out: Path,
    settings: EvaluationSettings,
    command: str,
    image_size: int,
) -> None:
    """Write evaluation.json, evaluation.md and the pictures into a folder."""
    evaluation = {
        "rows": [row for comparison in comparisons for row in rows(comparison)],
        "verdicts": {c.family.name: verdict(c) for c in comparisons},
        "settings": to_json(settings),
        "versions": versions(),
        "backend": taichisoft.backend(),
        "command": command,
    }
    write_json_atomically(out / "evaluation.json", evaluation)
    write_text_atomically(out / "evaluation.md", markdown(comparisons))
    save_softness_curves(comparisons, out / "softness.png", image_size)
    save_convergence(comparisons, out / "convergence.png")
    save_examples(comparisons, out / "examples.gif")


def _compare_all(
    learned: taichisoft.SoftRasterizer, training: TrainSettings, settings: EvaluationSettings
) -> list[Comparison]:
    baselines = {name: BASELINES[name] for name in settings.baselines}
    scale = scale_in_pixels(learned, training.image_size)
    families = build_families(training)
    protocols = [settings.protocol(training, family.name) for family in families]
    total = sum(protocol.total_steps(len(baselines)) for protocol in protocols)
    with tqdm(total=total, desc="evaluate", unit="step", disable=None) as bar:
        comparisons = []
        for family, protocol in zip(families, protocols, strict=True):
            bar.set_postfix_str(family.name)
            comparisons.append(compare(family, learned, scale, baselines, protocol, bar.update))
    return comparisons


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = build_parser(
        EvaluationSettings,
        prog="python -m meta.evaluate",
        description="Compare a learned softness with tuned fixed ones on unseen problems.",
    )
    parser.add_argument("run", metavar="RUN", help="run folder made by meta.train")
    parsed = parser.parse_args(arguments)
    settings = settings_from_args(EvaluationSettings, parser, parsed)
    given = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "meta.evaluate", *given])
    torch.set_num_threads(settings.threads)
    try:
        taichisoft.init(None if settings.backend == "auto" else settings.backend)
        evaluate(parsed.run, settings, command)
    except (FileNotFoundError, ValueError, TypeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    out = Path(settings.out or parsed.run)
    print((out / "evaluation.md").read_text(encoding="utf-8"))
    for name in FILES:
        print(out / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
