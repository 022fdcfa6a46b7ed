"""Functions that render under `torch.compile` and `torch.func`: `python -m benchmarks.compiled`.

Prints a Markdown table: how long the first step of a compiled function takes, and how long one takes after
that, in turn with the function as it is; and a transform of `torch.func` in turn with what autograd has.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, hessian, jacrev, jvp, vmap

import taichisoft as ts
from benchmarks.about import about, headline
from benchmarks.timing import Ratio, Work, measure
from meta.report.markdown import markdown_table

Draw = Callable[[Tensor], Tensor]


def functions(subdivisions: int, size: int) -> tuple[Tensor, dict[str, Draw]]:
    """Return the vertices of a ball, and losses of them by name."""
    mesh = ts.shapes.icosphere(subdivisions)
    camera = ts.Camera.look_at((0.5, 0.3, 3.0), image_size=(size, size))
    renderer = ts.SoftRasterizer().requires_grad_(False)
    target = renderer.silhouette(mesh, camera)

    def silhouette(v: Tensor) -> Tensor:
        alpha = renderer.silhouette(mesh.with_vertices(v), camera)
        return (alpha - target).square().mean() + v.square().mean()

    def image(v: Tensor) -> Tensor:
        seen = ts.Camera.look_at((0.5, 0.3, 3.0), image_size=(size, size))
        drawn = renderer(ts.Mesh(v, mesh.faces), seen, v)
        return (drawn.alpha - target).square().mean() + drawn.color.square().mean()

    return mesh.vertices, {"silhouette": silhouette, "image, with its camera": image}


def step(function: Draw, x: Tensor) -> Work:
    """Return what takes a gradient."""

    def work() -> object:
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf)

    return work


def row(name: str, first: str, ratio: Ratio) -> list[str]:
    """Return a line of the table."""
    spread = f"{ratio.ratio:.2f} ({ratio.ratio_low:.2f} to {ratio.ratio_high:.2f})"
    return [name, first, f"{ratio.ours_ms:.2f}", f"{ratio.peer_ms:.2f}", spread]


def compiled(name: str, function: Draw, x: Tensor, rounds: int) -> list[str]:
    """Compare a compiled function with the function as it is."""
    torch.compiler.reset()
    plain, quick = step(function, x), step(torch.compile(function), x)
    plain()
    begin = time.perf_counter()
    quick()
    first = time.perf_counter() - begin
    times = measure(quick, plain, rounds=rounds)
    return row(f"compiled, {name}", f"{first:.1f}", Ratio.of(*times.T))


def transformed(function: Draw, x: Tensor, rounds: int) -> list[list[str]]:
    """Compare transforms with what autograd has for the same."""
    several = torch.stack([x * (1 + 0.01 * k) for k in range(16)])
    autograd = torch.autograd.functional
    pairs: dict[str, tuple[Work, Work]] = {
        "grad": (lambda: grad(function)(x), step(function, x)),
        "jvp of grad, with vhp": (
            lambda: jvp(grad(function), (x,), (x,)),
            lambda: autograd.vhp(function, x, x),
        ),
        "vmap of grad over 16 scenes, with a loop": (
            lambda: vmap(grad(function))(several),
            lambda: [step(function, one)() for one in several],
        ),
    }
    if x.numel() < 100:
        for name, transform in {"hessian": hessian, "jacrev of jacrev": _twice}.items():
            pairs[f"{name}, with that of autograd"] = (
                lambda transform=transform: transform(function)(x),
                lambda: autograd.hessian(function, x),
            )
    return [
        row(name, "", Ratio.of(*measure(*pair, rounds=rounds, seconds=20).T))
        for name, pair in pairs.items()
    ]


def _twice(function: Draw) -> Draw:
    return jacrev(jacrev(function))


def main(arguments: list[str] | None = None) -> None:
    """Run from a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="how often each is timed")
    rounds = parser.parse_args(arguments).rounds
    rows = []
    for subdivisions, size in ((0, 16), (2, 64)):
        vertices, by_name = functions(subdivisions, size)
        scene = f"{20 * 4**subdivisions} faces, {size} x {size}"
        for name, function in by_name.items():
            rows.append(compiled(f"{name}, {scene}", function, vertices, rounds))
        for name, *numbers in transformed(by_name["silhouette"], vertices, rounds):
            rows.append([f"{name}, {scene}", *numbers])
    print(headline(about("benchmarks.compiled", arguments)), end="\n\n")
    head = ["what", "first step, s", "ms", "without, ms", "ratio (quartiles)"]
    print(markdown_table(head, rows))


if __name__ == "__main__":
    main()
