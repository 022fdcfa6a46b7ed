"""Time and memory of textures and lights: ``python -m benchmarks.appearance colors texture phong``.

A ball of 1,280 faces in float32, with the gradient of vertices and looks unless ``--no-gradient``. Times are
those of the processor, the least of several rounds in which kinds take turns. Memory, the growth of the
largest resident set, is told of one kind alone. With ``--reference-depth`` torch shades each fragment.
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

KINDS = ("colors", "gouraud", "texture", "mipmaps", "phong")
LIGHTS = (ts.AmbientLight(0.2), ts.PointLight((1.0, 2.0, 3.0)))


def options(kind: str, mesh: ts.Mesh, requires_grad: bool) -> dict:
    """Return the arguments of a render that say what the surface looks like."""
    generator = torch.Generator().manual_seed(0)
    if kind in ("texture", "mipmaps"):
        image = torch.rand(64, 64, 3, generator=generator).requires_grad_(requires_grad)
        corners = torch.arange(3 * mesh.num_faces)
        # As a map of the world; faces across its border have a seam.
        x, y, z = mesh.vertices.detach()[mesh.faces].reshape(-1, 3).unbind(1)
        uv = torch.stack([torch.atan2(x, z) / (2 * torch.pi), y.asin() / torch.pi + 0.5], 1)
        mipmaps = kind == "mipmaps"
        return {"colors": ts.Texture(image, uv, corners.reshape(-1, 3), mipmaps=mipmaps)}
    colors = torch.rand(mesh.num_vertices, 3, generator=generator).requires_grad_(requires_grad)
    if kind == "colors":
        return {"colors": colors}
    shading = {"gouraud": ts.Shading.GOURAUD, "phong": ts.Shading.PHONG}[kind]
    return {"colors": colors, "lighting": ts.Lighting(LIGHTS, shading, specular=0.4)}


def main(arguments: list[str] | None = None) -> None:
    """Measure kinds and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+", choices=KINDS)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-gradient", action="store_true")
    parser.add_argument("--reference-depth", action="store_true")
    given = parser.parse_args(arguments)
    ts.init("cpu")
    ball = ts.shapes.icosphere(3)
    renderer = ts.SoftRasterizer(occlusion=ts.DepthSoftmax() if given.reference_depth else None)
    mesh = ball.with_vertices(ball.vertices.clone().requires_grad_(not given.no_gradient))
    looks = {kind: options(kind, mesh, not given.no_gradient) for kind in given.kinds}

    def seconds(kind: str, size: int) -> float:
        camera = ts.Camera.look_at((0.3, 0.5, 3.0), image_size=(size, size))
        start = time.process_time()
        color = renderer(mesh, camera, **looks[kind]).color
        if not given.no_gradient:
            color.sum().backward()
        return time.process_time() - start

    for kind in given.kinds:
        seconds(kind, 8)  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rounds = [[seconds(kind, given.size) for kind in given.kinds] for _ in range(given.repeats)]
    best = [min(times) for times in zip(*rounds, strict=True)]
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    for kind, one in zip(given.kinds, best, strict=True):
        print(f"{kind}: {1e3 * one:.0f} ms, {one / best[0]:.2f} of the first")
    if len(given.kinds) == 1:
        camera = ts.Camera.look_at((0.3, 0.5, 3.0), image_size=(given.size, given.size))
        job = RasterJob(renderer.scene(mesh, camera)[1])
        curve = SoftnessCurves(renderer.softness).coverage(given.size)
        count = count_fragments(job, curve.numbers(job.points))
        print(f"{grown / 1e6:.0f} MB more, {grown / count:.0f} bytes for each of {count} fragments")


if __name__ == "__main__":
    main()
