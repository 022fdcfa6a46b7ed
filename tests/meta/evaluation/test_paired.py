"""Paired statistics agree with exact tests and closed forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

from meta.evaluation.paired import Paired, SignFlips, holm, p_values

# Of a share that is estimated from 20,000 draws, four standard deviations at most.
DRAWN = 4 * 0.5 / math.sqrt(20_000)


def exact(*families: torch.Tensor) -> float:
    """Return the p-value of the mean of the means of some families, by all signs."""
    observed = sum(float(d.mean()) for d in families) / len(families)
    count = far = 0
    for signs in itertools.product((-1.0, 1.0), repeat=sum(len(d) for d in families)):
        rest, mean = list(signs), 0.0
        for d in families:
            mean += sum(s * float(x) for s, x in zip(rest, d, strict=False)) / len(d)
            rest = rest[len(d) :]
        count += 1
        far += abs(mean) / len(families) >= abs(observed) - 1e-12
    return far / count


def test_p_values_are_those_of_all_signs():
    first = torch.tensor([0.4, -0.1, 0.7, 0.2, 0.5, -0.3], dtype=torch.float64)
    second = torch.tensor([0.1, 0.3, -0.05, 0.6], dtype=torch.float64)
    found = Paired(("a", "b"), (first[None], second[None]), seed=3).p_values()
    expected = [exact(first), exact(second), exact(first, second)]
    assert found.tolist() == [pytest.approx([*expected], abs=DRAWN)]
    assert expected[2] < min(expected[:2])


@pytest.mark.parametrize(("won", "lost"), [(12, 3), (7, 7), (1, 9), (0, 6)])
def test_p_value_of_success_is_that_of_mcnemar(won, lost):
    ties = 20
    difference = torch.tensor([1.0] * won + [-1.0] * lost + [0.0] * ties).double()
    expected = stats.binomtest(won, won + lost).pvalue
    found = Paired(("a",), (difference[None],), seed=0).p_values()[0, 0]
    assert float(found) == pytest.approx(expected, abs=DRAWN)


def test_no_difference_is_no_evidence():
    zeros = torch.zeros(2, 5, dtype=torch.float64)
    assert Paired(("a",), (zeros,), seed=0).p_values().tolist() == [[1, 1], [1, 1]]


def test_signs_are_the_same_for_every_pair():
    values = torch.tensor([[1.0, 2.0, -3.0], [2.0, 4.0, -6.0]], dtype=torch.float64)
    flips = SignFlips(3, seed=1, flips=50)
    means = flips.means(values)
    assert torch.equal(means[:, 1], 2 * means[:, 0])
    assert torch.equal(means, flips.means(values))
    assert p_values(values.mean(1), means).unique().numel() == 1


def test_correction_by_hand():
    found = holm(torch.tensor([0.01, 0.04, 0.03, 0.005], dtype=torch.float64))
    # In order: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which is not less than the one before it.
    assert found.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-12)
    assert holm(torch.tensor([0.7, 0.6], dtype=torch.float64)).tolist() == [1, 1]


def test_interval_of_the_mean_of_families_is_that_of_independent_means():
    generator = torch.Generator().manual_seed(0)
    parts = [
        (3.0 * torch.randn(1, 300, generator=generator, dtype=torch.float64)),
        (1.0 + torch.randn(1, 50, generator=generator, dtype=torch.float64)),
    ]
    *_, mean = Paired(("a", "b"), tuple(parts), seed=0, resamples=4000).intervals()[0]
    spread = math.sqrt(sum(float(p.var()) / p.shape[1] for p in parts)) / 2
    assert mean.estimate == pytest.approx(sum(float(p.mean()) for p in parts) / 2, abs=1e-12)
    assert mean.low == pytest.approx(mean.estimate - 1.96 * spread, abs=0.1 * spread)
    assert mean.high == pytest.approx(mean.estimate + 1.96 * spread, abs=0.1 * spread)
