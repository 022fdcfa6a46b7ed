"""What records go through: pytrees, a DataLoader, hooks, Lightning Fabric, copies, pickle."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError

import pytest
import torch
from lightning_fabric import Fabric
from torch.func import functional_call
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, default_collate

import taichisoft as ts

CAMERA = ts.Camera.look_at((0.0, 0.5, 3.0), image_size=(8, 10))
MESH = ts.Mesh(
    torch.tensor([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]]),
    torch.tensor([[0, 1, 2]]),
    vertex_colors=torch.tensor([[0.2, 0.4, 0.6]] * 3),
    materials=(ts.Material(torch.tensor([0.5, 0.5, 0.5])),),
    vertex_data={"weight": torch.tensor([1.0, 2.0, 3.0])},
)
LIGHT = ts.Lighting([ts.AmbientLight(0.5), ts.PointLight((1.0, 2.0, 3.0))], ts.Shading.FLAT)
BATCH = ts.MeshBatch.from_meshes([MESH, MESH])
TEXTURE = ts.Texture(torch.rand(4, 4, 3), MESH.vertices[:, :2])


def image(mesh=MESH, camera=CAMERA, **options) -> ts.SoftImage:
    return ts.SoftRasterizer(ts.Gaussian(0.5))(mesh, camera, **options)


RECORDS = {
    "Mesh": MESH,
    "MeshBatch": BATCH,
    "Material": MESH.materials[0],
    "Texture": TEXTURE,
    "Camera": CAMERA,
    "Lighting": LIGHT,
    "PointLight": LIGHT.lights[1],
}
each_record = pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())


def equal(one, other) -> bool:
    first, second = pytree.tree_flatten(one), pytree.tree_flatten(other)
    pairs = zip(first[0], second[0], strict=True)
    return first[1] == second[1] and all(torch.equal(a, b) for a, b in pairs)


@each_record
def test_a_record_is_a_pytree(record):
    leaves, structure = pytree.tree_flatten(record)
    assert leaves
    assert all(isinstance(leaf, torch.Tensor) for leaf in leaves)
    again = pytree.tree_unflatten(leaves, structure)
    assert type(again) is type(record)
    assert equal(again, record)
    # Whatever is in the place of the tensors: nothing is checked.
    names = pytree.tree_unflatten([str(i) for i in range(len(leaves))], structure)
    assert pytree.tree_flatten(names)[0] == [str(i) for i in range(len(leaves))]


def test_an_image_is_a_pytree():
    got = image(normals=True)
    assert equal(pytree.tree_map(lambda x: x, got), got)
    assert pytree.tree_map(lambda x: x.double(), got).color.dtype == torch.float64


def test_what_is_no_data_belongs_to_the_structure():
    wider = ts.Camera.look_at((0.0, 0.5, 3.0), image_size=(8, 12))
    assert pytree.tree_structure(CAMERA) != pytree.tree_structure(wider)
    assert pytree.tree_unflatten(*pytree.tree_flatten(wider)).image_size == (8, 12)


def test_paths_have_the_names_of_fields():
    paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(MESH)[0]]
    assert ".vertices" in paths
    assert ".materials[0].color" in paths
    assert ".vertex_data['weight']" in paths


@each_record
def test_copies_and_pickles_are_equal(record):
    for made in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert type(made) is type(record)
        assert equal(made, record)


@each_record
def test_a_record_stays_frozen(record):
    with pytest.raises(FrozenInstanceError):
        record.anything = 1
    with pytest.raises(FrozenInstanceError):
        copy.copy(record).anything = 1


def test_fields_of_a_deep_copy_may_be_set_and_leave_the_record_alone():
    made = copy.deepcopy(MESH)
    made.vertices = MESH.vertices + 1
    assert torch.equal(MESH.vertices, RECORDS["Mesh"].vertices)
    assert not torch.equal(made.vertices, MESH.vertices)
    made = copy.deepcopy(MESH)
    made.vertices.zero_()
    assert MESH.vertices.abs().sum() > 0


def test_a_data_loader_makes_batches_of_records():
    views = [ts.Camera.orbit(3.0, azimuth, image_size=(8, 10)) for azimuth in (0.0, 40.0, 80.0)]
    samples = [{"mesh": MESH, "camera": view, "number": i} for i, view in enumerate(views)]
    batches = list(DataLoader(samples, batch_size=2))
    assert [len(batch["camera"]) for batch in batches] == [2, 1]
    got = ts.SoftRasterizer(ts.Gaussian(0.5))(batches[0]["mesh"], batches[0]["camera"])
    one = image(camera=views[1])
    torch.testing.assert_close(got.color[1:], one.color)


def test_images_become_one_batch():
    made = default_collate([image(), image()])
    assert made.alpha.shape == (2, 8, 10)
    assert made.normals is None


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([CAMERA, CAMERA.resize((4, 5))], "one image_size to be a batch"),
        (
            [CAMERA, ts.Camera.orthographic((0.0, 0.0, 3.0), image_size=(8, 10))],
            "one perspective to be a batch",
        ),
        ([image(), image(normals=True)], "same outputs to be a batch"),
        ([image(), image(camera=CAMERA.resize((4, 5)))], "one size to be a batch"),
    ],
)
def test_what_is_no_batch_is_said(batch, message):
    with pytest.raises(ValueError, match=message):
        default_collate(batch)


def test_full_backward_hooks_see_the_tensors_of_records():
    renderer, seen = ts.SoftRasterizer(ts.Gaussian(0.5)), []
    vertices = MESH.vertices.clone().requires_grad_()
    mesh = MESH.with_vertices(vertices)
    renderer(mesh, CAMERA).color.sum().backward()
    expected = vertices.grad.clone()
    vertices.grad = None
    handles = [
        renderer.register_full_backward_pre_hook(lambda module, grads: seen.append(grads)),
        renderer.register_full_backward_hook(lambda module, into, out: seen.append((into, out))),
    ]
    renderer(mesh, CAMERA).color.sum().backward()
    torch.testing.assert_close(vertices.grad, expected, rtol=1e-6, atol=0)
    before, (into, out) = seen
    assert any(x is not None and torch.equal(x, expected) for x in into)
    assert any(x is not None and bool((x == 1).all()) and x.ndim == 4 for x in out)
    assert len(before) == len(out)
    for handle in handles:
        handle.remove()
    renderer(mesh, CAMERA).color.sum().backward()
    assert len(seen) == 2


def test_a_backward_hook_can_change_a_gradient():
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
    renderer.register_full_backward_hook(
        lambda module, into, out: tuple(None if x is None else 2 * x for x in into)
    )
    vertices = MESH.vertices.clone().requires_grad_()
    image(MESH.with_vertices(vertices)).alpha.sum().backward()
    plain, vertices.grad = vertices.grad, None
    renderer(MESH.with_vertices(vertices), CAMERA).alpha.sum().backward()
    torch.testing.assert_close(vertices.grad, 2 * plain)


def test_lightning_fabric_sets_a_renderer_up():
    made = Fabric(accelerator="cpu", devices=1)
    made.launch()
    renderer = made.setup(ts.SoftRasterizer(ts.Gaussian(ts.Pixels(0.5, learn=True))))
    vertices = MESH.vertices.clone().requires_grad_()
    got = renderer(MESH.with_vertices(vertices), CAMERA)
    torch.testing.assert_close(got.color, image().color)
    made.backward(got.color.sum())
    assert vertices.grad.abs().sum() > 0
    assert next(renderer.parameters()).grad is not None


def test_a_render_is_made_again_in_a_checkpoint():
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
    gradients = []
    for run in (lambda f, x: f(x), lambda f, x: checkpoint(f, x, use_reentrant=False)):
        vertices = MESH.vertices.clone().requires_grad_()
        run(lambda x: renderer(MESH.with_vertices(x), CAMERA).color.sum(), vertices).backward()
        gradients.append(vertices.grad)
    assert torch.equal(*gradients)


def test_a_render_takes_parameters_from_outside():
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(0.5, learn=True)))
    wide = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(1.0, learn=True)))
    got = functional_call(renderer, dict(wide.named_parameters()), (MESH, CAMERA))
    torch.testing.assert_close(got.alpha, wide(MESH, CAMERA).alpha)
