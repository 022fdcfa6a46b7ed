"""What the items of a glTF file must hold, as far as they are read: numbers, texts, lists and objects."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, final

# Extensions that are read.
TRANSFORM, GLOSSINESS = "KHR_texture_transform", "KHR_materials_pbrSpecularGlossiness"
WEBP = "EXT_texture_webp"
# How much of what came is shown.
SHOWN = 40


class Kind(ABC):
    """What stands somewhere in a JSON file."""

    @abstractmethod
    def check(self, value: Any, place: str) -> None:
        """Raise ValueError that says where the value stands, what was expected and what came."""


@final
@dataclass(frozen=True)
class Whole(Kind):
    """A whole number, 0 or more."""

    def check(self, value: Any, place: str) -> None:
        """See the base class."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            _refuse(place, "a whole number, 0 or more", value)


@final
@dataclass(frozen=True)
class Numbers(Kind):
    """So many finite numbers in a list; with a count of None one number alone."""

    count: int | None = None

    def check(self, value: Any, place: str) -> None:
        """See the base class."""
        values, expected = value, f"{self.count} finite numbers"
        if self.count is None:
            values, expected = [value], "a finite number"
        fits = isinstance(values, list) and len(values) == (self.count or 1)
        if not fits or not all(map(_is_finite, values)):
            _refuse(place, expected, value)


@final
@dataclass(frozen=True)
class Text(Kind):
    """A text."""

    def check(self, value: Any, place: str) -> None:
        """See the base class."""
        if not isinstance(value, str):
            _refuse(place, "a text", value)


@final
@dataclass(frozen=True)
class Boolean(Kind):
    """True or false."""

    def check(self, value: Any, place: str) -> None:
        """See the base class."""
        if not isinstance(value, bool):
            _refuse(place, "true or false", value)


@final
@dataclass(frozen=True)
class ListOf(Kind):
    """A list of things of one kind; of any, if it is None."""

    kind: Kind | None = None

    def check(self, value: Any, place: str) -> None:
        """See the base class."""
        if not isinstance(value, list):
            _refuse(place, "a list", value)
        if self.kind is not None:
            for index, one in enumerate(value):
                self.kind.check(one, f"{place}[{index}]")


@final
@dataclass(frozen=True)
class Named(Kind):
    """An object with any names, all for things of one kind."""

    kind: Kind

    def check(self, value: Any, place: str) -> None:
        """See the base class."""
        if not isinstance(value, dict):
            _refuse(place, "an object", value)
        for name, one in value.items():
            self.kind.check(one, f"{place}.{name}")


@final
@dataclass(frozen=True)
class Object(Kind):
    """An object: what it must have, and what it may have. Other names are not looked at."""

    needed: Mapping[str, Kind] = field(default_factory=dict)
    possible: Mapping[str, Kind] = field(default_factory=dict)

    def check(self, value: Any, place: str) -> None:
        """See the base class."""
        if not isinstance(value, dict):
            _refuse(place, "an object", value)
        for name in self.needed:
            if name not in value:
                raise ValueError(f"{place}.{name} is missing")
        for name, kind in {**self.needed, **self.possible}.items():
            if name in value:
                kind.check(value[name], f"{place}.{name}")


def _is_finite(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is too large for a float
        return False


def _refuse(place: str, expected: str, value: Any) -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
    raise ValueError(f"{place} must be {expected}, got {shown}")


WHOLE, NUMBER, TEXT = Whole(), Numbers(), Text()

_MOVED = Object(
    {}, {"offset": Numbers(2), "rotation": NUMBER, "scale": Numbers(2), "texCoord": WHOLE}
)
_TEXTURE = Object(
    {"index": WHOLE}, {"texCoord": WHOLE, "extensions": Object({}, {TRANSFORM: _MOVED})}
)
_METALLIC = Object({}, {"baseColorFactor": Numbers(4), "baseColorTexture": _TEXTURE})
_GLOSSY = Object({}, {"diffuseFactor": Numbers(4), "diffuseTexture": _TEXTURE})
_PRIMITIVE = Object(
    {"attributes": Named(WHOLE)},
    {"indices": WHOLE, "material": WHOLE, "mode": WHOLE, "targets": ListOf()},
)
_SPARSE = Object(
    {
        "count": WHOLE,
        "indices": Object({"bufferView": WHOLE, "componentType": WHOLE}, {"byteOffset": WHOLE}),
        "values": Object({"bufferView": WHOLE}, {"byteOffset": WHOLE}),
    }
)

ITEMS: dict[str, Kind] = {
    "scenes": Object({}, {"nodes": ListOf(WHOLE)}),
    "nodes": Object(
        {},
        {
            "children": ListOf(WHOLE), "mesh": WHOLE, "matrix": Numbers(16), "translation": Numbers(3),
            "rotation": Numbers(4), "scale": Numbers(3),
        },
    ),
    "meshes": Object({"primitives": ListOf(_PRIMITIVE)}),
    "accessors": Object(
        {"componentType": WHOLE, "count": WHOLE, "type": TEXT},
        {"bufferView": WHOLE, "byteOffset": WHOLE, "normalized": Boolean(), "sparse": _SPARSE},
    ),
    "bufferViews": Object(
        {"buffer": WHOLE, "byteLength": WHOLE}, {"byteOffset": WHOLE, "byteStride": WHOLE}
    ),
    "buffers": Object({"byteLength": WHOLE}, {"uri": TEXT}),
    "materials": Object(
        {},
        {
            "alphaMode": TEXT, "alphaCutoff": NUMBER, "pbrMetallicRoughness": _METALLIC,
            "extensions": Object({}, {GLOSSINESS: _GLOSSY}),
        },
    ),
    "textures": Object(
        {},
        {
            "source": WHOLE, "sampler": WHOLE,
            "extensions": Object({}, {WEBP: Object({}, {"source": WHOLE})}),
        },
    ),
    "images": Object({}, {"uri": TEXT, "bufferView": WHOLE}),
    "samplers": Object({}, {"wrapS": WHOLE, "wrapT": WHOLE}),
}  # fmt: skip
"""The items of a file, by the name of the list that they are in."""

FILE = Object(
    {}, {"extensionsRequired": ListOf(TEXT), "scene": WHOLE, **dict.fromkeys(ITEMS, ListOf())}
)
"""The whole file; an item is looked at when it is needed."""
