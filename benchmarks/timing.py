"""Times of callables in turn, and their ratios round by round."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Work = Callable[[], object]
# Rounds that are taken even if they last longer than they should.
LEAST_ROUNDS = 3


class Ratio(NamedTuple):
    """Ours against a peer.

    Parameters
    ----------
    ours_ms, peer_ms : float
        Median times in milliseconds.
    ratio, ratio_low, ratio_high : float
        Median and quartiles of ours / peer, round by round.
    """

    ours_ms: float
    peer_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float

    @classmethod
    def of(cls, ours: np.ndarray, peer: np.ndarray) -> Ratio:
        """Compare two columns of `measure`, in seconds."""
        low, ratio, high = np.percentile(ours / peer, [25, 50, 75])
        return cls(np.median(ours) * 1e3, np.median(peer) * 1e3, ratio, low, high)


def measure(*works: Work, rounds: int, warm_up: int = 2, seconds: float = math.inf) -> np.ndarray:
    """Time callables in turn; every other round goes backwards, so that none is always the first.

    Parameters
    ----------
    *works : callable
        What to time.
    rounds : int
        How often each is timed.
    warm_up : int
        How often each is called before.
    seconds : float
        After `LEAST_ROUNDS` rounds no new round is begun once this much time has passed.

    Returns
    -------
    ndarray, (rounds, len(works))
        Times in seconds.
    """
    for work in works:
        for _ in range(warm_up):
            work()
    times: list[list[float]] = []
    begin = time.perf_counter()
    while len(times) < rounds and (
        len(times) < LEAST_ROUNDS or time.perf_counter() - begin < seconds
    ):
        backwards = len(times) % 2 == 1
        row = [_seconds(work) for work in (reversed(works) if backwards else works)]
        times.append(row[::-1] if backwards else row)
    return np.array(times)


def _seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
