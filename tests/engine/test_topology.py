"""Topologies that are kept from render to render: as long as the faces are the same, and no longer."""

import copy
import gc

import pytest
import torch

import taichisoft as ts
from taichisoft.engine import topology
from taichisoft.engine.projection import build_scene

SIZE = (12, 12)


def cameras(count: int) -> ts.Camera:
    """Return cameras around the origin."""
    azimuth = torch.arange(count) * 25.0
    return ts.Camera.orbit(3.0, azimuth, 20.0, image_size=SIZE)


def ball(subdivisions: int = 1) -> ts.Mesh:
    """Return a sphere of its own faces."""
    mesh = ts.shapes.icosphere(subdivisions)
    return ts.Mesh(mesh.vertices.clone(), mesh.faces.clone())


def two() -> ts.MeshBatch:
    """Return meshes of different topologies."""
    return ts.MeshBatch.from_meshes([ball(), ts.shapes.cube()])


def arrays(scene) -> list[torch.Tensor]:
    """Return all that a scene has of its faces."""
    faces, rows = scene.topology, scene.attribute_rows
    found = [faces.corners.rows, faces.corners.flat, faces.face_images, faces.face_image]
    return [*found, faces.face_start, faces.source_face, rows.rows, rows.flat]


def expected(mesh: ts.Mesh, images: int, step: int) -> list[torch.Tensor]:
    """Return the same, image by image and face by face."""
    faces, count = mesh.faces.tolist(), mesh.num_faces
    rows = [[c + b * mesh.num_vertices for c in f] for b in range(images) for f in faces]
    own = [[c + b * step for c in f] for b in range(images) for f in faces]
    of_image = [b for b in range(images) for _ in faces]
    start = [b * count for b in range(images + 1)]
    source = list(range(count)) * images
    long, short = torch.int64, torch.int32
    values = [
        (rows, long),
        ([c for f in rows for c in f], short),
        (of_image, long),
        (of_image, short),
    ]
    values += [(start, short), (source, long), (own, long), ([c for f in own for c in f], short)]
    return [torch.tensor(value, dtype=dtype) for value, dtype in values]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    """Return whether all are equal, dtypes included."""
    pairs = zip(first, second, strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("images", [1, 3])
def test_arrays_are_those_of_every_image(images):
    mesh, camera = ball(), cameras(images)
    for _ in range(2):
        assert same(arrays(build_scene(mesh, camera, None)), expected(mesh, images, 42))
        shared = mesh.with_vertex_colors(torch.rand(42, 3))
        assert same(arrays(build_scene(shared, camera, None)), expected(mesh, images, 0))
        own = mesh.with_vertex_colors(torch.rand(images, 42, 3))
        assert same(arrays(build_scene(own, camera, None)), expected(mesh, images, 42))


def test_a_topology_is_made_once():
    mesh = ball()
    first = build_scene(mesh, cameras(3), None).topology
    moved = ts.Mesh(mesh.vertices + 0.1, mesh.faces)
    assert build_scene(moved, cameras(3), None).topology is first
    assert build_scene(mesh.with_vertices(mesh.vertices * 2), cameras(3), None).topology is first
    assert build_scene(mesh, cameras(2), None).topology is not first
    assert build_scene(mesh, cameras(3), None).topology is first
    # More points of an image are other rows.
    more = ts.Mesh(torch.cat([mesh.vertices, mesh.vertices]), mesh.faces)
    found = build_scene(more, cameras(3), None)
    assert same(arrays(found), expected(more, 3, 84))


def in_place(faces):
    """Turn a face round."""
    faces[1] = faces[1].flip(0)


def past_the_version(faces):
    """Turn a face round through ``.data``."""
    version = faces._version
    faces.data[1] = faces[1].flip(0)
    assert faces._version == version


def through_numpy(faces):
    """Turn a face round in memory that NumPy shares."""
    faces.numpy()[1] = faces.numpy()[1, ::-1].copy()


def other_memory(faces):
    """Give the same tensor other faces."""
    faces.data = faces.flip(0)


def fewer(faces):
    """Give the same tensor fewer faces, in the same memory."""
    faces.data = faces.data[:-2]


CHANGES = [in_place, past_the_version, through_numpy, other_memory, fewer]


@pytest.mark.parametrize("subdivisions", [0, 3])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_faces_is_noticed(change, subdivisions):
    mesh, camera = ball(subdivisions), cameras(2)
    assert mesh.faces.nbytes < 2**14 or subdivisions == 3
    before = arrays(build_scene(mesh, camera, None))
    change(mesh.faces)
    after = arrays(build_scene(mesh, camera, None))
    assert not same(after, before)
    assert same(after, expected(mesh, 2, mesh.num_vertices))


@pytest.mark.parametrize("change", [in_place, past_the_version, through_numpy])
def test_every_change_of_packed_faces_is_noticed(change):
    batch = two()
    before = build_scene(batch, cameras(2), None)
    assert build_scene(batch, cameras(2), None).topology is before.topology
    kept = before.faces.clone()
    change(batch.faces)
    after = build_scene(batch, cameras(2), None)
    assert torch.equal(after.faces, batch.faces)
    assert torch.equal(before.faces, kept)
    assert not torch.equal(after.faces, kept)


def test_a_backward_pass_is_that_of_the_faces_that_were_drawn():
    renderer = ts.SoftRasterizer(ts.Gaussian(0.8))

    def gradient(*, spoil: bool) -> torch.Tensor:
        mesh = ball()
        vertices = mesh.vertices.requires_grad_()
        loss = renderer.silhouette(mesh, cameras(1)).square().sum()
        if spoil:
            mesh.faces.fill_(0)
        return torch.autograd.grad(loss, vertices)[0]

    assert torch.equal(gradient(spoil=True), gradient(spoil=False))


def test_what_is_made_goes_with_the_faces():
    gc.collect()
    before = len(topology._made)
    mesh = ball()
    scene = build_scene(mesh, cameras(2), None)
    assert len(topology._made) == before + 1
    faces = scene.faces
    del mesh, scene
    gc.collect()
    assert len(topology._made) == before
    assert int(faces.max()) == 83
    for _ in range(50):
        mesh = ball()
        assert same(arrays(build_scene(mesh, cameras(2), None)), expected(mesh, 2, 42))
        mesh.faces.copy_(mesh.faces.flip(1))
    del mesh
    gc.collect()
    assert len(topology._made) == before


def test_many_numbers_of_images_do_not_pile_up():
    mesh = ball()
    for images in (1, 2, 3, 4, 5, 6, 5, 1, 2):
        scene = build_scene(mesh, cameras(images), None)
        assert same(arrays(scene), expected(mesh, images, 42))
    assert len(topology._made[id(mesh.faces)][1].by_key) <= topology.MOST_KEPT


def test_what_was_made_in_inference_mode_can_be_used_outside():
    mesh = ball()
    colored = ts.Mesh(mesh.vertices, mesh.faces, vertex_colors=mesh.vertices.abs())
    renderer = ts.SoftRasterizer(ts.Gaussian(0.8))
    with torch.inference_mode():
        inside = renderer(colored, cameras(2))
    assert not any(x.is_inference() for x in arrays(build_scene(mesh, cameras(2), None)))
    vertices = mesh.vertices.clone().requires_grad_()
    image = renderer(colored.with_vertices(vertices), cameras(2))
    # torch multiplies matrices in another order where a gradient is wanted.
    torch.testing.assert_close(image.color.detach(), inside.color, rtol=0, atol=1e-5)
    (image.color.sum() + image.alpha.sum()).backward()
    assert float(vertices.grad.abs().sum()) > 0


def test_faces_of_inference_mode_are_watched():
    with torch.inference_mode():
        mesh = ball()
        before = build_scene(mesh, cameras(2), None)
        in_place(mesh.faces)
        after = build_scene(mesh, cameras(2), None)
    assert after.topology is not before.topology
    assert same(arrays(after), expected(mesh, 2, 42))


def test_a_copy_of_a_mesh_has_its_own():
    mesh = ball()
    build_scene(mesh, cameras(2), None)
    other = copy.deepcopy(mesh)
    in_place(other.faces)
    found = build_scene(other, cameras(2), None)
    assert same(arrays(found), expected(other, 2, 42))
    assert same(arrays(build_scene(mesh, cameras(2), None)), expected(mesh, 2, 42))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_vertices_that_are_no_longer_finite_are_refused(bad):
    mesh = ball()
    renderer = ts.SoftRasterizer()
    renderer.silhouette(mesh, cameras(2))
    mesh.vertices.data[3, 1] = bad
    with pytest.raises(ValueError, match=rf"vertices must be finite, got {bad} at index \(3, 1\)"):
        renderer.silhouette(mesh, cameras(2))
