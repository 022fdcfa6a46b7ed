"""A progress bar in terminals and notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor


class ProgressBar:
    """A bar that is not shown."""

    def advance(self, step: int, loss: Tensor) -> None:
        """Go to a step; show the mean of the best losses."""


class TqdmBar(ProgressBar):
    """A bar of tqdm."""

    def __init__(self, bar: Any):
        self.bar = bar

    def advance(self, step: int, loss: Tensor) -> None:
        """Go to a step; show the mean of the best losses."""
        self.bar.set_postfix_str(f"best {float(loss.mean()):.4g}", refresh=False)
        self.bar.update(step - self.bar.n)


@contextmanager
def progress_bar(steps: int, visible: bool) -> Iterator[ProgressBar]:
    """Return a bar for a number of steps; tqdm is imported only if it is to be shown."""
    if not visible:
        yield ProgressBar()
        return
    # It looks for a notebook, so that importing it takes a while.
    from tqdm.auto import tqdm

    with tqdm(total=steps, unit="step") as bar:
        yield TqdmBar(bar)
