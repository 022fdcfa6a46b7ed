"""Times of the rasterizer next to its peers: `python -m benchmarks.bench`.

All renderers of a row are timed in turn, round after round, so that a drift of the machine's speed hits them
alike; the ratios are taken round by round and their median is reported with its quartiles.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import taichisoft as ts
from benchmarks import cost
from benchmarks.about import about, versions, write_results
from benchmarks.renderers import (
    CHANNELS,
    TEXELS,
    Renderer,
    dense,
    deodr,
    fused,
    fused_color,
    fused_texture,
    pytorch3d,
)
from benchmarks.report import PeerTimes, draw, to_markdown
from benchmarks.scenes import Setting
from benchmarks.timing import Ratio, measure
from meta.report.figures import save_figure


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Parameters
    ----------
    silhouettes, colors : tuple of Setting
        Compared with the peers.
    dense : tuple of Setting
        Compared with the dense twin, which takes minutes.
    parts : tuple of Setting
        Where our own variants are compared with each other.
    memory, textured : tuple of Setting
        Whose memory is measured, without colours and with a texture.
    """

    silhouettes: tuple[Setting, ...]
    colors: tuple[Setting, ...]
    dense: tuple[Setting, ...]
    parts: tuple[Setting, ...]
    memory: tuple[Setting, ...]
    textured: tuple[Setting, ...]


FULL = Plan(
    silhouettes=(
        *(Setting(3, n, sigma=s) for n, s in product((64, 256), (1e-5, 1e-4, 1e-3, 1e-2))),
        *(Setting(n, 256, sigma=s) for n, s in product((2, 4, 5, 6), (1e-5, 1e-4))),
        *(Setting(3, n, sigma=1e-5) for n in (128, 512, 1024)),
        *(Setting(3, 256, views, 1e-5) for views in (1, 16, 64)),
    ),
    colors=(
        Setting(3, 64, sigma=1e-5),
        *(Setting(n, 256, sigma=s) for n, s in product((3, 4), (1e-5, 1e-4))),
    ),
    dense=(Setting(3, 64, sigma=1e-5),),
    parts=(Setting(3, 64), Setting(3, 256)),
    memory=(Setting(3, 256), Setting(4, 512), Setting(3, 256, 64), Setting(7, 1024, 1)),
    textured=(Setting(4, 128, 32),),
)
# Kernels of textures take long to compile.
QUICK = Plan(*[(Setting(0, 16, 2),)] * 5, textured=())
SECONDS = 10.0


def compare(
    scene: str, ours: Renderer, peer: Renderer, rounds: int, warm_up: int = 2
) -> Iterator[PeerTimes]:
    """Time two renderers, forward and forward+backward; each is first called `warm_up` times."""
    for work, mine, theirs in (
        ("forward", ours.forward, peer.forward),
        ("forward+backward", ours.both, peer.both),
    ):
        times = measure(mine, theirs, rounds=rounds, warm_up=warm_up, seconds=SECONDS)
        row = PeerTimes(scene, peer.name, work, *Ratio.of(times[:, 0], times[:, 1]))
        print(f"{scene}, {peer.name}, {work}: {row.ratio:.3g}", flush=True)
        yield row


def run(plan: Plan, rounds: int) -> Iterator[PeerTimes]:
    """Run all comparisons with peers."""
    for setting in plan.silhouettes:
        for peer in (deodr(setting), pytorch3d(setting)):
            if peer is not None:
                yield from compare(setting.label, fused(setting), peer, rounds)
    for setting in plan.colors:
        peer = deodr(setting, CHANNELS)
        if peer is not None:
            yield from compare(f"colour, {setting.label}", fused_color(setting), peer, rounds)
    for setting in plan.dense:
        ours = fused(setting)
        ours.both()  # compile; the twin needs no warm-up, and minutes
        yield from compare(setting.label, ours, dense(setting), rounds=1, warm_up=0)
    for setting in plan.parts:
        yield from compare_learned(setting, rounds)


def compare_learned(setting: Setting, rounds: int) -> Iterator[PeerTimes]:
    """Time the learned network against a Gaussian of the same cut-off."""
    peer = fused(setting, ts.SoftRasterizer(ts.Gaussian(1.0)), "Gaussian, equal cut-off")
    for label, network in learned(setting):
        yield from compare(label, network, peer, rounds)


def learned(setting: Setting) -> Iterator[tuple[str, Renderer]]:
    """Yield the learned network, frozen and being learned, with the cut-off of a Gaussian, and what it is."""
    for state in ("frozen", "learning"):
        network = ts.MLPCoverage(1.0, reach=-ts.Gaussian(1.0).domain().low)
        network.requires_grad_(state == "learning")
        label = f"MLPCoverage ({state}), {setting.scene.label}"
        yield label, fused(setting, ts.SoftRasterizer(network))


MEMORY_PROBE = """
from pathlib import Path
from benchmarks.renderers import {make}
from benchmarks.scenes import Setting

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])

{make}(Setting(0, 16)).both()  # compile, and fill caches
work = {make}({setting}).both
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
work()
print(status("VmHWM") - before)
"""


def peak_memory(setting: Setting, make: Callable[[Setting], Renderer] = fused) -> float:
    """Return the growth of the peak memory of a fresh process by one step, in MB (Linux)."""
    probe = MEMORY_PROBE.format(setting=setting, make=make.__name__)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and write JSON, Markdown and PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="file stem")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="small scenes only")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    rows = list(run(plan, options.rounds))
    costs = cost.compare_all(plan.parts, options.rounds)
    memory = {setting.label: peak_memory(setting) for setting in plan.memory}
    for setting in plan.textured:
        label = f"{setting.label}, texture of {TEXELS} x {TEXELS}"
        memory[label] = peak_memory(setting, fused_texture)
    head = {**about("benchmarks.bench", arguments), "peers": versions("deodr", "pytorch3d")}
    result = {
        "about": head,
        "rows": [asdict(row) for row in rows],
        "cost": [row.record() for row in costs],
        "memory_mb": memory,
    }
    write_results(options.out, result, to_markdown(rows, costs, memory, head))
    save_figure(draw(rows), options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
