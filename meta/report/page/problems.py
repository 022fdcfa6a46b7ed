"""Problems being solved, as pictures within a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from PIL import Image

from meta.learning.inner import AdamState, InnerSettings, solve
from meta.learning.method import Method
from meta.learning.settings import TrainSettings, build_families
from meta.report.animation import overlay
from meta.report.page.chart import Chart, Line, around, thinned
from taichisoft import Softness, SoftRasterizer
from tasks import Split, Task, TaskFamily

# Pictures in a row, and in an animation.
IN_ROW = 6
IN_ANIMATION = 31
FRAME_MS = 120
LAST_FRAME_MS = 2000


@dataclass(frozen=True)
class Still:
    """A picture within the page.

    Parameters
    ----------
    data : str
        Address with the picture in it.
    width, height : int
        In its own pixels.
    caption, description : str
        What stands below it, and what is to be seen.
    """

    data: str
    width: int
    height: int
    caption: str
    description: str


@dataclass(frozen=True)
class Solving:
    """A problem being solved with one softness: some states, and all of them as an animation."""

    label: str
    stills: tuple[Still, ...]
    animation: Still


@dataclass(frozen=True)
class Example:
    """One problem of a family.

    Parameters
    ----------
    family : str
        Its name.
    target : Still
        What the picture should become.
    colored : bool
        Whether pictures are in their own colours; else colours tell target and estimate apart.
    solvings : tuple of Solving
        With each softness.
    errors : Chart
        Error over the inner steps.
    """

    family: str
    target: Still
    colored: bool
    solvings: tuple[Solving, ...]
    errors: Chart


def examples(
    settings: TrainSettings, softnesses: Mapping[str, Softness], count: int
) -> list[Example]:
    """Solve the first held-out problems of every family of a run.

    Parameters
    ----------
    settings : TrainSettings
        Of the run: families, steps, rate and the seed of the problems.
    softnesses : mapping of str to Softness
        Softnesses by label, the most important first.
    count : int
        Problems of each family.
    """
    return [
        example
        for family in (build_families(settings) if count else [])
        for example in _of_family(family, settings, softnesses, count)
    ]


def _of_family(
    family: TaskFamily, settings: TrainSettings, softnesses: Mapping[str, Softness], count: int
) -> list[Example]:
    task = family.sample(settings.seed, count, Split.HELD_OUT)
    solved = {
        label: _solve(task, softness, settings.inner.of(family, softness))
        for label, softness in softnesses.items()
    }
    return [_example(family, task, problem, solved) for problem in range(count)]


Solved = tuple[list[AdamState], torch.Tensor]


def _solve(task: Task, softness: Softness, inner: InnerSettings) -> Solved:
    """Return the states and errors (T + 1, P) of all steps."""
    states: list[AdamState] = []
    method = Method(SoftRasterizer(softness=softness))
    trajectory = solve(task, method, inner, on_step=states.append)
    return states, trajectory.errors.detach().cpu()


def _example(family: TaskFamily, task: Task, problem: int, solved: dict[str, Solved]) -> Example:
    target = task.target(problem)
    name = f"{family.name} problem {problem + 1}"
    return Example(
        name,
        _still(overlay(target, target), "target", f"Target of {name}"),
        target.ndim == 3,
        tuple(
            _solving(label, name, task, problem, states, errors[:, problem])
            for label, (states, errors) in solved.items()
        ),
        _errors(family, name, {label: errors[:, problem] for label, (_, errors) in solved.items()}),
    )


def _solving(
    label: str, name: str, task: Task, problem: int, states: list[AdamState], errors: torch.Tensor
) -> Solving:
    steps = thinned(len(states), IN_ANIMATION)
    target = task.target(problem)
    frames = {s: overlay(task.views(states[s].unknowns, problem), target) for s in steps}
    stills = tuple(
        _still(
            frames[steps[place]],
            f"step {steps[place]}: {float(errors[steps[place]]):.3g}",
            f"{name} with the {label} softness after {steps[place]} steps, over the target",
        )
        for place in thinned(len(steps), IN_ROW)
    )
    return Solving(label, stills, _animation(list(frames.values()), label, name))


def _animation(frames: list[Image.Image], label: str, name: str) -> Still:
    file = io.BytesIO()
    colors = [frame.quantize(128, dither=Image.Dither.NONE) for frame in frames]
    colors[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=colors[1:],
        duration=[FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS],
        loop=0,
    )
    return Still(
        data_address(file.getvalue(), "image/gif"),
        *frames[0].size,
        "animated",
        f"Animation of {name} being solved with the {label} softness",
    )


def _still(picture: Image.Image, caption: str, description: str) -> Still:
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return Still(data_address(file.getvalue(), "image/png"), *picture.size, caption, description)


def data_address(content: bytes, kind: str) -> str:
    """Return an address that holds a file of a media type itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _errors(family: TaskFamily, name: str, errors: dict[str, torch.Tensor]) -> Chart:
    looks = dict(zip(errors, ("learned", "initial"), strict=False))
    lines = tuple(
        Line(label, looks[label], (tuple(values.tolist()),))
        for label, values in reversed(errors.items())
    )
    _, top = around([value for line in lines for value in line.last])
    return Chart(
        f"errors-{name.replace(' ', '-')}",
        "Error of this problem",
        "inner step",
        f"error [{family.error_unit}]",
        tuple(map(float, range(len(lines[0].last)))),
        lines,
        (0.0, top),
        description=f"Error of {name} over the inner steps, with the learned softness and with the one "
        "that its learning started from.",
    )
