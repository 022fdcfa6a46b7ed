"""Shape3D: its loss term by term, its views, and an error of zero for the true shape."""

from __future__ import annotations

import math

import pytest
import torch

from taichisoft import Mesh, SoftRasterizer, shapes
from tasks import MeshSplit, Shape3DFamily, Split
from tasks.shape3d import Shape3DTask
from tests.zoo.tasks import SIZE, SOME_MESHES, soft


def deformed(seed: int) -> tuple[Mesh, torch.Tensor]:
    sphere = shapes.icosphere(1)
    noise = torch.randn(42, 3, generator=torch.Generator().manual_seed(seed))
    displacement = 0.3 * sphere.vertices * (1 + noise[:, :1].sigmoid()) + 0.02 * noise
    return sphere.with_vertices(0.5 * sphere.vertices + displacement), displacement


def test_shape3d_error_of_the_true_displacement_is_zero():
    (first, displacement), (second, _) = deformed(0), deformed(1)
    meshes = MeshSplit({"first": first}, {"second": second})
    family = Shape3DFamily(
        image_size=SIZE, views=4, subdivisions=1, laplacian=0.0, flatten=0.0, meshes=meshes
    )
    task = family.sample(0, 2, Split.TRAIN)
    true = {"displacement": displacement.expand(2, -1, -1)}
    torch.testing.assert_close(task.error(true), torch.zeros(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        task.loss(true, SoftRasterizer.hard()), torch.zeros(2), rtol=0, atol=1e-6
    )
    assert torch.equal(task.views(true, 1), task.target(1))
    held_out = family.sample(0, 1, Split.HELD_OUT)
    assert held_out.error({"displacement": displacement[None]}) > 0.05


def test_shape3d_loss_is_iou_plus_weighted_sums():
    plain, smooth = (
        Shape3DFamily(
            image_size=SIZE, views=3, subdivisions=1, meshes=SOME_MESHES, laplacian=w, flatten=f
        ).sample(0, 2, Split.TRAIN)
        for w, f in ((0.0, 0.0), (0.03, 0.0003))
    )
    generator = torch.Generator().manual_seed(0)
    unknowns = {"displacement": 0.05 * torch.randn(2, 42, 3, generator=generator)}
    mesh = shapes.icosphere(1)
    vertices = (0.5 * mesh.vertices + unknowns["displacement"]).double()
    expected = []
    for points in vertices:
        edges = {
            tuple(sorted(e))
            for f in mesh.faces.tolist()
            for e in zip(f, f[1:] + f[:1], strict=True)
        }
        neighbours = [[b for e in edges for b in e if i in e and b != i] for i in range(42)]
        bumps = sum(
            (p - points[n].mean(0)).square().sum() for p, n in zip(points, neighbours, strict=True)
        )
        a, b, c = points[mesh.faces].unbind(1)
        normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
        folds = 0.0
        for edge in edges:
            one, other = (k for k, f in enumerate(mesh.faces.tolist()) if set(edge) <= set(f))
            folds += 1 - normals[one] @ normals[other]
        expected.append(0.03 * bumps + 0.0003 * folds)
    added = smooth.loss(unknowns, soft()) - plain.loss(unknowns, soft())
    torch.testing.assert_close(added.double(), torch.stack(expected), rtol=1e-4, atol=1e-6)


def test_shape3d_has_the_views_and_the_sphere_that_it_says():
    family = Shape3DFamily(image_size=(16, 16), meshes=SOME_MESHES)
    task = family.sample(1, 3, Split.TRAIN)
    assert task.init()["displacement"].shape == (3, 642, 3)
    assert task.template.mesh.num_faces == 1280
    assert task.seen.images.shape == (3 * 24, 16, 16)
    position = task.seen.camera.position.reshape(3, 24, 3)
    elevation = torch.rad2deg(torch.asin(position[..., 1] / 4))
    assert {round(e) for e in elevation.flatten().tolist()} <= {-60, -30, 0, 30, 60}
    assert (elevation - elevation[:, :1]).abs().max() < 1e-2, "one elevation a problem"
    assert len({tuple(p) for p in (position[0] * 100).round().tolist()}) == 24


def test_shape3d_is_judged_from_other_views():
    task = Shape3DFamily(image_size=(16, 16), meshes=SOME_MESHES).sample(1, 1, Split.TRAIN)
    cosine = task.seen.camera.position @ task.judged.camera.position.mT / 16
    assert cosine.max() < math.cos(math.radians(5))
    assert task.views(task.init(), 0).shape == (16, 64)


def test_shape3d_differentiable_error_stands_in_for_the_error():
    family = Shape3DFamily(image_size=(32, 32), views=2, subdivisions=1, meshes=SOME_MESHES)
    task = family.sample(2, 2, Split.TRAIN)
    unknowns = {"displacement": 0.05 * noise(task).requires_grad_()}
    smooth = task.differentiable_error(unknowns)
    # The largest difference that was met over 20 seeds is 0.007.
    torch.testing.assert_close(smooth.detach(), task.error(unknowns), rtol=0, atol=0.014)
    (slope,) = torch.autograd.grad(smooth.sum(), unknowns["displacement"])
    better = {"displacement": unknowns["displacement"].detach() - 0.02 * slope / slope.norm()}
    assert (task.differentiable_error(better) < smooth).all()


@pytest.mark.cpu_only
def test_shape3d_differentiable_error_has_the_slope_it_says():
    family = Shape3DFamily(
        image_size=(16, 16), views=1, subdivisions=0, meshes=SOME_MESHES, dtype=torch.float64
    )
    task = family.sample(2, 2, Split.TRAIN)
    at = 0.05 * noise(task)
    assert torch.autograd.gradcheck(
        lambda x: task.differentiable_error({"displacement": x}), at.requires_grad_(), eps=1e-7
    )


def noise(task: Shape3DTask) -> torch.Tensor:
    zeros = task.init()["displacement"]
    generator = torch.Generator().manual_seed(1)
    return torch.randn(zeros.shape, generator=generator, dtype=zeros.dtype)
