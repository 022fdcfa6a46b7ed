"""Renders through a lens: those of a mesh that was bent beforehand, and never folded over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import vmap

import taichisoft as ts
from taichisoft.appearance.projected_size import texel_scales
from taichisoft.cameras.model import joined
from taichisoft.engine.projection import build_scene
from taichisoft.geometry.attributes import Attributes
from tests.cameras.test_distortion import LENSES, bent
from tests.engine.test_clipping import clipped_mesh, crossing_mesh, own_view
from tests.helpers import Leaves, Setup, assert_close, compare_with_twin, soft, views_setup

SIZE = (20, 26)
DOUBLE = {"dtype": torch.float64}
# Its image ends at a radius of 2/3 focal lengths, what is seen there is at 1.
BARREL = torch.tensor([[-1 / 3, 0.0, 0.0, 0.0]], **DOUBLE)
LENS = torch.tensor([LENSES[2]], **DOUBLE)
WIDE = torch.tensor([[-0.05, 0.0, 0.0, 0.0]], **DOUBLE)
SMALL = torch.tensor([(-0.2, 0.05, 0.002, -0.001)], **DOUBLE)


def ahead(lens: Tensor | None, dtype=torch.float64, near=0.01) -> ts.Camera:
    """Return a camera at the origin that looks along z, the image of which is 2 focal lengths high."""
    k = [[10.0, 0, 13], [0, 10, 10], [0, 0, 1]]
    camera = ts.Camera.from_opencv(k, np.eye(3), np.zeros(3), SIZE, near, **DOUBLE)
    return replace(camera, distortion=lens).to(dtype=dtype)


def ball() -> ts.Mesh:
    mesh = ts.shapes.icosphere(2)
    vertices = mesh.vertices.double() * 0.9 + torch.tensor([0.3, 0.2, 2.2])
    return ts.Mesh(vertices, mesh.faces, mesh.vertices.double().abs())


def bent_before(mesh: ts.Mesh, lens: Tensor) -> ts.Mesh:
    """Return the mesh that a pinhole at the origin sees where the lens sees the mesh, in the same depth."""
    points = mesh.vertices.double().numpy()
    plane = bent(points[:, :2] / points[:, 2:], lens[0].tolist())
    moved = np.concatenate([plane * points[:, 2:], points[:, 2:]], 1)
    return mesh.with_vertices(torch.from_numpy(moved).to(mesh.vertices.dtype))


def assert_same(actual: ts.SoftImage, expected: ts.SoftImage, allowed: float) -> None:
    for name in ("alpha", "color"):
        assert_close(getattr(actual, name), getattr(expected, name), allowed, name)
    # Where hardly anything is, depth is a ratio of rounding errors.
    weight = expected.alpha
    assert_close(actual.depth * weight, expected.depth * weight, allowed, "depth")


RENDERERS = {
    "soft": lambda: soft(scale=0.7),
    "hard": ts.SoftRasterizer.hard,
    "front to back": lambda: ts.SoftRasterizer(ts.Gaussian(0.5), occlusion=ts.FrontToBack()),
    "culled, finer": lambda: ts.SoftRasterizer(ts.Gaussian(0.5), culling=ts.Culling.BACK, ssaa=2),
}


@pytest.mark.parametrize("name", RENDERERS)
@torch.no_grad()
def test_a_render_is_that_of_a_mesh_that_was_bent_beforehand(name, dtype, tolerance):
    mesh, renderer = ball().to(dtype=dtype), RENDERERS[name]()
    before = bent_before(mesh, LENS)
    image = renderer(mesh, ahead(LENS, dtype), face_ids=True)
    expected = renderer(before, ahead(None, dtype), face_ids=True)
    assert image.alpha.max() > 0.9
    assert_same(image, expected, tolerance.value)
    assert torch.equal(image.face_ids, expected.face_ids)
    seen = renderer.silhouette(mesh, ahead(LENS, dtype))
    assert_close(seen, renderer.silhouette(before, ahead(None, dtype)), tolerance.value, "alpha")
    straight = renderer(mesh, ahead(None, dtype))
    assert (image.alpha - straight.alpha).abs().max() > 0.05


def test_no_distortion_is_that_of_zeros(dtype, tolerance):
    mesh, renderer = ball().to(dtype=dtype), soft()
    image = renderer(mesh, ahead(torch.zeros(1, 5, **DOUBLE), dtype))
    expected = renderer(mesh, ahead(None, dtype))
    with torch.no_grad():
        assert_same(image, expected, tolerance.value)


def lens_setup(views: int = 2) -> Setup:
    """Return a ball before cameras each of which has a lens."""
    plain = views_setup(1, (13, 17), views=views)
    lens = torch.tensor([(-0.2, 0.05, 0.01, -0.02, 0.01, 0.02, -0.01, 0.01)], **DOUBLE)
    leaves = {**plain.leaves, "distortion": torch.cat([lens, -lens][:views]).float().double()}

    def build(x: Leaves) -> tuple:
        mesh, camera = plain.build(x)
        return mesh, replace(camera, distortion=x["distortion"])

    return Setup(leaves, build)


def test_the_engine_agrees_with_its_twin(dtype, tolerance):
    exact = compare_with_twin(lens_setup(), soft(), dtype, tolerance)
    assert exact.gradients["distortion"].abs().amin() > 0


def small_scene() -> tuple[ts.Mesh, ts.Camera]:
    """Return three triangles, one of which the near plane cuts."""
    corners = [[-0.8, -0.7, 1.5], [0.9, -0.4, 1.3], [0.1, 0.8, 1.8]]
    corners += [[0.2, -0.6, 1.2], [0.9, 0.9, 2.2], [-0.3, 0.5, 1.4]]
    corners += [[-0.5, 0.3, 1.4], [-0.4, 0.7, 1.3], [-0.6, 0.6, 0.3]]
    vertices = torch.tensor(corners, **DOUBLE)
    camera = ahead(SMALL, near=0.7)
    camera = replace(camera.resize((6, 8)), near=0.7)
    colors = torch.linspace(0, 1, 9, **DOUBLE)[:, None]
    return ts.Mesh(vertices, torch.arange(9).reshape(3, 3), colors), camera


def test_first_and_second_derivatives():
    mesh, camera = small_scene()
    renderer = soft(scale=0.7)

    def draw(lens: Tensor, vertices: Tensor) -> tuple[Tensor, Tensor]:
        moved, seen = mesh.with_vertices(vertices), replace(camera, distortion=lens)
        return renderer(moved, seen).color, renderer.silhouette(moved, seen)

    inputs = (SMALL.clone().requires_grad_(), mesh.vertices.clone().requires_grad_())
    assert build_scene(mesh, camera, None).face_counts[0] == 4
    assert gradcheck(draw, inputs, fast_mode=True)
    assert gradgradcheck(draw, inputs, fast_mode=True)
    (by_lens,) = torch.autograd.grad(draw(*inputs)[0].square().sum(), inputs[0])
    assert by_lens.abs().min() > 0


@pytest.mark.parametrize("lens", [LENS, SMALL, WIDE], ids=["eight", "four", "wide"])
def test_faces_that_cross_the_near_plane_are_cut_and_then_bent(lens, dtype, tolerance):
    mesh, camera = crossing_mesh("vertices"), ahead(lens, near=0.25)
    clipped, source = clipped_mesh(mesh, camera, torch.float64)
    scene = build_scene(mesh, camera, None)
    corners = scene.points[scene.faces]
    drawn = corners[..., 2].amin(1) >= camera.near
    points = clipped.vertices[clipped.faces]
    radii = (points[..., :2] / points[..., 2:]).square().sum(-1).sqrt()
    # Faces are left out of which a corner after the cut has no image; at times that is not for the radius.
    kept = (camera.project(clipped.vertices)[0, :, 3] > 0)[clipped.faces].all(1)
    assert bool((kept <= (radii < camera.valid_radius).all(1)).all())
    assert scene.source_face[drawn].tolist() == [s for s, k in zip(source, kept, strict=True) if k]
    assert (len(source) > int(drawn.sum()) > 0) is (lens is WIDE)
    whole = replace(clipped, faces=clipped.faces[kept])
    pinhole = own_view(replace(camera, distortion=None), dtype)
    expected = soft()(bent_before(whole, lens).to(dtype=dtype), pinhole)
    image = soft()(mesh.to(dtype=dtype), camera.to(dtype=dtype))
    with torch.no_grad():
        assert_same(image, expected, tolerance.value)


def test_cut_faces_are_bent_by_the_lens_of_their_image():
    mesh, both = (
        crossing_mesh("vertices"),
        (ahead(LENS[:, :5], near=0.25), ahead(-LENS[:, :5], near=0.25)),
    )
    batch = joined([*both, ahead(None, near=0.25)])
    found = build_scene(mesh, batch, None)
    assert found.face_counts[2] > mesh.num_faces
    for index, one in enumerate((*both, ahead(None, near=0.25))):
        scene = build_scene(mesh, one, None)
        mine = found.faces[found.face_images == index]
        assert torch.equal(found.points[mine], scene.points[scene.faces])


def wall(side: int, reach: float) -> ts.Mesh:
    """Return a wall at depth 1 of ``2 side^2`` faces, from -reach to reach; its colours are x and y."""
    at = torch.linspace(-reach, reach, side + 1, **DOUBLE)
    x, y = torch.meshgrid(at, at, indexing="xy")
    vertices = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3)
    first = (torch.arange(side)[:, None] * (side + 1) + torch.arange(side)).reshape(-1)
    quads = torch.stack([first, first + 1, first + side + 2, first + side + 1], 1)
    faces = torch.cat([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return ts.Mesh(vertices, faces, vertices[:, :2])


def test_a_wide_lens_does_not_fold_over(dtype):
    mesh, camera = wall(60, 3.0).to(dtype=dtype), ahead(BARREL, dtype)
    image = ts.SoftRasterizer.hard()(mesh, camera)
    y, x = np.meshgrid(np.arange(20) - 9.5, np.arange(26) - 12.5, indexing="ij")
    radius = torch.from_numpy(np.hypot(x, y)) / 10
    assert image.alpha[0][radius > 0.68].max() == 0
    assert image.alpha[0][radius < 0.6].min() == 1
    # What is seen is where the ray of the pixel meets the wall, not what would be folded over it.
    inside = radius < 0.6
    seen = torch.linalg.vector_norm(image.color[0].double(), dim=-1)
    assert_close((seen - seen**3 / 3)[inside], radius[inside], 0.01, "radius")
    assert seen.max() < 1
    # Beyond the radius there are faces whose images would lie in the middle: r = sqrt(3) is seen at 0.
    points = camera.project(mesh.vertices)[0]
    assert (points[:, 3] == 0).sum() > 3000
    expected = (points[:, 3] > 0)[mesh.faces].all(1)
    scene = build_scene(mesh, camera, None)
    assert scene.source_face.tolist() == expected.nonzero()[:, 0].tolist()


def test_faces_that_are_left_out_leave_no_nan():
    mesh, lens = wall(12, 3.0), BARREL.clone().requires_grad_()
    vertices = mesh.vertices.clone().requires_grad_()
    renderer = soft()
    image = renderer(mesh.with_vertices(vertices), ahead(lens))
    loss = image.color.square().sum() + image.depth.sum() + image.alpha.sum()
    first = torch.autograd.grad(loss, (lens, vertices), create_graph=True)
    second = torch.autograd.grad(sum(x.square().sum() for x in first), (lens, vertices))
    assert all(bool(x.isfinite().all()) for x in (image.color, *first, *second))
    assert first[0].abs().max() > 0
    # A vertex of none but faces that are left out.
    assert first[1][0].abs().max() == 0
    # Nothing is left: no lens shows a wall of two faces that ends beyond it.
    nothing = renderer(wall(1, 3.0).with_vertices(3 * wall(1, 1.0).vertices), ahead(lens))
    assert nothing.alpha.max() == 0
    assert torch.autograd.grad(nothing.color.sum(), lens)[0].abs().max() == 0


def test_light_and_normals_are_those_of_the_scene():
    mesh = wall(12, 0.8)
    lights = [ts.AmbientLight(0.2), ts.DirectionalLight((0.3, 0.4, 1.0))]
    renderer = ts.SoftRasterizer.hard()
    white = mesh.with_vertex_colors(torch.ones(mesh.num_vertices, 3, **DOUBLE))
    images = [
        renderer(white, ahead(lens), lighting=ts.Lighting(lights), normals=True)
        for lens in (None, LENS, SMALL)
    ]
    normal, color = images[0].normals[0, 10, 13], images[0].color[0, 10, 13]
    assert 0.2 < color[0] < 1.3
    for image in images:
        covered = image.alpha[0] > 0
        assert covered.sum() > 100
        for found, wanted in ((image.normals[0], normal), (image.color[0], color)):
            assert_close(found[covered], wanted.expand(int(covered.sum()), 3), 1e-12, "light")


def test_a_light_at_a_place_lights_the_place_that_is_seen():
    mesh = wall(40, 0.9)
    light = ts.PointLight((0.2, -0.1, 0.4))
    white = mesh.with_vertex_colors(torch.ones(mesh.num_vertices, 1, **DOUBLE))
    renderer = ts.SoftRasterizer.hard()
    image = renderer(white, ahead(SMALL), lighting=ts.Lighting([light]))
    place = renderer(mesh, ahead(SMALL)).color
    covered = image.alpha[0] > 0
    position = torch.cat([place[0][covered], torch.ones(int(covered.sum()), 1, **DOUBLE)], 1)
    for index in range(0, len(position), 37):
        # Straight on to the place, by a camera without a lens.
        at = ts.Camera.look_at(
            (0, 0, 0), position[index].tolist(), fov=1, image_size=(1, 1), **DOUBLE
        )
        lit = renderer(white, at, lighting=ts.Lighting([light])).color[0, 0, 0]
        torch.testing.assert_close(image.color[0][covered][index], lit, rtol=1e-3, atol=1e-3)


def test_an_edge_stays_straight_by_what_is_said():
    """The bound in the docstring of `Camera`: 3/4 |k1| r L^2 / f pixels."""
    k1, focal = -0.2, 1000.0
    for radius in (0.2, 0.5, 0.8):
        for along, share in (((1.0, 0.0), 0.75), ((0.0, 1.0), 0.25)):
            length = 20 / focal
            ends = np.array([[radius, 0]]) + np.array([[-0.5], [0], [0.5]]) * length * np.array(
                [along]
            )
            image = bent(ends, (k1, 0, 0, 0)) * focal
            off = np.linalg.norm(image[1] - (image[0] + image[2]) / 2)
            bound = share * abs(k1) * radius * 20**2 / focal
            assert 0.95 * bound < off < 1.05 * bound


def test_mipmaps_follow_what_is_drawn():
    mesh = ball()
    uv = Attributes(mesh.vertices[:, :2] * 0.3, mesh.faces)
    found = texel_scales(mesh, ahead(LENS), 64 * 64, uv)
    expected = texel_scales(bent_before(mesh, LENS), ahead(None), 64 * 64, uv)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    assert (found - texel_scales(mesh, ahead(None), 64 * 64, uv)).abs().max() > 0.01
    both = ts.MeshBatch.from_meshes([mesh, replace(mesh, faces=mesh.faces[:9])])
    rows = Attributes(both.vertices.flatten(0, 1)[:, :2] * 0.3, both.faces)
    batch = texel_scales(both, ahead(LENS), 64 * 64, rows)
    torch.testing.assert_close(batch[:, : 3 * mesh.num_faces], found, rtol=1e-11, atol=1e-11)
    # Where the lens shows not all of a face it is as without one.
    far = wall(1, 3.0)
    rows = Attributes(far.vertices[:, :2], far.faces)
    torch.testing.assert_close(
        texel_scales(far, ahead(BARREL), 64, rows), texel_scales(far, ahead(None), 64, rows)
    )


def test_vmap_over_lenses_is_a_batch():
    mesh, renderer = ball(), soft()
    lenses = torch.stack([SMALL, -SMALL, 0.5 * SMALL])

    def draw(lens: Tensor) -> Tensor:
        return renderer(mesh, ahead(lens)).color

    found = vmap(draw)(lenses)
    for index, lens in enumerate(lenses):
        torch.testing.assert_close(found[index], draw(lens), rtol=1e-11, atol=1e-11)
    slopes = torch.func.vmap(torch.func.grad(lambda lens: draw(lens).square().sum()))(lenses)
    leaf = lenses[1].clone().requires_grad_()
    (expected,) = torch.autograd.grad(draw(leaf).square().sum(), leaf)
    torch.testing.assert_close(slopes[1], expected, rtol=1e-9, atol=1e-9)


def test_an_explanation_counts_faces_beyond_the_lens():
    mesh, renderer = wall(12, 3.0), ts.SoftRasterizer(ts.Gaussian(0.5))
    found = renderer.explain(mesh, ahead(BARREL))
    kept = build_scene(mesh, ahead(BARREL), None).face_counts[0]
    assert (found.faces.total, found.faces.beyond_lens) == (288, 288 - kept)
    assert f"{288 - kept} beyond the lens, 0 behind the near plane" in str(found)
    assert renderer.explain(mesh, ahead(None)).faces.beyond_lens == 0
    renderer.culling = ts.Culling.BACK
    found = renderer.explain(mesh, ahead(BARREL))
    assert (
        found.faces.beyond_lens + found.faces.culled
        == 288 - found.faces.drawn - found.faces.off_screen
    )
    renderer.culling = ts.Culling.NONE
    nothing = renderer.explain(wall(1, 3.0), ahead(BARREL))
    assert "2 of 2 have a vertex that the lens has no image of" in str(nothing)


def test_a_fit_finds_the_lens():
    """From pixels: coefficients follow from the picture of a known board."""
    board, renderer = wall(8, 0.7), ts.SoftRasterizer(ts.Gaussian(1.0))
    checks = (torch.arange(board.num_faces) % 2).double()[:, None]
    board = ts.Mesh(board.vertices, board.faces, face_colors=checks)
    with torch.no_grad():
        target = renderer(board, ahead(SMALL)).color
    lens = torch.zeros(1, 4, **DOUBLE).requires_grad_()
    optimizer = torch.optim.LBFGS([lens], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = ts.mse_loss(renderer(board, ahead(lens)).color, target)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert_close(lens.detach(), SMALL, 0.02, "lens")
