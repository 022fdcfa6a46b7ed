"""Faces that cross the near plane: against an independent clipper, finite differences and formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import taichisoft as ts
from taichisoft.engine.clipping import clip_at_near_plane
from taichisoft.engine.projection import build_scene
from taichisoft.render import reference
from tests.helpers import (
    AGGREGATIONS,
    Setup,
    assert_close,
    compare_with_twin,
    normal_like,
    outcome,
    scalar_loss,
    soft,
    uniform,
)

NEAR = 0.25
SIZE = (23, 31)
DOUBLE = {"dtype": torch.float64}


def clipped_polygon(corners: np.ndarray, near: float) -> np.ndarray:
    """Sutherland and Hodgman for one plane: (n, 3 + C) corners in camera coordinates, z third.

    What is cut starts with the point where the walk round the face comes back in front of the plane.
    """
    polygon, entry = [], 0
    for here, there in zip(corners, np.roll(corners, -1, 0), strict=True):
        if here[2] > near:
            polygon.append(here)
        if (here[2] > near) != (there[2] > near):
            if here[2] <= near:
                entry = len(polygon)
            share = (near - here[2]) / (there[2] - here[2])
            polygon.append(here + share * (there - here))
    return np.roll(np.array(polygon).reshape(-1, corners.shape[1]), -entry, 0)


def clipped_mesh(mesh: ts.Mesh, camera: ts.Camera, dtype: torch.dtype) -> tuple[ts.Mesh, list[int]]:
    """Return the part of a mesh before one camera, in its coordinates, and where its faces come from."""
    inside = mesh.vertices.numpy() @ camera.rotation[0].numpy().T + camera.translation[0].numpy()
    triangles, source = [], []
    for index, face in enumerate(mesh.faces.numpy()):
        colors = mesh.vertex_colors[face].numpy() if mesh.face_colors is None else mesh.face_colors
        if mesh.face_colors is not None:
            colors = np.repeat(colors[index : index + 1].numpy(), 3, 0)
        corners = np.concatenate([inside[face], colors], 1)
        if (corners[:, 2] < camera.near).any():
            corners = clipped_polygon(corners, camera.near)
        for k in range(1, len(corners) - 1):
            triangles.append(corners[[0, k, k + 1]])
            source.append(index)
    rows = torch.from_numpy(np.array(triangles)).to(dtype).reshape(-1, corners.shape[1])
    return ts.Mesh(rows[:, :3], torch.arange(len(rows)).reshape(-1, 3), rows[:, 3:]), source


def own_view(camera: ts.Camera, dtype: torch.dtype) -> ts.Camera:
    """Return a camera for what is in the coordinates of a camera already."""
    camera = camera.to(dtype=dtype)
    eye = torch.eye(3, dtype=dtype)[None]
    # A little nearer: the oracle's points are on the plane to rounding only.
    near = camera.near - 1e-5
    return replace(camera, rotation=eye, translation=0 * camera.translation, near=near)


def cameras(kind: str) -> ts.Camera:
    """Return two cameras, behind the first of which nothing is."""
    eye, at = torch.tensor([[0.0, 0.3, 9.0], [0.1, 0.2, 0.4]]).double(), (0.0, -0.1, -1.0)
    if kind == "perspective":
        return ts.Camera.look_at(eye, at, fov=70, image_size=SIZE, near=NEAR)
    return ts.Camera.orthographic(eye, at, height=4.0, image_size=SIZE, near=NEAR)


def crossing_mesh(colored: str, seed: int = 0, faces: int = 9) -> ts.Mesh:
    """Random triangles around the second camera."""
    generator = torch.Generator().manual_seed(seed)
    vertices = uniform(generator, 3 * faces, 3, low=-2, high=2)
    mesh = ts.Mesh(vertices, torch.arange(3 * faces).reshape(-1, 3))
    if colored == "vertices":
        return mesh.with_vertex_colors(uniform(generator, 3 * faces, 2))
    return mesh.with_face_colors(uniform(generator, faces, 2))


def assert_same_image(actual: ts.SoftImage, expected: ts.SoftImage, allowed: float) -> None:
    for name in ("alpha", "color"):
        assert_close(
            getattr(actual, name).detach(), getattr(expected, name).detach(), allowed, name
        )
    # Where hardly anything is, depth is a ratio of rounding errors.
    weight = expected.alpha.detach()
    assert_close(
        (actual.depth * weight).detach(), (expected.depth * weight).detach(), allowed, "depth"
    )


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("colored", ["vertices", "faces"])
@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_a_clipped_render_is_that_of_a_mesh_clipped_beforehand(
    kind, colored, aggregation, dtype, tolerance
):
    mesh, camera, renderer = crossing_mesh(colored), cameras(kind), soft(aggregation=aggregation)
    image = renderer(mesh.to(dtype=dtype), camera.to(dtype=dtype))
    counts = build_scene(mesh, camera, None).face_counts
    assert counts[0] == mesh.num_faces < counts[1]  # only the second image has cuts
    for index, single in enumerate(camera):
        expected = renderer(clipped_mesh(mesh, single, dtype)[0], own_view(single, dtype))
        assert expected.alpha.detach().max() > 0.5
        actual = ts.SoftImage(*(getattr(image, n)[[index]] for n in ("alpha", "depth", "color")))
        assert_same_image(actual, expected, tolerance.value)


@pytest.mark.parametrize("colored", ["vertices", "faces"])
def test_different_meshes(colored, dtype, tolerance):
    meshes = [crossing_mesh(colored, seed, faces) for seed, faces in ((0, 9), (1, 3), (2, 7))]
    meshes.insert(1, replace(meshes[0], faces=meshes[0].faces[:0], face_colors=None))
    if colored == "faces":
        meshes[1] = meshes[1].with_face_colors(meshes[0].face_colors[:0])
    camera, renderer = cameras("perspective")[1], soft()
    image = renderer([mesh.to(dtype=dtype) for mesh in meshes], camera.to(dtype=dtype))
    scene = build_scene(meshes, camera, None)
    sources = scene.source_face.split(scene.face_counts)
    for index, mesh in enumerate(meshes):
        if not mesh.num_faces:
            assert image.alpha[index].abs().max() == 0
            continue
        clipped, source = clipped_mesh(mesh, camera, dtype)
        expected = renderer(clipped, own_view(camera, dtype))
        actual = ts.SoftImage(*(getattr(image, n)[[index]] for n in ("alpha", "depth", "color")))
        assert_same_image(actual, expected, tolerance.value)
        in_front = scene.points[scene.faces[scene.face_images == index]][..., 2].amin(1) >= NEAR
        assert sources[index][in_front].tolist() == source


def test_one_mesh_of_a_batch_before_several_cameras(dtype):
    mesh, camera = crossing_mesh("faces").to(dtype=dtype), cameras("perspective").to(dtype=dtype)
    batch = ts.MeshBatch.from_meshes([mesh])
    assert_same_image(
        soft()(batch, camera), soft()(mesh, camera), 1e-12 if dtype == torch.float64 else 1e-5
    )


def test_source_faces_of_a_shared_topology():
    mesh, camera = crossing_mesh("vertices"), cameras("perspective")
    scene = build_scene(mesh, camera, None)
    for index, single in enumerate(camera):
        mine = scene.face_images == index
        drawn = scene.points[scene.faces[mine]][..., 2].amin(1) >= NEAR
        wanted = clipped_mesh(mesh, single, torch.float64)[1]
        assert scene.source_face[mine][drawn].tolist() == wanted
    # As they are, and after sorting, a part lies in the plane of the face that it is said to be a part of.
    renderer = ts.SoftRasterizer(deterministic=True)
    for ordered in (scene, renderer.scene(mesh, camera)[1]):
        depth, slot = ordered.points[ordered.faces][..., 2], ordered.face_images
        whole = camera.to_view(mesh.vertices)[:, mesh.faces][slot, ordered.source_face][..., 2]
        assert (depth.amax(1) <= whole.amax(1) + 1e-12).all()
        assert (depth.amin(1) >= whole.amin(1) - 1e-12).all()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_every_way_in_which_corners_lie_about_the_plane(aggregation, dtype, tolerance):
    eye = torch.eye(3).double()[None]
    k = torch.tensor([[[9.0, 0, 15], [0, 9, 11], [0, 0, 1]]]).double()
    camera = ts.Camera(eye, torch.zeros(1, 3).double(), k, SIZE, near=NEAR)
    depths = torch.cartesian_prod(*[torch.tensor([-0.5, NEAR, 0.75]).double()] * 3)
    corners = torch.tensor([[-0.4, -0.5, 0], [0.55, -0.2, 0], [-0.15, 0.45, 0]]).double()
    corners = corners + depths[..., None] * torch.tensor([0.0, 0.0, 1.0]).double()
    meshes = [ts.Mesh(c, torch.tensor([[0, 1, 2]]), c.abs()) for c in corners]
    scene = build_scene(meshes, camera, None)
    renderer = soft(aggregation=aggregation)
    image = renderer([mesh.to(dtype=dtype) for mesh in meshes], camera.to(dtype=dtype))
    drawn = scene.points[scene.faces][..., 2].amin(1) >= NEAR
    for index, mesh in enumerate(meshes):
        above, on = int((depths[index] > NEAR).sum()), int((depths[index] == NEAR).sum())
        halves = int(drawn[scene.face_images == index].sum())
        if above + on < 3:
            assert halves == min(above, 2)
        if not halves:
            assert above + on < 3
            assert image.alpha[index].abs().max() == 0
            continue
        expected = renderer(clipped_mesh(mesh, camera, dtype)[0], own_view(camera, dtype))
        actual = ts.SoftImage(*(getattr(image, n)[[index]] for n in ("alpha", "depth", "color")))
        assert_same_image(actual, expected, tolerance.value)


@pytest.mark.parametrize("behind", [False, True])
def test_a_scene_that_nothing_crosses_is_left_as_it_is(behind):
    ball = ts.shapes.icosphere(1)
    vertices = ball.vertices.double()
    meshes = [ball.with_vertices(vertices)]
    if behind:
        meshes.append(ball.with_vertices(vertices + torch.tensor([0.0, 0.0, 9.0])))
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), image_size=SIZE, near=1.0, dtype=torch.float64)
    scene = build_scene(meshes, camera, None)
    vertices = ts.MeshBatch.from_meshes(meshes).vertices
    assert clip_at_near_plane(scene, vertices, camera) is scene
    assert torch.equal(
        scene.points[:, :3],
        camera.project(torch.stack([m.vertices for m in meshes])).reshape(-1, 4)[:, :3],
    )
    assert scene.face_counts == (80,) * len(meshes)
    assert scene.source_face.tolist() == list(range(80)) * len(meshes)


HEIGHT = 0.5
HORIZON = 11.5


def floor(dtype=torch.float64) -> tuple[ts.Mesh, ts.Camera]:
    """Return a floor that passes under a camera that looks along it; its colours are x and z of the world."""
    corners = torch.tensor([[-3, 0, -6], [4, 0, -6], [5, 0, 3], [-4, 0, 2]], dtype=dtype)
    faces = torch.tensor([[0, 2, 1], [0, 3, 2]])
    camera = ts.Camera.look_at(
        (0.0, HEIGHT, 0.0), (0.0, HEIGHT, -1.0), fov=80, image_size=SIZE, near=NEAR, dtype=dtype
    )
    return ts.Mesh(corners, faces, corners[:, [0, 2]]), camera


def test_colours_and_depths_of_a_floor_are_where_the_rays_meet_it(dtype):
    mesh, camera = floor(dtype)
    image = ts.SoftRasterizer.hard()(mesh, camera)
    focal = float(camera.intrinsics[0, 0, 0])
    allowed = 1e-9 if dtype == torch.float64 else 1e-4
    for row in (13, 15, 20):
        depth = HEIGHT * focal / (row + 0.5 - HORIZON)
        x = (np.arange(SIZE[1]) + 0.5 - SIZE[1] / 2) * depth / focal
        on_floor = (x > -3) & (x < 4)
        assert NEAR < depth < 6
        assert on_floor.sum() > 25
        expected = torch.from_numpy(np.stack([x, np.full(len(x), -depth)], 1))[on_floor]
        color, depths = image.color[0, row].double(), image.depth[0, row].double()
        assert_close(color[on_floor], expected, allowed, "colour")
        assert_close(depths[on_floor], -expected[:, 1], allowed, "depth")


def test_nothing_is_mirrored(dtype):
    mesh, camera = floor(dtype)
    image = soft(scale=0.5)(mesh, camera)
    assert image.alpha[0, 16:].detach().min() > 0.7  # the seam of the two faces is less covered
    # A mirrored floor would be above the horizon; its far end is below by more than the cut-off.
    assert image.alpha[0, :8].abs().max() == 0


def whole_floor() -> Setup:
    """All that a render of the floor depends on, as leaves."""
    generator = torch.Generator().manual_seed(0)
    mesh, camera = floor()
    leaves = {
        "vertices": mesh.vertices + uniform(generator, 4, 3, low=-0.1, high=0.1),
        "colors": uniform(generator, 4, 2),
        "rotation": camera.rotation + uniform(generator, 1, 3, 3, low=-0.05, high=0.05),
        "translation": camera.translation,
        "intrinsics": camera.intrinsics * torch.tensor([6 / 31, 5 / 23, 1])[:, None],
    }

    def build(x):
        own = (x["rotation"], x["translation"], x["intrinsics"])
        return ts.Mesh(x["vertices"], mesh.faces, x["colors"]), ts.Camera(*own, (5, 6), near=NEAR)

    return Setup({name: leaf.detach().double() for name, leaf in leaves.items()}, build)


def images_of(setup: Setup, renderer: ts.SoftRasterizer):
    def images(*values):
        image = renderer(*setup.build(dict(zip(setup.leaves, values, strict=True))))
        values = torch.cat([image.alpha[..., None], image.depth[..., None], image.color], -1)
        weight = normal_like(values, torch.Generator().manual_seed(3))
        return (values * weight).sum((0, 3))

    return images, [leaf.clone().requires_grad_() for leaf in setup.leaves.values()]


@pytest.mark.cpu_only
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_gradients_of_a_floor_under_the_camera(aggregation):
    setup = whole_floor()
    renderer = soft(aggregation=aggregation, scale=1.3, gamma=0.7).requires_grad_(False)
    assert sum(build_scene(*setup.build(setup.leaves), None).face_counts) > 2
    images, points = images_of(setup, renderer)
    assert gradcheck(images, points, eps=1e-6, atol=1e-5, rtol=1e-4)
    gradients = torch.autograd.grad(images(*points).sum(), points)
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients)


@pytest.mark.cpu_only
def test_second_derivatives_of_a_floor_under_the_camera():
    setup = whole_floor()
    images, points = images_of(setup, soft(scale=1.3, gamma=0.7).requires_grad_(False))
    assert gradgradcheck(images, points, eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True)


def test_engine_and_twin_agree(dtype, tolerance):
    compare_with_twin(whole_floor(), soft(scale=1.3, gamma=0.7), dtype, tolerance)


def beside_the_camera(kind: str, near: float, width: float, seed: int) -> Setup:
    """Return large faces that begin beside the camera: a floor under it, or walls around it.

    Their points on the near plane are up to 1e8 pixels away.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "floor":
        corners = torch.tensor([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) * width
        faces = torch.tensor([[0, 2, 1], [0, 3, 2]])
    else:
        corners = uniform(generator, 24, 3, low=-width, high=width)
        faces = torch.arange(24).reshape(-1, 3)
    eye = uniform(generator, 3, low=0.3, high=1.5)
    at = eye + torch.tensor([0.3, -0.1, -1.0])
    view = {"fov": 50, "image_size": (32, 41), "near": near}
    camera = ts.Camera.look_at(eye.float(), at.float(), **view)

    def build(x):
        mesh = ts.Mesh(x["vertices"], faces, x["colors"])
        return mesh, camera.to(dtype=x["vertices"].dtype)

    colors = uniform(generator, len(corners), 2)
    return Setup({"vertices": corners.float().double(), "colors": colors}, build)


@pytest.mark.parametrize("gradient", ["fused", "autodiff"])
@pytest.mark.parametrize("kind", ["floor", "walls"])
@pytest.mark.parametrize(("near", "width"), [(1e-4, 3.0), (1e-4, 50.0), (0.01, 1000.0)])
def test_float32_beside_the_near_plane(kind, near, width, gradient):
    for seed in range(3):
        setup = beside_the_camera(kind, near, width, seed)
        occlusion = ts.DepthSoftmax(0.1 * width)
        renderer = ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=occlusion, gradient=gradient)

        def twin(*arguments, renderer=renderer):
            return reference.render(renderer, *arguments, tabulated=True)

        exact = outcome(setup, renderer, torch.float64, twin)
        single = outcome(setup, renderer, torch.float32, renderer, exact.values["alpha"])
        assert exact.values["alpha"].max() > 0.5
        for name in ("alpha", "color"):
            assert_close(single.values[name], exact.values[name], 1e-5, f"{name} beside the camera")
        for name, found in exact.gradients.items():
            assert_close(single.gradients[name], found, 2e-4, f"gradient of {name} beside it")


@pytest.mark.parametrize("kind", ["floor", "walls"])
def test_second_derivatives_in_float32_beside_the_near_plane(kind):
    setup = beside_the_camera(kind, 1e-4, 3.0, 0)
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=ts.DepthSoftmax(0.5))
    direction = normal_like(setup.leaves["vertices"], torch.Generator().manual_seed(5))

    def second(dtype, render):
        leaves = {name: leaf.to(dtype).requires_grad_() for name, leaf in setup.leaves.items()}
        image = render(*setup.build(leaves))
        values = torch.cat([image.alpha[..., None], image.color], -1)
        weight = normal_like(values, torch.Generator().manual_seed(6)).to(dtype)
        (first,) = torch.autograd.grad(
            (values * weight).sum(), leaves["vertices"], create_graph=True
        )
        found = torch.autograd.grad((first * direction.to(dtype)).sum(), list(leaves.values()))
        return [x.double() for x in found]

    def twin(*arguments):
        return reference.render(renderer, *arguments, tabulated=True)

    exact, single = second(torch.float64, twin), second(torch.float32, renderer)
    for name, value, expected in zip(setup.leaves, single, exact, strict=True):
        assert expected.abs().max() > 1
        assert_close(value, expected, 2e-4, f"second derivative by {name}")


STEP = 1e-6
PASSING = {
    "one corner": ((), (2,)),
    "the second corner": ((2,), (1,)),
    "two corners at once": ((), (1, 2)),
}


def passing(case: str, side: float, renderer: ts.SoftRasterizer, dtype) -> ts.SoftImage:
    """Render a face with corners a little before or behind the near plane, and others well behind."""
    behind, there = PASSING[case]
    camera = ts.Camera.look_at(
        (0, 0, 0), (0, 0, -1), fov=60, image_size=SIZE, near=NEAR, dtype=dtype
    )
    corners = torch.tensor(
        [[-0.3, 0.5, -2], [-0.5, -0.3, -2], [0.6, -0.2, -2]], dtype=torch.float64
    )
    corners[list(behind), 2] = 1.0
    corners[list(there), 2] = -NEAR - side
    mesh = ts.Mesh(corners.to(dtype), torch.tensor([[0, 1, 2]]), corners.abs().to(dtype))
    return renderer(mesh, camera)


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", PASSING)
@pytest.mark.parametrize(
    "renderer", [ts.SoftRasterizer.hard(), soft(aggregation="max")], ids=["hard", "soft maximum"]
)
def test_the_image_is_continuous_while_a_vertex_passes_the_near_plane(renderer, case):
    before = passing(case, STEP, renderer, torch.float64)
    after = passing(case, -STEP, renderer, torch.float64)
    assert before.alpha.detach().max() > 0.9
    assert_close(after.alpha.detach(), before.alpha.detach(), 50 * STEP, "alpha")


@pytest.mark.cpu_only
@pytest.mark.parametrize("case", PASSING)
def test_only_the_outline_changes_where_edges_add_up(case):
    # The second triangle begins as a sliver along an edge, which adds to it what any edge of a face adds.
    scale = 0.3
    before = passing(case, STEP, soft(scale=scale), torch.float64)
    after = passing(case, -STEP, soft(scale=scale), torch.float64)
    change = (after.alpha - before.alpha).detach().abs()
    assert change.max() < 0.26
    whole = passing(case, STEP, ts.SoftRasterizer.hard(), torch.float64).alpha.detach()
    # Pixels that no edge comes near to.
    around = (
        torch.nn.functional.pad(whole, (2, 2, 2, 2), mode="replicate")
        .unfold(1, 5, 1)
        .unfold(2, 5, 1)
    )
    inner = (around == whole[..., None, None]).all(-1).all(-1)
    assert inner.double().mean() > 0.5
    assert change[inner].max() < 50 * STEP


@pytest.mark.parametrize(
    "face", [[0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 1, 2]], ids=["aab", "abb", "aaa", "on a line"]
)
def test_degenerate_faces_that_cross(face, dtype):
    corners = torch.tensor(
        [[0.1, 0, -2], [0.4, 0.3, 2], [0.25, 0.15, 0]], dtype=dtype
    ).requires_grad_()
    camera = ts.Camera.look_at(
        (0, 0, 0), (0, 0, -1), fov=60, image_size=SIZE, near=NEAR, dtype=dtype
    )
    mesh = ts.Mesh(corners, torch.tensor([face]), corners.detach().abs())
    image = soft()(mesh, camera)
    (gradient,) = torch.autograd.grad(
        image.color.sum() + image.depth.sum(), corners, create_graph=True
    )
    (second,) = torch.autograd.grad(gradient.square().sum(), corners)
    for value in (image.alpha, image.color, image.depth, gradient, second):
        assert value.isfinite().all()


@pytest.mark.parametrize("depth", [1e-30, 1e-12, 1e-6])
def test_a_corner_hardly_before_the_plane_has_finite_derivatives(depth, dtype):
    corners = torch.tensor(
        [[0, 0, depth], [1, 0, -depth], [0, 1, -1.0]], dtype=dtype
    ).requires_grad_()
    eye = torch.eye(3, dtype=dtype)[None]
    camera = ts.Camera(eye, torch.zeros(1, 3, dtype=dtype), 9 * eye, SIZE, False, 0.0)
    image = soft()(ts.Mesh(corners, torch.tensor([[0, 1, 2]])), camera)
    (gradient,) = torch.autograd.grad(image.alpha.sum(), corners, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), corners)
    assert gradient.isfinite().all()
    assert second.isfinite().all()


def test_permuted_faces_are_bit_equal(dtype):
    mesh, camera = (
        crossing_mesh("vertices", faces=20).to(dtype=dtype),
        cameras("perspective").to(dtype=dtype),
    )
    shared = ts.Mesh(mesh.vertices, mesh.faces % 23, mesh.vertex_colors)
    renderer = ts.SoftRasterizer(softness=soft().softness, deterministic=True)
    generator, results = torch.Generator().manual_seed(0), []
    for order in (torch.arange(20), torch.randperm(20, generator=generator)):
        vertices = shared.vertices.clone().requires_grad_()
        image = renderer(ts.Mesh(vertices, shared.faces[order], shared.vertex_colors), camera)
        loss = scalar_loss(image, image.alpha.detach(), seed=4)
        results.append((image.alpha, image.color, *torch.autograd.grad(loss, vertices)))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
