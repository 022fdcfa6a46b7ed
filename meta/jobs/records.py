"""Records: results of jobs in files that know what they are the result of.

A record is a safetensors file. Its header tells everything that the result depends on, and its name has a
hash of that, so that a result is found again if and only if it would come out the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from taichisoft import Softness
from taichisoft.base.files import write_atomically
from taichisoft.softness.registry import describe

FORMAT = "taichisoft record 1"


@dataclass(frozen=True, eq=False)
class Record:
    """A result.

    Parameters
    ----------
    tensors : dict of Tensor
        The large part.
    values : dict
        The rest, JSON-able.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def write_record(path: Path, record: Record, origin: dict[str, Any]) -> None:
    """Write a record atomically.

    Parameters
    ----------
    path : Path
        File to write; its folder is made.
    record : Record
        The result.
    origin : dict
        JSON-able: everything that the result depends on.
    """
    header = {
        "format": FORMAT,
        "origin": json.dumps(origin, sort_keys=True),
        "values": json.dumps(record.values),
    }
    tensors = {name: value.contiguous() for name, value in record.tensors.items()}
    header["sum"] = _sum(tensors, header["values"])
    path.parent.mkdir(parents=True, exist_ok=True)
    content = safetensors.torch.save(tensors, metadata=header)
    write_atomically(path, lambda partial: partial.write_bytes(content))


def read_record(path: Path, origin: dict[str, Any]) -> Record | None:
    """Return the record of a file, or None if there is none, or it is damaged or of another origin.

    Records of earlier versions have no checksum, and are taken as they are.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        values = json.loads(header.get("values", ""))
    # Not even readable: a folder without permission, a header that is no text.
    except (SafetensorError, OSError, ValueError, RecursionError):
        return None
    if header.get("format") != FORMAT or header.get("origin") != json.dumps(origin, sort_keys=True):
        return None
    if not isinstance(values, dict):
        return None
    if header.get("sum", "") not in ("", _sum(tensors, header["values"])):
        return None
    return Record(tensors, values)


def _sum(tensors: Mapping[str, Tensor], values: str) -> str:
    """Return a checksum of the content, which the format has none of."""
    parts = [[name, str(t.dtype), list(t.shape), _hash(t)] for name, t in sorted(tensors.items())]
    return digest({"tensors": parts, "values": values})


def digest(origin: dict[str, Any]) -> str:
    """Return a short hash of what a result depends on, for file names."""
    text = json.dumps(origin, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: object) -> Any:
    """Return JSON-able data that tell two values apart: settings, families with their meshes, and so on.

    Dataclasses by their class and fields, tensors by a hash of their numbers.

    Raises
    ------
    TypeError
        A value of a kind that is none of these.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return [str(value.dtype), list(value.shape), _hash(value)]
    if isinstance(value, torch.dtype | Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [plain(element) for element in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": type(value).__qualname__, **fields}
    raise TypeError(f"value must be data, got a {type(value).__name__}")


def plain_softness(softness: Softness) -> dict[str, Any]:
    """Return JSON-able data that tell two softnesses apart: their kinds, settings and weights."""
    parts = {name: describe(part) for name, part in softness.settings().items()}
    return {**parts, "weights": {k: _hash(v) for k, v in softness.state_dict().items()}}


def _hash(value: Tensor) -> str:
    array = value.detach().cpu().contiguous().numpy()
    return hashlib.sha256(array.tobytes()).hexdigest()[:32]
