"""The benchmark scene: views of a sphere, as the renderers compared need it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

import taichisoft as ts

VIEWS = 4
FIELD_OF_VIEW = 40.0
DISTANCE = 4.0


@dataclass(frozen=True, eq=False)
class Scene:
    """A mesh and the cameras that look at it.

    Parameters
    ----------
    mesh : Mesh
        An icosphere.
    camera : Camera
        Views from around it.
    """

    mesh: ts.Mesh
    camera: ts.Camera

    @property
    def size(self) -> int:
        """Height and width of the images."""
        return self.camera.image_size[0]

    def to(self, device: str) -> Scene:
        """Return it with its tensors on a device."""
        return Scene(self.mesh.to(device), self.camera.to(device))

    @property
    def label(self) -> str:
        """What the scene is called in the tables."""
        return f"{self.mesh.num_faces} faces, {self.camera.batch_size} x {self.size} x {self.size}"


@dataclass(frozen=True)
class Setting:
    """The numbers that make a scene, and the softness it is rendered with.

    Parameters
    ----------
    subdivisions : int
        Of the sphere: 20 faces, and four times as many with each.
    size, views : int
        Height and width of the images, and their number.
    sigma : float
        Softness of SoftRas, in squared half image heights.
    device : str
        Where the tensors of the scene are.
    """

    subdivisions: int = 3
    size: int = 256
    views: int = VIEWS
    sigma: float = 1e-4
    device: str = "cpu"

    @property
    def label(self) -> str:
        """What it is called in the tables."""
        return f"{self.faces} faces, {self.views} x {self.size} x {self.size}, sigma {self.sigma:g}"

    @property
    def faces(self) -> int:
        """Number of faces."""
        return 20 * 4**self.subdivisions

    @property
    def scene(self) -> Scene:
        """The sphere and its views."""
        return sphere_scene(self.size, self.subdivisions, self.views).to(self.device)

    @property
    def renderer(self) -> ts.SoftRasterizer:
        """A rasterizer of that softness, as SoftRas has it, with nothing to learn."""
        return ts.SoftRasterizer(ts.Logistic.softras(self.sigma)).requires_grad_(False)


def sphere_scene(size: int, subdivisions: int = 3, views: int = VIEWS) -> Scene:
    """Return the scene: 3 subdivisions make 1,280 faces, 4 make 5,120."""
    return Scene(ts.shapes.icosphere(subdivisions), around(views, size))


def around(views: int, size: int) -> ts.Camera:
    """Return cameras that look at the origin from around it."""
    azimuth = torch.arange(views) * 1.5
    eye = DISTANCE * torch.stack([azimuth.sin(), torch.zeros(views), azimuth.cos()], 1)
    return ts.Camera.look_at(eye, fov=FIELD_OF_VIEW, image_size=(size, size))
