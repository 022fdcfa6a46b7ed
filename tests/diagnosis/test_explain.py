"""The explanation counts what is there and says what to change."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import taichisoft as ts
from taichisoft.engine.projection import build_scene
from taichisoft.render import reference
from tests.helpers import pixel_camera, soup_setup, views_setup

SIZE = (20, 30)
# The shares of the reach of a Gaussian.
REACH = -ts.Gaussian().domain().low


def triangles(*corners, dtype: torch.dtype) -> ts.Mesh:
    """Return unconnected triangles with corners (x, y, depth) in pixels."""
    vertices = torch.tensor(corners, dtype=dtype).reshape(-1, 3)
    return ts.Mesh(vertices, torch.arange(len(vertices)).reshape(-1, 3))


def halves(left: float, right: float, dtype: torch.dtype, *, depth: float = 1.0) -> ts.Mesh:
    """Return two triangles that cover all rows between two columns."""
    a, b, c, d = ((x, y, depth) for x in (left, right) for y in (0.0, float(SIZE[0])))
    return triangles(a, b, c, c, b, d, dtype=dtype)


def distances(mesh: ts.Mesh, camera: ts.Camera) -> torch.Tensor:
    """Return signed distances of all pixels to all faces, (N, H * W), from the twin in float64."""
    scene = build_scene(mesh.to(dtype=torch.float64), camera.to(dtype=torch.float64), None)
    return reference.fragments(scene.points[scene.faces][..., :2], SIZE).distance


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_fragments_agree_with_the_twin(scale, dtype):
    setup = soup_setup(2, 7, SIZE)
    mesh, camera = setup.build({name: leaf.to(dtype) for name, leaf in setup.leaves.items()})
    found = ts.SoftRasterizer(ts.Gaussian(scale)).explain(mesh, camera)
    within = (distances(mesh, camera) >= -REACH * scale).sum(0)
    assert found.fragments == int(within.sum())
    assert found.most_faces_per_pixel == int(within.max())
    assert found.faces_per_pixel == pytest.approx(float(within[within > 0].double().mean()))
    assert found.reach == pytest.approx(REACH * scale, rel=1e-6)
    assert found.scale == pytest.approx(scale)
    assert (found.images, found.image_size) == (1, SIZE)


def test_faces_are_counted(dtype):
    mesh = triangles(
        [(2, 2, 1), (9, 2, 1), (2, 9, 1)],  # drawn
        [(5, 5, 1), (6, 5, 1), (5, 6, 1)],  # drawn, of half a pixel
        [
            (-9, 2, 1),
            (-3, 2, 1),
            (-9, 8, 1),
        ],  # drawn: within reach of the left side, not in the image
        [(90, 2, 1), (95, 2, 1), (90, 9, 1)],  # off-screen
        [(2, 2, -2e6), (9, 2, -2e6), (2, 9, -2e6)],  # behind
        [(2, 2, 1), (9, 2, 1), (2, 9, -2e6)],  # drawn, cut by the near plane into two
        dtype=dtype,
    )
    camera = pixel_camera(*SIZE, dtype)
    faces = ts.SoftRasterizer(ts.Gaussian(1.0)).explain(mesh, camera).faces
    assert dataclasses.astuple(faces) == (6, 4, 1, 1, 1, 0, 0)
    faces = ts.SoftRasterizer(ts.Gaussian(0.1)).explain(mesh, camera).faces
    assert dataclasses.astuple(faces) == (6, 3, 1, 2, 1, 0, 0)


def test_what_is_out_of_reach_and_what_scale_reaches_it(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    target = torch.zeros(1, *SIZE, dtype=dtype)
    target[:, 5:15, 4:20] = 1
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0))
    found = renderer.explain(mesh, camera, target)
    against = found.against
    assert against.target_pixels == 160
    assert against.covered_pixels == 40
    # Pixel centres of columns 12 to 19 are 4.5 to 11.5 px away, farther than 3.7.
    assert against.unreached_pixels == 80
    assert against.farthest == pytest.approx(11.5, abs=1e-4)
    assert against.scale_to_reach_all == pytest.approx(11.5 / REACH, abs=1e-4)
    assert against.excess_pixels == 6 * 20 - 40
    assert any(
        "80 of 160 pixels of the target are out of every face's reach" in line
        and "a scale of at least 3.1 px" in line
        for line in found.advice
    )
    # The gradient says the same: zero with respect to alpha out there, and the advice is enough.
    for scale, unreached in ((1.0, 80), (3.1, 0)):
        softer = ts.SoftRasterizer(ts.Gaussian(scale))
        assert softer.explain(mesh, camera, target).against.unreached_pixels == unreached
        vertices = mesh.vertices.clone().requires_grad_()
        alpha = softer.silhouette(mesh.with_vertices(vertices), camera)
        (gradient,) = torch.autograd.grad(alpha[0, 10, 19], vertices)
        assert bool((gradient == 0).all()) == (scale == 1.0)


def test_mask_and_numbers_are_equal_targets(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    target = ts.SoftRasterizer.hard().silhouette(halves(5, 12, dtype), camera)
    renderer = ts.SoftRasterizer()
    assert renderer.explain(mesh, camera, target) == renderer.explain(mesh, camera, target[0] > 0.5)


def test_adding_up_inflates_and_the_maximum_does_not(dtype):
    setup = views_setup(1, SIZE, subdivisions=3)
    mesh, camera = setup.build({name: leaf.to(dtype) for name, leaf in setup.leaves.items()})
    wide = ts.SoftRasterizer(ts.Gaussian(2.0)).explain(mesh, camera)
    hard = ts.SoftRasterizer.hard().silhouette(mesh, camera).sum()
    soft = ts.SoftRasterizer(ts.Gaussian(2.0)).silhouette(mesh, camera).sum()
    assert wide.inflation == pytest.approx(float(soft / hard - 1), rel=1e-5)
    assert wide.inflation > 0.3
    (line,) = [line for line in wide.advice if "more than the mesh covers" in line]
    assert f"a scale of {wide.suggested_scale:.2g} px or ts.Max()" in line
    for better in (
        ts.SoftRasterizer(ts.Gaussian(wide.suggested_scale)),
        ts.SoftRasterizer(ts.Gaussian(2.0), ts.Max()),
    ):
        assert better.explain(mesh, camera).inflation < wide.inflation / 2


def test_saturated_pixels(dtype):
    mesh, camera = halves(0, 20, dtype), pixel_camera(*SIZE, dtype)
    found = ts.SoftRasterizer(ts.Gaussian(0.2)).explain(mesh, camera, torch.zeros(SIZE))
    alpha = ts.SoftRasterizer(ts.Gaussian(0.2)).silhouette(mesh, camera)
    stuck = int((alpha > 0.999).sum())
    assert found.saturated == pytest.approx(stuck / 400)
    assert (found.against.stuck_pixels, found.against.excess_pixels) == (stuck, 400)
    assert any(f"{stuck} of 400 pixels that are covered too much" in line for line in found.advice)


def test_little_overlap_wants_a_silhouette_loss(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    said = {}
    for right in (12, 30):
        target = ts.SoftRasterizer.hard().silhouette(halves(2, right, dtype), camera)
        advice = ts.SoftRasterizer().explain(mesh, camera, target).advice
        said[right] = any("silhouette loss as well" in line for line in advice)
    assert said == {12: False, 30: True}


def test_a_step_has_no_gradient(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    found = ts.SoftRasterizer.hard().explain(mesh, camera, torch.ones(SIZE))
    assert found.reach == found.gradient_reach == 0
    assert math.isinf(found.against.scale_to_reach_all)
    assert any("no gradient of the coverage" in line for line in found.advice)
    assert "nan" not in str(found)
    # A slope of its own reaches as far as it does.
    slope = ts.StraightThrough(ts.Heaviside(), ts.Uniform(2.0))
    found = ts.SoftRasterizer(slope).explain(mesh, camera)
    assert found.gradient_reach == found.reach == pytest.approx(2.0)
    assert found.advice == ()


def test_nothing_is_drawn(dtype):
    camera = pixel_camera(*SIZE, dtype)
    empty = ts.Mesh(torch.zeros(3, 3, dtype=dtype), torch.zeros(0, 3, dtype=torch.int64))
    near = halves(2, 8, dtype, depth=-2e6)
    for mesh, farthest in (
        (empty, math.inf),
        (near, math.inf),
        (halves(1000, 1010, dtype), 999.5),
    ):
        found = ts.SoftRasterizer().explain(mesh, camera, torch.ones(SIZE))
        assert found.faces.drawn == found.fragments == found.most_faces_per_pixel == 0
        assert found.inflation is None
        assert found.against.unreached_pixels == SIZE[0] * SIZE[1]
        assert found.against.farthest == pytest.approx(farthest, rel=1e-5)
        nearer = ", or lower camera.near" if found.faces.behind_near else ""
        assert found.advice == (f"no face is drawn: move the mesh or the camera{nearer}",)
        assert bool(nearer) == (mesh is near)
        assert "no pixel is covered" in str(found)
        assert "nan" not in str(found)


def test_words_hold_the_numbers(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    found = ts.SoftRasterizer(ts.Gaussian(0.5)).explain(mesh, camera, torch.ones(SIZE))
    text = str(found)
    for part in (
        "1 image of 20 x 30 pixels; softness 0.5 px wide (0.025 of the image height)",
        "cut off 1.86 px outside of a face",
        "faces: 2, of these 2 drawn",
        f"{found.fragments} fragments",
        "target: 600 pixels, 120 covered",
        *found.advice,
    ):
        assert part in text
    assert found.memory >= 4 * 600 * torch.finfo(dtype).bits // 8
    assert (found.milliseconds is None) == (ts.backend() != "cpu")


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_memory_of_colours_is_that_of_what_is_drawn(channels, dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    material = ts.Material(torch.ones(channels, dtype=dtype))
    uv, grey = torch.rand(6, 2, dtype=dtype), torch.ones(6, 1, dtype=dtype)
    painted = mesh.with_materials([material], uv=uv)
    render = ts.SoftRasterizer()
    colored = mesh.with_vertex_colors(torch.ones(6, channels, dtype=dtype))
    expected = render.explain(colored, camera).memory
    assert expected > render.explain(mesh, camera).memory
    assert render.explain(painted, camera).memory == expected
    assert render.explain(ts.MeshBatch.from_meshes([painted]), camera).memory == expected
    beside = painted.with_vertex_colors(grey.expand(6, channels))
    assert render.explain(beside, camera).memory == expected


@pytest.mark.cpu_only
def test_memory_of_second_derivatives_is_that_of_pixels_and_faces(monkeypatch):
    mesh, camera = halves(2, 8, torch.float32), pixel_camera(*SIZE, torch.float32)

    def found(scale: float, ssaa: int = 1):
        return ts.SoftRasterizer(ts.Gaussian(scale), ssaa=ssaa).explain(mesh, camera)

    narrow, wide, large = found(0.3), found(3.0), found(0.3, ssaa=2)
    assert wide.fragments > 2 * narrow.fragments
    assert wide.second_order_memory == narrow.second_order_memory
    assert 2 * narrow.second_order_memory < large.second_order_memory
    assert large.second_order_memory < 4 * narrow.second_order_memory
    # Without the kernels that sweep over the faces every fragment is kept.
    monkeypatch.setattr("taichisoft.engine.block_job.has_vectors", lambda: False)
    narrow, wide = found(0.3), found(3.0)
    per_fragment = narrow.second_order_memory / narrow.fragments
    assert wide.second_order_memory == pytest.approx(per_fragment * wide.fragments)


def test_annealing_is_explained_where_it_is(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(4.0, 1.0)))
    assert renderer.explain(mesh, camera).scale == pytest.approx(4.0)
    renderer.set_progress(1.0)
    assert renderer.explain(mesh, camera).scale == pytest.approx(1.0)


@pytest.mark.parametrize(("at", "seen"), [(20, (2, 30)), (46, (3, 31)), (14, (50, 61))])
def test_what_is_suggested_is_not_scolded(at, seen, dtype):
    size = (48, 64)
    ball = ts.shapes.icosphere(1)
    mesh = ball.with_vertices((12 * ball.vertices + torch.tensor([at, 24.0, 20.0])).to(dtype))
    camera = pixel_camera(*size, dtype)
    target = torch.zeros(size, dtype=torch.bool)
    # Many pixels are as far away as others.
    target[:, seen[0] : seen[1]] = True
    scale = ts.suggest_scale(mesh, camera, target)
    assert isinstance(scale, ts.ExponentialAnnealing)
    renderer = ts.SoftRasterizer(ts.Gaussian(scale))
    for progress in (0.0, 0.5, 1.0):
        renderer.set_progress(progress)
        found = renderer.explain(mesh, camera, target)
        assert found.advice == ()
        assert float(scale.in_pixels(size[0])) == pytest.approx(found.scale)


def test_annealing_is_explained_at_both_ends_and_left_as_it_was(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    target = torch.zeros(SIZE, dtype=dtype)
    target[:, 2:] = 1
    scale = ts.ExponentialAnnealing(1.0, 0.25)
    renderer = ts.SoftRasterizer(ts.Gaussian(scale))
    found = renderer.explain(mesh, camera, target)
    assert (scale.progress, scale.told) == (0.0, False)
    renderer.set_progress(0.5)
    found = renderer.explain(mesh, camera, target)
    assert (scale.progress, scale.told) == (0.5, True)
    assert found.scale == pytest.approx(0.5)
    for end, width in ((found.start, 1.0), (found.end, 0.25)):
        constant = ts.SoftRasterizer(ts.Gaussian(width)).explain(mesh, camera, target)
        assert end.inflation == pytest.approx(constant.inflation)
        assert end.against.unreached_pixels == constant.against.unreached_pixels
    # Columns 8 to 29 are missing, the first four of them, 0.5 to 3.5 px away, within reach at the start.
    assert found.start.against.unreached_pixels == 18 * SIZE[0]
    assert any(f"{18 * SIZE[0]} of 560 pixels of the target are out" in x for x in found.advice)
    assert "annealed from 1 to 0.25 px; at the start 360 pixels of the target are out" in str(found)
    assert ts.SoftRasterizer(ts.Gaussian(1.0)).explain(mesh, camera).start is None


def test_faces_behind_the_near_plane_are_told_from_those_that_cross_it(dtype):
    drawn, behind = [(2, 2, 1), (9, 2, 1), (2, 9, 1)], [(2, 2, -2e6), (9, 2, -2e6), (2, 9, -2e6)]
    crossing = [(2, 2, 1), (9, 2, 1), (2, 9, -2e6)]
    camera = pixel_camera(*SIZE, dtype)
    advice = ts.SoftRasterizer().explain(triangles(drawn, crossing, dtype=dtype), camera).advice
    assert not any("near plane" in line for line in advice)
    mesh = triangles(drawn, crossing, behind, dtype=dtype)
    (line,) = [x for x in ts.SoftRasterizer().explain(mesh, camera).advice if "near plane" in x]
    assert line.startswith("1 faces are wholly behind the near plane and not drawn")


def test_supersampling_costs_more_and_reaches_as_far(dtype):
    mesh, camera = (
        triangles([(3, 3, 1), (20, 4, 1), (8, 15, 1)], dtype=dtype),
        pixel_camera(*SIZE, dtype),
    )
    plain, fine = (
        ts.SoftRasterizer(ts.Gaussian(1.0), ssaa=n).explain(mesh, camera) for n in (1, 2)
    )
    assert fine.fragments == 4 * plain.fragments
    assert fine.memory > plain.memory
    assert (fine.scale, fine.reach) == (plain.scale, plain.reach)
    assert fine.image_size == plain.image_size == SIZE


def test_bad_target(dtype):
    mesh, camera = halves(2, 8, dtype), pixel_camera(*SIZE, dtype)
    with pytest.raises(TypeError, match=r"target / 255 converts levels"):
        ts.SoftRasterizer().explain(mesh, camera, torch.ones(SIZE, dtype=torch.uint8))
    with pytest.raises(ValueError, match="target must have shape"):
        ts.SoftRasterizer().explain(mesh, camera, torch.ones(3, 3))
    for value, got in ((255.0, "255"), (-0.5, "-0.5")):
        with pytest.raises(ValueError, match=rf"^target must be in \[0, 1\], got {got}$"):
            ts.SoftRasterizer().explain(mesh, camera, torch.full(SIZE, value, dtype=dtype))
    with pytest.raises(ValueError, match=r"^target must be finite"):
        ts.suggest_scale(mesh, camera, torch.full(SIZE, torch.nan, dtype=dtype))
