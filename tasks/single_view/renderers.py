"""Renderers to learn through: soft ones with some softness, and a hard one with antialiased edges."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor

from taichisoft import (
    Camera,
    Culling,
    DepthSoftmax,
    Gaussian,
    Logistic,
    Mesh,
    Probabilistic,
    Softness,
    SoftRasterizer,
    scale_by_edge,
    situation_of,
)
from taichisoft.softness.pretrained import load_from, shipped
from tasks.hard import hard_renderer
from tasks.single_view.antialiasing import Edges, antialiased

# SoftRas counts gamma in depths from 1 to 100, between which it normalises them.
SOFTRAS_EXTENT = 99.0


class Renderer(ABC):
    """What a network is trained through: silhouettes and colours, with gradients by vertices and cameras."""

    @abstractmethod
    def silhouette(self, mesh: Mesh, camera: Camera) -> Tensor:
        """Return coverage in [0, 1], (B, H, W)."""

    @abstractmethod
    def color(self, mesh: Mesh, camera: Camera) -> Tensor:
        """Return colours over black, (B, H, W, 3)."""

    def set_progress(self, progress: float) -> None:  # noqa: B027 - most need none
        """Say how much of a training is done, from 0 to 1."""

    def tell(self, mesh: Mesh, camera: Camera) -> None:  # noqa: B027 - most need none
        """Show what is drawn before the first step, which some scales follow."""

    def fingerprint(self) -> str:
        """Return what tells it from another one of its name, as a short text."""
        return ""


@final
class Soft(Renderer):
    """A softness of this library, which stays as it is.

    Colours are those of the side of a surface that is seen: to leave out the others takes less time.
    """

    def __init__(self, softness: Softness):
        softness.requires_grad_(False)
        self._softness = softness
        self._fingerprint = _fingerprint(softness)
        self._plain = SoftRasterizer(softness=softness)
        self._culled = SoftRasterizer(softness=softness, culling=Culling.BACK)

    def silhouette(self, mesh: Mesh, camera: Camera) -> Tensor:  # noqa: D102 - inherited
        return self._plain.silhouette(mesh, camera)

    def color(self, mesh: Mesh, camera: Camera) -> Tensor:  # noqa: D102 - inherited
        return self._culled(mesh, camera).color

    def set_progress(self, progress: float) -> None:  # noqa: D102 - inherited
        self._softness.set_progress(progress)

    def tell(self, mesh: Mesh, camera: Camera) -> None:  # noqa: D102 - inherited
        if self._softness.is_conditioned:
            self._softness.set_situation(situation_of(mesh, camera, colors=True))

    def fingerprint(self) -> str:  # noqa: D102 - inherited
        return self._fingerprint


@final
class Antialiased(Renderer):
    """A z-buffer with antialiased silhouette edges, see `tasks.single_view.antialiasing`."""

    def __init__(self) -> None:
        self._edges: Edges | None = None

    def silhouette(self, mesh: Mesh, camera: Camera) -> Tensor:  # noqa: D102 - inherited
        return self._draw(mesh, camera)[..., -1]

    def color(self, mesh: Mesh, camera: Camera) -> Tensor:  # noqa: D102 - inherited
        return self._draw(mesh, camera)[..., :-1]

    def _draw(self, mesh: Mesh, camera: Camera) -> Tensor:
        """Return colours over black, if there are any, and alpha, (B, H, W, C + 1)."""
        image = hard_renderer()(mesh, camera, face_ids=True)
        alpha = image.alpha.detach()[..., None]
        channels = alpha if image.color is None else torch.cat([image.color, alpha], -1)
        points = camera.project(mesh.vertices)[..., :2]
        points = points.expand(len(alpha), *points.shape[-2:])
        return antialiased(channels, image.face_ids, image.depth, points, self._edges_of(mesh))

    def _edges_of(self, mesh: Mesh) -> Edges:
        """Return the edges; kept, as the next step has the same faces."""
        if self._edges is None or self._edges.faces is not mesh.faces:
            self._edges = Edges(mesh.faces)
        return self._edges


@dataclass(frozen=True)
class Entrant:
    """Who takes part in the comparison.

    Parameters
    ----------
    label : str
        Name in tables.
    make : callable
        Makes the renderer.
    """

    label: str
    make: Callable[[], Renderer]


def _fingerprint(softness: Softness) -> str:
    """Return a hash of the kinds, the settings and the weights of a softness."""
    weights = {name: value.tolist() for name, value in softness.state_dict().items()}
    return hashlib.sha256(json.dumps([repr(softness), weights]).encode()).hexdigest()[:12]


def _general() -> Renderer:
    return Soft(load_from(shipped(), "general"))


def _softras(sigma: float) -> Renderer:
    depths = DepthSoftmax(1e-4 * SOFTRAS_EXTENT)
    return Soft(Softness(Logistic.softras(sigma), Probabilistic(), depths))


def _softras_default() -> Renderer:
    return _softras(1e-5)


def _softras_reconstruction() -> Renderer:
    return _softras(1e-4)


def _suggested() -> Renderer:
    return Soft(Softness(Gaussian(scale_by_edge())))


RENDERERS: Mapping[str, Entrant] = MappingProxyType(
    {
        "general": Entrant("Learned: general", _general),
        # soft_renderer.SoftRasterizer: sigma_val, gamma_val.
        "softras": Entrant("SoftRas's default", _softras_default),
        # SIGMA_VAL of examples/recon/train.py.
        "softras-recon": Entrant("SoftRas, as for its reconstruction", _softras_reconstruction),
        "suggested": Entrant("suggest_scale", _suggested),
        "antialiased": Entrant("Hard, antialiased edges", Antialiased),
    }
)
"""The entrants by name."""
