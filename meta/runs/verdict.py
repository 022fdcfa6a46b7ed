"""Verdict: which softness of a run was kept, and how far ahead of the start it is, in numbers and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from taichisoft.base.checks import check_integer, check_number, check_type

# Of a normal distribution: half of a 95 % interval, and the difference that is found to be one by such an
# interval in 80 % of all cases, in standard errors.
INTERVAL = 1.96
VISIBLE = 2.8


@dataclass(frozen=True)
class Score:
    """What a softness did on the validation problems, in the mean over families.

    Parameters
    ----------
    step : int
        Steps taken; 0 is the start.
    objective, error_mean, success : float
        As in `meta.learning.objective.Outcome`.
    """

    step: int
    objective: float
    error_mean: float
    success: float


@dataclass(frozen=True)
class Verdict:
    """What validation says of a run.

    Parameters
    ----------
    taken : int
        Steps taken so far.
    problems : int
        Validation problems of each family.
    kept, start : Score
        The softness that is kept, and the start.
    ahead : float
        How much lower the objective is than at the start; 0 if the start is kept.
    noise : float
        Standard error of that, from the differences problem by problem; NaN if there is a single problem. If
        the start is kept, that of the difference between the start and the last softness that was judged, and
        NaN if none was yet.
    """

    taken: int
    problems: int
    kept: Score
    start: Score
    ahead: float
    noise: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `ahead`, of the normal distribution.

        It knows nothing of the choice: the best of many on the same problems is a little too good.
        """
        return self.ahead - INTERVAL * self.noise, self.ahead + INTERVAL * self.noise

    @property
    def visible(self) -> float:
        """How large a difference of the objective is seen by so many problems, with a power of 80 %."""
        return VISIBLE * self.noise

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data; what is not finite is None."""
        low, high = self.interval if self.kept.step else (self.ahead, self.ahead)
        values = asdict(self) | {"interval": [low, high], "visible": self.visible}
        return {key: _plain(value) for key, value in values.items()}

    @classmethod
    def of(cls, trained: Mapping[str, Any]) -> Verdict | None:
        """Return what the softness of a run says of itself; None if nothing was judged."""
        return cls.from_json(trained["validation"]) if "validation" in trained else None

    @classmethod
    def from_json(cls, values: object) -> Verdict:
        """Return what `to_json` described.

        Raises
        ------
        TypeError, ValueError
            Something is missing or of a wrong kind; the message has its name.
        """
        values = check_type(values, "validation", dict)
        noise = values.get("noise")
        return cls(
            check_integer(values.get("taken"), "validation.taken", minimum=0),
            check_integer(values.get("problems"), "validation.problems", minimum=1),
            _score(values.get("kept"), "validation.kept"),
            _score(values.get("start"), "validation.start"),
            check_number(values.get("ahead"), "validation.ahead"),
            math.nan if noise is None else check_number(noise, "validation.noise"),
        )

    def words(self) -> str:
        """Return what is to be said, in a few sentences."""
        start = f"{self.start.objective:.4f} ({100 * self.start.success:.1f} % solved)"
        by = f"on {self.problems} validation problems of each family"
        if self.kept.step == 0:
            return f"The start is kept: {by} no later loss was below its {start}. {self._seen()}"
        kept = f"{self.kept.objective:.4f} ({100 * self.kept.success:.1f} % solved)"
        low, high = self.interval
        interval = "" if math.isnan(self.noise) else f" [{low:.4f}, {high:.4f}]"
        doubt = ", which may be chance" if low <= 0 else ""
        return (
            f"Kept: the softness after step {self.kept.step} of {self.taken}, whose loss {by} is lowest: "
            f"{kept}, at the start {start}. It is {self.ahead:.4f}{interval} ahead{doubt}. {self._seen()}"
        )

    def _seen(self) -> str:
        if math.isnan(self.noise):
            alone = "One problem says nothing about others."
            return alone if self.problems == 1 else "Nothing but the start is judged yet."
        return f"So many problems would show a difference of {self.visible:.2g}."


def steps_taken(trained: Mapping[str, Any]) -> int:
    """Return how many steps a run had taken when it wrote its softness, by what that says of itself.

    Raises
    ------
    TypeError, ValueError
        It does not say so.
    """
    verdict = Verdict.of(trained)
    return verdict.taken if verdict else check_integer(trained.get("step"), "step", minimum=0)


def _score(values: object, name: str) -> Score:
    values = check_type(values, name, dict)
    return Score(
        check_integer(values.get("step"), f"{name}.step", minimum=0),
        *(check_number(values.get(key), f"{name}.{key}") for key in KEYS),
    )


KEYS = ("objective", "error_mean", "success")
"""The numbers of a score."""


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
