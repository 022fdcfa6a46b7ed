"""The table of several runs: mean and spread over the seeds for each renderer."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.single_view.renderers import RENDERERS

# What is in the table, how it is called, and with how many digits.
MEASURES = {
    "volume_iou": ("volume IoU", 3),
    "silhouette_iou": ("silhouette IoU", 3),
    "color_error": ("colour error", 3),
    "azimuth_right": ("azimuth within 30°", 2),
    "volume_iou_of_another": ("volume IoU with another object", 3),
}


def summary(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each renderer, in the order in which they come.

    Parameters
    ----------
    results : sequence of dict
        As `run` returns them.

    Returns
    -------
    list of dict
        ``renderer``, ``label``, ``seeds``, and for ``start`` and ``end`` the ``mean`` and the ``spread`` (the
        standard deviation over the seeds, None for a single one) of every measure that all runs have;
        ``cpu_seconds`` the same way.
    """
    renderers = list(dict.fromkeys(result["renderer"] for result in results))
    rows = []
    for renderer in renderers:
        own = [result for result in results if result["renderer"] == renderer]
        times = ("start", "end")
        rows.append(
            {
                "renderer": renderer,
                "label": RENDERERS[renderer].label,
                "seeds": [result["seed"] for result in own],
                **{when: _measures([result[when] for result in own]) for when in times},
                "cpu_seconds": spread([result["cpu_seconds"] for result in own]),
            }
        )
    return rows


def to_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of the end, with the start (the sphere) as its first row."""
    names = [name for name in MEASURES if all(name in row["end"] for row in rows)]
    head = ["trained through", *(MEASURES[name][0] for name in names), "CPU minutes"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    start = [cell(rows[0]["start"].get(name), MEASURES[name][1]) for name in names]
    lines.append("| " + " | ".join(["nothing: the start", *start, "-"]) + " |")
    for row in rows:
        cells = [cell(row["end"][name], MEASURES[name][1]) for name in names]
        minutes = f"{row['cpu_seconds']['mean'] / 60:.1f}"
        lines.append("| " + " | ".join([row["label"], *cells, minutes]) + " |")
    return "\n".join(lines) + "\n"


def _measures(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name in MEASURES if all(one.get(name) is not None for one in found)]
    return {name: spread([one[name] for one in found]) for name in names}


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return the ``mean``, and the standard deviation as ``spread``, None for a single value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "spread": deviation}


def cell(value: Mapping[str, float | None] | None, digits: int) -> str:
    """Return what `spread` found as text; a dash for nothing."""
    if value is None:
        return "-"
    text = f"{value['mean']:.{digits}f}"
    return text if value["spread"] is None else f"{text} ± {value['spread']:.{digits}f}"
