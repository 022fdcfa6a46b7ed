"""Times of quadrants next to Taichi: `python -m benchmarks.engines`.

All is timed that `benchmarks.bench` times of ours. A process has one engine, so each is timed in processes of
its own, in turn, round after round; the ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks import bench, cost
from benchmarks.about import about, headline, versions, write_results
from benchmarks.bench import Plan
from benchmarks.renderers import Renderer, fused, fused_color
from benchmarks.timed import timed
from benchmarks.timing import Work, measure
from meta.report.markdown import markdown_table
from taichisoft.base.engine import ENGINES, QUADRANTS, TAICHI, VARIABLE

# Largest ratio aimed at.
TARGET = 1.2
# Time for one row in one process, in seconds.
SECONDS = 1.0


def works(plan: Plan) -> Iterator[tuple[str, Work]]:
    """Yield what is timed, and before it what that is."""
    for label, renderer in _renderers(plan):
        yield f"{label}: forward", renderer.forward
        yield f"{label}: forward+backward", renderer.both
    for setting in plan.parts:
        scene = setting.scene
        for work, _, contestants in cost.comparisons(scene):
            for name, call in contestants.items():
                yield f"{scene.label}, {name}: {work}", call


def _renderers(plan: Plan) -> Iterator[tuple[str, Renderer]]:
    for setting in plan.silhouettes:
        yield setting.label, fused(setting)
    for setting in plan.colors:
        yield f"colour, {setting.label}", fused_color(setting)
    for setting in plan.parts:
        yield from bench.learned(setting)


def time_here(plan: Plan, seconds: float = SECONDS) -> dict[str, float]:
    """Return the median seconds of each row with the engine of this process."""
    return {
        row: statistics.median(measure(work, rounds=20, seconds=seconds)[:, 0])
        for row, work in works(plan)
    }


def compare(rounds: int, quick: bool) -> list[dict[str, object]]:
    """Return the times of each row and their ratio, quadrants / Taichi."""
    found = [
        {one: timed("benchmarks.engines", quick, **{VARIABLE: one.name}) for one in ENGINES}
        for _ in range(rounds)
    ]
    rows = []
    for row in found[0][TAICHI]:
        ratio = statistics.median(one[QUADRANTS][row] / one[TAICHI][row] for one in found)
        times = {
            f"{engine.name}_ms": 1e3 * statistics.median(one[engine][row] for one in found)
            for engine in ENGINES
        }
        rows.append({"row": row, **times, "ratio": ratio, "met": ratio <= TARGET})
    return rows


def to_markdown(rows: list[dict[str, object]], head: dict[str, object]) -> str:
    """Return the table, the largest ratio first."""
    table = markdown_table(
        ("row", "Taichi ms", "quadrants ms", f"ratio, at most {TARGET:g} wanted"),
        (
            (r["row"], *(f"{r[name]:.2f}" for name in ("taichi_ms", "quadrants_ms", "ratio")))
            for r in sorted(rows, key=lambda row: -row["ratio"])
        ),
    )
    engines = ", ".join(f"{name} {version}" for name, version in head["engines"].items())
    met = sum(row["met"] for row in rows)
    return (
        f"# Engines\n\n{headline(head)}; {engines}. Medians. {met} of {len(rows)} rows are within "
        f"{TARGET:g}.\n\n{table}\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown; or measure here, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/engines"), help="file stem")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small scenes only, once")
    parser.add_argument("--here", action="store_true", help="time the engine of this process only")
    options = parser.parse_args(arguments)
    if options.here:
        plan, seconds = (bench.QUICK, 0.0) if options.quick else (bench.FULL, SECONDS)
        print(json.dumps(time_here(plan, seconds)))
        return
    missing = [engine.name for engine in ENGINES if not engine.is_installed()]
    if missing:
        parser.error(f"both engines are compared, and {missing[0]} is not installed")
    head = about("benchmarks.engines", arguments)
    head["engines"] = versions(*(engine.name for engine in ENGINES))
    rows = compare(options.rounds, options.quick)
    write_results(options.out, {"about": head, "rows": rows}, to_markdown(rows, head))


if __name__ == "__main__":
    main()
