"""Kernels in whole vectors against those that every backend runs: values, winners and gradients."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.engine.block_job import works_in_blocks
from taichisoft.engine.coverage import CoveragePass
from taichisoft.engine.inputs import CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels import vectors
from taichisoft.engine.projection import build_scene
from taichisoft.engine.vector_coverage import VectorCoveragePass
from taichisoft.softness.curves import SoftnessCurves
from tests.helpers import assert_close, learned

pytestmark = pytest.mark.cpu_only

# Three times the worst that was measured.
ALLOWED = {torch.float64: (1e-14, 1e-12), torch.float32: (4e-6, 4e-5)}
# None, one or both of the sides fit blocks of 2 x 4 and 2 x 2 pixels.
SIZES = [(16, 16), (17, 23), (3, 50), (1, 1)]
COVERAGES = {
    "gaussian": lambda: ts.Gaussian(learned(1.3)),
    "kinked": lambda: ts.Laplace(learned(1.3)),
    "slopes": lambda: ts.StraightThrough(ts.Heaviside(), ts.Gaussian(1.0), learned(1.3)),
}


def passes(
    image_size: tuple[int, int], dtype: torch.dtype, coverage: str, take_max: bool
) -> tuple[CoveragePass, VectorCoveragePass, CoverageInputs]:
    """Return both passes over two views of a ball, and their inputs."""
    aggregation = ts.Max() if take_max else ts.Probabilistic()
    renderer = ts.SoftRasterizer(COVERAGES[coverage](), aggregation)
    eye = torch.tensor([[0.3, 0.2, 2.5], [1.0, 1.1, 2.0]], dtype=dtype)
    camera = ts.Camera.look_at(eye, image_size=image_size)
    job = RasterJob(build_scene(ts.shapes.icosphere(1).to(dtype=dtype), camera, None))
    curve = SoftnessCurves(renderer.softness).generator(image_size[0])
    both = (kind(job, curve, take_max) for kind in (CoveragePass, VectorCoveragePass))
    return *both, CoverageInputs.of(job, curve)


@pytest.mark.parametrize("image_size", SIZES)
@pytest.mark.parametrize("coverage", COVERAGES)
def test_sums_and_their_gradients(image_size, coverage, dtype):
    old, new, inputs = passes(image_size, dtype, coverage, False)
    value, gradient = ALLOWED[dtype]
    (expected, old_kept), (found, new_kept) = old.values(*inputs), new.values(*inputs)
    assert_close(found, expected, value, "totals")
    upstream = torch.rand(found.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    needed = (True, True, False, True)
    expected = old.adjoint(upstream, old_kept, inputs, needed)
    found = new.adjoint(upstream, new_kept, inputs, needed)
    for name, one, other in zip(CoverageInputs._fields, found, expected, strict=True):
        if name == "cells":
            # Rows beyond either end hold constants; pixels out of reach count there in one of the two.
            ends = [row for p in old.curve.table.pieces for row in (p.first - 1, p.first + p.count)]
            one, other = (x.index_fill(0, torch.tensor(ends).long(), 0) for x in (one, other))
            # A number between two cells is in either, at one end or the other.
            one, other = (x[:, 0].sum() for x in (one, other))
        if other is not None:
            assert_close(one, other, gradient, name)


@pytest.mark.parametrize("image_size", SIZES[:2])
def test_maxima_and_their_gradients(image_size, dtype):
    old, new, inputs = passes(image_size, dtype, "gaussian", True)
    value, _ = ALLOWED[dtype]
    (expected, (old_winner,)), (found, kept) = old.values(*inputs), new.values(*inputs)
    assert_close(found, expected, value, "maxima")
    new_winner = new.blocks.flattened(kept[2])
    # Two faces that share an edge have one distance to it, but for the last digit.
    same = old_winner == new_winner
    assert same.float().mean() > 0.9
    upstream = same.reshape(found.shape).to(dtype)
    needed = (True, False, False, True)
    by_points, _, _, by_width = new.adjoint(upstream, kept, inputs, needed)
    expected = old.adjoint(upstream, (old_winner,), inputs, needed)
    assert_close(by_points, expected[0], 1e-3 if dtype == torch.float32 else 1e-12, "points")
    assert_close(by_width, expected[3], 1e-4, "width")


def test_other_kernels_take_over_where_vectors_cannot_stay_whole(monkeypatch):
    mesh, camera = ts.shapes.cube(), ts.Camera.look_at((1.0, 1.0, 3.0), image_size=(9, 12))
    renderer = ts.SoftRasterizer(ts.Gaussian(0.7))
    expected = renderer.silhouette(mesh, camera)
    monkeypatch.setattr(vectors, "OPTION", "an_option_of_another_version")
    assert not works_in_blocks(RasterJob(build_scene(mesh, camera, None)))
    assert_close(renderer.silhouette(mesh, camera), expected, 1e-6, "alpha")
