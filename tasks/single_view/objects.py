"""Procedural objects: coloured meshes by category and number, those to learn from and those to test on."""

from __future__ import annotations

import numpy as np
import torch

from taichisoft import Mesh, face_normals
from taichisoft.base.checks import check_integer, check_type
from taichisoft.shapes.parts import combine
from tasks.base import Split
from tasks.single_view.categories import CATEGORIES

# Light that is fixed to the object, from above and in front: it is a part of the colours.
LIGHT = (0.4, 0.8, 0.45)
AMBIENT = 0.6


def draw_object(category: str, number: int, split: Split, seed: int = 0) -> Mesh:
    """Return one object; equal arguments give equal ones.

    Parameters
    ----------
    category : str
        Of `CATEGORIES`.
    number : int
        Which one, from 0 on.
    split : Split
        Objects of the two splits have no seed in common.
    seed : int
        Of all objects.

    Returns
    -------
    Mesh
        Centred on its bounding box, with a largest radius of 1; its colours, of faces, include a light.

    Raises
    ------
    TypeError, ValueError
        A bad argument, such as a category that is not there.
    """
    check_type(split, "split", Split)
    if category not in CATEGORIES:
        raise ValueError(f"category must be one of {', '.join(CATEGORIES)}, got {category!r}")
    place = list(CATEGORIES).index(category)
    held_out = int(split is Split.HELD_OUT)
    check_integer(number, "number", minimum=0)
    check_integer(seed, "seed", minimum=0)
    random = np.random.default_rng([seed, held_out, place, number])
    parts = CATEGORIES[category](random)
    mesh = combine([part for part, _ in parts])
    colors = np.concatenate([np.tile(color, (len(part.faces), 1)) for part, color in parts])
    return mesh.with_face_colors(torch.from_numpy(colors).float() * _light(mesh)[:, None])


def _light(mesh: Mesh) -> torch.Tensor:
    """Return how bright each face is, (F,): Lambert's law with a distant lamp."""
    lamp = torch.nn.functional.normalize(torch.tensor(LIGHT), dim=0)
    cosine = face_normals(mesh) @ lamp
    return AMBIENT + (1 - AMBIENT) * cosine.clamp(min=0)
