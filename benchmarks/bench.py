"""Time the rasterizer next to its peers: `python -m benchmarks.bench`.

All renderers of a row are timed in turn, round after round, so that a drift of the machine's speed hits them
alike; the ratios are taken round by round and their median is reported with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import taichisoft as ts
from benchmarks import cost
from benchmarks.about import about
from benchmarks.renderers import Renderer, dense, deodr, fused
from benchmarks.report import Row, to_markdown
from benchmarks.scenes import sphere_scene
from benchmarks.timing import Ratio, measure

SIGMAS = (1e-5, 1e-4, 1e-3)
SIZES = (64, 256)


def compare(scene: str, ours: Renderer, peer: Renderer, rounds: int, warm_up: int = 2) -> list[Row]:
    """Time two renderers, forward and forward+backward; each is first called `warm_up` times."""
    rows = []
    for work, mine, theirs in (
        ("forward", ours.forward, peer.forward),
        ("forward+backward", ours.both, peer.both),
    ):
        times = measure(mine, theirs, rounds=rounds, warm_up=warm_up)
        rows.append(Row(scene, peer.name, work, *Ratio.of(times[:, 0], times[:, 1])))
    return rows


def run(sizes=SIZES, sigmas=SIGMAS, rounds: int = 20, subdivisions: int = 3) -> list[Row]:
    """Run all comparisons."""
    rows = []
    for size in sizes:
        scene = sphere_scene(size, subdivisions)
        for sigma in sigmas:
            renderer = ts.SoftRasterizer(ts.Logistic.softras(sigma))
            label = f"{scene.label}, sigma {sigma:g}"
            ours = fused(scene, renderer)
            peer = deodr(scene)
            if peer is not None:
                rows += compare(label, ours, peer, rounds)
            if size == min(sizes) and sigma == sigmas[0]:
                ours.both()  # compile; the twin needs no warm-up, and minutes
                rows += compare(label, ours, dense(scene, renderer), rounds=1, warm_up=0)
        rows += compare_learned(size, rounds, subdivisions)
    return rows


def compare_learned(size: int, rounds: int, subdivisions: int) -> list[Row]:
    """Time the learned network, frozen and being learned, against a Gaussian of the same cut-off."""
    scene = sphere_scene(size, subdivisions)
    gaussian = ts.Gaussian(1.0)
    peer = fused(scene, ts.SoftRasterizer(gaussian), "Gaussian, equal cut-off")
    rows = []
    for state in ("frozen", "learning"):
        network = ts.MLPCoverage(1.0, reach=-gaussian.domain().low)
        network.requires_grad_(state == "learning")
        label = f"MLPCoverage ({state}), {scene.label}"
        rows += compare(label, fused(scene, ts.SoftRasterizer(network)), peer, rounds)
    return rows


MEMORY_PROBE = """
import taichisoft as ts
from pathlib import Path
from benchmarks.renderers import fused
from benchmarks.scenes import sphere_scene

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])

renderer = ts.SoftRasterizer(ts.Logistic.softras(1e-4))
fused(sphere_scene(16, 0), renderer).both()  # compile, and fill caches
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
fused(sphere_scene({size}, {subdivisions}), renderer).both()
print(status("VmHWM") - before)
"""


def peak_memory(size: int, subdivisions: int) -> float:
    """Return the growth of the peak memory of a fresh process by one step, in MB (Linux)."""
    probe = MEMORY_PROBE.format(size=size, subdivisions=subdivisions)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="file stem")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--sigmas", type=float, nargs="+", default=list(SIGMAS))
    parser.add_argument("--subdivisions", type=int, default=3)
    options = parser.parse_args(arguments)
    rows = run(options.sizes, options.sigmas, options.rounds, options.subdivisions)
    costs = cost.compare_all(options.sizes, options.rounds, options.subdivisions)
    memory = {
        f"{20 * 4**s} faces, 4 x {size} x {size}, sigma 1e-4": peak_memory(size, s)
        for size, s in ((max(options.sizes), options.subdivisions), (512, options.subdivisions + 1))
    }
    head = about("benchmarks.bench", arguments)
    text = to_markdown(rows, costs, memory, head)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "about": head,
        "rows": [asdict(row) for row in rows],
        "cost": [row.record() for row in costs],
        "memory_mb": memory,
    }
    options.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    options.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
