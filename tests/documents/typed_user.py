"""Uses the library as a typed program does: it is run, and checked by mypy with its strictest flags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from typing_extensions import assert_type

import taichisoft as ts


def main(folder: Path) -> ts.Fit:
    """Render, fit, save and load."""
    mesh = ts.shapes.icosphere(1)
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(16, 16), fov=45.0)
    moved = camera.to(dtype=torch.float32)[0]
    target = assert_type(ts.SoftRasterizer.hard().silhouette(mesh, moved), Tensor)
    renderer = ts.SoftRasterizer(
        ts.Mixture([ts.Gaussian(), ts.Logistic(ts.Pixels(2.0))], ts.ExponentialAnnealing(3.0, 1.0)),
        ts.Yager(ts.Positive(2.0, learn=True)),
        background=(0.1, 0.2, 0.3),
    )
    change(renderer)
    appear(renderer, mesh, moved)

    def loss(unknowns: dict[str, Tensor]) -> Tensor:
        image = renderer(mesh.with_vertices(unknowns["vertices"]), moved)
        shape = ts.laplacian_loss(unknowns["vertices"], mesh.faces)
        return ts.iou_loss(image.alpha, target) + 0.1 * shape

    start = {"vertices": 0.8 * mesh.vertices}
    found = ts.fit(loss, start, 2, renderer=renderer, progress=False)
    first: Tensor = ts.fit(lambda given: given[0].square().sum(), [torch.ones(2)], 1).parameters[0]
    starts = ts.multi_start(lambda x: x["a"].square(), {"a": torch.ones(3)}, 1, progress=False)
    assert_type(starts, ts.MultiStart)
    assert first.shape == (2,)

    vertices: Tensor = found.parameters["vertices"]
    ts.save_mesh(mesh.with_vertices(vertices[None][0]), folder / "found.obj")
    assert_type(ts.load_mesh(str(folder / "found.obj"), normalize=True).num_faces, int)
    renderer.softness.save(folder / "found.safetensors", {"steps": 2})
    softness = assert_type(ts.Softness.load(folder / "found.safetensors"), ts.Softness)
    assert_type(softness.coverage.scale.in_pixels(16), Tensor)
    assert_type(ts.suggest_scale(mesh, moved, target), ts.Scale)
    assert_type(renderer.explain(mesh, moved).advice, tuple[str, ...])
    return assert_type(found, ts.Fit)


def change(renderer: ts.SoftRasterizer) -> None:
    """Set what can be set; a number, or a module of one's own, is taken as well."""
    renderer.background = 0.5
    assert_type(renderer.background.detach(), Tensor)
    learned = ts.MLPCoverage(ts.HeightFraction(0.02, learn=True))
    renderer.softness.coverage = nn.Sequential(nn.Sigmoid())
    assert_type(renderer.softness.coverage, ts.Coverage)
    assert_type(renderer.coverage, ts.Coverage)
    renderer.coverage = learned
    renderer.occlusion = ts.DepthCurve(ts.Cauchy())
    renderer.aggregation = ts.Probabilistic()
    renderer.set_progress(0.5)
    optimizer = torch.optim.Adam(renderer.parameters())
    assert_type(len(optimizer.param_groups), int)
    assert_type(learned.layers[0].weight.shape, torch.Size)


def appear(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera) -> None:
    """Draw with a texture and lights."""
    texture = ts.Texture(torch.rand(4, 4, 3), mesh.vertices[:, :2], wrap=ts.Wrap.CLAMP)
    sun = ts.DirectionalLight((0.0, 1.0, 1.0), color=torch.ones(3))
    lighting = ts.Lighting(
        [ts.AmbientLight(0.2), sun], ts.Shading.PHONG, specular=0.1, two_sided=True
    )
    renderer.culling = ts.Culling.BACK
    image = renderer(mesh, camera, texture, lighting=lighting, normals=True)
    assert_type(image, ts.SoftImage)
    assert_type(image.alpha, Tensor)
    assert_type(image.rgba(), Tensor)
    assert_type(mesh.with_vertex_opacity(torch.ones(mesh.num_vertices)).face_opacity, Tensor | None)
    if image.color is not None:
        assert_type(ts.mse_loss(image.color, torch.zeros_like(image.color)), Tensor)


if TYPE_CHECKING:
    # What must not pass: an ignored error that is none is an error under these flags.
    RENDERER = ts.SoftRasterizer()
    RENDERER(ts.shapes.quad(), "camera")  # type: ignore[arg-type]
    RENDERER(ts.shapes.quad(), light=None)  # type: ignore[call-arg]
    RENDERER.aggregation = ts.Gaussian()  # type: ignore[assignment]
    RENDERER.background = "white"  # type: ignore[assignment]
    ts.SoftRasterizer(ts.Camera)  # type: ignore[arg-type]
    ts.Gaussian(scale="wide")  # type: ignore[arg-type]
    ts.load_mesh(7)  # type: ignore[arg-type]
