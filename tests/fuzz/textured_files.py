"""Files with materials, images and further numbers, in a folder with those that they name; their damage."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzz.files import DAMAGES, Damage

BALL = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1.0]])
SIDES = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
# In the place of what a JSON file holds.
VALUES: tuple[Any, ...] = (
    -1, 0, 1, 3, 0.5, 1e300, 10**30, 10**400, float("nan"), "", "x", "data:,", [], {}, [1], [[]], [0] * 4,
    None, True,
)  # fmt: skip


def write_textured_files(folder: Path) -> list[Path]:
    """Write files of every format that holds more than a shape, and return the paths."""
    return [write(folder) for write in (_obj, _gltf, _embedded, _glb, _ply_text, _ply_bytes)]


def with_another_value(content: bytes, generator: np.random.Generator) -> bytes:
    """Replace, leave out or add something in a JSON file or in the JSON of a GLB file."""
    if content[:4] == b"glTF":
        size = struct.unpack("<I", content[12:16])[0]
        changed = with_another_value(content[20 : 20 + size], generator)
        return _as_glb(changed, content[20 + size :])
    tree = json.loads(content)
    places = list(_places(tree))
    holder, key = places[generator.integers(len(places))]
    action = generator.random()
    if action < 0.15:
        del holder[key]
    elif action < 0.3:  # what stands elsewhere in the file
        other, its = places[generator.integers(len(places))]
        holder[key] = json.loads(json.dumps(other[its]))
    else:
        holder[key] = VALUES[generator.integers(len(VALUES))]
    return json.dumps(tree).encode()


def damages_of(path: Path) -> tuple[Damage, ...]:
    """Return what may be done to a file; changed values are most of it where there are such."""
    tree = path.suffix in (".gltf", ".glb")
    return (*DAMAGES, *[with_another_value] * 2 * len(DAMAGES)) if tree else DAMAGES


def _places(tree: Any) -> Any:
    """Yield each list or object of a tree with each of its keys."""
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


def _own(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _png(mode: str = "RGBA", size: tuple[int, int] = (5, 4)) -> bytes:
    channels = {"RGBA": 4, "RGB": 3, "L": 1}[mode]
    texels = np.arange(size[0] * size[1] * channels, dtype=np.uint8) * 7
    into = BytesIO()
    Image.fromarray(texels.reshape(size[1], size[0], channels).squeeze()).save(into, "PNG")
    return into.getvalue()


def _obj(folder: Path) -> Path:
    own = _own(folder, "obj")
    (own / "red.png").write_bytes(_png())
    (own / "grey 2.png").write_bytes(_png("L", (3, 2)))
    (own / "m.mtl").write_text(
        "newmtl a\nKd 0.5 0.25 1 # of it\nd 0.75\nmap_Kd -s 2 3 1 -o 0.5 0.25 -clamp on red.png\n"
        "newmtl b\nKd .5\nTr 0.25\nmap_Kd red.png\nmap_d -imfchan l grey 2.png\nmap_Bump -bm 1 none.png\n"
        "newmtl c\nKd spectral file.rfl 1\nd -halo 0.5\n"
    )
    lines = ["mtllib m.mtl"]
    lines += [f"v {x} {y} {z} {(x + 1) / 2} 0.5 1" for x, y, z in BALL]
    lines += [f"vt {x / 2} {y}" for x, y, _ in BALL] + [f"vn {x} {y} {z}" for x, y, z in BALL]
    for number, side in enumerate(SIDES):
        lines += ["usemtl " + "abc"[number // 3]] if number % 3 == 0 else []
        lines.append("f " + " ".join(f"{i + 1}/{i + 1}/{i + 1}" for i in side))
    (own / "mesh.obj").write_text("\n".join(lines) + "\n")
    return own / "mesh.obj"


def _buffer() -> tuple[bytes, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return bytes of a buffer, its views, and the accessors 0 to 7."""
    faces = np.array(SIDES)
    colors = np.concatenate([np.abs(BALL), np.full((6, 1), 0.5)], 1)
    columns = [
        (BALL, "<f4", "VEC3", {}), (faces[:4], "<u2", "SCALAR", {}), (faces[4:], "<u1", "SCALAR", {}),
        (BALL[:, :2], "<f4", "VEC2", {}), (65535 * colors, "<u2", "VEC4", {"normalized": True}),
        (BALL, "<f4", "VEC3", {}),
    ]  # fmt: skip
    content, views, accessors = b"", [], []
    for values, dtype, kind, more in columns:
        block = values.astype(dtype).tobytes()
        views.append({"buffer": 0, "byteOffset": len(content), "byteLength": len(block)})
        content += block + bytes(-len(block) % 4)
        code = {"<f4": 5126, "<u2": 5123, "<u1": 5121}[dtype]
        count = values.size if kind == "SCALAR" else len(values)
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": code,
                "count": count,
                "type": kind,
                **more,
            }
        )
    views[0]["byteStride"] = 12
    # The first position moved, by a sparse accessor.
    views += [{"buffer": 0, "byteOffset": len(content), "byteLength": 4}]
    views += [{"buffer": 0, "byteOffset": len(content) + 4, "byteLength": 12}]
    content += struct.pack("<B3x3f", 0, 1.5, 0, 0)
    sparse = {
        "count": 1,
        "indices": {"bufferView": 6, "componentType": 5121},
        "values": {"bufferView": 7},
    }
    accessors.append({**accessors[0], "sparse": sparse})
    accessors.append({"componentType": 5126, "count": 6, "type": "VEC3", "sparse": sparse})
    return content, views, accessors


def _tree() -> tuple[dict[str, Any], bytes]:
    """Return a scene with all that is read of a file, but for its buffer and images, and the buffer."""
    content, views, accessors = _buffer()
    attributes = {"POSITION": 6, "NORMAL": 5, "TEXCOORD_0": 3, "COLOR_0": 4}
    parts = [
        {"attributes": attributes, "indices": 1, "material": 0, "mode": 4},
        {"attributes": {"POSITION": 0, "TEXCOORD_1": 3}, "indices": 2, "material": 1},
        {"attributes": {"POSITION": 0}, "mode": 6, "material": 2, "targets": [{"POSITION": 7}]},
        {"attributes": {"POSITION": 0}, "mode": 1},
    ]
    moved = {
        "KHR_texture_transform": {
            "offset": [0.1, 0.2],
            "scale": [2, 3],
            "rotation": 0.5,
            "texCoord": 1,
        }
    }
    texture = {"index": 0, "texCoord": 0, "extensions": moved}
    tree = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_texture_transform"],
        "extensionsRequired": ["KHR_texture_transform"],
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"mesh": 0, "translation": [1, 0, 0], "rotation": [0, 0.6, 0, 0.8], "scale": [1, 2, 1]},
            {"children": [2], "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 2, 0, 1]},
            {"mesh": 0, "skin": 0},
        ],
        "meshes": [{"primitives": parts}],
        "materials": [
            {
                "name": "a", "alphaMode": "BLEND",
                "pbrMetallicRoughness": {
                    "baseColorFactor": [0.5, 1, 1, 0.5], "baseColorTexture": {"index": 1, "texCoord": 0},
                },
            },
            {
                "name": "b", "alphaMode": "MASK", "alphaCutoff": 0.25,
                "pbrMetallicRoughness": {"baseColorTexture": texture},
            },
            {
                "extensions": {
                    "KHR_materials_pbrSpecularGlossiness": {
                        "diffuseFactor": [1, 0, 0, 1], "diffuseTexture": {"index": 0},
                    },
                },
            },
        ],
        "textures": [{"source": 0, "sampler": 0}, {"source": 0}],
        "samplers": [{"wrapS": 33071, "wrapT": 33648}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(content)}],
    }  # fmt: skip
    return tree, content


def _gltf(folder: Path) -> Path:
    own, (tree, content) = _own(folder, "gltf"), _tree()
    tree["buffers"][0]["uri"], tree["images"] = "a%20b.bin", [{"uri": "red.png"}]
    (own / "a b.bin").write_bytes(content)
    (own / "red.png").write_bytes(_png())
    (own / "mesh.gltf").write_text(json.dumps(tree, indent=1))
    return own / "mesh.gltf"


def _embedded(folder: Path) -> Path:
    own, (tree, content) = _own(folder, "embedded"), _tree()
    for entry, kind, held in (
        (tree["buffers"][0], "application/octet-stream", content),
        (tree.setdefault("images", [{}])[0], "image/png", _png("RGB")),
    ):
        entry["uri"] = f"data:{kind};base64,{b64encode(held).decode()}"
    (own / "mesh.gltf").write_text(json.dumps(tree, indent=1))
    return own / "mesh.gltf"


def _glb(folder: Path) -> Path:
    own, (tree, content) = _own(folder, "glb"), _tree()
    image = _png()
    tree["images"] = [{"bufferView": len(tree["bufferViews"]), "mimeType": "image/png"}]
    tree["bufferViews"] += [{"buffer": 0, "byteOffset": len(content), "byteLength": len(image)}]
    content += image + bytes(-len(image) % 4)
    tree["buffers"][0]["byteLength"] = len(content)
    chunk = struct.pack("<I4s", len(content), b"BIN\0") + content
    (own / "mesh.glb").write_bytes(_as_glb(json.dumps(tree).encode(), chunk))
    return own / "mesh.glb"


def _as_glb(text: bytes, rest: bytes) -> bytes:
    text += b" " * (-len(text) % 4)
    length = 20 + len(text) + len(rest)
    return struct.pack("<4sII I4s", b"glTF", 2, length, len(text), b"JSON") + text + rest


HEADER = (
    "ply\nformat {} 1.0\nelement vertex 6\nproperty double x\nproperty double y\nproperty double z\n"
    "property float nx\nproperty float ny\nproperty float nz\nproperty ushort red\nproperty ushort green\n"
    "property ushort blue\nproperty ushort alpha\nproperty float quality\nproperty int64 label\n"
    "element face 8\nproperty list uchar int vertex_indices\nproperty uchar red\nend_header\n"
)


def _ply_text(folder: Path) -> Path:
    rows = [
        f"{x} {y} {z} {x} {y} {z} 65535 {i} 0 30000 0.5 {i - 3}" for i, (x, y, z) in enumerate(BALL)
    ]
    rows += [f"3 {a} {b} {c} 255" for a, b, c in SIDES]
    path = _own(folder, "ply_text") / "mesh.ply"
    path.write_text(HEADER.format("ascii") + "\n".join(rows) + "\n")
    return path


def _ply_bytes(folder: Path) -> Path:
    rows = [
        struct.pack(">3d3f4Hfq", *row, *row, 65535, i, 0, 30000, 0.5, i - 3)
        for i, row in enumerate(BALL)
    ]
    rows += [struct.pack(">B3iB", 3, *side, 255) for side in SIDES]
    path = _own(folder, "ply_bytes") / "mesh.ply"
    path.write_bytes(HEADER.format("binary_big_endian").encode() + b"".join(rows))
    return path
