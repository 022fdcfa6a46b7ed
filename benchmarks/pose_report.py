"""The results of the pose protocol as Markdown."""

from __future__ import annotations

from benchmarks.pose_entries import ANNEALED_SCALES, CONSTANT_SCALES, JOINT_RATE
from benchmarks.pose_record import Protocol, Row
from meta.evaluation.statistics import Interval

# From the outputs stored in the authors' notebook: 24 poses, one seed.
PUBLISHED = (
    ("Network learned with the poses", "100 %", "12.15", "1.17"),
    ("Gamma 0.5 reversed, published schedule", "58.3 %", "14.67", "15.16"),
)


def to_markdown(rows: list[Row], protocol: Protocol, about: dict[str, object]) -> str:
    """Return the table, best entry first, below what was done.

    Parameters
    ----------
    rows : list of Row
        What the entries did.
    protocol : Protocol
        What they have in common.
    about : dict
        What was run, on what.
    """
    ranked = sorted(rows, key=lambda row: (-row.success_last.estimate, row.median_error.estimate))
    sections = (_head(protocol, about), _table(ranked, protocol), _published(), _notes())
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _head(protocol: Protocol, about: dict[str, object]) -> list[str]:
    unknown = "distance, elevation, azimuth and field of view"
    if not protocol.fit_fov:
        unknown = "distance, elevation and azimuth, while the field of view stays where it starts"
    return [
        "# The published pose protocol",
        "",
        f"`{about['command']}`; mesh {about['mesh']}; {about['processor']}, {about['threads']} "
        f"threads; backend {about['backend']}; taichisoft {about['taichisoft']}, torch "
        f"{about['torch']}.",
        "",
        f"{protocol.poses} poses at a time, {protocol.image_size} x {protocol.image_size} silhouettes; "
        f"unknown are {unknown}; Adam 0.3, betas (0.9, 0.99), "
        f"{protocol.steps} steps on the sum of 1 - IoU. Solved is below 5 degrees, at the last step or at "
        "the best step of each pose (chosen with the truth in sight). 95 % bootstrap intervals over poses. "
        "Losses are sums over the poses of a seed.",
    ]


def _table(rows: list[Row], protocol: Protocol) -> list[str]:
    names = (
        "softness",
        "settings",
        "poses",
        "solved, last",
        "solved, best",
        "median error, degrees",
    )
    last_names = ("loss, first to last", f"s per {protocol.poses} poses")
    return [
        f"| {' | '.join(names + last_names)} |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row.label} | {row.choice} | {row.poses} | {_rate(row.success_last)} | "
            f"{_rate(row.success_best)} | {_degrees(row.median_error)} | {_loss(row.loss_first)} to "
            f"{_loss(row.loss_last)} | {row.seconds:.0f} |"
            for row in rows
        ),
    ]


def _published() -> list[str]:
    return [
        "For comparison, the authors' own numbers, of 24 poses and one seed:",
        "",
        "| softness | solved, last | loss, first to last |",
        "|---|---|---|",
        *(f"| {label} | {rate} | {first} to {last} |" for label, rate, first, last in PUBLISHED),
    ]


def _notes() -> list[str]:
    constant = ", ".join(f"{scale:g}" for scale in CONSTANT_SCALES)
    annealed = ", ".join(f"{first:g} -> {last:g}" for first, last in ANNEALED_SCALES)
    return [
        f"Fixed functions take the best scale on problems with other seeds, by successive halving: of "
        f"{constant} px, and if annealed of {annealed} px. What is learned with the poses follows the same "
        f"loss at the rate {JOINT_RATE:g}, from the start for every seed; it is no meta-learning, and the "
        "poses of a seed share it.",
        "",
        "In the authors' program the field of view is detached from the graph, so that it stays where it "
        "starts; `--frozen-fov` does the same.",
    ]


def _rate(interval: Interval) -> str:
    return f"{interval.estimate:.1%} [{interval.low:.0%}, {interval.high:.0%}]".replace("%", " %")


def _degrees(interval: Interval) -> str:
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
