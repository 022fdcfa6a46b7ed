"""PLY: the header against what follows it, which becomes tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from taichisoft.files.stated import decoded, fan, numbers, whole

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


@dataclass(frozen=True)
class Table:
    """The rows of an element.

    Parameters
    ----------
    columns : dict of array, (N,)
        Its numbers by name, of the type that the header states. Lists are left out.
    triangles : array, (T, 3), int64
        What its polygons are cut into; none but of faces.
    rows : array, (T,), int64
        The row that each triangle is of.
    """

    columns: dict[str, np.ndarray]
    triangles: np.ndarray
    rows: np.ndarray


def read_ply(content: bytes, tell: Callable[[str], None]) -> dict[str, Table]:
    """Return the elements of a PLY file, after checks.

    Parameters
    ----------
    content : bytes
    tell : callable
        Is told which lists and images are left out.

    Raises
    ------
    ValueError
        A header that cannot be read, or other data than it states.
    """
    lines, body = _split(content)
    kind, elements = _header(lines)
    _tell_what_is_lost(lines, elements, tell)
    if kind == "ascii":
        rows = [line.split() for line in decoded(body).split("\n") if line.strip()]
        return _read_rows(elements, rows)
    return _read_bytes(elements, body, "<" if "little" in kind else ">")


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


def _tell_what_is_lost(
    lines: list[str], elements: list[Element], tell: Callable[[str], None]
) -> None:
    for line in lines:
        words = line.split(None, 2)
        if words[:2] == ["comment", "TextureFile"]:
            tell(f"images are not read: {' '.join(words[2:])}")
    lists = [
        f"{one.name} of element {element.name}"
        for element in elements
        for one in element.properties
        if one.length is not None and not (element.name == "face" and one.name in INDICES)
    ]
    if lists:
        tell(f"lists are left out: {', '.join(lists)}")


def _property(words: list[str], where: str) -> Property:
    if len(words) == 2 and words[0] in TYPES:
        return Property(words[1], TYPES[words[0]], None)
    if len(words) == 4 and words[0] == "list" and words[1] in TYPES and words[2] in TYPES:
        return Property(words[3], TYPES[words[2]], TYPES[words[1]])
    raise ValueError(f"{where} of the header cannot be read: property {' '.join(words)!r}")


def _read_rows(elements: list[Element], rows: list[list[str]]) -> dict[str, Table]:
    """Check the rows of an ASCII file."""
    stated = sum(element.count for element in elements)
    if len(rows) != stated:
        raise ValueError(f"the header states {stated} rows, and there are {len(rows)}")
    tables, start = {}, 0
    vertices = next((e.count for e in elements if e.name == "vertex"), 0)
    for element in elements:
        found: list[list[float]] = []
        polygons: list[list[int]] = []
        for index, row in enumerate(rows[start : start + element.count]):
            where = f"row {index} of element {element.name}"
            values, corners = _read_row(element, row, vertices, where)
            found.append(values)
            polygons.append(corners)
        start += element.count
        tables[element.name] = _table(element, found, polygons)
    return tables


def _table(element: Element, rows: list[list[float]], polygons: list[list[int]]) -> Table:
    scalars = [one for one in element.properties if one.length is None]
    matrix = np.array(rows, np.float64).reshape(len(rows), len(scalars))
    columns = {one.name: matrix[:, i].astype(one.dtype) for i, one in enumerate(scalars)}
    triangles = [(t, row) for row, corners in enumerate(polygons) for t in fan(corners)]
    return Table(
        columns,
        np.array([t for t, _ in triangles], np.int64).reshape(-1, 3),
        np.array([row for _, row in triangles], np.int64),
    )


def _read_row(
    element: Element, row: list[str], vertices: int, where: str
) -> tuple[list[float], list[int]]:
    """Check one row; return its numbers outside of lists, and the corners of a face."""
    place = 0
    scalars: list[float] = []
    corners: list[int] = []
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
        if one.length is None:
            scalars += values
        if element.name == "face" and one.name in INDICES:
            _check_corners(length, where)
            if values and not 0 <= min(values) <= max(values) < vertices:
                raise ValueError(f"{where} needs a vertex outside of 0 to {vertices - 1}")
            corners = [int(value) for value in values]
    if place != len(row):
        raise ValueError(f"{where} must have {place} numbers, got {len(row)}")
    return scalars, corners


def _check_range(values: list[float], one: Property, where: str) -> None:
    limits = np.iinfo(one.dtype)
    for value in values:
        if value != int(value) or not limits.min <= value <= limits.max:
            raise ValueError(
                f"{where}: {one.name} must be from {limits.min} to {limits.max}, got {value:g}"
            )


def _check_corners(count: int, where: str) -> None:
    if count < 3:
        raise ValueError(f"{where}: a face must have 3 corners or more, got {count}")


def _read_bytes(elements: list[Element], body: bytes, order: str) -> dict[str, Table]:
    """Check the length of binary data."""
    tables, start = {}, 0
    for element in elements:
        if element.count == 0:
            tables[element.name] = _table(element, [], [])
            continue
        dtype = _dtype(element, body[start:], order)
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
        tables[element.name] = _of_rows(element, table)
        start += size
    if body[start:].strip():
        raise ValueError(f"there are {len(body) - start} bytes more than the header states")
    return tables


def _of_rows(element: Element, table: np.ndarray) -> Table:
    columns = {one.name: table[one.name] for one in element.properties if one.length is None}
    names = [one.name for one in element.properties if one.name in INDICES]
    if element.name != "face" or not names:
        return Table(columns, np.empty((0, 3), np.int64), np.empty(0, np.int64))
    polygons = table[names[0]].astype(np.int64)
    cut = np.array(fan(list(range(polygons.shape[1]))), np.int64)
    rows = np.arange(len(table)).repeat(len(cut))
    return Table(columns, polygons[:, cut].reshape(-1, 3), rows)


def _dtype(element: Element, body: bytes, order: str) -> np.dtype:
    """Return the dtype of a row like the first."""
    fields: list[tuple] = []
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
            _check_corners(length, "row 0 of element face")
        fields.append((f"length {one.name}", length_type))
        fields.append((one.name, order + one.dtype, (length,)))
    return np.dtype(fields)
