"""The results of a run as a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks.gpu.parts import COUNTS, MACHINE, MEMORY, PEER, TESTS, TIMES
from benchmarks.gpu.report import Row
from meta.report.markdown import markdown_table

OURS = "taichisoft"
# Reasons of failed tests that a page shows; the JSON file has all.
MOST_REASONS = 40


def to_markdown(result: dict[str, Any]) -> str:
    """Return the page of what `benchmarks.gpu` writes as JSON."""
    parts = result["parts"]
    sections = [
        _head(result),
        _machine(_rows(parts, MACHINE)),
        "## Parts",
        markdown_table(
            ("part", "state", "s", ""),
            (
                (name, one["state"], f"{one['seconds']:.0f}", _line(one["why"]))
                for name, one in parts.items()
            ),
        ),
        "## Tests",
        *_tests({n.removeprefix(TESTS): one for n, one in parts.items() if n.startswith(TESTS)}),
        "## Times",
        *_times(parts),
        "## Launches and waits",
        *_counts(_rows(parts, COUNTS)),
        "## Memory",
        *_memory(_rows(parts, MEMORY)),
        *_reasons(parts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(result: dict[str, Any]) -> str:
    quick = (
        " Quick: small scenes and few tests, which say that it runs and not how fast."
        * result["quick"]
    )
    return (
        f"# On a GPU\n\n`{result['command']}`, {result['seconds']:.0f} of at most "
        f"{60 * result['minutes']:.0f} seconds, backend {result['backend']}.{quick}"
    )


def _machine(rows: list[Row]) -> str:
    if not rows:
        return "What the machine is could not be told."
    return markdown_table(
        ("", ""), ((name.replace("_", " "), _cell(v)) for name, v in rows[0].items())
    )


def _tests(groups: dict[str, Row]) -> Iterator[str]:
    yield "Kernels by faces add to pixels atomically: `deterministic=True` is promised for the CPU alone."
    rows = []
    for name, one in groups.items():
        by_outcome = defaultdict(list)
        for row in one["rows"]:
            by_outcome[row["outcome"]].append(row["test"])
        numbers = (str(len(by_outcome[outcome])) for outcome in ("passed", "failed", "skipped"))
        rows.append((name, *numbers, "" if one["state"] == "done" else one["state"]))
    yield markdown_table(("tests", "passed", "failed", "skipped", ""), rows)
    failed = [row for one in groups.values() for row in one["rows"] if row["outcome"] == "failed"]
    if failed:
        table = ((f"`{row['test']}`", _line(row.get("why", ""))) for row in failed[:MOST_REASONS])
        yield markdown_table(("failed", "why"), table)
    if len(failed) > MOST_REASONS:
        yield f"{len(failed) - MOST_REASONS} more have failed."


def _times(parts: dict[str, Row]) -> Iterator[str]:
    """Yield a table with a column for each renderer, and what is said of those that are not there."""
    every = [
        (n, r) for n, one in parts.items() if n == TIMES or n.startswith(PEER) for r in one["rows"]
    ]
    timed = [row for _, row in every if "ms" in row]
    names = list(dict.fromkeys([OURS, *(row["renderer"] for row in timed)]))
    by_scene: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    for row in timed:
        by_scene[row["scene"], row["work"]][row["renderer"]] = row
    yield (
        "Medians in milliseconds, and the quartiles of ours; the first call, in seconds, compiles. Others "
        "draw something else: nvdiffrast hard triangles with anti-aliased edges, PyTorch3D the 50 nearest "
        "faces of a pixel, gsplat a ball for each face."
    )
    table = []
    for (scene, work), found in by_scene.items():
        ours = found.get(OURS)
        spread = "" if ours is None else f" ({ours['low_ms']:.2f}-{ours['high_ms']:.2f})"
        first = "" if ours is None else f"{ours['first_s']:.1f}"
        cells = [f"{found[name]['ms']:.2f}" if name in found else "" for name in names]
        cells[0] += spread
        table.append((scene, work, first, *cells))
    yield markdown_table(("scene", "work", "first s", *names), table)
    missing = [row for _, row in every if "missing" in row]
    if missing:
        yield "; ".join(f"{row['renderer']}: {_line(row['missing'])}" for row in missing) + "."


def _counts(rows: list[Row]) -> Iterator[str]:
    yield (
        "Of one step, after two others: kernels launched, and how often the host waits for the device as "
        "torch notices it (on CUDA only)."
    )
    table = (
        (
            row["scene"],
            row["work"],
            str(row["launches"]),
            _cell(row["waits"]),
            _cell(row["waits_at"]),
        )
        for row in rows
    )
    yield markdown_table(("scene", "work", "launches", "waits", "where"), table)


def _memory(rows: list[Row]) -> Iterator[str]:
    yield "Peak of one forward + backward in MB; beside it, what else was taken of the device."
    kinds = {"torch_mb": "by torch", "beside_mb": "beside", "host_mb": "of the process"}
    shown = [kind for kind in kinds if any(kind in row for row in rows)]
    yield markdown_table(
        ("scene", *(kinds[kind] for kind in shown)),
        ((row["scene"], *(f"{row[kind]:.0f}" for kind in shown)) for row in rows),
    )


def _reasons(parts: dict[str, Row]) -> Iterator[str]:
    """Yield the last words of parts that ended by themselves."""
    failed = {name: one for name, one in parts.items() if one["state"] == "failed"}
    if failed:
        yield "## What failed"
    for name, one in failed.items():
        yield f"{name}:\n\n```\n{one['why']}\n```"


def _rows(parts: dict[str, Row], name: str) -> list[Row]:
    return parts.get(name, {}).get("rows", [])


def _line(text: str) -> str:
    """Return the first line of a text, as it can stand in a table."""
    return (text.splitlines() or [""])[0].replace("|", "\\|")[:160]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
