"""MTL: the materials of an OBJ file, plainly, and their images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from taichisoft.files.images import pillow, read_image
from taichisoft.files.obj import obj_lines
from taichisoft.files.stated import decoded, numbers

# Options of a map that are followed by one word, by two, and by one to three numbers.
ONE = ("-blendu", "-blendv", "-bm", "-boost", "-cc", "-clamp", "-imfchan", "-texres", "-type")
TWO = ("-mm",)
UP_TO_THREE = ("-o", "-s", "-t")


@dataclass(frozen=True)
class Map:
    """An image of a material, and what its UV coordinates are multiplied by and moved by.

    Parameters
    ----------
    path : Path
        The image.
    scale, offset : tuple of float
        Of u and v: ``scale * uv + offset`` is where the image is looked up.
    """

    path: Path
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Materials:
    """The materials that the faces of an OBJ file use; trimesh asks it for files by name.

    Parameters
    ----------
    text : bytes
        Their MTL file, with `images` by number.
    maps : list of Map
        The images that are used.
    """

    text: bytes
    maps: list[Map] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, content: bytes) -> Materials:
        """Read the materials of an OBJ file; those without a file have none.

        Raises
        ------
        ValueError
            A line of an MTL file cannot be read.
        """
        used: set[str] = set()
        out: list[str] = []
        maps: list[Map] = []
        files: list[Path] = []
        for _, line, words in obj_lines(content):
            name = line[len(words[0]) :].strip()
            if words[0] == "usemtl":
                used.add(" ".join(words[1:]))
            if words[0] == "mtllib":
                whole = beside(path, name)
                several = [beside(path, word) for word in words[1:]]
                files += [whole] if whole.is_file() else several
        for file in filter(Path.is_file, files):
            material = ""
            for where, words, rest in _lines(file):
                if words[0] == "newmtl":
                    material = " ".join(words[1:])
                    out.append(f"newmtl {material}")
                elif words[0].lower() == "kd":
                    out.append(" ".join(words))
                elif words[0].lower() == "map_kd" and material in used:
                    out.append(f"map_Kd {len(maps)}")
                    maps.append(_map(rest, file, where))
        return cls("\n".join(out).encode(), maps)

    def get(self, name: str) -> bytes:
        """Return the MTL file, or an image as PNG of 8 bits."""
        if not name.isdecimal():
            return self.text
        levels = read_image(self.maps[int(name)].path, "texture")
        png = BytesIO()
        pillow().fromarray(np.rint(255 * levels).astype(np.uint8)).save(png, "PNG")
        return png.getvalue()

    def __getitem__(self, name: str) -> bytes:
        """Return what `get` does."""
        return self.get(name)


def beside(path: Path, name: str) -> Path:
    r"""Return the path of a file that another one names; ``\`` divides folders, too."""
    direct = path.parent / name
    return direct if direct.is_file() else path.parent / name.replace("\\", "/")


def _lines(file: Path) -> Iterator[tuple[str, list[str], str]]:
    """Yield where a line of an MTL file is, its words, and what follows the first."""
    for number, raw in enumerate(decoded(file.read_bytes()).split("\n"), 1):
        line = raw.strip()
        words = line.split()
        if words and not words[0].startswith("#"):
            yield f"{file.name}, line {number}", words, line[len(words[0]) :].strip()


def _map(rest: str, file: Path, where: str) -> Map:
    """Return the map of what follows ``map_Kd``: options, and a name that may hold blanks."""
    found: dict[str, list[float]] = {}
    while rest.startswith("-") and not beside(file, rest).is_file():
        option, _, rest = rest.partition(" ")
        rest = rest.lstrip()
        if option not in (*ONE, *TWO, *UP_TO_THREE):
            raise ValueError(f"{where}: the option {option} of map_Kd is not known")
        most = 3 if option in UP_TO_THREE else 2 if option in TWO else 1
        values: list[str] = []
        optional = option in UP_TO_THREE  # as many as there are numbers before the image
        while len(values) < most and not (optional and _ends_numbers(rest, file)):
            value, _, rest = rest.partition(" ")
            rest = rest.lstrip()
            values.append(value)
        if option in UP_TO_THREE:
            found[option] = numbers(values, where)
    if not rest:
        raise ValueError(f"{where}: map_Kd names no image")
    scale = [*found.get("-s", [1.0]), 1.0]
    offset = [*found.get("-o", [0.0]), 0.0]
    return Map(beside(file, rest), (scale[0], scale[1]), (offset[0], offset[1]))


def _ends_numbers(text: str, file: Path) -> bool:
    """Return whether the image begins here, and not one more number."""
    word, _, rest = text.partition(" ")
    try:
        float(word)
    except ValueError:
        return True
    return not rest.strip() or beside(file, text).is_file()
