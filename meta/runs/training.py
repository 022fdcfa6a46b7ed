"""A training run as a job."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

from meta.jobs.jobs import Job
from meta.learning.settings import TrainSettings
from meta.runs.folder import RunFolder
from meta.runs.run import create, reopen
from meta.runs.verdict import steps_taken
from taichisoft import Softness

# Where a run is made, and not what comes of it.
CIRCUMSTANCES = {"out", "backend", "threads"}


@dataclass(frozen=True)
class Training(Job):
    """Learning a softness in a run folder: begun, continued, or done already.

    Parameters
    ----------
    settings : TrainSettings
        Everything that matters, the folder included.
    """

    settings: TrainSettings

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return RunFolder(Path(self.settings.out))

    @property
    def name(self) -> str:
        """The name of the folder."""
        return f"training {self.folder.path.name}"

    def done(self) -> bool:
        """Return whether all steps are taken.

        Raises
        ------
        ValueError
            The folder holds a run with other settings, or a damaged one.
        """
        if not self.folder.config.is_file():
            return False
        self._check_same(self.folder.read_settings())
        trained = Softness.load(self.folder.softness).trained
        try:
            taken = steps_taken(trained)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.folder.softness} is damaged: trained: {error}") from error
        return taken >= self.settings.outer.steps

    def run(self) -> None:
        """Take the steps that are left; progress goes to log.txt in the folder."""
        path = self.folder.path
        path.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(self.settings.threads)
        with (path / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
            run = reopen(path) if self.folder.config.is_file() else create(self.settings)
            run.finish()

    def _check_same(self, found: TrainSettings) -> None:
        names = [n for n in self.settings.differences(found) if n not in CIRCUMSTANCES]
        if names:
            raise ValueError(
                f"{self.folder.path} holds a run with another {', '.join(names)} than planned: remove it or "
                "change the plan"
            )
