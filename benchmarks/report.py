"""The results of a benchmark as Markdown and as a figure."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks.about import headline
from benchmarks.cost import REACH, Cost
from meta.report.figures import new_figure
from meta.report.markdown import markdown_table

TIMES = ("ours ms", "peer ms", "ratio")


@dataclass(frozen=True)
class PeerTimes:
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
    rows: list[PeerTimes], costs: list[Cost], memory: dict[str, float], about: dict[str, object]
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
    versions = ", ".join(f"{name} {version}" for name, version in about["peers"].items())
    peers = [(row.scene, row.peer, row.work, *_times(row)) for row in rows]
    parts = [
        (cost.scene, cost.work, cost.ours, cost.peer, *_times(cost), *_target(cost))
        for cost in costs
    ]
    sizes = [(scene, f"{size:.0f}") for scene, size in memory.items()]
    sections = (
        "# Benchmark",
        f"{headline(about)}; backend {about['backend']}; taichisoft {about['taichisoft']}, torch "
        f"{about['torch']}; peers: {versions or 'none'}. Medians; the ratio is ours / peer, round by round, "
        "with its quartiles.",
        "## Peers",
        "Silhouettes unless stated.",
        markdown_table(("scene", "peer", "work", *TIMES), peers),
        "## Cost",
        f"Our own variants against each other, silhouettes unless stated, cut-off radius {REACH:g} px "
        "throughout, gradients to the vertices; the target is the largest ratio aimed at.",
        markdown_table(("scene", "work", "ours", "peer", *TIMES, "target", ""), parts),
        "## Memory",
        markdown_table(("peak memory of one forward+backward", "MB"), sizes),
    )
    return "\n\n".join(sections) + "\n"


def _target(cost: Cost) -> tuple[str, str]:
    return "" if cost.target is None else f"{cost.target:g}", cost.verdict


def _times(row: PeerTimes | Cost) -> tuple[str, str, str]:
    spread = f"{row.ratio:.3g} ({row.ratio_low:.3g}-{row.ratio_high:.3g})"
    return f"{row.ours_ms:.2f}", f"{row.peer_ms:.2f}", spread


def draw(rows: list[PeerTimes]) -> Figure:
    """Return a figure of the ratios to the peers with their quartiles, a row each."""
    figure = new_figure(9, 1 + 0.17 * len(rows), dpi=100)
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
    return figure
