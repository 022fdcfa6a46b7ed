"""Canonical order: faces sorted by what they are, so that sums over them are taken in one order."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from taichisoft.appearance.texture import Texture
from taichisoft.geometry.attributes import with_colors
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch


def in_canonical_order(
    mesh: Mesh | MeshBatch, colors: Tensor | Texture | None
) -> tuple[Mesh | MeshBatch, Texture | None, Tensor]:
    """Return what is drawn with its faces in an order that does not depend on the one they came in.

    Faces are sorted by their vertices, then by the rows of a texture's coordinates or by their colours, by
    their opacity, and by their materials and the rows of coordinates of these. Those that agree in all of
    these are the same face twice: which comes first makes no difference.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
        As `taichisoft.engine.projection.as_drawable` returns it.
    colors : Tensor, Texture or None
        As for `SoftRasterizer.forward`.

    Returns
    -------
    mesh : Mesh or MeshBatch
        With the colours that were given as a tensor.
    texture : Texture or None
        The one that was given.
    source : Tensor, (F,), int64
        Which of the faces of its mesh each face was.

    Raises
    ------
    TypeError, ValueError
        Colours of a wrong type, shape, dtype or device.
    """
    texture = colors if isinstance(colors, Texture) else None
    if colors is not None and not isinstance(colors, Texture):
        mesh = with_colors(mesh, colors)
    keys = [mesh.faces]
    if texture is not None:
        # One that does not fit the mesh is told so where the two come together.
        if texture.uv_faces is not None and len(texture.uv_faces) == mesh.num_faces:
            keys.append(texture.uv_faces)
    elif mesh.face_colors is not None:
        keys.append(mesh.face_colors.detach().movedim(-2, 0).flatten(1))
    has_own_uv = texture is not None and len(keys) > 1
    if mesh.face_opacity is not None:
        keys.append(mesh.face_opacity.detach().reshape(-1, mesh.num_faces).T)
    of_faces = (mesh.face_materials, mesh.uv_faces, mesh.normal_faces, mesh.face_objects)
    keys += [x.reshape(mesh.num_faces, -1) for x in of_faces if x is not None]
    order = _sorted_by(keys)
    own = None if mesh.face_colors is None else mesh.face_colors.index_select(-2, order)
    opacity = None if mesh.face_opacity is None else mesh.face_opacity.index_select(-1, order)
    face_materials, uv_faces, normal_faces, face_objects = (
        None if x is None else x[order] for x in of_faces
    )
    mesh = replace(
        mesh,
        faces=mesh.faces[order],
        face_colors=own,
        face_opacity=opacity,
        face_materials=face_materials,
        uv_faces=uv_faces,
        normal_faces=normal_faces,
        face_objects=face_objects,
    )
    if texture is not None and has_own_uv:
        texture = replace(texture, uv_faces=keys[1][order])
    if isinstance(mesh, MeshBatch):
        # Faces of a mesh stay together, since their vertices do.
        counts = torch.tensor(mesh.face_counts, device=order.device)
        order = order - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return mesh, texture, order


def _sorted_by(keys: list[Tensor]) -> Tensor:
    """Return the order of rows, (F,), by columns of tables, (F, K), the first of which counts most."""
    columns = [column for key in keys for column in key.unbind(1)]
    order = torch.arange(len(keys[0]), device=keys[0].device)
    for column in reversed(columns):
        order = order[torch.argsort(column[order], stable=True)]
    return order
