"""OFF: counts against the lines that follow them."""

from __future__ import annotations

from taichisoft.files.stated import Stated, decoded, fan, numbers, whole


def stated_off(content: bytes) -> Stated:
    """Check an OFF file and write it plainly: positions and triangles.

    Raises
    ------
    ValueError
        Other lines than the counts state, or one that is not valid.
    """
    lines = [line.partition("#")[0].split() for line in decoded(content).split("\n")]
    words = [line for line in lines if line]
    if not words or not words[0][0].endswith("OFF"):
        raise ValueError("the first word must be OFF")
    words = [words[0][1:], *words[1:]] if len(words[0]) > 1 else words[1:]
    if not words or len(words[0]) < 2:
        raise ValueError("the numbers of vertices and faces are missing")
    vertices, faces = (whole(word, "the line of counts") for word in words[0][:2])
    rows = words[1:]
    if vertices < 0 or faces < 0 or len(rows) != vertices + faces:
        raise ValueError(
            f"{vertices} vertices and {faces} faces are stated, and {len(rows)} lines follow"
        )
    out = [" ".join(map(repr, _position(row, i))) for i, row in enumerate(rows[:vertices])]
    cut = [t for i, row in enumerate(rows[vertices:]) for t in fan(_corners(row, vertices, i))]
    out += ["3 " + " ".join(triangle) for triangle in cut]
    return Stated("\n".join(["OFF", f"{vertices} {len(cut)} 0", *out, ""]).encode(), len(cut))


def _position(row: list[str], index: int) -> list[float]:
    where = f"vertex {index}"
    if len(row) < 3:
        raise ValueError(f"{where} must have 3 numbers or more, got {len(row)}")
    return numbers(row, where)[:3]


def _corners(row: list[str], vertices: int, index: int) -> list[str]:
    where = f"face {index}"
    count = whole(row[0], where)
    if count < 3 or len(row) <= count:
        raise ValueError(f"{where} must have 3 corners or more, and {count} are stated: {row}")
    for corner in row[1 : count + 1]:
        if not 0 <= whole(corner, where) < vertices:
            raise ValueError(f"{where} needs vertex {corner}, and there are 0 to {vertices - 1}")
    return row[1 : count + 1]
