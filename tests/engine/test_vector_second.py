"""Second derivatives of coverage in two sweeps, against Taichi's derivative of the adjoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.base.engine import ENGINE
from taichisoft.engine.bridge import Gradients, Rendered
from taichisoft.engine.inputs import CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.engine.vector_coverage import VectorCoveragePass
from taichisoft.engine.vector_second import Motion, second_order
from taichisoft.softness.curves import SoftnessCurves
from tests.engine.test_degenerate import CASES, IMAGE, NORMAL
from tests.helpers import (
    ROOT,
    Setup,
    assert_close,
    error,
    normal_like,
    pixel_camera,
    soft,
    soup_setup,
    views_setup,
)
from tests.zoo.renderers import EVERY, LAYOUTS, STRAIGHT_LAYOUTS, STRAIGHT_THROUGH

pytestmark = pytest.mark.cpu_only

ALL: dict[str, Callable[[], ts.SoftRasterizer]] = {**EVERY, **STRAIGHT_THROUGH}
# The generator of coverage knows nothing of occlusion.
COVERED = tuple(name for name in ALL if not name.startswith("occlusion"))
SLOW = tuple(name for name in (*LAYOUTS, *STRAIGHT_LAYOUTS) if not name.startswith("occlusion"))
EVERYTHING = (True,) * 5


@dataclass(frozen=True, eq=False)
class Case:
    """Coverage of a scene, an upstream gradient and tangents of all that it depends on.

    Parameters
    ----------
    setup : Setup
        The scene.
    renderer : SoftRasterizer
        Whose coverage is summed.
    dtype : torch.dtype
        Of the scene.
    """

    setup: Setup
    renderer: ts.SoftRasterizer
    dtype: torch.dtype = torch.float64

    @cached_property
    def operation(self) -> VectorCoveragePass:
        """The operation under test."""
        leaves = {name: leaf.to(self.dtype) for name, leaf in self.setup.leaves.items()}
        mesh, camera = self.setup.build(leaves)
        job = RasterJob(build_scene(mesh, camera, None))
        curve = SoftnessCurves(self.renderer.softness).generator(job.height)
        return VectorCoveragePass(job, curve, self.renderer.aggregation.takes_max)

    @cached_property
    def inputs(self) -> CoverageInputs:
        """What coverage depends on."""
        inputs = CoverageInputs.of(self.operation.job, self.operation.curve)
        return CoverageInputs(*(x.detach() for x in inputs))

    @cached_property
    def result(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Totals, and the winning faces."""
        return self.operation.values(*self.inputs)

    def like(self, value: Tensor, seed: int) -> Tensor:
        """Return random numbers in the shape and dtype of a value."""
        return normal_like(value, torch.Generator().manual_seed(seed)).to(value)

    @property
    def upstream(self) -> Tensor:
        """Gradient of the totals."""
        return self.like(self.result[0], 1)

    @cached_property
    def tangents(self) -> Gradients:
        """Rates of the inputs."""
        points, cells, _, width = (self.like(x, 2 + n) for n, x in enumerate(self.inputs))
        # Beyond its domain a curve is constant, and zero below it; so it stays.
        ends = constant(self.inputs.cells)
        cells[ends, 1:] = 0
        cells[ends & (self.inputs.cells[:, 0] == 0)] = 0
        return points, cells, None, width

    @property
    def motion(self) -> Motion:
        """Coverage that moves."""
        return self.operation.motion(self.result[1], self.inputs, self.tangents)

    def swept(self) -> dict[str, Tensor]:
        """Return second derivatives by the kernels under test."""
        return self.named(second_order(self.motion, self.upstream, EVERYTHING))

    def by_autodiff(self) -> dict[str, Tensor]:
        """Return second derivatives by Taichi's derivative of the adjoint."""
        arguments = (self.upstream, self.result[1], self.inputs, self.tangents, EVERYTHING)
        return self.named(Rendered.second_order(self.operation, *arguments))

    def named(self, gradients: Gradients) -> dict[str, Tensor]:
        """Return gradients by name; of cells those of the ones that are not constant."""
        upstream, points, cells, slopes, width = gradients
        found = {"upstream": upstream, "points": points, "width": width}
        found["cells"] = cells[~constant(self.inputs.cells)]
        if self.operation.curve.slopes is not None:
            found["slopes"] = slopes[~constant(self.inputs.slope_cells)]
        return {name: value.double() for name, value in found.items()}


def constant(cells: Tensor) -> Tensor:
    return (cells[:, 1:] == 0).all(1)


SCENES = {
    "soup": lambda: soup_setup(31, 8, (12, 17)),
    # Two faces of an image of odd size: each is cut into slices.
    "slices": lambda: soup_setup(35, 2, (31, 33), size=25.0),
    "batch": lambda: soup_setup(33, 6, (7, 5), batch=3),
    "views": lambda: views_setup(32, (14, 13), views=2),
}


def compare(case: Case, allowed: float) -> None:
    found, exact = case.swept(), case.by_autodiff()
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        share = 1.0
        if name == "width":
            # One sum, of terms as large as those of the points, that may cancel.
            most = float(exact["points"].abs().max() / value.abs().clamp(min=1e-3))
            share = max(share, most)
        assert_close(found[name], value, allowed * share, f"second derivative by {name}")


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("name", SLOW)
def test_against_autodiff(name, scene):
    compare(Case(SCENES[scene](), ALL[name]()), 1e-9)


@pytest.mark.parametrize("name", sorted({*COVERED} - {*SLOW}))
def test_every_softness_against_autodiff(name):
    compare(Case(SCENES["soup"](), ALL[name]()), 1e-9)


def separate() -> Setup:
    """Two images with meshes of their own, the second of which has one face."""
    corners = soup_setup(41, 5, (9, 11)).leaves["vertices"][0]

    def build(leaves) -> tuple:
        vertices = leaves["vertices"]
        faces = torch.arange(15).reshape(-1, 3)
        parts = [ts.Mesh(vertices[:12], faces[:4]), ts.Mesh(vertices[12:], faces[:1])]
        return parts, pixel_camera(9, 11, vertices.dtype, batch=2)

    return Setup({"vertices": corners}, build)


@pytest.mark.parametrize("name", ["gaussian", "max gaussian"])
def test_meshes_of_their_own(name):
    compare(Case(separate(), ALL[name]()), 1e-9)


# Edges that begin far from the image are measured from their other end.
FAR_AWAY = {
    "far to the right": [[8, 3, 1], [3e4, 6, 1], [8, 10, 1]],
    "far to the left": [[-3e4, 5.2, 1], [9, 2, 1], [8, 11, 1]],
    "far above": [[2, 3, 1], [14, 4, 1], [7, -2e4, 1]],
    "two far corners": [[5.3, 6.1, 1], [4e4, -3e4, 1], [3e4, 5e4, 1]],
    "all around": [[-1e6, -1e6, 1], [1e6, -1e6, 1], [0, 1e6, 1]],
}


def triangles(corners: list) -> Setup:
    def build(leaves) -> tuple:
        vertices = leaves["vertices"]
        mesh = ts.Mesh(vertices, torch.arange(len(vertices)).reshape(-1, 3))
        return mesh, pixel_camera(*IMAGE, vertices.dtype)

    return Setup({"vertices": torch.tensor(corners, dtype=torch.float64).reshape(-1, 3)}, build)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("corners", FAR_AWAY)
def test_corners_far_from_the_image(corners, dtype):
    case = Case(triangles([FAR_AWAY[corners]]), soft(), dtype)
    exact = replace(case, dtype=torch.float64)
    # Tangents of far corners in proportion: what a camera would give them.
    for each in (case, exact):
        far = each.inputs.points.abs().amax(1, keepdim=True).clamp(min=1)
        each.tangents[0].mul_(far)
    found, expected, other = case.swept(), exact.by_autodiff(), case.by_autodiff()
    for name, value in expected.items():
        single = 3 * error(other[name], value) + 1e-4
        allowed = 1e-9 if dtype == torch.float64 else single
        assert_close(found[name], value, allowed, f"second derivative by {name}")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("gaussian", torch.float64),
        ("gaussian", torch.float32),
        ("max gaussian", torch.float64),
        ("heaviside gaussian", torch.float64),
    ],
)
@pytest.mark.parametrize("case", CASES)
def test_degenerate_faces(case, name, dtype):
    found = Case(triangles([CASES[case], NORMAL]), ALL[name](), dtype).swept()
    for value in found.values():
        assert bool(value.isfinite().all())


# Off the kinks: neither a pixel on the line of a segment, nor one across from one of its ends.
THIN = {
    "segment": [[3.1, 3.2, 1], [6.1, 6.4, 1], [9.1, 9.6, 1]],
    "edge without length": [[3.1, 3.3, 1], [3.1, 3.3, 1], [9.2, 7.1, 1]],
    "point": [[4.1, 4.3, 1], [4.1, 4.3, 1], [4.1, 4.3, 1]],
}


@pytest.mark.parametrize("case", THIN)
def test_faces_without_area(case):
    case = Case(triangles([THIN[case], NORMAL]), soft())
    # Of edges that lie on each other either may be the nearest. So they stay on each other.
    rate = torch.tensor([[0.3, -0.7], [0.9, 0.2]], dtype=torch.float64)
    case.tangents[0][:, :2] = case.inputs.points[:, :2] @ rate
    found, exact = case.swept(), case.by_autodiff()
    for name in ("upstream", "width", "cells"):
        assert_close(found[name], exact[name], 1e-9, name)
    points = [x["points"][:3].sum(0) for x in (found, exact)]
    assert_close(*points, 1e-9, "sum over corners")


@pytest.mark.parametrize("name", ["gaussian", "cauchy", "max gaussian", "logistic mlp"])
def test_as_exact_as_autodiff_in_float32(name):
    # Both measure the same distances in float32, and near kinks take other sides than in float64: which of
    # them has met most of those is chance, in one scene.
    largest = {"found": [], "autodiff": []}
    for seed in range(31, 37):
        case = Case(soup_setup(seed, 8, (12, 17)), ALL[name](), torch.float32)
        exact = replace(case, dtype=torch.float64).by_autodiff()
        for way, result in (("found", case.swept()), ("autodiff", case.by_autodiff())):
            assert all(bool(x.isfinite().all()) for x in result.values())
            largest[way].append(max(error(result[k].double(), v) for k, v in exact.items()))
    assert sum(largest["found"]) <= 2 * sum(largest["autodiff"]) + 1e-4, largest


# Cells that move at random jump where they meet, so nothing may cross from one to the next meanwhile.
@pytest.mark.parametrize("moving", ["points and width", "cells"])
@pytest.mark.parametrize("name", ["gaussian", "mlp", "max gaussian", "smooth_mixture"])
def test_totals_move_as_their_differences(name, moving):
    case = Case(SCENES["views"](), ALL[name]())
    tangents = tuple(
        rate if rate is not None and part in moving else torch.zeros_like(x)
        for part, x, rate in zip(CoverageInputs._fields, case.inputs, case.tangents, strict=True)
    )
    step = 1e-6

    def totals(sign: float) -> Tensor:
        op = case.operation
        points, cells, _, width = (
            x + sign * step * rate for x, rate in zip(case.inputs, tangents, strict=True)
        )
        curve = replace(op.curve, width=width, table=replace(op.curve.table, cells=cells))
        job = RasterJob(replace(op.job.scene, points=points))
        moved = VectorCoveragePass(job, curve, op.takes_max)
        return moved.values(*CoverageInputs.of(job, curve))[0]

    expected = (totals(1) - totals(-1)) / (2 * step)
    found = replace(case.motion, tangents=tangents).totals()
    assert_close(found, expected, 1e-7, "rate of the totals")


@pytest.mark.parametrize("name", ["gaussian", "max mlp", "logistic mlp"])
def test_totals_move_as_their_adjoint_says(name):
    # <upstream, J tangents> = <J^T upstream, tangents>.
    case = Case(SCENES["views"](), ALL[name]())
    first = case.operation.adjoint(case.upstream, case.result[1], case.inputs, (True,) * 4)
    pairs = zip(first, case.tangents, strict=True)
    expected = sum((g * t).sum() for g, t in pairs if g is not None)
    found = (case.upstream * case.motion.totals()).sum()
    assert_close(found, expected, 1e-11, "product")


@pytest.mark.parametrize("name", ["gaussian", "max mlp", "logistic mlp"])
def test_first_derivatives_of_the_same_sweep(name):
    case = Case(SCENES["slices"](), ALL[name]())
    into = {"into_cells": True, "into_slopes": case.operation.curve.slopes is not None}
    other = case.like(case.result[0], 9)
    alone, none = case.motion.gradients(case.upstream, **into)
    together, first = case.motion.gradients(case.upstream, **into, keeps_first=True, other=other)
    assert none is None

    def adjoint(upstream: Tensor) -> Gradients:
        kept = case.result[1]
        return case.operation.adjoint(upstream, kept, case.inputs, (True,) * 4)

    assert_close(first, adjoint(case.upstream)[0], 1e-12, "adjoint")
    sums = tuple(
        own if own is None or more is None else own + more
        for own, more in zip(alone, adjoint(other), strict=True)
    )
    found = case.named((other, *together))
    for name, value in case.named((other, *sums)).items():
        assert_close(found[name], value, 1e-12, name)


def test_only_what_is_needed():
    case = Case(SCENES["soup"](), soft("mlp"))
    whole = second_order(case.motion, case.upstream, EVERYTHING)
    for needed in ((True, False, False, False, False), (False, True, False, False, True)):
        part = second_order(case.motion, case.upstream, needed)
        for n, found, expected in zip(needed, part, whole, strict=True):
            assert not n or torch.equal(found, expected)
    by_upstream, *_ = second_order(case.motion, case.upstream, (False, True, True, True, True))
    assert by_upstream is None


def test_what_stays_need_not_be_said():
    case = Case(SCENES["soup"](), soft("mlp"))
    points = case.tangents[0]
    none = (points, torch.zeros_like(case.inputs.cells), None, torch.zeros_like(case.inputs.width))
    found, expected = (
        second_order(replace(case.motion, tangents=tangents), case.upstream, EVERYTHING)
        for tangents in ((points, None, None, None), none)
    )
    # Each is a kernel of its own, and rounds as it was compiled.
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one is None or error(one, other) < 1e-13


def test_renders_use_it(monkeypatch):
    setup, calls = soup_setup(31, 4, (9, 11)), []
    sweep = Motion.gradients
    monkeypatch.setattr(
        Motion, "gradients", lambda *a, **k: calls.append(1) or sweep(*a, **k), raising=True
    )
    vertices = setup.leaves["vertices"].clone().requires_grad_()
    alpha = soft().silhouette(*setup.build({**setup.leaves, "vertices": vertices}))
    (first,) = torch.autograd.grad(alpha.square().sum(), vertices, create_graph=True)
    torch.autograd.grad(first.square().sum(), vertices)
    assert calls == [1]


def test_without_vectors_taichi_differentiates(monkeypatch):
    def product() -> Tensor:
        setup = soup_setup(31, 4, (9, 11))
        vertices = setup.leaves["vertices"].clone().requires_grad_()
        alpha = soft().silhouette(*setup.build({**setup.leaves, "vertices": vertices}))
        (first,) = torch.autograd.grad(alpha.square().sum(), vertices, create_graph=True)
        return torch.autograd.grad(first.square().sum(), vertices)[0]

    swept = product()
    monkeypatch.setattr("taichisoft.engine.block_job.has_vectors", lambda: False)
    monkeypatch.setattr(Motion, "gradients", None)
    assert_close(product(), swept, 1e-9, "second derivative")


# Prints a digest of second derivatives.
PROGRAM = """
import hashlib, torch
import taichisoft as ts
ts.init("cpu")
from tests.engine.test_vector_second import ALL, Case
from tests.helpers import views_setup
digest = hashlib.sha256()
for name in ("gaussian", "max mlp"):
    case = Case(views_setup(32, (37, 29), views=3, subdivisions=2), ALL[name](), torch.float64)
    for value in case.swept().values():
        digest.update(value.numpy().tobytes())
print(digest.hexdigest())
"""


def test_threads_do_not_race():
    # No two workers write to one place, and their number does not depend on the threads. For each number of
    # threads kernels are compiled; those for two are there already.
    found = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                ENGINE.variable("CPU_MAX_NUM_THREADS"): str(threads),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for threads in (2, 4)
    ]
    assert len(set(found)) == 1
