"""What records go through: pytrees, a DataLoader, hooks, Lightning Fabric, copies, pickle."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from lightning_fabric import Fabric
from torch.func import functional_call, grad, vmap
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
TEXTURE = ts.Texture(torch.rand(4, 4, 3), MESH.vertices[:, :2], MESH.faces)
IMAGE = ts.SoftImage(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), None)


def image(mesh=MESH, camera=CAMERA, **options) -> ts.SoftImage:
    return ts.SoftRasterizer(ts.Gaussian(0.5))(mesh, camera, **options)


RECORDS = {
    "Mesh": MESH,
    "MeshBatch": BATCH,
    "Material": MESH.materials[0],
    "Texture": TEXTURE,
    "Camera": CAMERA,
    "Lighting": LIGHT,
    "AmbientLight": LIGHT.lights[0],
    "DirectionalLight": ts.DirectionalLight(),
    "PointLight": LIGHT.lights[1],
    "SoftImage": IMAGE,
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


@each_record
@pytest.mark.parametrize("leaf", [None, "a word", 0, torch.float32])
def test_anything_takes_the_place_of_tensors(record, leaf):
    made = pytree.tree_map(lambda _: leaf, record)
    leaves, structure = pytree.tree_flatten(made)
    assert structure == pytree.tree_structure(record)
    assert leaves == [leaf] * structure.num_leaves
    assert type(made).__name__.lower() in repr(made).lower()


def test_what_is_put_together_well_is_described_as_ever():
    assert repr(pytree.tree_map(lambda x: x, MESH)) == repr(MESH)


def test_what_is_no_data_belongs_to_the_structure():
    wider = ts.Camera.look_at((0.0, 0.5, 3.0), image_size=(8, 12))
    assert pytree.tree_structure(CAMERA) != pytree.tree_structure(wider)
    assert pytree.tree_unflatten(*pytree.tree_flatten(wider)).image_size == (8, 12)


def test_paths_have_the_names_of_fields():
    paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(MESH)[0]]
    assert ".vertices" in paths
    assert ".materials[0].color" in paths
    assert ".vertex_data['weight']" in paths


def test_a_record_is_differentiated_as_one():
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
    got = grad(lambda camera: renderer(MESH, camera).alpha.sum())(CAMERA)
    shift = CAMERA.translation.clone().requires_grad_()
    renderer(MESH, replace(CAMERA, translation=shift)).alpha.sum().backward()
    torch.testing.assert_close(got.translation, shift.grad)
    assert got.distortion is None


def test_a_tree_of_axes_says_what_is_mapped_over():
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
    cameras = [CAMERA, CAMERA.crop((1, 1, 11, 9))]
    meshes = [MESH, MESH.with_vertices(0.5 * MESH.vertices)]
    moving = MESH.with_vertices(torch.stack([mesh.vertices for mesh in meshes]))
    dims = pytree.tree_map_with_path(
        lambda path, _: 0 if path[0].name == "vertices" else None, moving
    )
    several = pytree.tree_map(lambda *parts: torch.stack(parts), *cameras)
    got = vmap(renderer, in_dims=(dims, 0))(moving, several)
    for each, mesh, camera in zip(got.color, meshes, cameras, strict=True):
        torch.testing.assert_close(each, image(mesh, camera).color)


def changed(record, function):
    """Return a record with a function applied to its leaves, which nobody checks."""
    return pytree.tree_map(function, record)


def beyond(x):
    return x if x.is_floating_point() else x + 10**9


def doubled(x):
    return x.double() if x.is_floating_point() else x


FAR_MATERIALS = replace(MESH, face_materials=torch.tensor([0]))
UNFIT = {
    "faces": (changed(MESH, beyond), CAMERA, {}, "faces must index 3 vertices"),
    "faces of a batch": (changed(BATCH, beyond), CAMERA, {}, "faces of mesh 0 must index 3"),
    "negative faces": (changed(MESH, lambda x: -x), CAMERA, {}, "faces must index 3 vertices"),
    "in a list": ([MESH, changed(MESH, beyond)], CAMERA, {}, "faces must index 3 vertices"),
    "materials": (
        changed(FAR_MATERIALS, lambda x: x + 7 if x.shape == (1,) else x),
        CAMERA,
        {},
        "face_materials must index 1 materials",
    ),
    "shape": (changed(MESH, lambda x: x[None]), CAMERA, {}, "faces must have shape (F, 3)"),
    "fewer vertices": (changed(MESH, lambda x: x[:2]), CAMERA, {}, "faces must index 2 vertices"),
    "not finite": (changed(MESH, lambda x: x / 0), CAMERA, {}, "vertices must be finite"),
    "no tensors": (changed(MESH, str), CAMERA, {}, "vertices must be a Tensor, got str"),
    "dtype": (
        changed(MESH, lambda x: x.double() if x.ndim == 1 else x),
        CAMERA,
        {},
        "color of materials[0] must have the dtype of vertices",
    ),
    "camera": (MESH, changed(CAMERA, lambda x: x[:, :2]), {}, "rotation must have shape (B, 3, 3)"),
    "texture": (MESH, CAMERA, {"colors": changed(TEXTURE, beyond)}, "uv_faces must index 3 rows"),
    "lighting": (MESH, CAMERA, {"lighting": changed(LIGHT, lambda x: -x)}, "shininess must be"),
}


@pytest.mark.parametrize(("mesh", "camera", "look", "message"), UNFIT.values(), ids=UNFIT.keys())
def test_what_was_put_together_badly_is_refused_where_it_is_drawn(mesh, camera, look, message):
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
    # Told again if it is drawn again.
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
            renderer(mesh, camera, **look)
    if look:
        return
    for draw in (renderer.silhouette, renderer.explain, ts.reference.silhouette):
        arguments = (renderer, mesh, camera) if draw is ts.reference.silhouette else (mesh, camera)
        with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
            draw(*arguments)


@pytest.mark.parametrize(
    "use",
    [
        lambda mesh: mesh.with_vertices(mesh.vertices),
        lambda mesh: mesh.with_vertex_opacity(None),
        lambda mesh: mesh.to(dtype=torch.float64),
        lambda mesh: copy.copy(mesh).normalized(),
        lambda mesh: pickle.loads(pickle.dumps(mesh)).normalized(),
        lambda mesh: replace(mesh, vertices=mesh.vertices),
        ts.vertex_normals,
        lambda mesh: default_collate([mesh, mesh]),
        lambda mesh: image(pytree.tree_map(lambda x: x, mesh)),
        lambda mesh: grad(lambda v: renderer_sum(mesh, v))(torch.ones(())),
    ],
)
def test_nothing_makes_a_bad_record_pass_for_a_checked_one(use):
    with pytest.raises(ValueError, match=r"^faces must index 3 vertices"):
        use(changed(MESH, beyond))


def renderer_sum(mesh, number):
    moved = CAMERA.with_parts({"translation": CAMERA.translation * number})
    return ts.SoftRasterizer(ts.Gaussian(0.5))(mesh, moved).alpha.sum()


def test_a_bad_part_of_a_good_record_is_refused():
    with pytest.raises(ValueError, match=r"^color must be finite"):
        replace(MESH, materials=(changed(MESH.materials[0], lambda x: x / 0),))
    with pytest.raises(ValueError, match=r"^direction must not be the zero vector"):
        ts.Lighting([changed(ts.DirectionalLight(), lambda x: 0 * x)])


def test_what_was_put_together_well_is_drawn():
    made = [changed(record, lambda x: x) for record in (MESH, CAMERA)]
    assert torch.equal(image(*made).color, image().color)
    double = [changed(record, doubled) for record in (MESH, CAMERA)]
    assert image(*double).color.dtype == torch.float64


@each_record
def test_copies_and_pickles_are_equal_and_frozen(record):
    every = (
        copy.copy(record),
        copy.deepcopy(record),
        copy.deepcopy([record, record])[1],
        pickle.loads(pickle.dumps(record)),
        changed(record, lambda x: x),
    )
    for made in (record, *every):
        assert type(made) is type(record)
        assert equal(made, record)
        for name in vars(record):
            with pytest.raises(FrozenInstanceError):
                setattr(made, name, 1)
        with pytest.raises(FrozenInstanceError):
            made.anything = 1


def test_only_a_copy_whose_fields_are_kept_beforehand_can_be_set_and_once():
    kept = {field.name: getattr(MESH, field.name) for field in fields(MESH)}
    made = copy.deepcopy(MESH, {id(value): value for value in kept.values()})
    with pytest.raises(FrozenInstanceError):
        made.anything = 1
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        with pytest.raises(FrozenInstanceError):
            again.vertices = 1
    for name, value in {**kept, "faces": MESH.faces + 1}.items():
        setattr(made, name, value)
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, value)
    assert made.vertices is MESH.vertices
    with pytest.raises(ValueError, match=r"^faces must index 3 vertices"):
        image(made)


def test_a_deep_copy_shares_no_memory():
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
    ("batch", "what"),
    [
        ([CAMERA, CAMERA.resize((4, 5))], "image_size to be a batch, got (4, 5) and (8, 10)"),
        ([CAMERA, ts.Camera.orthographic((0.0, 0.0, 3.0), image_size=(8, 10))], "perspective"),
        ([CAMERA, replace(CAMERA, near=0.5)], "near to be a batch, got 0.01 and 0.5"),
        ([CAMERA, CAMERA.to(dtype=torch.float64)], "dtype"),
        ([IMAGE, replace(IMAGE, normals=torch.zeros(1, 2, 3, 3))], "outputs"),
        ([IMAGE, changed(IMAGE, lambda x: x[:, :1])], "shape[1:] of alpha"),
        ([IMAGE, changed(IMAGE, lambda x: x.double())], "dtype"),
    ],
)
def test_what_is_no_batch_is_said(batch, what):
    with pytest.raises(ValueError, match="must agree in " + re.escape(what)):
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
    # By position and by name.
    for run in (lambda: renderer(mesh, CAMERA), lambda: renderer(mesh=mesh, camera=CAMERA)):
        run().color.sum().backward()
        torch.testing.assert_close(vertices.grad, expected, rtol=1e-6, atol=0)
        before, (into, out) = seen
        assert len(into) == len(pytree.tree_leaves((mesh, CAMERA)))
        assert torch.equal(into[0], expected)
        assert len(before) == len(out) == len(pytree.tree_leaves(renderer(mesh, CAMERA)))
        assert bool((out[2] == 1).all())
        vertices.grad = None
        seen.clear()
    for handle in handles:
        handle.remove()
    renderer(mesh, CAMERA).color.sum().backward()
    assert not seen


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


@pytest.mark.parametrize("opacity", [None, 0.5])
def test_hooks_are_those_of_a_call_and_not_of_methods(opacity):
    renderer, seen = ts.SoftRasterizer(ts.Gaussian(0.5)), []
    renderer.register_forward_pre_hook(lambda module, args: seen.append("before"))
    renderer.register_forward_hook(lambda module, args, out: seen.append("after"))
    renderer.register_full_backward_hook(lambda module, into, out: seen.append("backward"))
    mesh = MESH.with_vertices(MESH.vertices.clone().requires_grad_())
    renderer.silhouette(mesh, CAMERA, opacity=opacity).sum().backward()
    renderer.forward(mesh, CAMERA, opacity=opacity).alpha.sum().backward()
    assert not seen
    renderer(mesh, CAMERA, opacity=opacity).alpha.sum().backward()
    assert seen == ["before", "after", "backward"]


def test_transforms_refuse_backward_hooks_as_for_any_module():
    renderer, linear = ts.SoftRasterizer(ts.Gaussian(0.5)), torch.nn.Linear(3, 3)
    for module in (renderer, linear):
        module.register_full_backward_hook(lambda module, into, out: None)
    cases = (
        lambda v: renderer(MESH.with_vertices(v), CAMERA).alpha.sum(),
        lambda v: linear(v).sum(),
    )
    for function in cases:
        with pytest.raises(RuntimeError, match="setup_context"):
            grad(function)(MESH.vertices)
    # Without a gradient there is none to show.
    got = vmap(lambda v: renderer(MESH.with_vertices(v), CAMERA).alpha[0])(MESH.vertices[None])
    torch.testing.assert_close(got, image().alpha)


def test_lightning_fabric_sets_a_renderer_up():
    made = Fabric(accelerator="cpu", devices=1)
    made.launch()
    renderer = made.setup(ts.SoftRasterizer(ts.Gaussian(ts.Pixels(0.5, learn=True))))
    vertices = MESH.vertices.clone().requires_grad_()
    got = renderer(MESH.with_vertices(vertices), CAMERA, lighting=LIGHT)
    torch.testing.assert_close(got.color, image(lighting=LIGHT).color)
    made.backward(got.color.sum())
    assert vertices.grad.abs().sum() > 0
    assert next(renderer.parameters()).grad is not None
    assert repr(got).startswith("1 image of 8 x 10 pixels")
    with pytest.raises(FrozenInstanceError):
        got.color = None
    with pytest.raises(ValueError, match=r"^faces must index 3 vertices"):
        renderer(changed(MESH, beyond), CAMERA)


def test_a_render_is_made_again_in_a_checkpoint():
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
    gradients = []
    for run in (lambda f, *x: f(*x), lambda f, *x: checkpoint(f, *x, use_reentrant=False)):
        vertices = MESH.vertices.clone().requires_grad_()
        run(renderer, MESH.with_vertices(vertices), CAMERA).color.sum().backward()
        gradients.append(vertices.grad)
    assert torch.equal(*gradients)


def test_a_render_takes_parameters_from_outside():
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(0.5, learn=True)))
    wide = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(1.0, learn=True)))
    got = functional_call(renderer, dict(wide.named_parameters()), (MESH, CAMERA))
    torch.testing.assert_close(got.alpha, wide(MESH, CAMERA).alpha)
