"""Recorders of the numbers of each step: history, TensorBoard, and a bar or what says how far it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

from meta.runs import history
from meta.runs.folder import RunFolder
from meta.runs.history import Record
from meta.runs.scalars import Scalars


class Recorder(ABC):
    """A context in which the steps of a run are recorded."""

    @abstractmethod
    def add(self, record: Record) -> None:
        """Record one step."""

    @abstractmethod
    def close(self) -> None:
        """Add no more."""

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Progress(Recorder):
    """Shows each step: a bar goes on.

    Parameters
    ----------
    done, total : int
        Steps taken before, and of the whole run.
    on_step : callable, optional
        Called with each record in the place of the bar.
    """

    def __init__(self, done: int, total: int, on_step: Callable[[Record], object] | None = None):
        self.on_step = on_step
        self.bar = tqdm(
            total=total,
            initial=done,
            desc="meta-training",
            unit="step",
            disable=on_step is not None,
        )

    def add(self, record: Record) -> None:
        """Let the bar go on."""
        self.bar.set_postfix(loss=f"{record.objective:.4f}", scale=f"{record.scale:.3f} px")
        self.bar.update()
        if self.on_step is not None:
            self.on_step(record)

    def close(self) -> None:
        """Close the bar."""
        self.bar.close()


class FolderRecorder(Recorder):
    """Records in a run folder, and shows the progress.

    Parameters
    ----------
    folder : RunFolder
        The folder.
    done, total : int
        Steps taken before, and of the whole run.
    on_step : callable, optional
        Called with each record, after it was kept. Default: a bar goes on.
    """

    def __init__(
        self,
        folder: RunFolder,
        done: int,
        total: int,
        on_step: Callable[[Record], object] | None = None,
    ):
        self.folder = folder
        self.scalars = Scalars(folder.path / "tensorboard", done)
        self.progress = Progress(done, total, on_step)

    def add(self, record: Record) -> None:
        """Write the line of the history first: a checkpoint needs it."""
        history.append(self.folder.history, record)
        self.scalars.add(record)
        self.progress.add(record)

    def close(self) -> None:
        """Close files and bar."""
        self.progress.close()
        self.scalars.close()


class NoRecorder(Recorder):
    """Of processes other than the first, whose numbers are the same."""

    def add(self, record: Record) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
