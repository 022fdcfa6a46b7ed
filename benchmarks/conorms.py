"""T-conorms compared, on surfaces and on problems: `python -m benchmarks.conorms`.

How much larger a ball looks than it is, what shines through a ball from inside it, and how many training
problems of every family are solved, at one learning rate and one schedule of widths for all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import taichisoft as ts
from benchmarks.about import about, headline, write_results
from benchmarks.solved import Solved, annealed, draw, solve_all
from benchmarks.surfaces import Area, Leak, areas, leaks, smooth_disc
from meta.report.markdown import markdown_table
from tasks import OcclusionFamily, PoseFamily, Shape2DFamily, Shape3DFamily
from tasks.base import TaskFamily
from tasks.pose import MIDDLE_START

CONORMS: Mapping[str, ts.Aggregation] = {
    "probabilistic sum": ts.Probabilistic(),
    "Frank, p = 10": ts.Frank(10.0),
    "Frank, p = 100": ts.Frank(100.0),
    "Frank, p = 1e4": ts.Frank(1e4),
    "Frank, p = 1e6": ts.Frank(1e6),
    "bounded sum": ts.Yager(1.0),
}
HARD = "hard"
ORDERS = {
    HARD: ts.FrontToBack(ts.Heaviside()),
    "soft, 2 % of the extent": ts.FrontToBack(ts.CubicHermite(1.0), gamma=ts.DepthFraction(0.02)),
}
SUBDIVISIONS, WIDTHS = (1, 2, 3, 4), (0.1, 0.3, 1.0, 2.0, 4.0)
INNER_RADII, INNER_WIDTHS = (0.5, 0.9), (0.3, 1.0, 2.0)
# Functions of coverage, at the widths that are the best single ones of a few for all families.
COVERAGES = {
    "Gaussian, 0.5 px": lambda: ts.Gaussian(annealed(0.5)),
    "logistic, 0.25 px": lambda: ts.Logistic(annealed(0.25)),
}


@dataclass(frozen=True)
class Problems:
    """Problems of a family to solve.

    Parameters
    ----------
    family : TaskFamily
        The family.
    count : int
        How many of its training problems.
    """

    family: TaskFamily
    count: int


FAMILIES = {
    "pose": Problems(PoseFamily(start_angle=MIDDLE_START), 128),
    "shape3d": Problems(Shape3DFamily(), 8),
    "shape2d": Problems(Shape2DFamily(), 32),
    "occlusion": Problems(OcclusionFamily(), 48),
}
QUICK_FAMILIES = {"occlusion": Problems(OcclusionFamily(image_size=(12, 12), planes=3), 2)}


@dataclass(frozen=True)
class Solving:
    """Problems of a family solved with a T-conorm.

    Parameters
    ----------
    family, coverage, conorm : str
        What was solved, and with what.
    result : Solved
        How it went.
    """

    family: str
    coverage: str
    conorm: str
    result: Solved


def solvings(families: Mapping[str, Problems], steps: int, seed: int) -> Iterator[Solving]:
    """Yield how many problems each T-conorm solves, with the hard order of depths."""
    for name, problems in families.items():
        tasks = draw(problems.family, problems.count, seed)
        for coverage, make in COVERAGES.items():
            for conorm, aggregation in CONORMS.items():
                renderer = ts.SoftRasterizer(make(), aggregation, ORDERS[HARD])
                result = solve_all(problems.family, tasks, renderer, steps)
                print(name, coverage, conorm, result.text(), flush=True)
                yield Solving(name, coverage, conorm, result)


def to_markdown(
    head: dict[str, object],
    sizes: Iterable[Area],
    seen: Iterable[Leak],
    solved: Iterable[Solving],
    conclusion: str,
) -> str:
    """Return the report."""
    sections = [
        "# T-conorms",
        f"{headline(head)}; taichisoft {head['taichisoft']}; {head['steps']} steps; seed {head['seed']}.",
        conclusion,
        "## The area of a ball",
        "A ball 51 pixels wide under a Gaussian: sum of alpha over the area of its silhouette, minus 1, "
        "in percent; in brackets without the faces that look away. One smooth face would have "
        + ", ".join(f"{100 * smooth_disc(width):.2f} % at {width:g} px" for width in WIDTHS)
        + ".",
        _pivot(list(sizes), lambda one: f"{one.faces:,} faces, {one.width:g} px", _size),
        "## The least alpha inside",
        "Two widths and two pixels inside the edge.",
        _pivot(
            list(sizes),
            lambda one: f"{one.faces:,} faces, {one.width:g} px",
            lambda one: f"{one.least:.4f}",
        ),
        "## What shines through",
        "A ball inside another one of 1,280 faces: its share of the colour in the middle, in percent.",
        _pivot(
            list(seen),
            lambda one: f"radius {one.radius:g}, {one.width:g} px, order {one.order}",
            lambda one: f"{100 * one.share:.2f}",
        ),
        "## Problems solved",
        "In percent, with the standard deviation of the share; widths are those half-way and fall tenfold; "
        "the order of depths is hard. The same problems in every column.",
        _pivot(
            list(solved),
            lambda one: f"{one.family} ({one.result.problems}), {one.coverage}",
            lambda one: one.result.text(),
        ),
        "Mean error, each up to the family's cap, in parts of the cap.",
        _pivot(
            list(solved),
            lambda one: f"{one.family} ({one.result.problems}), {one.coverage}",
            lambda one: f"{one.result.error:.3f}",
        ),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _size(one: Area) -> str:
    return f"{100 * one.bias:.2f} ({100 * one.front_bias:.2f})"


def _pivot(rows, title, cell) -> str:
    """Return a table with a column for each T-conorm."""
    lines: dict[str, dict[str, str]] = {}
    for row in rows:
        lines.setdefault(title(row), {})[row.conorm] = cell(row)
    names = list(CONORMS)
    cells = ([key, *(found.get(name, "") for name in names)] for key, found in lines.items())
    return markdown_table(["", *names], cells, right_aligned=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/conorms"), help="file stem")
    parser.add_argument("--steps", type=int, default=30, help="of solving a problem")
    parser.add_argument("--seed", type=int, default=0, help="of the problems")
    parser.add_argument("--quick", action="store_true", help="few faces, few problems")
    options = parser.parse_args(arguments)
    head = about("benchmarks.conorms", arguments)
    head |= {"steps": options.steps, "seed": options.seed}
    if options.quick:
        sizes = list(areas(CONORMS, (1,), (1.0,)))
        seen = list(leaks(CONORMS, ORDERS, (0.5,), (1.0,)))
        solved = list(solvings(QUICK_FAMILIES, options.steps, options.seed))
    else:
        sizes = list(areas(CONORMS, SUBDIVISIONS, WIDTHS))
        seen = list(leaks(CONORMS, ORDERS, INNER_RADII, INNER_WIDTHS))
        solved = list(solvings(FAMILIES, options.steps, options.seed))
    tables = {"areas": sizes, "leaks": seen, "solved": solved}
    result = {"about": head} | {key: [asdict(row) for row in rows] for key, rows in tables.items()}
    text = to_markdown(head, sizes, seen, solved, "")
    write_results(options.out, result, text)


if __name__ == "__main__":
    main()
