"""All settings of a meta-training run, in frozen dataclasses that are saved with the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import tyro

from meta.config.families import FAMILIES, FamilyRun, FamilyRuns, PoseRun, Shape3DRun
from meta.config.imported import is_import_path
from meta.config.misplaced import says_where
from meta.config.settings import (
    FLAT,
    AtLeast,
    BackendName,
    Count,
    Index,
    PositiveFloat,
    Settings,
    check_different,
)
from meta.config.softness import SoftnessSettings
from meta.learning import flat_settings
from meta.learning.gradients import AntitheticSettings, Estimator, MetaGradientSettings
from meta.learning.inner import InnerSettings
from meta.learning.method import rate_of
from meta.learning.objective import SHARPNESS, WINDOWS
from taichisoft import Softness
from tasks import TaskFamily, default_meshes, load_meshes

ImageSize = Annotated[int, AtLeast(4)]


@dataclass(frozen=True)
class InnerLoop(Settings):
    """How a problem is solved, and what of it counts."""

    # Adam steps for solving a problem.
    steps: Annotated[Count, tyro.conf.arg(name="inner-steps")] = 30
    # Inner learning rate as a multiple of each family's own; where it starts, if it is learned.
    rate: Annotated[PositiveFloat, tyro.conf.arg(name="inner-rate")] = 1.0
    # Error to lower: at the final inner step, or the mean over the late half or all of the steps.
    objective: Literal[tuple(WINDOWS)] = "late"
    # How much the precision of solved problems counts in the objective.
    sharpness: PositiveFloat = SHARPNESS

    def of(self, family: TaskFamily, softness: Softness | None = None) -> InnerSettings:
        """Return how problems of a family are solved; with a softness whose rate was learned, at that."""
        rate = self.rate if softness is None else rate_of(softness, self.rate, family)
        return InnerSettings(self.steps, rate * family.learning_rate)


@dataclass(frozen=True)
class OuterLoop(Settings):
    """How a softness is improved."""

    steps: Annotated[Count, tyro.conf.arg(name="outer-steps")] = 24  # Steps of meta-training.
    learning_rate: PositiveFloat = 0.06  # Outer learning rate of Adam.
    clip: PositiveFloat = 1.0  # Largest norm of the meta-gradient; a longer one is cut.
    checkpoint_every: Count = 5  # Outer steps between checkpoints.
    shards: Count = 1  # Parts of the problems of each family, which processes can share.


@dataclass(frozen=True)
class ValidationSettings(Settings):
    """How the softness after a step is judged, and the best one kept."""

    # Problems of each family to judge by, of training objects; 0: keep the last softness unjudged.
    problems: Annotated[Index, tyro.conf.arg(name="validation-problems")] = 0
    # Outer steps between judgements; the start and the last step are judged as well.
    every: Annotated[Count, tyro.conf.arg(name="validation-every")] = 5

    def due(self, step: int, last: int) -> bool:
        """Return whether the softness after a step is judged; 0 is the start."""
        return self.problems > 0 and (step % self.every == 0 or step == last)


class LearningSettings(Settings, ABC):
    """How a softness is learned, whatever it is and whatever the problems are."""

    seed: int  # Seed of the problems and perturbations.
    gradient: MetaGradientSettings  # Estimator of the meta-gradient, with its options.
    inner: InnerLoop  # How problems are solved.
    validation: ValidationSettings  # How the softness is judged.
    outer: OuterLoop  # How the softness is improved.
    image_size: int  # Image height and width in pixels.

    @property
    @abstractmethod
    def family_names(self) -> tuple[str, ...]:
        """The names of the families."""

    @property
    @abstractmethod
    def counts(self) -> tuple[int, ...]:
        """How many problems of each family make an outer step."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """The image sizes that are learned from, in pixels."""


@says_where
@dataclass(frozen=True)
class TrainSettings(LearningSettings):
    """Settings of `meta.train`; every field is an option of its command line.

    The defaults take minutes on two CPU cores: the seconds of each step are in `history.jsonl`.
    """

    out: str = "runs/train"  # Run folder to create.
    seed: Index = 0  # Seed of the problems and perturbations.
    backend: BackendName = "auto"  # Backend of the kernels.
    threads: Count = 1  # Threads of torch; its tensors are too small for more.
    # Task families to learn from, with their options.
    families: FamilyRuns = (PoseRun(), Shape3DRun())
    meshes: tuple[str, ...] = ()  # Mesh files to use instead of the built-in shapes.
    image_size: ImageSize = 64  # Image height and width in pixels.
    # Sizes to learn from and to judge by, in place of image-size: each batch of problems has one of them.
    image_sizes: tuple[ImageSize, ...] = ()
    # What to start from, and what to learn.
    softness: Annotated[SoftnessSettings, FLAT] = SoftnessSettings()
    gradient: Estimator = AntitheticSettings()  # Estimator of the meta-gradient, with its options.
    inner: Annotated[InnerLoop, FLAT] = InnerLoop()  # How problems are solved.
    # How the softness is judged.
    validation: Annotated[ValidationSettings, FLAT] = ValidationSettings()
    outer: Annotated[OuterLoop, FLAT] = OuterLoop()  # How the softness is improved.

    def __post_init__(self):
        if _are_objects(self.families):
            raise TypeError(
                "families must be options of families, as PoseRun() or OwnRun(path='my_module:MyFamily'): "
                "objects are learned from by meta.learn(renderer, families)"
            )
        self.check()
        check_different(self.family_names, "families", "names")
        check_different(self.sizes, "image_sizes")
        if 0 < self.validation.problems < len(self.sizes):
            raise ValueError(
                f"validation_problems must be at least one for each of the {len(self.sizes)} image sizes, "
                f"got {self.validation.problems}"
            )

    @classmethod
    def from_json(cls, values: object) -> TrainSettings:
        """Return the settings of a file, also of one from before they nested; see `Settings.from_json`."""
        return super().from_json(flat_settings.nested(values))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The image sizes that are learned from, in pixels."""
        return self.image_sizes or (self.image_size,)

    @property
    def family_names(self) -> tuple[str, ...]:
        """The names of the families."""
        return tuple(family.name for family in self.families)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many problems of each family make an outer step."""
        return tuple(family.problems for family in self.families)

    @property
    def own(self) -> tuple[str, ...]:
        """The import paths of families and coverage of the user."""
        return tuple(filter(is_import_path, (*self.family_names, self.softness.coverage)))

    def family(self, name: str) -> FamilyRun:
        """Return the options of a family: as in the run, or else the usual ones."""
        found = next((run for run in self.families if run.name == name), None)
        return FAMILIES[name]() if found is None else found

    def with_families(self, names: Sequence[str]) -> TrainSettings:
        """Return these settings for other families."""
        return replace(self, families=tuple(self.family(name) for name in names))


def _are_objects(families: object) -> bool:
    """Return whether families, or one in their place, are given as objects or classes of problems."""
    given = families if isinstance(families, list | tuple) else (families,)
    return any(issubclass(f if isinstance(f, type) else type(f), TaskFamily) for f in given)


def build_families(settings: TrainSettings) -> list[TaskFamily]:
    """Return the families of the settings, in that order.

    Training and evaluation both build them here, so that held-out problems differ from those learned from in
    their meshes and seeds, and in nothing else.

    Raises
    ------
    FileNotFoundError, ValueError
        From `tasks.load_meshes`, if `settings.meshes` names files.
    """
    meshes = load_meshes(settings.meshes) if settings.meshes else default_meshes()
    return [run.build(settings.image_size, meshes) for run in settings.families]
