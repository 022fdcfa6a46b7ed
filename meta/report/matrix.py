"""The matrix of generalisation: softnesses tested on other families and objects than their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.verdicts import number, percent
from meta.report.figures import new_figure, save_figure
from meta.report.markdown import markdown_table
from meta.report.row import Row

BEST_FIXED = "best fixed"
# The colours of errors end at these ratios to the best fixed one.
LARGEST_RATIO = 2.0
# Instead of an error of zero, of which there is no ratio.
LEAST = 1e-12


@dataclass(frozen=True)
class Matrix:
    """Results by where a softness was learned and where it was tested.

    Parameters
    ----------
    units : dict of str to str
        The families tested on, with the units of their errors.
    cells : dict of str to dict of str to Row
        By what was learned from, and `BEST_FIXED`, then by the family tested on: held-out objects.
    on_train : dict of str to dict of str to Row
        The same on the objects that were learned from, as far as that was asked for.
    """

    units: dict[str, str]
    cells: dict[str, dict[str, Row]]
    on_train: dict[str, dict[str, Row]]

    @classmethod
    def of(cls, comparisons: Sequence[Comparison], runs: Mapping[str, str]) -> Matrix:
        """Collect a matrix.

        Parameters
        ----------
        comparisons : sequence of Comparison
            One for each family tested on.
        runs : mapping of str to str
            For each learned candidate that is to have a row, by key: what it was learned from.
        """

        def table(part: Callable[[Comparison], Sequence[Result]]) -> dict[str, dict[str, Row]]:
            return {
                name: {
                    c.family.name: Row.of(c, result)
                    for c in comparisons
                    for result in part(c)
                    if result.key == key
                }
                for key, name in runs.items()
            }

        best = {
            c.family.name: replace(Row.of(c, c.best_by_success), error_median=c.best_by_error.error)
            for c in comparisons
        }
        units = {c.family.name: c.family.error_unit for c in comparisons}
        return cls(
            units, table(lambda c: c.learned) | {BEST_FIXED: best}, table(lambda c: c.on_train)
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data: held_out and train, by trained, by tested."""
        return {
            "units": self.units,
            "held_out": _plain(self.cells),
            "train": _plain(self.on_train),
        }

    def markdown(self) -> str:
        """Return three tables: success, median error, and objects learned from against held-out ones."""
        head = ["Learned from", *(f"on {family}" for family in self.units)]
        with_units = ["Learned from", *(f"on {f} [{unit}]" for f, unit in self.units.items())]
        success, error = (
            [[name, *(text(row.get(f)) for f in self.units)] for name, row in self.cells.items()]
            for text in (_success, _error)
        )
        parts = [
            "Problems solved:",
            markdown_table(head, success),
            "Median error:",
            markdown_table(with_units, error),
            "Objects learned from against held-out ones, both with problems of their own:",
            markdown_table(
                ["Learned from", "Family", "Solved, train", "Solved, held out"]
                + ["Error, train", "Error, held out"],
                self._objects(),
            ),
        ]
        return "\n\n".join(parts) + "\n"

    def _objects(self) -> list[list[str]]:
        return [
            [name, family, _success(seen), _success(self.cells[name][family])]
            + [_error(seen), _error(self.cells[name][family])]
            for name, row in self.on_train.items()
            for family, seen in row.items()
        ]


def save_heat_maps(matrix: Matrix, path: Path) -> None:
    """Draw success rates and median errors; the colour of an error is its ratio to the best fixed one."""
    figure = new_figure(12, 1.6 + 0.55 * len(matrix.cells))
    left, right = figure.subplots(1, 2)
    rows = matrix.cells.values()
    missing = float("nan")
    rates = [
        [100 * row[f].success.estimate if f in row else missing for f in matrix.units]
        for row in rows
    ]
    best = matrix.cells[BEST_FIXED]
    ratios = [
        [
            max(row[f].error_median.estimate, LEAST) / max(best[f].error_median.estimate, LEAST)
            if f in row
            else missing
            for f in matrix.units
        ]
        for row in rows
    ]
    errors = [
        [row[f].error_median.estimate if f in row else missing for f in matrix.units]
        for row in rows
    ]
    _heat_map(left, matrix, np.array(rates), np.array(rates), "{:.0f} %", "Blues", (0, 100))
    colors = np.log(np.array(ratios)) / np.log(LARGEST_RATIO)
    _heat_map(right, matrix, colors, np.array(errors), "{:.3g}", "RdBu_r", (-1, 1))
    left.set_title("problems solved")
    right.set_title("median error; blue: less than the best fixed softness has")
    save_figure(figure, path)


def _heat_map(
    axes: Axes,
    matrix: Matrix,
    colors: np.ndarray,
    values: np.ndarray,
    text: str,
    palette: str,
    limits: tuple[float, float],
) -> None:
    image = axes.imshow(colors, cmap=palette, vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.set_xticks(range(len(matrix.units)), [f"on {family}" for family in matrix.units])
    axes.set_yticks(range(len(matrix.cells)), list(matrix.cells))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(colors[row, column]))
        ink = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "black"
        label = text.format(value) if np.isfinite(value) else "-"
        axes.text(column, row, label, ha="center", va="center", color=ink)


def _plain(cells: dict[str, dict[str, Row]]) -> dict:
    return {
        name: {
            family: {"success": asdict(cell.success), "error": asdict(cell.error_median)}
            for family, cell in row.items()
        }
        for name, row in cells.items()
    }


def _success(cell: Row | None) -> str:
    return "-" if cell is None else percent(cell.success)


def _error(cell: Row | None) -> str:
    return "-" if cell is None else number(cell.error_median)
