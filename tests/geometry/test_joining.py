"""Scenes joined of meshes, and copies of a mesh in several places."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

import taichisoft as ts

RED, BLUE = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
TILES = ts.Material(image=torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(0)))
REAL, INT = torch.float64, torch.int64


def box(color: torch.Tensor | None = None) -> ts.Mesh:
    mesh = ts.shapes.cube()
    return mesh if color is None else mesh.with_vertex_colors(color.expand(mesh.num_vertices, 3))


def moved_by(places: torch.Tensor) -> ts.Mesh:
    """Return a box that is elsewhere."""
    return ts.shapes.cube().transformed(torch.eye(3), places)


def _parts() -> tuple[torch.Tensor, torch.Tensor]:
    mesh = ts.shapes.cube()
    return mesh.vertices, mesh.faces


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
    heat, count = torch.arange(8.0), torch.arange(8)
    first = ts.Mesh(*_parts(), materials=(wood,), vertex_data={"heat": heat, "count": count})
    second = ts.Mesh(
        *_parts(),
        face_opacity=torch.full((12,), 0.5),
        materials=(plain, wood),
        face_materials=torch.tensor([0, 1] * 6),
        normal_faces=torch.arange(12)[:, None].expand(-1, 3),
        vertex_data={"count": -count, "heat": torch.ones(8)},
    )
    scene = ts.join([first, second])
    assert [x.name for x in scene.materials] == ["wood", ""]
    assert scene.face_materials.tolist() == [0] * 12 + [1, 0] * 6
    assert scene.face_opacity.tolist() == [1] * 12 + [0.5] * 12
    assert torch.equal(scene.vertex_data["heat"], torch.cat([heat, torch.ones(8)]))
    assert torch.equal(scene.vertex_data["count"], torch.cat([count, -count]))
    # Of the first mesh corners at a vertex share a normal, of the second those of a face.
    own = scene.normal_faces
    assert len(own[:12].unique()) == 8
    assert torch.equal(own[12:], own[12:, :1].expand(-1, 3))
    assert not set(own[:12].flatten().tolist()) & set(own[12:].flatten().tolist())


def test_instances_are_copies_in_places_of_their_own():
    turned = ts.rotations.from_axis_angle(torch.tensor([[0.0, 0, 0], [0, 0, 1.2], [0.3, 0, 0]]))
    places = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 3, 0]])
    scene = ts.instances(box(RED), turned, places)
    assert int(scene.face_objects.max()) == 2
    count = box().num_vertices
    for index in range(3):
        own = scene.vertices[index * count : (index + 1) * count]
        assert_close(own, box().vertices @ turned[index].T + places[index])


def test_instances_in_several_scenes_at_once():
    turned = ts.rotations.from_axis_angle(torch.rand(4, 2, 3))
    places = torch.rand(4, 2, 3)
    together = ts.instances(box(RED), turned, places)
    assert together.batch_size == 4
    for index in range(4):
        alone = ts.instances(box(RED), turned[index], places[index])
        assert_close(together.vertices[index], alone.vertices)
        assert torch.equal(together.face_objects, alone.face_objects)


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
        (
            [box().with_vertex_opacity(torch.ones(8)), box().with_face_opacity(torch.ones(12))],
            ValueError,
            "meshes must not have vertex_opacity and face_opacity, got some of each",
        ),
        (
            [box(), box(RED), box().with_materials([ts.Material(torch.ones(2))])],
            ValueError,
            r"vertex_colors of meshes\[1\] must have 1 channel or the 2 of the materials, got 3",
        ),
        (
            [box().with_materials([ts.Material(torch.ones(n))]) for n in (1, 3)],
            ValueError,
            r"meshes\[1\] must have materials of 1 channels as others have, got 3",
        ),
        (
            [ts.Mesh(*_parts(), vertex_data={"heat": torch.ones(8)}), box()],
            ValueError,
            r"meshes\[1\] must have the vertex_data of meshes\[0\] \(heat of torch.float32\), got none",
        ),
        (
            [ts.Mesh(*_parts(), vertex_data={"heat": torch.ones(8, dtype=t)}) for t in (REAL, INT)],
            ValueError,
            r"\(heat of torch.float64\), got heat of torch.int64",
        ),
        (
            [box(), box().with_materials([TILES], uv=torch.rand(2, 8, 2))],
            ValueError,
            r"uv of meshes\[1\] must have no batch axis, got one",
        ),
        (
            [moved_by(torch.zeros(2, 3)), moved_by(torch.zeros(3, 3))],
            ValueError,
            r"meshes\[0\]",
        ),
    ],
)
def test_what_cannot_be_joined_is_told(meshes, error, words):
    with pytest.raises(error, match=words):
        ts.join(meshes)


def test_places_of_instances_are_checked():
    with pytest.raises(
        ValueError, match=r"translation must have shape \(2, 3\) or \(B, 2, 3\), got"
    ):
        ts.instances(box(), torch.eye(3).repeat(2, 1, 1), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="rotation must be of at least one copy, got none"):
        ts.instances(box(), torch.zeros(0, 3, 3), torch.zeros(0, 3))


def in_a_scene(mesh: ts.Mesh) -> ts.Mesh:
    """Return a mesh that is white if it has no colours, as one among others that have some."""
    has_any = mesh.materials is not None or mesh.vertex_colors is not None
    return mesh if has_any else mesh.with_vertex_colors(mesh.vertices.new_ones(8, 1))


def test_a_scene_looks_as_its_meshes_do(dtype):
    """Objects side by side are drawn as each is drawn alone."""
    generator = torch.Generator().manual_seed(0)
    uv, tint = torch.rand(8, 2, generator=generator), torch.rand(8, 1, generator=generator)
    wood = ts.Material(torch.tensor([0.6, 0.4, 0.2]), opacity=torch.tensor(0.7))
    looks = [
        box().with_materials([TILES], uv=uv),
        box().with_materials([wood]),
        ts.Mesh(*_parts(), normal_faces=torch.arange(12)[:, None].expand(-1, 3)),
        box().with_vertex_colors(tint).with_materials([TILES], uv=uv.flip(0)),
        box().with_vertex_colors(tint),
        box().with_face_opacity(torch.rand(12, generator=generator)),
    ]
    turn = ts.rotations.from_axis_angle(torch.tensor([0.4, 0.5, 0.1]))
    places = torch.tensor([[x, y, 0.0] for y in (-1.5, 1.5) for x in (-3.0, 0.0, 3.0)])
    looks = [mesh.transformed(turn, to) for mesh, to in zip(looks, places, strict=True)]
    looks = [mesh.to(dtype=dtype) for mesh in looks]
    renderer = ts.SoftRasterizer(ts.Gaussian(0.4), background=0.2)
    camera = ts.Camera.look_at((0.0, 0.0, 9.0), image_size=(32, 48), dtype=dtype)
    phong = ts.Lighting([ts.DirectionalLight((0.5, 0.8, 1.0))], ts.Shading.PHONG)
    for light in (None, phong):
        scene = renderer(ts.join(looks), camera, lighting=light, objects=True)
        assert scene.objects.amax((0, 1, 2)).min() > 0.6
        for number, mesh in enumerate(looks):
            alone = renderer(in_a_scene(mesh), camera, lighting=light)
            where = alone.alpha > 0
            assert_close(scene.objects[..., number], alone.alpha, atol=2e-5, rtol=0)
            colors = alone.color.expand_as(scene.color)[where]
            assert_close(scene.color[where], colors, atol=5e-5, rtol=0)


def test_gradients_reach_what_every_part_looks_like():
    """Vertices, colours, opacities, materials and coordinates of the meshes are those of the scene."""
    shapes = [(8, 3), (2, 2, 3), (3,), (8, 2), (8, 3), (8,)]
    leaves = [torch.rand(shape, requires_grad=True) for shape in shapes]
    vertices, image, color, uv, tint, share = leaves
    first = box().with_materials([ts.Material(image=image)], uv=uv).with_vertices(vertices)
    second = box().with_materials([ts.Material(color)]).with_vertex_colors(tint)
    scene = ts.join([first, second, box().with_vertex_opacity(share)])
    of_materials = [x for material in scene.materials for x in (material.color, material.image)]
    of_mesh = [scene.vertices, scene.uv, scene.vertex_colors, scene.vertex_opacity]
    loss = sum(x.square().sum() for x in (*of_mesh, *of_materials) if x is not None)
    for leaf, slope in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
        assert_close(slope, 2 * leaf)


def test_turning_is_checked():
    mesh = box()
    with pytest.raises(ValueError, match=r"rotation must have shape \(3, 3\) or \(B, 3, 3\)"):
        mesh.transformed(torch.eye(4), torch.zeros(3))
    with pytest.raises(TypeError, match=r"translation must have the dtype of vertices"):
        mesh.transformed(torch.eye(3), torch.zeros(3, dtype=REAL))
    with pytest.raises(ValueError, match="rotation"):
        mesh.transformed(torch.eye(3).expand(2, 3, 3), torch.zeros(3, 3))


@pytest.mark.parametrize(
    ("objects", "error", "words"),
    [
        (torch.zeros(3, dtype=INT), ValueError, r"face_objects must have shape \(12,\)"),
        (torch.zeros(12), TypeError, "face_objects must be of dtype torch.int64"),
        (torch.arange(12) - 1, ValueError, "face_objects must not be negative, got -1"),
    ],
)
def test_objects_of_faces_are_checked(objects, error, words):
    with pytest.raises(error, match=words):
        ts.Mesh(*_parts(), face_objects=objects)


def test_objects_stay_when_a_mesh_is_moved_or_written(tmp_path):
    scene = ts.join([box(RED), box(RED)])
    for kept in (scene.to(dtype=REAL), scene.normalized(), scene.with_vertex_colors(None)):
        assert torch.equal(kept.face_objects, scene.face_objects)
    with pytest.warns(UserWarning, match="do not hold face_objects: left out"):
        ts.save_mesh(scene, tmp_path / "scene.ply")
    with pytest.warns(UserWarning, match="does not hold face_objects: left out"):
        scene.to_trimesh()
