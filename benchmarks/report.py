"""The results of a benchmark as Markdown and as a figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.cost import REACH, Cost


@dataclass(frozen=True)
class Row:
    """One comparison: ours against one peer.

    Parameters
    ----------
    scene, peer, work : str
        What was rendered, against what, and forward or forward+backward.
    ours_ms, peer_ms, ratio, ratio_low, ratio_high : float
        See `Ratio`.
    """

    scene: str
    peer: str
    work: str
    ours_ms: float
    peer_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


def to_markdown(
    rows: list[Row], costs: list[Cost], memory: dict[str, float], about: dict[str, object]
) -> str:
    """Return all tables.

    Parameters
    ----------
    rows, costs
        The comparisons with peers, and of parts of our own.
    memory : dict of str to float
        Peak memory in MB of each scene.
    about : dict
        What was run, on what.
    """
    sections = (_head(about), _peers(rows), _costs(costs), _memory(memory))
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _head(about: dict[str, object]) -> list[str]:
    return [
        "# Benchmark",
        "",
        f"`{about['command']}`; {about['processor']}, {about['kernel_threads']} threads; backend "
        f"{about['backend']}; taichisoft {about['taichisoft']}, torch {about['torch']}. Medians; the "
        "ratio is ours / peer, round by round, with its quartiles.",
    ]


def _peers(rows: list[Row]) -> list[str]:
    return [
        "## Peers",
        "",
        "Silhouettes unless stated.",
        "",
        "| scene | peer | work | ours ms | peer ms | ratio |",
        "|---|---|---|---|---|---|",
        *(f"| {row.scene} | {row.peer} | {row.work} | {_times(row)} |" for row in rows),
    ]


def _costs(costs: list[Cost]) -> list[str]:
    return [
        "## Cost",
        "",
        f"Our own variants against each other, silhouettes unless stated, cut-off radius {REACH:g} px "
        "throughout, gradients to the vertices; the target is the largest ratio aimed at.",
        "",
        "| scene | work | ours | peer | ours ms | peer ms | ratio | target | |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {cost.scene} | {cost.work} | {cost.ours} | {cost.peer} | {_times(cost)} | "
            f"{'' if cost.target is None else f'{cost.target:g}'} | {cost.verdict} |"
            for cost in costs
        ),
    ]


def _memory(memory: dict[str, float]) -> list[str]:
    return [
        "## Memory",
        "",
        "| peak memory of one forward+backward | MB |",
        "|---|---|",
        *(f"| {scene} | {size:.0f} |" for scene, size in memory.items()),
    ]


def _times(row: Row | Cost) -> str:
    spread = f"{row.ratio:.3g} ({row.ratio_low:.3g}-{row.ratio_high:.3g})"
    return f"{row.ours_ms:.2f} | {row.peer_ms:.2f} | {spread}"


def save_figure(rows: list[Row], path: Path) -> None:
    """Draw the ratios to the peers with their quartiles, a row each."""
    figure = Figure(figsize=(9, 1 + 0.17 * len(rows)), layout="constrained")
    panel = figure.subplots()
    for work, color in (("forward", "tab:blue"), ("forward+backward", "tab:red")):
        own = [(at, row) for at, row in enumerate(rows) if row.work == work]
        panel.hlines(
            [at for at, _ in own],
            [row.ratio_low for _, row in own],
            [row.ratio_high for _, row in own],
            color,
        )
        panel.plot([row.ratio for _, row in own], [at for at, _ in own], ".", c=color, label=work)
    panel.axvline(1.0, color="gray", linewidth=0.5)
    panel.set_yticks(range(len(rows)), [f"{row.scene} / {row.peer}" for row in rows], fontsize=6)
    panel.set(xscale="log", xlabel="our time / the peer's", ylim=(len(rows) - 0.5, -0.5))
    panel.legend()
    figure.savefig(path, dpi=100)
