"""Families that a run can learn from: a file and a line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import tyro

from meta.config.families.base import FamilyRun
from meta.config.families.occlusion import OcclusionRun
from meta.config.families.pose import PoseRun
from meta.config.families.shape2d import Shape2DRun
from meta.config.families.shape3d import Shape3DRun
from meta.config.settings import FLAT, Kinds, chosen

FAMILIES: Mapping[str, type[FamilyRun]] = MappingProxyType(
    {run.name: run for run in (PoseRun, Shape3DRun, Shape2DRun, OcclusionRun)}
)
"""The families by name."""

FamilyName = Literal[tuple(FAMILIES)]


_NAMES = tyro.conf.arg(
    help="Task families to learn from.", help_behavior_hint="(default: {})".format
)
_USUAL = {name: run() for name, run in FAMILIES.items()}


def _choose(
    families: Annotated[tuple[FamilyName, ...], _NAMES] = ("pose", "shape3d"),
    options: Annotated[dict[str, FamilyRun], FLAT] = _USUAL,
) -> tuple[FamilyRun, ...]:
    return chosen(families, options)


FamilyRuns = Annotated[
    tuple[FamilyRun, ...], Kinds(FAMILIES), tyro.conf.arg(name="", constructor=_choose)
]
"""Families with their options; on the command line ``--families`` and an option for each of theirs."""
