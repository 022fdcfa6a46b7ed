"""Textured and lit scenes, with every number that they are differentiable in as a leaf."""

from __future__ import annotations

import torch

import taichisoft as ts
from tests.helpers import Leaves, Setup, uniform

FACES = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6]])
# Corners of the first two faces that share a vertex differ in UV: a seam.
UV_FACES = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]])


def scene(seed: int, image: tuple[int, int], *, views: int = 1) -> Setup:
    """Return a bent quad in front of a triangle, seen by perspective cameras."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.tensor(
        [
            [-1, -1, 0],
            [1, -1, 0],
            [1, 1, 0.2],
            [-1, 1, 0],
            [-1, 0, -1],
            [1.5, -0.5, -0.8],
            [0, 1.4, -1],
        ]
    )
    leaves = {
        "vertices": corners.double() + uniform(generator, 7, 3, low=-0.1, high=0.1),
        "colors": uniform(generator, 7, 3),
        "texture": uniform(generator, 3, 5, 3),
        "uv": uniform(generator, 9, 2, low=-0.7, high=1.6),
        "eye": uniform(generator, views, 3, low=-0.6, high=0.6) + torch.tensor([0.0, 0.0, 3.0]),
        "ambient": uniform(generator, 3),
        "direction": uniform(generator, 3, low=-0.3, high=0.3) + torch.tensor([0.1, 0.2, 1.0]),
        "position": uniform(generator, views, 3) + torch.tensor([0.3, 0.4, 1.5]),
        "color": uniform(generator, views, 3),
        "specular": uniform(generator, 3),
        "shininess": torch.tensor(5.0),
    }

    def build(x: Leaves) -> tuple:
        mesh = ts.Mesh(x["vertices"], FACES, x["colors"])
        return mesh, ts.Camera.look_at(x["eye"], fov=50, image_size=image)

    return Setup({name: leaf.float().double() for name, leaf in leaves.items()}, build)


def texture_of(x: Leaves, wrap: ts.Wrap = ts.Wrap.REPEAT) -> ts.Texture:
    """Return the texture of a scene, with a seam."""
    return ts.Texture(x["texture"], x["uv"], UV_FACES, wrap)


def material_leaves(seed: int) -> Leaves:
    """Return the numbers of the materials of a scene, beside those of its texture."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "factor": uniform(generator, 3),
        "other": uniform(generator, 6, 2, 3),
        "plain": uniform(generator, 3),
        "holes": uniform(generator, 3, 5, low=0.2),
        "veil": uniform(generator),
    }


def with_materials(mesh: ts.Mesh, x: Leaves, *, opacity: bool, mipmaps: bool = False) -> ts.Mesh:
    """Return the mesh of a scene with two images, of another size and wrap each, and a plain colour."""
    materials = (
        ts.Material(x["plain"], opacity=x["veil"] if opacity else None),
        ts.Material(
            x["factor"],
            x["texture"],
            image_opacity=x["holes"] if opacity else None,
            wrap_u=ts.Wrap.CLAMP,
        ),
        ts.Material(image=x["other"], wrap_u=ts.Wrap.MIRROR, wrap_v=ts.Wrap.CLAMP, mipmaps=mipmaps),
    )
    return mesh.with_materials(materials, torch.tensor([2, 0, 1]), x["uv"], UV_FACES)


def lighting_of(x: Leaves, shading: ts.Shading) -> ts.Lighting:
    """Return a light of each kind."""
    lights = [
        ts.AmbientLight(x["ambient"]),
        ts.DirectionalLight(x["direction"], 0.5),
        ts.PointLight(x["position"], x["color"]),
    ]
    return ts.Lighting(lights, shading, x["specular"], x["shininess"])
