"""Faces that cross the near plane, cut there: what is in front of it is drawn, what is behind is not.

Sutherland and Hodgman, "Reentrant Polygon Clipping" (CACM 1974), for triangles and one plane, in camera
coordinates, before projection. One corner of such a face is alone on its side of the plane. In front, it is
the tip of the one triangle that is left; behind, a quadrilateral is left, drawn as two triangles. Either way
two new points lie on the two edges that leave that corner. Beside the camera they are often far outside of
the image, where an edge that is off by a little is off by pixels: they are computed in float64 where the
device has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.engine.scene import Scene
from taichisoft.engine.topology import CornerRows, Topology


def clip_at_near_plane(scene: Scene, vertices: Tensor, camera: Camera) -> Scene:
    """Return a scene in which no face crosses the near plane.

    Parameters
    ----------
    scene : Scene
        Packed and projected.
    vertices : Tensor, (V, 3) or (B, V, 3)
        Its points in the world, for all images or for each.
    camera : Camera
        One for all images, or one for each.

    Returns
    -------
    Scene
        The very same one if nothing crosses. Otherwise one with the new points and their attributes after
        the old ones, and with one or two triangles in the place of each face that crossed. Faces wholly
        behind the plane stay: the kernels leave them out.

    Notes
    -----
    A new point divides its edge by the depths of the two ends, and its attributes likewise; both are
    differentiable, any number of times, in vertices, attributes and camera. The depth of a new point is that
    of the plane, a constant.
    """
    depth = scene.points.detach()[:, 2]
    if not bool((depth < scene.near).any()):
        return scene
    cuts = _Cuts.find(depth[scene.faces], scene)
    if not len(cuts.face):
        return scene
    # Apple's devices have no float64.
    dtype = scene.points.dtype if vertices.device.type == "mps" else torch.float64
    exact = camera.to(dtype=dtype)
    view = exact.to_view(vertices.to(dtype)).expand(scene.batch_size, -1, -1).reshape(-1, 3)
    shares = cuts.shares(_at(view, cuts.rows(scene.faces))[..., 2] - scene.near)
    new_points = _project(cuts, shares, scene, view, exact).to(scene.points.dtype)
    points = torch.cat([scene.points, new_points])
    channels = scene.channels
    attributes = scene.attributes
    if attributes is not None:
        corners = _at(channels, cuts.rows(scene.attribute_index))
        new = _blend(corners, shares.to(corners.dtype))
        attributes = torch.cat([attributes, new.flatten(0, 1)])
    source = torch.arange(len(scene.faces), device=depth.device).repeat_interleave(cuts.copies)
    counts = torch.bincount(scene.face_images[source], minlength=scene.batch_size)
    return replace(
        scene,
        points=points,
        topology=Topology(
            CornerRows(cuts.replaced(scene.faces, source, len(scene.points))),
            tuple(counts.tolist()),
            scene.source_face[source],
        ),
        attributes=attributes,
        attribute_rows=CornerRows(cuts.replaced(scene.attribute_index, source, len(channels))),
    )


@dataclass(frozen=True, eq=False)
class _Cuts:
    """The K faces that cross the plane, each turned so that the corner alone on its side comes first.

    Parameters
    ----------
    face : Tensor, (K,), int64
        Which faces.
    order : Tensor, (K, 3), int64
        Their corners, the lone one first, in the winding of the face.
    tip : Tensor, (K, 1), bool
        Whether the lone corner is the one in front.
    copies : Tensor, (N,), int64
        By how many triangles each face of the scene is drawn.
    least : float
        By how much a corner is before the plane at the least.
    """

    face: Tensor
    order: Tensor
    tip: Tensor
    copies: Tensor
    least: float

    @classmethod
    def find(cls, depth: Tensor, scene: Scene) -> _Cuts:
        """Find them from the depths of the corners of all faces, (N, 3)."""
        # A corner on the plane counts as behind: it leaves no sliver. So does one in front by so little that
        # dividing by it could overflow.
        least = torch.finfo(depth.dtype).tiny ** 0.25
        front = depth - scene.near > least
        face = (front.any(1) & (depth < scene.near).any(1)).nonzero()[:, 0]
        front = front[face]
        tip = front.sum(1, keepdim=True) == 1
        lone = (front == tip).int().argmax(1, keepdim=True)
        order = (lone + torch.arange(3, device=depth.device)) % 3
        copies = torch.ones(len(depth), dtype=torch.int64, device=depth.device)
        copies[face] += (~tip[:, 0]).long()
        return cls(face, order, tip, copies, least)

    def rows(self, index: Tensor) -> Tensor:
        """Rows of a table of the corners in order, (K, 3), from those of all faces, (N, 3)."""
        return index[self.face].gather(1, self.order)

    def shares(self, height: Tensor) -> Tensor:
        """Shares of the lone corner and of the others in the new points, (2, K, 2, 1).

        From the heights of the corners over the plane, (K, 3). Each is a distance over the sum of two, so
        that none is a difference that cancels, however far behind the camera a corner is. More digits may
        tell that one is on the other side: then it is on the plane.
        """
        outwards = torch.where(self.tip, height, -height)
        lone = outwards[:, :1].clamp(min=0)
        other = (-outwards[:, 1:]).clamp(min=0)
        lone = torch.where(lone + other > 0, lone, self.least)
        return torch.stack([other, lone.expand_as(other)])[..., None] / (lone + other)[..., None]

    def replaced(self, index: Tensor, source: Tensor, first_new: int) -> Tensor:
        """Rows of a table of the corners of all faces after the cut, (N', 3).

        The new points of cut k are the rows ``first_new + 2 k`` and the next one; `source` tells which face
        each of the N' faces was.
        """
        lone, after, before = self.rows(index).unbind(1)
        new_after = first_new + 2 * torch.arange(len(self.face), device=index.device)
        new_before = new_after + 1
        tip = torch.stack([lone, new_after, new_before], 1)
        half = torch.stack([new_after, after, before], 1)
        other_half = torch.stack([new_after, before, new_before], 1)
        first = (self.copies.cumsum(0) - self.copies)[self.face]
        cut_in_two = ~self.tip[:, 0]
        result = index[source]
        result[first] = torch.where(self.tip, tip, half)
        result[first[cut_in_two] + 1] = other_half[cut_in_two]
        return result


def _blend(corners: Tensor, shares: Tensor) -> Tensor:
    """Return values at the new points, (K, 2, C), from those at the corners in order, (K, 3, C)."""
    return shares[0] * corners[:, :1] + shares[1] * corners[:, 1:]


def _project(cuts: _Cuts, shares: Tensor, scene: Scene, view: Tensor, camera: Camera) -> Tensor:
    """Return the projected new points, (2 K, 4)."""
    sideways = _blend(_at(view, cuts.rows(scene.faces))[..., :2], shares)
    depth = sideways.new_full((*sideways.shape[:2], 1), scene.near)
    if len(camera) > 1:
        image = scene.face_images[cuts.face]
        camera = camera.mapped(lambda part: _at(part, image))
    return camera.to_image(torch.cat([sideways, depth], -1)).flatten(0, 1)


def _at(table: Tensor, rows: Tensor) -> Tensor:
    """Return rows of a table; unlike an index, `index_select` adds gradients in order on the CPU."""
    return table.index_select(0, rows.flatten()).unflatten(0, rows.shape)
