"""OBJ: any valid file as lines of one form, and errors that name the line."""

from __future__ import annotations

from collections.abc import Iterator

from taichisoft.files.stated import Stated, decoded, fan, numbers, whole


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


def stated_obj(content: bytes, *, textured: bool) -> Stated:
    """Check an OBJ file and write it plainly: vertices, triangles, and with a texture UV and materials.

    Normals, objects, groups, lines and points are left out: trimesh copies vertices for them.

    Raises
    ------
    ValueError
        A line that is not valid.
    """
    positions: list[list[float]] = []
    coordinates: list[list[float]] = []
    faces: list[tuple[str, list[str]]] = []
    for where, line, words in obj_lines(content):
        if words[0] == "v":
            positions.append(_row(words, 3, where, "vertices"))
        elif words[0] == "vt" and textured:
            coordinates.append([*_row(words, 1, where, "vt"), 0.0][:2])
        elif words[0] == "f":
            corners = [_corner(w, len(positions), len(coordinates), where) for w in words[1:]]
            if len(corners) < 3:
                raise ValueError(f"{where}: a face must have 3 corners or more, got {len(corners)}")
            faces.append((where, corners))
        elif words[0] == "usemtl" and textured:
            faces.append((where, [line]))
    return _plain(positions, coordinates, faces, textured)


def _row(words: list[str], least: int, where: str, what: str) -> list[float]:
    if len(words) <= least:
        raise ValueError(f"{where}: {what} must be {least} numbers or more, got {len(words) - 1}")
    try:
        return numbers(words[1:], where)
    except ValueError as error:
        raise ValueError(
            f"{where}: {what} must be finite numbers, got {' '.join(words[1:])}"
        ) from error


def _corner(word: str, positions: int, coordinates: int, where: str) -> str:
    """Return a corner with indices that count from the first vertex of the file."""
    parts = [*word.split("/"), "", ""][:2]
    counts = (positions, coordinates)
    found = []
    for part, count, kind in zip(parts, counts, ("v", "vt"), strict=True):
        index = whole(part, where) if part or kind == "v" else None
        if index == 0 or (index is not None and index < 0 and -index > count and kind == "v"):
            raise ValueError(
                f"{where}: indices of {kind} count from 1, or from -1 back to -{count}, got {index}"
            )
        found.append("" if index is None else str(index if index > 0 else count + 1 + index))
    return "/".join(found)


def _plain(
    positions: list[list[float]],
    coordinates: list[list[float]],
    faces: list[tuple[str, list[str]]],
    textured: bool,
) -> Stated:
    coloured = bool(positions) and all(len(row) >= 6 for row in positions)
    lines = ["mtllib materials"] if textured else []
    for row in positions:
        kept = row[:6] if coloured else row[:3]
        lines.append("v " + " ".join(map(repr, kept)))
    lines += ["vt " + " ".join(map(repr, row)) for row in coordinates]
    triangles = 0
    for where, corners in faces:
        if len(corners) < 3:  # a material
            lines += corners
            continue
        checked = [_inside(c, len(positions), len(coordinates), textured, where) for c in corners]
        cut = fan(checked)
        triangles += len(cut)
        lines += ["f " + " ".join(triangle) for triangle in cut]
    return Stated(("\n".join(lines) + "\n").encode(), triangles)


def _inside(corner: str, positions: int, coordinates: int, textured: bool, where: str) -> str:
    index, _, uv = corner.partition("/")
    if int(index) > positions:
        raise ValueError(f"{where}: a face needs vertex {index}, and there are {positions}")
    if not textured or not coordinates:
        return index
    if not uv:
        raise ValueError(f"{where}: a face has no UV coordinates, where others have")
    if not 1 <= int(uv) <= coordinates:
        raise ValueError(f"{where}: a face needs vt {uv}, and there are {coordinates}")
    return corner
