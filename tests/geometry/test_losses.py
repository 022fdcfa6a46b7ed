"""Losses: values against plain formulas, gradients against differences, and the corner cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh

from taichisoft.geometry import losses
from taichisoft.geometry.losses import EdgeLength, Laplacian, NormalConsistency
from taichisoft.shapes import airplane, bracket, icosphere, quad

MESH_LOSSES = {
    "laplacian": (Laplacian, losses.laplacian_loss),
    "normals": (NormalConsistency, losses.normal_consistency_loss),
    "edges": (EdgeLength, losses.edge_length_loss),
    "edges at a length": (
        lambda *args: EdgeLength(*args, target_length=0.3),
        lambda *args: losses.edge_length_loss(*args, target_length=0.3),
    ),
}
every_mesh_loss = pytest.mark.parametrize(
    "make", [m for m, _ in MESH_LOSSES.values()], ids=MESH_LOSSES
)
# two tetrahedra at a common edge (0, 1), which four faces share, and a loose vertex
NON_MANIFOLD = torch.tensor(
    [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2], [0, 1, 4], [0, 5, 1], [0, 4, 5], [1, 5, 4]]
)


def random_vertices(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_images(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def test_iou_of_hard_masks_is_the_ratio_of_areas():
    a, b = torch.zeros(2, 8, 8), torch.zeros(2, 8, 8)
    a[:, 1:5, 1:5] = 1
    b[0, 1:5, 3:7] = 1
    b[1, 1:5, 1:5] = 1
    assert losses.iou(a, b).tolist() == pytest.approx([8 / 24, 1.0])
    assert losses.iou(a, b.bool()).tolist() == pytest.approx([8 / 24, 1.0])
    assert losses.iou_loss(a, b).item() == pytest.approx(1 - (8 / 24 + 1) / 2)


def test_iou_of_soft_masks_follows_the_formula():
    a, b = random_images(3, 5, 4), random_images(3, 5, 4, seed=1)
    expected = [(x * y).sum() / (x + y - x * y).sum() for x, y in zip(a, b, strict=True)]
    torch.testing.assert_close(losses.iou(a, b), torch.stack(expected))
    assert losses.iou_loss(a, b).item() == pytest.approx(1 - np.mean(expected))


@pytest.mark.parametrize("level", [0.0, 1e-45, 1e-30])
def test_two_empty_images_agree_without_gradient(level):
    a = torch.full((2, 4, 4), level)
    a[1] = 0.5
    a.requires_grad_()
    value = losses.iou(a, torch.zeros(2, 4, 4))
    assert value.tolist() == [1.0, 0.0]
    (gradient,) = torch.autograd.grad(value.sum(), a, create_graph=True)
    assert not gradient[0].any()
    (second,) = torch.autograd.grad(gradient.sum(), a)
    assert torch.isfinite(second).all()


def test_mse_is_the_mean_over_pixels_and_channels():
    for shape in ((2, 3, 5), (2, 3, 5, 4)):
        a, b = random_images(*shape), random_images(*shape, seed=1)
        expected = [((x - y) ** 2).sum() / x.numel() for x, y in zip(a, b, strict=True)]
        torch.testing.assert_close(losses.mse(a, b), torch.stack(expected))
        assert losses.mse_loss(a, b).item() == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("loss", [losses.iou, losses.mse])
def test_gradients_of_image_losses(loss):
    a, b = random_images(2, 3, 2).requires_grad_(), random_images(2, 3, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, (a, b))
    assert torch.autograd.gradgradcheck(loss, (a, b))


@pytest.mark.parametrize("loss", [losses.iou, losses.iou_loss, losses.mse, losses.mse_loss])
@pytest.mark.parametrize(
    ("target", "error", "match"),
    [
        (torch.rand(2, 4, 5), ValueError, r"target.*\(2, 4, 4\).*\(2, 4, 5\)"),
        (
            torch.rand(4, 5),
            ValueError,
            r"target.*\(2, 4, 4\) or \(1, 4, 4\) or \(4, 4\), got \(4, 5\)",
        ),
        (torch.rand(4), ValueError, "target.*shape"),
        (torch.rand(2, 4, 4).double(), TypeError, "target.*float32.*float64"),
        (torch.zeros(2, 4, 4).byte(), TypeError, r"target.*uint8; target / 255 converts"),
        (None, TypeError, "target.*Tensor.*NoneType"),
        (torch.rand(2, 4, 4, device="meta"), ValueError, "target.*device"),
    ],
)
def test_bad_targets(loss, target, error, match):
    with pytest.raises(error, match=match):
        loss(torch.rand(2, 4, 4), target)


@pytest.mark.parametrize(
    ("loss", "channels"),
    [
        (losses.iou, ()),
        (losses.iou_loss, ()),
        *((loss, channels) for loss in (losses.mse, losses.mse_loss) for channels in ((), (3,))),
    ],
)
def test_one_target_is_that_of_all_images(loss, channels):
    images = random_images(3, 4, 5, *channels)
    target = random_images(4, 5, *channels, seed=1)
    expected = [loss(image[None], target[None]) for image in images]
    expected = torch.stack(expected).mean() if expected[0].ndim == 0 else torch.cat(expected)
    for given in (target, target[None]):
        torch.testing.assert_close(loss(images, given), expected)
    mask = target > 0.5
    torch.testing.assert_close(
        loss(images, mask), loss(images, mask.double().expand(3, *mask.shape))
    )


IMAGE_LOSSES = {
    "iou": (losses.iou, losses.iou_loss, 1.0),
    "mse": (losses.mse, losses.mse_loss, 0.0),
}
every_image_loss = pytest.mark.parametrize(
    ("loss", "mean", "without"), IMAGE_LOSSES.values(), ids=IMAGE_LOSSES
)


@every_image_loss
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 5, 4), (5, 4)])
def test_pixels_that_are_masked_out_count_like_none(loss, mean, without, shape):
    image, target = random_images(3, 5, 4), random_images(3, 5, 4, seed=1)
    mask = random_images(*shape, seed=2) > 0.4
    kept = [
        (x[m][None, None], y[m][None, None])
        for x, y, m in zip(image, target, mask.expand(3, 5, 4), strict=True)
    ]
    expected = torch.cat([loss(*pair) for pair in kept])
    torch.testing.assert_close(loss(image, target, mask=mask), expected)
    torch.testing.assert_close(loss(image, target, mask=mask.double()), expected)
    torch.testing.assert_close(loss(image, target, weight=3 * mask.double()), expected)
    value = mean(image, target, mask=mask)
    torch.testing.assert_close(value, abs(without - expected.mean()))


@every_image_loss
def test_a_weight_is_how_often_a_pixel_counts(loss, mean, without):
    image, target = random_images(2, 2, 3), random_images(2, 2, 3, seed=1)
    times = torch.tensor([[0, 1, 2], [3, 0, 1]])
    rows = [x.flatten(1).repeat_interleave(times.flatten(), 1)[:, None] for x in (image, target)]
    torch.testing.assert_close(loss(image, target, weight=times.double()), loss(*rows))
    # The product of both; of a weight only ratios matter, however small it is.
    mask = times.clamp(max=1).double() / 2
    for size in (1.0, 1e-300, 1e300):
        value = loss(image, target, mask=mask, weight=times.double() * size)
        torch.testing.assert_close(value, loss(*rows))
    small = (times * 1e-30).float()
    value = loss(image.float(), target.float(), weight=small)
    torch.testing.assert_close(value, loss(*rows).float())


def test_weights_count_for_all_channels():
    image, target = random_images(2, 3, 4, 3), random_images(2, 3, 4, 3, seed=1)
    weight = random_images(2, 3, 4, seed=2)
    alone = [losses.mse(image[..., c], target[..., c], weight=weight) for c in range(3)]
    torch.testing.assert_close(losses.mse(image, target, weight=weight), torch.stack(alone).mean(0))


@every_image_loss
@pytest.mark.parametrize("hole", [math.nan, math.inf, 1e300])
def test_holes_of_a_target_leave_no_trace_in_two_orders(loss, mean, without, hole):
    image, target = random_images(2, 3, 4).requires_grad_(), random_images(2, 3, 4, seed=1)
    weight = random_images(2, 3, 4, seed=2)
    weight[:, 1, 1:3] = 0
    weight.requires_grad_()
    upstream = torch.tensor([1.0, 2.0], dtype=torch.float64)

    def numbers(target):
        target = target.clone().requires_grad_()
        value = loss(image, target, weight=weight)
        first = torch.autograd.grad(value, (image, target, weight), upstream, create_graph=True)
        # By the weight of a hole, which is left out, there is no derivative.
        squares = sum((g * (weight > 0)).square().sum() for g in first)
        return [value, *first, *torch.autograd.grad(squares, (image, target, weight))]

    expected = numbers(target)
    target[:, 1, 1:3] = hole
    for actual, wanted in zip(numbers(target), expected, strict=True):
        counted = torch.where(weight > 0, wanted, 0) if wanted.ndim == 3 else wanted
        seen = torch.where(weight > 0, actual, 0) if actual.ndim == 3 else actual
        assert torch.isfinite(actual).all()
        torch.testing.assert_close(seen, counted)
    assert not expected[1][:, 1, 1:3].any()


@every_image_loss
def test_derivatives_by_a_weight_of_zero(loss, mean, without):
    image, target = random_images(2, 3, 4).requires_grad_(), random_images(2, 3, 4, seed=1)
    weight = random_images(2, 3, 4, seed=2)
    weight[:, 1, 1:3] = 0
    weight.requires_grad_()
    step = torch.zeros(2, 3, 4).double()
    step[:, 1, 1:3] = 1e-6

    def numbers(weight):
        value = loss(image, target, weight=weight).sum()
        (first,) = torch.autograd.grad(value, image, create_graph=True)
        return torch.stack([value, first.square().sum()])

    expected = (numbers(weight + step) - numbers(weight)) / 1e-6
    for one, wanted in zip(numbers(weight), expected, strict=True):
        (found,) = torch.autograd.grad(one, weight, retain_graph=True)
        torch.testing.assert_close(found[:, 1, 1:3].sum(), wanted, rtol=1e-4, atol=1e-7)
        assert found[:, 1, 1:3].all()


@every_image_loss
def test_an_image_without_a_counted_pixel_has_no_loss_and_no_gradient(loss, mean, without):
    image = random_images(2, 3, 4).requires_grad_()
    target = random_images(2, 3, 4, seed=1)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    mask[1] = False
    target[1] = math.nan
    value = loss(image, target, mask=mask)
    assert value[1] == without
    torch.testing.assert_close(value[:1], loss(image[:1], target[:1]))
    (first,) = torch.autograd.grad(value.sum(), image, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), image)
    assert first[0].any()
    assert not first[1].any()
    assert torch.isfinite(second).all()
    assert not second[1].any()


@every_image_loss
def test_gradients_of_weighted_image_losses(loss, mean, without):
    a, b, w = (random_images(2, 3, 2, seed=i).requires_grad_() for i in range(3))
    mask = torch.tensor([[True, False], [True, True], [False, True]])
    assert torch.autograd.gradcheck(lambda *x: loss(*x[:2], mask=mask, weight=x[2]), (a, b, w))
    assert torch.autograd.gradgradcheck(lambda *x: loss(*x[:2], mask=mask, weight=x[2]), (a, b, w))


@every_image_loss
@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (
            {"mask": torch.ones(5, 4)},
            ValueError,
            r"mask must have shape .*\(4, 4\), got \(5, 4\)",
        ),
        ({"mask": torch.full((4, 4), 1.5)}, ValueError, r"mask must be in \[0, 1\], got 1.5"),
        ({"mask": torch.full((4, 4), math.nan)}, ValueError, r"mask must be finite, got nan"),
        ({"mask": torch.ones(4, 4).byte()}, TypeError, r"mask.*uint8; .to\(torch.bool\) converts"),
        ({"mask": torch.ones(4, 4).double()}, TypeError, r"mask.*float32.*float64"),
        ({"mask": np.ones((4, 4))}, TypeError, r"mask.*ndarray; torch.from_numpy\(mask\)"),
        ({"weight": torch.ones(3, 4, 4)}, ValueError, r"weight must have shape .*got \(3, 4, 4\)"),
        ({"weight": torch.full((4, 4), -1.0)}, ValueError, r"weight must not be negative, got -1"),
        ({"weight": torch.full((4, 4), math.inf)}, ValueError, r"weight must be finite, got inf"),
        ({"weight": torch.ones(4, 4).bool()}, TypeError, r"weight.*bool; .float\(\) converts"),
        ({"weight": torch.ones(4, 4, device="meta")}, ValueError, r"weight.*device"),
    ],
)
def test_bad_masks_and_weights(loss, mean, without, given, error, match):
    for function in (loss, mean):
        with pytest.raises(error, match=match):
            function(torch.rand(2, 4, 4), torch.rand(4, 4), **given)


@every_image_loss
def test_an_array_is_no_target(loss, mean, without):
    with pytest.raises(TypeError, match=r"target.*ndarray; torch.from_numpy\(target\) makes one"):
        mean(torch.rand(2, 4, 4), np.zeros((4, 4), np.float32))


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@every_image_loss
def test_weighted_image_losses_have_transforms(loss, mean, without):
    a, b, w, v = (random_images(2, 3, 4, seed=i) for i in range(4))
    leaf = w.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(a, b, weight=leaf).sum(), leaf)
    found = torch.func.grad(lambda w: loss(a, b, weight=w).sum())(w)
    torch.testing.assert_close(found, first)
    _, slope = torch.func.jvp(lambda w: loss(a, b, weight=w).sum(), (w,), (v,))
    torch.testing.assert_close(slope, (first * v).sum())
    both = torch.func.vmap(lambda w: loss(a, b, weight=w))(torch.stack([w, v]))
    torch.testing.assert_close(both, torch.stack([loss(a, b, weight=x) for x in (w, v)]))


def test_bad_images():
    with pytest.raises(ValueError, match=r"alpha.*B, H, W"):
        losses.iou(torch.rand(4, 4), torch.rand(4, 4))
    with pytest.raises(ValueError, match=r"image.*B, H, W"):
        losses.mse(torch.rand(4, 4), torch.rand(4, 4))


def dense_laplacian(vertices: np.ndarray, faces: np.ndarray) -> float:
    neighbours = [set() for _ in vertices]
    for a, b, c in faces:
        for i, j in ((a, b), (b, c), (c, a)):
            neighbours[i].add(j)
            neighbours[j].add(i)
    offsets = [
        v - np.mean([vertices[j] for j in near], 0) if near else np.zeros(3)
        for v, near in zip(vertices, neighbours, strict=True)
    ]
    return np.mean(np.sum(np.square(offsets), 1))


@pytest.mark.parametrize(
    ("faces", "count"),
    [(quad().faces, 4), (NON_MANIFOLD, 7), (icosphere(1).faces, 42), (airplane().faces, 616)],
)
def test_laplacian_is_the_mean_square_offset_from_the_neighbours(faces, count):
    vertices = random_vertices(2, count)
    expected = [dense_laplacian(v.numpy(), faces.numpy()) for v in vertices]
    np.testing.assert_allclose(Laplacian(faces, count).per_mesh(vertices), expected, rtol=1e-12)
    single = vertices.float()
    np.testing.assert_allclose(Laplacian(faces, count).per_mesh(single), expected, rtol=1e-5)


def test_laplacian_of_a_regular_hexagon_vanishes_at_its_centre():
    angles = torch.arange(6, dtype=torch.float64) * math.pi / 3
    rim = torch.stack([angles.cos(), angles.sin(), 0 * angles], 1)
    fan = torch.tensor([[0, i + 1, (i + 1) % 6 + 1] for i in range(6)])
    vertices = torch.cat([torch.zeros(1, 3).double(), rim]).requires_grad_()
    offset = torch.autograd.grad(losses.laplacian_loss(vertices, fan), vertices)[0]
    # each rim vertex has three neighbours, whose mean is 1/3 (its own part along the radius)
    assert losses.laplacian_loss(vertices, fan).item() == pytest.approx(6 / 7 * (2 / 3) ** 2)
    torch.testing.assert_close(offset[0], torch.zeros(3).double())


@pytest.mark.parametrize(
    "mesh", [icosphere(2), airplane(), bracket()], ids=["sphere", "plane", "F"]
)
def test_against_the_angles_and_edges_of_trimesh(mesh):
    mesh = mesh.to(dtype=torch.float64)
    twin = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)
    angles = np.mean(1 - np.cos(twin.face_adjacency_angles))
    lengths = twin.edges_unique_length
    actual = losses.normal_consistency_loss(mesh.vertices, mesh.faces).item()
    assert actual == pytest.approx(angles, rel=1e-9)
    for target in (0.0, 0.1):
        actual = losses.edge_length_loss(mesh.vertices, mesh.faces, target_length=target).item()
        assert actual == pytest.approx(np.mean((lengths - target) ** 2), rel=1e-9)


@pytest.mark.parametrize("degrees", [-170.0, -30.0, 0.0, 1e-3, 45.0, 90.0, 180.0])
@pytest.mark.parametrize("faces", [[[0, 1, 2], [1, 0, 3]], [[0, 1, 2], [0, 1, 3]]])
def test_fold_angle_whatever_the_winding(degrees, faces):
    angle = math.radians(degrees)
    vertices = torch.tensor(
        [[0, 0, 0], [2, 0, 0], [0.5, 1, 0], [1.5, -math.cos(angle), math.sin(angle)]],
        dtype=torch.float64,
    )
    loss = losses.normal_consistency_loss(vertices, torch.tensor(faces))
    assert loss.item() == pytest.approx(2 * math.sin(angle / 2) ** 2, rel=1e-9, abs=1e-30)


def test_float32_resolves_small_folds():
    # 1 - cos is 5e-9 here, less than the rounding of a cosine
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 1e-4]])
    loss = losses.normal_consistency_loss(vertices, torch.tensor([[0, 1, 2], [1, 0, 3]]))
    assert loss.item() == pytest.approx(5e-9, rel=1e-3)


def test_every_pair_at_a_non_manifold_edge_counts():
    # three half planes at the z axis, 120 degrees apart: each pair folds by 60 degrees
    angles = torch.arange(3, dtype=torch.float64) * 2 * math.pi / 3
    rim = torch.stack([angles.cos(), angles.sin(), 0 * angles], 1)
    vertices = torch.cat([torch.tensor([[0.0, 0, 0], [0, 0, 1]]).double(), rim])
    faces = torch.tensor([[0, 1, 2], [0, 1, 3], [1, 0, 4]])
    loss = NormalConsistency(faces)
    assert loss._pairs.tolist() == [[0, 1], [1, 2], [0, 2]]
    assert loss(vertices).item() == pytest.approx(0.5)


@every_mesh_loss
@pytest.mark.parametrize(
    ("faces", "count"), [(quad().faces, 4), (NON_MANIFOLD, 7), (icosphere(0).faces, 12)]
)
def test_gradients_of_mesh_losses(make, faces, count):
    loss = make(faces, count)
    vertices = random_vertices(2, count).requires_grad_()
    assert torch.autograd.gradcheck(loss.per_mesh, vertices)
    assert torch.autograd.gradgradcheck(loss.per_mesh, vertices)


@pytest.mark.parametrize(("make", "function"), MESH_LOSSES.values(), ids=MESH_LOSSES)
def test_function_module_and_batch_agree(make, function):
    faces = icosphere(1).faces
    vertices = random_vertices(3, 42)
    loss = make(faces)
    assert loss.num_vertices == 42
    each = torch.stack([loss(v) for v in vertices])
    assert each.unique().numel() == 3
    torch.testing.assert_close(loss.per_mesh(vertices), each)
    torch.testing.assert_close(loss(vertices), each.mean())
    torch.testing.assert_close(function(vertices, faces), each.mean())
    torch.testing.assert_close(loss.per_mesh(vertices[0]), each[:1])
    strided = vertices.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    torch.testing.assert_close(loss.per_mesh(strided), each)


@every_mesh_loss
def test_dtype_is_kept_and_module_leaves_no_state(make):
    loss = make(icosphere(1).faces)
    assert loss(random_vertices(42, dtype=torch.float32)).dtype == torch.float32
    assert loss(random_vertices(42)).dtype == torch.float64
    assert not loss.state_dict()
    assert not list(loss.parameters())
    torch.testing.assert_close(loss.double()(random_vertices(42)), loss(random_vertices(42)))


@every_mesh_loss
@pytest.mark.parametrize("shape", [(0,), (5,), (2, 0), (2, 5)])
def test_no_faces_give_zero(make, shape):
    vertices = torch.randn(*shape, 3, requires_grad=True)
    loss = make(torch.empty(0, 3, dtype=torch.int64), shape[-1]).per_mesh(vertices)
    target = 0.0
    assert loss.tolist() == [target] * len(loss)
    (gradient,) = torch.autograd.grad(loss.sum(), vertices)
    assert not gradient.any()


@every_mesh_loss
@pytest.mark.parametrize("scale", [0.0, 1e-42, 1e-38, 1e-15, 1e-6, 1e6])
def test_degenerate_meshes_stay_finite(make, scale):
    # a repeated index, a repeated face, a face of no area, two vertices at one place
    faces = torch.tensor(
        [[0, 1, 2], [1, 1, 3], [0, 1, 2], [0, 1, 4], [3, 5, 2], [5, 3, 1], [4, 4, 4]]
    )
    vertices = random_vertices(6, dtype=torch.float32) * scale
    vertices[4] = (vertices[0] + vertices[1]) / 2
    vertices[5] = vertices[3]
    vertices.requires_grad_()
    loss = make(faces)(vertices)
    (gradient,) = torch.autograd.grad(loss, vertices, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum() * scale**2, vertices)
    assert all(torch.isfinite(value).all() for value in (loss, gradient, second))


def test_a_face_without_area_counts_as_flat():
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0]], requires_grad=True)
    loss = losses.normal_consistency_loss(vertices, torch.tensor([[0, 1, 2], [1, 0, 3]]))
    loss.backward()
    assert loss.item() == 0
    assert not vertices.grad.any()


@every_mesh_loss
def test_a_face_with_a_repeated_index_adds_nothing(make):
    mesh = icosphere(1)
    faces = torch.cat([mesh.faces, mesh.faces[:1, [0, 0, 1]]])
    vertices = random_vertices(42)
    torch.testing.assert_close(make(faces)(vertices), make(mesh.faces)(vertices))


def test_normals_do_not_depend_on_scale():
    mesh = icosphere(1)
    losses_ = [
        losses.normal_consistency_loss(mesh.vertices * s, mesh.faces) for s in (1e-12, 1, 1e12)
    ]
    assert [loss.item() for loss in losses_] == pytest.approx([losses_[1].item()] * 3, rel=1e-4)


@pytest.mark.parametrize("function", [f for _, f in MESH_LOSSES.values()], ids=MESH_LOSSES)
def test_descent_on_a_loss_lowers_it(function):
    mesh = icosphere(1)
    start = (mesh.vertices.double() + 0.1 * random_vertices(42)).requires_grad_()
    before = function(start, mesh.faces)
    (gradient,) = torch.autograd.grad(before, start)
    assert function(start - 1e-3 * gradient / gradient.norm(), mesh.faces) < before


@pytest.mark.parametrize(("make", "function"), MESH_LOSSES.values(), ids=MESH_LOSSES)
def test_bad_arguments_of_mesh_losses(make, function):
    faces = quad().faces
    with pytest.raises(TypeError, match=r"faces.*int64.*int32"):
        make(faces.int())
    with pytest.raises(ValueError, match=r"faces.*3 vertices.*got 3"):
        make(faces, 3)
    with pytest.raises(ValueError, match=r"faces.*got -1"):
        function(torch.rand(4, 3), faces - 1)
    with pytest.raises(TypeError, match=r"num_vertices.*int.*float"):
        make(faces, 4.0)
    loss = make(faces)
    with pytest.raises(ValueError, match=r"vertices.*\(4, 3\).*\(5, 3\)"):
        loss(torch.rand(5, 3))
    with pytest.raises(ValueError, match=r"vertices has 0"):
        loss(torch.rand(0, 4, 3))
    with pytest.raises(TypeError, match=r"vertices.*float16"):
        loss(torch.rand(4, 3).half())
    with pytest.raises(ValueError, match=r"vertices.*device.*use .to"):
        loss(torch.rand(4, 3, device="meta"))


def test_bad_target_length():
    with pytest.raises(ValueError, match=r"target_length.*negative.*-1"):
        EdgeLength(quad().faces, target_length=-1)
    with pytest.raises(TypeError, match=r"target_length.*number"):
        EdgeLength(quad().faces, target_length="1")


def plain_iou(a, t):
    """Return the formula as it is written."""
    product = a * t
    return product.sum((1, 2)) / (a + t - product).sum((1, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_iou_is_the_plain_formula_to_the_last_bit_in_two_orders(dtype):
    random = torch.Generator().manual_seed(1)
    a, t = (torch.rand(3, 9, 7, generator=random, dtype=dtype) for _ in range(2))
    seed, direction = torch.rand(3, generator=random, dtype=dtype), torch.rand_like(a)
    found = []
    for function in (losses.iou, plain_iou):
        x = a.clone().requires_grad_()
        value = function(x, t)
        (once,) = torch.autograd.grad(value, x, seed, retain_graph=True)
        (first,) = torch.autograd.grad(value, x, seed, create_graph=True)
        (second,) = torch.autograd.grad(first, x, direction, create_graph=True)
        (third,) = torch.autograd.grad(second, x, direction)
        found.append((value, once, first, second, third))
    assert all(torch.equal(*pair) for pair in zip(*(each[:3] for each in found), strict=True))
    torch.testing.assert_close(found[0][3:], found[1][3:])


def test_iou_has_gradients_of_both_images_and_of_one_target_for_all():
    random = torch.Generator().manual_seed(2)
    a, t = (torch.rand(2, 3, 4, generator=random, dtype=torch.float64) for _ in range(2))
    for target in (t, t[:1], t[0]):
        pair = (a.clone().requires_grad_(), target.clone().requires_grad_())
        assert torch.autograd.gradcheck(losses.iou, pair)
        assert torch.autograd.gradgradcheck(losses.iou, pair)
        assert torch.autograd.gradcheck(lambda x, fixed=target: losses.iou(x, fixed), pair[:1])
        assert torch.autograd.gradgradcheck(lambda x, fixed=target: losses.iou(x, fixed), pair[:1])


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_iou_goes_through_transforms_of_torch():
    random = torch.Generator().manual_seed(3)
    a, t, v = (torch.rand(2, 3, 4, generator=random, dtype=torch.float64) for _ in range(3))

    def total(x):
        return losses.iou(x, t).sum()

    x = a.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain_iou(x, t).sum(), x)
    torch.testing.assert_close(torch.func.grad(total)(a), expected)
    _, slope = torch.func.jvp(total, (a,), (v,))
    torch.testing.assert_close(slope, (expected * v).sum())
    with torch.autograd.forward_ad.dual_level():
        dual = total(torch.autograd.forward_ad.make_dual(a, v))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, (expected * v).sum())
    stacked = torch.func.vmap(lambda y: losses.iou(y, t))(torch.stack([a, v]))
    torch.testing.assert_close(stacked, torch.stack([plain_iou(a, t), plain_iou(v, t)]))


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@every_mesh_loss
def test_mesh_losses_have_transforms(make):
    mesh = icosphere(0)
    loss, vertices = make(mesh.faces), random_vertices(mesh.num_vertices)
    direction = random_vertices(mesh.num_vertices, seed=1)
    leaf = vertices.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first, leaf, direction)
    torch.testing.assert_close(torch.func.grad(loss)(vertices), first.detach())
    _, slope = torch.func.jvp(loss, (vertices,), (direction,))
    torch.testing.assert_close(slope, (first.detach() * direction).sum())
    hessian = torch.func.hessian(loss)(vertices)
    torch.testing.assert_close((hessian * direction).sum((2, 3)), second)
    both = torch.func.vmap(loss)(torch.stack([vertices, direction]))
    torch.testing.assert_close(both, torch.stack([loss(vertices), loss(direction)]))


@pytest.mark.parametrize("name", MESH_LOSSES)
def test_a_mesh_loss_is_not_built_within_a_transform(name):
    mesh, function = icosphere(0), MESH_LOSSES[name][1]
    with pytest.raises(
        RuntimeError, match=r"cannot be built within .* loss = ts.Laplacian\(faces\)"
    ):
        torch.func.grad(lambda v: function(v, mesh.faces))(random_vertices(mesh.num_vertices))
