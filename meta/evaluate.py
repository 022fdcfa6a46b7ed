"""The comparison of learned softnesses with tuned fixed ones on problems that they have not seen.

``python -m meta.evaluate RUN`` writes evaluation.json, evaluation.md, softness.png, convergence.png and
examples.gif into the run folder. What is finished is kept in records, so that the same command goes on after
an interruption, and a second one with other candidates computes only these.

``python -m meta.evaluate --softness FILE --families all`` compares any softness with one fixed setting that
was chosen for all families, and with other renderers' defaults, and writes softness.json, softness.md and
softness.png. With ``--problems 8`` it takes minutes.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

import taichisoft
from meta.config.command_line import parse
from meta.config.settings import Index, PositiveFloat, from_fields
from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.candidates import FIXED, LEARNED, Learned
from meta.evaluation.comparison import Comparison
from meta.evaluation.family_jobs import RECORDS, compare
from meta.evaluation.plan import FULL
from meta.evaluation.pooled.job import ALL
from meta.evaluation.pooled.pool import choose_all, compare_pooled
from meta.evaluation.pooled.settings import FEW
from meta.evaluation.settings import EvaluationSettings, renamed_options
from meta.jobs.full_disk import cure
from meta.learning.settings import build_families
from meta.report.animation import save_examples
from meta.report.plots import save_convergence, save_softness_curves
from meta.report.pooled_files import one_for_all, read_pooled, write_pooled
from meta.report.tables import markdown, processors, rows, verdicts
from meta.runs.folder import RunFolder, write_json_atomically, write_text_atomically
from meta.runs.lock import Lock
from meta.runs.versions import versions
from taichisoft.base.files import remove_partials

# Folder of the results of a softness file.
SOFTNESS_OUT = "runs/softness"
# What is chosen from for each family anew, which no one does who meets a softness file.
CHOICES = ("baselines", "scales", "gammas", "usual_gamma", "rates", "train_split", "also")
# What is asked of a softness file alone.
OF_A_SOFTNESS = ("softness_rate", "pooled")
FILES = ("evaluation.json", "evaluation.md", "softness.png", "convergence.png", "examples.gif")


def evaluate(
    run: str | Path,
    settings: EvaluationSettings,
    command: str = "",
    others: Mapping[str, Path] | None = None,
    on_done: Callable[[CandidateJob], object] | None = None,
) -> list[Comparison]:
    """Compare the learned softness of a run with fixed ones, and write all results.

    Parameters
    ----------
    run : path
        Folder made by `meta.train`.
    settings : EvaluationSettings
        Budget, grid and output folder.
    command : str
        Command line to keep with the results.
    others : mapping of str to Path, optional
        Softness files of further learned candidates, by the names that they get.
    on_done : callable, optional
        Called with each job that is done. Default: a bar in a terminal.

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
    RuntimeError
        A job failed; what is done is kept. Or another process writes results there (`InUse`).
    OSError
        A file cannot be written.
    """
    folder = RunFolder(Path(run))
    training = settings.problems_of(folder.read_settings())
    if not folder.softness.is_file():
        raise FileNotFoundError(
            f"no learned softness in {folder.path}: {folder.softness} is missing; "
            "training writes it with its first checkpoint"
        )
    files = {LEARNED: folder.softness, **(others or {})}
    out = Path(settings.out) if settings.out else folder.path
    out.mkdir(parents=True, exist_ok=True)
    families = build_families(training)
    candidates = {
        family.name: [
            Learned.of_file(key, key.capitalize(), path, training, family)
            for key, path in files.items()
        ]
        for family in families
    }
    with Lock(RunFolder(out).results_lock):
        remove_partials(out, FILES)
        remove_partials(out / RECORDS)
        comparisons = compare(
            families, candidates, training, replace(settings, out=str(out)), on_done=on_done
        )
        write(comparisons, out, settings, command, training.image_size)
    return comparisons


def evaluate_softness(
    path: Path,
    settings: EvaluationSettings,
    *,
    rate: float = 1.0,
    pooled: Path = Path("results/pooled.json"),
    command: str = "",
) -> list[Path]:
    """Compare a softness with fixed settings that were chosen for all families; return what is written.

    Parameters
    ----------
    path : Path
        Softness file.
    settings : EvaluationSettings
        Numbers of problems, families and output folder.
    rate : float
        Its learning rate as a multiple of each family's own, if none was learned with it.
    pooled : Path
        What `meta.results` wrote of the fixed settings. If it is missing, a few are chosen first.
    command : str
        Command line to keep with the results.

    Raises
    ------
    FileNotFoundError
        There is no softness file.
    ValueError, TypeError, RuntimeError, OSError
        See `evaluate`; or a file is damaged, or nothing was chosen for one of the families.
    """
    if not path.is_file():
        raise FileNotFoundError(f"softness must be a file, got {path}")
    pool, problems = read_pooled(pooled) if pooled.is_file() else (None, FULL.problems)
    names = settings.family_names(problems.family_names)
    if unknown := set(names) - set(problems.family_names):
        raise ValueError(
            f"families must be among those that {pooled} is for, {', '.join(problems.family_names)}, "
            f"got {', '.join(sorted(unknown))}"
        )
    problems = problems.with_families(names)
    started = replace(problems, inner=replace(problems.inner, rate=rate))
    # Read before anything takes time: it may be damaged.
    learned = {
        f.name: [Learned.of_file(LEARNED, path.stem, path, started, f, on_train=False)]
        for f in build_families(problems)
    }
    out = Path(settings.out or SOFTNESS_OUT)
    settings = replace(settings, out=str(out))
    out.mkdir(parents=True, exist_ok=True)
    with Lock(RunFolder(out).results_lock):
        if pool is None:
            pool = choose_all(problems, FEW, settings, each=False)
        everywhere = dict.fromkeys(problems.family_names, ALL)
        compared = compare_pooled(pool, everywhere, learned, problems, settings)
        about = {
            "command": command,
            "versions": versions(),
            "backend": taichisoft.backend(),
            "problems": problems.to_json(),
            "evaluation": settings.to_json(),
        }
        return write_pooled([one_for_all(compared, settings)], pool, out, about, "softness")


def write(
    comparisons: Sequence[Comparison],
    out: Path,
    settings: EvaluationSettings,
    command: str,
    image_size: int,
) -> None:
    """Write evaluation.json, evaluation.md and the pictures into a folder."""
    evaluation = {
        "rows": [row.to_json() for comparison in comparisons for row in rows(comparison)],
        "verdicts": {c.family.name: verdicts(c) for c in comparisons},
        "settings": settings.to_json(),
        "versions": versions(),
        "processors": processors(comparisons),
        "backend": taichisoft.backend(),
        "command": command,
    }
    write_json_atomically(out / "evaluation.json", evaluation)
    write_text_atomically(out / "evaluation.md", markdown(comparisons))
    save_softness_curves(comparisons, out / "softness.png", image_size)
    save_convergence(comparisons, out / "convergence.png")
    save_examples(comparisons, out / "examples.gif")


def named_files(given: Sequence[str]) -> dict[str, Path]:
    """Return softness files by name, from ``NAME=PATH`` where a path is a file or a run folder.

    Raises
    ------
    ValueError
        No name, or one that is taken.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not path or name in {*found, *FIXED, LEARNED}:
            raise ValueError(f"also must be NAME=PATH with different new names, got {text!r}")
        found[name] = RunFolder(Path(path)).softness if Path(path).is_dir() else Path(path)
    return found


@dataclass(frozen=True, kw_only=True)
class Arguments(EvaluationSettings):
    """The command line: the settings, and what is none of them."""

    # Run folder made by meta.train.
    run: Annotated[str, tyro.conf.Positional] = ""
    # Further learned softnesses: a name, and a softness file or run folder.
    also: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=PATH ...")] = ()
    # Softness file to compare, in place of a run, with settings that were chosen for all families.
    softness: str = ""
    # Learning rate of that softness as a multiple of each family's own, if none was learned with it.
    softness_rate: PositiveFloat = 1.0
    # File of these settings, as meta.results wrote it; where there is none, settings are chosen among a few.
    pooled: str = "results/pooled.json"
    problems: Index = 0  # Held-out problems of every family and seed; 0: the usual number of each.

    def __post_init__(self):
        super().__post_init__()
        if bool(self.run) == bool(self.softness):
            raise ValueError("give a run folder, or else --softness with a file")
        usual = {field.name: field.default for field in fields(self)}
        names, where = (CHOICES, "with") if self.softness else (OF_A_SOFTNESS, "without")
        for name in names:
            if getattr(self, name) != usual[name]:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} has no effect {where} --softness: leave it out")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = parse(
        Arguments,
        arguments,
        prog="python -m meta.evaluate",
        description="Compare learned softnesses with tuned fixed ones on unseen problems.",
        renamed=renamed_options(),
    )
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "meta.evaluate", *words])
    torch.set_num_threads(given.threads)
    try:
        taichisoft.init(None if given.backend == "auto" else given.backend)
        settings = from_fields(EvaluationSettings, given)
        settings = settings.with_problems(given.problems) if given.problems else settings
        files = _evaluate(given, settings, command)
    except (ValueError, TypeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}{cure(error)}", file=sys.stderr)
        return 1
    told = next(path for path in files if path.suffix == ".md")
    print(told.read_text(encoding="utf-8"))
    for path in files:
        print(path)
    return 0


def _evaluate(given: Arguments, settings: EvaluationSettings, command: str) -> list[Path]:
    """Do what the command line asks for, and return the files that were written."""
    if given.softness:
        return evaluate_softness(
            Path(given.softness),
            settings,
            rate=given.softness_rate,
            pooled=Path(given.pooled),
            command=command,
        )
    evaluate(given.run, settings, command, named_files(given.also))
    return [Path(settings.out or given.run) / name for name in FILES]


if __name__ == "__main__":
    sys.exit(main())
