"""`learn`: a softness and problems of the user, as objects and without any file."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from meta.config.parts import RATE
from meta.config.softness import parameters_by_part
from meta.jobs.records import digest
from meta.learning.gradients import AntitheticSettings, MetaGradientSettings
from meta.learning.method import Method
from meta.learning.object_settings import ObjectSettings
from meta.learning.settings import InnerLoop, OuterLoop, ValidationSettings
from meta.runs import history
from meta.runs.folder import RunFolder
from meta.runs.history import Record
from meta.runs.recorder import Progress
from meta.runs.run import learner_of, resume_or_begin
from meta.runs.subject import Subject
from meta.runs.trainer import Trainer
from meta.runs.verdict import Verdict
from taichisoft import Positive, Softness, SoftRasterizer
from taichisoft.base.checks import check_integer, check_type
from taichisoft.softness.trained import Trained
from tasks import Split, Task, TaskFamily

OnStep = Callable[[Record], object]


@dataclass(frozen=True, eq=False)
class LearnedRenderer:
    """What `learn` returns.

    Parameters
    ----------
    renderer : SoftRasterizer
        With the learned softness, frozen as one from a file is; ``requires_grad_`` changes that. What it
        says of itself (``renderer.softness.trained``) is what `meta.train` writes into a file.
    rate : float
        Multiple of each family's own learning rate that problems are to be solved with: the learned one, or
        else that of the inner loop.
    history : tuple of Record
        The outer steps, those of earlier calls on the same folder included.
    verdict : Verdict or None
        Which softness was kept, and how far it is ahead of the start; None if there was no validation.
    """

    renderer: SoftRasterizer
    rate: float
    history: tuple[Record, ...]
    verdict: Verdict | None

    @property
    def softness(self) -> Softness:
        """The learned softness, that of the renderer."""
        return self.renderer.softness


def learn(
    renderer: SoftRasterizer | Softness,
    families: Sequence[TaskFamily],
    *,
    problems: int | Sequence[int] = 4,
    learn_rate: bool = False,
    gradient: MetaGradientSettings | None = None,
    inner: InnerLoop | None = None,
    outer: OuterLoop | None = None,
    validation: ValidationSettings | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    on_step: OnStep | None = None,
) -> LearnedRenderer:
    """Learn a softness from families of problems, as ``python -m meta.train`` does, of any classes.

    Every parameter of the softness that requires a gradient is learned, also one of a class of the user.
    Equal arguments give equal histories. Those of families of the library are the ones that `meta.train` has
    with the same settings.

    Parameters
    ----------
    renderer : SoftRasterizer or Softness
        What to start from. It is copied and stays as it is.
    families : sequence of TaskFamily
        What to learn from, one or more; all count equally.
    problems : int or sequence of int
        How many problems of every family, or of each, make an outer step.
    learn_rate : bool
        Whether to learn a multiple of the learning rates of the inner loop as well.
    gradient : MetaGradientSettings, optional
        The estimator of the meta-gradient. Default: ``AntitheticSettings()``, evolution strategies.
    inner : InnerLoop, optional
        How problems are solved. Default: ``InnerLoop()``, 30 steps.
    outer : OuterLoop, optional
        How the softness is improved. Default: ``OuterLoop()``, 24 steps.
    validation : ValidationSettings, optional
        How the best softness is found. Default: ``ValidationSettings()``: the last one is returned unjudged.
    seed : int
        Of problems and perturbations.
    out : path, optional
        Run folder: history, checkpoints and, if no class of the user is in it, the softness. The same call
        goes on with a run that is there already, of which only numbers are read: the objects must be as they
        were. Default: no file is written, and what is interrupted is lost.
    on_step : callable, optional
        Called with what is known of each step. Default: a bar.

    Returns
    -------
    LearnedRenderer
        The new renderer, the history and the verdict.

    Raises
    ------
    TypeError
        An argument of another type; the message has its name.
    ValueError
        No parameter requires a gradient, there is no family, a number is out of its bounds, or the folder
        holds another run.
    """
    families = _checked(families)
    method = _method(renderer, check_type(learn_rate, "learn_rate", bool))
    settings = ObjectSettings(
        families=tuple(family.name for family in families),
        problems=_counts(problems, len(families)),
        image_size=_image_height(families[0]),
        learn=_learned_parts(method),
        start=digest({name: value.tolist() for name, value in method.state_dict().items()}),
        gradient=AntitheticSettings() if gradient is None else gradient,
        inner=InnerLoop() if inner is None else inner,
        validation=ValidationSettings() if validation is None else validation,
        outer=OuterLoop() if outer is None else outer,
        seed=seed,
    )
    trainer = Trainer(settings, subject=Subject(method, (families,)))
    records = _steps(trainer, on_step) if out is None else _kept_steps(trainer, Path(out), on_step)
    return _learned(trainer, records)


def load(folder: str | os.PathLike[str]) -> LearnedRenderer:
    """Return what a run of ``python -m meta.train`` has learned so far, from its last checkpoint.

    It has what no softness file holds: a coverage that the command line named by import path. Its module, and
    those of families that are named so, are imported and run.

    Parameters
    ----------
    folder : path
        The run folder.

    Raises
    ------
    FileNotFoundError
        There is no run.
    ValueError, TypeError
        It is damaged, it is one of `learn` (which returns it, called as before), or a module cannot be
        imported.
    """
    trainer = learner_of(Path(folder))
    rows = history.read(RunFolder(Path(folder)).history)
    return _learned(trainer, [Record.of_row(row) for row in rows[: trainer.done]])


def _steps(trainer: Trainer, on_step: OnStep | None) -> list[Record]:
    records = []
    with Progress(0, trainer.settings.outer.steps, on_step) as progress:
        for record in trainer.steps():
            records.append(record)
            progress.add(record)
    return records


def _kept_steps(trainer: Trainer, folder: Path, on_step: OnStep | None) -> list[Record]:
    run = resume_or_begin(trainer, folder)
    try:
        run.finish(on_step)
    finally:
        run.release()
    return [Record.of_row(row) for row in history.read(run.folder.history)]


def _learned(trainer: Trainer, records: Sequence[Record]) -> LearnedRenderer:
    renderer = trainer.kept().renderer.requires_grad_(False)
    trained = trainer.trained()
    renderer.softness.trained = Trained(trained)
    rate = trained.get(RATE, trainer.settings.inner.rate)
    return LearnedRenderer(renderer, rate, tuple(records), trainer.verdict())


def _checked(families: Sequence[TaskFamily]) -> tuple[TaskFamily, ...]:
    check_type(families, "families", Sequence)
    if not families:
        raise ValueError("families must hold at least one family of problems, got none")
    return tuple(check_type(f, f"families[{i}]", TaskFamily) for i, f in enumerate(families))


def _counts(problems: int | Sequence[int], families: int) -> tuple[int, ...]:
    """Return the number of problems of each family."""
    if not isinstance(problems, Sequence):
        return (check_integer(problems, "problems", minimum=1),) * families
    if len(problems) != families:
        raise ValueError(f"problems must be one or {families} numbers, got {len(problems)}")
    return tuple(problems)


def _method(renderer: SoftRasterizer | Softness, learn_rate: bool) -> Method:
    """Return a copy of what is to be learned."""
    check_type(renderer, "renderer", (SoftRasterizer, Softness))
    made = copy.deepcopy(renderer)
    if isinstance(made, Softness):
        made = SoftRasterizer(softness=made)
    # How it was learned before is not how this one is.
    made.softness.trained = Trained()
    method = Method(made, Positive(1.0, learn=learn_rate))
    if not _learns(method):
        raise ValueError(
            "renderer must have a parameter that requires a gradient, got one without: make it with "
            "learn=True, as ts.Pixels(1.0, learn=True), or load it with trainable=True"
        )
    return method


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _learned_parts(method: Method) -> tuple[str, ...]:
    parts = parameters_by_part(method.renderer.softness)
    names = [part for part, found in parts.items() if any(p.requires_grad for p in found)]
    return (*names, *([RATE] if _learns(method.rate) else []))


def _image_height(family: TaskFamily) -> int:
    """Return the height in pixels of the images of a family, by one of its problems."""
    task = family.sample(0, 1, Split.TRAIN)
    return len(check_type(task, f"what {family.name} draws", Task).target(0))
