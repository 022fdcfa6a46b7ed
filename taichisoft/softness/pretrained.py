"""Learned softness that comes with the library: files in the folder ``weights`` of the package."""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from taichisoft.base.checks import check_type
from taichisoft.softness.softness import Softness

if TYPE_CHECKING:
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable
    else:
        from importlib.abc import Traversable

SUFFIX = ".safetensors"


def pretrained_names() -> tuple[str, ...]:
    """Return the names that `SoftRasterizer.pretrained` accepts, sorted.

    Each is a family of problems that a softness was learned from, or "general" for all of them together.
    """
    return names_in(shipped())


def shipped() -> Traversable:
    """Return the folder of the softness files that are part of the package."""
    return files("taichisoft") / "weights"


def names_in(folder: Traversable) -> tuple[str, ...]:
    """Return the names of the softness files in a folder, sorted; none if there is no such folder."""
    if not folder.is_dir():
        return ()
    found = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)))


def load_from(folder: Traversable, name: str, *, trainable: bool = False) -> Softness:
    """Return the softness of that name.

    Parameters
    ----------
    folder : Traversable
        A `pathlib.Path`, or a folder within a package.
    name : str
        File name without its suffix.
    trainable : bool
        Whether its parameters require gradients.

    Raises
    ------
    TypeError
        ``name`` is not a string.
    ValueError
        There is none of that name, or its file is damaged.
    """
    check_type(name, "name", str)
    names = names_in(folder)
    if name not in names:
        present = ", ".join(names) or "none, since no weights are there"
        raise ValueError(f"name must be one of the softnesses present ({present}), got {name!r}")
    # The files of a package may lie in an archive.
    with as_file(folder / (name + SUFFIX)) as path:
        return Softness.load(path, trainable=trainable)
