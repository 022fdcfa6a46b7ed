"""Conditions that nothing was learned or tuned under: other sizes, meshes, faults, starts and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from taichisoft import Mesh, load_mesh
from tasks import FAR_START, Bar, Fault, FlippedPixels, Holes, MeshSplit
from tasks.base import TaskFamily
from tasks.decimation import coarser
from tasks.detail import RATIO, finer
from tasks.other_meshes import other_meshes
from tasks.outlines import FEWEST_FACES, MOST_FACES
from tasks.triangulation import FEWEST_TRIANGLES

# Not part of the repository: Keenan Crane's cow, beside a checkout.
SPOT = Path(__file__).parents[2].parent / "shared" / "data" / "spot.obj"
# Problems of a family, of all seeds, and of families that take much longer.
PROBLEMS = 50
FEWER: Mapping[str, int] = MappingProxyType({"shape3d": 10})

Change = Callable[[Any], TaskFamily]


@dataclass(frozen=True, eq=False)
class Condition:
    """What is other than usual.

    Parameters
    ----------
    key, label : str
        Its name in files, and in tables.
    seed : int
        Added to that of the problems: every published condition has problems of its own, so that the mean of
        all tells more.
    changes : mapping of str to callable
        Makes its family from the usual one, by the name of the family: only to these it applies. A file that
        is not there raises FileNotFoundError.
    steps : int, optional
        Of the inner optimisation. Default: the usual number.
    problems : mapping of str to int
        How many of all seeds are solved, where it is not `PROBLEMS`, by the name of the family.

    Notes
    -----
    Not all of a condition need be a change: 30 steps may be what is usual.
    """

    key: str
    label: str
    seed: int
    changes: Mapping[str, Change]
    steps: int | None = None
    problems: Mapping[str, int] = field(default_factory=lambda: FEWER)

    def family(self, usual: TaskFamily) -> TaskFamily:
        """Return the family under this condition."""
        return self.changes[usual.name](usual)

    def count(self, family: str) -> int:
        """Return how many problems of a family are solved, of all seeds."""
        return self.problems.get(family, PROBLEMS)

    def with_problems(self, count: int) -> Condition:
        """Return this condition with as many problems of every family."""
        return replace(self, problems=dict.fromkeys(self.changes, count))


def _usual(family: TaskFamily) -> TaskFamily:
    return family


def _on_other_meshes(meshes: Callable[[], Mapping[str, Mesh]], family: Any) -> TaskFamily:
    return replace(family, meshes=MeshSplit(family.meshes.train, meshes()))


def _on_changed_meshes(change: Callable[[Mesh], Mesh], family: Any) -> TaskFamily:
    return replace(family, meshes=family.meshes.changed(change))


def _subdivided(more: int, family: Any) -> TaskFamily:
    return replace(family, subdivisions=max(0, family.subdivisions + more))


def _triangulated(ratio: float, family: Any) -> TaskFamily:
    return replace(family, triangles=max(FEWEST_TRIANGLES, round(ratio * family.triangles)))


def _spot() -> dict[str, Mesh]:
    return {"spot": load_mesh(SPOT, normalize=True, materials=False).with_vertex_opacity(None)}


def _everywhere(change: Change) -> dict[str, Change]:
    return dict.fromkeys(("pose", "shape3d", "shape2d", "occlusion"), change)


def _with_size(pixels: int, seed: int) -> Condition:
    change = _everywhere(partial(replace, image_size=(pixels, pixels)))
    return Condition(f"size-{pixels}", f"{pixels} px", seed, change)


def _with_steps(steps: int, seed: int, problems: Mapping[str, int] = FEWER) -> Condition:
    return Condition(f"steps-{steps}", f"{steps} steps", seed, _everywhere(_usual), steps, problems)


def _with_fault(key: str, label: str, seed: int, fault: Fault) -> Condition:
    return Condition(key, label, seed, _everywhere(partial(replace, fault=fault)))


def _with_objects(
    key: str, label: str, seed: int, meshes: Callable[[], Mapping[str, Mesh]]
) -> Condition:
    change = partial(_on_other_meshes, meshes)
    return Condition(key, label, seed, {"pose": change, "shape3d": change})


_COARSE: dict[str, Change] = {
    "pose": partial(_on_changed_meshes, coarser),
    "shape3d": partial(_subdivided, -1),
    "shape2d": partial(_triangulated, 1 / RATIO),
    # Twelve corners about a middle: a third.
    "occlusion": partial(replace, faces=FEWEST_FACES),
}
_FINE: dict[str, Change] = {
    "pose": partial(_on_changed_meshes, finer),
    "shape3d": partial(_subdivided, 1),
    "shape2d": partial(_triangulated, RATIO),
    "occlusion": partial(replace, faces=MOST_FACES),
}
_FAR: dict[str, Change] = {"pose": partial(replace, start_angle=FAR_START)}

CONDITIONS: tuple[Condition, ...] = (
    _with_size(32, 1),
    _with_size(96, 2),
    _with_size(160, 3),
    Condition("faces-quarter", "a quarter of the faces (of planes a third)", 4, _COARSE),
    Condition("faces-fourfold", "four times the faces", 5, _FINE, problems={"shape3d": 5}),
    _with_steps(15, 6),
    _with_steps(30, 7),
    _with_steps(100, 8, {"shape3d": 5}),
    _with_steps(300, 9, {"shape3d": 5, "occlusion": 25}),
    _with_objects("objects", "objects of other kinds", 10, other_meshes),
    _with_objects("spot", "Spot", 11, _spot),
    _with_fault("holes", "holes", 12, Holes()),
    _with_fault("bar", "behind a bar", 13, Bar()),
    _with_fault("flipped", "5 % flipped pixels", 14, FlippedPixels(0.05)),
    Condition("start-far", "starts 55 to 75 degrees away", 15, _FAR),
)
"""The published conditions. The mean of all counts: a single cell has few problems, of shape3d very few."""

QUICK_CONDITIONS: tuple[Condition, ...] = (_with_size(12, 1).with_problems(2),)
"""One with tiny numbers, to try whether everything works."""
