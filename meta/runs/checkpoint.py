"""Checkpoints: all that is needed to continue a training run as if it had not been interrupted."""

from __future__ import annotations

import copy
import io
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from meta.learning.gradients import MetaGradient
from meta.learning.method import Method
from meta.learning.outer import OuterOptimizer
from meta.runs.selection import Selection
from taichisoft.base.checks import check_finite, check_integer, check_type
from taichisoft.base.files import write_atomically


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after a number of outer steps. Random numbers need no state: they come from seed and step.

    Parameters
    ----------
    step : int
        Number of steps taken, which is also the length of the history.
    softness : dict
        ``state_dict`` of the renderer.
    outer : dict
        ``state_dict`` of the outer optimiser.
    gradient : dict
        ``state_dict`` of the meta-gradient estimator.
    rate : dict
        ``state_dict`` of the rate; empty in checkpoints from before it was learned, whose rate stays 1.
    selection : dict
        From `Selection.to_state`; empty if nothing is judged, as in files from before anything was.
    """

    step: int
    softness: dict[str, Any]
    outer: dict[str, Any]
    gradient: dict[str, Any]
    rate: dict[str, Any] = field(default_factory=dict)
    selection: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def take(
        cls,
        step: int,
        method: Method,
        outer: OuterOptimizer,
        gradient: MetaGradient,
        selection: Selection | None = None,
    ) -> Checkpoint:
        """Return a copy of the current state, which later steps do not change."""
        parts = (method.renderer, outer, gradient, method.rate)
        states = copy.deepcopy([part.state_dict() for part in parts])
        return cls(step, *states, selection.to_state() if selection else {})

    def apply(self, method: Method, outer: OuterOptimizer, gradient: MetaGradient) -> None:
        """Put method, optimiser and estimator into this state."""
        method.renderer.load_state_dict(self.softness)
        if self.rate:
            method.rate.load_state_dict(self.rate)
        # Adam would go on to update the very tensors it is given.
        outer.load_state_dict(copy.deepcopy(self.outer))
        gradient.load_state_dict(copy.deepcopy(self.gradient))

    def save(self, path: Path) -> None:
        """Write the file atomically: a crash leaves the old one or the new one."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # Not straight into the file: of a full disk torch would say nothing but that writing failed.
        content = io.BytesIO()
        torch.save(values, content)
        write_atomically(path, lambda partial: partial.write_bytes(content.getbuffer()))

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a file that `save` wrote. Only tensors and plain values are read, never code.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        TypeError, ValueError
            It is no checkpoint, is damaged, or was made by another version; the message names the field.
        """
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint: {path} is missing")
        try:
            _check_sums(path)
            values = torch.load(path, map_location="cpu", weights_only=True)
        # Damaged bytes make the reader fail in nearly any way.
        except Exception as error:
            text = f"{type(error).__name__}: {error}".split("\n")[0]
            raise ValueError(f"{path} is no checkpoint, or is damaged: {text}") from error
        names = [field.name for field in fields(cls)]
        if isinstance(values, dict):
            values = {"rate": {}, "selection": {}, **values}
        if not isinstance(values, dict) or values.keys() != set(names):
            raise ValueError(
                f"{path} is no checkpoint of a training run of this version: "
                f"it must hold {', '.join(names)} and nothing else"
            )
        check_integer(values["step"], f"step in {path}", minimum=0)
        for name in names[1:]:
            check_type(values[name], f"{name} in {path}", dict)
        for part in ("softness", "rate"):
            _check_numbers(values[part], f"{part} in {path}")
        _check_numbers(values["selection"].get("method", {}), f"selection.method in {path}")
        return cls(**values)


def _check_numbers(softness: Any, name: str) -> None:
    for key, value in check_type(softness, name, dict).items():
        check_finite(check_type(value, f"{key} of {name}", Tensor), f"{key} of {name}")


def _check_sums(path: Path) -> None:
    """Compare the content with its checksums, which torch writes and does not read (measured, torch 2.13)."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"wrong checksum of {damaged}")
