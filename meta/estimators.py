"""Bias, spread and cost of the meta-gradient estimators: ``python -m meta.estimators``.

On one batch of pose problems and one softness. Writes estimators.json, estimators.md and estimators.png into
the output folder. In a notebook, `estimate_all` returns the rows, and `meta.report.estimators.draw` a figure.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

import taichisoft
from meta.config.command_line import parse
from meta.config.settings import (
    AtLeast,
    BackendName,
    Count,
    Index,
    PositiveFloat,
    Settings,
    from_fields,
)
from meta.learning.gradients import (
    ESTIMATORS,
    Estimate,
    Evolution,
    EvolutionStrategies,
    MetaGradient,
    MetaGradientSettings,
    Unrolled,
)
from meta.learning.inner import InnerSettings
from meta.learning.method import Method
from meta.learning.objective import Rollout, TrajectoryObjective
from meta.report.estimators import EstimatorStatistics, draw, markdown
from meta.report.figures import save_figure
from meta.runs.folder import RunFolder, write_json_atomically, write_text_atomically
from meta.runs.lock import Lock
from meta.runs.versions import versions
from taichisoft import MonotoneSpline, Pixels, SoftRasterizer
from tasks import PoseFamily, Split


@dataclass(frozen=True)
class EstimatorSettings(Settings):
    """Settings of `meta.estimators`; every field is an option of its command line.

    The defaults take about two minutes of one core.
    """

    out: str = "results/estimators"  # Folder of the results.
    backend: BackendName = "auto"  # Backend of the kernels.
    seed: Index = 0  # Seed of problems and perturbations.
    problems: Count = 8  # Pose problems.
    image_size: Annotated[int, AtLeast(4)] = 32  # Image height and width in pixels.
    inner_steps: Annotated[int, AtLeast(2)] = 16  # Adam steps for solving a problem.
    scale: PositiveFloat = 0.3  # Scale of the softness in pixels.
    # Knots of its spline, one parameter each besides the scale.
    knots: Annotated[int, AtLeast(2)] = 4
    horizon: Count = 4  # Steps that truncated and persistent gradients look back.
    sigma: PositiveFloat = 0.1  # Size of the perturbations of evolution strategies.
    pairs: Count = 2  # Antithetic pairs of perturbations.
    draws: Annotated[int, AtLeast(2)] = 32  # Estimates of each evolution strategy.
    reference: Count = 16  # Exhaustive sets of pairs that the smoothed gradient is a mean of.

    def __post_init__(self):
        self.check()


def estimator(kind: type[MetaGradientSettings], settings: EstimatorSettings) -> MetaGradient:
    """Return an estimator of a kind, with those of the settings that it has."""
    return from_fields(kind, settings).build(settings.inner_steps)


@dataclass(frozen=True, eq=False)
class Reference:
    """What estimates are compared with.

    Parameters
    ----------
    exact : Tensor, (D,)
        The derivative of the objective.
    smooth : Tensor, (D,)
        The gradient of the objective smoothed over perturbations.
    seconds : float
        Of one trajectory, in CPU time, which other programs lengthen less than the time that passes.
    """

    exact: Tensor
    smooth: Tensor
    seconds: float


def estimate_all(settings: EstimatorSettings) -> list[EstimatorStatistics]:
    """Return bias, spread and cost of every estimator of a gradient, with the current backend."""
    objective, solver = problem(settings)
    against = reference(objective, solver, settings)
    return [
        measure(name, kind.label, estimator(kind, settings), objective, solver, settings, against)
        for name, kind in ESTIMATORS.items()
        if kind.gives_slope
    ]


def problem(settings: EstimatorSettings) -> tuple[TrajectoryObjective, Method]:
    """Return the objective and the softness at which its gradient is estimated."""
    family = PoseFamily(image_size=(settings.image_size, settings.image_size))
    task = family.sample(settings.seed, settings.problems, Split.TRAIN)
    inner = InnerSettings(settings.inner_steps, family.learning_rate)
    scale = Pixels(settings.scale, learn=True)
    return (
        TrajectoryObjective((Rollout(task, inner, family.error_cap),)),
        Method(SoftRasterizer(MonotoneSpline(scale, knots=settings.knots))),
    )


def reference(
    objective: TrajectoryObjective, solver: Method, settings: EstimatorSettings
) -> Reference:
    """Return the derivative, the smoothed gradient, and the time that a trajectory takes."""
    generator = torch.Generator().manual_seed(settings.seed)
    exact = _flat(Unrolled().estimate(objective, solver, generator))
    pairs = settings.reference * len(exact)
    begin = time.process_time()
    # As many orthogonal pairs as parameters leave no noise but that of odd orders.
    smooth = EvolutionStrategies(settings.sigma, pairs).estimate(objective, solver, generator)
    return Reference(exact, _flat(smooth), (time.process_time() - begin) / (2 * pairs))


def measure(
    name: str,
    label: str,
    method: MetaGradient,
    objective: TrajectoryObjective,
    solver: Method,
    settings: EstimatorSettings,
    against: Reference,
) -> EstimatorStatistics:
    """Return the row of one estimator.

    An estimate that takes several outer steps, an episode, counts as the mean over them.
    """
    # Other numbers than those of the reference.
    generator = torch.Generator().manual_seed(settings.seed + 1)
    episode = sum(method.objective_step(step) == 0 for step in range(settings.inner_steps))
    count = settings.draws if isinstance(method, Evolution) else 1
    draws, begin = [], time.process_time()
    for _ in range(count):
        parts = [_flat(method.estimate(objective, solver, generator)) for _ in range(episode)]
        draws.append(torch.stack(parts).mean(0))
    seconds = (time.process_time() - begin) / count
    mean, unit = torch.stack(draws).mean(0), against.smooth.norm()
    spread = _spread(torch.stack(draws)) / float(unit)
    return EstimatorStatistics(
        name=name,
        label=label,
        draws=count,
        norm=float(mean.norm() / unit),
        cosine_exact=_cosine(mean, against.exact),
        cosine_smooth=_cosine(mean, against.smooth),
        bias_exact=float((mean - against.exact).norm() / unit),
        bias_smooth=float((mean - against.smooth).norm() / unit),
        bias_error=spread / count**0.5,
        spread=spread,
        seconds=seconds,
        trajectories=seconds / against.seconds,
    )


def _flat(estimate: Estimate) -> Tensor:
    return torch.cat([vector.reshape(-1) for vector in estimate.vectors.values()]).double()


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def _spread(draws: Tensor) -> float:
    """Return the root mean square distance of draws (R, D) from their mean, without bias; 0 for one."""
    if len(draws) == 1:
        return 0.0
    return float(draws.var(0).sum().sqrt())


def write(rows: Sequence[EstimatorStatistics], settings: EstimatorSettings, command: str) -> None:
    """Write estimators.json, estimators.md and estimators.png into the output folder."""
    out = Path(settings.out)
    out.mkdir(parents=True, exist_ok=True)
    result = {
        "rows": [asdict(row) for row in rows],
        "settings": settings.to_json(),
        "versions": versions(),
        "backend": taichisoft.backend(),
        "command": command,
    }
    write_json_atomically(out / "estimators.json", result)
    write_text_atomically(out / "estimators.md", markdown(rows, settings.to_json(), command))
    save_figure(draw(rows), out / "estimators.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    settings = parse(
        EstimatorSettings, given, prog="python -m meta.estimators", description=_DESCRIPTION
    )
    torch.set_num_threads(1)
    try:
        taichisoft.init(None if settings.backend == "auto" else settings.backend)
        out = Path(settings.out)
        out.mkdir(parents=True, exist_ok=True)
        with Lock(RunFolder(out).results_lock):
            command = shlex.join(["python", "-m", "meta.estimators", *given])
            write(estimate_all(settings), settings, command)
    except (OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {Path(settings.out)}")
    return 0


_DESCRIPTION = (
    "Measure bias, spread and cost of the meta-gradient estimators on one batch of problems."
)

if __name__ == "__main__":
    sys.exit(main())
