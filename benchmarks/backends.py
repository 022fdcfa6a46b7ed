"""Times of the same scenes on every backend that can be had here: `python -m benchmarks.backends`.

A process has one backend, so each is timed in processes of its own, in turn, round after round; the ratios to
the CPU backend are taken round by round.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import taichisoft as ts
from benchmarks.about import about, headline, write_results
from benchmarks.renderers import fused
from benchmarks.scenes import Setting
from benchmarks.timed import timed
from benchmarks.timing import measure
from meta.report.markdown import markdown_table
from taichisoft.base.vulkan_device import vulkan_devices

PEER = "cpu"
SETTINGS = (
    Setting(3, 64, sigma=1e-5),
    Setting(3, 256, sigma=1e-5),
    Setting(3, 256, sigma=1e-4),
    Setting(4, 256, sigma=1e-4),
)
QUICK = (Setting(0, 16),)


def time_here(settings: tuple[Setting, ...]) -> dict[str, float]:
    """Return the median seconds of a forward + backward of each scene on the backend of this process."""
    found = {}
    for setting in settings:
        times = measure(fused(setting).both, rounds=20, seconds=3.0)
        found[setting.label] = statistics.median(times[:, 0])
    return found


def time_elsewhere(backend: str, quick: bool) -> dict[str, float]:
    """Return the same of a fresh process on a backend."""
    return timed("benchmarks.backends", quick, TAICHISOFT_BACKEND=backend)


def compare(rounds: int, quick: bool) -> list[dict[str, object]]:
    """Return a row for each scene and backend other than the CPU."""
    names = [name for name, present in ts.available_backends().items() if present]
    found = [{name: time_elsewhere(name, quick) for name in names} for _ in range(rounds)]
    return [
        {
            "scene": scene,
            "backend": name,
            "ms": 1e3 * statistics.median(one[name][scene] for one in found),
            "cpu_ms": 1e3 * statistics.median(one[PEER][scene] for one in found),
            "ratio": statistics.median(one[name][scene] / one[PEER][scene] for one in found),
        }
        for name in names
        if name != PEER
        for scene in found[0][PEER]
    ]


def to_markdown(rows: list[dict[str, object]], head: dict[str, object]) -> str:
    """Return the table."""
    table = markdown_table(
        ("scene", "backend", "ms", "CPU ms", "ratio"),
        (
            (r["scene"], r["backend"], *(f"{r[name]:.2f}" for name in ("ms", "cpu_ms", "ratio")))
            for r in rows
        ),
    )
    return (
        f"# Backends\n\n{headline(head)}; Vulkan devices: {', '.join(head['vulkan_devices']) or 'none'}. "
        f"Forward + backward of silhouettes, medians.\n\n{table}\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown; or measure here, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/backends"), help="file stem")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a small scene only")
    parser.add_argument("--here", action="store_true", help="time the backend of this process only")
    options = parser.parse_args(arguments)
    if options.here:
        print(json.dumps(time_here(QUICK if options.quick else SETTINGS)))
        return
    head = {
        **about("benchmarks.backends", arguments),
        "vulkan_devices": [name for name, _ in vulkan_devices()],
    }
    rows = compare(options.rounds, options.quick)
    write_results(options.out, {"about": head, "rows": rows}, to_markdown(rows, head))


if __name__ == "__main__":
    main()
