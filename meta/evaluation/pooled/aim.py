"""What counts as a win, written down before it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from meta.evaluation.pooled.table import MEAN, PairedTable
from meta.evaluation.verdicts import Standing


@dataclass(frozen=True)
class Aim:
    """To be ahead in some families and behind in none, and perhaps by much in the mean.

    Parameters
    ----------
    share : float
        Part of the families in which it is to be ahead.
    much : (float, float), optional
        In the mean: so much more success, or so many times the error. Default: any.
    """

    share: float
    much: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """What it is to be, for a sentence."""
        head = f"ahead in {100 * self.share:g} % of the families and behind in none"
        if self.much is None:
            return head
        points, ratio = self.much
        return f"{head}, and by {100 * points:g} points or {ratio:g} times the error in the mean"

    def reached(self, table: PairedTable, key: str) -> bool:
        """Return whether it is reached against one of a table."""
        enough = len(table.where(key, Standing.AHEAD)) >= self.share * len(table.families)
        nowhere = not table.where(key, Standing.BEHIND)
        return enough and nowhere and self._by_much(table, key)

    def _by_much(self, table: PairedTable, key: str) -> bool:
        if self.much is None:
            return True
        (points, ratio), mean = self.much, table.cells[key][MEAN]
        return mean.success.estimate >= points or mean.ratio.estimate <= ratio


BY_MUCH = Aim(0.75, much=(0.1, 0.8))
"""Against one fixed setting for all families."""

ORACLE = Aim(0.5)
"""Against what is best for a family that is known beforehand."""
