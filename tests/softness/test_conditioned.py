"""Conditioned numbers follow the situation, wherever a softness has a number."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch

import taichisoft as ts
from taichisoft.softness.situation import FEATURES

SCENE = ts.Situation(
    edge_length=12.0, image_height=128, faces_per_pixel=3.0, depth_extent=0.25, colors=True
)
# Written out: 12 / 4, 128 / 64, 3 / 1.5, 1/4 of 5/4, and colours.
SEEN = [math.log(3), math.log(2), math.log(2), 0.2, 1.0]
MESH = ts.shapes.icosphere(1)
CAMERA = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(9, 12))


def conditioned(*, learn: bool = False) -> ts.SoftRasterizer:
    """Return a renderer of which every number follows the situation."""
    positive, real = ts.ConditionedPositive, ts.ConditionedReal
    width = ts.ExponentialAnnealing(
        ts.Pixels(positive(1.0, {"edge_length": 1.0}, learn=learn)),
        ts.HeightFraction(positive(0.05, {"image_height": -1.0}, learn=learn)),
    )
    return ts.SoftRasterizer(
        ts.Gaussian(width, shift=real(0.25, {"colors": -0.5}, learn=learn)),
        ts.Frank(positive(50.0, {"faces_per_pixel": 2.0}, learn=learn)),
        ts.FrontToBack(
            gamma=ts.DepthFraction(
                ts.AnnealedPositive(positive(0.1, {"depth_extent": 5.0}, learn=learn), 0.02)
            )
        ),
    )


def plain(first, last, shift, p, gamma) -> ts.SoftRasterizer:
    """Return a renderer of the same kinds with fixed numbers."""
    width = ts.ExponentialAnnealing(first, ts.HeightFraction(last))
    gamma = ts.DepthFraction(ts.AnnealedPositive(gamma, 0.02))
    return ts.SoftRasterizer(
        ts.Gaussian(width, shift=shift), ts.Frank(p), ts.FrontToBack(None, gamma)
    )


def test_features_are_bounded_or_logarithmic_and_zero_at_the_reference():
    assert SCENE.features().tolist() == pytest.approx(SEEN)
    assert SCENE.features().dtype == torch.float64
    assert ts.Situation().features().tolist() == [0.0] * len(FEATURES)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"edge_length": 0.0}, ValueError, "edge_length must be"),
        ({"faces_per_pixel": math.nan}, ValueError, "faces_per_pixel must be"),
        ({"image_height": 64.0}, TypeError, "image_height must be an int, got float"),
        ({"depth_extent": -0.1}, ValueError, "depth_extent must not be negative, got -0.1"),
        ({"colors": 1}, TypeError, "colors must be"),
    ],
)
def test_a_bad_situation_is_an_error(arguments, error, message):
    with pytest.raises(error, match=message):
        ts.Situation(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"weights": {"edges": 1.0}}, ValueError, "got one for edges"),
        ({"weights": [1.0, 2.0]}, ValueError, "weights must be five numbers, got 2"),
        ({"weights": [0.0, 0.0, 0.0, "x", 0.0]}, TypeError, "the weight of depth_extent must be"),
        ({"low": 2.0, "high": 1.0}, ValueError, "low must be less than high, got 2 and 1"),
        ({"low": 0.0}, ValueError, "low must be"),
    ],
)
def test_bad_arguments_of_a_conditioned_number(arguments, error, message):
    with pytest.raises(error, match=message):
        ts.ConditionedPositive(1.0, **arguments)


def test_values_are_log_linear_and_linear_in_the_features():
    weights = [0.5, -0.25, 1.0, 2.0, -0.75]
    exponent = sum(w * x for w, x in zip(weights, SEEN, strict=True))
    positive, real = ts.ConditionedPositive(3.0, weights), ts.ConditionedReal(-2.0, weights)
    assert [float(positive()), float(real())] == pytest.approx([3.0, -2.0])
    for number in (positive, real):
        number.set_situation(SCENE)
    assert [float(positive()), float(real())] == pytest.approx(
        [3 * math.exp(exponent), exponent - 2]
    )
    # A weight of 1 makes it proportional, names left out count as 0.
    third = ts.ConditionedPositive(0.5, {"edge_length": 1.0})
    third.set_situation(SCENE)
    assert float(third()) == pytest.approx(1.5)


@pytest.mark.parametrize("kind", [ts.ConditionedPositive, ts.ConditionedReal])
def test_first_and_second_derivatives(kind):
    number = kind(0.75, [0.5, -0.25, 1.0, 2.0, -0.75], learn=True, low=0.01, high=50.0)
    number.set_situation(SCENE)
    names = [name for name, _ in number.named_parameters()]

    def value(*parameters):
        return torch.func.functional_call(number, dict(zip(names, parameters, strict=True)), ())

    parameters = tuple(number.parameters())
    assert len(parameters) == 2
    assert torch.autograd.gradcheck(value, parameters)
    assert torch.autograd.gradgradcheck(value, parameters)


@pytest.mark.parametrize("kind", [ts.ConditionedPositive, ts.ConditionedReal])
@pytest.mark.parametrize(("weight", "held"), [(1e4, 2.0), (-1e4, 0.5)])
def test_at_a_bound_the_value_is_held_without_a_gradient(kind, weight, held):
    number = kind(1.0, {"edge_length": weight}, learn=True, low=0.5, high=2.0)
    number.set_situation(SCENE)
    value = number()
    assert value.item() == pytest.approx(held)
    gradients = torch.autograd.grad(value, list(number.parameters()))
    assert all(bool((gradient == 0).all()) for gradient in gradients)


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_every_number_of_a_softness_follows_and_no_table_is_of_another_scene(dtype, progress):
    renderer = conditioned()
    mesh, camera = MESH.with_vertices(MESH.vertices.to(dtype)), CAMERA.to(dtype=dtype)
    colors = torch.linspace(0, 1, mesh.num_faces, dtype=dtype)[:, None]
    at_reference = plain(1.0, 0.05, 0.25, 50.0, 0.1)
    in_scene = plain(3.0, 0.025, -0.25, 200.0, 0.1 * math.exp(1))
    renderer.set_progress(progress)
    # There, and back again.
    for situation, twin in (
        (None, at_reference),
        (SCENE, in_scene),
        (ts.Situation(), at_reference),
    ):
        if situation is not None:
            renderer.set_situation(situation)
        twin.set_progress(progress)
        found, wanted = renderer(mesh, camera, colors), twin(mesh, camera, colors)
        for name in ("alpha", "color", "depth"):
            torch.testing.assert_close(getattr(found, name), getattr(wanted, name))
        alpha = renderer.silhouette(mesh, camera)
        torch.testing.assert_close(alpha, twin.silhouette(mesh, camera))


def test_the_situation_is_copied_with_a_softness_and_not_saved(tmp_path):
    softness = conditioned(learn=True).softness
    softness.set_situation(SCENE)
    assert softness.is_conditioned
    assert not ts.Softness().is_conditioned
    wanted = float(softness.coverage.scale.in_pixels(64).detach())
    assert float(copy.deepcopy(softness).coverage.scale.in_pixels(64).detach()) == wanted
    softness.save(tmp_path / "s.safetensors")
    again = ts.Softness.load(tmp_path / "s.safetensors")
    assert float(again.coverage.scale.in_pixels(64)) == pytest.approx(1.0)
    again.set_situation(SCENE)
    assert repr(again) == repr(softness)
    assert again.describe(SCENE) == softness.describe(SCENE)
    assert not any("situation" in name for name in softness.state_dict())


def test_what_was_learned_beyond_the_bounds_of_a_t_conorm_can_be_saved(tmp_path):
    softness = conditioned(learn=True).softness
    with torch.no_grad():
        softness.aggregation.p.log_value.fill_(100.0)
    softness.save(tmp_path / "s.safetensors")
    again = ts.Softness.load(tmp_path / "s.safetensors")
    assert again.aggregation.p.log_value == 100
    assert again.aggregation.p.weights.tolist() == [0.0, 0.0, 2.0, 0.0, 0.0]


def test_plain_numbers_keep_their_form():
    assert ts.Pixels(0.5, learn=True).settings() == {"value": pytest.approx(0.5), "learn": True}
    assert ts.Pixels(ts.Positive(0.5)).settings() == {"value": pytest.approx(0.5), "learn": False}
    with pytest.raises(ValueError, match="learn must be given to the Positive"):
        ts.Pixels(ts.Positive(0.5), learn=True)


def test_a_description_for_a_scene_is_a_sentence():
    softness = conditioned().softness
    said = softness.describe(SCENE)
    assert "\n" not in said
    assert said.startswith(
        "for faces with edges of 12 px in images of 128 px, 3 faces over a covered pixel, a depth of 0.25 "
        "of the height shown, with colours: "
    )
    # The end is a fraction of the height: 0.05 / 2 of 128 px.
    assert said.endswith(
        "3 px wide at first and 3.2 px at the end, shift -0.25, p 200, "
        "gamma 0.272 of the extent in depth at first and 0.02 at the end"
    )
    # That was a question, and not told.
    line = softness.describe().splitlines()[4]
    assert line.startswith("conditioned: coverage.scale.start.length follows edge_length; ")
    assert line.endswith("without colours; never told: call set_situation")
    softness.set_situation(SCENE)
    assert softness.describe().splitlines()[4].endswith("with colours")
    with pytest.raises(TypeError, match="situation must be a Situation, got dict"):
        softness.describe({})


def test_ten_backward_passes_without_a_situation_warn_with_the_cure(dtype):
    def backward() -> None:
        vertices = MESH.vertices.to(dtype).requires_grad_()
        mesh, camera = ts.Mesh(vertices, MESH.faces), CAMERA.to(dtype=dtype)
        renderer.silhouette(mesh, camera).sum().backward()

    renderer = conditioned()
    renderer.set_progress(0.0)
    for _ in range(9):
        backward()
    with pytest.warns(UserWarning, match=r"ts\.situation_of\(mesh, camera, colors=") as said:
        backward()
    assert [warning.filename for warning in said] == [__file__]
    renderer = conditioned()
    renderer.set_progress(0.0)
    renderer.set_situation(ts.Situation())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(11):
            backward()
