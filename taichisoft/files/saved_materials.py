"""Materials as they are saved: names of their own, colours in [0, 1] and images as PNG, each once."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import PIL.Image
import torch

from taichisoft.files.colors import to_bytes, to_levels
from taichisoft.geometry.material import Material

OPAQUE = 255


@dataclass(frozen=True)
class Saved:
    """A material.

    Parameters
    ----------
    name : str
        Which no other one has.
    color : list of float
        RGB.
    opacity : float
    image : int or None
        The number of its image.
    """

    name: str
    color: list[float]
    opacity: float
    image: int | None


@dataclass(frozen=True)
class Image:
    """The content of a PNG file, of RGB or of RGBA.

    Parameters
    ----------
    content : bytes
    has_opacity : bool
    """

    content: bytes
    has_opacity: bool


def saved_materials(materials: tuple[Material, ...]) -> tuple[list[Saved], list[Image]]:
    """Return materials as they are saved, and the images that they use.

    Raises
    ------
    ValueError
        Colours that are not grey or RGB, or far outside of [0, 1].
    """
    images: list[Image] = []
    names: set[str] = set()
    saved = []
    for index, material in enumerate(materials):
        where = f"materials[{index}]"
        check_channels(material, where)
        image = None
        if material.has_texels:
            made = _png(material, where)
            if made not in images:
                images.append(made)
            image = images.index(made)
        color = to_levels(material.color, f"color of {where}").tolist()
        opacity = 1.0 if material.opacity is None else float(material.opacity)
        saved.append(
            Saved(_name(material.name, index, names), color * (3 // len(color)), opacity, image)
        )
    return saved, images


def check_channels(material: Material, where: str) -> None:
    """Raise ValueError for a material of other colours than grey or RGB."""
    if material.channels not in (1, 3):
        raise ValueError(
            f"{where} must be grey or RGB to be saved, got {material.channels} channels"
        )


def _name(name: str, index: int, taken: set[str]) -> str:
    """Return a name in one line, with a number if another material has it.

    A backslash at its end, which would continue the line in OBJ, is left out.
    """
    plain = " ".join(name.split()).rstrip("\\ ") or f"material_{index}"
    unique, number = plain, 1
    while unique in taken:
        number += 1
        unique = f"{plain}_{number}"
    taken.add(unique)
    return unique


def _png(material: Material, where: str) -> Image:
    numbers = pixels(material, where)
    out = BytesIO()
    PIL.Image.fromarray(numbers).save(out, "PNG")
    return Image(out.getvalue(), numbers.shape[-1] > 3)


def pixels(material: Material, where: str) -> np.ndarray:
    """Return the texels of a material as bytes: RGB, or RGBA if some of them are not opaque."""
    opacity = material.image_opacity
    if material.image is None:
        assert opacity is not None, "a material with texels has an image of one kind or the other"
        numbers = np.full((*opacity.shape, 3), OPAQUE, np.uint8)
    else:
        numbers = to_bytes(material.image, f"image of {where}")
    if opacity is None:
        return numbers
    alpha = np.rint(OPAQUE * opacity.detach().cpu().double().numpy()).astype(np.uint8)
    opaque = (alpha == OPAQUE).all()
    return numbers if opaque else np.concatenate([numbers, alpha[..., None]], -1)


def faces_of(face_materials: torch.Tensor | None, faces: int) -> np.ndarray:
    """Return which material each face has; the first by default."""
    if face_materials is None:
        return np.zeros(faces, np.int64)
    return face_materials.cpu().numpy()
