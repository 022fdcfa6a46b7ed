"""Merging runs: one softness for many kinds of scenes from runs that learned one for few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from meta.learning.merge import RIDGE, Source, merged
from meta.learning.method import rate_of
from meta.learning.settings import TrainSettings, build_families
from meta.runs.folder import RunFolder
from meta.runs.seeds import derived_seed
from meta.runs.versions import versions
from taichisoft import Situation, Softness
from tasks import Split

# Batches of training problems of each family and image size whose situations are looked at, and their size.
BATCHES, PROBLEMS = 4, 16


def sources_of(runs: Mapping[str, RunFolder]) -> dict[str, Source]:
    """Return what runs learned, and in which situations, by name: those of problems like their own.

    Raises
    ------
    FileNotFoundError
        A file of a run is missing.
    TypeError, ValueError
        A run is damaged.
    """
    return {name: _source(run) for name, run in runs.items()}


def merge_sources(sources: Mapping[str, Source], ridge: float = RIDGE) -> Softness:
    """Return a conditioned softness from the learned ones of runs; see `meta.learning.merge.merged`.

    Parameters
    ----------
    sources : mapping of str to Source
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
    ValueError
        There is no source, one learned something else than numbers, or two are not alike.
    """
    made = merged(list(sources.values()), ridge)
    origins = {name: dict(source.softness.trained) for name, source in sources.items()}
    made.trained.update(merged=origins, versions=versions())
    return made


def _source(run: RunFolder) -> Source:
    settings, softness = run.read_settings(), Softness.load(run.softness)
    rate = rate_of(softness, settings.inner.rate)
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
