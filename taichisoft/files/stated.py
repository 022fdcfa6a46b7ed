"""What a mesh file states: its content in the plainest form, checked, and how many triangles it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")

# Larger coordinates are infinite in float32.
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Stated:
    """A checked file.

    Parameters
    ----------
    content : bytes
        What trimesh is given to read.
    triangles : int or None
        How many there are; None if only trimesh can tell.
    """

    content: bytes
    triangles: int | None


def decoded(content: bytes) -> str:
    """Return text of UTF-8 or, where that fails, Latin-1, with line breaks of one character."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def numbers(words: list[str], where: str) -> list[float]:
    """Return numbers that float32 holds.

    Raises
    ------
    ValueError
        A word is no number, or one that is not finite in float32.
    """
    return [_number(word, where) for word in words]


def _number(word: str, where: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise ValueError(f"{where}: a number was expected, got {word!r}") from None
    if not abs(value) <= LARGEST:
        raise ValueError(f"{where}: numbers must be finite in float32, got {value:g}")
    return value


def whole(word: str, where: str) -> int:
    """Return an int.

    Raises
    ------
    ValueError
        The word is none.
    """
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"{where}: a whole number was expected, got {word!r}") from None


def fan(corners: list[T]) -> list[list[T]]:
    """Cut a polygon into triangles: a fan, and a quad from its third corner."""
    if len(corners) == 4:
        return [corners[:3], [corners[2], corners[3], corners[0]]]
    return [[corners[0], corners[i], corners[i + 1]] for i in range(1, len(corners) - 1)]


def check_numbers(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise ValueError for positions that are not finite in float32, or indices of no vertex."""
    wrong = ~(np.abs(vertices) <= LARGEST)
    if wrong.any():
        row = int(np.nonzero(wrong.any(1))[0][0])
        raise ValueError(
            f"vertices must be finite in float32, got {vertices[row].tolist()} of vertex {row}"
        )
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError(f"faces need vertices outside of 0 to {len(vertices) - 1}")
