"""Scenes joined of meshes, and copies of a mesh in several places."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

import taichisoft as ts
from tests.helpers import pixel_camera, soft

RED, BLUE = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])


def box(color: torch.Tensor | None = None) -> ts.Mesh:
    mesh = ts.shapes.cube()
    return mesh if color is None else mesh.with_vertex_colors(color.expand(mesh.num_vertices, 3))


def test_a_scene_has_what_its_meshes_have():
    first, second = box(RED), ts.shapes.icosphere(1)
    scene = ts.join([first, second])
    assert_close(scene.vertices, torch.cat([first.vertices, second.vertices]))
    assert torch.equal(scene.faces[first.num_faces :], second.faces + first.num_vertices)
    assert scene.face_objects.tolist() == [0] * first.num_faces + [1] * second.num_faces
    # What has no colours beside what has some is white.
    assert_close(scene.vertex_colors[: first.num_vertices], first.vertex_colors)
    assert bool((scene.vertex_colors[first.num_vertices :] == 1).all())


def test_scenes_of_scenes_count_their_objects_on():
    pair = ts.join([box(), box()])
    scene = ts.join([box(), pair, box()])
    counts = scene.face_objects.bincount().tolist()
    assert counts == [box().num_faces] * 4
    assert scene.face_objects.diff().min() >= 0


def test_batched_and_single_meshes_are_joined():
    places = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    moving = box(RED).transformed(torch.eye(3), places)
    scene = ts.join([moving, box(BLUE)])
    assert scene.batch_size == 3
    assert scene.vertices.shape == (3, 2 * box().num_vertices, 3)
    assert_close(scene.vertices[2, : box().num_vertices], box().vertices + places[2])
    assert_close(scene.vertices[:, box().num_vertices :], box().vertices.expand(3, -1, -1))
    assert scene.vertex_colors.ndim == 2


def test_opacity_materials_hard_edges_and_data_are_joined():
    wood, plain = ts.Material(RED, name="wood"), ts.Material(BLUE)
    first = ts.Mesh(*_parts(), materials=(wood,), vertex_data={"heat": torch.arange(8.0)})
    second = ts.Mesh(
        *_parts(),
        face_opacity=torch.full((12,), 0.5),
        materials=(plain, wood),
        face_materials=torch.tensor([0, 1] * 6),
        normal_faces=torch.arange(12)[:, None].expand(-1, 3),
        vertex_data={"heat": torch.ones(8), "age": torch.ones(8)},
    )
    scene = ts.join([first, second])
    assert [x.name for x in scene.materials] == ["wood", ""]
    assert scene.face_materials.tolist() == [0] * 12 + [1, 0] * 6
    assert scene.face_opacity.tolist() == [1] * 12 + [0.5] * 12
    assert list(scene.vertex_data) == ["heat"]
    assert scene.vertex_data["heat"].shape == (16,)
    # Of the first mesh corners at a vertex share a normal, of the second those of a face.
    own = scene.normal_faces
    assert len(own[:12].unique()) == 8
    assert torch.equal(own[12:], own[12:, :1].expand(-1, 3))
    assert not set(own[:12].flatten().tolist()) & set(own[12:].flatten().tolist())


def _parts() -> tuple[torch.Tensor, torch.Tensor]:
    mesh = ts.shapes.cube()
    return mesh.vertices, mesh.faces


def test_instances_are_copies_in_places_of_their_own():
    turned = ts.rotations.from_axis_angle(torch.tensor([[0.0, 0, 0], [0, 0, 1.2], [0.3, 0, 0]]))
    places = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 3, 0]])
    scene = ts.instances(box(RED), turned, places)
    assert int(scene.face_objects.max()) == 2
    count = box().num_vertices
    for index in range(3):
        own = scene.vertices[index * count : (index + 1) * count]
        assert_close(own, box().vertices @ turned[index].T + places[index])


def test_gradients_reach_the_places_of_instances():
    mesh = ts.shapes.cube().to(dtype=torch.float64)
    turned = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1).requires_grad_()
    places = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)

    def vertices(rotation, translation):
        return ts.instances(mesh, rotation, translation).vertices

    assert gradcheck(vertices, (turned, places))


@pytest.mark.parametrize(
    ("meshes", "error", "words"),
    [
        ([], ValueError, "meshes must hold at least one mesh, got none"),
        (box(), TypeError, "meshes must be a list or tuple, got Mesh"),
        ([box(), "box"], TypeError, r"meshes\[1\] must be a Mesh, got str"),
        ([box(), box().to(dtype=torch.float64)], TypeError, r"meshes\[1\]"),
        (
            [box(RED), ts.Mesh(*_parts(), face_colors=torch.rand(12, 3))],
            ValueError,
            r"meshes\[1\] must have the colours of meshes\[0\] \(3 channels of vertex_colors\), got 3",
        ),
    ],
)
def test_what_cannot_be_joined_is_told(meshes, error, words):
    with pytest.raises(error, match=words):
        ts.join(meshes)


def test_places_of_instances_are_checked():
    with pytest.raises(ValueError, match=r"translation must have shape \(2, 3\), got \(3, 3\)"):
        ts.instances(box(), torch.eye(3).repeat(2, 1, 1), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="rotation must be of at least one copy, got none"):
        ts.instances(box(), torch.zeros(0, 3, 3), torch.zeros(0, 3))


def two_cards() -> ts.Mesh:
    """Return a scene of two squares that overlap; the first is in front."""
    corners = torch.tensor([[1.1, 0.9, 1], [1.3, 5.2, 1], [5.4, 4.8, 1], [4.9, 1.2, 1]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    corners = corners.double()
    behind = corners + torch.tensor([1.63, 2.17, 1.0])
    return ts.join([ts.Mesh(corners, faces), ts.Mesh(behind, faces)])


def test_masks_of_objects_are_what_is_seen_of_them():
    scene, camera = two_cards(), pixel_camera(8, 8, torch.float64)
    image = ts.SoftRasterizer.hard()(scene, camera, objects=True)
    assert image.objects.shape == (1, 8, 8, 2)
    assert image.color is None
    in_front = ts.SoftRasterizer.hard().silhouette(
        ts.Mesh(scene.vertices[:4], scene.faces[:2]), camera
    )
    behind = ts.SoftRasterizer.hard().silhouette(
        ts.Mesh(scene.vertices[4:], scene.faces[:2]), camera
    )
    assert_close(image.objects[..., 0], in_front)
    assert_close(image.objects[..., 1], behind * (1 - in_front))
    assert float((behind * in_front).sum()) > 0


def test_masks_of_objects_add_up_to_alpha_and_agree_with_the_reference():
    scene, camera = two_cards(), pixel_camera(8, 8, torch.float64)
    colors = torch.rand(8, 3, dtype=torch.float64)
    for ssaa in (1, 2):
        renderer = soft(scale=0.6)
        renderer.ssaa = ssaa
        for more in ({}, {"colors": colors, "normals": True}):
            image = renderer(scene, camera, objects=True, **more)
            assert_close(image.objects.sum(-1), image.alpha)
            twin = ts.reference.render(
                renderer, scene, camera, objects=True, tabulated=True, **more
            )
            assert_close(image.objects, twin.objects)
            plain = renderer(scene, camera, **more)
            assert_close(plain.alpha, image.alpha)
            assert plain.objects is None


@pytest.mark.cpu_only
def test_gradients_of_masks_of_objects():
    scene, camera = two_cards(), pixel_camera(8, 8, torch.float64)
    renderer = soft(scale=0.9)

    def objects(vertices):
        return renderer(scene.with_vertices(vertices), camera, objects=True).objects

    assert gradcheck(objects, scene.vertices.clone().requires_grad_(), fast_mode=True)


def test_objects_of_a_batch_of_scenes_and_of_none():
    scene, camera = two_cards(), pixel_camera(8, 8, torch.float64)
    alone = ts.Mesh(scene.vertices[:4], scene.faces[:2])
    renderer = ts.SoftRasterizer.hard()
    image = renderer([scene, alone], camera, objects=True)
    one = renderer(scene, camera, objects=True)
    assert_close(image.objects[:1], one.objects)
    # A mesh that is no scene is its first object.
    assert_close(image.objects[1, ..., 0], renderer.silhouette(alone, camera)[0])
    with pytest.raises(ValueError, match=r"face_objects is None: ts\.join makes a scene that does"):
        renderer(alone, camera, objects=True)
