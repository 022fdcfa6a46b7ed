"""Both sides of faces: which are left out, and how they are lit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.appearance.sides import seen_sides
from taichisoft.render import reference
from tests.helpers import assert_close, compare_with_twin, soft, views_setup
from tests.zoo.appearance import FACES, lighting_of, scene, texture_of

SHEET = ((-1.0, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))
BOTH_VIEWS = ((0.3, 0.2, 3.0), (0.3, 0.2, -3.0))


def sheet(dtype: torch.dtype = torch.float64) -> ts.Mesh:
    """Return a square whose outside is at positive z, with a colour of its own at each vertex."""
    colors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=dtype)
    return ts.Mesh(torch.tensor(SHEET, dtype=dtype), torch.tensor([[0, 1, 2], [0, 2, 3]]), colors)


def turned(mesh: ts.Mesh) -> ts.Mesh:
    """Return the mesh wound the other way."""
    return replace(mesh, faces=mesh.faces[:, [0, 2, 1]])


def both_views(dtype: torch.dtype = torch.float64, size: tuple[int, int] = (9, 11)) -> ts.Camera:
    """Return cameras before and behind the sheet."""
    return ts.Camera.look_at(torch.tensor(BOTH_VIEWS, dtype=dtype), image_size=size)


def on_outer_side(mesh: ts.Mesh, camera: ts.Camera) -> np.ndarray:
    """Return +1 or -1 of each camera and face by world geometry, (B, F), in NumPy."""
    corners = mesh.vertices.double().numpy()[mesh.faces.numpy()]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if camera.perspective:
        rotation, translation = camera.rotation.double().numpy(), camera.translation.numpy()
        eyes = -np.stack([np.linalg.inv(r) @ t for r, t in zip(rotation, translation, strict=True)])
        towards = eyes[:, None] - corners[None, :, 0]
    else:
        towards = -np.linalg.inv(camera.rotation.double().numpy())[:, None, :, 2]
    return np.sign((normals * towards).sum(-1))


def mirrored(camera: ts.Camera) -> ts.Camera:
    """Return a camera whose axes are left-handed."""
    flip = torch.diag(torch.tensor([-1.0, 1, 1])).to(camera.rotation)
    return replace(camera, rotation=flip @ camera.rotation, translation=camera.translation @ flip)


def test_the_side_that_is_seen_is_the_side_of_the_plane_that_the_camera_is_on(dtype):
    ball = ts.shapes.icosphere(1).to(dtype=dtype)
    eyes = torch.tensor([[0.4, 0.5, 3], [-2, 1, 0.3], [0.2, 0, 0.1]], dtype=dtype)
    far = ts.Camera.look_at(eyes, image_size=(5, 6))
    flat = ts.Camera.orthographic(eyes, image_size=(5, 6))
    for camera in (far, flat, mirrored(far), mirrored(flat)):
        found = seen_sides(ball, camera)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.numpy(), on_outer_side(ball, camera))
    assert not bool((seen_sides(ball, far)[2] > 0).any())  # from within
    upside_down = replace(far, intrinsics=far.intrinsics * far.intrinsics.new_tensor([-1.0, 1, 1]))
    assert torch.equal(seen_sides(ball, upside_down), seen_sides(ball, far))
    other = sheet(dtype)
    packed = ts.MeshBatch.from_meshes(
        [ts.Mesh(ball.vertices, ball.faces)] * 2 + [ts.Mesh(other.vertices, other.faces)]
    )
    expected = [seen_sides(ball, far)[0], seen_sides(ball, far)[1], seen_sides(other, far)[2]]
    assert torch.equal(seen_sides(packed, far), torch.cat(expected))


def test_a_face_that_is_seen_edge_on_is_left_in(dtype):
    mesh = sheet(dtype)
    mesh = mesh.with_vertices(mesh.vertices[:, [2, 0, 1]])  # in the plane x = 0
    camera = ts.Camera.look_at((0.0, 0, 3), image_size=(8, 9), dtype=dtype)
    assert not bool(seen_sides(mesh, camera).any())
    expected = ts.SoftRasterizer(ts.Gaussian(1.0)).silhouette(mesh, camera)
    assert float(expected.max()) > 0.5
    for culling in ts.Culling:
        renderer = ts.SoftRasterizer(ts.Gaussian(1.0), culling=culling)
        assert torch.equal(renderer.silhouette(mesh, camera), expected)


def test_a_closed_ball_shows_the_same_without_its_back(dtype):
    setup = views_setup(3, (13, 15), views=2, subdivisions=2)
    mesh, camera = setup.build({name: x.to(dtype) for name, x in setup.leaves.items()})
    both = ts.SoftRasterizer.hard()(mesh, camera, face_ids=True, normals=True)
    front = ts.SoftRasterizer.hard(culling=ts.Culling.BACK)
    one = front(mesh, camera, face_ids=True, normals=True)
    for name in ("alpha", "depth", "color", "normals", "face_ids"):
        assert torch.equal(getattr(one, name), getattr(both, name)), name
    back = ts.SoftRasterizer.hard(culling=ts.Culling.FRONT)(mesh, camera)
    covered = both.alpha > 0
    assert torch.equal(back.alpha > 0, covered)
    assert float((back.depth - both.depth)[covered].min()) > 0


def test_the_rim_of_what_has_two_sides_counts_once(dtype, tolerance):
    one = ts.Mesh(sheet(dtype).vertices, sheet(dtype).faces[:1])
    thin = ts.Mesh(one.vertices, torch.cat([one.faces, turned(one).faces]))
    camera = both_views(dtype)[0]
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0))
    coverage = renderer.silhouette(one, camera)
    assert_close(
        renderer.silhouette(thin, camera), 1 - (1 - coverage) ** 2, tolerance.value, "two layers"
    )
    renderer.culling = ts.Culling.BACK
    assert_close(renderer.silhouette(thin, camera), coverage, tolerance.value, "one layer")
    assert_close(renderer(thin, camera).alpha, coverage, tolerance.value, "one layer")


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("gradient", ["fused", "autodiff"])
def test_an_open_sheet_is_empty_from_behind(gradient, deterministic, dtype):
    mesh, camera = sheet(dtype), both_views(dtype)
    options = {"gradient": gradient, "deterministic": deterministic}
    both = ts.SoftRasterizer(ts.Gaussian(0.7), **options)(mesh, camera, face_ids=True)
    for culling, shown in ((ts.Culling.BACK, 0), (ts.Culling.FRONT, 1)):
        renderer = ts.SoftRasterizer(ts.Gaussian(0.7), culling=culling, **options)
        image = renderer(mesh, camera, face_ids=True)
        alpha = renderer.silhouette(mesh, camera)
        for name in ("alpha", "depth", "color", "face_ids"):
            found, expected = getattr(image, name), getattr(both, name)
            torch.testing.assert_close(found[shown], expected[shown], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(alpha[shown], both.alpha[shown], rtol=1e-6, atol=1e-6)
        for empty in (image.alpha, image.depth, image.color, alpha):
            assert not bool(empty[1 - shown].any())
        assert bool((image.face_ids[1 - shown] == -1).all())


@pytest.mark.parametrize("culling", [ts.Culling.BACK, ts.Culling.FRONT])
def test_what_is_left_is_drawn_as_if_the_rest_were_not_there(culling, dtype, tolerance):
    setup = views_setup(5, (11, 12), views=2)
    x = {name: leaf.to(dtype).requires_grad_() for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.8), culling=culling)
    plain = ts.SoftRasterizer(ts.Gaussian(0.8))
    image = renderer(mesh, camera)
    sign = 1 if culling is ts.Culling.BACK else -1
    keeps = on_outer_side(mesh.with_vertices(mesh.vertices.detach()), _detached(camera)) == sign
    assert (keeps[0] != keeps[1]).any()
    kept = [replace(mesh, faces=mesh.faces[torch.from_numpy(k)]) for k in keeps]
    expected = [plain(one, camera[index]) for index, one in enumerate(kept)]
    alpha = [plain.silhouette(one, camera[index]) for index, one in enumerate(kept)]
    weights = torch.linspace(-1, 1, 2 * 11 * 12, dtype=dtype).reshape(2, 11, 12)
    found = (image.alpha, image.color.sum(-1), renderer.silhouette(mesh, camera))
    wanted = (
        torch.cat([e.alpha for e in expected]),
        torch.cat([e.color.sum(-1) for e in expected]),
        torch.cat(alpha),
    )
    for one, other in zip(found, wanted, strict=True):
        assert_close(one.detach(), other.detach(), tolerance.value, "culled")
        leaves = [x["vertices"], x["eye"], x["fov"]]
        got = torch.autograd.grad((weights * one).sum(), leaves, retain_graph=True)
        right = torch.autograd.grad((weights * other).sum(), leaves, retain_graph=True)
        for a, b in zip(got, right, strict=True):
            assert_close(a, b, tolerance.gradient, "gradient of what is left")


def _detached(camera: ts.Camera) -> ts.Camera:
    return replace(
        camera,
        rotation=camera.rotation.detach(),
        translation=camera.translation.detach(),
        intrinsics=camera.intrinsics.detach(),
    )


@pytest.mark.parametrize("culling", [ts.Culling.BACK, ts.Culling.FRONT])
def test_culling_agrees_with_the_dense_twin(culling, dtype, tolerance):
    renderer = soft(scale=1.1)
    renderer.culling = culling
    compare_with_twin(views_setup(7, (9, 10), views=2), renderer, dtype, tolerance)
    twin = reference.silhouette(renderer, sheet(), both_views(), tabulated=True).detach()
    found = renderer.silhouette(sheet(dtype), both_views(dtype)).detach()
    assert_close(found, twin, tolerance.value, "silhouette")


@pytest.mark.cpu_only
def test_derivatives_of_a_culled_silhouette():
    renderer = ts.SoftRasterizer(ts.Gaussian(1.5), culling=ts.Culling.BACK)
    mesh, camera = ts.shapes.cube().to(dtype=torch.float64), both_views(size=(5, 6))
    vertices = mesh.vertices.clone().requires_grad_()

    def alpha(v):
        return renderer.silhouette(mesh.with_vertices(v), camera)

    assert gradcheck(alpha, vertices, fast_mode=True)
    assert gradgradcheck(alpha, vertices, fast_mode=True)


@pytest.mark.cpu_only
def test_culling_within_transforms():
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), culling=ts.Culling.BACK)
    mesh, camera = sheet(), both_views(size=(5, 6))[0]
    # One of the two shows its back.
    several = torch.stack([mesh.vertices, mesh.vertices * torch.tensor([-0.9, 1, 1]).double()])
    weights = torch.linspace(0, 1, 30, dtype=torch.float64).reshape(5, 6)

    for draw in (renderer.silhouette, lambda m, c: renderer(m, c).color.sum(-1)):

        def loss(v, draw=draw):
            return (weights * draw(mesh.with_vertices(v), camera)).sum()

        leaves = several.clone().requires_grad_()
        values = torch.stack([loss(v) for v in leaves])
        (expected,) = torch.autograd.grad(values.sum(), leaves)
        found = torch.func.vmap(torch.func.grad_and_value(loss))(several)
        torch.testing.assert_close(found[0], expected)
        torch.testing.assert_close(found[1], values.detach())
        assert [bool(v) for v in values] == [True, False]


def test_a_face_that_the_near_plane_cuts_goes_as_a_whole(dtype):
    # A floor that runs from before the camera to behind it: seen from above, then from below.
    floor = sheet(dtype).vertices[:, [0, 2, 1]] * 4
    mesh = ts.Mesh(floor, turned(sheet()).faces, sheet(dtype).vertex_colors)
    eyes = torch.tensor([[0.2, 0.5, 1.0], [0.2, -0.5, 1.0]], dtype=dtype)
    camera = ts.Camera.look_at(eyes, (0.1, 0.0, -3.0), image_size=(12, 14), near=0.1)
    both = ts.SoftRasterizer(ts.Gaussian(0.5))(mesh, camera)
    assert float(both.alpha.amax((1, 2)).min()) > 0.9
    for culling, shown in ((ts.Culling.BACK, 0), (ts.Culling.FRONT, 1)):
        renderer = ts.SoftRasterizer(ts.Gaussian(0.5), culling=culling)
        for alpha in (renderer(mesh, camera).alpha, renderer.silhouette(mesh, camera)):
            torch.testing.assert_close(alpha[shown], both.alpha[shown], rtol=1e-5, atol=1e-5)
            assert not bool(alpha[1 - shown].any())


def test_different_meshes_are_culled_each_for_itself(dtype):
    square, ball = sheet(dtype), ts.shapes.icosphere(1).to(dtype=dtype)
    meshes = [ts.Mesh(m.vertices, m.faces) for m in (turned(square), ball, square)]
    camera = both_views(dtype)[0]
    renderer = ts.SoftRasterizer(ts.Gaussian(0.7), culling=ts.Culling.BACK)
    together = renderer(meshes, camera)
    for index, mesh in enumerate(meshes):
        alone = renderer(mesh, camera).alpha[0]
        torch.testing.assert_close(together.alpha[index], alone, rtol=1e-6, atol=1e-6)
    assert torch.equal(renderer.silhouette(meshes, camera) > 0, together.alpha > 0)
    assert [bool(a.any()) for a in together.alpha] == [False, True, True]


@pytest.mark.cpu_only
def test_an_explanation_counts_what_is_left_out():
    mesh, camera = sheet(), both_views()
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), culling=ts.Culling.BACK)
    told = renderer.explain(mesh, camera)
    assert (told.faces.total, told.faces.culled, told.faces.drawn) == (4, 2, 2)
    assert told.faces.behind_near == 0
    assert "2 culled" in str(told)
    assert "culled" not in str(ts.SoftRasterizer(ts.Gaussian(1.0)).explain(mesh, camera))
    behind = renderer.explain(mesh, camera[1])
    assert behind.faces.drawn == 0
    assert any("ts.Culling.NONE" in line for line in behind.advice)


@pytest.mark.cpu_only
def test_culling_is_a_culling():
    with pytest.raises(TypeError, match="culling must be a Culling, got str"):
        ts.SoftRasterizer(culling="back")
    assert ts.SoftRasterizer().culling is ts.Culling.NONE


@pytest.mark.parametrize("shading", ts.Shading)
def test_light_on_the_back_of_a_sheet(shading, dtype):
    # The light is behind the sheet, as is the second camera.
    unlit = sheet(dtype).with_vertex_colors(None)
    slant = torch.tensor([0.6, 0.0, -0.8], dtype=dtype)
    lights = [ts.AmbientLight(0.125), ts.DirectionalLight(slant, 0.5)]
    # No pixel centre is on the edge that the two faces share.
    eyes = torch.tensor([[0.05, 0, 3], [0.05, 0, -3]], dtype=dtype)
    camera = ts.Camera.orthographic(eyes, (0.05, 0.0, 0.0), height=1.0, image_size=(5, 5))
    lighting = ts.Lighting(lights, shading, specular=0.25, shininess=2.0, two_sided=True)
    image = ts.SoftRasterizer.hard()(unlit, camera, lighting=lighting, normals=True)
    # n.l = 0.8, and l mirrored at n makes the same angle with the direction to the camera.
    lit = 0.125 + 0.5 * 0.8 + 0.25 * 0.5 * 0.8**2
    expected = torch.tensor([0.125, lit], dtype=dtype)[:, None, None, None].expand_as(image.color)
    torch.testing.assert_close(image.color, expected, rtol=1e-5, atol=1e-5)
    outwards = torch.tensor([0.0, 0, 1], dtype=dtype).expand_as(image.normals)
    torch.testing.assert_close(image.normals, outwards, rtol=1e-5, atol=1e-5)
    one_sided = replace(lighting, two_sided=False)
    dark = ts.SoftRasterizer.hard()(unlit, camera, lighting=one_sided).color
    torch.testing.assert_close(dark, torch.full_like(dark, 0.125))


@pytest.mark.parametrize("textured", [False, True])
@pytest.mark.parametrize("shading", ts.Shading)
def test_the_back_is_lit_as_a_mesh_that_is_turned_round(shading, textured, dtype, tolerance):
    setup = scene(7, (7, 9), views=2)
    x = {name: leaf.to(dtype) for name, leaf in setup.leaves.items()}
    mesh, camera = setup.build(x)
    texture = texture_of(x) if textured else None
    inside_out = ts.Mesh(mesh.vertices, FACES[:, [0, 2, 1]], mesh.vertex_colors)
    other = None
    if texture is not None:
        other = replace(texture, uv_faces=texture.uv_faces[:, [0, 2, 1]])
    lighting = lighting_of(x, shading)
    both = replace(lighting, two_sided=True)
    renderer = soft(scale=1.2)
    expected = renderer(mesh, camera, texture, lighting=lighting).color.detach()
    for m, t in ((mesh, texture), (inside_out, other)):
        found = renderer(m, camera, t, lighting=both).color.detach()
        assert_close(found, expected, tolerance.value, "lit on both sides")
    dark = renderer(inside_out, camera, other, lighting=lighting).color.detach()
    assert float((dark - expected).abs().max()) > 0.05


def test_a_batch_is_lit_on_both_sides_each_for_itself(dtype):
    lighting = ts.Lighting([ts.DirectionalLight((0.2, 0.1, -1.0))], two_sided=True)
    camera = both_views(dtype)
    half = replace(sheet(dtype), faces=sheet(dtype).faces[:1])
    together = ts.SoftRasterizer()([sheet(dtype), half], camera, lighting=lighting)
    for index, mesh in enumerate((sheet(dtype), half)):
        alone = ts.SoftRasterizer()(mesh, camera[index], lighting=lighting).color[0]
        torch.testing.assert_close(together.color[index], alone, rtol=1e-5, atol=1e-6)
    assert [bool(c.any()) for c in together.color] == [False, True]
    lit = ts.SoftRasterizer()(sheet(dtype), camera, lighting=lighting).color
    assert [bool(c.any()) for c in lit] == [False, True]


@pytest.mark.cpu_only
@pytest.mark.parametrize("shading", ts.Shading)
def test_gradients_of_light_on_both_sides(shading):
    setup = scene(9, (4, 5))
    renderer = soft(scale=1.4).requires_grad_(False)
    names = ("vertices", "colors", "eye", "position", "specular")

    def render(*values):
        x = {**setup.leaves, **dict(zip(names, values, strict=True))}
        mesh, camera = setup.build(x)
        mesh = ts.Mesh(mesh.vertices, FACES[:, [0, 2, 1]], mesh.vertex_colors)
        lighting = replace(lighting_of(x, shading), two_sided=True)
        return renderer(mesh, camera, lighting=lighting).color

    leaves = tuple(setup.leaves[name].clone().requires_grad_() for name in names)
    assert gradcheck(render, leaves, fast_mode=True)


@pytest.mark.cpu_only
def test_two_sided_is_a_bool():
    with pytest.raises(TypeError, match="two_sided must be a bool, got int"):
        ts.Lighting([], two_sided=1)
