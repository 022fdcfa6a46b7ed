"""What a render by faces asks the device for, which then has to be waited for, it asks for once."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.engine import fragment_map
from taichisoft.engine.autodiff import total_of_fragments
from taichisoft.engine.composite import CompositePass
from taichisoft.engine.inputs import CompositeInputs, CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.softness.curves import SoftnessCurves
from tests.helpers import soup_setup


@pytest.fixture
def job(dtype) -> RasterJob:
    setup = soup_setup(4, 7, (13, 17))
    leaves = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    return RasterJob(build_scene(*setup.build(leaves), None))


@pytest.fixture
def asked(monkeypatch) -> list[torch.Tensor]:
    """Return the tensors that become lists from now on."""
    found = []
    tolist = torch.Tensor.tolist

    def noted(self):
        found.append(self)
        return tolist(self)

    monkeypatch.setattr(torch.Tensor, "tolist", noted)
    return found


@pytest.mark.parametrize(
    "coverage",
    [
        ts.Gaussian(1.3),
        ts.Logistic.softras(1e-3),
        ts.StraightThrough(ts.Heaviside(), ts.Gaussian(2.0)),
    ],
    ids=["gaussian", "logistic", "straight_through"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reach_is_that_of_the_numbers(coverage, dtype):
    curve = SoftnessCurves(ts.Softness(coverage)).coverage(17)
    assert curve.reach(dtype) == float(curve.numbers(torch.zeros(1, dtype=dtype))[1])


def test_bands_are_found_once_for_a_render_and_its_gradient(job, asked):
    softness = ts.Softness(ts.Gaussian(1.0), occlusion=ts.FrontToBack())
    curves = SoftnessCurves(softness).composite(13)
    render = CompositePass(job, curves, False)
    inputs = CompositeInputs.of(job, curves)
    asked.clear()
    sums, kept = render.values(*inputs)
    assert len(asked) == 1
    render.adjoint(torch.ones_like(sums), kept, inputs, (True,) * len(inputs))
    assert len(asked) == 1


def test_chunks_of_fragments_are_told_their_faces_at_once(job, asked, monkeypatch):
    curve = SoftnessCurves(ts.Softness(ts.Gaussian(1.0))).generator(13)
    found = []
    for capacity in (fragment_map.CAPACITY, 64):
        monkeypatch.setattr(fragment_map, "CAPACITY", capacity)
        inputs = CoverageInputs.of(job, curve)
        points = inputs.points.detach().requires_grad_()
        total = total_of_fragments(job, curve, None, inputs._replace(points=points))
        asked.clear()
        found.append(torch.autograd.grad(total.square().sum(), points)[0])
        assert len(asked) == 1
    torch.testing.assert_close(*found)
