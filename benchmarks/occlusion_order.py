"""The occlusion family under both models of occlusion, tuned alike: `python -m benchmarks.occlusion_order`.

Front to back against blending by a reference depth. Every width, order and gamma of either is tried on some
training problems without a wall behind the planes and with one, and the best three of each on more of them.
The best one of each then solves other training problems, without a wall and with walls; no picture differs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import taichisoft as ts
from benchmarks.about import about, write_results
from benchmarks.occlusion_order_report import CONCLUSION, setting_text, to_markdown
from benchmarks.solved import BATCH, Solved, annealed, draw, solve_all
from tasks import OcclusionFamily
from tasks.base import Task, TaskFamily

WIDTHS = (0.4, 0.8)
FRONT_TO_BACK, REFERENCE_DEPTH = "front to back", "reference depth"
GAMMAS = {
    "2 % of the extent": lambda: ts.DepthFraction(0.02),
    "50 % of the extent": lambda: ts.DepthFraction(0.5),
    "100 % of the extent": lambda: ts.DepthFraction(1.0),
    "0.1": lambda: 0.1,
    "0.2": lambda: 0.2,
    "0.4": lambda: 0.4,
    "0.8": lambda: 0.8,
    "1.6": lambda: 1.6,
}
ORDERS = {"cubic Hermite": ts.CubicHermite, "logistic": ts.Logistic}
REFERENCE_GAMMAS = (0.1, 0.2, 0.4, 1.0, 5.0)
NO_WALL, FAR_WALL, SOME_WALL = "no wall", "wall 20 behind", "wall 1 to 20 behind"
WALLS = {NO_WALL: None, FAR_WALL: (20.0, 20.0), SOME_WALL: (1.0, 20.0)}
TUNED_ON = (NO_WALL, SOME_WALL)
KEPT = 3
MODELS = (FRONT_TO_BACK, REFERENCE_DEPTH)
STAGES, FINAL = ("first", "second"), "final"
# The final problems are of this seed and those after it.
TUNING_SEED, FINAL_SEED = 1, 2


@dataclass(frozen=True)
class Setting:
    """A width, an order of depths and a gamma of a model of occlusion.

    Parameters
    ----------
    model, order, gamma : str
        Their names.
    width : float
        Standard deviation of the Gaussian in pixels half-way; it falls tenfold.
    """

    model: str
    order: str
    gamma: str
    width: float

    def renderer(self, conorm: ts.Aggregation) -> ts.SoftRasterizer:
        """Return the softness."""
        coverage = ts.Gaussian(annealed(self.width))
        return ts.SoftRasterizer(coverage, conorm, self._occlusion())

    def text(self) -> str:
        """Return it in words."""
        return setting_text(asdict(self))

    def _occlusion(self) -> ts.Occlusion:
        if self.model == REFERENCE_DEPTH:
            return ts.DepthSoftmax(float(self.gamma))
        if not self.gamma:
            return ts.FrontToBack(ts.Heaviside())
        return ts.FrontToBack(ORDERS[self.order](1.0), gamma=GAMMAS[self.gamma]())


@dataclass(frozen=True)
class Row:
    """Problems solved under a setting.

    Parameters
    ----------
    setting : Setting
        What with.
    wall : str
        What is behind the planes.
    stage : str
        "first" and "second" of tuning, or "final": with other problems.
    result : Solved
        How it went.
    """

    setting: Setting
    wall: str
    stage: str
    result: Solved


def settings(widths: Iterable[float] = WIDTHS, soft: bool = True) -> list[Setting]:
    """Return all that is tried."""
    found = []
    for width in widths:
        found.append(Setting(FRONT_TO_BACK, "hard", "", width))
        if soft:
            found += [
                Setting(FRONT_TO_BACK, order, gamma, width) for order in ORDERS for gamma in GAMMAS
            ]
        found += [
            Setting(REFERENCE_DEPTH, "softmax", f"{gamma:g}", width)
            for gamma in REFERENCE_GAMMAS[: None if soft else 1]
        ]
    return found


@dataclass(frozen=True)
class Comparison:
    """How settings are compared.

    Parameters
    ----------
    conorm : Aggregation
        The T-conorm.
    families : mapping of str to TaskFamily
        By what is behind the planes.
    steps : int
        Of solving.
    problems : tuple of int
        In the first and second stage of tuning, and at most in the end.
    minutes : float
        No problems are begun after so many minutes.
    """

    conorm: ts.Aggregation
    families: Mapping[str, TaskFamily]
    steps: int
    problems: tuple[int, int, int]
    minutes: float

    def tuning(self, tried: Sequence[Setting]) -> Iterator[Row]:
        """Yield what settings solved in both stages, for each model and with and without a wall."""
        for wall in TUNED_ON:
            for model in MODELS:
                mine = [one for one in tried if one.model == model]
                for stage, problems in zip(STAGES, self.problems, strict=False):
                    tasks = draw(self.families[wall], problems, TUNING_SEED)
                    rows = [self._row(one, wall, stage, tasks) for one in mine]
                    mine = _best(rows, KEPT)
                    yield from rows

    def final(self, tuned: Sequence[Row]) -> list[Row]:
        """Return what the best settings solved, as many problems of each as there is time for."""
        begin = time.perf_counter()
        found: dict[tuple[Setting, str], Row] = {}
        for start in range(0, self.problems[2], BATCH):
            count = min(BATCH, self.problems[2] - start)
            seed = FINAL_SEED + start // BATCH
            tasks = {wall: draw(family, count, seed) for wall, family in self.families.items()}
            for setting, wall in _finalists(tuned, tasks):
                row = self._row(setting, wall, FINAL, tasks[wall])
                before = found.get((setting, wall))
                if before is not None:
                    row = replace(row, result=before.result + row.result)
                found[setting, wall] = row
            if time.perf_counter() - begin > 60 * self.minutes:
                break
        return list(found.values())

    def _row(self, setting: Setting, wall: str, stage: str, tasks: Sequence[Task]) -> Row:
        renderer = setting.renderer(self.conorm)
        result = solve_all(self.families[wall], tasks, renderer, self.steps)
        print(stage, wall, setting.model, setting.text(), result.text(), flush=True)
        return Row(setting, wall, stage, result)


def _finalists(tuned: Sequence[Row], walls: Iterable[str]) -> Iterator[tuple[Setting, str]]:
    """Yield the best setting without a wall with every wall, and that of every wall with it."""
    seen = set()
    for tuned_on in TUNED_ON:
        for model in MODELS:
            last = [
                row
                for row in tuned
                if (row.wall, row.stage, row.setting.model) == (tuned_on, STAGES[-1], model)
            ]
            for wall in walls if tuned_on == NO_WALL else (tuned_on,):
                pair = (_best(last, 1)[0], wall)
                if pair not in seen:
                    seen.add(pair)
                    yield pair


def _best(rows: Sequence[Row], count: int) -> list[Setting]:
    """Return the settings that solve most; of equals those with the smaller error."""
    ranked = sorted(rows, key=lambda row: (-row.result.share, row.result.error))
    return [row.setting for row in ranked[:count]]


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("results/occlusion_order"), help="file stem"
    )
    parser.add_argument("--steps", type=int, default=30, help="of solving a problem")
    parser.add_argument(
        "--problems", type=int, nargs=3, default=(10, 25, 500), help="of both stages, and final"
    )
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="after which no more final problems are begun"
    )
    parser.add_argument("--quick", action="store_true", help="small pictures, few settings")
    options = parser.parse_args(arguments)
    conorm = ts.Probabilistic()
    head = about("benchmarks.occlusion_order", arguments)
    head |= {"steps": options.steps, "conorm": "probabilistic sum"}
    head |= {"seeds": {"tuning": TUNING_SEED, "final": FINAL_SEED}}
    small = {"image_size": (12, 12), "planes": 3} if options.quick else {}
    families = {wall: OcclusionFamily(background_gap=gap, **small) for wall, gap in WALLS.items()}
    compared = Comparison(conorm, families, options.steps, tuple(options.problems), options.minutes)
    tried = settings((1.0,), soft=False) if options.quick else settings()
    rows = list(compared.tuning(tried))
    rows += compared.final(rows)
    result = {"about": head, "rows": [asdict(row) for row in rows]}
    text = to_markdown(result, "" if options.quick else CONCLUSION)
    write_results(options.out, result, text)


if __name__ == "__main__":
    main()
