"""TensorBoard scalars, if TensorBoard is installed."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from meta.runs.history import Record

CURVES = (
    "objective",
    "error_mean",
    "success",
    "gradient_norm",
    "clipped",
    "skipped",
    "scale",
)
JUDGED = ("objective", "error_mean", "success", "ahead")


class Scalars:
    """Writes the numbers of each step for TensorBoard, or nothing if it is not installed.

    Parameters
    ----------
    folder : Path
        Where the event files go.
    step : int
        Steps taken before; later ones that an interrupted run wrote are hidden.
    """

    def __init__(self, folder: Path, step: int):
        self.writer = None
        if importlib.util.find_spec("tensorboard") is not None:
            module = importlib.import_module("torch.utils.tensorboard")
            self.writer = module.SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, record: Record) -> None:
        """Write one step."""
        if self.writer is not None:
            for name in CURVES:
                self.writer.add_scalar(name, getattr(record, name), record.step)
            if record.validation_objective is not None:
                for name in JUDGED:
                    value = getattr(record, f"validation_{name}")
                    self.writer.add_scalar(f"validation/{name}", value, record.step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self.writer is not None:
            self.writer.close()
