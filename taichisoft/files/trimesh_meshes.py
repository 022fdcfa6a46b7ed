"""Meshes of trimesh, taken and given without a file between."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from taichisoft.base.checks import check_dtype, check_type
from taichisoft.base.warn import warn_user
from taichisoft.files.colors import levels_of, to_bytes, with_opacity_apart
from taichisoft.files.images import levels, pillow
from taichisoft.files.saved_materials import pixels
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh

NOT_GIVEN = ("face_opacity", "vertex_opacity", "normal_faces")


def from_trimesh(mesh: Any, dtype: torch.dtype) -> Mesh:
    """Return a mesh of trimesh; see `Mesh.from_trimesh`."""
    import trimesh

    if isinstance(mesh, trimesh.Scene):
        raise TypeError(
            "mesh must be a trimesh.Trimesh, got a Scene: scene.to_mesh() joins its parts"
        )
    check_type(mesh, "mesh", trimesh.Trimesh)
    check_dtype(dtype)
    data = {
        name: torch.from_numpy(np.array(values))
        for name, values in mesh.vertex_attributes.items()
        if isinstance(values, np.ndarray) and values.shape == (len(mesh.vertices),)
    }
    return Mesh(
        torch.tensor(np.asarray(mesh.vertices), dtype=torch.float64),
        torch.tensor(np.asarray(mesh.faces), dtype=torch.int64).reshape(-1, 3),
        vertex_data=data or None,
        **_look(mesh.visual),
    ).to(dtype=dtype)


def _look(visual: Any) -> dict[str, Any]:
    """Return colours, or a material and UV coordinates."""
    if visual.kind in ("vertex", "face"):
        rows = levels_of(np.asarray(getattr(visual, f"{visual.kind}_colors")))
        colors, opacity = with_opacity_apart(rows)
        return {f"{visual.kind}_colors": colors, f"{visual.kind}_opacity": opacity}
    if visual.kind != "texture":
        return {}
    material = visual.material
    if type(material).__name__ == "PBRMaterial":
        image, factor = material.baseColorTexture, material.baseColorFactor
    else:
        image, factor = material.image, getattr(material, "diffuse", None)
    # Factors are bytes or floats, of three numbers or of four.
    share, opacity = with_opacity_apart(
        np.ones((1, 4)) if factor is None else levels_of(np.asarray(factor)).reshape(1, -1)
    )
    texels, alpha = (None, None) if image is None else with_opacity_apart(levels(image))
    uv = (
        None
        if visual.uv is None
        else torch.tensor(np.asarray(visual.uv)[:, :2], dtype=torch.float64)
    )
    if uv is None:
        texels = alpha = None
    name = str(getattr(material, "name", None) or "")
    made = Material(share[0], texels, None if opacity is None else opacity[0], alpha, name=name)
    return {"materials": (made,), "uv": uv}


def to_trimesh(mesh: Mesh) -> Any:
    """Return a mesh of trimesh; see `Mesh.to_trimesh`."""
    import trimesh

    check_type(mesh, "mesh", Mesh)
    for name in ("vertices", "uv"):
        value = getattr(mesh, name)
        if value is not None and value.ndim > 2:
            raise ValueError(f"mesh must not be batched, got {name} of shape {tuple(value.shape)}")
    several = len(mesh.materials or ()) > 1
    textured = mesh.materials is not None and not several
    lost = [name for name in NOT_GIVEN if getattr(mesh, name) is not None]
    lost += ["materials, of which there are several, and uv"] if several else []
    colors = [name for name in ("vertex_colors", "face_colors") if getattr(mesh, name) is not None]
    lost += colors if textured else []
    if lost:
        warn_user(f"a mesh of trimesh does not hold {', '.join(lost)}: left out")
    rows, faces, uv = _apart(mesh) if textured else _whole(mesh)
    out = trimesh.Trimesh(
        mesh.vertices.detach().cpu().double().numpy()[rows],
        faces,
        process=False,
        vertex_attributes={
            name: x.detach().cpu().numpy()[rows] for name, x in (mesh.vertex_data or {}).items()
        },
    )
    if textured:
        assert mesh.materials is not None, "there is one"
        out.visual = trimesh.visual.TextureVisuals(uv, material=_material(mesh.materials[0]))
    elif colors:
        setattr(out.visual, colors[0], to_bytes(getattr(mesh, colors[0]), colors[0]))
    return out


def _whole(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    return np.arange(mesh.num_vertices), mesh.faces.cpu().numpy(), None


def _apart(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return rows of vertices, faces and UV with a row for each pair of a vertex and its coordinates."""
    if mesh.uv is None:
        return _whole(mesh)
    uv = mesh.uv.detach().cpu().double().numpy()
    if mesh.uv_faces is None:
        return (*_whole(mesh)[:2], uv)
    corners = torch.stack([mesh.faces, mesh.uv_faces], -1).reshape(-1, 2).cpu().numpy()
    rows, index = np.unique(corners, axis=0, return_inverse=True)
    return rows[:, 0], index.reshape(-1, 3), uv[rows[:, 1]]


def _material(material: Material) -> Any:
    """Return a material of trimesh, with its factor in 8 bits."""
    import trimesh

    opacity = 1.0 if material.opacity is None else float(material.opacity)
    factor = to_bytes(material.color[None], "color of the material")[0].tolist()
    image = None
    if material.has_texels:
        image = pillow().fromarray(pixels(material, "the material"))
    through = material.has_opacity
    return trimesh.visual.material.PBRMaterial(
        name=material.name or None,
        baseColorFactor=np.array([*factor, round(255 * opacity)], np.uint8),
        baseColorTexture=image,
        alphaMode="BLEND" if through else "OPAQUE",
    )
