"""`Softness`: everything by which a soft renderer differs from a hard one."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from taichisoft.base.checks import check_integer, check_type
from taichisoft.softness.aggregation import Aggregation, Probabilistic
from taichisoft.softness.annealing import FollowsProgress
from taichisoft.softness.conditioned import FollowsSituation
from taichisoft.softness.coverage import Coverage, CustomCoverage, Gaussian
from taichisoft.softness.occlusion import FrontToBack, Occlusion
from taichisoft.softness.part import Part
from taichisoft.softness.scale import check_progress
from taichisoft.softness.situation import Situation
from taichisoft.softness.trained import Trained
from taichisoft.softness.words import (
    effects_in_words,
    effects_of,
    has_knots,
    kinds_in_words,
    parameters_in_words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PARTS: dict[str, type[Part]] = {
    "coverage": Coverage,
    "aggregation": Aggregation,
    "occlusion": Occlusion,
}


class Softness(Part):
    """The three functions that make a renderer soft, as one object that can be saved, loaded and drawn.

    Parameters
    ----------
    coverage : Coverage or Module
        From signed distance to coverage, with its scale. Any other module that maps a number to [0, 1] is
        taken as a `CustomCoverage` with a scale of one pixel. Default: `Gaussian` with a scale of one pixel.
    aggregation : Aggregation
        How the coverages of several faces combine. Default: `Probabilistic`.
    occlusion : Occlusion
        How faces hide each other. Default: `FrontToBack`, with a gamma of 0.02 of the extent in depth of what
        is drawn.

    Attributes
    ----------
    trained : dict
        How it was trained, as given to `save`; empty if nothing was given. ``print`` of one that was loaded
        shows the main things of it.
    """

    aggregation: Aggregation
    occlusion: Occlusion

    def __init__(
        self,
        coverage: Coverage | nn.Module | None = None,
        aggregation: Aggregation | None = None,
        occlusion: Occlusion | None = None,
    ):
        super().__init__()
        self.coverage = Gaussian(1.0) if coverage is None else coverage
        self.aggregation = Probabilistic() if aggregation is None else aggregation
        self.occlusion = FrontToBack() if occlusion is None else occlusion
        self.trained: dict = Trained()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a part must be of its kind whenever it is set."""
        if name == "coverage":
            value = _as_coverage(value)
        if name in PARTS:
            check_type(value, name, PARTS[name])
        super().__setattr__(name, value)

    if TYPE_CHECKING:
        # What `__setattr__` takes and makes of it.
        @property
        def coverage(self) -> Coverage:
            """From signed distance to coverage."""

        @coverage.setter
        def coverage(self, value: nn.Module) -> None: ...

    def __str__(self) -> str:
        return "\n".join(kinds_in_words(self))

    def describe(self, situation: Situation | None = None) -> str:
        """Say in words what it is, what of it is learned, how it was learned and what it earned.

        Of the latter two it says what `trained` holds, that is the header of its file, and no more. If it
        follows the situation, it says which of its numbers follow what.

        Parameters
        ----------
        situation : Situation, optional
            Say instead, in a sentence, what it does for such a scene: its width in pixels, shift, parameter
            of the T-conorm and gamma, at the first step and at the last, and half-way if it runs through
            knots. The situation that it was told before stays.

        Raises
        ------
        TypeError
            ``situation`` is no `Situation`.
        """
        if situation is not None:
            return self._effects(situation)
        lines = [*kinds_in_words(self), parameters_in_words(self), *Trained(self.trained).lines()]
        return "\n".join(lines)

    def _effects(self, situation: Situation) -> str:
        told = copy.deepcopy(self)
        told.set_situation(situation)
        parts, scale = (told.coverage, told.aggregation, told.occlusion), told.coverage.scale
        effects = []
        for progress in (0.0, 0.5, 1.0) if has_knots(told) else (0.0, 1.0):
            told.set_progress(progress)
            effects.append(effects_of(parts, scale, situation.image_height))
        return effects_in_words(situation, *effects)

    def units(self) -> dict[str, str]:
        """Return in which units its lengths are, in words."""
        return {
            "coverage.scale": self.coverage.scale.unit,
            "occlusion.gamma": self.occlusion.gamma_unit,
        }

    def set_progress(self, progress: float) -> None:
        """Say how much of an optimisation is done, for what is annealed; `anneal` does so itself.

        Parameters
        ----------
        progress : float
            From 0, before the first step, to 1, at the last: ``k / (steps - 1)`` before step k.
        """
        progress = check_progress(progress)
        for module in self.modules():
            if isinstance(module, FollowsProgress):
                module.set_progress(progress)

    @property
    def is_conditioned(self) -> bool:
        """Whether anything of it follows the situation."""
        return any(isinstance(module, FollowsSituation) for module in self.modules())

    def set_situation(self, situation: Situation) -> None:
        """Say what is known of a scene before the first step, for conditioned numbers.

        Parameters
        ----------
        situation : Situation
            What `situation_of` measures. It stays until the next is set, is copied with the softness, and is
            no part of its ``state_dict`` or file.
        """
        check_type(situation, "situation", Situation)
        for module in self.modules():
            if isinstance(module, FollowsSituation):
                module.set_situation(situation)

    def anneal(self, steps: int) -> Iterator[int]:
        """Count the steps of an optimisation, and say before each how much is done.

        Parameters
        ----------
        steps : int
            Number of steps, not negative.

        Returns
        -------
        iterator of int
            From 0 to ``steps - 1``: before step k the progress is ``k / (steps - 1)``, and 1 after the last.
            A loop that is left early leaves it where it was. Nothing changes if nothing is annealed.

        Raises
        ------
        TypeError, ValueError
            ``steps`` is no int, or negative.
        """
        return self._steps(check_integer(steps, "steps", minimum=0))

    def _steps(self, steps: int) -> Iterator[int]:
        for step in range(steps):
            self.set_progress(step / max(steps - 1, 1))
            yield step
        self.set_progress(1.0)

    def save(self, path: str | os.PathLike, trained: dict | None = None) -> None:
        """Save to one small safetensors file, see `taichisoft.softness.file`.

        Parameters
        ----------
        path : path
            File to write; it is replaced atomically.
        trained : dict, optional
            JSON-able: how the softness was trained. Default: what `trained` holds.

        Raises
        ------
        TypeError
            A part is of a kind that could not be loaded again, or `trained` is not JSON-able.
        ValueError
            A part is larger than what can be loaded again.
        """
        from taichisoft.softness.file import write  # sugar

        write(self, path, self.trained if trained is None else trained)

    @classmethod
    def load(cls, path: str | os.PathLike, *, trainable: bool = False) -> Softness:
        """Load what `save` saved, on the CPU. A file from elsewhere cannot run code.

        Parameters
        ----------
        path : path
            A softness file.
        trainable : bool
            Whether its parameters require gradients. By default they do not: an optimizer that has them
            changes nothing, and a render is quicker. ``requires_grad_`` changes it later.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            The file is no softness, or is damaged; the message names it.
        """
        from taichisoft.softness.file import read  # sugar

        check_type(trainable, "trainable", bool)
        return read(path, cls, trainable=trainable)

    def plot(self, image_height: int = 64, axes: Sequence[Axes] | None = None) -> Figure:
        """Draw coverage and its slope over the distance in pixels, aggregation and occlusion.

        Parameters
        ----------
        image_height : int
            Height in pixels of the images that the scale applies to.
        axes : sequence of four Axes, optional
            What to draw on, in that order. Default: a new figure, which is not known to pyplot; notebooks
            show it, and ``figure.savefig(path)`` saves it.

        Returns
        -------
        Figure
            That of the axes.

        Raises
        ------
        ImportError
            matplotlib is missing; it comes with ``taichisoft[train]``.
        """
        check_integer(image_height, "image_height", minimum=1)
        from taichisoft.softness.plot import plot_softness  # sugar

        return plot_softness(self, image_height, axes)


def _as_coverage(coverage: object) -> object:
    """Wrap a module from elsewhere; leave all else to the checks."""
    ours = (Coverage, Aggregation, Occlusion, Softness)
    if isinstance(coverage, nn.Module) and not isinstance(coverage, ours):
        return CustomCoverage(coverage)
    return coverage
