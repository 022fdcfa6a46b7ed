"""Checkpoints: all that a training needs to go on as if it had not been interrupted."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from taichisoft.base.files import write_atomically
from tasks.single_view.settings import (
    DataSettings,
    LossSettings,
    NetworkSettings,
    Settings,
    ViewSettings,
)

KEYS = {"step", "origin", "model", "optimizer", "history", "seconds"}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after a number of steps. Random numbers need none: they come from the seed and the step.

    Parameters
    ----------
    step : int
        Steps taken, which is also the length of the history.
    origin : dict
        Settings, renderer, its softness and seed, as `origin_of` makes it.
    model, optimizer : dict
        Their ``state_dict``.
    history : list of dict
        ``loss`` and ``iou`` of each step.
    seconds : float
        Of the processor, so far.
    """

    step: int
    origin: dict[str, Any]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float

    def save(self, path: Path) -> None:
        """Write the file atomically: a crash leaves the old one or the new one."""
        content = io.BytesIO()
        torch.save(vars(self), content)
        write_atomically(path, lambda partial: partial.write_bytes(content.getbuffer()))

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
        except Exception as error:  # damaged bytes make the reader fail in nearly any way
            text = f"{type(error).__name__}: {error}".split("\n")[0]
            raise ValueError(f"{path} is no checkpoint, or is damaged: {text}") from error
        if not isinstance(values, dict) or values.keys() != KEYS:
            raise ValueError(f"{path} is no checkpoint: it must hold {', '.join(sorted(KEYS))}")
        return cls(**values)


def origin_of(settings: Settings, renderer: str, softness: str, seed: int) -> dict[str, Any]:
    """Return what makes a training what it is, in plain values; the softness by its fingerprint."""
    own = {"renderer": renderer, "softness": softness, "seed": seed}
    return own | _plain(asdict(settings))


def settings_of(origin: dict[str, Any]) -> Settings:
    """Return the settings that an origin tells.

    Raises
    ------
    ValueError
        They are those of another version.
    """
    own = ("renderer", "softness", "seed")
    values = {name: value for name, value in origin.items() if name not in own}
    try:
        data = dict(values.pop("data"))
        views = dict(data.pop("views"))
        views["elevations"] = tuple(views["elevations"])
        return Settings(
            DataSettings(**data, views=ViewSettings(**views)),
            NetworkSettings(**values.pop("network")),
            LossSettings(**values.pop("loss")),
            **values,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"settings must be those of this version, got another: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
