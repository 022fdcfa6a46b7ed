"""What came out of a race, after equal steps and after equal seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from benchmarks.race import Entrant, Lap
from meta.evaluation.statistics import Bootstrap, Interval
from meta.evaluation.tuning import Tuned

# At which times entrants are compared, in times that the first one takes.
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)
PROCESSOR, WALL = 0, 1


@dataclass(frozen=True, eq=False)
class Finish:
    """An entrant with all that it did.

    Parameters
    ----------
    entrant : Entrant
        Who.
    tuned : Tuned
        Its settings.
    lap : Lap
        All batches.
    """

    entrant: Entrant
    tuned: Tuned
    lap: Lap

    def seconds(self, clock: int = PROCESSOR) -> float:
        """Return the seconds for a problem."""
        return float(self.lap.seconds[-1, clock]) / self.lap.errors.shape[1]

    def measured_by(self, seconds: float) -> int:
        """Return the last measurement before a problem has taken so many seconds of the processor."""
        passed = self.lap.seconds[self.lap.steps, PROCESSOR] / self.lap.errors.shape[1]
        return int((passed <= seconds).sum()) - 1

    def solved_by(self, seconds: float) -> Tensor:
        """Return which problems are solved when that measurement is made, (N,)."""
        return self.lap.solved[self.measured_by(seconds)]


@dataclass(frozen=True)
class Then:
    """How an entrant stood at a time.

    Parameters
    ----------
    share : float
        When, in times that the first entrant takes.
    step : int
        After how many steps.
    success : Interval
        Share of solved problems.
    ahead : Interval, optional
        Share of solved problems minus that of the peer that had solved most by then, over the same problems.
    """

    share: float
    step: int
    success: Interval
    ahead: Interval | None


@dataclass(frozen=True)
class Row:
    """What an entrant did. Only what is no peer itself is ahead of one, or behind.

    Parameters
    ----------
    key, label : str
        Its name in files, and in tables.
    steps : int
        Of the inner optimisation.
    scale, learning_rate : float
        Its settings: width or scale in pixels, half-way if it is annealed, and rate of Adam.
    at_edge : tuple of str
        Which of them are at an end of what there was to choose from.
    success, error : Interval
        Share of solved problems, and median of the errors, after all steps.
    ahead : Interval, optional
        Share of solved problems minus that of the best peer of as many steps, over the same problems.
    processor_ms, wall_ms : float
        Milliseconds for a step of a problem.
    at_end : Then
        How it stood when it was done.
    by_then : tuple of Then
        How it stood at the times of `SHARES`.
    """

    key: str
    label: str
    steps: int
    scale: float
    learning_rate: float
    at_edge: tuple[str, ...]
    success: Interval
    error: Interval
    ahead: Interval | None
    processor_ms: float
    wall_ms: float
    at_end: Then
    by_then: tuple[Then, ...]


@dataclass(frozen=True, eq=False)
class Race:
    """All entrants of one family, with the same problems.

    Parameters
    ----------
    finishes : sequence of Finish
        What they did. The first one's time is the unit of times.
    peers : sequence of str
        Keys of those that the others are compared with.
    seed : int
        Of the resamples.
    """

    finishes: Sequence[Finish]
    peers: Sequence[str]
    seed: int

    @property
    def unit(self) -> float:
        """Seconds of the processor that the first entrant takes for a problem."""
        return self.finishes[0].seconds()

    def rows(self) -> list[Row]:
        """Return a row for each entrant."""
        bootstrap = Bootstrap.of(self.finishes[0].lap.errors.shape[1], self.seed)
        return [self._row(finish, bootstrap) for finish in self.finishes]

    def _row(self, finish: Finish, bootstrap: Bootstrap) -> Row:
        entrant, choice, lap = finish.entrant, finish.tuned.choice, finish.lap
        equal_steps = [f.lap.solved[-1] for f in self._peers_of(finish, entrant.steps)]
        return Row(
            key=entrant.candidate.key,
            label=entrant.candidate.label,
            steps=entrant.steps,
            scale=choice.scale,
            learning_rate=choice.learning_rate,
            at_edge=finish.tuned.at_edge,
            success=bootstrap.rate(lap.solved[-1]),
            error=bootstrap.median(lap.errors[-1]),
            ahead=_ahead(bootstrap, lap.solved[-1], equal_steps),
            processor_ms=1000 * finish.seconds(PROCESSOR) / entrant.steps,
            wall_ms=1000 * finish.seconds(WALL) / entrant.steps,
            at_end=self._then(finish, finish.seconds() / self.unit, bootstrap),
            by_then=tuple(self._then(finish, share, bootstrap) for share in SHARES),
        )

    def _then(self, finish: Finish, share: float, bootstrap: Bootstrap) -> Then:
        # Rounding of the unit must not cost the last step.
        seconds = share * self.unit * (1 + 1e-9)
        solved = finish.solved_by(seconds)
        theirs = [peer.solved_by(seconds) for peer in self._peers_of(finish)]
        step = int(finish.lap.steps[finish.measured_by(seconds)])
        return Then(share, step, bootstrap.rate(solved), _ahead(bootstrap, solved, theirs))

    def _peers_of(self, finish: Finish, steps: int | None = None) -> list[Finish]:
        """Return whom an entrant is compared with, if given those of so many steps; a peer with none."""
        if finish.entrant.candidate.key in self.peers:
            return []
        return [
            other
            for other in self.finishes
            if other.entrant.candidate.key in self.peers and steps in (None, other.entrant.steps)
        ]


def _ahead(bootstrap: Bootstrap, ours: Tensor, theirs: Sequence[Tensor]) -> Interval | None:
    """Return the share of solved problems minus the largest one of others, (N,) each."""
    if not theirs:
        return None
    best = max(theirs, key=lambda solved: int(solved.sum()))
    return bootstrap.mean(ours.double() - best.double())
