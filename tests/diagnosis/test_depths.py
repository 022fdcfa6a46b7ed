"""What is said about depth is what the images show: hidden faces, edges without gradient, gaps."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import norm

import taichisoft as ts
from taichisoft.diagnosis.surfaces import Surfaces
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from tests.helpers import pixel_camera, views_setup

SIZE = (20, 30)


def card(left: float, right: float, depth: float, dtype: torch.dtype, *, top: float = -50.0):
    """Return two triangles between two columns, over all rows from one on."""
    corners = [[x, y, depth] for x in (left, right) for y in (top, 70.0)]
    return ts.Mesh(torch.tensor(corners, dtype=dtype), torch.tensor([[0, 1, 2], [2, 1, 3]]))


def scene_of(*meshes: ts.Mesh) -> ts.Mesh:
    """Return all meshes as one."""
    firsts = [0]
    for mesh in meshes:
        firsts.append(firsts[-1] + mesh.num_vertices)
    faces = [mesh.faces + first for mesh, first in zip(meshes, firsts, strict=False)]
    return ts.Mesh(torch.cat([mesh.vertices for mesh in meshes]), torch.cat(faces))


def before_a_wall(gap: float, dtype: torch.dtype) -> ts.Mesh:
    return scene_of(card(5.3, 20.3, 2.0, dtype), card(-50, 80, 2.0 + gap, dtype))


def explained(mesh: ts.Mesh, occlusion: ts.Occlusion, *, scale=0.5, aggregation=None, **options):
    renderer = ts.SoftRasterizer(ts.Gaussian(scale), aggregation, occlusion, **options)
    return renderer.explain(mesh, pixel_camera(*SIZE, mesh.vertices.dtype))


@pytest.mark.parametrize("gap", [0.1, 3.0])
def test_gamma_is_a_quarter_of_the_gap(gap, dtype):
    camera = pixel_camera(*SIZE, dtype)
    gamma = ts.suggest_gamma(before_a_wall(gap, dtype), camera)
    assert isinstance(gamma, float)
    assert gamma == pytest.approx(gap / 4, rel=1e-4)
    # What is off-screen, or behind another in no pixel, plays no part.
    beside = scene_of(before_a_wall(gap, dtype), card(100, 120, 2.01, dtype))
    assert ts.suggest_gamma(beside, camera) == pytest.approx(gap / 4, rel=1e-4)
    lone = scene_of(card(2, 9, 2.0, dtype), card(12, 20, 2.0 + gap, dtype))
    assert ts.suggest_gamma(lone, camera) == pytest.approx(0.02 * gap, rel=1e-4)


def test_nine_tenths_of_the_gaps_are_at_least_as_wide(dtype):
    """Over ten columns each the wall is 1, 2 and 4 units behind: the tenth part of all lies in the first."""
    three = [card(10 * k, 10 * (k + 1), 5.0 - 2.0**k, dtype) for k in range(3)]
    mesh = scene_of(*three, card(-50, 80, 5.0, dtype))
    gamma = ts.suggest_gamma(mesh, pixel_camera(*SIZE, dtype))
    assert gamma == pytest.approx(1 / 4, rel=1e-4)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_gamma_is_in_the_unit_of_the_scene(unit):
    ball = ts.shapes.icosphere(2)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), image_size=(32, 32))
    scaled = ts.Camera.look_at((0.0, 0.0, 4.0 * unit), image_size=(32, 32), near=0.01 * unit)
    expected = unit * ts.suggest_gamma(ball, camera)
    found = ts.suggest_gamma(ball.with_vertices(ball.vertices * unit), scaled)
    assert found == pytest.approx(expected, rel=1e-3)
    # Through a ball that is seen from far away nine tenths of the lines are longer than 2 sqrt(1 - 0.9).
    far = ts.Camera.look_at((0.0, 0.0, 400.0), fov=0.3, image_size=(64, 64))
    gamma = ts.suggest_gamma(ts.shapes.icosphere(4), far)
    assert gamma == pytest.approx(2 * math.sqrt(0.1) / 4, rel=0.05)


def test_a_flat_scene_has_a_gamma(dtype):
    assert ts.suggest_gamma(card(2, 9, 3.0, dtype), pixel_camera(*SIZE, dtype)) == pytest.approx(
        3e-6
    )
    assert ts.suggest_gamma(card(2, 9, 0.0, dtype), pixel_camera(*SIZE, dtype)) == 1.0


def test_nothing_in_front_has_no_gamma():
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), at=(0.0, 0.0, 8.0), image_size=SIZE)
    with pytest.raises(ValueError, match="mesh must have a face in front of the camera, got none"):
        ts.suggest_gamma(ts.shapes.icosphere(1), camera)


def test_surfaces_are_those_of_a_ray(dtype):
    """Against the intersections of the ray of each pixel with all faces, in float64."""
    setup = views_setup(2, (24, 24), subdivisions=1)
    mesh, camera = setup.build({name: leaf.to(dtype) for name, leaf in setup.leaves.items()})
    scene = build_scene(mesh, camera, None)
    found = Surfaces.of(scene, RasterJob(scene))
    double = build_scene(*setup.build(setup.leaves), None)
    corners = double.points.detach()[double.faces]
    rows, columns = torch.meshgrid(
        *(torch.arange(24.0).double() + 0.5 for _ in range(2)), indexing="ij"
    )
    rays = torch.stack([columns.flatten(), rows.flatten(), torch.ones(576).double()], -1)
    # In a space in which rays are parallel the plane of a face is linear in 1 / z.
    flat = torch.cat([corners[..., :2], torch.ones_like(corners[..., :1])], -1)
    weights = torch.linalg.solve(flat.transpose(1, 2)[:, None], rays[None, :, :, None])[..., 0]
    inside = (weights >= 0).all(-1)
    depth = 1 / (weights / corners[:, None, :, 2]).sum(-1)
    depth = torch.where(inside, depth, torch.inf).sort(0).values
    assert torch.equal(found.covered, depth[0].isfinite())
    for mine, expected in ((found.depth, depth[0]), (found.next_depth, depth[1])):
        assert torch.equal(mine.isfinite(), expected.isfinite())
        seen = expected.isfinite()
        torch.testing.assert_close(mine[seen].double(), expected[seen], rtol=2e-5, atol=0)


def test_the_slope_is_that_of_the_plane(dtype):
    tilted = card(-50, 80, 2.0, dtype)
    slopes = torch.tensor([0.03, -0.04], dtype=dtype)
    depth = 5 + (tilted.vertices[:, :2] * slopes).sum(-1, keepdim=True)
    mesh = tilted.with_vertices(torch.cat([tilted.vertices[:, :2], depth], -1))
    scene = build_scene(mesh, pixel_camera(*SIZE, dtype), None)
    found = Surfaces.of(scene, RasterJob(scene))
    torch.testing.assert_close(found.slope, torch.full_like(found.slope, 0.05), rtol=1e-4, atol=0)


def test_gamma_is_told_in_scene_units(dtype):
    mesh = before_a_wall(4.0, dtype)
    relative = explained(mesh, ts.FrontToBack(gamma=ts.DepthFraction(0.05)))
    assert relative.depths.gamma == pytest.approx(0.2)
    assert relative.depths.extent == pytest.approx(4.0)
    assert relative.depths.suggested_gamma == pytest.approx(1.0, rel=1e-4)
    assert "depth: gamma 0.2 scene units, 0.05 of the extent of 4" in str(relative)
    assert explained(mesh, ts.FrontToBack(gamma=0.3)).depths.gamma == pytest.approx(0.3)
    assert explained(mesh, ts.DepthSoftmax(0.3)).depths.gamma == pytest.approx(0.3)


@pytest.mark.parametrize("gap", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("ssaa", [1, 2])
def test_the_share_of_hidden_faces_is_what_the_image_shows(gap, ssaa, dtype):
    """A far layer behind a near one, both over the whole image, of different colours."""
    gamma = 0.2
    mesh = scene_of(card(-50, 80, 2.0, dtype), card(-50, 80, 2.0 + gap, dtype))
    colors = torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 4, dtype=dtype)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5), occlusion=ts.FrontToBack(gamma=gamma), ssaa=ssaa)
    camera = pixel_camera(*SIZE, dtype)
    image = renderer(mesh, camera, colors)
    shown = float((image.color[..., 1] / image.color.sum(-1)).double().mean())
    found = renderer.explain(mesh, camera)
    # What is sampled at other places with more pixels differs along the diagonal.
    assert found.depths.hidden_share == pytest.approx(shown, abs=1e-5 if ssaa == 1 else 5e-3)
    assert found.depths.suggested_gamma == pytest.approx(gap / 4, rel=2e-4)
    blends = any("since gamma is wider than the gaps" in line for line in found.advice)
    assert blends == (gap < gamma) == (found.depths.hidden_share > 0.1)
    if blends:
        (line,) = [line for line in found.advice if "since gamma" in line]
        assert f"try ts.FrontToBack(gamma={gap / 4:.2g}), as ts.suggest_gamma says" in line
        # Which helps.
        better = explained(mesh, ts.FrontToBack(gamma=found.depths.suggested_gamma))
        assert better.depths.hidden_share < 0.02
        assert better.advice == ()


def test_what_shows_through_seams_is_told_apart(dtype):
    ball = ts.shapes.icosphere(3).to(dtype=dtype)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), image_size=(48, 48)).to(dtype=dtype)

    def found(aggregation: ts.Aggregation):
        renderer = ts.SoftRasterizer(ts.Gaussian(0.5), aggregation, ts.FrontToBack())
        return renderer.explain(ball, camera)

    open_, closed = found(ts.Probabilistic()), found(ts.BoundedSum())
    assert open_.depths.seam_share == pytest.approx(open_.depths.hidden_share, abs=0.01)
    assert open_.depths.seam_share > 0.1
    (line,) = [line for line in open_.advice if "hidden" in line]
    assert "through the seams between faces" in line
    assert "ts.BoundedSum()" in line
    assert closed.depths.hidden_share < 1e-3
    assert not any("hidden" in line for line in closed.advice)


@pytest.mark.parametrize("gap", [0.5, 20.0])
def test_an_edge_before_something_far_is_stuck_by_a_reference_depth(gap, dtype):
    mesh = before_a_wall(gap, dtype)
    blended = explained(mesh, ts.DepthSoftmax(0.1))
    # Out to 3.7 scales on both sides; a softmax of 0.1 reaches 1.6 units behind.
    assert blended.depths.stuck_edges == (1.0 if gap > 1.6 else 0.0)
    stuck = [line for line in blended.advice if "have no gradient" in line]
    assert len(stuck) == (gap > 1.6)
    assert all("try ts.FrontToBack()" in line for line in stuck)
    composited = explained(mesh, ts.FrontToBack())
    assert composited.depths.stuck_edges == 0.0
    assert composited.advice == ()
    # As the gradients say.
    camera = pixel_camera(*SIZE, dtype)
    colors = torch.tensor([[1.0]] * 4 + [[0.0]] * 4, dtype=dtype)
    for occlusion, has in ((ts.DepthSoftmax(0.1), gap < 1.6), (ts.FrontToBack(), True)):
        vertices = mesh.vertices.clone().requires_grad_()
        color = ts.SoftRasterizer(ts.Gaussian(0.5), occlusion=occlusion)(
            mesh.with_vertices(vertices), camera, colors
        ).color
        # The centre of column 20 is 0.2 px beside the edge of the card.
        (gradient,) = torch.autograd.grad(color[0, 10, 20, 0], vertices)
        assert (float(gradient[2:4, 0].sum()) > 0.01) == has


def test_where_alpha_is_flat(dtype):
    """Around four faces one on another, a bounded sum is full where each covers a quarter."""
    mesh = scene_of(*(card(5.0, 20.0, 2.0 + k, dtype) for k in range(4)))
    found = explained(mesh, ts.FrontToBack(), aggregation=ts.BoundedSum(), scale=2.0)
    # Centres 0.5, 1.5, ... px beside, on both sides, within 3.7 scales; those on the left within the image.
    beside = torch.tensor([5 - (k + 0.5) for k in range(5)] + [k + 0.5 - 20 for k in range(20, 28)])
    outside = torch.cat([torch.arange(5) + 0.5, torch.arange(8) + 0.5])
    assert len(beside) == len(outside)
    coverage = torch.as_tensor(norm.sf(outside / 2.0))
    expected = float((4 * coverage > 1).double().mean())
    # One column more may be within reach.
    assert found.depths.flat_alpha == pytest.approx(expected, abs=0.03)
    assert 0.1 < expected < 0.5
    assert any("alpha has no gradient in" in line for line in found.advice)
    for other in (ts.Probabilistic(), ts.Frank(1e4), ts.Max()):
        other = explained(mesh, ts.FrontToBack(), aggregation=other, scale=2.0)
        assert other.depths.flat_alpha == 0.0
        assert not any("alpha has no gradient" in line for line in other.advice)


def test_many_pairs_are_sampled(monkeypatch):
    setup = views_setup(2, (24, 24), subdivisions=2)
    mesh, camera = setup.build(setup.leaves)
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=ts.FrontToBack())
    whole = renderer.explain(mesh, camera).depths
    monkeypatch.setattr("taichisoft.diagnosis.depths.MOST_PAIRS", 40_000)
    sampled = renderer.explain(mesh, camera).depths
    assert sampled != whole
    assert sampled.hidden_share == pytest.approx(whole.hidden_share, abs=0.03)


def test_an_annealed_gamma_is_told_at_both_ends(dtype):
    mesh = before_a_wall(4.0, dtype)
    occlusion = ts.FrontToBack(gamma=ts.DepthFraction(ts.AnnealedPositive(0.4, 0.1)))
    scale = ts.ExponentialAnnealing(1.0, 0.25)
    found = explained(mesh, occlusion, scale=scale)
    assert found.start.depths.gamma == pytest.approx(1.6)
    assert found.end.depths.gamma == pytest.approx(0.4)
    assert (occlusion.gamma.value.progress, occlusion.gamma.value.told) == (0.0, False)


def test_no_face_no_depths(dtype):
    behind = card(2, 9, -2e6, dtype)
    assert explained(behind, ts.FrontToBack()).depths is None
    found = explained(card(100, 110, 1.0, dtype), ts.FrontToBack())
    assert found.depths.hidden_share is None
    assert "nan" not in str(found)
