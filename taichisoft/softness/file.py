"""Softness files: one small file that tells everything about a softness and cannot do anything else.

The file is in the safetensors format: parameters as tensors and, in its header, strings:

``format``
    `FORMAT`.
``library``
    The library that wrote it, with its version.
``softness``
    JSON: for coverage, aggregation and occlusion its kind and its settings, see
    `taichisoft.softness.registry`.
``units``
    JSON: in which units lengths are.
``trained``
    JSON: how it was trained, as given to ``Softness.save``.

Nothing in a file is executed or unpickled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from taichisoft.base.checks import check_type
from taichisoft.base.files import write_atomically
from taichisoft.base.version import __version__
from taichisoft.softness.registry import build, describe
from taichisoft.softness.softness import PARTS, Softness
from taichisoft.softness.trained import Trained

FORMAT = "taichisoft softness 2"

MAX_FILE_BYTES = 2**24
MAX_JSON_CHARACTERS = 2**20
MAX_JSON_DEPTH = 32

# What damaged content may raise while modules are built from it.
DAMAGE = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError)


def write(softness: Softness, path: str | os.PathLike, trained: dict) -> None:
    """Write a softness to a file; see `taichisoft.softness.softness.Softness.save`."""
    check_type(trained, "trained", dict)
    parts = {name: describe(part) for name, part in softness.settings().items()}
    header = {
        "format": FORMAT,
        "library": f"taichisoft {__version__}",
        "softness": _to_json(parts, "softness"),
        "units": _to_json(softness.units(), "units"),
        "trained": _to_json(trained, "trained"),
    }
    tensors = {name: value.contiguous() for name, value in softness.state_dict().items()}
    content = safetensors.torch.save(tensors, metadata=header)
    _check_loadable(content, header, type(softness))
    write_atomically(Path(path), lambda partial: partial.write_bytes(content))


def read(
    path: str | os.PathLike, kind: type[Softness] = Softness, *, trainable: bool = False
) -> Softness:
    """Read a softness of a kind from a file; see `taichisoft.softness.softness.Softness.load`."""
    path = Path(path)
    header, tensors = _open(path)
    found = header.get("format")
    if found != FORMAT:
        raise ValueError(f"path: {path} must have the format {FORMAT!r}, got {found!r}")
    try:
        softness = _restored(header, tensors, kind)
    except DAMAGE as error:
        # Torch says it in several lines.
        raise ValueError(f"path: {path} is damaged: {' '.join(str(error).split())}") from error
    return softness.requires_grad_(trainable)


def _restored(header: dict[str, str], tensors: dict[str, Tensor], kind: type[Softness]) -> Softness:
    """Return the softness of a header and its tensors; raise one of `DAMAGE`."""
    _check_tensors(tensors)
    softness = kind(**_build_parts(_parse(header["softness"], "softness")))
    softness.load_state_dict(tensors)
    softness.trained = Trained(check_type(_parse(header["trained"], "trained"), "trained", dict))
    return softness


def _check_loadable(content: bytes, header: dict[str, str], kind: type[Softness]) -> None:
    """Raise ValueError unless what is about to be written could be read."""
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(
            f"softness must fit into {MAX_FILE_BYTES} bytes to be saved, got {len(content)}"
        )
    try:
        _restored(header, safetensors.torch.load(content), kind)
    except DAMAGE as error:
        raise ValueError(
            f"softness cannot be saved: it could not be loaded again: {error}"
        ) from error


def _open(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"path: no such file: {path}")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"path: {path} must have at most {MAX_FILE_BYTES} bytes, got {size}")
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"path: {path} is not a safetensors file: {error}") from error


def _build_parts(parsed: object) -> dict[str, Any]:
    described = check_type(parsed, "softness", dict)
    if described.keys() != PARTS.keys():
        raise ValueError(
            f"softness must have {', '.join(sorted(PARTS))}, got {', '.join(described)}"
        )
    return {name: build(part) for name, part in described.items()}


def _check_tensors(tensors: dict[str, Tensor]) -> None:
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise TypeError(f"{name} must hold floating-point numbers, got {value.dtype}")
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} holds numbers that are not finite")


def _to_json(value: object, name: str) -> str:
    """Return JSON that `_parse` accepts."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{name} must be JSON-able: {error}") from error
    _parse(text, name)
    return text


def _parse(text: str, name: str) -> Any:
    if len(text) > MAX_JSON_CHARACTERS:
        raise ValueError(
            f"{name} must have at most {MAX_JSON_CHARACTERS} characters of JSON, got {len(text)}"
        )
    try:
        parsed = json.loads(text)
        level = [parsed]
        for _ in range(MAX_JSON_DEPTH):
            level = [element for value in level for element in _elements(value)]
        if level:
            raise RecursionError
    except RecursionError as error:
        raise ValueError(f"{name} must be at most {MAX_JSON_DEPTH} levels deep") from error
    return parsed


def _elements(value: object) -> list:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
