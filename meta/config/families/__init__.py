"""Families that a run can learn from: a file and a line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated

import tyro

from meta.config.families.base import FamilyRun
from meta.config.families.occlusion import OcclusionRun
from meta.config.families.own import OWN
from meta.config.families.own import OwnRun as OwnRun
from meta.config.families.pose import PoseRun
from meta.config.families.shape2d import Shape2DRun
from meta.config.families.shape3d import Shape3DRun
from meta.config.imported import check_choice, choices, is_import_path
from meta.config.settings import FLAT, Kinds, chosen

FAMILIES: Mapping[str, type[FamilyRun]] = MappingProxyType(
    {run.name: run for run in (PoseRun, Shape3DRun, Shape2DRun, OcclusionRun)}
)
"""The families by name."""


_NAMES = tyro.conf.arg(
    help="Task families to learn from.",
    help_behavior_hint="(default: {})".format,
    metavar=f"[{choices(FAMILIES)} [...]]",
)
_USUAL = {**{name: run() for name, run in FAMILIES.items()}, OWN: OwnRun()}


def _choose(
    families: Annotated[tuple[str, ...], _NAMES] = ("pose", "shape3d"),
    options: Annotated[dict[str, FamilyRun], FLAT] = _USUAL,
) -> tuple[FamilyRun, ...]:
    for name in families:
        check_choice(name, FAMILIES, "--families")
    runs = chosen([OWN if is_import_path(name) else name for name in families], options)
    return tuple(
        replace(run, path=name) if isinstance(run, OwnRun) else run
        for name, run in zip(families, runs, strict=True)
    )


FamilyRuns = Annotated[
    tuple[FamilyRun, ...], Kinds(FAMILIES, OwnRun), tyro.conf.arg(name="", constructor=_choose)
]
"""Families with their options; on the command line ``--families`` and an option for each of theirs."""
