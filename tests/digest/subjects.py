"""The subjects of the digest: small meshes, cameras and looks, with all their numbers as leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

import taichisoft as ts

Leaves = Mapping[str, Tensor]
SMALL = (24, 20)
LARGE = (40, 37)


@dataclass(frozen=True)
class Arrangement:
    """The arguments of one render.

    Parameters
    ----------
    mesh : Mesh or MeshBatch
        What is drawn.
    camera : Camera
        From where.
    options : dict
        The other arguments, by name.
    """

    mesh: ts.Mesh | ts.MeshBatch
    camera: ts.Camera
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What is rendered.

    Parameters
    ----------
    leaves : mapping of str to Tensor
        What is differentiated in, float64 numbers that are exact in float32.
    arrange : callable
        Makes the arguments of a render from the leaves, in whatever float type they are.
    """

    leaves: Leaves
    arrange: Callable[[Leaves], Arrangement]

    def asked(self, **options: object) -> Subject:
        """Return the subject with more arguments of the render."""

        def arrange(leaves: Leaves) -> Arrangement:
            arrangement = self.arrange(leaves)
            return replace(arrangement, options=arrangement.options | options)

        return replace(self, arrange=arrange)


def seeded(seed: int) -> torch.Generator:
    """Return a generator of its own for each subject: none depends on what was made before it."""
    return torch.Generator().manual_seed(seed)


def numbers(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return uniform float64 numbers that are exact in float32: both types see the same scene."""
    values = low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
    return values.float().double()


def exact(leaves: Leaves) -> Leaves:
    """Return leaves as float64 numbers that are exact in float32."""
    return {name: leaf.float().double() for name, leaf in leaves.items()}


def bumpy(mesh: ts.Mesh, generator: torch.Generator) -> Tensor:
    """Return the vertices of a mesh, nearer to the origin or farther by random factors."""
    return mesh.vertices.double() * numbers(generator, mesh.num_vertices, 1, low=0.7, high=1.1)


def eyes(generator: torch.Generator, views: int) -> Tensor:
    """Return positions of cameras in front of the origin, (views, 3)."""
    return numbers(generator, views, 3, low=-0.7, high=0.7) + torch.tensor([0.0, 0.4, 3.0])


def ball(
    *, seed: int = 1, image: tuple[int, int] = SMALL, views: int = 1, subdivisions: int = 0
) -> Subject:
    """Return one bumpy ball with colours at its vertices, seen by perspective cameras."""
    generator, mesh = seeded(seed), ts.shapes.icosphere(subdivisions)
    leaves = {
        "vertices": bumpy(mesh, generator),
        "colors": numbers(generator, mesh.num_vertices, 3),
        "eye": eyes(generator, views),
        "at": numbers(generator, views, 3, low=-0.1, high=0.1),
        "up": numbers(generator, views, 3, low=-0.2, high=0.2) + torch.tensor([0.0, 1.0, 0.0]),
        "fov": numbers(generator, views, low=35, high=55),
    }

    def arrange(x: Leaves) -> Arrangement:
        camera = ts.Camera.look_at(x["eye"], x["at"], x["up"], fov=x["fov"], image_size=image)
        return Arrangement(ts.Mesh(x["vertices"], mesh.faces, x["colors"]), camera)

    return Subject(exact(leaves), arrange)


def soup(
    *, seed: int = 2, faces: int = 14, batch: int = 1, away: float = 3.0, near: float = 0.01
) -> Subject:
    """Return loose triangles with a colour each, and cameras whose matrices are leaves.

    Parameters
    ----------
    seed, faces, batch : int
        Of the random numbers; how many triangles; how many sets of positions and cameras.
    away, near : float
        Distance of the triangles from the camera, and of its near plane: it cuts some if they are alike.
    """
    generator = seeded(seed)
    centre = numbers(generator, batch, faces, 1, 3, low=-0.8, high=0.8)
    corners = centre + numbers(generator, batch, faces, 3, 3, low=-0.7, high=0.7)
    height, width = SMALL
    intrinsics = torch.tensor([[height, 0.5, width / 2], [0, height, height / 2], [0, 0, 1]])
    leaves = {
        "vertices": corners.reshape(batch, 3 * faces, 3),
        "face_colors": numbers(generator, faces, 2),
        "rotation": torch.eye(3) + numbers(generator, batch, 3, 3, low=-0.1, high=0.1),
        "translation": numbers(generator, batch, 3, low=-0.2, high=0.2)
        + torch.tensor([0, 0, away]),
        "intrinsics": intrinsics.repeat(batch, 1, 1),
    }

    def arrange(x: Leaves) -> Arrangement:
        matrices = (x["rotation"], x["translation"], x["intrinsics"])
        triangles = torch.arange(3 * faces).reshape(-1, 3)
        mesh = ts.Mesh(x["vertices"], triangles, face_colors=x["face_colors"])
        return Arrangement(mesh, ts.Camera(*matrices, image_size=SMALL, near=near))

    return Subject(exact(leaves), arrange)


def plain_cube(*, seed: int = 3) -> Subject:
    """Return a cube without colours, seen by an orthographic camera."""
    generator, mesh = seeded(seed), ts.shapes.cube()
    leaves = {
        "vertices": bumpy(mesh, generator),
        "eye": eyes(generator, 1),
        "height": torch.tensor(2.5),
    }

    def arrange(x: Leaves) -> Arrangement:
        camera = ts.Camera.orthographic(x["eye"], height=x["height"], image_size=SMALL)
        return Arrangement(ts.Mesh(x["vertices"], mesh.faces), camera)

    return Subject(exact(leaves), arrange)


def orbited_torus(*, seed: int = 4, views: int = 3) -> Subject:
    """Return one torus with one channel, seen from all sides: a shared mesh and several cameras."""
    generator, mesh = seeded(seed), ts.shapes.torus(5, 3)
    leaves = {
        "vertices": bumpy(mesh, generator),
        "colors": numbers(generator, mesh.num_vertices, 1),
        "distance": numbers(generator, views, low=2.8, high=3.2),
        "azimuth": numbers(generator, views, low=0, high=360),
        "elevation": numbers(generator, views, low=20, high=60),
    }

    def arrange(x: Leaves) -> Arrangement:
        angles = (x["azimuth"], x["elevation"])
        camera = ts.Camera.orbit(x["distance"], *angles, image_size=SMALL)
        return Arrangement(ts.Mesh(x["vertices"], mesh.faces, x["colors"]), camera)

    return Subject(exact(leaves), arrange)


def different_solids(*, seed: int = 5) -> Subject:
    """Return a packed batch of a cube, a ball and a torus, with a camera each."""
    generator = seeded(seed)
    solids = (ts.shapes.cube(), ts.shapes.icosphere(0), ts.shapes.torus(4, 3))
    vertices = {f"vertices{k}": bumpy(mesh, generator) for k, mesh in enumerate(solids)}
    sizes = [mesh.num_vertices for mesh in solids]
    colors = {f"colors{k}": numbers(generator, size, 3) for k, size in enumerate(sizes)}
    leaves = vertices | colors | {"eye": eyes(generator, len(solids))}

    def arrange(x: Leaves) -> Arrangement:
        meshes = [
            ts.Mesh(x[f"vertices{k}"], mesh.faces, x[f"colors{k}"]) for k, mesh in enumerate(solids)
        ]
        camera = ts.Camera.look_at(x["eye"], fov=45.0, image_size=SMALL)
        return Arrangement(ts.MeshBatch.from_meshes(meshes), camera)

    return Subject(exact(leaves), arrange)


def textured_cube(*, seed: int = 6, views: int = 1, wrap: ts.Wrap = ts.Wrap.REPEAT) -> Subject:
    """Return a cube whose corners have UV coordinates of their own, also beyond the texture."""
    generator, mesh = seeded(seed), ts.shapes.cube()
    corners = 3 * mesh.num_faces
    leaves = {
        "vertices": bumpy(mesh, generator),
        "texture": numbers(generator, views, 3, 5, 3),
        "uv": numbers(generator, corners, 2, low=-0.7, high=1.6),
        "eye": eyes(generator, views),
    }

    def arrange(x: Leaves) -> Arrangement:
        uv_faces = torch.arange(corners).reshape(-1, 3)
        texture = ts.Texture(x["texture"], x["uv"], uv_faces, wrap)
        camera = ts.Camera.look_at(x["eye"], fov=45.0, image_size=SMALL)
        return Arrangement(ts.Mesh(x["vertices"], mesh.faces), camera, {"colors": texture})

    return Subject(exact(leaves), arrange)


def lit(
    subject: Subject,
    shading: ts.Shading,
    *,
    seed: int = 7,
    views: int = 1,
    two_sided: bool = False,
) -> Subject:
    """Return a subject under a light of each kind, on a glossy surface of three channels."""
    generator = seeded(seed)
    leaves = {
        "ambient": numbers(generator, 3),
        "direction": numbers(generator, 3, low=-0.3, high=0.3) + torch.tensor([0.1, 0.2, 1.0]),
        "position": numbers(generator, views, 3) + torch.tensor([0.3, 0.4, 1.5]),
        "light": numbers(generator, views, 3),
        "specular": numbers(generator, 3),
        "shininess": torch.tensor(5.0),
    }

    def arrange(x: Leaves) -> Arrangement:
        lights = [
            ts.AmbientLight(x["ambient"]),
            ts.DirectionalLight(x["direction"], 0.5),
            ts.PointLight(x["position"], x["light"]),
        ]
        lighting = ts.Lighting(lights, shading, x["specular"], x["shininess"], two_sided)
        return subject.asked(lighting=lighting).arrange(x)

    return Subject({**subject.leaves, **exact(leaves)}, arrange)
