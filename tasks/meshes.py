"""Meshes that the problems are about: some to learn from, others to test on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from taichisoft import Mesh, load_mesh
from taichisoft.base.checks import check_type
from taichisoft.shapes import OBJECTS, blob
from tasks.base import Split

TRAIN_OBJECTS = ("airplane", "car", "chair", "hammer", "key", "mug")
HELD_OUT_OBJECTS = ("boot", "bracket", "lamp", "teapot", "wrench")
TRAIN_BLOBS = (0, 1)
HELD_OUT_BLOBS = (100, 101)


@dataclass(frozen=True, eq=False)
class MeshSplit:
    """Meshes by name, in two sets that have none in common.

    Parameters
    ----------
    train : mapping of str to Mesh
        To learn from; at least one, without batch axes. Colours are ignored.
    held_out : mapping of str to Mesh
        To test on.

    Raises
    ------
    TypeError
        No mapping, or a value that is no mesh.
    ValueError
        An empty set, a batched mesh or one without faces, or a name or a mesh in both sets.
    """

    train: Mapping[str, Mesh]
    held_out: Mapping[str, Mesh]

    def __post_init__(self) -> None:
        _check_meshes(self.train, "train")
        _check_meshes(self.held_out, "held_out")
        both = sorted(self.train.keys() & self.held_out.keys())
        if both:
            raise ValueError(f"train and held_out must have no name in common, got {both}")
        for name, mesh in self.train.items():
            for other_name, other in self.held_out.items():
                if _equal(mesh, other):
                    raise ValueError(
                        f"train and held_out must have no mesh in common, got "
                        f"{name!r} and {other_name!r}, which are equal"
                    )

    def of(self, split: Split) -> Mapping[str, Mesh]:
        """Return the meshes of a split by name."""
        return {Split.TRAIN: self.train, Split.HELD_OUT: self.held_out}[split]

    def changed(self, change: Callable[[Mesh], Mesh]) -> MeshSplit:
        """Return the same sets with every mesh changed, as by `tasks.detail.finer`."""
        return MeshSplit(
            *({key: change(mesh) for key, mesh in self.of(split).items()} for split in Split)
        )

    def draw(
        self, count: int, split: Split, generator: torch.Generator, dtype: torch.dtype
    ) -> list[Mesh]:
        """Return ``count`` meshes without colours, each mesh of the split about equally often."""
        meshes = list(self.of(split).values())
        rounds = -(-count // len(meshes))
        order = [torch.randperm(len(meshes), generator=generator) for _ in range(rounds)]
        chosen = torch.cat(order)[:count].tolist()
        bare = [Mesh(mesh.vertices.to(dtype), mesh.faces) for mesh in meshes]
        return [bare[index] for index in chosen]


@cache
def default_meshes() -> MeshSplit:
    """Return the procedural objects, made once per process: 8 to learn from, 7 to test on.

    Both sets have animals of `taichisoft.shapes.blob`, with different seeds.
    """
    return MeshSplit(
        train=_procedural(TRAIN_OBJECTS, TRAIN_BLOBS),
        held_out=_procedural(HELD_OUT_OBJECTS, HELD_OUT_BLOBS),
    )


def load_meshes(files: Sequence[str | os.PathLike]) -> MeshSplit:
    """Read meshes from files, each centred and scaled to a largest radius of 1.

    Parameters
    ----------
    files : sequence of paths
        At least two different files, in a format of `taichisoft.load_mesh`. The first, third,
        fifth, ... are to learn from, the others to test on.

    Raises
    ------
    TypeError
        A single path instead of a sequence.
    FileNotFoundError
        No such file.
    ValueError
        Fewer than two files, a file given twice, one that cannot be read, or equal meshes.
    """
    if isinstance(files, (str, os.PathLike)):
        raise TypeError(f"files must be a sequence of paths, got the single path {str(files)!r}")
    paths = [Path(file) for file in files]
    if len(paths) < 2:
        raise ValueError(
            f"files must hold at least 2 meshes, one to learn from and one to test on, "
            f"got {len(paths)}"
        )
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(f"files must all be different, got {[str(path) for path in paths]}")
    meshes = {
        str(path): load_mesh(path, normalize=True, materials=False).with_vertex_opacity(None)
        for path in paths
    }
    return MeshSplit(
        train={str(path): meshes[str(path)] for path in paths[::2]},
        held_out={str(path): meshes[str(path)] for path in paths[1::2]},
    )


def _procedural(names: Sequence[str], seeds: Sequence[int]) -> dict[str, Mesh]:
    objects = {name: OBJECTS[name]() for name in names}
    return objects | {f"blob {seed}": blob(seed) for seed in seeds}


def _check_meshes(meshes: object, name: str) -> None:
    check_type(meshes, name, Mapping)
    if not meshes:
        raise ValueError(f"{name} must hold at least one mesh, got none")
    for key, mesh in meshes.items():
        check_type(mesh, f"{name}[{key!r}]", Mesh)
        if mesh.vertices.ndim != 2:
            raise ValueError(
                f"{name}[{key!r}] must not be batched, got vertices of shape "
                f"{tuple(mesh.vertices.shape)}"
            )
        if mesh.num_faces == 0:
            raise ValueError(f"{name}[{key!r}] must have at least one face, got none")


def _equal(first: Mesh, second: Mesh) -> bool:
    return torch.equal(first.vertices, second.vertices) and torch.equal(first.faces, second.faces)
