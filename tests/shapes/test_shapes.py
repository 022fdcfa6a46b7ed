"""Procedural meshes: closed, facing outwards, of unit size, repeatable, telling their pose."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import trimesh

from taichisoft import shapes
from taichisoft.geometry.mesh import Mesh
from taichisoft.shapes.parts import combine
from taichisoft.shapes.solids import blocks, box, geodesic
from taichisoft.shapes.sweeps import lathe, loft, resample, tube

SOLIDS = {
    **shapes.OBJECTS,
    "cube": shapes.cube,
    "icosphere": shapes.icosphere,
    "torus": shapes.torus,
    "fine cube": lambda: shapes.cube(3),
    "icosahedron": lambda: shapes.icosphere(0),
    "thin torus": lambda: shapes.torus(9, 3, ratio=0.1),
    **{f"blob {seed}": lambda seed=seed: shapes.blob(seed) for seed in (1, 2, 3, 1000)},
}
every_solid = pytest.mark.parametrize("make", SOLIDS.values(), ids=SOLIDS)
every_object = pytest.mark.parametrize("make", shapes.OBJECTS.values(), ids=shapes.OBJECTS)


def twin(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices.double().numpy(), mesh.faces.numpy(), process=False)


@every_solid
def test_every_part_is_closed_and_faces_outwards(make):
    solid = twin(make())
    assert solid.is_watertight
    assert solid.is_winding_consistent
    for part in solid.split(only_watertight=False):
        assert part.is_watertight
        assert part.volume > 1e-4


@every_solid
def test_triangles_have_area_and_comparable_sizes(make):
    areas = twin(make()).area_faces
    assert areas.min() > 0.03 * np.median(areas)
    assert areas.max() < 9 * np.median(areas)


@every_solid
def test_fits_the_unit_sphere(make):
    mesh = make()
    assert mesh.vertices.norm(dim=1).max().item() == pytest.approx(1, abs=1e-6)
    assert (mesh.dtype, mesh.device) == (torch.float32, torch.device("cpu"))
    assert mesh.faces.unique().numel() == mesh.num_vertices


@every_object
def test_objects_are_centred_on_their_bounding_box(make):
    vertices = make().vertices
    torch.testing.assert_close(vertices.amax(0), -vertices.amin(0), rtol=0, atol=1e-6)


@every_solid
def test_is_repeatable(make):
    first, second = make(), make()
    assert first.vertices.equal(second.vertices)
    assert first.faces.equal(second.faces)


@every_object
def test_objects_have_a_useful_size(make):
    assert 200 <= make().num_faces <= 1500


@every_object
def test_detail_refines(make):
    coarse, fine = twin(make()), twin(make(detail=2))
    assert 2.5 * len(coarse.faces) < len(fine.faces) < 5.5 * len(coarse.faces)
    assert fine.is_watertight
    assert fine.volume == pytest.approx(coarse.volume, rel=0.25)
    for bad, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="detail"):
            make(detail=bad)


def silhouettes(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Occupancy of 20 x 20 cells seen along each axis, from points spread over the faces."""
    steps = [(i, j, 6 - i - j) for i in range(7) for j in range(7 - i)]
    points = np.einsum("nk,fkd->fnd", np.array(steps) / 6, vertices[faces]).reshape(-1, 3)
    cells = np.clip(np.floor((points + 1) * 10).astype(int), 0, 19)
    images = np.zeros((3, 20, 20), dtype=bool)
    for axis in range(3):
        images[axis, cells[:, (axis + 1) % 3], cells[:, (axis + 2) % 3]] = True
    return images


def quarter_turns() -> list[np.ndarray]:
    """Return the 24 rotations that map the axes to each other, the identity first."""
    signed = [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    return [matrix for matrix in signed if np.linalg.det(matrix) > 0]


@every_object
def test_silhouettes_tell_every_quarter_turn_apart(make):
    mesh = make()
    vertices, faces = mesh.vertices.double().numpy(), mesh.faces.numpy()
    identity, *turns = quarter_turns()
    assert len(turns) == 23
    original = silhouettes(vertices @ identity.T, faces)
    for turn in turns:
        turned = silhouettes(vertices @ turn.T, faces)
        overlap = (original & turned).sum((1, 2)) / (original | turned).sum((1, 2))
        assert overlap.min() < 0.9, f"looks the same after {turn.tolist()}"


def test_a_sphere_fails_the_test_of_asymmetry():
    mesh = shapes.icosphere(3)
    vertices, faces = mesh.vertices.double().numpy(), mesh.faces.numpy()
    first, second = (silhouettes(vertices @ r.T, faces) for r in quarter_turns()[:2])
    assert ((first & second).sum((1, 2)) / (first | second).sum((1, 2))).min() > 0.9


@pytest.mark.parametrize(
    ("make", "axis", "sign"),
    [
        (shapes.airplane, 1, -1),  # the fin stands up: more of it is below the middle
        (shapes.chair, 2, -1),  # the back is behind
        (shapes.mug, 2, -1),  # the handle is in front, the cup behind
        (shapes.boot, 2, -1),  # the shaft is behind the toe
        (shapes.teapot, 1, -1),  # the belly is below the lid
        (shapes.car, 1, -1),  # the cabin is narrower than the body
        (shapes.hammer, 1, 1),  # the head is on top
        (shapes.bracket, 0, -1),  # the stem of the F is on the left
    ],
)
def test_objects_stand_upright_and_face_forwards(make, axis, sign):
    solid = twin(make())
    assert sign * np.average(solid.triangles_center, 0, solid.area_faces)[axis] > 0.02


def test_blobs_differ_by_seed():
    blobs = [shapes.blob(seed) for seed in range(6)]
    for first, second in itertools.combinations(blobs, 2):
        assert first.faces.equal(second.faces)
        assert (first.vertices - second.vertices).norm(dim=1).max() > 0.1
    for bad, error in ((-1, ValueError), (1.0, TypeError)):
        with pytest.raises(error, match="seed"):
            shapes.blob(bad)


def test_blob_does_not_touch_global_random_state():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    shapes.blob(5)
    assert torch.rand(3).equal(expected)


@pytest.mark.parametrize("make", [shapes.triangle, shapes.quad])
def test_flat_shapes_face_the_viewer(make):
    mesh = make()
    torch.testing.assert_close(mesh.vertices.norm(dim=1), torch.ones(mesh.num_vertices))
    for a, b, c in mesh.vertices[mesh.faces]:
        normal = torch.linalg.cross(b - a, c - a)
        assert normal[2] > 0.9
        assert normal[:2].tolist() == [0, 0]
    assert mesh.num_faces == {"triangle": 1, "quad": 2}[make.__name__]


@pytest.mark.parametrize("level", range(5))
def test_icosphere_has_the_known_counts_and_tends_to_a_sphere(level):
    mesh = shapes.icosphere(level)
    assert (mesh.num_vertices, mesh.num_faces) == (10 * 4**level + 2, 20 * 4**level)
    torch.testing.assert_close(mesh.vertices.norm(dim=1), torch.ones(mesh.num_vertices))
    assert twin(mesh).volume == pytest.approx(4 / 3 * np.pi, rel=0.6 / 4**level)
    assert shapes.icosphere().num_vertices == 642


def test_cube_and_torus_have_the_known_volumes():
    assert twin(shapes.cube(2)).volume == pytest.approx((2 / 3**0.5) ** 3, rel=1e-5)
    assert shapes.cube(2).num_faces == 12 * 16
    torus = shapes.torus(200, 100, ratio=0.5)
    assert torus.num_faces == 2 * 200 * 100
    exact = 2 * np.pi**2 * (2 / 3) * (1 / 3) ** 2
    assert twin(torus).volume == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: shapes.icosphere(-1), "subdivisions"),
        (lambda: shapes.cube(-1), "subdivisions"),
        (lambda: shapes.torus(2), "segments"),
        (lambda: shapes.torus(8, 2), "sides"),
        (lambda: shapes.torus(ratio=1.0), "ratio.*between 0 and 1"),
    ],
)
def test_bad_arguments_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_objects_cannot_be_changed():
    with pytest.raises(TypeError):
        shapes.OBJECTS["sphere"] = shapes.icosphere
    assert set(shapes.OBJECTS) <= set(shapes.__all__)
    assert all(hasattr(shapes, name) for name in shapes.__all__)


def volume(part) -> float:
    return trimesh.Trimesh(part.vertices, part.faces, process=False).volume


def test_parts_have_the_volumes_they_should():
    assert volume(box((1, 2, 3), (2, 3, 4), (1, 2, 3))) == pytest.approx(24)
    assert volume(blocks(np.ones((2, 1, 3), dtype=bool))) == pytest.approx(6)
    hexagon = 1.5 * 3**0.5
    straight = tube(resample([(0, 0, 0), (0, 0, 5)], 4), 2.0, 6)
    assert volume(straight) == pytest.approx(hexagon * 4 * 5)
    assert volume(lathe([(0, 0), (1, 0), (1, 3), (0, 3)], 6)) == pytest.approx(hexagon * 3)
    assert volume(lathe([(0, 0), (1, 2), (0, 4)], 6)) == pytest.approx(hexagon * 4 / 3)
    assert volume(geodesic(3)) == pytest.approx(4 / 3 * np.pi, rel=0.1)
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
    for rings in (np.stack([square, square + (0, 0, 2)]), np.stack([square + (0, 0, 2), square])):
        assert volume(loft(rings)) == pytest.approx(2)


def test_parts_move_rigidly():
    part = box((1, 2, 3), (2, 3, 4), (1, 1, 1))
    for moved in (part.moved((5, 5, 5)), part.turned(0, 30), part.mirrored(), part.mirrored(2)):
        assert volume(moved) == pytest.approx(24)
    turned = part.turned(2, 90).vertices
    np.testing.assert_allclose(turned[:, :2].mean(0), (-2, 1), atol=1e-12)


def test_resample_walks_at_equal_distances():
    points = resample([(0, 0), (3, 0), (3, 1)], 5)
    np.testing.assert_allclose(points, [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1)], atol=1e-12)


def test_combine_offsets_the_faces_of_later_parts():
    part = box((0, 0, 0), (1, 1, 1), (1, 1, 1))
    mesh = combine([part, part.moved((3, 0, 0))])
    assert (mesh.num_vertices, mesh.num_faces) == (16, 24)
    assert mesh.faces[12:].equal(mesh.faces[:12] + 8)


@pytest.mark.parametrize("make", [shapes.mug, shapes.quad, shapes.icosphere, shapes.torus])
@pytest.mark.parametrize(
    ("default", "expected"), [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)]
)
def test_shapes_have_the_default_dtype_or_float32(make, default, expected):
    torch.set_default_dtype(default)
    try:
        mesh = make()
    finally:
        torch.set_default_dtype(torch.float32)
    assert mesh.dtype == expected
    torch.testing.assert_close(mesh.vertices.float(), make().vertices)
