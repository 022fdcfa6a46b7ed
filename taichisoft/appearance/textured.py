"""Textured surfaces: what is looked up on each face of a mesh, of a `Texture` or of its materials."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from taichisoft.appearance.images import Images
from taichisoft.appearance.projected_size import texel_scales
from taichisoft.appearance.pyramid import Pyramid
from taichisoft.appearance.texture import Texture
from taichisoft.base.checks import check_batch, check_like
from taichisoft.base.transforms import beneath, is_traced
from taichisoft.cameras.camera import Camera
from taichisoft.geometry.attributes import Attributes
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch


@dataclass(frozen=True, eq=False)
class Textured:
    """Images over the faces of a mesh.

    Parameters
    ----------
    coordinates : Attributes
        Columns u and v; then, if any image has smaller versions, the scale of
        `taichisoft.appearance.projected_size`; then, of several images, the number of that of the face.
    scaled : bool
        Whether there is that scale.
    images : Images
        What is looked up.
    opacity : bool
        Whether the last channel of the images is an opacity, and no colour.
    built_in : bool
        Whether nothing is of a class that a user wrote.
    """

    coordinates: Attributes
    scaled: bool
    images: Images
    opacity: bool
    built_in: bool = True

    @property
    def channels(self) -> int:
        """Number of channels of the colours."""
        return self.images.texels.shape[-1] - self.opacity

    @property
    def batch_size(self) -> int:
        """Number of images that are rendered, 1 if all have the same texels."""
        return self.images.texels.shape[0]

    @classmethod
    def of_texture(cls, texture: Texture, mesh: Mesh | MeshBatch, camera: Camera) -> Textured:
        """Return a texture over a mesh; raises TypeError or ValueError if they do not fit."""
        if isinstance(mesh, MeshBatch):
            raise ValueError("a Texture cannot be given for a batch of different meshes")
        check_like(texture.image, "image of the texture", mesh.vertices, "vertices")
        if texture.uv_faces is not None:
            if len(texture.uv_faces) != mesh.num_faces:
                raise ValueError(
                    f"uv_faces must have one row for each of the {mesh.num_faces} faces of the mesh, "
                    f"got {len(texture.uv_faces)}"
                )
            uv = Attributes(texture.uv, texture.uv_faces)
        elif texture.uv.shape[-2] != mesh.num_vertices:
            raise ValueError(
                f"uv must have one row for each of the {mesh.num_vertices} vertices of the mesh unless "
                f"uv_faces is given, got {texture.uv.shape[-2]}"
            )
        else:
            uv = Attributes(texture.uv, mesh.faces)
        if texture.mipmaps:
            height, width = texture.image.shape[-3:-1]
            uv = _beside(uv, texel_scales(mesh, camera, height * width, uv))
        looked_up = texture.with_opacity_as_channel()
        return cls(
            uv,
            texture.mipmaps,
            looked_up.pyramid().images(),
            texture.opacity is not None,
            type(texture) is Texture,
        )

    @classmethod
    def of_materials(cls, mesh: Mesh | MeshBatch, camera: Camera) -> Textured:
        """Return the materials of a mesh, of which one at least has an image."""
        materials = mesh.materials
        assert materials is not None, "they have an image"
        assert mesh.uv is not None, "images have coordinates"
        uv = Attributes(mesh.uv, mesh.faces if mesh.uv_faces is None else mesh.uv_faces)
        opacity = any(material.has_opacity for material in materials)
        pyramids = [_pyramid(material, opacity=opacity) for material in materials]
        numbers = numbers_of(mesh)
        scaled = any(material.mipmaps for material in materials)
        if scaled:
            sizes = [pyramid.levels[0].height * pyramid.levels[0].width for pyramid in pyramids]
            texels = torch.tensor(sizes, device=mesh.device)[numbers]
            uv = _beside(uv, texel_scales(mesh, camera, texels, uv))
        if len(materials) > 1:
            uv = _beside(uv, numbers.to(mesh.dtype).repeat_interleave(3)[None, :, None])
        return cls(uv, scaled, Images.joined([x.images() for x in pyramids]), opacity)


def plain_colors(mesh: Mesh | MeshBatch) -> Attributes:
    """Return the colours of materials without images, of each face."""
    assert mesh.materials is not None, "there are materials"
    colors = torch.stack([material.color for material in mesh.materials])
    return _of_faces(mesh, colors)


def plain_opacity(mesh: Mesh | MeshBatch) -> Attributes | None:
    """Return the opacity of materials without images, of each face; None if all are opaque."""
    assert mesh.materials is not None, "there are materials"
    if not any(material.has_opacity for material in mesh.materials):
        return None
    opaque = mesh.vertices.new_ones(())
    given = [opaque if x.opacity is None else x.opacity for x in mesh.materials]
    return _of_faces(mesh, torch.stack(given)[:, None])


def times(first: Attributes | None, second: Attributes | None) -> Attributes | None:
    """Return the product of attributes at the corners; None is 1. Those of one channel count for all."""
    if first is None or second is None:
        return first if second is None else second
    return Attributes.at_corners(first.corners() * second.corners())


def numbers_of(mesh: Mesh | MeshBatch) -> Tensor:
    """Return which of the materials each face has, (F,), int64."""
    if mesh.face_materials is None:
        return torch.zeros(mesh.num_faces, dtype=torch.int64, device=mesh.device)
    return mesh.face_materials


def _of_faces(mesh: Mesh | MeshBatch, values: Tensor) -> Attributes:
    """Return values of materials, (M, C), as attributes of the faces."""
    return Attributes(values, numbers_of(mesh)[:, None].expand(-1, 3))


def _beside(first: Attributes, column: Tensor) -> Attributes:
    """Return attributes with one more column, (b, 3 F, 1), given at the corners."""
    parts = [first.corners(), column]
    batch = check_batch({"uv": len(parts[0]), "mesh and camera": len(parts[1])})
    return Attributes.at_corners(torch.cat([x.expand(batch, -1, -1) for x in parts], -1))


def _pyramid(material: Material, *, opacity: bool) -> Pyramid:
    """Return what is looked up of a material, of one texel if it is plain; with an opacity or without."""
    color, image, through = material.color, material.image, material.image_opacity
    size = next((x.shape[:2] for x in (image, through) if x is not None), (1, 1))
    texels = color.expand(*size, -1) if image is None else _scaled(image, color)
    if opacity:
        through = color.new_ones(size) if through is None else through
        if material.opacity is not None:
            through = _scaled(through, material.opacity)
        texels = torch.cat([texels, through[..., None]], -1)
    return Pyramid.of(texels[None], material.wrap_u, material.wrap_v, smaller=material.mipmaps)


def _scaled(image: Tensor, factor: Tensor) -> Tensor:
    """Return an image times a factor; as it is where that is a constant 1, since images are large."""
    if not is_traced(factor) and bool((beneath(factor) == 1).all()):
        return image
    return image * factor
