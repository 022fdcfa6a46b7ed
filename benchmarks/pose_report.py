"""The results of the pose protocol as Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.pose_candidates import ANNEALED_SCALES, CONSTANT_SCALES, JOINT_RATE
from meta.report.markdown import markdown_table

HEADER = (
    *("softness", "settings", "poses", "solved, last", "solved, best"),
    *("median error, degrees", "loss, first to last"),
)
# From the outputs stored in the authors' notebook: 24 poses, one seed.
PUBLISHED = (
    ("Network learned with the poses", "100 %", "12.15 to 1.17"),
    ("Gamma 0.5 reversed, published schedule", "58.3 %", "14.67 to 15.16"),
)


def to_markdown(results: dict[str, Any]) -> str:
    """Return the table, best entry first, below what was done.

    Parameters
    ----------
    results : dict
        What `benchmarks.spot_pose` writes as JSON.
    """
    ranked = sorted(
        results["rows"],
        key=lambda row: (-row["success_last"]["estimate"], row["median_error"]["estimate"]),
    )
    protocol = results["protocol"]
    sections = (
        "# The published pose protocol",
        _head(protocol, results["about"]),
        markdown_table([*HEADER, f"s per {protocol['poses']} poses"], map(_cells, ranked)),
        "For comparison, the authors' own numbers, of 24 poses and one seed:",
        markdown_table(("softness", "solved, last", "loss, first to last"), PUBLISHED),
        _notes(),
    )
    return "\n\n".join(sections) + "\n"


def _head(protocol: dict[str, Any], about: dict[str, Any]) -> str:
    unknown = "distance, elevation, azimuth and field of view"
    if not protocol["fit_fov"]:
        unknown = "distance, elevation and azimuth, while the field of view stays where it starts"
    size = protocol["image_size"]
    return (
        f"`{about['command']}`; mesh {about['mesh']}; {about['processor']}, {about['threads']} threads; "
        f"backend {about['backend']}; taichisoft {about['taichisoft']}, torch {about['torch']}.\n\n"
        f"{protocol['poses']} poses at a time, {size} x {size} silhouettes; unknown are {unknown}; Adam 0.3, "
        f"betas (0.9, 0.99), {protocol['steps']} steps on the sum of 1 - IoU. Solved is below 5 degrees, at "
        "the last step or at the best step of each pose (chosen with the truth in sight). 95 % bootstrap "
        "intervals over poses. Losses are sums over the poses of a seed."
    )


def _cells(row: dict[str, Any]) -> list[str]:
    success = (
        "{estimate:.1%} [{low:.0%}, {high:.0%}]".format(**row[f"success_{n}"])
        for n in ("last", "best")
    )
    losses = ("-" if (v := row[f"loss_{n}"]) is None else f"{v:.2f}" for n in ("first", "last"))
    return [
        row["label"],
        row["choice"],
        str(row["poses"]),
        *(text.replace("%", " %") for text in success),
        "{estimate:.2f} [{low:.2f}, {high:.2f}]".format(**row["median_error"]),
        " to ".join(losses),
        f"{row['seconds']:.0f}",
    ]


def _notes() -> str:
    constant = ", ".join(f"{scale:g}" for scale in CONSTANT_SCALES)
    annealed = ", ".join(f"{first:g} -> {last:g}" for first, last in ANNEALED_SCALES)
    return (
        "Fixed functions take the best scale on problems with other seeds, by successive halving: of "
        f"{constant} px, and if annealed of {annealed} px. What is learned with the poses follows the same "
        f"loss at the rate {JOINT_RATE:g}, from the start for every seed; it is no meta-learning, and the "
        "poses of a seed share it.\n\n"
        "In the authors' program the field of view is detached from the graph, so that it stays where it "
        "starts; `--frozen-fov` does the same."
    )
