"""Numbers and tables of ``results/``, by the names that pages have for them."""

from __future__ import annotations

import json
import statistics
from functools import cache
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "results"
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
# The rows and columns of the table of coverages: labels of results/tuned_alone.json.
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
GENERAL = "Learned on all families"
FIXED = "One fixed setting"
# Labels of results/pooled.json, and what the tables call them.
CLAIM = {
    GENERAL: "**learned on all four**",
    FIXED: "the one fixed setting",
    "suggest_scale": "`ts.suggest_scale`",
    "PyTorch3D's default": "PyTorch3D's default",
    "GenDR's default": "GenDR's default",
    "SoftRas's default": "SoftRas's default",
}
DEFAULTS = [label for label in CLAIM if label.endswith(" default")]
OTHERS = "Learned on the others"
UNSEEN = {OTHERS: "**learned on the other three**", FIXED: "chosen on the other three"}
ALONE = {"Learned": "**learned on it**", "Best setting for the family": "chosen for it"}
REPORTS = ("one setting for all", "a family never seen", "each family on its own")


def values() -> dict[str, str]:
    """Return what belongs to each name."""
    memory, workloads = _read("bench")["memory_mb"], _read("workloads")
    a_second = [1 / seconds for seconds in workloads["seconds"].values()]
    small = 1000 * next(iter(workloads["seconds"].values()))
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
        **_start_up(),
        **_engines(),
        "spot.gaussian": _spot_seconds("Gaussian"),
        "spot.shape2d": _spot_seconds("Learned: shape2d"),
        "spot.table": _spot_table(),
        "success.coverages": _coverages(),
        **{
            f"success.general.{family}": _success("results", family, GENERAL) for family in FAMILIES
        },
        "claim.solved": _solved(0, CLAIM),
        "claim.unseen": _solved(1, UNSEEN),
        "claim.alone": _solved(2, ALONE),
        "claim.learned": _listed(0, GENERAL),
        "claim.fixed": _listed(0, FIXED),
        "claim.defaults": _span(0, DEFAULTS),
        "claim.elsewhere": f"{_mean(1, OTHERS):.0f} against {_mean(1, FIXED):.0f} %",
        "claim.ahead": _ahead(),
        "claim.conditions": _conditions(),
        "claim.gains": _gains(),
        "claim.runs": _runs(),
        **_single_view(),
        **_unknown_poses(),
        **_other_renderers(),
    }


@cache
def _read(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _against_deodr(scene: str) -> dict:
    rows = _read("bench")["rows"]
    wanted = (scene, "deodr", "forward+backward")
    return next(row for row in rows if (row["scene"], row["peer"], row["work"]) == wanted)


def _times() -> str:
    rows = []
    for scene in TIMES:
        row = _against_deodr(scene)
        what, sigma = scene.split(", sigma ")
        if what.startswith("colour, "):
            what = what.removeprefix("colour, ") + ", colour"
        count, rest = what.split(" ", 1)
        numbers = (row["ours_ms"], row["peer_ms"], row["ratio"])
        cells = [f"{int(count):,} {rest}", f"{float(sigma):.0e}".replace("e-0", "e-")]
        rows.append(cells + [_short(number) for number in numbers])
    return _table(["scene", "sigma", "taichisoft", "deodr", "ratio"], rows)


def _start_up() -> dict[str, str]:
    # Those of the first engine, which is the default.
    until = {row["cache"]: row["until_gradient"] for row in _read("start_up")["rows"][:2]}
    return {
        "start_up.table": _first_table("start_up"),
        **{f"start_up.{cache}": f"{times['seconds']:.1f}" for cache, times in until.items()},
    }


def _short(number: float) -> str:
    """Return a number with two digits, or those before the point."""
    return (
        f"{number:.0f}" if number >= 9.95 else f"{number:.1f}" if number >= 1 else f"{number:.2f}"
    )


def _spot_seconds(label: str) -> str:
    rows = _read("spot_pose")["rows"]
    return f"{next(row['seconds'] for row in rows if row['label'] == label):.0f}"


def _spot_table() -> str:
    """Return which share of the poses each softness solves, and its median error."""
    rows = []
    for row in _read("spot_pose")["rows"]:
        shipped = row["key"].startswith("pretrained-")
        success = [100 * row["success_last"][end] for end in ("estimate", "low", "high")]
        error = [row["median_error"][end] for end in ("estimate", "low", "high")]
        rows.append(
            [
                row["label"].replace("Learned: ", "shipped: "),
                "its own" if shipped else row["choice"],
                "{:.1f} % [{:.0f}, {:.0f}]".format(*success),
                "{:.2f}° [{:.2f}, {:.2f}]".format(*error),
            ]
        )
    return _table(["softness", "setting", "solved at the last step", "median error"], rows)


def _success(name: str, family: str, label: str) -> str:
    wanted = (family, "held-out", label)
    rows = _read(name)["rows"]
    row = next(r for r in rows if (r["family"], r["split"], r["label"]) == wanted)
    return f"{100 * row['success_mean']:.0f} %"


def _coverages() -> str:
    rows = []
    columns = {
        f: [_success("tuned_alone", f, label) for label in COVERAGES.values()] for f in FAMILIES
    }
    best = {f: max(column, key=lambda cell: float(cell[:-2])) for f, column in columns.items()}
    for index, name in enumerate(COVERAGES):
        cells = [columns[family][index] for family in FAMILIES]
        bold = [f"**{c}**" if c == best[f] else c for f, c in zip(FAMILIES, cells, strict=True)]
        rows.append([name, *bold])
    return _table(["softness", *FAMILIES], rows)


def _engines() -> dict[str, str]:
    rows = _read("engines")["rows"]
    ratio = statistics.median(row["ratio"] for row in rows)
    return {
        "engines.median": f"{ratio:.2f}",
        "engines.most": f"{max(row['ratio'] for row in rows):.1f}",
        "engines.near": f"{sum(row['met'] for row in rows)} of {len(rows)}",
    }


def _first_table(name: str) -> str:
    """Return the first table of a Markdown file in results."""
    return _tables(name)[0]


def _tables(name: str) -> list[str]:
    parts = (RESULTS / f"{name}.md").read_text(encoding="utf-8").split("\n\n")
    return [part.strip() for part in parts if part.startswith("|")]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _percent(row: dict, name: str = "success") -> str:
    ends = (row[f"{name}_{end}"] for end in ("mean", "low", "high"))
    return "{:.0f} % [{:.0f}, {:.0f}]".format(*(100 * end for end in ends))


def _of(report: int, label: str) -> list[dict]:
    """Return the rows of a softness in a report of results/pooled.json, in the order of the families."""
    rows = _read("pooled")["reports"][report]["rows"]
    found = {row["family"]: row for row in rows if row["label"] == label}
    return [found[family] for family in FAMILIES]


def _mean(report: int, label: str) -> float:
    of = _of(report, label)
    return 100 * sum(row["success_mean"] for row in of) / len(of)


def _listed(report: int, label: str) -> str:
    *most, last = (f"{100 * row['success_mean']:.0f}" for row in _of(report, label))
    return f"{', '.join(most)} and {last} %"


def _span(report: int, labels: list[str]) -> str:
    means = [_mean(report, label) for label in labels]
    return f"{min(means):.0f} to {max(means):.0f} %"


def _solved(report: int, labels: dict[str, str]) -> str:
    """Return which share of the held-out problems some softnesses of a report solve."""
    rows = [
        [name, *map(_percent, _of(report, label)), f"{_mean(report, label):.0f} %"]
        for label, name in labels.items()
    ]
    return _table(["softness", *FAMILIES, "mean"], rows)


def _ahead() -> str:
    """Return where the learned ones stand against what was chosen from as many problems."""
    rows = []
    for name, report in zip(REPORTS, _read("pooled")["reports"], strict=True):
        found = {r["family"]: r for r in report["paired"] if r["softness"] == "pooled-best"}
        rows.append([name, *(_stand(found[family]) for family in (*FAMILIES, "mean"))])
    return _table(["comparison", *FAMILIES, "mean"], rows)


def _stand(row: dict) -> str:
    points = [100 * row[name] for name in ("success", "success_low", "success_high")]
    words = "{}: {:+.0f} [{:+.0f}, {:+.0f}]".format(row["overall"], *points)
    return f"{words}; error x {row['error_ratio']:.2f}".replace("+0 ", "0 ")


def _conditions() -> str:
    """Return the mean success of the families under each condition, for each entrant."""
    cells = _read("conditions")["cells"]
    keys = list(cells[0]["success"])
    names = ["**learned on all four**", "the one fixed setting", "`ts.suggest_scale`"]
    shares: dict[str, list[dict]] = {}
    for cell in cells:
        shares.setdefault(cell["label"], []).append(cell["success"])
    means = {
        name: [sum(one[key] for one in some) / len(some) for key in keys]
        for name, some in shares.items()
    }
    rows = [[name, *(f"{100 * mean:.0f} %" for mean in of)] for name, of in means.items()]
    whole = [sum(column) / len(means) for column in zip(*means.values(), strict=True)]
    rows.append(["**mean**", *(f"**{100 * mean:.1f} %**" for mean in whole)])
    return _table(["condition", *names], rows)


def _gains() -> str:
    """Return what learning added to its start, and a free curve to a closed form."""
    rows = []
    for gain in _read("results")["gains"]:
        if gain["ours"] == GENERAL:
            continue
        points = [100 * gain["success"][end] for end in ("estimate", "low", "high")]
        ratio = [gain["ratio"][end] for end in ("estimate", "low", "high")]
        rows.append(
            [
                gain["family"],
                gain["ours"].removeprefix("Learned: ").replace("Learned", "learned"),
                gain["theirs"].replace("Learned", "learned").replace("Start", "start"),
                "{:+.1f} [{:+.1f}, {:+.1f}]".format(*points),
                "{:.3f} [{:.3f}, {:.3f}]".format(*ratio),
            ]
        )
    return _table(["family", "softness", "against", "points of success", "times the error"], rows)


def _runs() -> str:
    """Return which softness each run kept, how sure it is ahead of the start, and what it could have seen."""
    rows = []
    for path in sorted((RESULTS / "runs").glob("*/softness.safetensors")):
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        judged = json.loads(header["__metadata__"]["trained"])["validation"]
        start, kept = judged["start"]["objective"], judged["kept"]["objective"]
        low, high = judged["interval"]
        rows.append(
            [
                path.parent.name,
                f"{judged['kept']['step']} of {judged['taken']}",
                f"{start:.3f}",
                f"{kept:.3f}",
                f"{judged['ahead']:+.3f} [{low:+.3f}, {high:+.3f}]",
                f"{judged['visible']:.3f}",
            ]
        )
    return _table(["run", "kept step", "start", "kept", "ahead", "visible"], rows)


def _single_view() -> dict[str, str]:
    results = _read("single_view")
    rows = {row["renderer"]: row for row in results["rows"]}
    data, categories = results["settings"]["data"], len(results["categories"]["general"])
    iou = {name: row["end"]["volume_iou"]["mean"] for name, row in rows.items()}
    return {
        "single.table": _first_table("single_view"),
        "single.steps": str(results["settings"]["steps"]),
        "single.objects": str(categories * data["objects"]),
        "single.unseen": str(categories * data["held_out"]),
        "single.lead": f"{iou['general'] - iou['softras-recon']:.3f}",
        "single.start": _spread(rows["general"]["start"]["volume_iou"], 3),
        "single.general": _spread(rows["general"]["end"]["volume_iou"], 3),
        "single.suggested": _spread(rows["suggested"]["end"]["volume_iou"], 3),
        "single.antialiased": _spread(rows["antialiased"]["end"]["volume_iou"], 3),
    }


def _unknown_poses() -> dict[str, str]:
    results = _read("single_view_poses")
    return {
        "unknown.table": _first_table("single_view_poses"),
        "unknown.categories": _tables("single_view_poses")[1],
        "unknown.steps": str(results["settings"]["steps"]),
        "unknown.suggested": _spread(results["rows"][0]["end"]["volume_iou"], 3),
    }


def _other_renderers() -> dict[str, str]:
    families = _read("other_renderers")["families"]
    entries = zip(*(family["rows"] for family in families), strict=True)
    rows = [[one[0]["label"], str(one[0]["steps"]), *map(_against_other, one)] for one in entries]
    learned = [
        next(row for row in family["rows"] if row["key"] == "general")["processor_ms"]
        / family["rows"][0]["processor_ms"]
        for family in families
    ]
    return {
        "other.problems": str(families[0]["problems"]),
        "other.table": _table(["renderer", "steps", *(f["name"] for f in families)], rows),
        "other.step": f"{min(learned):.1f} to {max(learned):.1f}",
    }


def _against_other(row: dict) -> str:
    solved = f"{100 * row['success']['estimate']:.0f} %"
    if row["at_end"]["ahead"] is None:
        return solved
    ends = (row["at_end"]["ahead"][end] for end in ("estimate", "low", "high"))
    return solved + " ({:+.0f} [{:+.0f}, {:+.0f}])".format(*(100 * end for end in ends))


def _spread(value: dict, digits: int) -> str:
    """Return a mean with its standard deviation."""
    return f"{value['mean']:.{digits}f} ± {value['spread']:.{digits}f}"
