"""Filmstrips, figures of one problem being solved: for notebooks and for a first look at a family."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from meta.learning.inner import AdamState, InnerSettings, solve
from meta.learning.method import Method
from meta.report.figures import new_figure
from taichisoft import SoftRasterizer
from taichisoft.base.checks import check_integer
from tasks import Task


def draw_solving(
    task: Task,
    renderer: SoftRasterizer,
    settings: InnerSettings,
    *,
    problem: int = 0,
    frames: int = 5,
    unit: str = "",
) -> Figure:
    """Solve a batch of problems and draw what becomes of one of them.

    Parameters
    ----------
    task : Task
        The problems, of any family.
    renderer : SoftRasterizer
        The softness.
    settings : InnerSettings
        Steps and learning rate.
    problem : int
        Which problem of the batch is drawn.
    frames : int
        How many states are shown, the start and the end among them; at least 2.
    unit : str
        Of the error, for example `TaskFamily.error_unit`.

    Returns
    -------
    Figure
        A row of hard pictures with their errors, the target last, above the error at every step.

    Raises
    ------
    ValueError
        Fewer than 2 frames, or no such problem.
    """
    check_integer(frames, "frames", minimum=2)
    target = task.target(problem)
    states: list[AdamState] = []
    trajectory = solve(task, Method(renderer), settings, on_step=states.append)
    errors = trajectory.errors[:, problem].detach().cpu()
    steps = torch.linspace(0, settings.steps, frames).round().int().unique().tolist()
    figure = new_figure(2.1 * (len(steps) + 1), 4.0, dpi=100)
    pictures = figure.add_gridspec(2, len(steps) + 1, height_ratios=(3, 2))
    for column, step in enumerate(steps):
        picture = task.views(states[step].unknowns, problem)
        title = f"step {step}\nerror {float(errors[step]):.3g}"
        _picture(figure.add_subplot(pictures[0, column]), picture, title)
    _picture(figure.add_subplot(pictures[0, len(steps)]), target, "target\n")
    _curve(figure.add_subplot(pictures[1, :]), errors, unit)
    return figure


def _picture(axes: Axes, picture: Tensor, title: str) -> None:
    axes.imshow(picture.detach().cpu().clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])


def _curve(axes: Axes, errors: Tensor, unit: str) -> None:
    axes.plot(range(len(errors)), errors.numpy(), color="#d1350f")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel(f"error [{unit}]" if unit else "error")
    axes.spines[["top", "right"]].set_visible(False)
