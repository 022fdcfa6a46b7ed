"""Large steps against a smoothness term: each tuned on training problems of shape3d, compared on others.

``python -m benchmarks.large_steps`` prints a table of the settings that were tried, and one of the best two.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

import taichisoft as ts
from meta.report.markdown import markdown_table
from tasks import Shape3DFamily, Split
from tasks.base import Task

SEED = 7
SIZE, VIEWS, SUBDIVISIONS = 40, 6, 2
STEPS = 50
TRAIN, HELD_OUT = 4, 12
# Of the weights of the two terms of the family.
SMOOTHNESS = (0.0625, 0.25, 1.0)
RATES = (0.02, 0.04, 0.08)
LAMBDAS = (0.25, 1.0, 4.0)
DIFFERENTIAL_RATES = (0.1, 0.3, 0.6)


@dataclass(frozen=True)
class Setting:
    """How to solve.

    Parameters
    ----------
    smoothness : float
        Times the weights of the smoothness terms of the family.
    rate : float
        Of the optimizer.
    lambda_ : float or None
        Of large steps; None for steps of the vertices themselves by Adam.
    """

    smoothness: float
    rate: float
    lambda_: float | None = None

    @property
    def method(self) -> str:
        """Name in the tables."""
        return "smoothness term" if self.lambda_ is None else "large steps"

    @property
    def words(self) -> str:
        """The numbers, for the tables."""
        number = (
            f"weights x {self.smoothness:g}" if self.lambda_ is None else f"lambda {self.lambda_:g}"
        )
        return f"{number}, rate {self.rate:g}"

    def errors(self, task: Task, family: Shape3DFamily, steps: int) -> Tensor:
        """Return 1 - IoU from views that were not seen, of each problem, after the last step."""
        task = replace(
            task,
            laplacian=self.smoothness * family.laplacian,
            flatten=self.smoothness * family.flatten,
        )
        renderer = ts.SoftRasterizer(ts.Gaussian(ts.scale_by_edge()))
        renderer.set_situation(task.situation())
        unknowns = {name: x.clone().requires_grad_() for name, x in task.init().items()}
        large, optimizer = None, torch.optim.Adam(unknowns.values(), lr=self.rate)
        if self.lambda_ is not None:
            faces, count = task.template.mesh.faces, task.template.mesh.num_vertices
            # The displacement is a difference of vertices, so that u is the same difference of theirs.
            large = ts.LargeSteps(faces, count, lambda_=self.lambda_)
            optimizer = ts.AdamUniform(unknowns.values(), lr=self.rate, batched=True)

        def displaced() -> dict[str, Tensor]:
            given = unknowns["displacement"]
            return {"displacement": given if large is None else large.from_differential(given)}

        for _ in range(steps):
            optimizer.zero_grad()
            task.loss(displaced(), renderer).sum().backward()
            optimizer.step()
        with torch.no_grad():
            return task.error(displaced())


def settings() -> Iterator[Setting]:
    """Yield what is tried: as many settings of each method."""
    for smoothness, rate in product(SMOOTHNESS, RATES):
        yield Setting(smoothness, rate)
    for lambda_, rate in product(LAMBDAS, DIFFERENTIAL_RATES):
        yield Setting(0.0, rate, lambda_)


def row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print(
        "| " + " | ".join(f"{x:.3f}" if isinstance(x, float) else str(x) for x in cells) + " |",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--size", type=int, default=SIZE, help="height and width in pixels")
    parser.add_argument("--views", type=int, default=VIEWS)
    parser.add_argument("--subdivisions", type=int, default=SUBDIVISIONS, help="of the sphere")
    parser.add_argument("--train", type=int, default=TRAIN, help="problems to tune on")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="problems to compare on")
    given = parser.parse_args(arguments)
    size = (given.size, given.size)
    family = Shape3DFamily(image_size=size, views=given.views, subdivisions=given.subdivisions)
    task = family.sample(SEED, given.train, Split.TRAIN)
    print(
        markdown_table(("method", "setting", f"mean error of {given.train} training problems"), ())
    )
    best: dict[str, tuple[float, Setting]] = {}
    for setting in settings():
        error = float(setting.errors(task, family, given.steps).mean())
        row(setting.method, setting.words, error)
        if setting.method not in best or error < best[setting.method][0]:
            best[setting.method] = error, setting
    task = family.sample(SEED, given.held_out, Split.HELD_OUT)
    heads = (f"mean error of {given.held_out} held-out problems", "median", "solved")
    print("\n" + markdown_table(("method", "setting", *heads), ()))
    errors = []
    for _, setting in best.values():
        error = setting.errors(task, family, given.steps)
        errors.append(error)
        solved = float(task.success(error).double().mean())
        row(
            setting.method,
            setting.words,
            float(error.mean()),
            float(error.median()),
            f"{solved:.0%}",
        )
    difference = (errors[0] - errors[1]).double()
    spread = float(difference.std()) / len(difference) ** 0.5
    print(
        f"\nError with the smoothness term minus that with large steps, problem by problem: "
        f"{float(difference.mean()):.3f}, standard error {spread:.3f}; large steps are ahead in "
        f"{int((difference > 0).sum())} of {len(difference)}."
    )


if __name__ == "__main__":
    main()
