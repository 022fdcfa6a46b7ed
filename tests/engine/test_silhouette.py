"""Silhouettes in one launch against the general way, which projects and clips with torch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import taichisoft as ts
from taichisoft.engine.engines import Engine, FusedEngine
from taichisoft.engine.silhouette import SilhouettePass
from tests.helpers import assert_close, learned

pytestmark = pytest.mark.cpu_only

ALLOWED = {torch.float64: 1e-11, torch.float32: 2e-4}
EYES = ((0.3, 0.2, 2.5), (1.0, 1.1, 2.0), (-0.2, 1.3, 2.9))


class GeneralEngine(FusedEngine):
    """The engine without the short way."""

    silhouette = Engine.silhouette


def gaussian(aggregation: ts.Aggregation | None = None) -> ts.SoftRasterizer:
    """Return a renderer whose scale is learned."""
    return ts.SoftRasterizer(ts.Gaussian(learned(1.5)), aggregation)


def outcome(
    engine: Engine, mesh: ts.Mesh | ts.MeshBatch, camera: ts.Camera, renderer: ts.SoftRasterizer
) -> dict[str, torch.Tensor]:
    """Return alpha and the gradients of vertices, cameras and softness, and derivatives of a sum of those."""
    renderer._engine = engine
    leaves = {
        "vertices": mesh.vertices,
        "rotation": camera.rotation,
        "translation": camera.translation,
        "intrinsics": camera.intrinsics,
    }
    leaves = {name: x.detach().clone().requires_grad_() for name, x in leaves.items()}
    seen = replace(camera, **{k: v for k, v in leaves.items() if k != "vertices"})
    alpha = renderer.silhouette(mesh.with_vertices(leaves["vertices"]), seen)
    leaves |= {name: p for name, p in renderer.softness.named_parameters() if p.requires_grad}
    generator = torch.Generator().manual_seed(3)
    upstream = torch.rand(alpha.shape, generator=generator).to(alpha).requires_grad_()
    first = torch.autograd.grad((alpha * upstream).sum(), list(leaves.values()), create_graph=True)
    # Turns gradients whose sum is known to vanish into some that are not.
    weights = [torch.rand(g.shape, generator=generator).to(g) for g in first]
    leaves["upstream"] = upstream
    mixed = sum((g * w).sum() for g, w in zip(first, weights, strict=True))
    second = torch.autograd.grad(mixed, list(leaves.values()))
    found = {"alpha": alpha.detach()}
    found |= {f"gradient of {k}": g.detach() for k, g in zip(leaves, first, strict=False)}
    return found | {f"second of {k}": g for k, g in zip(leaves, second, strict=True)}


def compare(mesh, camera, renderer, limit: float) -> None:
    """Assert that both ways give the same."""
    expected = outcome(GeneralEngine(), mesh, camera, renderer)
    found = outcome(FusedEngine(), mesh, camera, renderer)
    for name, value in found.items():
        # Second derivatives cancel more, in both.
        allowed = 10 * limit if name.startswith("second") else limit
        assert_close(value, expected[name], allowed, name)


@pytest.mark.parametrize("aggregation", [ts.Probabilistic(), ts.Max(), ts.Yager(2.0)])
@pytest.mark.parametrize("perspective", [True, False])
def test_agrees_with_the_general_way(aggregation, perspective, dtype):
    make = ts.Camera.look_at if perspective else ts.Camera.orthographic
    options = {} if perspective else {"height": 3.1}
    camera = make(EYES[1], image_size=(17, 20), dtype=dtype, **options)
    mesh = ts.shapes.icosphere(1).to(dtype=dtype)
    compare(mesh, camera, gaussian(aggregation), ALLOWED[dtype])


@pytest.mark.parametrize("cameras", [1, 3])
@pytest.mark.parametrize("meshes", [0, 1, 3])
def test_batches_are_broadcast(meshes, cameras):
    mesh = ts.shapes.icosphere(1).to(dtype=torch.float64)
    if meshes:
        moved = [mesh.vertices * (1 + 0.1 * k) for k in range(meshes)]
        mesh = mesh.with_vertices(torch.stack(moved))
    eye = torch.tensor(EYES[:cameras], dtype=torch.float64)
    camera = ts.Camera.look_at(eye, image_size=(14, 9))
    compare(mesh, camera, gaussian(), 1e-11)


def test_different_topologies():
    meshes = [ts.shapes.icosphere(0), ts.shapes.cube(), ts.shapes.icosphere(1)]
    batch = ts.MeshBatch.from_meshes([mesh.to(dtype=torch.float64) for mesh in meshes])
    eye = torch.tensor(EYES, dtype=torch.float64)
    camera = ts.Camera.look_at(eye, image_size=(14, 9))
    compare(batch, camera, gaussian(), 1e-11)


def test_what_crosses_the_near_plane_is_clipped(dtype):
    camera = ts.Camera.look_at(EYES[0], image_size=(16, 16), near=2.2, dtype=dtype)
    mesh = ts.shapes.icosphere(1).to(dtype=dtype)
    renderer = gaussian()
    with torch.no_grad():
        drawn = ts.reference.silhouette(renderer, mesh, camera)
        assert_close(renderer.silhouette(mesh, camera), drawn, 1e-5, "alpha")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(number, dtype):
    camera = ts.Camera.look_at(EYES[0], image_size=(8, 8), dtype=dtype)
    mesh = ts.shapes.cube().to(dtype=dtype)
    vertices = mesh.vertices.clone()
    mesh = mesh.with_vertices(vertices)
    vertices[2, 1] = number
    with pytest.raises(ValueError, match="vertices must be finite, got"):
        ts.SoftRasterizer().silhouette(mesh, camera)


def test_small_scenes_are_drawn_as_large_ones_are(monkeypatch):
    camera = ts.Camera.look_at(EYES[0], image_size=(16, 16))
    found = []
    for serial in (True, False):
        monkeypatch.setattr(SilhouettePass, "_serial", serial)
        renderer = gaussian()
        found.append(outcome(FusedEngine(), ts.shapes.icosphere(1), camera, renderer))
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name
