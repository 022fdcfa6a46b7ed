"""T-conorm properties of every aggregation, on numbers and on images."""

from __future__ import annotations

import itertools

import pytest
import torch

import taichisoft as ts
from tests.helpers import AGGREGATIONS, assert_close, pixel_camera, soft, soup_setup

LEVELS = torch.tensor([0.0, 1e-9, 1e-3, 0.25, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)


def join(aggregation: ts.Aggregation, *coverages: torch.Tensor) -> torch.Tensor:
    """Combine coverages as a render does."""
    parts = torch.stack([aggregation.generator(c) for c in coverages])
    return aggregation.inverse(parts.amax(0) if aggregation.takes_max else parts.sum(0))


@pytest.fixture(params=list(AGGREGATIONS))
def aggregation(request) -> ts.Aggregation:
    return AGGREGATIONS[request.param]()


def test_inverse_undoes_the_generator(aggregation):
    torch.testing.assert_close(
        aggregation.inverse(aggregation.generator(LEVELS)), LEVELS, atol=1e-15, rtol=1e-12
    )


def test_nothing_is_the_identity(aggregation):
    zero = torch.zeros_like(LEVELS)
    torch.testing.assert_close(join(aggregation, LEVELS, zero), LEVELS, atol=1e-15, rtol=1e-12)
    assert float(aggregation.generator(torch.zeros(1))) == 0
    assert float(aggregation.inverse(torch.zeros(1))) == 0


def test_full_coverage_absorbs(aggregation):
    one = torch.ones_like(LEVELS)
    assert torch.equal(join(aggregation, LEVELS, one), one)
    assert bool(aggregation.generator(one).isfinite().all())


def test_commutative_associative_and_monotone(aggregation):
    for a, b, c in itertools.product(LEVELS, repeat=3):
        ab, ba = join(aggregation, a, b), join(aggregation, b, a)
        assert torch.equal(ab, ba)
        left, right = join(aggregation, ab, c), join(aggregation, a, join(aggregation, b, c))
        torch.testing.assert_close(left, right, atol=1e-12, rtol=0)
        assert ab >= torch.maximum(a, b) - 1e-15
        if c >= b:
            assert join(aggregation, a, c) >= ab - 1e-15


def test_closed_forms():
    a, b = LEVELS[:, None].expand(-1, 7).reshape(-1), LEVELS.repeat(7)
    torch.testing.assert_close(join(ts.Probabilistic(), a, b), a + b - a * b, atol=1e-14, rtol=0)
    assert torch.equal(join(ts.Max(), a, b), torch.maximum(a, b))


def test_probabilistic_keeps_tiny_coverages_in_float32():
    tiny = torch.tensor([1e-6], dtype=torch.float32)
    total = ts.Probabilistic().generator(tiny.double()).float()
    assert float(ts.Probabilistic().inverse(total)) == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_image_of_two_faces_is_the_join_of_their_images(name, dtype, tolerance):
    setup = soup_setup(8, 2, (12, 14), size=12.0)
    vertices = setup.leaves["vertices"][0].to(dtype)
    camera, renderer = pixel_camera(12, 14, dtype), soft(aggregation=name)
    with torch.no_grad():
        both = renderer.silhouette(ts.Mesh(vertices, torch.arange(6).reshape(2, 3)), camera)
        parts = [
            renderer.silhouette(ts.Mesh(vertices[k : k + 3], torch.tensor([[0, 1, 2]])), camera)
            for k in (0, 3)
        ]
    expected = join(renderer.aggregation, *(part.double() for part in parts))
    assert float((parts[0] * parts[1]).max()) > 0.1, "the faces should overlap"
    assert_close(both.double(), expected, tolerance.value, "alpha")


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_many_equal_faces(name, dtype):
    corners = torch.tensor([[2.0, 2, 1], [11, 3, 1], [5, 10, 1]], dtype=dtype)
    camera, renderer = pixel_camera(12, 14, dtype), soft(aggregation=name)
    with torch.no_grad():
        one = renderer.silhouette(ts.Mesh(corners, torch.tensor([[0, 1, 2]])), camera).double()
        many = renderer.silhouette(
            ts.Mesh(corners, torch.tensor([[0, 1, 2]] * 70)), camera
        ).double()
    expected = one if name == "max" else 1 - (1 - one) ** 70
    torch.testing.assert_close(
        many, expected, atol=1e-12 if dtype == torch.float64 else 2e-5, rtol=0
    )
