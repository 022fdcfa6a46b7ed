"""Checkpoints: all that is needed to continue a training run as if it had not been interrupted."""

from __future__ import annotations

import copy
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from meta.outer import OuterOptimizer
from taichisoft import SoftRasterizer
from taichisoft.checks import check_integer

KEYS = {"step", "softness", "outer"}


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
    """

    step: int
    softness: dict[str, Any]
    outer: dict[str, Any]

    @classmethod
    def take(cls, step: int, renderer: SoftRasterizer, outer: OuterOptimizer) -> Checkpoint:
        """Return a copy of the current state, which later steps do not change."""
        state = (renderer.state_dict(), outer.state_dict())
        return cls(step, *copy.deepcopy(state))

    def apply(self, renderer: SoftRasterizer, outer: OuterOptimizer) -> None:
        """Put renderer and optimiser into this state."""
        renderer.load_state_dict(self.softness)
        # Adam would go on to update the very tensors it is given.
        outer.load_state_dict(copy.deepcopy(self.outer))

    def save(self, path: Path) -> None:
        """Write the file atomically: a crash leaves the old one or the new one."""
        partial = path.with_name(path.name + ".partial")
        torch.save({"step": self.step, "softness": self.softness, "outer": self.outer}, partial)
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a file that `save` wrote. Only tensors and plain values are read, never code.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is no checkpoint, or is damaged.
        """
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint: {path} is missing")
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise ValueError(f"{path} is no checkpoint, or is damaged: {error}") from error
        if not isinstance(values, dict) or values.keys() != KEYS:
            raise ValueError(f"{path} is no checkpoint of a training run")
        check_integer(values["step"], f"step in {path}", minimum=0)
        return cls(**values)
