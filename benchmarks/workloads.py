"""Whole workloads, in steps per second: `python -m benchmarks.workloads`.

A step of the published pose protocol (24 views of Spot's 5,856 faces at 64 x 64; the authors report 7.8 to
10.6 steps a second on their GPU), a step of the problems of meta-training, and a render so small that only
its overhead counts. Start-up is timed in fresh processes, with an empty and with a filled cache of kernels.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import taichisoft as ts
from benchmarks.about import about, headline, write_results
from benchmarks.renderers import Work
from benchmarks.timing import measure
from meta.learning.inner import InnerSettings, adam_step, start
from meta.report.markdown import markdown_table
from tasks import PoseFamily, Split, Task
from tasks.look_at_pose import LookAtPoseFamily

# With cached kernels, of which the fastest counts.
START_UPS = 3
START_UP = """
import time
begin = time.perf_counter()
import taichisoft as ts
render = ts.SoftRasterizer()
mesh = ts.shapes.icosphere(0)
mesh = mesh.with_vertices(mesh.vertices.clone().requires_grad_())
camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(16, 16))
render.silhouette(mesh, camera).sum().backward()
print(time.perf_counter() - begin)
"""


def workloads(mesh: Path | None) -> dict[str, Work]:
    """Return the steps by name; those of Spot only if its mesh is given."""
    found = {"12 faces, 1 x 16 x 16, forward + backward": small_render()}
    poses = PoseFamily(image_size=(64, 64)).sample(0, 64, Split.TRAIN)
    found["64 problems of pose, 64 x 64, one step"] = step(poses, ts.Gaussian(0.5))
    if mesh is not None:
        spot = LookAtPoseFamily(ts.load_mesh(mesh, materials=False), (64, 64)).sample(
            0, 24, Split.TRAIN
        )
        faces = ts.load_mesh(mesh, materials=False).num_faces
        for name, coverage in {
            "Gaussian, 0.1 px": ts.Gaussian(0.1),
            "squared logistic, sigma 1e-4": ts.Logistic.softras(1e-4),
        }.items():
            found[f"Spot, 24 views of {faces} faces, 64 x 64, {name}"] = step(spot, coverage)
    return found


def step(task: Task, coverage: ts.Coverage) -> Work:
    """Return what takes one step of Adam."""
    renderer = ts.SoftRasterizer(coverage).requires_grad_(False)
    settings = InnerSettings(1, 0.01)
    state = start(task)

    def work() -> object:
        leaves = {k: v.detach().requires_grad_() for k, v in state.unknowns.items()}
        loss = task.loss(leaves, renderer).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        with torch.no_grad():
            return adam_step(state, dict(zip(leaves, gradients, strict=True)), settings)

    return work


def small_render() -> Work:
    """Return a forward + backward of a cube in 16 x 16 pixels."""
    mesh = ts.shapes.cube()
    camera = ts.Camera.look_at((1.0, 1.0, 3.0), image_size=(16, 16))
    renderer = ts.SoftRasterizer(ts.Gaussian(0.4)).requires_grad_(False)
    vertices = mesh.vertices.clone().requires_grad_()

    def work() -> object:
        alpha = renderer.silhouette(mesh.with_vertices(vertices), camera)
        return torch.autograd.grad(alpha.sum(), vertices)

    return work


def start_up() -> dict[str, float]:
    """Return the seconds from the import to the first gradient, without and with cached kernels."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache}

        def seconds() -> float:
            done = subprocess.run(
                [sys.executable, "-c", START_UP],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            return float(done.stdout.split()[-1])

        return {"empty": seconds(), "filled": min(seconds() for _ in range(START_UPS))}


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/workloads"), help="file stem")
    parser.add_argument("--mesh", type=Path, help="mesh file of Spot")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each workload")
    options = parser.parse_args(arguments)
    head = about("benchmarks.workloads", arguments)
    rows = []
    result = {"about": head, "seconds": {}, "start_up_seconds": start_up()}
    for name, work in workloads(options.mesh).items():
        times = torch.tensor(measure(work, rounds=2000, seconds=options.seconds))
        median = float(times.median())
        result["seconds"][name] = median
        rows.append((name, f"{1e3 * median:.2f}", f"{1 / median:.1f}"))
    for state, seconds in result["start_up_seconds"].items():
        name = f"import and first gradient, {state} cache of kernels"
        rows.append((name, f"{1e3 * seconds:.0f}", ""))
    table = markdown_table(("workload", "ms", "per second"), rows)
    text = f"# Workloads\n\n{headline(head)}; backend {head['backend']}; medians.\n\n{table}\n"
    write_results(options.out, result, text)


if __name__ == "__main__":
    main()
