"""OBJ: any valid file as arrays, and errors that name the line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from taichisoft.files.stated import decoded, fan, numbers, whole

# What a corner names, in the order in which it does.
KINDS = ("v", "vt", "vn")
NONE = -1


@dataclass(frozen=True)
class Obj:
    """What an OBJ file holds. Objects, groups, lines and points are left out.

    Parameters
    ----------
    positions : array, (V, 3)
    colors : array, (V, 3), or None
        Of the vertices, as they are written; None unless all have one.
    coordinates : array, (T, 2)
        UV.
    normals : array, (N, 3)
    corners : array, (F, 3, 3), int64
        Rows of positions, coordinates and normals (last axis) of each corner of each triangle, -1 for none.
    materials : list of str
        The names of those that are used, in this order.
    face_materials : array, (F,), int64
        Which of them each triangle has, -1 for none.
    libraries : list of str
        What follows each ``mtllib``.
    """

    positions: np.ndarray
    colors: np.ndarray | None
    coordinates: np.ndarray
    normals: np.ndarray
    corners: np.ndarray
    materials: list[str]
    face_materials: np.ndarray
    libraries: list[str]


def obj_lines(content: bytes) -> Iterator[tuple[str, str, list[str]]]:
    """Yield "line N", what stands in it, and its words, without comments; continued lines are joined."""
    pending, first = "", 0
    for number, raw in enumerate(decoded(content).split("\n"), 1):
        line = raw.rstrip()
        first = first if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        line = (pending + line).strip()
        pending = ""
        words = line.split()
        if words and words[0] not in ("usemtl", "mtllib"):  # names may hold a #
            line = line.partition("#")[0].strip()
            words = line.split()
        if words:
            yield f"line {first}", line, words
    if pending.strip():
        raise ValueError(f"line {first} is continued, and the file ends")


@dataclass
class _Lines:
    """What has been read so far."""

    rows: dict[str, list[list[float]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    polygons: list[tuple[str, list[list[int]], int]] = field(default_factory=list)
    materials: dict[str, int] = field(default_factory=dict)
    material: int = NONE
    libraries: list[str] = field(default_factory=list)

    def add(self, where: str, line: str, words: list[str]) -> None:
        kind, rest = words[0], line[len(words[0]) :].strip()
        if kind == "v":
            self.rows["v"].append(_row(words, 3, where, "vertices"))
        elif kind == "vt":
            self.rows["vt"].append([*_row(words, 1, where, "vt"), 0.0][:2])
        elif kind == "vn":
            self.rows["vn"].append(_row(words, 3, where, "vn")[:3])
        elif kind == "f":
            counts = [len(self.rows[one]) for one in KINDS]
            corners = [_corner(word, counts, where) for word in words[1:]]
            if len(corners) < 3:
                raise ValueError(f"{where}: a face must have 3 corners or more, got {len(corners)}")
            self.polygons.append((where, corners, self.material))
        elif kind == "usemtl":
            self.material = self.materials.setdefault(" ".join(words[1:]), len(self.materials))
        elif kind == "mtllib":
            self.libraries.append(rest)


def read_obj(content: bytes, tell: Callable[[str], None]) -> Obj:
    """Return what an OBJ file holds; polygons are cut into triangles.

    Parameters
    ----------
    content : bytes
    tell : callable
        Is told what of the colours of vertices is left out.

    Raises
    ------
    ValueError
        A line that is not valid.
    """
    lines = _Lines()
    for where, line, words in obj_lines(content):
        lines.add(where, line, words)
    triangles: list[list[list[int]]] = []
    materials: list[int] = []
    for where, corners, material in lines.polygons:
        _check_inside(corners, lines.rows, where)
        cut = fan(corners)
        triangles += cut
        materials += [material] * len(cut)
    positions = lines.rows["v"]
    colored = _all_have_colors(positions, tell)
    used = sorted(set(materials) - {NONE})
    names, face_materials = list(lines.materials), np.array(materials, np.int64)
    return Obj(
        np.array([row[:3] for row in positions], np.float64).reshape(-1, 3),
        np.array([row[3:6] for row in positions], np.float64) if colored else None,
        np.array(lines.rows["vt"], np.float64).reshape(-1, 2),
        np.array(lines.rows["vn"], np.float64).reshape(-1, 3),
        np.array(triangles, np.int64).reshape(-1, 3, 3),
        [names[index] for index in used],
        np.where(face_materials == NONE, NONE, np.searchsorted(used, face_materials)),
        lines.libraries,
    )


def _all_have_colors(positions: list[list[float]], tell: Callable[[str], None]) -> bool:
    """Return whether all vertices have RGB after their positions; tell of what is not read."""
    without = sum(len(row) < 6 for row in positions)
    if 0 < without < len(positions):
        tell(
            f"{without} of {len(positions)} vertices have no colour: those of the others are left out"
        )
    elif any(len(row) > 6 for row in positions):
        tell("what follows the colours of vertices, such as opacity, is left out")
    return bool(positions) and not without


def _row(words: list[str], least: int, where: str, what: str) -> list[float]:
    if len(words) <= least:
        raise ValueError(f"{where}: {what} must be {least} numbers or more, got {len(words) - 1}")
    try:
        return numbers(words[1:], where)
    except ValueError as error:
        raise ValueError(
            f"{where}: {what} must be finite numbers, got {' '.join(words[1:])}"
        ) from error


def _corner(word: str, counts: list[int], where: str) -> list[int]:
    """Return the rows that a corner names, -1 for none; they may come later in the file."""
    parts = [*word.split("/"), "", ""][:3]
    found = []
    for part, count, kind in zip(parts, counts, KINDS, strict=True):
        if not part and kind != "v":
            found.append(NONE)
            continue
        index = whole(part, where)
        if index == 0 or -index > count:
            raise ValueError(
                f"{where}: indices of {kind} count from 1, or from -1 back to -{count}, got {index}"
            )
        found.append(index - 1 if index > 0 else count + index)
    return found


def _check_inside(corners: list[list[int]], rows: dict[str, list[list[float]]], where: str) -> None:
    for corner in corners:
        for index, kind in zip(corner, KINDS, strict=True):
            if index >= len(rows[kind]):
                what = "vertex" if kind == "v" else kind
                raise ValueError(
                    f"{where}: a face needs {what} {index + 1}, and there are {len(rows[kind])}"
                )
