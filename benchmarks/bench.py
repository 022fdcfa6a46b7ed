"""Time the rasterizer next to its peers: `python -m benchmarks.bench`.

All renderers of a row are timed in turn, round after round, so that a drift of the machine's speed hits them
alike; the ratios are taken round by round and their median is reported with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import taichisoft as ts
from benchmarks.renderers import Renderer, dense, deodr, fused
from benchmarks.scenes import sphere_scene

SIGMAS = (1e-5, 1e-4, 1e-3)
SIZES = (64, 256)
DENSE_ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """One comparison: ours against one peer.

    Parameters
    ----------
    scene, peer, work : str
        What was rendered, against what, and forward or forward+backward.
    ours_ms, peer_ms : float
        Median times in milliseconds.
    ratio, ratio_low, ratio_high : float
        Median and quartiles of ours / peer, round by round.
    """

    scene: str
    peer: str
    work: str
    ours_ms: float
    peer_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


def measure(work, *others, rounds: int, warm_up: int = 2) -> np.ndarray:
    """Return seconds, (rounds, number of callables), taken in turn."""
    callables = (work, *others)
    for call in callables:
        for _ in range(warm_up):
            call()
    times = np.empty((rounds, len(callables)))
    for index in range(rounds):
        for column, call in enumerate(callables):
            start = time.perf_counter()
            call()
            times[index, column] = time.perf_counter() - start
    return times


def compare(scene: str, ours: Renderer, peer: Renderer, rounds: int) -> list[Row]:
    """Time two renderers, forward and forward+backward."""
    rows = []
    for work, mine, theirs in (
        ("forward", ours.forward, peer.forward),
        ("forward+backward", ours.both, peer.both),
    ):
        times = measure(mine, theirs, rounds=rounds)
        low, ratio, high = np.percentile(times[:, 0] / times[:, 1], [25, 50, 75])
        mine_ms, peer_ms = np.median(times, 0) * 1e3
        rows.append(Row(scene, peer.name, work, mine_ms, peer_ms, ratio, low, high))
    return rows


def run(sizes=SIZES, sigmas=SIGMAS, rounds: int = 20, subdivisions: int = 3) -> list[Row]:
    """Run all comparisons."""
    rows = []
    for size in sizes:
        scene = sphere_scene(size, subdivisions)
        for sigma in sigmas:
            renderer = ts.SoftRasterizer(ts.Logistic.softras(sigma))
            label = f"{scene.mesh.num_faces} faces, 4 x {size} x {size}, sigma {sigma:g}"
            ours = fused(scene, renderer)
            peer = deodr(scene)
            if peer is not None:
                rows += compare(label, ours, peer, rounds)
            if size == min(sizes) and sigma == sigmas[0]:
                rows += compare(label, ours, dense(scene, renderer), min(rounds, DENSE_ROUNDS))
        rows += compare_learned(size, rounds, subdivisions)
    return rows


def compare_learned(size: int, rounds: int, subdivisions: int = 3) -> list[Row]:
    """Time the learned network, frozen and being learned, against a Gaussian of the same cut-off."""
    scene = sphere_scene(size, subdivisions)
    gaussian = ts.Gaussian(1.0)
    peer = fused(scene, ts.SoftRasterizer(gaussian), "Gaussian, equal cut-off")
    rows = []
    for state in ("frozen", "learning"):
        network = ts.MLPCoverage(1.0, reach=-gaussian.domain().low)
        network.requires_grad_(state == "learning")
        label = f"MLPCoverage ({state}), {scene.mesh.num_faces} faces, 4 x {size} x {size}"
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


def to_markdown(rows: list[Row], memory: dict[str, float], about: dict) -> str:
    """Return the table as Markdown."""
    lines = [
        "# Benchmark",
        "",
        f"`{about['command']}`; {about['processor']}, {about['threads']} threads; backend "
        f"{about['backend']}; taichisoft {about['taichisoft']}, torch {about['torch']}. Silhouettes; "
        "medians; the ratio is ours / peer, round by round, with its quartiles.",
        "",
        "| scene | peer | work | ours ms | peer ms | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.scene} | {row.peer} | {row.work} | {row.ours_ms:.2f} | {row.peer_ms:.2f} | "
            f"{row.ratio:.3g} ({row.ratio_low:.3g}-{row.ratio_high:.3g}) |"
        )
    lines += ["", "| peak memory of one forward+backward | MB |", "|---|---|"]
    lines += [f"| {scene} | {size:.0f} |" for scene, size in memory.items()]
    return "\n".join(lines) + "\n"


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
    memory = {
        f"{20 * 4**s} faces, 4 x {size} x {size}, sigma 1e-4": peak_memory(size, s)
        for size, s in ((max(options.sizes), options.subdivisions), (512, options.subdivisions + 1))
    }
    about = {
        "command": "python -m benchmarks.bench " + " ".join(arguments or sys.argv[1:]),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "backend": ts.backend(),
        "taichisoft": ts.__version__,
        "torch": torch.__version__,
    }
    text = to_markdown(rows, memory, about)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"about": about, "rows": [asdict(row) for row in rows], "memory_mb": memory}
    options.out.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    options.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
