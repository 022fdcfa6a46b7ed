"""Times from the first import to first gradients, for each engine: `python -m benchmarks.start_up`.

Every time is that of a fresh process: with an empty cache of kernels, and with the one that it filled. The
engines and versions take turns. The processor's time counts all threads; it says more on a machine that
other programs use.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.about import about, headline, versions, write_results
from meta.report.markdown import markdown_table
from taichisoft.base.checks import check_integer
from taichisoft.base.engine import ENGINES, VARIABLE

ROOT = Path(__file__).parents[1]
ROUNDS = 3
# What is done in a process, one after the other: its name in the JSON, and in the table.
STAGES = {
    "torch": "import torch",
    "import": "import taichisoft",
    "gradient": "first gradient of a silhouette",
    "colour": "first gradient of an image in colour",
    "learned": "first second derivative, with a softness that is learned",
}
PROGRAM = """
import json, time
times = []
def done(stage):
    times.append((stage, time.perf_counter(), time.process_time()))
done("")
import torch
done("torch")
import taichisoft as ts
done("import")
mesh = ts.shapes.icosphere(0)
vertices = mesh.vertices.clone().requires_grad_()
mesh = mesh.with_vertices(vertices).with_face_colors(torch.ones(len(mesh.faces), 3))
camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(16, 16))
ts.SoftRasterizer().silhouette(mesh, camera).sum().backward()
done("gradient")
ts.SoftRasterizer()(mesh, camera).color.sum().backward()
done("colour")
learned = ts.SoftRasterizer(ts.Gaussian(0.5))
loss = learned.silhouette(mesh, camera).square().sum()
(slope,) = torch.autograd.grad(loss, vertices, create_graph=True)
slope.square().sum().backward()
done("learned")
print(json.dumps({
    stage: [wall - before[1], processor - before[2]]
    for before, (stage, wall, processor) in zip(times, times[1:])
}))
"""


@dataclass(frozen=True)
class Entrant:
    """What starts.

    Parameters
    ----------
    label : str
        What the tables call it.
    engine : str
        Name of the engine.
    folder : Path
        Checkout that is imported.
    """

    label: str
    engine: str
    folder: Path

    def start(self, cache: str) -> dict[str, list[float]]:
        """Return seconds, and those of the processor, of each stage in a fresh process."""
        environment = {**os.environ, VARIABLE: self.engine, "XDG_CACHE_HOME": cache}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            # What is in this folder is imported first.
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])


def entrants(earlier: Path | None) -> list[Entrant]:
    """Return the engines that are installed, and an earlier version with the first of them."""
    found = [Entrant(one.title, one.name, ROOT) for one in ENGINES if one.is_installed()]
    if earlier is not None:
        folder = earlier.resolve()
        found.append(Entrant(f"{folder.name}, {found[0].label}", found[0].engine, folder))
    return found


def compare(contestants: Sequence[Entrant], rounds: int) -> list[dict[str, object]]:
    """Return the median times of each entrant, with an empty and with a filled cache."""
    taken: dict[tuple[str, str], list[dict[str, list[float]]]] = {}
    for _ in range(rounds):
        for one in contestants:
            with tempfile.TemporaryDirectory() as cache:
                for state in ("empty", "filled"):
                    taken.setdefault((one.label, state), []).append(one.start(cache))
    rows = []
    for (label, state), starts in taken.items():
        stages = {stage: _medians(starts, [stage]) for stage in STAGES}
        whole = _medians(starts, list(STAGES)[: list(STAGES).index("gradient") + 1])
        rows.append({"entrant": label, "cache": state, "stages": stages, "until_gradient": whole})
    return rows


def _medians(
    starts: Sequence[Mapping[str, list[float]]], stages: Sequence[str]
) -> dict[str, float]:
    """Return the medians of what some stages take together."""
    return {
        kind: statistics.median(sum(start[stage][index] for stage in stages) for start in starts)
        for index, kind in enumerate(("seconds", "cpu_seconds"))
    }


def to_markdown(rows: Sequence[Mapping[str, object]], head: Mapping[str, object]) -> str:
    """Return the table: seconds, and in brackets those of the processor."""
    columns = [f"{row['entrant']}, {row['cache']} cache" for row in rows]
    lines = [
        (title, *(_cell(row["stages"][stage]) for row in rows)) for stage, title in STAGES.items()
    ]
    total = (
        "all until the gradient of a silhouette",
        *(_cell(row["until_gradient"]) for row in rows),
    )
    engines = ", ".join(f"{name} {number}" for name, number in head["engines"].items())
    return (
        f"# Start-up\n\n{headline(head)}; {engines}. Seconds in a fresh process, one stage after the "
        f"other, and in brackets those of all its threads; medians.\n\n"
        f"{markdown_table(('stage', *columns), [*lines, total])}\n"
    )


def _cell(times: Mapping[str, float]) -> str:
    return f"{times['seconds']:.2f} ({times['cpu_seconds']:.2f})"


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/start_up"), help="file stem")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--earlier", type=Path, help="checkout of an earlier version, timed as well"
    )
    options = parser.parse_args(arguments)
    check_integer(options.rounds, "rounds", minimum=1)
    if options.earlier is not None and not (options.earlier / "taichisoft").is_dir():
        parser.error(f"--earlier must be a folder with taichisoft in it, got {options.earlier}")
    head = about("benchmarks.start_up", arguments)
    head["engines"] = versions(*(engine.name for engine in ENGINES))
    rows = compare(entrants(options.earlier), options.rounds)
    write_results(options.out, {"about": head, "rows": rows}, to_markdown(rows, head))


if __name__ == "__main__":
    main()
