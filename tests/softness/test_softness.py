"""The bundle of coverage, aggregation and occlusion: defaults, checks, progress, picture."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import taichisoft as ts
from taichisoft.softness.annealing import CosineAnnealing, ExponentialAnnealing
from taichisoft.softness.coverage import CustomCoverage
from taichisoft.softness.plot import coverage_curve
from taichisoft.softness.softness import Softness
from tests.forks import Program


def test_defaults():
    softness = Softness()
    assert isinstance(softness.coverage, ts.Gaussian)
    assert float(softness.coverage.scale.in_pixels(64)) == pytest.approx(1.0)
    assert isinstance(softness.aggregation, ts.Probabilistic)
    assert isinstance(softness.occlusion, ts.FrontToBack)
    assert isinstance(softness.occlusion.order, ts.CubicHermite)
    assert isinstance(softness.occlusion.gamma, ts.DepthFraction)
    assert float(softness.occlusion.gamma()) == pytest.approx(0.02)
    assert float(ts.DepthSoftmax().gamma()) == pytest.approx(0.05)
    assert softness.trained == {}


def test_a_module_of_the_user_is_wrapped():
    module = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Sigmoid())
    softness = Softness(module)
    assert isinstance(softness.coverage, CustomCoverage)
    assert {id(p) for p in module.parameters()} <= {id(p) for p in softness.parameters()}
    assert float(softness.coverage.scale.in_pixels(64)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Softness(1.0), "coverage must be a Coverage, got float"),
        (lambda: Softness(ts.Max()), "coverage must be a Coverage, got Max"),
        (lambda: Softness(Softness()), "coverage must be a Coverage, got Softness"),
        (lambda: Softness(aggregation="max"), "aggregation must be an Aggregation, got str"),
        (lambda: Softness(occlusion=ts.Max()), "occlusion must be an Occlusion, got Max"),
    ],
)
def test_wrong_parts(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_progress_reaches_annealed_scales():
    softness = Softness(ts.Gaussian(ExponentialAnnealing(4.0, 1.0)))
    softness.set_progress(0.5)
    assert float(softness.coverage.scale.in_pixels(64)) == pytest.approx(2.0)
    softness.set_progress(1)
    assert float(softness.coverage.scale.in_pixels(64)) == pytest.approx(1.0)
    # Nothing follows it here, yet a wrong value is an error.
    Softness().set_progress(0.5)
    with pytest.raises(ValueError, match=r"progress must be from 0 to 1, got 1\.5"):
        Softness().set_progress(1.5)


def test_annealed_scale_in_a_render():
    mesh = ts.shapes.icosphere(1)
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(9, 12))
    annealed = ts.Gaussian(CosineAnnealing(3.0, 1.0))
    renderer = ts.SoftRasterizer(annealed)
    for progress, scale in [(0.0, 3.0), (0.5, 2.0), (1.0, 1.0)]:
        annealed.scale.set_progress(progress)
        wanted = ts.SoftRasterizer(ts.Gaussian(scale)).silhouette(mesh, camera)
        torch.testing.assert_close(renderer.silhouette(mesh, camera), wanted)


DRAWN = {
    "gaussian": lambda: Softness(ts.Gaussian(0.7)),
    "gamma": lambda: Softness(ts.GammaReversed(ts.HeightFraction(0.02)), ts.Max()),
    "hard": lambda: Softness(ts.Heaviside(), ts.Max(), ts.DepthSoftmax(1e-4)),
    "learned": lambda: Softness(
        ts.MonotoneSpline(ts.Pixels(0.3, learn=True)),
        occlusion=ts.DepthSoftmax(ts.Positive(0.2, learn=True)),
    ),
    "hard order": lambda: Softness(occlusion=ts.FrontToBack(ts.Heaviside(), 0.3)),
    "learned order": lambda: Softness(occlusion=ts.FrontToBack(ts.MonotoneSpline(), 0.3)),
    "heavy order": lambda: Softness(occlusion=ts.FrontToBack(ts.Cauchy(), 0.3)),
    "heavy tails": lambda: Softness(ts.Cauchy(0.4), ts.Hamacher(0.0), ts.HardOcclusion()),
    "one-sided": lambda: Softness(ts.Levy(0.3), ts.Frank(2.0), ts.MonotoneDepth(0.1)),
    "jump inside": lambda: Softness(ts.Mixture([ts.Heaviside(), ts.Laplace(0.5)], 1.5)),
}


@pytest.mark.parametrize("make", DRAWN.values(), ids=DRAWN.keys())
def test_drawn_curve_is_that_of_the_renderer_in_pixels(make):
    coverage, height = make().coverage, 100
    scale = float(coverage.scale.in_pixels(height).detach())
    d, value, slope = coverage_curve(coverage, height)
    assert not any(found.requires_grad for found in (d, value, slope))
    assert (d.diff() > 0).all()
    exact = coverage.without_tail(d / scale).detach()
    # Measured: 4e-16, from the division.
    torch.testing.assert_close(value, exact, rtol=0, atol=1e-15)
    # From beyond the cut-off to most of the rise, with the boundary in between.
    assert d[0] < coverage.domain().low * scale <= 0 < d[-1]
    assert value[0] == 0
    assert value[-1] > 0.9
    h = 1e-6 * scale
    with torch.no_grad():
        central = coverage.without_tail((d + h) / scale) - coverage.without_tail((d - h) / scale)
    # All but a few points beside kinks, jumps and infinite slopes.
    wrong = (slope - central / (2 * h)).abs() > 1e-4 * (1 + slope.abs())
    assert wrong.sum() <= 6


@pytest.mark.parametrize("make", DRAWN.values(), ids=DRAWN.keys())
def test_picture(make, tmp_path):
    softness = make()
    figure = softness.plot(image_height=100)
    panels = figure.axes
    assert [panel.get_ylabel() for panel in panels] == [
        "coverage",
        "slope of coverage [1/px]",
        "alpha of equal faces",
        "share of it that counts as in front"
        if isinstance(softness.occlusion, ts.FrontToBack)
        else "weight",
    ]
    assert all("[px]" in panel.get_xlabel() for panel in panels[:2])
    relative = isinstance(softness.occlusion.gamma, ts.DepthFraction)
    assert f"[{'extents in depth' if relative else 'scene units'}]" in panels[3].get_xlabel()
    cutoff = softness.coverage.domain().low * float(softness.coverage.scale.in_pixels(100).detach())
    for panel in panels[:2]:
        (mark,) = [line for line in panel.lines if str(line.get_label()).startswith("cut-off")]
        assert mark.get_xdata()[0] == pytest.approx(cutoff)
        assert panel.get_xlim()[0] < cutoff < panel.get_xlim()[1]
    two = panels[2].lines[0]
    middle = np.interp(0.5, two.get_xdata(), two.get_ydata())
    g, halves = softness.aggregation, torch.full((1,), 0.5, dtype=torch.float64)
    total = g.generator(halves) * (1 if g.takes_max else 2)
    assert middle == pytest.approx(float(g.inverse(total)), abs=1e-3)
    (line, *_) = panels[3].lines
    weight = line.get_ydata()
    heavy = isinstance(getattr(softness.occlusion, "order", None), ts.Cauchy)
    assert (weight[0], weight[-1]) == (
        pytest.approx(0, abs=0.02 if heavy else 0),
        pytest.approx(1, abs=0.02 if heavy else 1e-6),
    )
    if isinstance(softness.occlusion, ts.FrontToBack):
        # The order in the units of gamma, to both sides of equal depths.
        u = torch.as_tensor(line.get_xdata()) / float(softness.occlusion.gamma())
        assert float(u[0]) == pytest.approx(-float(u[-1]))
        torch.testing.assert_close(
            torch.as_tensor(weight), softness.occlusion(u).detach(), rtol=0, atol=1e-6
        )
    figure.savefig(tmp_path / "softness.png")
    assert (tmp_path / "softness.png").stat().st_size > 10_000


def test_slope_that_gradients_follow():
    softness = Softness(ts.StraightThrough(ts.Heaviside(), ts.Gaussian(2.0), 0.5))
    d, value, slope = coverage_curve(softness.coverage, 64)
    # The step, but for the faint coverage that a straight-through face has in the reach of its slope.
    assert value.unique().tolist() == pytest.approx([1e-6, 1.0], rel=1e-9)
    # A normal distribution of 2 * 0.5 px, whose tail of 1e-4 is removed.
    assert float(slope.max()) == pytest.approx(1 / (2 * torch.pi) ** 0.5, rel=2e-4)
    assert slope[0] == 0
    assert d[0] < -3.7
    assert d[-1] > 3.7
    assert softness.plot().axes[1].get_title() == "slope that gradients follow"


def test_picture_on_given_axes():
    figure = Figure()
    grid = figure.subplots(2, 2)
    assert Softness().plot(axes=grid) is figure
    assert all(panel.lines for panel in grid.flat)
    with pytest.raises(ValueError, match="axes must be four, got 2"):
        Softness().plot(axes=list(grid[0]))
    with pytest.raises(ValueError, match="image_height must be at least 1, got 0"):
        Softness().plot(0)


def test_without_matplotlib(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"needs matplotlib.*taichisoft\[train\]"):
        Softness().plot()


def test_pyplot_is_never_imported():
    code = (
        "import sys; from taichisoft import Softness; Softness().plot();"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert Program(code, dict(os.environ)).finished().returncode == 0
