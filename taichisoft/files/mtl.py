"""MTL: the colours, opacities and images of the materials of an OBJ file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from taichisoft.files.stated import decoded, numbers

# Options of a map that are followed by one word, by two, and by one to three numbers.
ONE = ("-blendu", "-blendv", "-bm", "-boost", "-cc", "-clamp", "-imfchan", "-texres", "-type")
TWO = ("-mm",)
UP_TO_THREE = ("-o", "-s", "-t")
# Options that change what is seen and are not read, and the values with which they change nothing.
NOT_READ = {
    "-mm": ("0", "1"), "-imfchan": ("l",), "-blendu": ("on",), "-blendv": ("on",), "-cc": ("off",),
    "-t": ("0", "0", "0"),
}  # fmt: skip
# Colours that are not RGB.
OTHER_COLORS = ("spectral", "xyz")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Map:
    """An image of a material, and where it is looked up.

    Parameters
    ----------
    path : Path
        The image.
    scale, offset : tuple of float
        Of u and v: ``scale * uv + offset`` is where the image is looked up.
    clamped : bool
        Whether the texels at the border are seen beyond it, and not the image again.
    """

    path: Path
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    clamped: bool = False


@dataclass
class Mtl:
    """A material; what it does not state is None.

    Parameters
    ----------
    color : list of float
        ``Kd``.
    opacity : float
        ``d``.
    transparency : float
        ``Tr``, which is 1 - d; it counts where there is no ``d``.
    image, image_opacity : Map
        ``map_Kd`` and ``map_d``.
    """

    color: list[float] | None = None
    opacity: float | None = None
    transparency: float | None = None
    image: Map | None = None
    image_opacity: Map | None = None


def read_mtl(file: Path, tell: Tell) -> dict[str, Mtl]:
    """Return the materials of an MTL file by name. Of a name that comes twice the last one counts.

    Parameters
    ----------
    file : Path
    tell : callable
        Is told what is valid and not read.

    Raises
    ------
    ValueError
        A line that cannot be read; it is named.
    """
    found: dict[str, Mtl] = {}
    current = Mtl()  # of what comes before any name
    for where, words, rest in _lines(file):
        kind = words[0].lower()
        if kind == "newmtl":
            current = found[" ".join(words[1:])] = Mtl()
        elif kind == "kd":
            current.color = _color(words, where, tell)
        elif kind == "d":
            current.opacity = _share(words, where, tell)
        elif kind == "tr":
            current.transparency = _share(words, where, tell)
        elif kind == "map_kd":
            current.image = _map(rest, file, (where, words[0]), tell)
        elif kind == "map_d":
            current.image_opacity = _map(rest, file, (where, words[0]), tell)
    return found


def beside(path: Path, name: str) -> Path:
    r"""Return the path of a file that another one names, where it is or beside that one.

    ``\`` divides folders, too.
    """
    plain = name.replace("\\", "/")
    places = (path.parent / name, path.parent / plain, path.parent / plain.rpartition("/")[2])
    return next((place for place in places if place.is_file()), path.parent / plain)


def _lines(file: Path) -> Iterator[tuple[str, list[str], str]]:
    """Yield where a line of an MTL file is, its words, and what follows the first."""
    for number, raw in enumerate(decoded(file.read_bytes()).split("\n"), 1):
        line = raw.strip()
        words = line.split()
        if words and not words[0].startswith("#"):
            yield f"{file.name}, line {number}", words, line[len(words[0]) :].strip()


def _values(words: list[str], where: str) -> list[float]:
    """Return the numbers that follow the first word, without a comment."""
    comment = next((i for i, word in enumerate(words) if word.startswith("#")), len(words))
    try:
        return numbers(words[1:comment], where)
    except ValueError as error:
        raise ValueError(
            f"{where}: {words[0]} must be numbers, got {' '.join(words[1:])}"
        ) from error


def _color(words: list[str], where: str, tell: Tell) -> list[float] | None:
    """Return RGB, or None if it is a colour of another kind."""
    if words[1:2] and words[1].lower() in OTHER_COLORS:
        tell(f"{where}: {words[0]} {words[1]} is not read, the colour is white")
        return None
    values = _values(words, where)
    if len(values) > 3:
        tell(f"{where}: {words[0]} has {len(values)} numbers, the first three are read")
        values = values[:3]
    if len(values) not in (1, 3):
        raise ValueError(f"{where}: {words[0]} must be one number or three, got {len(values)}")
    return values * 3 if len(values) == 1 else values


def _share(words: list[str], where: str, tell: Tell) -> float:
    """Return an opacity or a transparency in [0, 1]."""
    if "-halo" in words:
        tell(f"{where}: -halo is not read")
    values = _values([word for word in words if word != "-halo"], where)
    if len(values) != 1:
        raise ValueError(f"{where}: {words[0]} must be one number, got {' '.join(words[1:])}")
    share = min(max(values[0], 0.0), 1.0)
    if share != values[0]:
        tell(f"{where}: {words[0]} is {values[0]:g}, {share:g} is taken")
    return share


def _map(rest: str, file: Path, place: tuple[str, str], tell: Tell) -> Map:
    """Return the map of what follows ``map_Kd``: options, and a name that may hold blanks.

    Where that stands and the word before it are in ``place``.
    """
    where, kind = place
    found: dict[str, list[float]] = {}
    clamped = False
    while rest.startswith("-") and not beside(file, rest).is_file():
        option, rest = _cut(rest)
        if option not in (*ONE, *TWO, *UP_TO_THREE):
            raise ValueError(f"{where}: the option {option} of {kind} is not known")
        most = 3 if option in UP_TO_THREE else 2 if option in TWO else 1
        values: list[str] = []
        optional = option in UP_TO_THREE  # as many as there are numbers before the image
        while len(values) < most and not (optional and _ends_numbers(rest, file)):
            value, rest = _cut(rest)
            values.append(value)
        if option in UP_TO_THREE:
            if not values:
                raise ValueError(f"{where}: {option} of {kind} must be followed by numbers")
            found[option] = numbers(values, where)
        if option in NOT_READ and _changes(values, NOT_READ[option]):
            tell(f"{where}: {kind}: {option} {' '.join(values)} is not read")
        clamped = values[0] == "on" if option == "-clamp" else clamped
    if not rest:
        raise ValueError(f"{where}: {kind} names no image")
    scale = [*found.get("-s", [1.0]), 1.0]
    offset = [*found.get("-o", [0.0]), 0.0]
    return Map(beside(file, rest), (scale[0], scale[1]), (offset[0], offset[1]), clamped)


def _cut(text: str) -> tuple[str, str]:
    """Return the first word, and what follows it."""
    word, rest = [*text.split(None, 1), "", ""][:2]
    return word, rest


def _changes(values: list[str], neutral: tuple[str, ...]) -> bool:
    """Return whether values, of which there may be fewer, are other ones than those that change nothing."""
    return any(_plain(x) != y for x, y in zip_longest(values, neutral[: len(values)]))


def _plain(word: str) -> str:
    """Return a number as it is written in the shortest way; other words as they are."""
    try:
        return f"{float(word):g}"
    except ValueError:
        return word


def _ends_numbers(text: str, file: Path) -> bool:
    """Return whether the image begins here, and not one more number."""
    word, rest = _cut(text)
    try:
        float(word)
    except ValueError:
        return True
    return not rest or beside(file, text).is_file()
