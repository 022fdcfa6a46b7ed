"""Image files, through pillow."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from PIL import ImageOps
from torch import Tensor

from taichisoft.base.checks import check_dtype, check_type
from taichisoft.base.eager import eager

# Modes of pillow with 16 bits of grey, in one order of bytes or the other.
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")

# The tag of EXIF that says how an image is turned, and from which of its values on by a quarter.
ORIENTATION, QUARTER_TURNED = 0x0112, 5


@eager
def load_image(path: str | os.PathLike, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Read an image file: a photo that is to be fitted, or the image of a `Texture` or a `Material`.

    Parameters
    ----------
    path : str or path
        Any format that pillow reads: 8 bits, 16 bits, or floats in [0, 1]; grey, colours or a palette.
    dtype : torch.dtype
        Of the image, float32 or float64.

    Returns
    -------
    Tensor, (H, W, 3) or (H, W, 4)
        RGB in [0, 1], with the numbers of the file (not made linear): 255 of 8 bits and 65535 of 16 are 1.
        Grey is three equal channels. The fourth channel is the opacity, unless all is opaque; colours are as
        the file has them, and not multiplied by it. A texture takes it apart from them: ``image[..., :3]``
        and ``image[..., 3]``. Row 0 is the top, upright as the EXIF header says.

    Raises
    ------
    FileNotFoundError
        No such file.
    TypeError, ValueError
        An argument of a wrong type, or no readable image.
    """
    path = Path(check_type(path, "path", (str, os.PathLike)))
    check_dtype(dtype)
    image = torch.from_numpy(read_image(path, "path")).to(dtype)
    return image[..., :3].contiguous() if bool((image[..., 3] == 1).all()) else image


def write_image(image: Tensor, path: Path) -> None:
    """Write an image file, replacing an existing one.

    Parameters
    ----------
    image : Tensor, (H, W) or (H, W, 3) or (H, W, 4)
        Grey, RGB, or RGB and opacity (not multiplied into the colours), in [0, 1]; row 0 is the top.
    path : Path
        The suffix tells the format. Its folder must exist.

    Raises
    ------
    ValueError
        A suffix that pillow does not know.
    OSError
        The file cannot be written, or its format has no opacity.
    """
    numbers = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    PIL.Image.fromarray(numbers).save(path)


def check_image_format(path: Path, *, opacity: bool = False) -> None:
    """Raise unless `write_image` can write RGB, or RGB and opacity, in the format of the suffix.

    Raises
    ------
    ValueError
        A suffix that pillow does not know.
    OSError
        The format has no opacity, or no colours.
    """
    suffix = path.suffix.lower()
    kind = PIL.Image.registered_extensions().get(suffix)
    if kind not in PIL.Image.SAVE:
        raise ValueError(f"path must end in the suffix of an image, such as .png, got {path}")
    try:
        PIL.Image.new("RGBA" if opacity else "RGB", (1, 1)).save(BytesIO(), format=kind)
    except OSError as error:
        held = "opacity" if opacity else "colours"
        raise OSError(
            f"path must end in the suffix of a format that holds {held}, such as .png, got {path}: {error}"
        ) from error


def read_image(path: Path, name: str) -> np.ndarray:
    """Read an image file: upright, as its EXIF header says, in linear steps of its numbers.

    Parameters
    ----------
    path : Path
        8 bits, 16 bits, or floats in [0, 1]; grey, colours or a palette, with opacity or without.
    name : str
        What it is, in messages.

    Returns
    -------
    array, (H, W, 4), float64
        RGB and opacity in [0, 1]: 255 of 8 bits and 65535 of 16 bits are 1.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        No readable image, or numbers that are none of these.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be an existing file, got {path}")
    return levels_in(path, name, str(path))


def levels_in(file: Path | BytesIO, name: str, got: str) -> np.ndarray:
    """Return what `read_image` does, of bytes as well; messages speak of ``name`` and say what came."""
    try:
        with PIL.Image.open(file) as opened:
            opened.load()
            return levels(opened)
    except Exception as error:  # a decoder that meets a damaged file may raise anything
        raise ValueError(f"{name} must be a readable image, got {got}: {error}") from error


def image_size_of(path: Path) -> tuple[int, int]:
    """Return height and width of an image file, upright, from its header.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        No readable image.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"image_size must be given where there is no image to read it from, got no file {path}"
        )
    try:
        with PIL.Image.open(path) as file:
            width, height = file.size
            turned = file.getexif().get(ORIENTATION, 1) >= QUARTER_TURNED
    except Exception as error:  # a decoder that meets a damaged file may raise anything
        raise ValueError(f"the image must be readable, got {path}: {error}") from error
    return (width, height) if turned else (height, width)


def levels(image: Any) -> np.ndarray:
    """Return RGB and opacity of an image of pillow, upright, (H, W, 4) float64 in [0, 1].

    Raises
    ------
    ValueError
        Numbers that are neither 8 nor 16 bits nor in [0, 1].
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BITS:
        return _opaque_grey(np.asarray(image).astype(np.float64) / 65535)
    if image.mode == "I":  # 32 bits: what some formats and releases make of 16
        numbers = np.asarray(image)
        if numbers.min() < 0 or numbers.max() > 65535:
            raise ValueError(
                f"whole numbers must be from 0 to 65535, got {numbers.min()} to {numbers.max()}"
            )
        return _opaque_grey(numbers / 65535)
    if image.mode == "F":
        numbers = np.asarray(image).astype(np.float64)
        if not (numbers.min() >= 0 and numbers.max() <= 1):  # also if one is NaN
            raise ValueError(
                f"floats must be in [0, 1], got {numbers.min():g} to {numbers.max():g}"
            )
        return _opaque_grey(numbers)
    return np.asarray(image.convert("RGBA")).astype(np.float64) / 255


def _opaque_grey(grey: np.ndarray) -> np.ndarray:
    if grey.ndim != 2:
        raise ValueError(f"an image of one channel must have two axes, got shape {grey.shape}")
    return np.stack([grey, grey, grey, np.ones_like(grey)], -1)
