"""T-conorms compared, on surfaces and on problems: `python -m benchmarks.conorms`.

How much larger a ball looks than it is, what shines through a ball and through a flat wall, and how many
training problems of every family are solved, at the family's learning rate and one schedule of widths, also
with a p of Frank's sums that was learned from other problems of the family.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import taichisoft as ts
from benchmarks.about import about, write_results
from benchmarks.conorms_report import CONCLUSION, to_markdown
from benchmarks.learned_conorm import Learned, Learning, learn
from benchmarks.solved import Solved, annealed, draw, solve_all
from benchmarks.surfaces import Area, Flat, Leak, areas, flats, leaks
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
LEARNED = "Frank, p learned"
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
    order : str
        The order of depths.
    learning : Learning, optional
        How Frank's p is learned for them.
    """

    family: TaskFamily
    count: int
    order: str = HARD
    learning: Learning | None = None


# Only a soft order tells planes that are in the wrong order which one should come forward.
WIDE = "logistic, gamma 0.2"
WIDE_ORDERS = {WIDE: ts.FrontToBack(ts.Logistic(1.0), gamma=0.2)}
FAMILIES = {
    "pose": Problems(PoseFamily(start_angle=MIDDLE_START), 128, learning=Learning(24, 16)),
    "shape3d": Problems(Shape3DFamily(), 16, learning=Learning(16, 3)),
    "shape2d": Problems(Shape2DFamily(), 64, learning=Learning(24, 6)),
    "occlusion": Problems(OcclusionFamily(), 48),
    "occlusion, soft order": Problems(OcclusionFamily(), 64, WIDE, Learning(24, 6)),
}
FEW = OcclusionFamily(image_size=(12, 12), planes=3)
QUICK_FAMILIES = {
    "occlusion": Problems(FEW, 2),
    "occlusion, soft order": Problems(FEW, 2, WIDE, Learning(1, 1)),
}
SURFACES = ("areas", "leaks", "flats")


def learned_parts(families: Mapping[str, Problems]) -> dict[str, Problems]:
    """Return the problems that p is learned for, by the name of that part of the results."""
    return {f"{name}, p learned": found for name, found in families.items() if found.learning}


@dataclass(frozen=True)
class Solving:
    """Problems of a family solved with a T-conorm.

    Parameters
    ----------
    family, coverage, order, conorm : str
        What was solved, and with what.
    result : Solved
        How it went.
    learned : Learned, optional
        How the p of the T-conorm was learned.
    """

    family: str
    coverage: str
    order: str
    conorm: str
    result: Solved
    learned: Learned | None = None


def solvings(name: str, problems: Problems, steps: int, seed: int) -> Iterator[Solving]:
    """Yield how many problems each T-conorm solves."""
    tasks = draw(problems.family, problems.count, seed)
    order = order_of(problems)
    for coverage, make in COVERAGES.items():
        for conorm, aggregation in CONORMS.items():
            renderer = ts.SoftRasterizer(make(), aggregation, order)
            result = solve_all(problems.family, tasks, renderer, steps)
            print(name, coverage, conorm, result.text(), flush=True)
            yield Solving(name, coverage, problems.order, conorm, result)


def learned_solvings(name: str, problems: Problems, steps: int, seed: int) -> Iterator[Solving]:
    """Yield how many of the same problems are solved with the p that was learned from others."""
    tasks = draw(problems.family, problems.count, seed)
    order, learning = order_of(problems), problems.learning
    for coverage, make in COVERAGES.items():
        found = learn(problems.family, make(), order, steps, learning, seed)
        renderer = ts.SoftRasterizer(make(), ts.Frank(found.p[-1]), order)
        result = solve_all(problems.family, tasks, renderer, steps)
        print(name, coverage, LEARNED, found.p, result.text(), flush=True)
        yield Solving(name, coverage, problems.order, LEARNED, result, found)


def order_of(problems: Problems) -> ts.FrontToBack:
    """Return the order of depths of problems."""
    return {**ORDERS, **WIDE_ORDERS}[problems.order]


def measured(part: str, quick: bool, steps: int, seed: int) -> list[Area | Leak | Flat | Solving]:
    """Return the rows of a part: one of `SURFACES`, or the name of problems, fixed or learned."""
    if part == "areas":
        return list(areas(CONORMS, *((1,), (1.0,)) if quick else (SUBDIVISIONS, WIDTHS)))
    if part == "leaks":
        inside = ((0.5,), (1.0,)) if quick else (INNER_RADII, INNER_WIDTHS)
        return list(leaks(CONORMS, ORDERS, *inside))
    if part == "flats":
        return list(flats(CONORMS, ORDERS, (1.0,) if quick else INNER_WIDTHS))
    families = QUICK_FAMILIES if quick else FAMILIES
    if part in families:
        return list(solvings(part, families[part], steps, seed))
    return list(learned_solvings(part, learned_parts(families)[part], steps, seed))


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/conorms"), help="file stem")
    parser.add_argument("--steps", type=int, default=30, help="of solving a problem")
    parser.add_argument("--seed", type=int, default=0, help="of the problems")
    parser.add_argument("--quick", action="store_true", help="few faces, few problems")
    parser.add_argument(
        *("--only",),
        nargs="*",
        choices=[*SURFACES, *FAMILIES, *learned_parts(FAMILIES)],
        help="the rest stays as in the file",
    )
    options = parser.parse_args(arguments)
    head = about("benchmarks.conorms", arguments)
    head |= {"steps": options.steps, "seed": options.seed}
    parts: dict[str, Any] = {}
    if options.only is not None:
        parts = json.loads(options.out.with_suffix(".json").read_text())["parts"]
    families = QUICK_FAMILIES if options.quick else FAMILIES
    every = [*SURFACES, *families, *learned_parts(families)]
    for part in every if options.only is None else options.only:
        rows = measured(part, options.quick, options.steps, options.seed)
        parts[part] = {"about": head, "rows": [asdict(row) for row in rows]}
    text = to_markdown(parts, "" if options.quick else CONCLUSION)
    write_results(options.out, {"parts": parts}, text)


if __name__ == "__main__":
    main()
