"""Write numbers of ``results/`` into the pages: ``python docs/results_in_text.py``. `mkdocs` does so, too.

In a page ``<!--r NAME-->...<!--/r-->`` holds what belongs to a name, so that the page can be read as it is.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARKED = re.compile(r"<!--r (?P<name>[\w. ]+)-->(?P<space>\s*).*?<!--/r-->", re.DOTALL)
PLACED = "<!--r {0}-->{2}{1}{2}<!--/r-->"

# The rows of the table of times: a scene of results/bench.json.
TIMES = (
    "1280 faces, 4 x 64 x 64, sigma 1e-05",
    "1280 faces, 4 x 256 x 256, sigma 1e-05",
    "1280 faces, 4 x 256 x 256, sigma 0.0001",
    "1280 faces, 4 x 256 x 256, sigma 0.01",
    "5120 faces, 4 x 256 x 256, sigma 1e-05",
    "5120 faces, 4 x 256 x 256, sigma 0.0001",
    "81920 faces, 4 x 256 x 256, sigma 1e-05",
    "1280 faces, 64 x 256 x 256, sigma 1e-05",
    "colour, 1280 faces, 4 x 64 x 64, sigma 1e-05",
    "colour, 1280 faces, 4 x 256 x 256, sigma 1e-05",
    "colour, 1280 faces, 4 x 256 x 256, sigma 0.0001",
)
NARROW, WIDE = TIMES[1], TIMES[3]
COLOUR = TIMES[9]
# The rows and columns of the table of coverages: labels of results/results.json.
COVERAGES = {
    "Gaussian": "Gaussian, annealed",
    "logistic": "Logistic, annealed",
    "exponential reversed": "Exponential reversed, annealed",
    "uniform": "Uniform, annealed",
    "gamma 0.5 reversed": "Gamma 0.5 reversed, annealed",
    "logistic squared (SoftRas)": "Logistic squared (SoftRas), annealed",
    "step with a Gaussian's slope (constant)": "Straight-through: step, Gaussian slope",
}
FAMILIES = ("pose", "shape3d", "shape2d", "occlusion")


def values() -> dict[str, str]:
    """Return what belongs to each name."""
    memory, workloads = _read("bench")["memory_mb"], _read("workloads")
    a_second = [1 / seconds for seconds in workloads["seconds"].values()]
    small = 1000 * next(iter(workloads["seconds"].values()))
    started = workloads["start_up_seconds"]
    return {
        "bench.times": _times(),
        "bench.narrow": _short(_against_deodr(NARROW)["ratio"]),
        "bench.wide": _short(_against_deodr(WIDE)["ratio"]),
        "bench.colour": _short(_against_deodr(COLOUR)["ratio"]),
        "memory.faces": f"{memory['5120 faces, 4 x 512 x 512, sigma 0.0001']:.0f}",
        "memory.images": f"{memory['1280 faces, 64 x 256 x 256, sigma 0.0001']:.0f}",
        "memory.large": f"{memory['327680 faces, 1 x 1024 x 1024, sigma 0.0001']:.0f}",
        "workloads.poses": f"{a_second[1]:.0f}",
        "workloads.gaussian": f"{a_second[2]:.0f}",
        "workloads.logistic": f"{a_second[3]:.0f}",
        "workloads.small": f"{small:.2f}",
        "workloads.empty": f"{started['empty']:.1f}",
        "workloads.filled": f"{started['filled']:.1f}",
        "spot.gaussian": _spot_seconds("Gaussian"),
        "spot.shape2d": _spot_seconds("Learned: shape2d"),
        "success.coverages": _coverages(),
        **{f"success.general.{family}": _success(family, GENERAL) for family in FAMILIES},
    }


GENERAL = "Learned on all families"


def filled(text: str) -> str:
    """Return a page with the numbers in their places.

    Raises
    ------
    KeyError
        A name that there is not.
    """
    known = values()
    return MARKED.sub(lambda m: PLACED.format(m["name"], known[m["name"]], m["space"]), text)


def on_page_markdown(markdown: str, **_) -> str:
    """Put the numbers of today into a page."""
    return filled(markdown)


def main() -> None:
    """Write them into the pages."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


@cache
def _read(name: str) -> dict:
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def _against_deodr(scene: str) -> dict:
    rows = _read("bench")["rows"]
    wanted = (scene, "deodr", "forward+backward")
    return next(row for row in rows if (row["scene"], row["peer"], row["work"]) == wanted)


def _times() -> str:
    lines = ["| scene | sigma | taichisoft | deodr | ratio |", "|---|---|---|---|---|"]
    for scene in TIMES:
        row = _against_deodr(scene)
        what, sigma = scene.split(", sigma ")
        if what.startswith("colour, "):
            what = what.removeprefix("colour, ") + ", colour"
        count, rest = what.split(" ", 1)
        numbers = (row["ours_ms"], row["peer_ms"], row["ratio"])
        cells = [f"{int(count):,} {rest}", f"{float(sigma):.0e}".replace("e-0", "e-")]
        lines.append("| " + " | ".join(cells + [_short(number) for number in numbers]) + " |")
    return "\n".join(lines)


def _short(number: float) -> str:
    """Return a number with two digits, or those before the point."""
    return (
        f"{number:.0f}" if number >= 9.95 else f"{number:.1f}" if number >= 1 else f"{number:.2f}"
    )


def _spot_seconds(label: str) -> str:
    rows = _read("spot_pose")["rows"]
    return f"{next(row['seconds'] for row in rows if row['label'] == label):.0f}"


def _success(family: str, label: str) -> str:
    wanted = (family, "held-out", label)
    rows = _read("results")["rows"]
    row = next(r for r in rows if (r["family"], r["split"], r["label"]) == wanted)
    return f"{100 * row['success_mean']:.0f} %"


def _coverages() -> str:
    lines = ["| | " + " | ".join(FAMILIES) + " |", "|---" * (len(FAMILIES) + 1) + "|"]
    columns = {f: [_success(f, label) for label in COVERAGES.values()] for f in FAMILIES}
    best = {f: max(column, key=lambda cell: float(cell[:-2])) for f, column in columns.items()}
    for index, name in enumerate(COVERAGES):
        cells = [columns[family][index] for family in FAMILIES]
        bold = [f"**{c}**" if c == best[f] else c for f, c in zip(FAMILIES, cells, strict=True)]
        lines.append("| " + " | ".join([name, *bold]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
