"""Saving a softness to one small file and loading it again.

The file is in the safetensors format: parameters as tensors and, in its header, a JSON description of what
to build from them. Only the kinds listed here are ever built, so a file from elsewhere cannot run code.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from taichisoft.aggregation import Max, Probabilistic
from taichisoft.coverage import (
    ExponentialReversed,
    GammaReversed,
    Gaussian,
    Heaviside,
    Logistic,
    MLPCoverage,
    MonotoneSpline,
    Uniform,
)
from taichisoft.occlusion import DepthSoftmax
from taichisoft.positive import Positive
from taichisoft.rasterizer import SoftRasterizer
from taichisoft.scale import HeightFraction, Pixels

FORMAT = "taichisoft softness 1"
KINDS = {
    kind.__name__: kind
    for kind in (
        DepthSoftmax,
        ExponentialReversed,
        GammaReversed,
        Gaussian,
        Heaviside,
        HeightFraction,
        Logistic,
        Max,
        MLPCoverage,
        MonotoneSpline,
        Pixels,
        Positive,
        Probabilistic,
        SoftRasterizer,
        Uniform,
    )
}


def save_softness(
    renderer: SoftRasterizer, path: str | os.PathLike, notes: dict | None = None
) -> None:
    """Save the softness of a renderer.

    Parameters
    ----------
    renderer : SoftRasterizer
        Made of the library's own coverage, aggregation and occlusion.
    path : path
        File to write; it is replaced atomically.
    notes : dict, optional
        JSON-able remarks, for example how the softness was trained.

    Raises
    ------
    TypeError
        A part is of a kind that could not be loaded again.
    """
    path = Path(path)
    header = {
        "format": FORMAT,
        "softness": json.dumps(_describe(renderer)),
        "notes": json.dumps(notes or {}),
    }
    tensors = {name: value.contiguous() for name, value in renderer.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(safetensors.torch.save(tensors, metadata=header))
    partial.replace(path)


def load_softness(path: str | os.PathLike) -> tuple[SoftRasterizer, dict]:
    """Load what `save_softness` saved.

    Returns
    -------
    tuple of SoftRasterizer and dict
        The renderer and the notes.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no softness, or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: no such file: {path}")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"path: {path} is not a safetensors file: {error}") from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"path: {path} must have the format {FORMAT!r}, got {header.get('format')!r}"
        )
    try:
        renderer = _build(json.loads(header["softness"]))
        renderer.load_state_dict(tensors)
        notes = json.loads(header["notes"])
    except (KeyError, TypeError, AttributeError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"path: {path} is damaged: {error}") from error
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ValueError(f"path: {path} is damaged: it holds numbers that are not finite")
    return renderer, notes


def _describe(module: nn.Module) -> dict:
    kind = type(module).__name__
    if KINDS.get(kind) is not type(module):
        raise TypeError(f"renderer: a {kind} cannot be saved, only {', '.join(sorted(KINDS))}")
    settings = {
        name: _describe(value) if isinstance(value, nn.Module) else value
        for name, value in module.settings().items()
    }
    return {"kind": kind, "settings": settings}


def _build(description: dict) -> nn.Module:
    kind = KINDS.get(description["kind"])
    if kind is None:
        raise KeyError(f"unknown kind {description['kind']!r}")
    settings = {
        name: _build(value) if isinstance(value, dict) else value
        for name, value in description["settings"].items()
    }
    return kind(**settings)
