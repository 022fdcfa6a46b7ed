"""What `fit_pose` is given, checked, in the units in which poses are searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from taichisoft.base.checks import (
    FLOAT_DTYPES,
    check_finite,
    check_rotation,
    check_shares,
    check_tensor,
    check_type,
)
from taichisoft.cameras.camera import Camera
from taichisoft.cameras.construction import Values, as_batch, as_tensors, check_intrinsics
from taichisoft.cameras.model import NEAR
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.stray_vertices import without_stray_vertices
from taichisoft.poses.alignment import NEAREST
from taichisoft.poses.constant import constant
from taichisoft.poses.evidence import HALF, Evidence
from taichisoft.poses.framed import Framed

MASK_DTYPES = (torch.bool, torch.uint8, *FLOAT_DTYPES)
IMAGE_DTYPES = (torch.uint8, *FLOAT_DTYPES)
WHITE = 255
# Lengths of a last axis that is one of channels, and not the width of a mask.
CHANNELS = (1, 3, 4)
# Masks and photos that are beyond [0, 1] by no more than this have been rounded: sums of weights are.
ROUNDING = 1e-5


@runtime_checkable
class HasPose(Protocol):
    """What has a rotation and a translation of the mesh, such as a `PoseFit` and each of its others."""

    @property
    def R(self) -> Tensor:
        """Rotation, (3, 3)."""

    @property
    def t(self) -> Tensor:
        """Translation, (3,)."""


Pose = HasPose | Sequence[Values]


@dataclass(frozen=True, eq=False)
class Frame:
    """The mesh, and the cameras in its units: the way from there to the units of the search and back.

    Parameters
    ----------
    framed : Framed
        The mesh at radius 1.
    camera : Camera
        The V views, as they were given, dtype and device of the mesh.
    """

    framed: Framed
    camera: Camera

    def relative(self) -> Camera:
        """Return the cameras with the first one as the world, in radii of the mesh, in float32."""
        wide = self.camera.to(dtype=torch.float64)
        turn = wide.rotation @ wide.rotation[0].mT
        shift = (wide.translation - turn @ wide.translation[0]) / self.framed.radius
        near = max(self.camera.near / self.framed.radius, torch.finfo(torch.float32).tiny)
        return replace(wide, rotation=turn, translation=shift, near=near).to(dtype=torch.float32)

    def to_world(self, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        """Return R (P, 3, 3) and t (P, 3) of the mesh, given poses of the search."""
        first = self.camera[0]
        rotation, translation = (x.to(first.rotation) for x in (rotation, translation))
        placed = self.framed.in_mesh_units(rotation, translation) - first.translation
        back = first.rotation[0].mT
        return back @ rotation, placed @ back.mT

    def from_world(self, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        """Return a pose of the search, (3, 3) and (3,) in float32, given R and t of the mesh."""
        first = self.camera[0]
        turned = first.rotation @ rotation
        placed = (first.rotation @ translation) + first.translation
        placed = self.framed.from_mesh_units(turned, placed)
        return turned[0].float(), placed[0].float()

    def seen(self, rotation: Tensor, translation: Tensor) -> Camera:
        """Return the cameras for the mesh itself, given R (3, 3) and t (3,)."""
        camera = self.camera
        return replace(
            camera,
            rotation=camera.rotation @ rotation,
            translation=camera.rotation @ translation + camera.translation,
        )


def check_mesh(mesh: Mesh) -> Mesh:
    """Return a mesh without gradients and stray vertices, after a look whether it is one to be seen."""
    check_type(mesh, "mesh", Mesh)
    if mesh.batch_size > 1 or mesh.vertices.ndim > 2:
        raise ValueError(
            f"mesh must be one mesh without a batch axis, got vertices {tuple(mesh.vertices.shape)}"
        )
    if mesh.num_faces == 0:
        raise ValueError("mesh must have faces to be seen, got none")
    return without_stray_vertices(constant(mesh))


def masks_of(mask: Tensor, invert: bool, like: Tensor) -> Tensor:
    """Return masks (V, H, W) in float32 on the device of another tensor."""
    check_tensor(mask, "mask", ("H", "W"), ("V", "H", "W"), dtypes=MASK_DTYPES)
    if mask.numel() == 0:
        raise ValueError(f"mask must have pixels, got shape {tuple(mask.shape)}")
    levels = constant(mask).to(like.device)
    masks = levels.float()
    if levels.dtype == torch.uint8 and int(levels.max()) > 1:
        masks = masks / WHITE
    masks = _shares(masks, "mask")
    masks = masks if masks.ndim == 3 else masks[None]
    masks = 1 - masks if invert else masks
    least, most = float(masks.min()), float(masks.max())
    if most < HALF or least >= HALF:
        raise ValueError(
            f"mask must have an object and a background, above and below {HALF}, got {least:.3g} to "
            f"{most:.3g}"
        )
    return masks


def camera_of(K: Values | None, camera: Camera | None, masks: Tensor, framed: Framed) -> Camera:
    """Return the cameras of masks, dtype and device of the mesh."""
    if (K is None) == (camera is None):
        raise ValueError(f"K or camera must be given, got {'none' if K is None else 'both'}")
    views, height, width = masks.shape
    size, like = (height, width), framed.mesh.vertices
    if camera is None:
        if views > 1:
            _check_no_channels(masks)
            raise ValueError(
                f"camera must be given for {views} masks: a Camera of {views} views, which says how they "
                "stand to each other; K is for one"
            )
        matrix = as_tensors({"K": K}, like.dtype, like.device)["K"]  # type: ignore[dict-item]
        check_tensor(matrix, "K", (3, 3), (1, 3, 3))
        intrinsics = constant(as_batch(matrix, "K", 3, 3))
        check_intrinsics(intrinsics)
        identity, origin = torch.eye(3).to(like)[None], torch.zeros(1, 3).to(like)
        return Camera(identity, origin, intrinsics, size, True, NEAR * framed.radius)
    check_type(camera, "camera", Camera)
    if not camera.perspective:
        raise ValueError("camera must be a perspective one, got an orthographic one")
    if camera.batch_size != views:
        _check_no_channels(masks)
        raise ValueError(
            f"camera must have a view for each mask, got {camera.batch_size} for {views}"
        )
    if camera.image_size != size:
        raise ValueError(
            f"camera must have the image size of the mask, {size}, got {camera.image_size}"
        )
    check_rotation(camera.rotation, "camera.rotation")
    check_intrinsics(camera.intrinsics)
    return constant(camera.to(device=like.device, dtype=like.dtype))


def _check_no_channels(masks: Tensor) -> None:
    """Raise ValueError if masks, of which there are too many, are one with channels."""
    if masks.shape[-1] in CHANNELS:
        raise ValueError(
            f"mask must have shape (H, W) or (V, H, W), without an axis of channels, got "
            f"{tuple(masks.shape)}; mask[..., 0] is the first channel"
        )


def evidence_of(
    frame: Frame, masks: Tensor, image: Tensor | None, depth: Tensor | None
) -> Evidence:
    """Return what poses are held against, in the units of the search."""
    mesh = frame.framed.mesh.to(dtype=torch.float32)
    # A mask says where the object is, not how much of it is seen through.
    bare = Mesh(mesh.vertices, mesh.faces)
    if image is not None:
        image, bare = _images_of(image, masks), _opaque(mesh)
    if depth is not None:
        depth = _depths_of(depth, masks) / frame.framed.radius
    return Evidence(bare, masks, frame.relative(), image, depth)


def _images_of(image: Tensor, masks: Tensor) -> Tensor:
    """Return photos (V, H, W, 3) in float32."""
    views, height, width = masks.shape
    shapes = [(views, height, width, 3), (height, width, 3)][: 2 if views == 1 else 1]
    check_tensor(image, "image", *shapes, dtypes=IMAGE_DTYPES)
    colors = constant(image).to(masks)
    if image.dtype == torch.uint8:
        colors = colors / WHITE
    colors = _shares(colors, "image")
    return colors if colors.ndim == 4 else colors[None]


def _shares(values: Tensor, name: str) -> Tensor:
    """Return numbers in [0, 1], up to rounding, without what was rounded beyond."""
    within = values.clamp(0, 1)
    values = torch.where((values - within).abs() <= ROUNDING, within, values)
    check_shares(values, name)
    return values


def _opaque(mesh: Mesh) -> Mesh:
    """Return a mesh with its colours and without its opacity."""
    kinds = (mesh.vertex_colors, mesh.face_colors, mesh.materials)
    if all(kind is None for kind in kinds):
        raise ValueError("mesh must have colours or materials to be compared with image, got none")
    mesh = mesh.with_vertex_opacity(None)
    if mesh.materials is None:
        return mesh
    opaque = [replace(one, opacity=None, image_opacity=None) for one in mesh.materials]
    return mesh.with_materials(opaque)


def _depths_of(depth: Tensor, masks: Tensor) -> Tensor:
    """Return depth maps (V, H, W) in float32, NaN where there is none."""
    views, height, width = masks.shape
    shapes = [(views, height, width), (height, width)][: 2 if views == 1 else 1]
    check_tensor(depth, "depth", *shapes)
    depths = constant(depth).to(masks)
    if bool((depths < 0).any()):
        raise ValueError(f"depth must not be negative, got {float(depths[depths < 0][0]):g}")
    depths = depths if depths.ndim == 3 else depths[None]
    known = depths.isfinite() & (depths > 0)
    if not bool((known & (masks >= HALF)).any()):
        raise ValueError(
            "depth must be known somewhere in the mask, got none but NaN, infinity or 0 there"
        )
    return torch.where(known, depths, torch.nan)


def start_of(init: Pose, frame: Frame) -> tuple[Tensor, Tensor]:
    """Return where to start, a pose of the search, given what has R and t or a pair (R, t)."""
    if isinstance(init, HasPose):
        init = (init.R, init.t)
    if not isinstance(init, tuple | list) or len(init) != 2:
        raise TypeError(f"init must be a PoseFit or a pair (R, t), got {type(init).__name__}")
    like = frame.camera.rotation
    given = as_tensors({"init R": init[0], "init t": init[1]}, like.dtype, like.device)
    rotation, translation = (constant(value) for value in given.values())
    check_tensor(rotation, "init R", (3, 3))
    check_tensor(translation, "init t", (3,), (3, 1))
    check_rotation(rotation, "init R")
    check_finite(translation, "init t")
    turned, placed = frame.from_world(rotation, translation.reshape(3))
    if not float(placed[2]) > NEAREST:
        radius = frame.framed.radius
        raise ValueError(
            f"init must place the mesh in front of the first camera, its middle at a depth of more than "
            f"{NEAREST:g} radii ({NEAREST * radius:g}), got {float(placed[2]) * radius:g}"
        )
    return turned, placed
