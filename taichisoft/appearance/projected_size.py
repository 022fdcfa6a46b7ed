"""The projected size of texels, by which a smaller version of a texture is seen.

On a face u/w, v/w and 1/w are linear in the pixel, w the depth. So an area in texels is that in pixels times
``k w^3``, where k, a constant of the face, is the determinant of its corners in (u, v, 1), in texels, over
that of its corners in (x w, y w, w), x and y in pixels. The latter is a volume in camera coordinates: nothing
is divided by depth, and a face may reach behind the camera. ``k^(1/3) w`` is linear on the face, as
attributes are: interpolated from the corners it is exact at every pixel. With a lens the face is
that between the corners as the lens shows them, if it shows all three beyond the near plane.
"""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.appearance.sides import NOISE
from taichisoft.cameras.camera import Camera
from taichisoft.geometry.attributes import Attributes
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch

# A scale of which no texture has so many levels.
COARSEST = 2.0**24


def texel_scales(
    mesh: Mesh | MeshBatch, camera: Camera, texels: int | Tensor, uv: Attributes
) -> Tensor:
    """Return the cube roots of texels per pixel, in area, at the corners of faces.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
    camera : Camera
        Of the pixels that are really rendered.
    texels : int or Tensor, (F,)
        How many the image has, of all faces or of each.
    uv : Attributes
        Its coordinates on the mesh.

    Returns
    -------
    Tensor, (b, 3 F, 1) with b = 1 or B
        To be interpolated; negative behind the camera. Differentiable, any number of times, in vertices,
        camera and coordinates. Without a gradient it is `COARSEST` on a face that is seen edge-on, and 0 on
        one that is none in the texture.

    Raises
    ------
    TypeError, ValueError
        As `Camera.to_view`.
    """
    given = mesh.vertices
    # Volumes overflow early. Apple's devices have no float64.
    dtype = given.dtype if given.device.type == "mps" else torch.float64
    camera = camera.to(dtype=dtype)
    view = camera.to_view(given.to(dtype))
    pixels = torch.linalg.det(camera.intrinsics[:, :2, :2])[:, None]
    if isinstance(mesh, MeshBatch):
        counts = torch.tensor(mesh.face_counts, device=given.device)
        pixels = pixels.expand(len(view), 1).repeat_interleave(counts, 0).T
    a, b, c = _drawn_corners(mesh, view, camera)
    normals = torch.linalg.cross(b - a, c - a)
    sight = a if camera.perspective else a.new_tensor([0.0, 0.0, 1.0]).expand_as(a)
    volumes = (normals * sight).sum(-1)
    depths = torch.stack([a, b, c], 2)[..., 2] if camera.perspective else torch.ones_like(a)
    noise = NOISE * torch.finfo(given.dtype).eps * _lengths(normals) * _lengths(sight)
    seen = (volumes.abs() > noise) & (pixels != 0)
    areas = texels * _doubled_areas(uv.corners().to(dtype))
    usable = seen & (areas != 0)
    ratio = torch.where(usable, areas, 1) / torch.where(usable, volumes * pixels, 1)
    scales = ratio.abs().pow(1 / 3).unsqueeze(-1) * depths
    without = torch.where(seen, 0.0, COARSEST).to(dtype)
    scales = torch.where(usable.unsqueeze(-1), scales, without.unsqueeze(-1))
    return scales.flatten(1).unsqueeze(-1).to(given.dtype)


def levels_of(scales: Tensor) -> Tensor:
    """Return the level that is seen, (N,), given cube roots of texels per pixel in area: 0 if magnified.

    Of level k a texel is 4^k texels of the image.
    """
    return 1.5 * scales.clamp(min=1).log2()


def _drawn_corners(mesh: Mesh | MeshBatch, view: Tensor, camera: Camera) -> list[Tensor]:
    """Return the three corners of faces in camera coordinates, (b, F, 3) each, bent by the lens."""

    def corners(points: Tensor) -> list[Tensor]:
        if isinstance(mesh, MeshBatch):
            points = points.flatten(0, 1)[None]
        return [points.index_select(1, rows) for rows in mesh.faces.unbind(1)]

    if camera.distortion is None:
        return corners(view)
    bent, shown = camera.bent(view)
    whole = torch.stack(corners(shown[..., None])).all(0)
    return [torch.where(whole, b, a) for a, b in zip(corners(view), corners(bent), strict=True)]


def _lengths(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors.detach(), dim=-1)


def _doubled_areas(corners: Tensor) -> Tensor:
    """Return twice the areas of triangles, signed, (b, F), given their corners, (b, 3 F, 2)."""
    a, b, c = corners.unflatten(1, (-1, 3)).unbind(2)
    first, second = b - a, c - a
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
