"""The renderers that are compared, each as a pair of callables: forward, and forward + backward."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import taichisoft as ts
from benchmarks.scenes import Scene, Setting

Work = Callable[[], object]
Render = Callable[[ts.Mesh], Tensor]
CHANNELS = 3
# Height and width of textures.
TEXELS = 1024


@dataclass(frozen=True)
class Renderer:
    """Something to time.

    Parameters
    ----------
    name : str
        Shown in the table.
    forward : callable
        Renders all views.
    both : callable
        Renders them and returns to the vertices the gradient of their sum.
    """

    name: str
    forward: Work
    both: Work


def fused(setting: Setting, renderer: ts.SoftRasterizer | None = None, name: str = "") -> Renderer:
    """Return our engine, silhouettes only; with the softness of the setting unless another is given."""
    scene, renderer = setting.scene, renderer or setting.renderer
    return timed(scene, name or "taichisoft", lambda mesh: renderer.silhouette(mesh, scene.camera))


def fused_color(setting: Setting) -> Renderer:
    """Return our engine, alpha, depth and colour of three channels."""
    scene, renderer = setting.scene, setting.renderer
    colors = vertex_colors(scene)
    return timed(scene, "taichisoft", lambda mesh: renderer(mesh, scene.camera, colors).color)


def fused_texture(setting: Setting) -> Renderer:
    """Return our engine, colour of a texture of `TEXELS` x `TEXELS`, which is given a gradient as well."""
    scene, renderer = setting.scene, setting.renderer
    texture = world_map(scene, TEXELS)
    return timed(scene, "taichisoft", lambda mesh: renderer(mesh, scene.camera, texture).color)


def dense(setting: Setting) -> Renderer:
    """Return the dense plain-torch twin, silhouettes only."""
    scene, renderer = setting.scene, setting.renderer
    return timed(
        scene,
        "dense torch twin",
        lambda mesh: ts.reference.silhouette(renderer, mesh, scene.camera),
    )


def vertex_colors(scene: Scene) -> Tensor:
    """Return colours in [0, 1] that vary over the mesh, (V, 3)."""
    return (scene.mesh.vertices + 1) / 2


def world_map(scene: Scene, texels: int) -> ts.Texture:
    """Return a random texture around the sphere, each corner of whose faces has its own place in it."""
    x, y, z = scene.mesh.vertices[scene.mesh.faces].reshape(-1, 3).unbind(1)
    uv = torch.stack([torch.atan2(x, z) / (2 * math.pi) + 0.5, y / 2 + 0.5], 1)
    image = torch.rand(texels, texels, CHANNELS, generator=torch.Generator().manual_seed(0))
    return ts.Texture(image.requires_grad_(), uv, torch.arange(len(uv)).reshape(-1, 3))


def timed(scene: Scene, name: str, render: Render) -> Renderer:
    """Return a renderer of all views of a mesh, given what draws them as a tensor."""
    vertices = scene.mesh.vertices.clone().requires_grad_()
    with torch.no_grad():
        upstream = torch.ones_like(render(scene.mesh))

    def forward() -> Tensor:
        with torch.no_grad():
            return render(scene.mesh.with_vertices(vertices))

    def both() -> Tensor:
        vertices.grad = None
        render(scene.mesh.with_vertices(vertices)).backward(upstream)
        return vertices.grad

    return Renderer(name, forward, both)


@contextmanager
def _peer_warnings_ignored() -> Iterator[None]:
    # deodr uses NumPy functions that are deprecated; that is its business.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def deodr(setting: Setting, channels: int = 1) -> Renderer | None:
    """Return deodr's renderer through its public classes, or None if it is not installed.

    deodr draws hard triangles with anti-aliased silhouette edges one pixel wide and skips back faces, so its
    work does not depend on a softness. It has no alpha: a silhouette is an image of one channel.
    """
    try:
        from deodr import ColoredTriMesh, Scene3D
        from deodr.differentiable_renderer import Camera
    except ImportError:
        return None
    scene, size = setting.scene, setting.size
    vertices = scene.mesh.vertices.double().numpy()
    colors = np.ones((len(vertices), 1)) if channels == 1 else vertex_colors(scene).double().numpy()
    mesh = ColoredTriMesh(
        scene.mesh.faces.numpy().astype(np.uint32),
        vertices,
        clockwise=False,
        nb_colors=channels,
        colors=colors,
    )
    camera = scene.camera
    # Its pixels have their centres at whole numbers.
    intrinsics = camera.intrinsics.double().numpy() - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    rotation, translation = camera.rotation.double().numpy(), camera.translation.double().numpy()
    cameras = [
        Camera(np.concatenate([r, t[:, None]], 1), k, size, size)
        for r, t, k in zip(rotation, translation, intrinsics, strict=True)
    ]
    renderer = Scene3D(sigma=1)
    renderer.set_mesh(mesh)
    renderer.set_light(None, 1.0)
    renderer.set_background_color(np.zeros(channels))
    upstream = np.ones((size, size, channels))

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


def pytorch3d(setting: Setting, faces_per_pixel: int = 50) -> Renderer | None:
    """Return PyTorch3D's soft silhouettes as its documentation sets them up, or None without PyTorch3D.

    Its blur radius is the squared distance at which coverage falls to 1e-4, and it keeps the nearest faces of
    a pixel only.
    """
    try:
        from pytorch3d.renderer import (
            BlendParams,
            MeshRasterizer,
            RasterizationSettings,
            SoftSilhouetteShader,
        )
        from pytorch3d.structures import Meshes
        from pytorch3d.utils import cameras_from_opencv_projection
    except ImportError:
        return None
    scene, size = setting.scene, setting.size
    camera = scene.camera
    cameras = cameras_from_opencv_projection(
        camera.rotation,
        camera.translation,
        camera.intrinsics,
        torch.tensor([[size, size]], device=setting.device).expand(setting.views, 2),
    )
    rasterizer = MeshRasterizer(
        cameras,
        RasterizationSettings(
            image_size=size,
            blur_radius=math.log(1 / 1e-4 - 1) * setting.sigma,
            faces_per_pixel=faces_per_pixel,
        ),
    )
    shader = SoftSilhouetteShader(blend_params=BlendParams(sigma=setting.sigma))

    def render(mesh: ts.Mesh) -> Tensor:
        meshes = Meshes([mesh.vertices], [mesh.faces]).extend(setting.views)
        return shader(rasterizer(meshes), meshes)[..., 3]

    return timed(scene, "PyTorch3D", render)
