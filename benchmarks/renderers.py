"""The renderers that are compared, each as a pair of callables: forward, and forward + backward."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

import taichisoft as ts
from benchmarks.scenes import Scene

Work = Callable[[], object]


@dataclass(frozen=True)
class Renderer:
    """Something to time.

    Parameters
    ----------
    name : str
        Shown in the table.
    forward : callable
        Renders the silhouettes of all views.
    both : callable
        Renders them and returns to the vertices the gradient of their sum.
    """

    name: str
    forward: Work
    both: Work


def fused(scene: Scene, renderer: ts.SoftRasterizer, name: str = "taichisoft") -> Renderer:
    """Return our engine."""
    return _of_silhouette(scene, name, renderer.silhouette)


def dense(scene: Scene, renderer: ts.SoftRasterizer) -> Renderer:
    """Return the dense plain-torch twin, silhouettes only."""

    def silhouette(mesh: ts.Mesh, camera: ts.Camera) -> torch.Tensor:
        return ts.reference.silhouette(renderer, mesh, camera)

    return _of_silhouette(scene, "dense torch twin", silhouette)


def _of_silhouette(scene: Scene, name: str, silhouette: Callable) -> Renderer:
    vertices = scene.mesh.vertices.clone().requires_grad_()
    upstream = torch.ones(scene.camera.batch_size, scene.size, scene.size)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return silhouette(scene.mesh.with_vertices(vertices), scene.camera)

    def both() -> torch.Tensor:
        vertices.grad = None
        silhouette(scene.mesh.with_vertices(vertices), scene.camera).backward(upstream)
        return vertices.grad

    return Renderer(name, forward, both)


@contextmanager
def _peer_warnings_ignored() -> Iterator[None]:
    # deodr uses NumPy functions that are deprecated; that is its business.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def deodr(scene: Scene) -> Renderer | None:
    """Return deodr's renderer through its public classes, or None if it is not installed.

    deodr draws hard triangles with anti-aliased silhouette edges one pixel wide and skips back faces, so its
    work does not depend on a softness.
    """
    try:
        from deodr import ColoredTriMesh, Scene3D
        from deodr.differentiable_renderer import Camera
    except ImportError:
        return None
    vertices = scene.mesh.vertices.double().numpy()
    mesh = ColoredTriMesh(
        scene.mesh.faces.numpy().astype(np.uint32),
        vertices,
        clockwise=False,
        nb_colors=1,
        colors=np.ones((len(vertices), 1)),
    )
    camera = scene.camera
    cameras = [
        Camera(np.concatenate([r, t[:, None]], 1), k, scene.size, scene.size)
        for r, t, k in zip(
            camera.rotation.double().numpy(),
            camera.translation.double().numpy(),
            camera.intrinsics.double().numpy(),
            strict=True,
        )
    ]
    renderer = Scene3D(sigma=1)
    renderer.set_mesh(mesh)
    renderer.set_light(None, 1.0)
    renderer.set_background_color(np.zeros(1))
    upstream = np.ones((scene.size, scene.size, 1))

    def forward() -> list:
        with _peer_warnings_ignored():
            mesh.set_vertices(vertices)
            return [renderer.render(view) for view in cameras]

    def both() -> np.ndarray:
        gradient = np.zeros_like(vertices)
        with _peer_warnings_ignored():
            mesh.set_vertices(vertices)
            for view in cameras:
                renderer.render(view)
                renderer.render_backward(upstream)
                gradient += mesh._vertices_b
        return gradient

    return Renderer("deodr", forward, both)
