"""The paired table: one softness against every other one, in each family and in the mean of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from meta.evaluation.comparison import Comparison, Result
from meta.evaluation.paired import FLIPS, Paired, holm
from meta.evaluation.statistics import LEVEL, Interval
from meta.evaluation.verdicts import Standing

MEAN = "mean"
# In caps: smaller errors count as this, so that their logarithms are finite.
LEAST = 1e-6


@dataclass(frozen=True)
class Stand:
    """Where ours stands against another one; p-values are corrected for the whole table.

    Parameters
    ----------
    success : Interval
        Difference of success rates; positive is better.
    success_p : float
        Its p-value.
    ratio : Interval
        Geometric mean of the ratio of errors; below 1 is better.
    ratio_p : float
        Its p-value.
    """

    success: Interval
    success_p: float
    ratio: Interval
    ratio_p: float

    @property
    def by_success(self) -> Standing:
        """In success rate."""
        return _standing(self.success.estimate, self.success_p)

    @property
    def by_error(self) -> Standing:
        """In the ratio of errors."""
        return _standing(1 - self.ratio.estimate, self.ratio_p)

    @property
    def overall(self) -> Standing:
        """Behind if it is in one of them; else ahead if it is in one of them; else level."""
        both = (self.by_success, self.by_error)
        if Standing.BEHIND in both:
            return Standing.BEHIND
        return Standing.AHEAD if Standing.AHEAD in both else Standing.LEVEL


@dataclass(frozen=True)
class Cell(Stand):
    """Ours against another one, in a family or in the mean.

    Parameters
    ----------
    caps : Interval
        Difference of mean errors in caps; negative is better. Not tested.
    """

    caps: Interval


@dataclass(frozen=True, eq=False)
class PairedTable:
    """All differences of the first learned softness of some comparisons to the fixed ones.

    Parameters
    ----------
    families : tuple of str
        The families.
    label : str
        Name of the learned softness.
    cells : dict of str to dict of str to Cell
        By the key of the other one, then by family, and `MEAN`.
    """

    families: tuple[str, ...]
    label: str
    cells: dict[str, dict[str, Cell]]

    @classmethod
    def of(
        cls,
        comparisons: Sequence[Comparison],
        *,
        seed: int = 0,
        resamples: int = 2000,
        flips: int = FLIPS,
    ) -> PairedTable:
        """Return the table of comparisons with fixed softnesses of the same keys.

        Raises
        ------
        ValueError
            There is no comparison, or the keys differ.
        """
        found = {tuple(result.key for result in c.fixed) for c in comparisons}
        if len(found) != 1:
            raise ValueError(
                f"comparisons must have the same fixed softnesses, got {len(found)} sets of them"
            )
        (keys,) = found
        families = tuple(c.family.name for c in comparisons)

        def paired(measure: Callable[[Result], Tensor]) -> Paired:
            rows = [
                torch.stack([measure(c.learned[0]) - measure(other) for other in c.fixed])
                for c in comparisons
            ]
            return Paired(families, tuple(rows), seed, resamples, flips)

        success, logs, caps = paired(solved_of), paired(log_error_of), paired(caps_of)
        raw = torch.stack([success.p_values(), logs.p_values()])
        corrected = holm(raw.reshape(-1)).reshape(raw.shape).tolist()
        intervals = [one.intervals() for one in (success, logs, caps)]
        cells = {
            key: {
                name: Cell(
                    intervals[0][row][column],
                    corrected[0][row][column],
                    _exp(intervals[1][row][column]),
                    corrected[1][row][column],
                    intervals[2][row][column],
                )
                for column, name in enumerate((*families, MEAN))
            }
            for row, key in enumerate(keys)
        }
        return cls(families, comparisons[0].learned[0].label, cells)

    def where(self, key: str, standing: Standing) -> list[str]:
        """Return the families in which the learned one stands so, against another one."""
        return [name for name in self.families if self.cells[key][name].overall is standing]

    def to_json(self) -> list[dict]:
        """Return a JSON-able row for each cell."""
        return [
            {
                "softness": key,
                "family": name,
                **_ends("success", cell.success),
                "success_p": cell.success_p,
                **_ends("error_ratio", cell.ratio),
                "error_ratio_p": cell.ratio_p,
                **_ends("error_caps", cell.caps),
                "overall": cell.overall.value,
            }
            for key, row in self.cells.items()
            for name, cell in row.items()
        ]


def solved_of(result: Result) -> Tensor:
    """Return which problems are solved at the last step, (N,), 0 or 1 in float64."""
    return result.outcome.solved[-1].double()


def caps_of(result: Result) -> Tensor:
    """Return the errors at the last step in caps, at most 1, (N,)."""
    return (result.errors[-1] / result.error_cap).clamp(max=1).double()


def log_error_of(result: Result) -> Tensor:
    """Return the logarithms of these errors, of at least `LEAST`, (N,)."""
    return caps_of(result).clamp(min=LEAST).log()


def _standing(better: float, p: float) -> Standing:
    if p >= 1 - LEVEL or better == 0:
        return Standing.LEVEL
    return Standing.AHEAD if better > 0 else Standing.BEHIND


def _exp(interval: Interval) -> Interval:
    return Interval(*torch.tensor(astuple(interval), dtype=torch.float64).exp().tolist())


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
