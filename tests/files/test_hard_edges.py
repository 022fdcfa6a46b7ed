"""Normals in files: a box with hard edges is lit as a box, whatever becomes of its vertices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import taichisoft as ts
from taichisoft.files.hard_edges import with_normals_of, without_needless
from taichisoft.geometry.normals import corner_normals


def box(dtype=torch.float64) -> ts.Mesh:
    """Return a cube with hard edges."""
    cube = ts.shapes.cube().to(dtype=dtype)
    sides = ts.face_normals(cube).round().long() @ torch.tensor([1, 2, 4])  # a number for each side
    index = 8 * (sides[:, None] + 4) + cube.faces
    _, index = torch.unique(index, return_inverse=True)
    return ts.Mesh(cube.vertices, cube.faces, normal_faces=index)


def write_box(path) -> None:
    """Write the box as other programs do: with eight vertices, or with four for each of its sides."""
    cube = box()
    if path.suffix == ".obj":
        normals = ts.face_normals(cube).tolist()
        lines = [f"v {x} {y} {z}" for x, y, z in cube.vertices.tolist()]
        lines += [f"vn {x} {y} {z}" for x, y, z in normals]
        lines += [
            "f " + " ".join(f"{corner + 1}//{face + 1}" for corner in corners)
            for face, corners in enumerate(cube.faces.tolist())
        ]
        path.write_text("\n".join(lines))
        return
    import trimesh

    corners = cube.vertices[cube.faces].reshape(-1, 3).numpy()
    normals = ts.face_normals(cube).repeat_interleave(3, 0).numpy()
    faces = torch.arange(36).reshape(12, 3).numpy()
    apart = trimesh.Trimesh(corners, faces, vertex_normals=normals, process=False)
    if path.suffix == ".ply":
        path.write_bytes(trimesh.exchange.ply.export_ply(apart, vertex_normal=True))
    else:
        apart.export(path, include_normals=True)


def lit(mesh: ts.Mesh | list[ts.Mesh], shading=ts.Shading.GOURAUD) -> ts.SoftImage:
    light = ts.DirectionalLight((-0.3, 0.5, -1.0))
    camera = ts.Camera.look_at(
        (1.5, 1.0, -2.0), (0, 0, 0), image_size=(24, 24), dtype=torch.float64
    )
    lighting = ts.Lighting([light], shading=shading)
    return ts.SoftRasterizer.hard()(mesh, camera, lighting=lighting, normals=True)


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".ply"])
@pytest.mark.parametrize("merge", [False, True])
def test_a_box_with_hard_edges_is_lit_as_a_box(suffix, merge, tmp_path):
    path = tmp_path / f"box{suffix}"
    write_box(path)
    mesh = ts.load_mesh(path, merge=merge, dtype=torch.float64)
    assert mesh.num_vertices == (8 if merge or suffix == ".obj" else 36)
    assert (mesh.normal_faces is None) == (suffix == ".ply" and not merge) or mesh.num_vertices > 8
    turned = mesh.with_vertices(1.2 * mesh.vertices.roll(1, -1))
    for one in (mesh, turned):
        image, expected = lit(one), lit(one, ts.Shading.FLAT)
        torch.testing.assert_close(image.color, expected.color, rtol=0, atol=1e-6)
        torch.testing.assert_close(image.normals, expected.normals, rtol=0, atol=1e-6)
    smooth = ts.Mesh(box().vertices, box().faces)
    assert (lit(smooth).color - lit(smooth, ts.Shading.FLAT).color).abs().max() > 0.1


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".gltf"])
def test_hard_edges_come_back(suffix, tmp_path):
    path = tmp_path / f"box{suffix}"
    ts.save_mesh(box(), path)
    back = ts.load_mesh(path, merge=True, dtype=torch.float64)
    assert back.num_vertices == 8
    assert len(torch.unique(back.normal_faces)) == 24
    torch.testing.assert_close(lit(back).color, lit(box()).color, rtol=0, atol=1e-6)
    if suffix == ".obj":
        assert "//" in path.read_text()


def test_smooth_normals_and_seams_are_no_hard_edges(tmp_path):
    ball = ts.shapes.icosphere(1)
    corners = ball.vertices[ball.faces].reshape(-1, 3)
    apart = ts.Mesh(corners, torch.arange(len(corners)).reshape(-1, 3))
    smooth = ts.Mesh(apart.vertices, apart.faces, normal_faces=ball.faces)
    ts.save_mesh(smooth, tmp_path / "ball.obj")
    back = ts.load_mesh(tmp_path / "ball.obj", dtype=torch.float64)
    normals, index = corner_normals(back)  # vertices are apart, as along seams; light is smooth
    expected = ts.vertex_normals(ball)[ball.faces].double()
    torch.testing.assert_close(normals[index], expected, rtol=0, atol=1e-6)
    assert ts.load_mesh(tmp_path / "ball.obj", merge=True).normal_faces is None


def test_normals_with_a_little_noise_are_the_same():
    ball = ts.shapes.icosphere(4).to(dtype=torch.float64)
    noise = 1e-6 * torch.randn(ball.num_faces, 3, 3, generator=torch.Generator().manual_seed(0))
    normals = 3 * (ts.vertex_normals(ball)[ball.faces] + noise)
    mesh = with_normals_of(ball, normals.numpy())
    assert len(torch.unique(mesh.normal_faces)) == ball.num_vertices
    assert without_needless(mesh).normal_faces is None


def test_normals_of_a_chain_of_small_steps_are_not_all_the_same():
    angles = torch.arange(61, dtype=torch.float64).deg2rad() / 2
    fan = torch.stack([angles.cos(), angles.sin(), 0 * angles], 1)
    mesh = ts.Mesh(
        torch.cat([torch.zeros_like(fan[:1]), fan]),
        torch.stack([torch.zeros(60).long(), torch.arange(1, 61), torch.arange(2, 62)], 1),
    )
    normals = fan[:-1, None].expand(-1, 3, -1)
    found = with_normals_of(mesh, normals.numpy()).normal_faces[:, 0]
    assert 10 <= len(torch.unique(found)) <= 30


def test_faces_without_normals_beside_others_are_smooth(tmp_path):
    lines = ["v 0 0 0", "v 1 0 0", "v 1 1 0", "v 0 1 1", "vn 0 0 1", "f 1//1 2//1 3//1"]
    lines += ["f 1 3 4", "f 2 4 3"]
    (tmp_path / "a.obj").write_text("\n".join(lines))
    index = ts.load_mesh(tmp_path / "a.obj").normal_faces
    assert index[1, 1] == index[2, 2]
    assert index[0, 0] != index[1, 0]


def test_hard_edges_in_batches():
    ball = ts.shapes.icosphere(1).to(dtype=torch.float64)
    batch = ts.MeshBatch.from_meshes([ball, box(), ball])
    image = lit(batch)
    for index, mesh in enumerate((ball, box(), ball)):
        torch.testing.assert_close(image.color[index], lit(mesh).color[0], rtol=0, atol=1e-12)
        own = batch.split()[index]
        torch.testing.assert_close(lit(own).color, lit(mesh).color, rtol=0, atol=1e-12)
    vertices = torch.stack([box().vertices, 0.5 * box().vertices])
    several = lit(box().with_vertices(vertices))
    torch.testing.assert_close(several.color[0], lit(box()).color[0], rtol=0, atol=1e-12)


def test_normals_of_corners_are_differentiable():
    mesh = box()

    def normals(vertices: torch.Tensor) -> torch.Tensor:
        values, index = corner_normals(mesh.with_vertices(vertices))
        return values[index.reshape(-1)]

    vertices = mesh.vertices + 0.1 * torch.rand(8, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(normals, vertices.requires_grad_())
    assert torch.autograd.gradgradcheck(normals, vertices)


@pytest.mark.parametrize("length", [1e-200, 1.0, 1e200, 1e300])
def test_normals_of_any_length(length):
    cube = box()
    normals = ts.face_normals(cube)[:, None].expand(12, 3, 3)
    bare = ts.Mesh(cube.vertices, cube.faces)
    with np.errstate(all="raise", under="ignore"):
        found = with_normals_of(bare, (normals * length).numpy())
        missing = with_normals_of(bare, (normals * np.inf).numpy())
    assert found.normal_faces.equal(with_normals_of(bare, normals.numpy()).normal_faces)
    # without a normal they share that of their vertex
    assert without_needless(missing).normal_faces is None


def test_what_cannot_be():
    cube = ts.shapes.cube()
    for index, error, message in (
        (cube.faces[:2], ValueError, r"normal_faces must have shape \(12, 3\)"),
        (cube.faces.float(), TypeError, "normal_faces must be of dtype torch.int64"),
        (cube.faces + 36, ValueError, "normal_faces"),
    ):
        with pytest.raises(error, match=message):
            ts.Mesh(cube.vertices, cube.faces, normal_faces=index)
