"""DEODR in the place of our renderer: hard silhouettes with a ramp at their edge."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

import taichisoft as ts
from benchmarks.other_renderer import OtherRenderer
from taichisoft.geometry.topology import half_edges
from taichisoft.softness.scale import as_scale


@final
class Deodr(OtherRenderer):
    """DEODR's silhouettes: 1 inside, and a linear ramp outwards from the edges between front and back faces.

    Ours is the projection, in float64, since derivatives by the camera are needed, and those by vertices that
    DEODR 0.2.3 computes are not those of finite differences where the camera is turned. DEODR's are the
    picture and its derivative by the projected vertices (its class `Scene2D`), one image after the other. A
    silhouette is the picture of a white mesh on black. Back faces are culled, nothing is clipped.

    Parameters
    ----------
    width : Scale or float
        How wide the ramp is, in pixels if it is a number. DEODR calls it sigma.

    Raises
    ------
    ImportError
        DEODR is not installed.
    """

    def __init__(self, width: ts.Scale | float):
        self.width = as_scale(width, "width")
        self._scene_2d = _scene_2d()
        self._faces: Tensor | None = None
        self._shown: list[_Faces] = []

    def set_progress(self, progress: float) -> None:
        """Tell the width, which may be annealed."""
        self.width.set_progress(progress)

    def silhouette(self, mesh: ts.Mesh | ts.MeshBatch, camera: ts.Camera) -> Tensor:
        """Return DEODR's pictures, (B, H, W)."""
        points = camera.to(dtype=torch.float64).project(mesh.vertices.double())
        height = camera.image_size[0]
        width = float(self.width.in_pixels(height).detach())
        shown = self._of(mesh)
        shown = shown * len(points) if len(shown) == 1 else shown
        scenes = [
            self._scene_2d(**faces.seen_at(one), height=height, width=camera.image_size[1])
            for faces, one in zip(shown, points.detach().numpy(), strict=True)
        ]
        return _Pictures.apply(points[..., :2], scenes, width).to(mesh.dtype)

    def _of(self, mesh: ts.Mesh | ts.MeshBatch) -> list[_Faces]:
        """Return the faces of each mesh; kept, as the next step has the same ones."""
        if self._faces is not mesh.faces:
            meshes = mesh.split() if isinstance(mesh, ts.MeshBatch) else [mesh]
            self._shown = [_Faces(one.faces, mesh.vertices.shape[-2]) for one in meshes]
            self._faces = mesh.faces
        return self._shown


class _Pictures(torch.autograd.Function):
    """The pictures of scenes, by the places (B, V, 2) of their vertices in pixels."""

    @staticmethod
    def forward(ctx: Any, places: Tensor, scenes: list, width: float) -> Tensor:
        ctx.scenes = scenes
        return torch.from_numpy(np.stack([scene.render(width)[0][..., 0] for scene in scenes]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        slopes = []
        for scene, image in zip(ctx.scenes, upstream.contiguous().numpy(), strict=True):
            scene.clear_gradients()
            scene.render_backward(image[..., None])
            slopes.append(scene.ij_b)
        return torch.from_numpy(np.stack(slopes)), None, None


class _Faces:
    """The faces of a mesh of V vertices, with what DEODR is told of them that does not change."""

    def __init__(self, faces: Tensor, vertices: int):
        edges = half_edges(faces).sort(1).values
        _, edge = torch.unique(edges, dim=0, return_inverse=True)
        # (F, 3): which edge is the first, second and third one of each face.
        self.edges = edge.reshape(3, -1).T.numpy()
        self.count = int(edge.max()) + 1
        self.corners = faces.T.numpy()
        self.faces = faces.numpy().astype(np.uint32)
        unused = np.zeros(len(faces), dtype=bool)
        self.constant = {
            "faces": self.faces,
            "faces_uv": self.faces,
            "uv": np.zeros((vertices, 2)),
            "textured": unused,
            "shaded": unused,
            "shade": np.zeros(vertices),
            "texture": np.zeros((0, 0)),
            "colors": np.ones((vertices, 1)),
            "nb_colors": 1,
            "background_color": np.zeros(1),
            "backface_culling": True,
            "integer_pixel_centers": False,
        }

    def seen_at(self, points: np.ndarray) -> dict[str, Any]:
        """Return the arguments of `Scene2D` for projected vertices, (V, 4) as `Camera.project` has them."""
        places = np.ascontiguousarray(points[:, :2])
        a, b, c = places[self.corners]
        u, v = b - a, c - a
        # Counter-clockwise seen from outside, with y downwards.
        front = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0
        faces_in_front = np.bincount(self.edges[front].ravel(), minlength=self.count)
        outline = (faces_in_front == 1)[self.edges]
        depths = np.ascontiguousarray(points[:, 2])
        return {**self.constant, "ij": places, "depths": depths, "edgeflags": outline}


def _scene_2d() -> type:
    try:
        from deodr.differentiable_renderer import Scene2D
    except ImportError as error:
        raise ImportError(
            "DEODR is not installed: pip install 'taichisoft[bench]' installs it"
        ) from error
    return Scene2D
