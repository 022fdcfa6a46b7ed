"""The comparison of orders of depths as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.about import headline
from benchmarks.solved import Solved
from meta.report.markdown import markdown_table

CONCLUSION = """\
**Front to back is not behind** where nothing is behind the planes, if gamma suits the problem (51 % against
47 %, of the same 500 problems; a deviation is 2 points), **and does not mind a wall** (54 %), with which
blending by a reference depth solves nothing (20 behind) or 6 % (1 to 20 behind), and 20 % if tuned for it.
The best setting takes twice as long, at twice the width.

**Gamma decides.** To put planes in order it must be as wide as the planes are apart: 0.4 to 1.6 (cubic
Hermite) or 0.1 to 0.4 (logistic) where five planes lie 0.4 apart in all. With 2 % of the extent, which
keeps surfaces opaque, 0 to 3 of 10 problems are solved, and none with a hard order. A part of the extent
grows with the distance of a wall: a gamma in scene units stays what it was tuned for."""


def to_markdown(results: Mapping[str, Any], conclusion: str) -> str:
    """Return the report.

    Parameters
    ----------
    results : dict
        What `benchmarks.occlusion_order` writes as JSON.
    conclusion : str
        What follows from it.
    """
    head, rows = results["about"], results["rows"]
    final = [row for row in rows if row["stage"] == "final"]
    tuning = [row for row in rows if row["stage"] != "final"]
    columns = ("model", "wall", "setting", "problems", "solved, %", "error / cap", "s")
    sections = (
        "# The order of depths",
        f"{headline(head)}; taichisoft {head['taichisoft']}; {head['steps']} steps at the family's rate; "
        f"{head['conorm']}; seeds {head['seeds']['tuning']} for tuning and "
        f"{head['seeds']['final']} and after in the end. "
        "Training problems; a wall of the background's colour "
        "changes no picture. Widths are "
        "those half-way and fall tenfold. With the standard deviation of the share.",
        conclusion,
        "## The best of each model",
        "Tuned without a wall and tried with walls; and tuned with walls 1 to 20 behind.",
        markdown_table(columns, map(_cells, final)),
        "## Tuning",
        markdown_table(columns, map(_cells, tuning)),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def setting_text(setting: Mapping[str, Any]) -> str:
    """Return an order, a gamma and a width in words."""
    gamma = f", gamma {setting['gamma']}" if setting["gamma"] else ""
    return f"{setting['order']}{gamma}, {setting['width']:g} px"


def _cells(row: Mapping[str, Any]) -> list[str]:
    result = Solved(**row["result"])
    return [
        row["setting"]["model"],
        row["wall"],
        setting_text(row["setting"]),
        str(result.problems),
        result.text(),
        f"{result.error:.3f}",
        f"{result.seconds:.0f}",
    ]
