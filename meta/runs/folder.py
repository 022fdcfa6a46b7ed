"""Files of a run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta.learning.settings import TrainSettings
from taichisoft.base.files import write_atomically


@dataclass(frozen=True)
class RunFolder:
    """The files of one training run and its evaluation.

    Parameters
    ----------
    path : Path
        The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Settings, versions, backend, command line and start time, JSON."""
        return self.path / "config.json"

    @property
    def history(self) -> Path:
        """One JSON object per outer step."""
        return self.path / "history.jsonl"

    @property
    def checkpoint(self) -> Path:
        """What is needed to continue."""
        return self.path / "checkpoint.pt"

    @property
    def start(self) -> Path:
        """The softness before the first step, written by `meta.results`."""
        return self.path / "start.safetensors"

    @property
    def softness(self) -> Path:
        """The learned softness, for `taichisoft.Softness.load`."""
        return self.path / "softness.safetensors"

    @property
    def evaluation(self) -> Path:
        """Rows and verdicts of a comparison, JSON, written by `meta.evaluate`."""
        return self.path / "evaluation.json"

    @property
    def report(self) -> Path:
        """The page about the run, written by `meta.report`."""
        return self.path / "report.html"

    def read_settings(self) -> TrainSettings:
        """Return the settings of the run.

        Raises
        ------
        FileNotFoundError
            The folder or its config.json is missing.
        ValueError, TypeError
            The file is damaged or from another version.
        """
        if not self.config.is_file():
            raise FileNotFoundError(f"no training run in {self.path}: {self.config} is missing")
        try:
            values = json.loads(self.config.read_text(encoding="utf-8"))["settings"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{self.config} is damaged: {error!r}") from error
        return TrainSettings.from_json(values)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a crash, sees the old or the new one and nothing else."""
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json_atomically(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_text_atomically(path, json.dumps(value, indent=2) + "\n")
