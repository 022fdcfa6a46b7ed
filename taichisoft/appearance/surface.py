"""The look of a surface: what is interpolated over it, and what becomes of that at each fragment."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.appearance.lights import Lighting, PerImage, Shading
from taichisoft.appearance.shader import Eye, Shader, lit_points
from taichisoft.appearance.sides import seen_sides
from taichisoft.appearance.texture import Texture
from taichisoft.appearance.textured import Textured, plain_colors, plain_opacity, times
from taichisoft.base.checks import check_batch, check_type
from taichisoft.base.transforms import beneath
from taichisoft.cameras.camera import Camera
from taichisoft.geometry.attributes import (
    Attributes,
    colors_of,
    joined,
    opacity_of,
    with_colors,
)
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.geometry.normals import corner_normals, face_normals

# What a mesh without colours is lit as.
WHITE = 3


@dataclass(frozen=True, eq=False)
class Surface:
    """What is drawn of a mesh besides its shape.

    Parameters
    ----------
    attributes : Attributes or None
        What is interpolated.
    shader : Shader or None
        What becomes of it; None if the attributes are what is seen.
    channels : int
        Number of channels of the colours.
    has_colors : bool
        Whether there are colours at all, be it without channels.
    normals : bool
        Whether three channels of normals follow.
    objects : int or None
        How many channels follow that tell objects apart, 1 on the faces of that object and else 0; None if
        objects are not rendered.
    opacity : bool
        Whether the opacity of the fragment, in [0, 1], is the last column of all: of the attributes, or of
        what the shader returns.
    """

    attributes: Attributes | None
    shader: Shader | None
    channels: int
    has_colors: bool
    normals: bool
    objects: int | None = None
    opacity: bool = False

    @property
    def outputs(self) -> int:
        """Number of channels of what is seen, colours, normals and objects; the opacity is not counted."""
        return self.channels + 3 * self.normals + (self.objects or 0)


def prepare(
    mesh: Mesh | MeshBatch,
    camera: Camera,
    colors: Tensor | Texture | None,
    lighting: Lighting | None,
    normals: bool,
    objects: bool = False,
) -> Surface:
    """Return the look of a mesh.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
        As `taichisoft.engine.projection.as_drawable` returns it.
    camera : Camera
        Of the pixels that are really rendered.
    colors, lighting, normals, objects
        As for `SoftRasterizer.forward`.

    Raises
    ------
    TypeError, ValueError
        As `SoftRasterizer.forward`.
    """
    check_type(lighting, "lighting", (Lighting, type(None)))
    check_type(normals, "normals", bool)
    apart = _objects(mesh) if check_type(objects, "objects", bool) else None
    count = None if apart is None else apart.channels
    base, own, textured = _base(mesh, camera, colors)
    if base is None and lighting is not None:
        base = Attributes(mesh.vertices.new_ones(1, WHITE), torch.zeros_like(mesh.faces))
    has_colors = base is not None
    channels = _channels(base if textured is None else textured, lighting)
    lit = 0 if lighting is None else lighting.channels
    late = lighting if lighting is not None and lighting.shading is Shading.PHONG else None
    through = textured is not None and textured.opacity
    shader = None
    if textured is not None or late is not None:
        assert base is not None, "a texture has coordinates, and what is lit has colours"
        others = 3 * normals + (count or 0) + (own is not None)
        shader = Shader(
            base.channels,
            None if textured is None else textured.images,
            textured is not None and textured.scaled,
            0 if textured is None else base.channels - textured.coordinates.channels,
            textured is None or textured.built_in,
            late,
            0 if late else lit,
            Eye.of(camera),
            channels,
            others,
            through,
            own is not None,
        )
    if lighting is not None or normals:
        base = _with_geometry(mesh, camera, base, lighting, normals, textured=textured is not None)
    for more in (apart, own):
        if more is not None:
            base = joined(base, more)
    attributes = _for_images(mesh, camera, base, textured, lighting)
    opacity = own is not None or through
    return Surface(attributes, shader, channels, has_colors, normals, count, opacity)


def _objects(mesh: Mesh | MeshBatch) -> Attributes:
    """Return a channel for each object, which is 1 on its faces."""
    if mesh.face_objects is None:
        raise ValueError(
            "mesh must say which object each face is of to render objects, and face_objects is None: "
            "ts.join makes a scene that does"
        )
    count = int(beneath(mesh.face_objects).max()) + 1 if mesh.num_faces else 0
    rows = torch.eye(count, dtype=mesh.dtype, device=mesh.device)
    return Attributes(rows, mesh.face_objects[:, None].expand(-1, 3))


def _base(
    mesh: Mesh | MeshBatch, camera: Camera, colors: Tensor | Texture | None
) -> tuple[Attributes | None, Attributes | None, Textured | None]:
    """Return colours, or coordinates of images with colours to multiply; own opacity; and the images.

    What is given takes the place of all colours of the mesh, those of its materials included.
    """
    own = opacity_of(mesh)
    if isinstance(colors, Texture):
        textured = Textured.of_texture(colors, mesh, camera)
        return textured.coordinates, own, textured
    if colors is not None:
        return colors_of(with_colors(mesh, colors)), own, None
    tint = colors_of(mesh)
    if mesh.materials is None:
        return tint, own, None
    if not any(material.has_texels for material in mesh.materials):
        return times(plain_colors(mesh), tint), times(plain_opacity(mesh), own), None
    textured = Textured.of_materials(mesh, camera)
    base = textured.coordinates
    return base if tint is None else joined(base, tint), own, textured


def _channels(base: Attributes | Textured | None, lighting: Lighting | None) -> int:
    """Return the number of channels of the colours."""
    own = 0 if base is None else base.channels
    if lighting is None:
        return own
    if own != lighting.channels and 1 not in (own, lighting.channels):
        raise ValueError(
            f"lights and specular must have 1 channel or the {own} of the colours, got "
            f"{lighting.channels}"
        )
    return own if lighting.channels == 1 else lighting.channels


def _with_geometry(
    mesh: Mesh | MeshBatch,
    camera: Camera,
    base: Attributes | None,
    lighting: Lighting | None,
    normals: bool,
    *,
    textured: bool,
) -> Attributes:
    """Return what depends on the shape as attributes of every corner: see `Shader`."""
    shading = None if lighting is None else lighting.shading
    positions, directions = _geometry(mesh, flat=shading is Shading.FLAT)
    columns = [] if base is None else [base.corners()]
    towards = directions
    if lighting is not None and lighting.two_sided:
        towards = _turned(mesh, camera, directions)
    if shading is Shading.PHONG:
        columns += [positions, towards]
    elif lighting is not None:
        points = lit_points(positions, towards, Eye.of(camera), _of_corners(mesh))
        light = [x.expand(*x.shape[:-1], lighting.channels) for x in lighting.sums(points)]
        columns = columns + light if textured else [columns[0] * light[0] + light[1]]
    if normals:
        columns.append(directions)
    batch = max(column.shape[0] for column in columns)
    columns = [column.expand(batch, -1, -1) for column in columns]
    return Attributes.at_corners(torch.cat(columns, -1))


def _geometry(mesh: Mesh | MeshBatch, *, flat: bool) -> tuple[Tensor, Tensor]:
    """Return positions and normals of all corners, or, if flat, the centre and normal of their face."""
    corners = Attributes(_rows(mesh, mesh.vertices), mesh.faces).corners()
    if not flat:
        return corners, Attributes(*corner_normals(mesh)).corners()
    centres = corners.reshape(corners.shape[0], -1, 3, 3).mean(2)
    normals = face_normals(mesh).reshape(centres.shape)
    return centres.repeat_interleave(3, 1), normals.repeat_interleave(3, 1)


def _turned(mesh: Mesh | MeshBatch, camera: Camera, directions: Tensor) -> Tensor:
    """Return the normals of all corners, turned round on faces that the camera sees from inside."""
    sides = seen_sides(mesh, camera).repeat_interleave(3, -1)
    inside = (sides[None] if isinstance(mesh, MeshBatch) else sides)[..., None] < 0
    return torch.where(inside, -directions, directions)


def _rows(mesh: Mesh | MeshBatch, values: Tensor) -> Tensor:
    """Return what belongs to vertices as the faces index it."""
    return values.flatten(0, 1) if isinstance(mesh, MeshBatch) else values


def _of_corners(mesh: Mesh | MeshBatch) -> PerImage:
    """Return the function that takes values per image to the corners of the faces."""

    def of_corners(value: Tensor) -> Tensor:
        if value.shape[0] == 1 or isinstance(mesh, Mesh):
            return value[:, None]
        counts = torch.tensor(mesh.face_counts, device=value.device)
        return value.repeat_interleave(3 * counts, 0)[None]

    return of_corners


def _for_images(
    mesh: Mesh | MeshBatch,
    camera: Camera,
    attributes: Attributes | None,
    textured: Textured | None,
    lighting: Lighting | None,
) -> Attributes | None:
    """Return the attributes for every image, if only texture or lighting say how many there are."""
    sizes = {"mesh": mesh.batch_size, "camera": camera.batch_size}
    if attributes is None:
        return None
    sizes["attributes"] = attributes.batch_size
    if textured is not None:
        sizes["texture"] = textured.batch_size
    if lighting is not None:
        sizes["lighting"] = lighting.batch_size
    images = check_batch(sizes)
    if isinstance(mesh, MeshBatch):
        return attributes
    if images == max(mesh.batch_size, camera.batch_size, attributes.batch_size):
        return attributes
    return Attributes(attributes.values.expand(images, -1, -1), attributes.index)
