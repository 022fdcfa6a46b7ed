"""Meshes of trimesh, taken and given without a file between."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import torch

from taichisoft.base.checks import check_dtype, check_type
from taichisoft.base.warn import warn_user
from taichisoft.files.colors import levels_of, to_bytes, with_opacity_apart
from taichisoft.files.gltf_materials import BLEND, OPAQUE, opacity_by_mode
from taichisoft.files.images import levels
from taichisoft.files.saved_materials import check_channels, pixels
from taichisoft.files.saved_meshes import FIELDS, RGBA, check_single, colors_held
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.wrap import Wrap

# What goes beside a material, and what without one.
TEXTURED, COLORED = ("uv",), ("vertex_colors", "face_colors")
WORDS = {"materials": "materials, of which there are several"}


def from_trimesh(mesh: Any, dtype: torch.dtype) -> Mesh:
    """Return a mesh of trimesh; see `Mesh.from_trimesh`."""
    import trimesh

    if isinstance(mesh, trimesh.Scene):
        raise TypeError(
            "mesh must be a trimesh.Trimesh, got a Scene: scene.to_mesh() joins its parts"
        )
    check_type(mesh, "mesh", trimesh.Trimesh)
    check_dtype(dtype)
    data = {name: _data(values, mesh) for name, values in mesh.vertex_attributes.items()}
    lost = [name for name, values in data.items() if values is None]
    if lost:
        warn_user(f"vertex_data holds one number for each vertex: {', '.join(lost)} left out")
    return Mesh(
        torch.tensor(np.asarray(mesh.vertices), dtype=torch.float64),
        torch.tensor(np.asarray(mesh.faces), dtype=torch.int64).reshape(-1, 3),
        vertex_data={name: x for name, x in data.items() if x is not None} or None,
        **_look(mesh.visual),
    ).to(dtype=dtype)


def _data(values: Any, mesh: Any) -> torch.Tensor | None:
    """Return numbers of vertices, in the order of bytes and of a type that torch has; None of others."""
    if not isinstance(values, np.ndarray) or values.shape != (len(mesh.vertices),):
        return None
    if values.dtype.kind not in "biuf":
        return None
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:
        return torch.from_numpy(values.astype(np.int64))
    own = values.dtype.newbyteorder("=") if values.dtype.itemsize <= 8 else np.dtype(np.float64)
    return torch.from_numpy(values.astype(own))


def _look(visual: Any) -> dict[str, Any]:
    """Return colours, or a material and UV coordinates."""
    import trimesh

    if visual.kind in ("vertex", "face"):
        rows = levels_of(np.asarray(getattr(visual, f"{visual.kind}_colors")))
        colors, opacity = with_opacity_apart(rows)
        return {f"{visual.kind}_colors": colors, f"{visual.kind}_opacity": opacity}
    if visual.kind != "texture":
        return {}
    material = visual.material
    stated: dict[str, Any] = {"alphaMode": BLEND}
    if isinstance(material, trimesh.visual.material.PBRMaterial):
        image, factor = material.baseColorTexture, material.baseColorFactor
        modes = {name: getattr(material, name) for name in ("alphaMode", "alphaCutoff")}
        stated = {name: value for name, value in modes.items() if value is not None}
    elif isinstance(material, trimesh.visual.material.SimpleMaterial):
        image, factor = material.image, material.diffuse
        # trimesh has this grey where no colour was given: it is no factor of an image.
        if image is not None and np.array_equal(factor, trimesh.visual.color.DEFAULT_COLOR):
            factor = None
    else:
        raise TypeError(
            f"the material of mesh must be a PBRMaterial or a SimpleMaterial, got a {type(material).__name__}"
        )
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
    through, alpha = opacity_by_mode(stated, 1.0 if opacity is None else float(opacity[0]), alpha)
    made = Material(share[0], texels, through, alpha, name=str(material.name or ""))
    return {"materials": (made,), "uv": uv}


def to_trimesh(mesh: Mesh) -> Any:
    """Return a mesh of trimesh; see `Mesh.to_trimesh`."""
    import trimesh

    check_type(mesh, "mesh", Mesh)
    check_single(mesh)
    textured = len(mesh.materials or ()) == 1
    held = TEXTURED if textured else _colors_held(mesh)
    _tell_what_is_lost(mesh, held, textured=textured)
    rows, faces, uv = _apart(mesh) if textured else _whole(mesh)
    out = trimesh.Trimesh(
        mesh.vertices.detach().cpu().double().numpy()[rows],
        faces,
        process=False,
        vertex_attributes={
            name: _array(x, f"vertex_data[{name!r}]")[rows]
            for name, x in (mesh.vertex_data or {}).items()
        },
    )
    if textured:
        assert mesh.materials is not None, "there is one"
        out.visual = trimesh.visual.TextureVisuals(uv, material=_material(mesh.materials[0]))
    for kind, numbers in colors_held(mesh, held).items():
        setattr(out.visual, f"{kind}_colors", numbers)
    return out


def _array(values: torch.Tensor, name: str) -> np.ndarray:
    try:
        return values.detach().cpu().numpy()
    except TypeError as error:  # NumPy has no such type
        raise TypeError(
            f"{name} must be of a dtype that NumPy has, such as float32, got {values.dtype}"
        ) from error


def _colors_held(mesh: Mesh) -> tuple[str, ...]:
    """Return the names of the colours of a mesh, and of the opacity that makes RGBA of them."""
    for name in COLORED:
        colors, opacity = getattr(mesh, name), name.replace("colors", "opacity")
        if colors is not None:
            return (name, opacity) if colors.shape[1] != RGBA else (name,)
    return ()


def _tell_what_is_lost(mesh: Mesh, held: tuple[str, ...], *, textured: bool) -> None:
    names = [name for name in FIELDS if name not in ("vertices", "vertex_data", *held)]
    if textured:
        names.remove("materials")
    lost = [WORDS.get(name, name) for name in names if getattr(mesh, name) is not None]
    images = [one for one in mesh.materials or () if textured and one.has_texels]
    if any({one.wrap_u, one.wrap_v} != {Wrap.REPEAT} for one in images):
        lost.append("wraps other than REPEAT")
    if lost:
        warn_user(f"a mesh of trimesh does not hold {', '.join(lost)}: left out")


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

    check_channels(material, "materials[0]")
    opacity = 1.0 if material.opacity is None else float(material.opacity)
    factor = to_bytes(material.color[None], "color of the material")[0].tolist()
    image = None
    if material.has_texels:
        image = PIL.Image.fromarray(pixels(material, "the material"))
    through = material.has_opacity
    return trimesh.visual.material.PBRMaterial(
        name=material.name or None,
        baseColorFactor=np.array([*factor, round(255 * opacity)], np.uint8),
        baseColorTexture=image,
        alphaMode=BLEND if through else OPAQUE,
    )
