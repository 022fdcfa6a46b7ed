"""Training of a network through a renderer, which can be interrupted at any step and goes on the same."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from taichisoft.base.checks import check_integer
from tasks.single_view.checkpoint import Checkpoint, origin_of
from tasks.single_view.photographs import Photographs
from tasks.single_view.renderers import RENDERERS
from tasks.single_view.settings import Settings
from tasks.single_view.supervision import model_of

# Share of the learning rate that is left at the end.
LAST = 0.1
# Between the random numbers of two seeds.
STRIDE = 1_000_003
# Objects whose start is shown to a renderer that follows the scene.
TOLD = 8


class Training:
    """A network on its way from a seed.

    Parameters
    ----------
    settings : Settings
        What is trained, and how.
    photographs : Photographs
        What is learned from.
    renderer : str
        What is learned through: a name of `RENDERERS`.
    seed : int
        Of the network and of the views that each step looks at.

    Attributes
    ----------
    model : Model
        The networks.
    history : list of dict
        ``loss`` and ``iou`` of each step so far.
    seconds : float
        Of the processor that the steps have taken.
    """

    def __init__(self, settings: Settings, photographs: Photographs, renderer: str, seed: int = 0):
        if renderer not in RENDERERS:
            raise ValueError(f"renderer must be one of {', '.join(RENDERERS)}, got {renderer!r}")
        check_integer(seed, "seed", minimum=0)
        photographs.check_several()
        self.settings = settings
        self.photographs = photographs
        self.seed = seed
        self.model = model_of(settings, seed)
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self._renderer = RENDERERS[renderer].make()
        self._origin = origin_of(settings, renderer, self._renderer.fingerprint(), seed)
        self._tell()
        self._optimizer = torch.optim.Adam(self.model.parameters(), settings.learning_rate)

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return len(self.history)

    def run(
        self, steps: int | None = None, on_step: Callable[[Training], object] | None = None
    ) -> None:
        """Take so many more steps, by default all that are left.

        ``on_step`` is called with the training after each.
        """
        left = self.settings.steps - self.step
        for _ in range(left if steps is None else min(steps, left)):
            before = time.process_time()
            self._take_step()
            self.seconds += time.process_time() - before
            if on_step is not None:
                on_step(self)

    def checkpoint(self) -> Checkpoint:
        """Return the current state, to be saved before the next step."""
        return Checkpoint(
            self.step,
            self._origin,
            self.model.state_dict(),
            self._optimizer.state_dict(),
            list(self.history),
            self.seconds,
        )

    def resume(self, path: Path) -> None:
        """Go to the state that a file holds.

        Raises
        ------
        FileNotFoundError, ValueError
            There is no such file, it is damaged, or it is of other settings, another renderer, another
            softness of that name or another seed.
        """
        found = Checkpoint.load(path)
        differing = [k for k in self._origin if found.origin.get(k) != self._origin[k]]
        if differing:
            name = differing[0]
            raise ValueError(
                f"{path} must be of the same training, got another {name}: "
                f"{found.origin.get(name)} there, {self._origin[name]} here; choose another folder"
            )
        self.model.load_state_dict(found.model)
        self._optimizer.load_state_dict(found.optimizer)
        self.history = list(found.history)
        self.seconds = found.seconds

    def _take_step(self) -> None:
        settings, step = self.settings, self.step
        progress = step / max(settings.steps - 1, 1)
        self._renderer.set_progress(progress)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * _decay(progress)
        generator = torch.Generator().manual_seed(self.seed * STRIDE + step)
        rows = self.photographs.pairs(settings.batch, generator)
        colored = settings.loss.color > 0 and step % settings.loss.color_every == 0
        loss = self.model.loss(self.photographs, rows, self._renderer, colored=colored)
        if not bool(loss.total.isfinite()):
            raise FloatingPointError(f"the loss of step {step} must be finite, got {loss.total}")
        self._optimizer.zero_grad()
        loss.total.backward()
        self._optimizer.step()
        self.history.append({"loss": float(loss.total.detach()), "iou": float(loss.iou)})

    @torch.no_grad()
    def _tell(self) -> None:
        rows = torch.arange(min(TOLD, len(self.photographs)))
        mesh = self.model.shapes(self.photographs.pictures(rows))
        self._renderer.tell(mesh, self.photographs.camera[rows])


def parameters_of(model: nn.Module) -> int:
    """Return how many numbers are learned."""
    return sum(parameter.numel() for parameter in model.parameters())


def _decay(progress: float) -> float:
    return LAST + (1 - LAST) * (1 + math.cos(math.pi * progress)) / 2
