"""Materials of a glTF file: factors, images, how these are wrapped and where they are looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import numpy as np
import torch

from taichisoft.files.colors import with_opacity_apart
from taichisoft.files.gltf import Gltf, embedded
from taichisoft.files.gltf_items import GLOSSINESS, TRANSFORM, WEBP
from taichisoft.files.images import levels_in, read_image
from taichisoft.geometry.material import Material
from taichisoft.geometry.wrap import Wrap

WRAPS = {10497: Wrap.REPEAT, 33071: Wrap.CLAMP, 33648: Wrap.MIRROR}
OPAQUE, MASK, BLEND = "OPAQUE", "MASK", "BLEND"


@dataclass(frozen=True)
class Look:
    """A material, and what it says of UV coordinates.

    Parameters
    ----------
    material : Material
    coordinates : int
        The number of the UV coordinates of its image.
    transform : array, (2, 3), or None
        Takes u, v (from the top, as files have it) and 1 to where the image is looked up.
    """

    material: Material
    coordinates: int = 0
    transform: np.ndarray | None = None


@dataclass
class Looks:
    """The materials of a file, each made once.

    Parameters
    ----------
    gltf : Gltf
    tell : callable
        Is told what is missing.
    """

    gltf: Gltf
    tell: Callable[[str], None]
    _looks: dict[int | None, Look] = field(default_factory=dict)
    _images: dict[int, Any] = field(default_factory=dict)
    _plain: dict[int | None, Material] = field(default_factory=dict)

    def of(self, index: int | None) -> Look:
        """Return a material by its number; None is that of what has none: white."""
        if index not in self._looks:
            self._looks[index] = self._made(index)
        return self._looks[index]

    def plain(self, index: int | None) -> Material:
        """Return a material without its image, for faces that have no UV coordinates."""
        if index not in self._plain:
            material = self.of(index).material
            self._plain[index] = replace(material, image=None, image_opacity=None)
        return self._plain[index]

    def alpha(self, index: int | None) -> Callable[[np.ndarray], np.ndarray]:
        """Return what becomes of the opacity of vertices; what has no material is opaque."""
        if index is None:
            return np.ones_like
        stated = self.gltf.item("materials", index)
        return _alpha_of_vertices(stated, _base(stated)[0][3])

    def masks_texels(self, index: int | None) -> bool:
        """Return whether a cutoff decides which texels of a material are seen."""
        if index is None or _mode(self.gltf.item("materials", index)) != MASK:
            return False
        return self.of(index).material.image_opacity is not None

    def _made(self, index: int | None) -> Look:
        if index is None:
            return Look(Material(torch.ones(3, dtype=torch.float64)))
        stated = self.gltf.item("materials", index)
        name = str(stated.get("name", ""))
        factor, texture = _base(stated)
        image, wraps, coordinates, transform = None, (Wrap.REPEAT, Wrap.REPEAT), 0, None
        if texture is not None:
            shown = self.gltf.item("textures", texture["index"])
            image = self._image(shown, name)
            wraps = self._wraps(shown)
            moved = texture.get("extensions", {}).get(TRANSFORM)
            coordinates = texture.get("texCoord", 0)
            if moved is not None:
                coordinates = moved.get("texCoord", coordinates)
                transform = _transform(moved)
        colors, opacity = (None, None) if image is None else image
        share, opacity = opacity_by_mode(stated, factor[3], opacity)
        material = Material(
            torch.tensor(factor[:3], dtype=torch.float64), colors, share, opacity, *wraps, name=name
        )
        return Look(material, coordinates, transform)

    def _image(self, texture: dict[str, Any], name: str) -> Any:
        """Return colours and opacity of the texels, or None, if they are missing."""
        index = texture.get("extensions", {}).get(WEBP, {}).get("source", texture.get("source"))
        if index is None:
            self.tell(f"the texture of material {name!r} has no image of a kind that can be read")
            return None
        if index not in self._images:
            texels = self._texels(self.gltf.item("images", index), f"image {index}")
            self._images[index] = None if texels is None else with_opacity_apart(texels)
        return self._images[index]

    def _texels(self, image: dict[str, Any], name: str) -> np.ndarray | None:
        uri = image.get("uri")
        if uri is None:
            if "bufferView" not in image:
                raise ValueError(f"{name} has neither a URI nor a bufferView")
            return levels_in(BytesIO(self.gltf.view(image["bufferView"])), name, "a bufferView")
        if uri.startswith("data:"):
            return levels_in(BytesIO(embedded(uri)), name, "data in a URI")
        file = self.gltf.file(uri)
        if file.is_file():
            return read_image(file, "texture")
        self.tell(f"texture must be an existing file, got {file}")
        return None

    def _wraps(self, texture: dict[str, Any]) -> tuple[Wrap, Wrap]:
        if "sampler" not in texture:
            return Wrap.REPEAT, Wrap.REPEAT
        sampler = self.gltf.item("samplers", texture["sampler"])
        u, v = (sampler.get(name, 10497) for name in ("wrapS", "wrapT"))
        for value in (u, v):
            if value not in WRAPS:
                raise ValueError(f"wrapS and wrapT must be one of {list(WRAPS)}, got {value}")
        return WRAPS[u], WRAPS[v]


def _base(stated: dict[str, Any]) -> tuple[list[float], dict[str, Any] | None]:
    """Return factor and texture of the base colour, or of the diffuse one."""
    glossiness = stated.get("extensions", {}).get(GLOSSINESS)
    if "pbrMetallicRoughness" not in stated and glossiness is not None:
        factor, texture = glossiness.get("diffuseFactor"), glossiness.get("diffuseTexture")
    else:
        base = stated.get("pbrMetallicRoughness", {})
        factor, texture = base.get("baseColorFactor"), base.get("baseColorTexture")
    factor = [1.0, 1.0, 1.0, 1.0] if factor is None else [float(value) for value in factor]
    if not 0 <= factor[3] <= 1:
        raise ValueError(f"baseColorFactor must be four numbers in [0, 1], got {factor}")
    return factor, texture


def _transform(stated: dict[str, Any]) -> np.ndarray:
    """Return the matrix of KHR_texture_transform: scale, then a turn, then an offset."""
    (x, y), (sx, sy) = stated.get("offset", (0, 0)), stated.get("scale", (1, 1))
    turn = float(stated.get("rotation", 0))  # whole numbers may have any length
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c * sx, s * sy, x], [-s * sx, c * sy, y]], np.float64)


def opacity_by_mode(
    stated: dict[str, Any], factor: float, image: torch.Tensor | None
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return the opacity of all and that of the texels, by ``alphaMode`` and ``alphaCutoff``.

    Parameters
    ----------
    stated : dict
        The material of a file; what it does not state is as glTF says.
    factor : float
        The fourth number of ``baseColorFactor``.
    image : Tensor, (H, W), or None
        The fourth channel of the image.
    """
    mode = _mode(stated)
    if mode == OPAQUE:
        return None, None
    if mode == BLEND:
        return None if factor == 1 else torch.tensor(factor, dtype=torch.float64), image
    cutoff = _cutoff(stated)
    if image is not None:
        return None, (image * factor >= cutoff).to(image.dtype)
    return None if factor >= cutoff else torch.zeros((), dtype=torch.float64), None


def _alpha_of_vertices(stated: dict[str, Any], factor: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return what becomes of the opacity of vertices, by the mode."""
    mode = _mode(stated)
    if mode == OPAQUE:
        return np.ones_like
    if mode == BLEND:
        return np.array
    cutoff = _cutoff(stated)
    return lambda alpha: (alpha * factor >= cutoff).astype(np.float64)


def _mode(stated: dict[str, Any]) -> str:
    mode = stated.get("alphaMode", OPAQUE)
    if mode not in (OPAQUE, MASK, BLEND):
        raise ValueError(f"alphaMode must be OPAQUE, MASK or BLEND, got {mode!r}")
    return mode


def _cutoff(stated: dict[str, Any]) -> float:
    return float(stated.get("alphaCutoff", 0.5))
