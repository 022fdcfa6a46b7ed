"""Large steps: against a dense matrix, in every derivative, and as an optimisation."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest
import torch

import taichisoft as ts
from tests.geometry.test_losses import NON_MANIFOLD, random_vertices

TOPOLOGIES = {
    "quad": (ts.shapes.quad().faces, 4),
    "not manifold, with a loose vertex": (NON_MANIFOLD, 7),
    "sphere": (ts.shapes.icosphere(1).faces, 42),
    "no faces": (torch.empty(0, 3, dtype=torch.int64), 3),
    "nothing": (torch.empty(0, 3, dtype=torch.int64), 0),
}
every_topology = pytest.mark.parametrize(("faces", "count"), TOPOLOGIES.values(), ids=TOPOLOGIES)


def dense(faces: torch.Tensor, count: int, lambda_: float) -> torch.Tensor:
    adjacent = torch.zeros(count, count, dtype=torch.float64)
    for face in faces.tolist():
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            if a != b:
                adjacent[a, b] = adjacent[b, a] = 1
    laplacian = torch.diag(adjacent.sum(1)) - adjacent
    return torch.eye(count, dtype=torch.float64) + lambda_ * laplacian


@every_topology
@pytest.mark.parametrize("lambda_", [1e-3, 19.0, 1e6])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_both_ways_are_those_of_the_matrix(faces, count, lambda_, batch):
    large = ts.LargeSteps(faces, count, lambda_=lambda_)
    matrix, vertices = dense(faces, count, lambda_), random_vertices(*batch, count)
    u = large.to_differential(vertices)
    torch.testing.assert_close(u, matrix @ vertices)
    torch.testing.assert_close(
        large.from_differential(vertices), torch.linalg.solve(matrix, vertices)
    )
    torch.testing.assert_close(large.from_differential(u), vertices, rtol=1e-7, atol=1e-8)
    single = large.from_differential(vertices.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double(), torch.linalg.solve(matrix, vertices), rtol=1e-5, atol=1e-6
    )
    assert large.to_differential(vertices.float()).dtype == torch.float32


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_and_pickles(copied):
    large = ts.LargeSteps(NON_MANIFOLD, 7, lambda_=3.0)
    again, x = copied(large), random_vertices(7)
    assert repr(again) == repr(large)
    assert torch.equal(again.from_differential(x), large.from_differential(x))
    assert torch.equal(again.to_differential(x), large.to_differential(x))


def test_a_mesh_at_one_place_stays_there():
    mesh = ts.shapes.icosphere(2)
    vertices = torch.full_like(mesh.vertices, 0.3)
    large = ts.LargeSteps(mesh.faces, lambda_=1e4)
    assert torch.equal(large.to_differential(vertices), vertices)
    torch.testing.assert_close(large.from_differential(vertices), vertices)


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("way", ["to_differential", "from_differential"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_derivatives(way, batch):
    function = getattr(ts.LargeSteps(NON_MANIFOLD, 7, lambda_=3.0), way)
    x = random_vertices(*batch, 7).requires_grad_()
    assert torch.autograd.gradcheck(function, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)
    assert torch.autograd.gradgradcheck(lambda x: function(x).square(), x)


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_transforms():
    large = ts.LargeSteps(NON_MANIFOLD, 7, lambda_=3.0)
    x, v = random_vertices(7), random_vertices(7, seed=1)
    inverse = torch.linalg.inv(dense(NON_MANIFOLD, 7, 3.0))
    found = torch.func.grad(lambda x: large.from_differential(x).square().sum())(x)
    torch.testing.assert_close(found, 2 * inverse @ inverse @ x)
    _, along = torch.func.jvp(large.from_differential, (x,), (v,))
    torch.testing.assert_close(along, inverse @ v)
    both = torch.func.vmap(large.from_differential, in_dims=2)(torch.stack([x, v], 2))
    torch.testing.assert_close(both, inverse @ torch.stack([x, v]))
    hessian = torch.func.hessian(lambda x: large.from_differential(x).square().sum())(x)
    torch.testing.assert_close(hessian[:, 1, :, 1], 2 * inverse @ inverse)


def test_a_step_moves_the_neighbours_of_a_vertex_along():
    mesh = ts.shapes.icosphere(2).to(dtype=torch.float64)
    pull = torch.zeros_like(mesh.vertices)
    pull[0] = mesh.vertices[0]
    ragged = []
    for lambda_ in (0.01, 1.0, 20.0):
        large = ts.LargeSteps(mesh.faces, lambda_=lambda_)
        u = large.to_differential(mesh.vertices).requires_grad_()
        (gradient,) = torch.autograd.grad((large.from_differential(u) * pull).sum(), u)
        moved = large.from_differential(gradient)
        ragged.append(float(ts.laplacian_loss(moved / moved.norm(), mesh.faces)))
    assert ragged[0] > 3 * ragged[1] > 9 * ragged[2]


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda: ts.LargeSteps(NON_MANIFOLD.int()), TypeError, r"faces.*int64.*int32"),
        (lambda: ts.LargeSteps(NON_MANIFOLD, 5), ValueError, r"faces must index 5 vertices"),
        (lambda: ts.LargeSteps(NON_MANIFOLD, lambda_=0.0), ValueError, r"lambda_.*greater than 0"),
        (lambda: ts.LargeSteps(NON_MANIFOLD, lambda_="1"), TypeError, r"lambda_ must be a number"),
        (lambda: of(torch.zeros(5, 3)), ValueError, r"u must have shape \(6, 3\) or \(B, 6, 3\)"),
        (lambda: of(torch.zeros(6, 3).half()), TypeError, r"u must be of dtype"),
        (
            lambda: of(torch.zeros(6, 3, device="meta")),
            ValueError,
            r"u must be on the device of faces",
        ),
    ],
)
def test_bad_arguments(act, error, match):
    with pytest.raises(error, match=match):
        act()


def of(u: torch.Tensor) -> torch.Tensor:
    return ts.LargeSteps(NON_MANIFOLD).from_differential(u)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r"taichisoft\[large-steps\]"):
        ts.LargeSteps(NON_MANIFOLD)


def test_it_says_what_it_is():
    assert repr(ts.LargeSteps(NON_MANIFOLD, 7)) == "LargeSteps of 7 vertices, lambda_=19"
