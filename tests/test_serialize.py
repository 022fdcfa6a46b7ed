"""A softness survives a file; a file cannot do anything else."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

import taichisoft as ts

RENDERERS = {
    "gaussian": lambda: ts.SoftRasterizer(ts.Gaussian(0.7)),
    "softras": lambda: ts.SoftRasterizer(ts.Logistic.softras(1e-4), ts.Max()),
    "gamma": lambda: ts.SoftRasterizer(ts.GammaReversed(0.3, shape=0.7, squared=True)),
    "hard": lambda: ts.SoftRasterizer.hard(background=(0.1, 0.2, 0.3)),
    "mlp": lambda: ts.SoftRasterizer(
        ts.MLPCoverage(ts.Pixels(0.4, learn=True), reach=3.0, biases=False, seed=5),
        occlusion=ts.DepthSoftmax(ts.Positive(0.2, learn=True)),
    ),
    "spline": lambda: ts.SoftRasterizer(ts.MonotoneSpline(ts.HeightFraction(0.01), knots=7)),
    "others": lambda: ts.SoftRasterizer(ts.Uniform(2.0)),
    "exponential": lambda: ts.SoftRasterizer(ts.ExponentialReversed(2.0)),
}


@pytest.mark.parametrize("make", RENDERERS.values(), ids=RENDERERS.keys())
def test_round_trip(make, tmp_path):
    renderer = make()
    with torch.no_grad():
        for parameter in renderer.parameters():
            parameter.add_(0.125)
    path = tmp_path / "softness.safetensors"
    ts.save_softness(renderer, path, {"seed": 3})
    loaded, notes = ts.load_softness(path)
    assert notes == {"seed": 3}
    assert {n: p.requires_grad for n, p in loaded.named_parameters()} == {
        n: p.requires_grad for n, p in renderer.named_parameters()
    }
    mesh, camera = ts.shapes.cube(), ts.Camera.look_at((1.0, 2.0, 3.0), image_size=(9, 12))
    colors = torch.rand(mesh.num_vertices, 3)
    one, two = renderer(mesh, camera, colors), loaded(mesh, camera, colors)
    assert torch.equal(one.alpha, two.alpha)
    assert torch.equal(one.color, two.color)
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_kind_is_refused_when_saving(tmp_path):
    class Mine(ts.ClosedForm):
        def cdf(self, x):
            return torch.sigmoid(x)

        def support(self):
            return -1.0, 1.0

    with pytest.raises(TypeError, match="a Mine cannot be saved"):
        ts.save_softness(ts.SoftRasterizer(Mine()), tmp_path / "softness.safetensors")


def test_files_that_are_no_softness(tmp_path):
    path = tmp_path / "softness.safetensors"
    with pytest.raises(FileNotFoundError, match="no such file"):
        ts.load_softness(path)
    path.write_bytes(b"not a safetensors file at all")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        ts.load_softness(path)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="must have the format"):
        ts.load_softness(path)


@pytest.mark.parametrize(
    "description",
    [
        {"kind": "system", "settings": {"command": "true"}},
        {"kind": "Gaussian", "settings": {"scale": -1.0}},
        {"kind": "SoftRasterizer", "settings": {"unknown": 1}},
        [],
    ],
)
def test_damaged_descriptions(description, tmp_path):
    path = tmp_path / "softness.safetensors"
    header = {
        "format": "taichisoft softness 1",
        "softness": json.dumps(description),
        "notes": "{}",
    }
    safetensors.torch.save_file({"x": torch.zeros(1)}, path, metadata=header)
    with pytest.raises(ValueError, match=r"is damaged|must be"):
        ts.load_softness(path)


def test_non_finite_parameters_are_refused(tmp_path):
    renderer = ts.SoftRasterizer(ts.MonotoneSpline(1.0))
    with torch.no_grad():
        renderer.coverage.weight[0] = torch.nan
    path = tmp_path / "softness.safetensors"
    ts.save_softness(renderer, path)
    with pytest.raises(ValueError, match="not finite"):
        ts.load_softness(path)
