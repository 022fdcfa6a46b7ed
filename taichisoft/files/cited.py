"""Numbers in files of cameras, with errors that say where in which file something is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from taichisoft.base.checks import check_type


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Name the file in an error about what is in it.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        What was wrong in it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing {kind} file, got {path}")
    try:
        yield
    except ValueError as error:
        raise ValueError(f"path must be a readable {kind} file, got {path}: {error}") from error


def as_path(path: object) -> Path:
    """Return a path that a user gave."""
    return Path(check_type(path, "path", (str, os.PathLike)))


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds: an object. Raises ValueError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it must not be nested so deep") from error
    if not isinstance(found, dict):
        raise ValueError(f"it must hold a JSON object, got {type(found).__name__}")
    return found


def entry(record: object, key: str, where: str) -> Any:
    """Return an entry of an object of JSON."""
    if not isinstance(record, Mapping):
        raise ValueError(f"{where} must be an object, got {type(record).__name__}")
    if key not in record:
        raise ValueError(f'{where} must have "{key}", which is missing')
    return record[key]


def array(value: object, where: str, *shape: int) -> np.ndarray:
    """Return finite numbers of some shape, float64; a flat list may stand for any of that size."""
    try:
        found = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} must be numbers of shape {shape}, got {value!r}") from error
    if found.shape not in (shape, (int(np.prod(shape)),)):
        raise ValueError(f"{where} must be numbers of shape {shape}, got shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{where} must be finite, got {found.tolist()}")
    return found.reshape(shape)


def number(value: object, where: str) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where} must be a number, got {value!r}")
    return float(array(value, where))


def whole_number(value: object, where: str) -> int:
    """Return a whole number, of which files often write 800.0."""
    found = number(value, where)
    if found != int(found):
        raise ValueError(f"{where} must be a whole number, got {value!r}")
    return int(found)
