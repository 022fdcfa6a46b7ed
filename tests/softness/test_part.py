"""A part of a softness knows its arguments from the signature of its constructor."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.softness import registry

pytestmark = pytest.mark.cpu_only


class Bounded(ts.Aggregation):
    """The bounded sum times a number, which it keeps under another name."""

    def __init__(self, factor: float = 1.0, *, label: str = "sum", seed: int = 0):
        super().__init__()
        self.kept = factor
        self.label = label

    def generator(self, coverage):
        """Return the coverage, scaled."""
        return self.kept * coverage

    def inverse(self, total):
        """Return the total, at most 1."""
        return (total / self.kept).clamp(max=1)


def test_settings_are_the_arguments_but_for_a_seed():
    coverage = ts.MLPCoverage(2.0, reach=3.0, biases=False, seed=5)
    assert coverage.settings() == {"scale": coverage.scale, "reach": 3.0, "biases": False}
    assert ts.Heaviside().settings() == {}
    softness = ts.Softness(coverage)
    assert list(softness.settings()) == ["coverage", "aggregation", "occlusion"]
    assert softness.settings()["coverage"] is coverage


def test_plain_arguments_are_shown():
    assert repr(ts.MonotoneGenerator(bins=3)) == "MonotoneGenerator(bins=3, reach=6.0)"
    assert repr(ts.Hamacher(0)) == "Hamacher(p=0.0)"
    assert repr(ts.Positive(0.05, learn=True)) == "Positive(0.05, learn=True)"
    assert "squared=True, reach=None" in repr(ts.Gaussian(squared=True))


def test_an_argument_that_is_not_kept_is_not_shown():
    made = Bounded(2.0)
    assert repr(made) == "Bounded(label=sum)"
    with pytest.raises(TypeError, match="a Bounded cannot be saved, only "):
        registry.describe(made)


@pytest.mark.parametrize(
    ("interface", "missing"),
    [
        (ts.Coverage, "domain"),
        (ts.ClosedForm, "support"),
        (ts.Aggregation, "inverse"),
        (ts.Occlusion, "domain"),
        (ts.Scale, "unit"),
    ],
)
def test_what_a_subclass_forgets_is_named(interface, missing):
    given = interface.__abstractmethods__ - {missing}
    half = type("Half", (interface,), {name: lambda *_: None for name in given})
    with pytest.raises(TypeError, match=f"abstract class Half .*{missing}"):
        half(1.0)


def test_faces_are_summed_unless_a_class_says_else():
    half = torch.full((1,), 0.5)
    assert not Bounded().takes_max
    assert float(Bounded(3.0).inverse(2 * Bounded(3.0).generator(half))) == 1
    assert ts.Max.takes_max
