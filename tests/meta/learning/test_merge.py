"""A merged softness is, in the scenes of each that it is made from, near that one, and follows no more."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from meta.learning.merge import Source, merged
from meta.learning.method import rate_of
from taichisoft import (
    DepthFraction,
    ExponentialAnnealing,
    Frank,
    FrontToBack,
    Gaussian,
    Logistic,
    Pixels,
    Positive,
    Real,
    Situation,
    Softness,
)
from tasks import Split
from tests.meta.learning.problems import PointFamily, PointTask

SMALL = (Situation(edge_length=1.0), Situation(edge_length=1.2))
LARGE = (Situation(edge_length=12.0), Situation(edge_length=10.0))
COLORED = (Situation(edge_length=12.0, colors=True),)


def softness(width: float, shift: float = 0.0, p: float = 2.0, gamma: float = 0.3) -> Softness:
    """Return one whose numbers can be learned."""
    start, end = (Pixels(length, learn=True) for length in (10 * width, width))
    coverage = Logistic(ExponentialAnnealing(start, end), shift=Real(shift, learn=True))
    occlusion = FrontToBack(gamma=DepthFraction(Positive(gamma, learn=True)))
    return Softness(coverage, Frank(Positive(p, learn=True)), occlusion)


def source(
    scenes: tuple[Situation, ...], *, learned=("scale", "coverage"), rate=1.0, **numbers
) -> Source:
    """Return a source."""
    return Source(softness(**numbers), learned, scenes, rate)


def end(made: Softness, situation: Situation) -> float:
    """Return the width at the last step in pixels."""
    made.set_situation(situation)
    made.set_progress(1.0)
    return float(made.coverage.scale.in_pixels(64))


def test_each_scene_has_what_was_learned_there():
    made = merged(
        [source(SMALL, width=0.05), source(LARGE, width=0.4), source(COLORED, width=0.2)], 1e-6
    )
    assert end(made, SMALL[0]) == pytest.approx(0.05, rel=0.1)
    assert end(made, LARGE[0]) == pytest.approx(0.4, rel=0.1)
    assert end(made, COLORED[0]) == pytest.approx(0.2, rel=0.1)
    # Between two scenes it is between the two widths, and beyond them no further than the last one.
    assert 0.05 < end(made, Situation(edge_length=3.0)) < 0.4
    assert end(made, Situation(edge_length=100.0)) == pytest.approx(0.4, rel=1e-9)
    assert end(made, Situation(edge_length=0.01)) == pytest.approx(0.05, rel=1e-9)
    assert not any(parameter.requires_grad for parameter in made.parameters())


def test_what_differs_nowhere_follows_nothing():
    sources = [source(SMALL, width=0.05, shift=0.5), source(LARGE, width=0.4, shift=0.5)]
    shift = merged(sources).coverage.shift
    assert shift.followed() == []
    assert float(shift()) == 0.5
    # Nor is the height of the image followed, which is the same in all of these scenes.
    assert merged(sources).coverage.scale.end.length.followed() == ["edge_length"]


def test_weights_fall_with_the_ridge():
    sources = [source(SMALL, width=0.05), source(LARGE, width=0.4)]
    widths = [merged(sources, ridge).coverage.scale.end.length for ridge in (0.0, 0.1, 10.0)]
    weights = [float(width.weights.norm()) for width in widths]
    assert weights[0] > weights[1] > weights[2] > 0
    # The line of least squares in the logarithms of both.
    x = [math.log(s.edge_length / 4) for s in (*SMALL, *LARGE)]
    y = [math.log(0.05)] * 2 + [math.log(0.4)] * 2
    mean_x, mean_y = sum(x) / 4, sum(y) / 4
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    slope /= sum((a - mean_x) ** 2 for a in x)
    assert float(widths[0].weights[0]) == pytest.approx(slope, rel=1e-9)
    near = (Situation(edge_length=1.0),), (Situation(edge_length=1.001),)
    with pytest.raises(ValueError, match="ridge must be larger where scenes hardly differ"):
        merged([source(near[0], width=0.05), source(near[1], width=0.4)], 0.0)


def test_a_number_counts_where_it_was_learned():
    deep = source(COLORED, learned=("scale", "gamma"), width=0.2, gamma=0.7)
    made = merged([source(SMALL, width=0.05), source(LARGE, width=0.4), deep])
    gamma = made.occlusion.gamma.value
    for scene in (SMALL[0], COLORED[0]):
        made.set_situation(scene)
        assert float(gamma()) == pytest.approx(0.7, rel=1e-9)


def test_one_number_in_two_places_stays_one():
    def shared(width: float) -> Softness:
        length = Positive(width, learn=True)
        return Softness(Logistic(ExponentialAnnealing(Pixels(length), Pixels(length))))

    made = merged([Source(shared(0.1), ("scale",), SMALL), Source(shared(0.4), ("scale",), LARGE)])
    assert made.coverage.scale.start.length is made.coverage.scale.end.length
    assert made.coverage.scale.start.length.followed() == ["edge_length"]


def test_rate_follows_as_well(tmp_path):
    made = merged([source(SMALL, width=0.05, rate=0.5), source(LARGE, width=0.4, rate=2.0)], 1e-6)
    made.save(tmp_path / "merged.safetensors", made.trained)
    again = Softness.load(tmp_path / "merged.safetensors")
    assert rate_of(again, 9.0, InScene(SMALL[0])) == pytest.approx(0.5, rel=0.1)
    assert rate_of(again, 9.0, InScene(LARGE[0])) == pytest.approx(2.0, rel=0.1)
    # In the scene of reference, edges of 4 px.
    assert 0.5 < rate_of(again, 9.0) < 2.0
    again.trained["rate"] = {"value": 1.0, "speed": 2.0}
    with pytest.raises(ValueError, match="trained rate must be a number or a rule for one"):
        rate_of(again, 9.0)


class InScene(PointFamily):
    """Points in a scene."""

    def __init__(self, scene: Situation):
        super().__init__()
        object.__setattr__(self, "scene", scene)

    def sample(self, seed, count, split):
        """Return points that know their scene."""
        assert split is Split.TRAIN
        return _Placed(torch.zeros(count), torch.zeros(count), self.scene)


class _Placed(PointTask):
    def __init__(self, begin, goal, scene):
        super().__init__(begin, goal)
        object.__setattr__(self, "scene", scene)

    def situation(self):
        """Return the scene."""
        return self.scene


def test_only_what_is_alike_can_be_merged():
    one = source(SMALL, width=0.05)
    with pytest.raises(ValueError, match="sources must be at least one, got none"):
        merged([])
    with pytest.raises(ValueError, match="ridge must not be negative"):
        merged([one], -1.0)
    other = Softness(Gaussian(Pixels(0.3, learn=True)), Frank(Positive(2.0, learn=True)))
    with pytest.raises(
        ValueError, match=r"sources\[1\].softness must be as the first .* instead of Logistic"
    ):
        merged([one, Source(other, ("scale",), LARGE)])
    # A number that no one learned must be the same.
    with pytest.raises(ValueError, match=r"got .* in aggregation\.p"):
        merged([one, source(LARGE, width=0.4, p=3.0)])
    # Nor may tails end elsewhere.
    cut = source(LARGE, width=0.4)
    cut.softness.coverage.reach = 4.0
    with pytest.raises(ValueError, match=r"must be as the first .*reach=4\.0.* in coverage"):
        merged([one, cut])
    assert merged([one, replace(one, learned=("aggregation",))]).aggregation.p.followed() == []
