"""Mesh files: what is written comes back, and what cannot be read is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import trimesh

from taichisoft import shapes
from taichisoft.files import meshes as io
from taichisoft.files.meshes import load_mesh
from taichisoft.files.saved_meshes import save_mesh
from taichisoft.geometry.mesh import Mesh

every_format = pytest.mark.parametrize("suffix", io.SUFFIXES)
TETRAHEDRON = Mesh(
    torch.tensor([[0.1, 0.2, 0.3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    torch.tensor([[0, 2, 1], [0, 3, 2], [0, 1, 3], [1, 2, 3]]),
)
LEVELS = torch.arange(16, dtype=torch.float64).reshape(4, 4) / 15


def save_telling(mesh: Mesh, path: Path, *lost: str) -> None:
    """Save a mesh, with a warning that names what its format does not hold, if there is anything."""
    if not lost:
        save_mesh(mesh, path)
        return
    with pytest.warns(
        UserWarning, match=rf"{path.suffix} files do not hold {', '.join(lost)}: left"
    ):
        save_mesh(mesh, path)


def corners(mesh: Mesh) -> list:
    """Return the triangles as coordinates, in an order that does not depend on numbering."""
    triangles = mesh.vertices[mesh.faces].double().tolist()
    return sorted(min(t[i:] + t[:i] for i in range(3)) for t in triangles)


@every_format
@pytest.mark.parametrize("mesh", [TETRAHEDRON, shapes.boot()], ids=["tetrahedron", "boot"])
def test_round_trip(tmp_path, suffix, mesh):
    path = tmp_path / f"mesh{suffix}"
    assert save_mesh(mesh, path) is None
    back = load_mesh(path)
    assert (back.num_vertices, back.num_faces) == (mesh.num_vertices, mesh.num_faces)
    assert corners(back) == corners(mesh)
    assert back.dtype == torch.float32
    assert back.vertex_colors is back.face_colors is None
    if suffix != ".stl":
        assert back.vertices.equal(mesh.vertices)
        assert back.faces.equal(mesh.faces)


@every_format
def test_double_precision_survives_where_the_format_has_it(tmp_path, suffix):
    mesh = TETRAHEDRON.to(dtype=torch.float64)
    mesh = mesh.with_vertices(mesh.vertices / 3)
    path = tmp_path / f"mesh{suffix}"
    save_mesh(mesh, path)
    back = load_mesh(path, dtype=torch.float64)
    tolerance = 1e-12 if suffix in (".obj", ".off") else 3e-8
    assert back.dtype == torch.float64
    expected = torch.tensor(corners(mesh))
    torch.testing.assert_close(torch.tensor(corners(back)), expected, rtol=0, atol=tolerance)


@every_format
@pytest.mark.parametrize("channels", [3, 4])
def test_vertex_colors_where_the_format_has_them(tmp_path, suffix, channels):
    colors = LEVELS[:, :channels].float()
    path = tmp_path / f"mesh{suffix}"
    lost = ["vertex_colors"] if suffix in (".stl", ".off") else []
    if suffix == ".obj" and channels == 4:
        lost = ["the fourth channel of vertex_colors"]
    save_telling(TETRAHEDRON.with_vertex_colors(colors), path, *lost)
    back = load_mesh(path)
    assert back.face_colors is None
    if suffix in (".ply", ".glb", ".gltf", ".obj"):
        torch.testing.assert_close(back.vertex_colors, colors[:, :3], rtol=0, atol=1e-6)
    else:
        assert back.vertex_colors is None
    assert back.face_opacity is None
    if suffix in (".ply", ".glb", ".gltf") and channels == 4:
        torch.testing.assert_close(back.vertex_opacity, colors[:, 3], rtol=0, atol=1e-6)
    else:
        assert back.vertex_opacity is None


@every_format
def test_face_colors_where_the_format_has_them(tmp_path, suffix):
    path = tmp_path / f"mesh{suffix}"
    lost = [] if suffix == ".ply" else ["face_colors"]
    save_telling(TETRAHEDRON.with_face_colors(LEVELS[:, :3].float()), path, *lost)
    back = load_mesh(path, dtype=torch.float64)
    assert back.vertex_colors is None
    if suffix == ".ply":
        torch.testing.assert_close(back.face_colors, LEVELS[:, :3], rtol=0, atol=1e-6)
    else:
        assert back.face_colors is None


@every_format
@pytest.mark.parametrize("colored", [False, True])
@pytest.mark.parametrize("kind", ["vertex", "face"])
def test_opacity_where_the_format_has_it(tmp_path, suffix, kind, colored):
    path = tmp_path / f"mesh{suffix}"
    colors, opacity = LEVELS[:, :3].float(), LEVELS[:, 3].float()
    look = {f"{kind}_opacity": opacity} | ({f"{kind}_colors": colors} if colored else {})
    mesh = Mesh(TETRAHEDRON.vertices, TETRAHEDRON.faces, **look)
    holds = suffix == ".ply" or (suffix in (".glb", ".gltf") and kind == "vertex")
    lost = [] if holds else [f"{kind}_colors", f"{kind}_opacity"][not colored :]
    if suffix == ".obj" and kind == "vertex":
        lost = ["vertex_opacity"]
    save_telling(mesh, path, *lost)
    back = load_mesh(path)
    found = {name: getattr(back, name) for name in (f"{kind}_colors", f"{kind}_opacity")}
    if holds:
        torch.testing.assert_close(found[f"{kind}_opacity"], opacity, rtol=0, atol=1e-6)
        expected = colors if colored else torch.ones(4, 3)
        torch.testing.assert_close(found[f"{kind}_colors"], expected, rtol=0, atol=1e-6)
        assert corners(back) == corners(mesh)
    else:
        assert found[f"{kind}_opacity"] is None


def test_an_opaque_mesh_comes_back_without_opacity(tmp_path):
    for look in ({"vertex_opacity": torch.ones(4)}, {"face_opacity": torch.ones(4)}):
        mesh = Mesh(TETRAHEDRON.vertices, TETRAHEDRON.faces, **look)
        save_mesh(mesh, tmp_path / "mesh.ply")
        back = load_mesh(tmp_path / "mesh.ply")
        assert back.vertex_opacity is back.face_opacity is None


def test_a_ply_of_other_programs_with_rgba(tmp_path):
    path = tmp_path / "glass.ply"
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property float z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
        "property uchar alpha\nelement face 1\nproperty list uchar int vertex_indices\n"
        "end_header\n0 0 0 255 0 0 51\n1 0 0 0 255 0 102\n0 1 0 0 0 255 255\n3 0 1 2\n"
    )
    mesh = load_mesh(path, dtype=torch.float64)
    torch.testing.assert_close(mesh.vertex_colors, torch.eye(3, dtype=torch.float64))
    expected = torch.tensor([0.2, 0.4, 1.0], dtype=torch.float64)
    torch.testing.assert_close(mesh.vertex_opacity, expected)


def test_merging_keeps_vertices_apart_that_differ_in_opacity(tmp_path):
    doubled = Mesh(
        TETRAHEDRON.vertices[TETRAHEDRON.faces].reshape(-1, 3), torch.arange(12).view(4, 3)
    )
    opacity = torch.ones(12)
    opacity[0] = 0.2
    save_mesh(doubled.with_vertex_opacity(opacity), tmp_path / "mesh.glb")
    merged = load_mesh(tmp_path / "mesh.glb", merge=True)
    assert merged.num_vertices == 5
    assert sorted(merged.vertex_opacity.tolist()) == pytest.approx([0.2, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (
            {"vertex_opacity": torch.ones(4), "face_colors": torch.ones(4, 3)},
            "vertex_opacity must come with vertex_colors",
        ),
        (
            {"face_opacity": torch.ones(4), "face_colors": torch.ones(4, 4)},
            "face_colors must be RGB to be saved with face_opacity, got 4",
        ),
        ({"face_opacity": torch.ones(2, 4)}, "mesh must not be batched, got face_opacity"),
    ],
)
def test_opacity_that_a_file_cannot_hold(tmp_path, look, message):
    mesh = Mesh(TETRAHEDRON.vertices, TETRAHEDRON.faces, **look)
    with pytest.raises(ValueError, match=message):
        save_mesh(mesh, tmp_path / "mesh.ply")


def test_accepts_strings_upper_case_and_replaces_files(tmp_path):
    path = str(tmp_path / "MESH.PLY")
    save_mesh(shapes.cube(2), path)
    save_mesh(TETRAHEDRON, path)
    assert load_mesh(path).num_faces == 4


def test_saving_leaves_the_mesh_and_the_graph_alone(tmp_path):
    vertices = TETRAHEDRON.vertices.clone().requires_grad_()
    mesh = TETRAHEDRON.with_vertices(vertices)
    save_mesh(mesh, tmp_path / "mesh.ply")
    assert mesh.vertices is vertices
    assert not load_mesh(tmp_path / "mesh.ply").vertices.requires_grad


def test_normalize(tmp_path):
    mesh = TETRAHEDRON.with_vertices(TETRAHEDRON.vertices * 1e4 + 1e6)
    save_mesh(mesh, tmp_path / "mesh.obj")
    back = load_mesh(tmp_path / "mesh.obj", normalize=True)
    expected = mesh.to(dtype=torch.float64).normalized().to(dtype=torch.float32)
    assert back.vertices.equal(expected.vertices)
    assert back.vertices.norm(dim=1).max().item() == pytest.approx(1)


def test_vertices_keep_the_order_of_the_file_and_the_unused_ones(tmp_path):
    lines = ["v 0 0 0", "v 9 9 9", "v 1 0 0", "v 1 1 0", "v 0 1 0", "f 5 1 3"]
    back = load_text(tmp_path / "mesh.obj", lines)
    assert back.vertices.tolist() == [[0, 0, 0], [9, 9, 9], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert back.faces.tolist() == [[4, 0, 2]]


def load_text(path: Path, lines: list[str]) -> Mesh:
    path.write_text("\n".join(lines) + "\n")
    return load_mesh(path)


POLYGONS = {
    "mesh.obj": ["v 0 0 0", "v 1 0 0", "v 1 1 0", "v 0 1 0", "v -1 .5 0", "f 1 2 3 4 5"],
    "mesh.off": ["OFF", "5 1 0", "0 0 0", "1 0 0", "1 1 0", "0 1 0", "-1 .5 0", "5 0 1 2 3 4"],
    "mesh.ply": [
        *("ply", "format ascii 1.0", "element vertex 5"),
        *("property float x", "property float y", "property float z"),
        *("element face 1", "property list uchar int vertex_indices", "end_header"),
        *("0 0 0", "1 0 0", "1 1 0", "0 1 0", "-1 .5 0", "5 0 1 2 3 4"),
    ],
}


@pytest.mark.parametrize("name", POLYGONS)
def test_polygons_are_cut_into_triangles(tmp_path, name):
    back = load_text(tmp_path / name, POLYGONS[name])
    assert (back.num_vertices, back.num_faces) == (5, 3)
    a, b, c = back.vertices[back.faces].unbind(1)
    areas = torch.linalg.cross(b - a, c - a)[:, 2] / 2
    assert (areas > 0).all()
    assert areas.sum().item() == pytest.approx(1.5)


def test_texture_seams_materials_and_groups_of_obj_do_not_split_vertices(tmp_path):
    lines = ["mtllib none.mtl", "o a", "v 0 0 0", "v 1 0 0", "v 0 1 0", "vt 0 0", "vt 1 0"]
    lines += ["usemtl A", "f 1/1 2/2 3/1", "o b", "g c", "v 1 1 0", "usemtl B", "f 2/1 4/2 3/2"]
    with pytest.warns(UserWarning, match=r"mesh\.obj: materials .* existing file, got .*none\.mtl"):
        back = load_text(tmp_path / "mesh.obj", lines)
    assert back.num_vertices == 4
    assert back.faces.tolist() == [[0, 1, 2], [1, 3, 2]]


def test_parts_of_a_scene_are_placed_and_joined(tmp_path):
    scene = trimesh.Scene()
    shift = trimesh.transformations.translation_matrix([3, 0, 0])
    scene.add_geometry(trimesh.creation.box())
    scene.add_geometry(trimesh.creation.box(), transform=shift)
    scene.add_geometry(trimesh.PointCloud([[50.0, 0, 0]]))
    scene.export(tmp_path / "scene.glb")
    back = load_mesh(tmp_path / "scene.glb")
    assert (back.num_vertices, back.num_faces) == (16, 24)
    assert back.vertices.amin(0).tolist() == [-0.5, -0.5, -0.5]
    assert back.vertices.amax(0).tolist() == [3.5, 0.5, 0.5]


def test_merge_joins_vertices_that_agree_in_everything(tmp_path):
    doubled = Mesh(
        TETRAHEDRON.vertices[TETRAHEDRON.faces].flatten(0, 1), torch.arange(12).view(4, 3)
    )
    save_mesh(doubled, tmp_path / "mesh.glb")
    assert load_mesh(tmp_path / "mesh.glb").num_vertices == 12
    merged = load_mesh(tmp_path / "mesh.glb", merge=True)
    assert merged.vertices.equal(TETRAHEDRON.vertices[[0, 2, 1, 3]])
    assert corners(merged) == corners(TETRAHEDRON)
    colors = torch.zeros(12, 3)
    colors[0] = 1  # of three equal vertices one has another colour
    save_mesh(doubled.with_vertex_colors(colors), tmp_path / "mesh.glb")
    merged = load_mesh(tmp_path / "mesh.glb", merge=True)
    assert merged.num_vertices == 5
    assert merged.vertex_colors.sum().item() == 3


UNREADABLE = {
    "no text": ("mesh.obj", ""),
    "points.obj": ("mesh.obj", "v 0 0 0\nv 1 0 0\n"),
    "index beyond": ("mesh.obj", "v 0 0 0\nv 1 0 0\nf 1 2 9\n"),
    "faces alone": ("mesh.obj", "f 1 2 3\n"),
    "points.off": ("mesh.off", "OFF\n2 0 0\n0 0 0\n1 1 1\n"),
    "text.off": ("mesh.off", "hello"),
    "text.ply": ("mesh.ply", "hello"),
    "text.stl": ("mesh.stl", "hello"),
    "empty.stl": ("mesh.stl", "solid nothing\nendsolid nothing\n"),
    "text.glb": ("mesh.glb", "hello"),
    "points.ply": (
        "mesh.ply",
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
        "property float z\nend_header\n0 0 0\n",
    ),
}


@pytest.mark.parametrize(("name", "text"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_and_empty_files(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"path must .*{name}"):
        load_mesh(tmp_path / name)


def test_bad_coordinates_in_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"vertices must be finite.*nan"):
        load_text(tmp_path / "mesh.obj", ["v 0 0 nan", "v 1 0 0", "v 0 1 0", "f 1 2 3"])


@pytest.mark.parametrize("function", [load_mesh, lambda path: save_mesh(TETRAHEDRON, path)])
@pytest.mark.parametrize(
    ("path", "error", "match"),
    [
        ("missing/mesh.obj", FileNotFoundError, r"path.*existing.*missing"),
        ("mesh.fbx", ValueError, r"path must end in one of \.obj.*'mesh.fbx'"),
        ("mesh", ValueError, r"path must end in.*'mesh'"),
        (3, TypeError, r"path.*str or PathLike.*int"),
    ],
)
def test_bad_paths(function, path, error, match):
    with pytest.raises(error, match=match):
        function(path)


def test_bad_options(tmp_path):
    save_mesh(TETRAHEDRON, tmp_path / "mesh.ply")
    with pytest.raises(TypeError, match=r"dtype.*float16"):
        load_mesh(tmp_path / "mesh.ply", dtype=torch.float16)
    with pytest.raises(TypeError, match=r"normalize.*bool"):
        load_mesh(tmp_path / "mesh.ply", normalize=1)
    with pytest.raises(TypeError, match=r"merge.*bool"):
        load_mesh(tmp_path / "mesh.ply", merge=None)


@pytest.mark.parametrize(
    ("mesh", "error", "match"),
    [
        (None, TypeError, "mesh must be a Mesh"),
        (Mesh(torch.rand(3, 3), torch.empty(0, 3).long()), ValueError, "at least one face"),
        (TETRAHEDRON.with_vertices(torch.rand(2, 4, 3)), ValueError, "batched.*vertices"),
        (TETRAHEDRON.with_vertex_colors(torch.rand(1, 4, 3)), ValueError, "batched.*vertex_colors"),
        (TETRAHEDRON.with_vertex_colors(torch.rand(4, 2)), ValueError, "vertex_colors.*2 channels"),
        (TETRAHEDRON.with_face_colors(torch.ones(4, 3) * 2), ValueError, r"face_colors.*\[0, 1\]"),
    ],
)
def test_meshes_that_cannot_be_saved(tmp_path, mesh, error, match):
    with pytest.raises(error, match=match):
        save_mesh(mesh, tmp_path / "mesh.ply")
    assert not (tmp_path / "mesh.ply").exists()
