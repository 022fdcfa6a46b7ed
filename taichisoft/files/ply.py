"""PLY: the header against what follows it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from taichisoft.files.stated import Stated, decoded, numbers, whole

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "int64": "i8", "uint64": "u8",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
INDICES = ("vertex_index", "vertex_indices")


@dataclass(frozen=True)
class Property:
    """A number, or a list with the type of its length."""

    name: str
    dtype: str
    length: str | None


@dataclass(frozen=True)
class Element:
    """So many rows with these properties."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)


def stated_ply(content: bytes) -> Stated:
    """Check that a PLY file holds what its header states, and leave comments out.

    Raises
    ------
    ValueError
        A header that cannot be read, or other data than it states.
    """
    lines, body = _split(content)
    kind, elements = _header(lines)
    kept = [line for line in lines if line.split()[:1] not in ([], ["comment"], ["obj_info"])]
    head = ("\n".join([*kept, "end_header"]) + "\n").encode()
    if kind == "ascii":
        rows = [line.split() for line in decoded(body).split("\n") if line.strip()]
        triangles = _check_rows(elements, rows)
        return Stated(head + "\n".join(map(" ".join, rows)).encode() + b"\n", triangles)
    size, triangles = _check_bytes(elements, body, "<" if "little" in kind else ">")
    return Stated(head + body[:size], triangles)


def _split(content: bytes) -> tuple[list[str], bytes]:
    """Return the lines of the header and what follows it."""
    lines: list[str] = []
    start = 0
    while True:
        end = content.find(b"\n", start)
        if end < 0:
            raise ValueError("the header has no end_header")
        line = content[start:end].decode("latin-1").strip()
        start = end + 1
        if line == "end_header":
            return lines, content[start:]
        lines.append(line)


def _header(lines: list[str]) -> tuple[str, list[Element]]:
    if not lines or lines[0] != "ply":
        raise ValueError("the first line must be ply")
    kind = ""
    elements: list[Element] = []
    for number, line in enumerate(lines[1:], 2):
        where, words = f"line {number}", line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3 and words[1] in FORMATS:
            kind = words[1]
        elif words[0] == "element" and len(words) == 3 and whole(words[2], where) >= 0:
            if words[1] in (element.name for element in elements):
                raise ValueError(f"{where}: element {words[1]} is stated twice")
            elements.append(Element(words[1], int(words[2])))
        elif words[0] == "property" and elements:
            elements[-1].properties.append(_property(words[1:], where))
        else:
            raise ValueError(f"{where} of the header cannot be read: {line!r}")
    if not kind:
        raise ValueError("the header states no format")
    return kind, elements


def _property(words: list[str], where: str) -> Property:
    if len(words) == 2 and words[0] in TYPES:
        return Property(words[1], TYPES[words[0]], None)
    if len(words) == 4 and words[0] == "list" and words[1] in TYPES and words[2] in TYPES:
        return Property(words[3], TYPES[words[2]], TYPES[words[1]])
    raise ValueError(f"{where} of the header cannot be read: property {' '.join(words)!r}")


def _check_rows(elements: list[Element], rows: list[list[str]]) -> int:
    """Check the rows of an ASCII file and return its number of triangles."""
    stated = sum(element.count for element in elements)
    if len(rows) != stated:
        raise ValueError(f"the header states {stated} rows, and there are {len(rows)}")
    start, triangles = 0, 0
    vertices = next((e.count for e in elements if e.name == "vertex"), 0)
    for element in elements:
        for index in range(element.count):
            where = f"row {index} of element {element.name}"
            corners = _check_row(element, rows[start + index], vertices, where)
            triangles += max(corners - 2, 0)
        start += element.count
    return triangles


def _check_row(element: Element, row: list[str], vertices: int, where: str) -> int:
    """Check one row and return the number of corners, if it is a face."""
    place, corners = 0, 0
    for one in element.properties:
        length = 1
        if one.length is not None:
            length = whole(row[place], where) if place < len(row) else 0
            place += 1
            if length < 0:
                raise ValueError(f"{where}: a list has a length of {length}")
        values = numbers(row[place : place + length], where)
        place += length
        if one.dtype[0] != "f":
            _check_range(values, one, where)
        if element.name == "face" and one.name in INDICES:
            corners = _check_corners(length, where)
            if values and not 0 <= min(values) <= max(values) < vertices:
                raise ValueError(f"{where} needs a vertex outside of 0 to {vertices - 1}")
    if place != len(row):
        raise ValueError(f"{where} must have {place} numbers, got {len(row)}")
    return corners


def _check_range(values: list[float], one: Property, where: str) -> None:
    limits = np.iinfo(one.dtype)
    for value in values:
        if value != int(value) or not limits.min <= value <= limits.max:
            raise ValueError(
                f"{where}: {one.name} must be from {limits.min} to {limits.max}, got {value:g}"
            )


def _check_corners(count: int, where: str) -> int:
    if count < 3:
        raise ValueError(f"{where}: a face must have 3 corners or more, got {count}")
    return count


def _check_bytes(elements: list[Element], body: bytes, order: str) -> tuple[int, int]:
    """Check the length of binary data, and return it with the number of triangles."""
    start, triangles = 0, 0
    for element in elements:
        if element.count == 0:
            continue
        dtype, corners = _dtype(element, body[start:], order)
        size = element.count * dtype.itemsize
        if len(body) - start < size:
            raise ValueError(
                f"{element.count} rows of element {element.name} take {size} bytes, and there are "
                f"{len(body) - start}"
            )
        table = np.frombuffer(body, dtype, element.count, start)
        for name in dtype.names or ():
            if name.startswith("length ") and (table[name] != table[name][0]).any():
                raise ValueError(
                    f"{name[7:]} of element {element.name} must have one length in a binary file: "
                    "save it with triangles alone, or as ASCII"
                )
        triangles += element.count * max(corners - 2, 0)
        start += size
    if body[start:].strip():
        raise ValueError(f"there are {len(body) - start} bytes more than the header states")
    return start, triangles


def _dtype(element: Element, body: bytes, order: str) -> tuple[np.dtype, int]:
    """Return the dtype of a row like the first, and its number of corners, if it is a face."""
    fields: list[tuple] = []
    corners = 0
    for one in element.properties:
        if one.length is None:
            fields.append((one.name, order + one.dtype))
            continue
        place, length_type = np.dtype(fields).itemsize, np.dtype(order + one.length)
        if len(body) < place + length_type.itemsize:
            raise ValueError(f"the data end before the first row of element {element.name}")
        length = int(np.frombuffer(body, length_type, 1, place)[0])
        if not 0 <= length <= len(body):
            raise ValueError(
                f"row 0 of element {element.name} has a list of {length}: more than the file holds"
            )
        if element.name == "face" and one.name in INDICES:
            corners = _check_corners(length, "row 0 of element face")
        fields.append((f"length {one.name}", length_type))
        fields.append((one.name, order + one.dtype, (length,)))
    return np.dtype(fields), corners
