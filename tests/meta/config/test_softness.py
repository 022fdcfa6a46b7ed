"""The softness that a training starts from: every kind can be made, and parts of it learned."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from meta.config.parts import AGGREGATIONS, CLOSED_FORMS, COVERAGES, OCCLUSIONS, ORDERS, SCHEDULES
from meta.config.softness import (
    SoftnessSettings,
    initial_renderer,
    parameters_by_part,
    scale_in_pixels,
)
from taichisoft import (
    Camera,
    DepthFraction,
    FrontToBack,
    Gaussian,
    Pixels,
    Positive,
    Situation,
    Softness,
    Yager,
    shapes,
)


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_initial_renderer(coverage, aggregation):
    settings = SoftnessSettings(
        learn=("coverage", "scale"), coverage=coverage, aggregation=aggregation, scale=0.25
    )
    renderer = initial_renderer(settings, 0)
    assert scale_in_pixels(renderer, 64) == pytest.approx(0.25, rel=1e-12)
    assert all(p.requires_grad for p in renderer.coverage.parameters())
    assert not any(p.requires_grad for p in renderer.occlusion.parameters())
    assert not any(p.requires_grad for p in renderer.aggregation.parameters())


@pytest.mark.parametrize("coverage", CLOSED_FORMS)
def test_tails_end_at_the_reach(coverage):
    usual = initial_renderer(SoftnessSettings(coverage=coverage), 0).coverage
    cut = initial_renderer(SoftnessSettings(coverage=coverage, reach=0.5), 0).coverage
    assert float(cut.low().detach()) == -0.5
    assert float(usual.low().detach()) < -0.9


def test_gamma_follows_its_schedule():
    settings = SoftnessSettings(
        learn=("gamma",), gamma_schedule="exponential", gamma=0.4, gamma_end=0.1
    )
    renderer = initial_renderer(settings, 0)
    for progress, gamma in ((0.0, 0.4), (0.5, 0.2), (1.0, 0.1)):
        renderer.set_progress(progress)
        assert float(renderer.occlusion.gamma().detach()) == pytest.approx(gamma, rel=1e-12)
    assert {n for n, p in renderer.named_parameters() if p.requires_grad} == {
        "softness.occlusion.gamma.start.log_value",
        "softness.occlusion.gamma.end.log_value",
    }


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("occlusion", OCCLUSIONS)
@pytest.mark.parametrize("slope", ["none", "spline"])
def test_every_kind_of_softness_is_rendered_with(schedule, occlusion, slope):
    settings = SoftnessSettings(
        schedule=schedule, occlusion=occlusion, slope=slope, scale=0.5, learn=("scale",)
    )
    renderer = initial_renderer(settings, 0)
    alpha = renderer.silhouette(shapes.cube(), Camera.look_at(eye=(0, 0, 4), image_size=(8, 8)))
    assert 0 < float(alpha.detach().mean()) < 1
    learned = {name for name, p in renderer.named_parameters() if p.requires_grad}
    assert learned
    assert all(name.startswith("softness.coverage.scale.") for name in learned)


@pytest.mark.parametrize("unit", ["scene", "extent"])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_of_depths_is_made_and_learned(order, unit):
    settings = SoftnessSettings(
        occlusion="front_to_back", order=order, gamma=0.1, gamma_unit=unit, learn=("gamma",)
    )
    occlusion = initial_renderer(settings, 0).occlusion
    assert isinstance(occlusion, FrontToBack)
    assert isinstance(occlusion.gamma, DepthFraction) == (unit == "extent")
    assert float(occlusion.gamma().detach()) == pytest.approx(0.1)
    assert [n for n, p in occlusion.named_parameters() if p.requires_grad] == [
        "gamma.value.log_value" if unit == "extent" else "gamma.log_value"
    ]
    if order in ("spline", "mlp"):
        renderer = initial_renderer(replace(settings, learn=("occlusion",)), 0)
        learned = [n for n, p in renderer.occlusion.named_parameters() if p.requires_grad]
        assert learned
        assert all(name.startswith("order.") for name in learned)


def test_other_occlusions_count_gamma_in_scene_units():
    with pytest.raises(ValueError, match="softness-gamma_unit must be scene unless the occlusion"):
        SoftnessSettings(gamma_unit="extent").check("softness-")


SPLINES = {
    "coverage": "spline",
    "schedule": "constant",
    "aggregation": "yager",
    "occlusion": "spline",
}
PARTS = {
    "coverage": "softness.coverage.weight",
    "scale": "softness.coverage.scale.length.log_value",
    "aggregation": "softness.aggregation.p.log_value",
    "occlusion": "softness.occlusion.weight",
    "gamma": "softness.occlusion.gamma.log_value",
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_learned_alone(part):
    settings = SoftnessSettings(**SPLINES, learn=(part,))
    renderer = initial_renderer(settings, 0)
    assert [n for n, p in renderer.named_parameters() if p.requires_grad] == [PARTS[part]]


def test_parts_are_learned_together():
    settings = SoftnessSettings(**SPLINES, learn=tuple(PARTS))
    renderer = initial_renderer(settings, 0)
    assert all(p.requires_grad for p in renderer.parameters())


KNOTS = {
    "schedule": "knots",
    "shift_schedule": "knots",
    "aggregation_schedule": "knots",
    "gamma_schedule": "knots",
}


def test_every_number_runs_through_knots():
    settings = SoftnessSettings(
        **KNOTS, knots=5, scale=4.0, scale_end=0.25, shift=0.2, aggregation_p=1.5, gamma=0.4
    )
    softness = replace(settings, gamma_end=0.1).build(0)
    for place, scale, gamma in ((0.0, 4.0, 0.4), (0.25, 2.0, 0.4 / 4**0.25), (1.0, 0.25, 0.1)):
        softness.set_progress(place)
        assert float(softness.coverage.scale.in_pixels(64).detach()) == pytest.approx(scale)
        assert float(softness.coverage.shift().detach()) == pytest.approx(0.2)
        assert float(softness.aggregation.p().detach()) == pytest.approx(1.5)
        assert float(softness.occlusion.gamma().detach()) == pytest.approx(gamma)
    assert {part: len(found) for part, found in parameters_by_part(softness).items()} == {
        **{"coverage": 5, "scale": 5, "aggregation": 5, "occlusion": 0, "gamma": 5}
    }
    with pytest.raises(ValueError, match="knots must be at least 2, got 1"):
        SoftnessSettings(knots=1).check()


@pytest.mark.parametrize("coverage", ["mixture", "mlp"])
@pytest.mark.parametrize("slope", ["none", "uniform"])
def test_what_has_no_such_number_takes_the_schedules_all_the_same(coverage, slope):
    settings = SoftnessSettings(
        **KNOTS, coverage=coverage, slope=slope, aggregation="bounded", learn=("coverage", "gamma")
    )
    renderer = initial_renderer(settings, 0)
    alpha = renderer.silhouette(shapes.cube(), Camera.look_at(eye=(0, 0, 4), image_size=(8, 8)))
    assert 0 < float(alpha.detach().mean()) < 1
    knots = [name for name, _ in renderer.coverage.named_parameters() if "shift.knots" in name]
    assert len(knots) == 3 * (5 * (coverage == "mixture") + (slope == "uniform"))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_number_follows_the_situation(schedule):
    plain = SoftnessSettings(**KNOTS | {"schedule": schedule}, gamma_unit="scene", shift=0.3)
    before, softness = plain.build(0), replace(plain, conditioned=True).build(0)
    crowded = Situation(edge_length=2.0, faces_per_pixel=3.0)

    def numbers(of):
        of.set_progress(0.4)
        found = (of.coverage.scale.in_pixels(64), of.coverage.shift(), of.aggregation.p())
        return torch.stack([*found, of.occlusion.gamma()]).detach()

    softness.set_situation(crowded)
    assert torch.equal(numbers(softness), numbers(before))
    names = ("coverage.scale", "coverage.shift", "aggregation.p", "occlusion.gamma")
    (said,) = [line for line in str(softness).splitlines() if line.startswith("conditioned: ")]
    # The knots of a number are told together.
    assert said.count(" follows nothing yet") == 4 + (schedule == "exponential")
    assert all(name in said for name in names)
    ends = {"constant": 1, "exponential": 2, "free": 1, "knots": 3}[schedule]
    weights = [p for p in softness.parameters() if p.shape == (5,)]
    assert {
        part: sum(p.shape == (5,) for p in found)
        for part, found in (parameters_by_part(softness).items())
    } == {"coverage": 3, "scale": ends, "aggregation": 3, "occlusion": 0, "gamma": 3}
    for parameter in weights:
        assert not parameter.detach().any()
        parameter.data[0] = 1.0
    half = math.log(2.0 / 4.0)
    # Of the shift it is added, all else is multiplied by half.
    expected = numbers(before) * numbers(before).new_tensor([0.5, 1, 0.5, 0.5])
    expected[1] += half
    torch.testing.assert_close(numbers(softness), expected)


def test_a_softness_of_a_file_follows_the_situation(tmp_path):
    file = tmp_path / "start.safetensors"
    Softness(Gaussian(Pixels(0.7, learn=True)), Yager(Positive(2.0, learn=True))).save(file)
    settings = SoftnessSettings(start=str(file), conditioned=True, learn=("scale",))
    renderer = initial_renderer(settings, 0)
    assert renderer.softness.is_conditioned
    assert scale_in_pixels(renderer, 64) == pytest.approx(0.7)
    assert {n for n, p in renderer.named_parameters() if p.requires_grad} == {
        "softness.coverage.scale.length.log_value",
        "softness.coverage.scale.length.weights",
    }
    renderer.softness.save(file)
    again = initial_renderer(settings, 0).softness
    assert again.state_dict().keys() == renderer.softness.state_dict().keys()


def test_a_part_without_parameters_cannot_be_learned():
    with pytest.raises(ValueError, match="learn names 'aggregation', but this softness has no"):
        initial_renderer(
            SoftnessSettings(aggregation="probabilistic", learn=("scale", "aggregation")), 0
        )


def test_learning_goes_on_from_a_file(tmp_path):
    file = tmp_path / "start.safetensors"
    saved = Softness(Gaussian(Pixels(0.7, learn=True)), Yager(Positive(2.0, learn=True)))
    saved.save(file, {"step": 8, "rate": 2.0})
    settings = SoftnessSettings(start=str(file), learn=("aggregation",))
    renderer = initial_renderer(settings, 0)
    assert scale_in_pixels(renderer, 64) == pytest.approx(0.7)
    assert [n for n, p in renderer.named_parameters() if p.requires_grad] == [PARTS["aggregation"]]
    # Its rate is that of the run, which the page and a comparison must not take for another.
    assert renderer.softness.trained == {}
