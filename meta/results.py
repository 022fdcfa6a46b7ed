"""All published results: ``python -m meta.results --out results``, also ``make results``.

Trains what `meta.evaluation.plan` names, merges it into a softness of all families, and lets fixed softnesses
choose their settings from as many problems. Then it compares everything on every family, and writes
results.json, results.md, table.md, overview.png, matrix.png, examples.gif and, for each family, a picture of
curves and one of convergence: there the fixed ones have settings for that family. In pooled.json, pooled.md
and its pictures, the softness of all families, and that of all but the one it is tested on, meet settings for
just as many families; in conditions.json and conditions.md they meet under conditions that neither was made
for; claim.md and claim.png have what came of it. Runs and finished comparisons are kept, so that the same
command goes on after an interruption. Hours on a CPU.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

import taichisoft
from meta.config.command_line import parse
from meta.config.parts import LEARNABLE
from meta.config.settings import BackendName, Count, Index, Settings
from meta.config.softness import initial_renderer, with_parameters
from meta.evaluate import CHOICES
from meta.evaluation.candidates import Learned
from meta.evaluation.comparison import Comparison
from meta.evaluation.condition_jobs import Budget, Entrants, UnderCondition
from meta.evaluation.family_jobs import RECORDS, compare, records_folder
from meta.evaluation.plan import FULL, GENERAL, QUICK, START, WITHOUT, Plan
from meta.evaluation.pooled.given import SUGGESTED, Given
from meta.evaluation.pooled.job import ALL, alone
from meta.evaluation.pooled.pool import BEST_LABEL, KNOWN_LABEL, Pool, choose_all, compare_pooled
from meta.evaluation.settings import EvaluationSettings
from meta.jobs.full_disk import cure
from meta.jobs.jobs import run_jobs
from meta.learning.settings import build_families
from meta.report.animation import save_examples
from meta.report.claim import write_claim
from meta.report.conditions import make_conditions
from meta.report.gains import gains
from meta.report.matrix import Matrix, save_heat_maps
from meta.report.overview import save_overview
from meta.report.plots import save_convergence, save_softness_curves
from meta.report.pooled_files import known, never_seen, one_for_all, write_pooled
from meta.report.results import main_results, results_markdown, table_markdown
from meta.report.tables import processors, rows, verdicts
from meta.report.weights import WEIGHTS, publish, publish_file
from meta.runs.folder import RunFolder, write_json_atomically, write_text_atomically
from meta.runs.lock import Lock
from meta.runs.merging import merge_sources, sources_of
from meta.runs.training import Training
from meta.runs.versions import versions
from taichisoft import Softness
from taichisoft.base.files import remove_partials
from tasks.base import TaskFamily


@dataclass(frozen=True)
class ResultsSettings(Settings):
    """Settings of `meta.results`; every field is an option of its command line."""

    out: str = "results"  # Folder of the results, the runs and the records.
    weights: str = ""  # Folder to ship weights to; none: that of the library, or of a quick try.
    backend: BackendName = "auto"  # Backend of the kernels.
    workers: Count = 2  # Processes.
    # Held-out problems per family and seed, in place of those of the plan; 0: as planned.
    problems: Index = 0
    quick: bool = False  # Whether to try everything with tiny numbers.

    def __post_init__(self):
        self.check()

    @property
    def plan(self) -> Plan:
        """What is done."""
        plan = QUICK if self.quick else FULL
        return plan.with_problems(self.problems) if self.problems else plan

    @property
    def weights_folder(self) -> Path:
        """Where weights go; those of a quick try must not come among those of the library."""
        usual = Path(self.out) / "weights" if self.quick else WEIGHTS
        return Path(self.weights) if self.weights else usual


def make_results(plan: Plan, settings: ResultsSettings, command: str = "") -> list[Comparison]:
    """Train, compare, ship and write everything that is not there yet.

    Parameters
    ----------
    plan : Plan
        What.
    settings : ResultsSettings
        Where, and with how many processes.
    command : str
        Command line to keep with the results.

    Raises
    ------
    ValueError
        A run folder holds a run that is not the planned one.
    RuntimeError
        A job failed, or a worker process died; what is done is kept. Or another process makes the results.
    OSError
        A file cannot be written; what is done is kept.
    """
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    with Lock(RunFolder(out).results_lock):
        remove_partials(out)
        remove_partials(out / RECORDS)
        return _make(plan, settings, out, command)


def _make(plan: Plan, settings: ResultsSettings, out: Path, command: str) -> list[Comparison]:
    runs = _train(plan, settings)
    files = {name: run.softness for name, run in runs.items()} | _merge(plan, runs, out)
    pool = choose_all(plan.problems, plan.pooled, _evaluation(plan, settings))
    comparisons = _compare(plan, runs, files, pool, settings)
    matrix = Matrix.of(comparisons, {name: name for name in (GENERAL, *plan.learned)})
    gained = [gain for comparison in comparisons for gain in gains(comparison, list(plan.curves))]
    every = [row for comparison in comparisons for row in rows(comparison)]
    for name in plan.learned:
        publish(runs[name], name, every, softness=name, folder=settings.weights_folder)
    publish_file(files[GENERAL], GENERAL, every, softness=GENERAL, folder=settings.weights_folder)
    about = _about(plan, runs, command)
    values = {
        **about,
        "processors": processors(comparisons),
        "rows": [row.to_json() for row in every],
        "verdicts": {c.family.name: verdicts(c) for c in comparisons},
        "matrix": matrix.to_json(),
        "gains": [gain.to_json() for gain in gained],
    }
    write_json_atomically(out / "results.json", values)
    write_text_atomically(out / "results.md", results_markdown(comparisons, matrix, gained, about))
    write_text_atomically(out / "table.md", table_markdown(comparisons))
    _draw(comparisons, matrix, plan, out)
    known_ones = [pool.with_best(c, alone(c.family.name), KNOWN_LABEL) for c in comparisons]
    _pooled(plan, files, pool, known_ones, settings, about, out)
    return comparisons


def _train(plan: Plan, settings: ResultsSettings) -> dict[str, RunFolder]:
    """Take the steps that are left of all runs, and return their folders by name."""
    planned = plan.runs(Path(settings.out) / "runs")
    jobs = [Training(replace(run, backend=settings.backend)) for run in planned.values()]
    with tqdm(total=len(jobs), desc="train", unit="run", disable=None) as bar:
        run_jobs(jobs, workers=settings.workers, on_done=lambda job: bar.update())
    folders = {name: job.folder for name, job in zip(planned, jobs, strict=True)}
    for name, run in planned.items():
        initial_renderer(run.softness, run.seed).softness.save(folders[name].start, {"step": 0})
    return folders


def _merge(plan: Plan, runs: dict[str, RunFolder], out: Path) -> dict[str, Path]:
    """Merge what was learned on several families, and return the files by name."""
    files, every = {}, sources_of({name: runs[name] for name in plan.merged[GENERAL]})
    for name, sources in plan.merged.items():
        softness = merge_sources({source: every[source] for source in sources})
        if not any("gamma" in every[source].learned for source in sources):
            softness = _with_wide_gamma(softness)
        files[name] = out / "merged" / f"{name}.safetensors"
        files[name].parent.mkdir(exist_ok=True)
        softness.save(files[name], softness.trained)
    return files


def _with_wide_gamma(softness: Softness) -> Softness:
    """Return a softness whose gamma is the extent in depth, for one that was learned without depths.

    Of that nothing is known, and a narrow one would tell no plane from another.
    """
    gammas = (name for name in softness.state_dict() if name.startswith(LEARNABLE["gamma"]))
    made = with_parameters(softness, dict.fromkeys(gammas, 0.0))
    made.trained = softness.trained
    return made


def _evaluation(plan: Plan, settings: ResultsSettings) -> EvaluationSettings:
    return replace(
        plan.evaluation,
        out=settings.out,
        backend=settings.backend,
        workers=settings.workers,
        families=plan.families,
    )


def _compare(
    plan: Plan,
    runs: dict[str, RunFolder],
    files: dict[str, Path],
    pool: Pool,
    settings: ResultsSettings,
) -> list[Comparison]:
    families = build_families(plan.problems)
    learned = {family.name: candidates(plan, runs, files, family) for family in families}
    fixed = {family.name: pool.tuned(alone(family.name), family) for family in families}
    return compare(families, learned, plan.problems, _evaluation(plan, settings), fixed)


def _pooled(
    plan: Plan,
    files: dict[str, Path],
    pool: Pool,
    known_ones: Sequence[Comparison],
    settings: ResultsSettings,
    about: dict[str, Any],
    out: Path,
) -> None:
    """Compare the softness of all families with settings for all of them, and write what came of all.

    `known_ones` are comparisons with what is best for each family.
    """
    evaluation = _evaluation(plan, settings)
    families = build_families(plan.problems)
    everywhere = dict.fromkeys(plan.families, ALL)
    general = {f.name: [general_candidate(plan, files, f)] for f in families}
    compared = compare_pooled(pool, everywhere, general, plan.problems, evaluation)
    reports = [one_for_all(compared, evaluation)]
    if len(families) > 1:
        left_out = {name: name for name in plan.families}
        unseen = {f.name: [unseen_candidate(plan, files, f)] for f in families}
        compared = compare_pooled(pool, left_out, unseen, plan.problems, evaluation)
        reports.append(never_seen(compared, evaluation))
    reports.append(known(known_ones, evaluation))
    write_pooled(reports, pool, out, about)
    found = _conditions(plan, general, pool, evaluation, out) if plan.conditions else []
    write_claim(reports, found, out)


def _conditions(
    plan: Plan,
    general: dict[str, list[Learned]],
    pool: Pool,
    evaluation: EvaluationSettings,
    out: Path,
) -> list[UnderCondition]:
    """Compare the softness of all families under conditions with what is not made for any of them."""
    families = build_families(plan.problems)
    fixed = {f.name: _untouched(pool, f, plan.problems.image_size) for f in families}
    budget = Budget(
        {f.name: evaluation.protocol(plan.problems, f.name) for f in families},
        records_folder(evaluation),
        evaluation.workers,
        evaluation.resamples,
        evaluation.seed,
    )
    return make_conditions(plan.conditions, families, Entrants(general, fixed), budget, out)


def _untouched(pool: Pool, family: TaskFamily, image_size: int) -> list[Given]:
    """Return the one fixed setting, and what is suggested for each scene."""
    every = {c.key: c for c in pool.candidates(ALL, family, image_size)}
    best = every[f"pooled-{pool.best()}"]
    return [replace(best, label=f"{BEST_LABEL}: {best.label}"), every[SUGGESTED]]


def candidates(
    plan: Plan, runs: dict[str, RunFolder], files: dict[str, Path], family: TaskFamily
) -> list[Learned]:
    """Return the learned candidates of a family.

    Its own, the general one, what its own started from, its curves, and those of the other families.
    """
    own = family.name

    def candidate(name: str, label: str, path: Path, *, on_train: bool = False) -> Learned:
        return Learned.of_file(name, label, path, plan.problems, family, on_train=on_train)

    curves = [name for name, run in plan.curves.items() if run.family_names == (own,)]
    others = [name for name in plan.learned if name != own]
    return [
        candidate(own, "Learned", files[own], on_train=True),
        general_candidate(plan, files, family),
        candidate(own + START, "Start of the learning", runs[own].start),
        *(candidate(name, f"Learned: {name}", files[name]) for name in curves),
        *(candidate(name, f"Learned on {name}", files[name]) for name in others),
    ]


def general_candidate(plan: Plan, files: dict[str, Path], family: TaskFamily) -> Learned:
    """Return the softness of all families as a candidate on one."""
    label = "Learned on all families"
    return Learned.of_file(GENERAL, label, files[GENERAL], plan.problems, family)


def unseen_candidate(plan: Plan, files: dict[str, Path], family: TaskFamily) -> Learned:
    """Return the softness of all families but one as a candidate on that one."""
    key, path = WITHOUT.rstrip("-"), files[WITHOUT + family.name]
    label = "Learned on the others"
    return Learned.of_file(key, label, path, plan.problems, family, on_train=False)


def _about(plan: Plan, runs: dict[str, RunFolder], command: str) -> dict[str, Any]:
    """Return how the results were made."""
    return {
        "command": command,
        "versions": versions(),
        "backend": taichisoft.backend(),
        "problems": plan.problems.to_json(),
        "runs": {name: run.read_settings().to_json() for name, run in runs.items()},
        # What fixed softnesses choose from is that of the pool.
        "evaluation": {k: v for k, v in plan.evaluation.to_json().items() if k not in CHOICES},
        "pooled": plan.pooled.to_json(),
    }


def _draw(comparisons: Sequence[Comparison], matrix: Matrix, plan: Plan, out: Path) -> None:
    save_overview(comparisons, [main_results(c) for c in comparisons], out / "overview.png")
    save_heat_maps(matrix, out / "matrix.png")
    save_examples(comparisons, out / "examples.gif")
    for comparison in comparisons:
        name = comparison.family.name
        save_softness_curves([comparison], out / f"{name}-softness.png", plan.problems.image_size)
        save_convergence([comparison], out / f"{name}-convergence.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    settings = parse(
        ResultsSettings,
        arguments,
        prog="python -m meta.results",
        description="Train and evaluate everything that is published; goes on where it was stopped.",
    )
    given = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "meta.results", *given])
    try:
        taichisoft.init(None if settings.backend == "auto" else settings.backend)
        make_results(settings.plan, settings, command)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        print(f"error: {error}{cure(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; what is done is kept. The same command goes on.", file=sys.stderr)
        return 130
    print((Path(settings.out) / "table.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
