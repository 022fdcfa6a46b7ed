"""Masks of the objects of a scene: against colours of objects, the twin, depth order, and derivatives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import jacfwd, vmap

import taichisoft as ts
from taichisoft.render import reference
from tests.helpers import assert_close, normal_like, pixel_camera, soft

SIZE = (9, 12)
TURN = ts.rotations.from_axis_angle(torch.tensor([0.3, -0.4, 0.2]))
PLACES = torch.tensor([[-0.4, 0.1, 0.0], [0.5, 0.0, 0.9], [1.0, 0.9, -1.0]])


def pieces(dtype: torch.dtype) -> list[ts.Mesh]:
    """Return a ball between a box in front of it and a leaning box behind."""
    ball, box = ts.shapes.icosphere(0), ts.shapes.cube()
    made = [ball.transformed(torch.eye(3), PLACES[0])]
    made += [box.transformed(0.4 * TURN, PLACES[1]), box.transformed(0.7 * TURN.mT, PLACES[2])]
    return [mesh.to(dtype=dtype) for mesh in made]


def three(dtype: torch.dtype = torch.float64) -> ts.Mesh:
    return ts.join(pieces(dtype))


def view(dtype: torch.dtype = torch.float64) -> ts.Camera:
    return ts.Camera.look_at((0.3, 0.4, 4.0), image_size=SIZE, dtype=dtype)


def marked(scene: ts.Mesh) -> ts.Mesh:
    """Return a scene whose faces have the number of their object as a colour, one channel for each."""
    count = int(scene.face_objects.max()) + 1
    return scene.with_face_colors(torch.eye(count, dtype=scene.dtype)[scene.face_objects])


def front_to_back(**settings) -> ts.SoftRasterizer:
    occlusion = ts.FrontToBack(gamma=ts.Positive(0.2, learn=True))
    return ts.SoftRasterizer(
        ts.Gaussian(ts.Pixels(0.8, learn=True)), occlusion=occlusion, **settings
    )


RENDERERS = {
    "front to back": front_to_back,
    "another T-conorm and order": lambda **settings: ts.SoftRasterizer(
        ts.Logistic(0.8), ts.Yager(2.0), ts.FrontToBack(ts.Logistic(), 0.2), **settings
    ),
    "reference depth": lambda **settings: ts.SoftRasterizer(
        ts.Gaussian(0.8), occlusion=ts.DepthSoftmax(0.2), **settings
    ),
    "hard": lambda **settings: ts.SoftRasterizer.hard(**settings),
}


@pytest.mark.parametrize("ssaa", [1, 2])
@pytest.mark.parametrize("name", RENDERERS)
def test_masks_are_what_colours_of_objects_are(name, ssaa, dtype, tolerance):
    scene, camera, renderer = three(dtype), view(dtype), RENDERERS[name](ssaa=ssaa)
    weight = normal_like(torch.empty(1, *SIZE, 3), torch.Generator().manual_seed(1)).to(dtype)
    found = []
    for kind in ("objects", "color"):
        vertices = scene.vertices.clone().requires_grad_()
        mesh = scene if kind == "objects" else marked(scene)
        image = renderer(mesh.with_vertices(vertices), camera, objects=kind == "objects")
        seen = getattr(image, kind)
        (slope,) = torch.autograd.grad((seen * weight).sum(), vertices)
        found.append((seen.detach(), slope, image.alpha.detach()))
    (masks, slope, alpha), (colors, other_slope, _) = found
    assert masks.shape == (1, *SIZE, 3)
    assert_close(masks, colors, tolerance.value, "masks")
    assert_close(masks.sum(-1), alpha, tolerance.value, "their sum")
    if name != "hard":
        assert_close(slope, other_slope, tolerance.gradient, "gradient of masks")
    # Each is seen, and hides some of another.
    assert bool((masks.amax((0, 1, 2)) > 0.5).all())


@pytest.mark.parametrize("shading", [None, *ts.Shading])
@torch.no_grad()
def test_masks_stay_beside_everything_else(shading, dtype, tolerance):
    scene, camera, renderer = three(dtype), view(dtype), front_to_back(background=0.3)
    generator = torch.Generator().manual_seed(0)
    scene = scene.with_vertex_opacity(torch.rand(scene.num_vertices, generator=generator).to(dtype))
    light = ts.DirectionalLight(torch.tensor([0.3, -1.0, 0.2], dtype=dtype))
    lighting = None if shading is None else ts.Lighting([light], shading)
    bare = renderer(marked(scene), camera)
    masks = bare.color - (1 - bare.alpha[..., None]) * 0.3
    lit = scene.with_vertex_colors(torch.rand(scene.num_vertices, 3, generator=generator).to(dtype))
    image = renderer(lit, camera, lighting=lighting, normals=True, objects=True, face_ids=True)
    assert_close(image.objects, masks, tolerance.value, "masks with opacity")
    plain = renderer(lit, camera, lighting=lighting, normals=True)
    assert_close(image.color, plain.color, tolerance.value, "colour beside masks")
    weight = plain.alpha[..., None]
    assert_close(image.normals * weight, plain.normals * weight, 10 * tolerance.value, "normals")
    assert plain.objects is None


@pytest.mark.parametrize("through", [False, True], ids=["opaque", "with opacity"])
@torch.no_grad()
def test_masks_of_textured_objects(through, dtype, tolerance):
    scene, camera, renderer = three(dtype), view(dtype), front_to_back()
    generator = torch.Generator().manual_seed(0)
    opacity = torch.rand(4, 5, generator=generator).to(dtype) if through else None
    image = torch.rand(4, 5, 3, generator=generator).to(dtype)
    uv = torch.rand(scene.num_vertices, 2, generator=generator).to(dtype)
    color = torch.ones(3, dtype=dtype)
    look = scene.with_materials([ts.Material(color, image, image_opacity=opacity)], uv=uv)
    found = renderer(look, camera, objects=True)
    assert_close(found.objects.sum(-1), found.alpha, tolerance.value, "sum of masks")
    plain = renderer(look, camera)
    assert_close(found.alpha, plain.alpha, tolerance.value, "alpha beside masks")
    assert_close(found.color, plain.color, tolerance.value, "colour beside masks")
    if not through:
        masks = renderer(marked(scene), camera).color
        assert_close(found.objects, masks, tolerance.value, "masks of textured objects")


@pytest.mark.parametrize("gradient", ["fused", "autodiff"])
@pytest.mark.parametrize("name", ["front to back", "reference depth"])
def test_kernels_are_the_twin(name, gradient, dtype, tolerance):
    scene, camera, renderer = three(), view(), RENDERERS[name](gradient=gradient)
    if name == "reference depth":
        renderer = soft(scale=0.8, gamma=0.2)
        renderer.gradient = gradient
    weight = normal_like(torch.empty(1, *SIZE, 3), torch.Generator().manual_seed(2))

    def outcome(kind: torch.dtype, render) -> tuple[Tensor, ...]:
        vertices = scene.vertices.to(kind).requires_grad_()
        mesh = scene.to(dtype=kind).with_vertices(vertices)
        masks = render(mesh, camera.to(dtype=kind), objects=True).objects
        leaves = [vertices, *renderer.parameters()]
        slopes = torch.autograd.grad((masks * weight.to(kind)).sum(), leaves)
        return (masks.detach(), *slopes)

    def twin(mesh, camera, **options):
        return reference.render(renderer, mesh, camera, tabulated=True, **options)

    found, expected = outcome(dtype, renderer), outcome(torch.float64, twin)
    allowed = [tolerance.value, tolerance.gradient] + [tolerance.softness] * (len(found) - 2)
    assert len(found) == 4
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert_close(one.double(), other.double(), allowed[number], f"mask or slope {number}")


@pytest.mark.cpu_only
@pytest.mark.parametrize("name", ["front to back", "reference depth"])
def test_first_and_second_derivatives_by_the_places_of_objects(name):
    parts = pieces(torch.float64)[:2]
    camera, renderer = view().resize((5, 6)), RENDERERS[name]()

    def masks(turns: Tensor, places: Tensor) -> Tensor:
        rotations = ts.rotations.from_axis_angle(turns)
        moved = [part.transformed(*to) for part, *to in zip(parts, rotations, places, strict=True)]
        return renderer(ts.join(moved), camera, objects=True).objects

    turns = torch.tensor([[0.1, 0.2, 0.1], [-0.2, 0.1, 0.3]], dtype=torch.float64)
    places = torch.tensor([[0.05, 0.1, 0.0], [-0.1, 0.0, 0.1]], dtype=torch.float64)
    inputs = (turns.requires_grad_(), places.requires_grad_())
    assert gradcheck(masks, inputs, fast_mode=True, atol=1e-7)
    assert gradgradcheck(masks, inputs, fast_mode=True, atol=1e-6)
    # An object that is hidden in part is moved by the mask of the other one.
    front = masks(*inputs)[..., 1].sum()
    behind = masks(*inputs)[..., 0].sum()
    assert all(torch.autograd.grad(front, places)[0].abs().amax(-1) > 0)
    assert all(torch.autograd.grad(behind, places)[0].abs().amax(-1) > 0)


@pytest.mark.cpu_only
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_masks_go_through_transforms():
    parts, camera, renderer = pieces(torch.float64), view(), front_to_back()

    def masks(places: Tensor) -> Tensor:
        still = torch.eye(3, dtype=torch.float64)
        moved = [part.transformed(still, to) for part, to in zip(parts, places, strict=True)]
        return renderer(ts.join(moved), camera, objects=True).objects

    places = torch.zeros(3, 3, dtype=torch.float64)
    forwards = jacfwd(masks)(places).detach()
    backwards = torch.autograd.functional.jacobian(masks, places)
    assert_close(forwards, backwards, 1e-10, "forward mode")
    several = torch.stack([places, places + 0.1])
    alone = torch.stack([masks(one) for one in several]).detach()
    assert_close(vmap(masks)(several).detach(), alone, 1e-12, "vmap")


def test_hard_masks_are_those_of_the_faces_that_are_seen(dtype):
    scene, camera = three(dtype), view(dtype).resize((40, 50))
    image = ts.SoftRasterizer.hard()(scene, camera, objects=True, face_ids=True)
    expected = torch.where(image.face_ids >= 0, scene.face_objects[image.face_ids], 3)
    masks = torch.nn.functional.one_hot(expected, 4)[..., :3].to(dtype)
    torch.testing.assert_close(image.objects, masks)
    assert masks.sum((0, 1, 2)).min() > 20


@torch.no_grad()
def test_scenes_of_a_batch_have_as_many_masks_as_the_largest(dtype, tolerance):
    camera, renderer = view(dtype), front_to_back()
    ball, box, other = pieces(dtype)
    # One that is no scene is its first object; one without faces has none.
    nothing = ts.Mesh(ball.vertices, ball.faces[:0])
    scenes = [ts.join([ball, box]), other, ts.join([ball, box, other]), nothing]
    image = renderer(scenes, camera, objects=True)
    assert image.objects.shape == (4, *SIZE, 3)
    for number, scene in enumerate(scenes[:1] + scenes[2:3]):
        alone = renderer(scene, camera, objects=True).objects
        beside = image.objects[2 * number]
        assert_close(beside[..., : alone.shape[-1]], alone[0], tolerance.value, "mask in a batch")
    assert not image.objects[0, ..., 2].any()
    assert_close(image.objects[1, ..., 0], image.alpha[1], tolerance.value, "mask of one object")
    assert not image.objects[3].any()
    batch = ts.MeshBatch.from_meshes(scenes)
    again = renderer(ts.MeshBatch.from_meshes(batch.split()), camera, objects=True)
    assert_close(again.objects, image.objects, tolerance.value, "masks of split scenes")


@torch.no_grad()
def test_one_scene_in_several_poses_and_views(dtype, tolerance):
    renderer, (ball, box, other) = front_to_back(), pieces(dtype)
    shifts = torch.tensor([[0.0, 0, 0], [0.2, 0.1, 0.0]], dtype=dtype)
    moving = box.transformed(torch.eye(3, dtype=dtype), shifts)
    eyes = torch.tensor([[0.3, 0.4, 4.0], [-1.0, 0.4, 3.8]], dtype=dtype)
    camera = ts.Camera.look_at(eyes, image_size=SIZE)
    together = renderer(ts.join([ball, moving, other]), camera, objects=True).objects
    for index in range(2):
        scene = ts.join([ball, box.with_vertices(moving.vertices[index]), other])
        alone = renderer(scene, camera[index], objects=True).objects
        assert_close(together[index], alone[0], tolerance.value, "mask of one of a batch")


def test_order_of_faces_does_not_matter(dtype):
    scene, camera, renderer = three(dtype), view(dtype), front_to_back(deterministic=True)
    order = torch.randperm(scene.num_faces, generator=torch.Generator().manual_seed(0))
    mixed = replace(scene, faces=scene.faces[order], face_objects=scene.face_objects[order])
    first, second = (renderer(mesh, camera, objects=True).objects for mesh in (scene, mixed))
    assert torch.equal(first, second)


def test_scenes_of_nothing_have_no_masks(dtype):
    nothing = ts.Mesh(torch.zeros(3, 3, dtype=dtype), torch.zeros(0, 3, dtype=torch.int64))
    image = front_to_back()(ts.join([nothing, nothing]), view(dtype), objects=True)
    assert image.objects.shape == (1, *SIZE, 0)
    assert not image.alpha.any()


def test_objects_must_be_told(dtype):
    ball, renderer = pieces(dtype)[0], front_to_back()
    with pytest.raises(ValueError, match=r"face_objects is None: ts\.join makes a scene that does"):
        renderer(ball, view(dtype), objects=True)
    with pytest.raises(TypeError, match="objects must be a bool, got int"):
        renderer(ball, view(dtype), objects=1)


def test_what_is_behind_is_hidden_by_what_is_in_front(dtype):
    """Two cards at whole pixels of which the first is in front."""
    corners = torch.tensor([[1.1, 0.9, 1], [1.3, 5.2, 1], [5.4, 4.8, 1], [4.9, 1.2, 1]]).to(dtype)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    cards = [
        ts.Mesh(corners + shift, faces) for shift in (0, torch.tensor([1.63, 2.17, 1.0]).to(dtype))
    ]
    camera, renderer = pixel_camera(8, 8, dtype), ts.SoftRasterizer.hard()
    front, behind = (renderer.silhouette(card, camera) for card in cards)
    masks = renderer(ts.join(cards), camera, objects=True).objects
    torch.testing.assert_close(masks[..., 0], front)
    torch.testing.assert_close(masks[..., 1], behind * (1 - front))
    assert float((behind * front).sum()) > 0
