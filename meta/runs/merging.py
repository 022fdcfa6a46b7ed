"""Merging runs: one softness for many kinds of scenes from runs that learned one for few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from meta.config.parts import RATE
from meta.learning.merge import RIDGE, Source, merged
from meta.learning.settings import TrainSettings, build_families
from meta.runs.folder import RunFolder
from meta.runs.seeds import derived_seed
from meta.runs.versions import versions
from taichisoft import Situation, Softness
from tasks import Split

# Batches of training problems of each family and image size whose situations are looked at, and their size.
BATCHES, PROBLEMS = 4, 16


def merge_runs(runs: Mapping[str, RunFolder], ridge: float = RIDGE) -> Softness:
    """Return a conditioned softness from the learned ones of runs; see `meta.learning.merge.merged`.

    Parameters
    ----------
    runs : mapping of str to RunFolder
        By name, at least one. What a run did not learn does not count.
    ridge : float
        Weight of the squares of the weights.

    Returns
    -------
    Softness
        `trained` says under "merged" what it is made from, under "rate" how the rate follows the situation,
        and under "versions" what it was made with.

    Raises
    ------
    FileNotFoundError
        A file of a run is missing.
    TypeError, ValueError
        There is no run, one is damaged or learned something else than numbers, or two are not alike.
    """
    made = merged([source_of(run) for run in runs.values()], ridge)
    made.trained.update(
        merged={name: _told(run) for name, run in runs.items()}, versions=versions()
    )
    return made


def source_of(run: RunFolder) -> Source:
    """Return what a run learned, and in which situations: those of problems like its own."""
    settings, softness = run.read_settings(), Softness.load(run.softness)
    rate = softness.trained.get(RATE, settings.inner.rate)
    return Source(softness, settings.softness.learn, situations_of(settings), rate)


def situations_of(settings: TrainSettings) -> tuple[Situation, ...]:
    """Return the situations of some training problems of a run, of all its families and image sizes."""
    return tuple(
        family.sample(
            derived_seed(settings.seed, batch, "situations"), PROBLEMS, Split.TRAIN
        ).situation()
        for size in settings.sizes
        for family in build_families(replace(settings, image_size=size))
        for batch in range(BATCHES)
    )


def _told(run: RunFolder) -> dict[str, object]:
    """Return what `trained` says of a run."""
    trained = Softness.load(run.softness).trained
    families: Sequence[str] = run.read_settings().family_names
    return {"families": list(families), "step": trained.get("step"), "rate": trained.get(RATE)}
