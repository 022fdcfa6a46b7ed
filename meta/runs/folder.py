"""Files of a run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta.learning.object_settings import ObjectSettings
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
    def lock(self) -> Path:
        """Held by the process that trains; there while it runs."""
        return self.path / "run.lock"

    @property
    def results_lock(self) -> Path:
        """Held by the process that writes an evaluation, or other results, into the folder."""
        return self.path / "results.lock"

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

    def check_run(self) -> None:
        """Raise FileNotFoundError unless there is a run in the folder."""
        if not self.config.is_file():
            raise FileNotFoundError(f"no training run in {self.path}: {self.config} is missing")

    def read_about(self) -> dict[str, Any]:
        """Return what config.json holds.

        Raises
        ------
        FileNotFoundError
            The folder or its config.json is missing.
        ValueError
            The file is damaged.
        """
        self.check_run()
        return read_json_object(self.config)

    def read_settings(self) -> TrainSettings:
        """Return the settings of the run.

        Raises
        ------
        FileNotFoundError
            The folder or its config.json is missing.
        ValueError
            The file is damaged or from another version; the message names the field.
        """
        values = self._read_values()
        if _is_of_objects(values):
            raise ValueError(
                f"{self.path} holds a run of meta.learn, of objects that are in no file: the same call in "
                "Python goes on with it, and returns the softness"
            )
        try:
            return TrainSettings.from_json(values)
        # What else than numbers, texts and lists may be in the place of any of them.
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"{self.config} is damaged: settings: {error}") from error

    def check_object_settings(self, settings: ObjectSettings) -> None:
        """Raise ValueError unless the folder holds a run of `meta.learn` with just these settings."""
        values = self._read_values()
        if not _is_of_objects(values):
            raise ValueError(f"{self.path} holds a run of meta.train: name another folder")
        names = [name for name, value in settings.to_json().items() if values.get(name) != value]
        if names:
            raise ValueError(
                f"{self.path} holds a run with another {', '.join(names)}: go on with what it was begun "
                "with, or name another folder"
            )

    def _read_values(self) -> Any:
        """Return the settings in config.json, as they are there."""
        about = self.read_about()
        if "settings" not in about:
            raise ValueError(f"{self.config} is damaged: the field 'settings' is missing")
        return about["settings"]


def _is_of_objects(values: Any) -> bool:
    return isinstance(values, dict) and values.get("name") == ObjectSettings.name


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    # Text that is no UTF-8, no JSON, a number of too many digits, brackets in brackets without end.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} is damaged: it must hold an object, got a {type(values).__name__}"
        )
    return values


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a crash, sees the old or the new one and nothing else."""
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json_atomically(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_text_atomically(path, json.dumps(value, indent=2) + "\n")
