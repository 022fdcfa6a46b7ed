"""Time and memory of textures and lights: ``python -m benchmarks.appearance {colors,gouraud,texture,phong}``.

A ball of 1,280 faces in float32, with the gradient of vertices and looks unless ``--no-gradient``. One kind a
process, since the memory is the growth of the largest resident set.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

import taichisoft as ts
from taichisoft.engine.fragments import count_fragments
from taichisoft.engine.job import RasterJob
from taichisoft.softness.curves import SoftnessCurves

LIGHTS = (ts.AmbientLight(0.2), ts.PointLight((1.0, 2.0, 3.0)))


def options(kind: str, mesh: ts.Mesh, requires_grad: bool) -> dict:
    """Return the arguments of a render that say what the surface looks like."""
    generator = torch.Generator().manual_seed(0)
    if kind == "texture":
        image = torch.rand(64, 64, 3, generator=generator).requires_grad_(requires_grad)
        corners = torch.arange(3 * mesh.num_faces)
        uv = torch.rand(len(corners), 2, generator=generator)
        return {"colors": ts.Texture(image, uv, corners.reshape(-1, 3))}
    colors = torch.rand(mesh.num_vertices, 3, generator=generator).requires_grad_(requires_grad)
    if kind == "colors":
        return {"colors": colors}
    shading = {"gouraud": ts.Shading.GOURAUD, "phong": ts.Shading.PHONG}[kind]
    return {"colors": colors, "lighting": ts.Lighting(LIGHTS, shading, specular=0.4)}


def main(arguments: list[str] | None = None) -> None:
    """Measure one kind and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["colors", "gouraud", "texture", "phong"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-gradient", action="store_true")
    given = parser.parse_args(arguments)
    ts.init("cpu")
    mesh, renderer = ts.shapes.icosphere(3), ts.SoftRasterizer()
    look = options(given.kind, mesh, not given.no_gradient)
    mesh = mesh.with_vertices(mesh.vertices.clone().requires_grad_(not given.no_gradient))

    def seconds(size: int) -> float:
        camera = ts.Camera.look_at((0.3, 0.5, 3.0), image_size=(size, size))
        start = time.perf_counter()
        color = renderer(mesh, camera, **look).color
        if not given.no_gradient:
            color.sum().backward()
        return time.perf_counter() - start

    seconds(8)  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    best = min(seconds(given.size) for _ in range(given.repeats))
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    camera = ts.Camera.look_at((0.3, 0.5, 3.0), image_size=(given.size, given.size))
    job = RasterJob(renderer.scene(mesh, camera)[1])
    curve = SoftnessCurves(renderer.softness).coverage(given.size)
    count = count_fragments(job, curve.numbers(job.points))
    print(
        f"{given.kind}: {1e3 * best:.0f} ms, {count} fragments, {grown / count:.0f} bytes a fragment"
    )


if __name__ == "__main__":
    main()
