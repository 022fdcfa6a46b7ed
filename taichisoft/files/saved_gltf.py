"""GLB and glTF files of a mesh."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from torch import Tensor

from taichisoft.files.gltf_materials import WRAPS
from taichisoft.files.saved_materials import Image, Saved, faces_of, saved_materials
from taichisoft.geometry.material import Material
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.normals import corner_normals

COMPONENTS = {"uint8": 5121, "uint32": 5125, "float32": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
CODES = {wrap: code for code, wrap in WRAPS.items()}
LINEAR = 9729
RGBA = 4


@dataclass
class Writer:
    """The tree and the buffer of a file that is being made."""

    tree: dict[str, Any] = field(default_factory=lambda: {"asset": {"version": "2.0"}})
    buffer: bytearray = field(default_factory=bytearray)

    def append(self, kind: str, item: dict[str, Any]) -> int:
        """Add to one of the lists of the tree, and return the number of what was added."""
        items = self.tree.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def view(self, content: bytes) -> int:
        """Add bytes, which begin at a multiple of 4."""
        place = {"buffer": 0, "byteOffset": len(self.buffer), "byteLength": len(content)}
        self.buffer += content + bytes(-len(content) % 4)
        return self.append("bufferViews", place)

    def accessor(self, values: np.ndarray, **more: Any) -> int:
        """Add rows of numbers."""
        rows = np.ascontiguousarray(values.reshape(len(values), -1))
        stated = {
            "bufferView": self.view(rows.tobytes()),
            "componentType": COMPONENTS[rows.dtype.name],
            "count": len(rows),
            "type": TYPES[rows.shape[1]],
        }
        return self.append("accessors", stated | more)


def gltf_files(mesh: Mesh, colors: np.ndarray | None, path: Path) -> dict[Path, bytes]:
    """Return the content of the files of a mesh by path, the GLB or glTF file last.

    Parameters
    ----------
    mesh : Mesh
    colors : array, (V, 3) or (V, 4), uint8, or None
        Of the vertices.
    path : Path
        Of the file; the others are beside it.
    """
    writer = Writer()
    files: dict[Path, bytes] = {}
    binary = path.suffix.lower() == ".glb"
    translucent = colors is not None and colors.shape[1] == RGBA
    if mesh.materials is not None:
        saved, images = saved_materials(mesh.materials)
        for number, image in enumerate(images):
            if binary:
                view = writer.view(image.content)
                writer.append("images", {"bufferView": view, "mimeType": "image/png"})
            else:
                # not the name that an OBJ file beside it gives its images
                file = path.with_name(f"{path.stem}_gltf_{number}.png")
                files[file] = image.content
                writer.append("images", {"uri": quote(file.name)})
        for material, one in zip(mesh.materials, saved, strict=True):
            writer.append("materials", _material(writer, material, one, images, translucent))
    elif translucent:
        writer.append("materials", {"alphaMode": "BLEND", "doubleSided": True})
    primitives = _primitives(writer, mesh, colors)
    writer.tree |= {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": primitives}],
        "buffers": [{"byteLength": len(writer.buffer)}],
    }
    if binary:
        return {path: _glb(writer)}
    numbers = path.with_suffix(".bin")
    writer.tree["buffers"][0]["uri"] = quote(numbers.name)
    files[numbers] = bytes(writer.buffer)
    files[path] = json.dumps(writer.tree).encode()
    return files


def _material(
    writer: Writer, material: Material, saved: Saved, images: list[Image], translucent: bool
) -> dict[str, Any]:
    base: dict[str, Any] = {
        "baseColorFactor": [*saved.color, saved.opacity],
        "metallicFactor": 0,
        "roughnessFactor": 1,
    }
    through = translucent or material.opacity is not None
    if saved.image is not None:
        through |= images[saved.image].has_opacity
        wraps = {"wrapS": CODES[material.wrap_u], "wrapT": CODES[material.wrap_v]}
        sampler = writer.append("samplers", {"magFilter": LINEAR, "minFilter": LINEAR, **wraps})
        texture = writer.append("textures", {"source": saved.image, "sampler": sampler})
        base["baseColorTexture"] = {"index": texture}
    return {
        "name": saved.name,
        "pbrMetallicRoughness": base,
        "alphaMode": "BLEND" if through else "OPAQUE",
        "doubleSided": True,
    }


def _primitives(writer: Writer, mesh: Mesh, colors: np.ndarray | None) -> list[dict[str, Any]]:
    """Return a primitive for the faces of each material."""
    chosen = faces_of(mesh.face_materials, mesh.num_faces)
    normals = None if mesh.normal_faces is None else corner_normals(mesh)
    primitives = []
    for number in np.unique(chosen).tolist():
        primitive = _primitive(writer, mesh, colors, normals, chosen == number)
        if "materials" in writer.tree:
            primitive["material"] = number
        primitives.append(primitive)
    return primitives


def _primitive(
    writer: Writer,
    mesh: Mesh,
    colors: np.ndarray | None,
    normals: tuple[Tensor, Tensor] | None,
    faces: np.ndarray,
) -> dict[str, Any]:
    """Return the faces of one material, with the vertices that they use; of all faces with all vertices."""
    index = [mesh.faces.cpu().numpy()]
    if mesh.uv_faces is not None:
        index.append(mesh.uv_faces.cpu().numpy())
    if normals is not None:
        index.append(normals[1].cpu().numpy())
    corners = np.stack(index, -1)[faces].reshape(-1, len(index))
    if faces.all() and len(index) == 1:
        rows, own = np.arange(mesh.num_vertices)[:, None], corners[:, 0]
    else:
        rows, own = np.unique(corners, axis=0, return_inverse=True)
    attributes = {}
    indices = writer.accessor(own.reshape(-1).astype(np.uint32))
    if colors is not None:
        levels = np.full((len(rows), 4), 255, np.uint8)
        levels[:, : colors.shape[1]] = colors[rows[:, 0]]
        attributes["COLOR_0"] = writer.accessor(levels, normalized=True)
    if mesh.uv is not None:
        own_uv = rows[:, 0 if mesh.uv_faces is None else 1]
        u, v = mesh.uv.detach().cpu().numpy()[own_uv].T
        attributes["TEXCOORD_0"] = writer.accessor(np.stack([u, 1 - v], -1).astype(np.float32))
    if normals is not None:
        directions = normals[0].detach().cpu().numpy()[rows[:, -1]]
        attributes["NORMAL"] = writer.accessor(directions.astype(np.float32))
    positions = mesh.vertices.detach().cpu().numpy()[rows[:, 0]].astype(np.float32)
    bounds = {"min": positions.min(0).tolist(), "max": positions.max(0).tolist()}
    attributes["POSITION"] = writer.accessor(positions, **bounds)
    return {"attributes": attributes, "indices": indices, "mode": 4}


def _glb(writer: Writer) -> bytes:
    text = json.dumps(writer.tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(writer.buffer), b"BIN\0") + bytes(writer.buffer)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
