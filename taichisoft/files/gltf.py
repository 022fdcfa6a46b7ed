"""glTF and GLB: the tree of a file, and the numbers and images in its buffers."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from taichisoft.files.gltf_items import FILE, GLOSSINESS, ITEMS, TRANSFORM, WEBP

HEADER, CHUNK = 12, 8
# Of numbers, by ``componentType``, and how many each ``type`` has.
DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
# Extensions that a file may require.
SUPPORTED = {TRANSFORM, GLOSSINESS, WEBP, "KHR_mesh_quantization", "KHR_materials_unlit"}


class Gltf:
    """A file that has been opened: its JSON, and what that refers to.

    Parameters
    ----------
    content : bytes
        Of a file with the suffix ``.gltf`` or ``.glb``.
    path : Path
        Where it is, since it names others beside it.

    Raises
    ------
    ValueError
        It cannot be read, or requires an extension that is not supported.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        self.path = path
        binary = path.suffix.lower() == ".glb"
        text, self._own = _chunks(content) if binary else (content, None)
        self.tree: dict[str, Any] = _parsed(text)
        FILE.check(self.tree, "the JSON")
        missing = set(self.tree.get("extensionsRequired", [])) - SUPPORTED
        if missing:
            raise ValueError(
                f"the file requires the extension {', '.join(sorted(missing))}, which is not supported"
            )
        self._buffers: dict[int, bytes] = {}

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """Return one of what the tree lists, or raise ValueError: there is none, or what is wrong in it."""
        items = self.tree.get(kind, [])
        if not isinstance(index, int) or not 0 <= index < len(items):
            raise ValueError(f"there are {len(items)} {kind}, and number {index} is needed")
        ITEMS[kind].check(items[index], f"{kind}[{index}]")
        return items[index]

    def array(self, index: int) -> np.ndarray:
        """Return an accessor as (count, columns), of the type that it states."""
        accessor = self.item("accessors", index)
        where = f"accessor {index}"
        dtype = np.dtype(_known(DTYPES, accessor, "componentType", where))
        columns = _known(COLUMNS, accessor, "type", where)
        count = accessor["count"]
        if "bufferView" in accessor:
            values = self._block(accessor, count, columns, dtype, where)
        elif "sparse" in accessor:
            values = np.zeros((count, columns), dtype)
        else:
            raise ValueError(f"{where} has no bufferView: compressed meshes are not supported")
        sparse = accessor.get("sparse")
        if sparse is not None:
            kind = np.dtype(_known(DTYPES, sparse["indices"], "componentType", where))
            rows = self._block(sparse["indices"], sparse["count"], 1, kind, where)[:, 0]
            if len(rows) and rows.max() >= count:
                raise ValueError(f"{where}: a sparse index must be below {count}, got {rows.max()}")
            values[rows] = self._block(sparse["values"], sparse["count"], columns, dtype, where)
        return values

    def numbers(self, index: int) -> np.ndarray:
        """Return an accessor in float64; whole numbers that are normalised are in [-1, 1]."""
        values = self.array(index)
        if values.dtype.kind == "f" or not self.item("accessors", index).get("normalized"):
            return values.astype(np.float64)
        return np.maximum(values / float(np.iinfo(values.dtype).max), -1.0)

    def view(self, index: int) -> bytes:
        """Return the bytes of a buffer view."""
        view = self.item("bufferViews", index)
        start, length = view.get("byteOffset", 0), view["byteLength"]
        content = self._buffer(view["buffer"])
        if start + length > len(content):
            raise ValueError(
                f"bufferView {index} is {start} to {start + length} of a buffer of {len(content)} bytes"
            )
        return content[start : start + length]

    def file(self, uri: str) -> Path:
        """Return the path of a file that is named."""
        return self.path.parent / unquote(uri)

    def _block(
        self, place: dict[str, Any], count: int, columns: int, dtype: np.dtype, where: str
    ) -> np.ndarray:
        """Return rows of a buffer view, which may be apart."""
        content, size = self.view(place["bufferView"]), columns * dtype.itemsize
        view = self.item("bufferViews", place["bufferView"])
        start, stride = place.get("byteOffset", 0), view.get("byteStride", size)
        needed = start + (count - 1) * stride + size if count else 0
        if stride < size or needed > len(content):
            raise ValueError(f"{where} needs {needed} bytes of a view of {len(content)}")
        return np.ndarray((count, columns), dtype, content, start, (stride, dtype.itemsize)).copy()

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            stated = self.item("buffers", index)
            content = self._bytes(stated.get("uri"), index)
            if len(content) < stated["byteLength"]:
                raise ValueError(
                    f"buffer {index} must have {stated['byteLength']} bytes, got {len(content)}"
                )
            self._buffers[index] = content[: stated["byteLength"]]
        return self._buffers[index]

    def _bytes(self, uri: str | None, index: int) -> bytes:
        if uri is None:
            if index != 0 or self._own is None:
                raise ValueError(f"buffer {index} names no file")
            return self._own
        if uri.startswith("data:"):
            return embedded(uri)
        file = self.file(uri)
        if not file.is_file():
            raise ValueError(f"buffer {index} must be an existing file, got {file}")
        return file.read_bytes()


def _known(table: dict[Any, Any], stated: dict[str, Any], name: str, where: str) -> Any:
    """Return what an entry stands for."""
    value = stated[name]
    if value not in table:
        raise ValueError(f"{where}: {name} must be one of {list(table)}, got {value!r}")
    return table[value]


def embedded(uri: str) -> bytes:
    """Return the bytes that a URI holds itself."""
    head, comma, text = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError(f"data in a URI must be base64, got {head[:40]!r}")
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"data in a URI must be base64: {error}") from error


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the JSON cannot be read: {error}") from error


def _chunks(content: bytes) -> tuple[bytes, bytes | None]:
    """Return the JSON of a GLB file, and its buffer, if it has one."""
    start = HEADER + CHUNK
    if len(content) < start or content[:4] != b"glTF":
        raise ValueError("the file does not begin as a GLB file does")
    version, length, size, kind = struct.unpack("<II I4s", content[4:start])
    if version != 2:
        raise ValueError(f"the version must be 2, got {version}")
    if length != len(content):
        raise ValueError(f"{length} bytes are stated, got {len(content)}")
    if kind != b"JSON" or start + size > length:
        raise ValueError("the first chunk must be JSON, and end within the file")
    text, rest = content[start : start + size], content[start + size :]
    if not rest:
        return text, None
    if len(rest) < CHUNK:
        raise ValueError("the second chunk has no header")
    size, kind = struct.unpack("<I4s", rest[:CHUNK])
    if kind != b"BIN\0" or CHUNK + size > len(rest):
        raise ValueError("the second chunk must be BIN, and end within the file")
    return text, rest[CHUNK : CHUNK + size]
