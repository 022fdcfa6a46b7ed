"""The comparison of T-conorms as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import mean, stdev
from typing import Any

from benchmarks.about import headline
from benchmarks.learned_conorm import ESTIMATOR, START, Learned
from benchmarks.solved import Solved
from benchmarks.surfaces import smooth_disc
from meta.report.markdown import markdown_table

Row = Mapping[str, Any]

CONCLUSION = """\
**The probabilistic sum stays the usual T-conorm**: nothing is better than it in every family, or on average
by more than chance. Over the four families (occlusion with a soft order) it solves 49 %, Frank's sums with
p = 10 and 100 51 and 50 % (a deviation is 4), with a mean error of 0.31, 0.31 and 0.32 of the caps; p = 1e4,
1e6 and the bounded sum solve 46, 41 and 28 %. What is better differs: on shape2d p = 10 and 100 solve 8 to
14 points more (a deviation is 6), on occlusion 10, 100, 1e4 and 1e6 solve 4, 7, 16 and 25 fewer, with larger
errors, too: presumably what shines through is what tells hidden planes to come forward. Pose and shape3d do
not tell them apart.

**Learned, p goes another way in every family, and gains nothing certain.** From 100 it goes to 1.8 and 0.7
on occlusion, about the probabilistic sum, and to 416 and 690 on shape2d: near where the errors of the fixed
ones are least, too. So it solves 49 % of the occlusions and 74 % of shape2d, where the best fixed p of
each, chosen by these very problems, solves 48 and 75 %; and 52 % on average over the families, where the
best p for all solves 51 % and the probabilistic sum 49 %. On pose it falls to 41 and 1, and no more are
solved (57 %, 59 % with 100); on shape3d it stays about where it was, at 85 and 241. The slope that it
follows is slight: 2 standard errors from zero on occlusion and pose, 0 to 2 on shape2d, less than 1 on
shape3d.

**For opaque surfaces take `ts.Frank(100.0)`.** Through a ball or a flat wall of small faces 2 to 7 % is
seen instead of 11 to 14, and it costs nothing that could be measured on pose, shape3d and shape2d, but 7
points where the order of depths is to be found. `ts.Frank(1e4)` lets 0.2 to 4 % through and solves two
thirds as many occlusions; p = 10 lies between.

**The bounded sum is for silhouettes and for what is only looked at.** It has no seams: nothing shines through
a ball or a flat wall. But nothing has a gradient where coverages add up to 1, which is why it solves 19 % of
shape2d and 10 % of the occlusions. On pose and shape3d it is level with the others.

**No T-conorm mends the area.** A closed ball is too large under all of them, as its back faces count at its
edge as well: by 0.6 to 3.3 % at 0.3 px and 1,280 faces, by 11 to 14 % at 1 px. The probabilistic sum is
least too large, as its seams make up for part of it. Without the faces that look away it is 11 % too small
at 0.3 px, with p = 1e4 and 1e6 within 1.3 %; at 1 px it is too large without them, too.

**A hard order of depths solves no occlusion**, whatever the T-conorm: it has no gradient in depth. So p was
not learned there.

Not measured: p learned from more than one start and one set of problems. Deviations are those of each share
alone, and do not take into account that the problems of all columns are the same."""


def to_markdown(parts: Mapping[str, Any], conclusion: str) -> str:
    """Return the report.

    Parameters
    ----------
    parts : mapping of str to dict
        The parts of what `benchmarks.conorms` writes as JSON.
    conclusion : str
        What follows from them.
    """
    rows = {name: part["rows"] for name, part in parts.items()}
    surfaces = {name: rows.pop(name) for name in ("areas", "leaks", "flats") if name in rows}
    solved = [row for found in rows.values() for row in found]
    sections = (
        "# T-conorms",
        _commands(parts),
        conclusion,
        *_surface_sections(surfaces),
        *_solved_sections(solved),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _commands(parts: Mapping[str, Any]) -> str:
    """Return what was run on what."""
    lines: dict[str, None] = {}
    for part in parts.values():
        head = part["about"]
        lines[
            f"{headline(head)}; taichisoft {head['taichisoft']}; {head['steps']} steps; "
            f"seed {head['seed']}."
        ] = None
    return "\n\n".join(lines)


def _surface_sections(surfaces: Mapping[str, list[Row]]) -> tuple[str, ...]:
    sizes, seen, flat = (surfaces.get(name, []) for name in ("areas", "leaks", "flats"))
    disc = ", ".join(
        f"{100 * smooth_disc(width):.2f} % at {width:g} px"
        for width in dict.fromkeys(row["width"] for row in sizes)
    )
    return (
        "## The area of a ball",
        "A ball 51 pixels wide under a Gaussian: sum of alpha over the area of its silhouette, minus 1, in "
        f"percent; in brackets without the faces that look away. One smooth face would have {disc}.",
        _pivot(
            sizes, _ball, lambda row: f"{100 * row['bias']:.2f} ({100 * row['front_bias']:.2f})"
        ),
        "## The least alpha inside",
        "Of the ball, two widths and two pixels inside its edge.",
        _pivot(sizes, _ball, lambda row: f"{row['least']:.4f}"),
        "## What shines through a ball",
        "A ball inside another one of 1,280 faces: its share of the colour in the middle, in percent.",
        _pivot(
            seen,
            lambda row: f"radius {row['radius']:g}, {row['width']:g} px, order {row['order']}",
            lambda row: f"{100 * row['share']:.2f}",
        ),
        "## What shines through a flat wall",
        "White faces of four pixels in one plane, a black wall a unit behind: the mean of what is seen, "
        "which should be 100 %, and in brackets the least.",
        _pivot(
            flat,
            lambda row: f"{row['width']:g} px, order {row['order']}",
            lambda row: f"{100 * row['mean']:.1f} ({100 * row['least']:.1f})",
        ),
    )


def _solved_sections(solved: list[Row]) -> tuple[str, ...]:
    return (
        "## Problems solved",
        "Training problems, in percent, with the standard deviation of the share; widths are those half-way "
        "and fall tenfold; each family's own learning rate. The same problems in every column.",
        _pivot(solved, _problems, lambda row: Solved(**row["result"]).text() + _found(row)),
        "Mean error, each up to the family's cap, in parts of the cap.",
        _pivot(solved, _problems, lambda row: f"{row['result']['error']:.3f}{_found(row)}"),
        *_learned_section([row for row in solved if row.get("learned")]),
    )


def _learned_section(learned: list[Row]) -> tuple[str, ...]:
    """Return how p was learned, if it was."""
    if not learned:
        return ()
    return (
        "## How p was learned",
        f"From p = {START:g}, by the errors in the later half of solving other training problems of the "
        "family (`benchmarks/learned_conorm.py`): evolution strategies by antithetic pairs, log p ± "
        f"{ESTIMATOR.sigma:g}, new problems at every outer step. The slope of the objective, which is in "
        "[0, 1], by log p: the mean of the estimates of all outer steps, with its standard error.",
        markdown_table(
            [
                "",
                "outer steps",
                "problems of each",
                "p half-way",
                "p at the end",
                "slope",
                "seconds",
            ],
            (_learning(row) for row in learned),
            right_aligned=True,
        ),
    )


def _learning(row: Row) -> list[str]:
    """Return a line of how p was learned."""
    found = Learned(**row["learned"])
    steps = len(found.slopes)
    error = stdev(found.slopes) / math.sqrt(steps) if steps > 1 else math.nan
    return [
        f"{_family(row)}, {row['coverage']}, order {row['order']}",
        f"{steps}",
        f"{found.problems}",
        _number(found.p[steps // 2]),
        _number(found.p[-1]),
        f"{mean(found.slopes):.4f} ± {error:.4f}",
        f"{found.seconds:.0f}",
    ]


def _found(row: Row) -> str:
    """Return the p that was learned, in brackets."""
    return f" (p = {_number(row['learned']['p'][-1])})" if row.get("learned") else ""


def _number(p: float) -> str:
    """Return three digits of a number."""
    return f"{float(f'{p:.3g}'):,g}"


def _ball(row: Row) -> str:
    return f"{row['faces']:,} faces, {row['width']:g} px"


def _problems(row: Row) -> str:
    count = row["result"]["problems"]
    return f"{_family(row)} ({count}), {row['coverage']}, order {row['order']}"


def _family(row: Row) -> str:
    """Return the family of problems, without what the name of their part adds."""
    return row["family"].split(",")[0]


def _pivot(rows: list[Row], title: Callable[[Row], str], cell: Callable[[Row], str]) -> str:
    """Return a table with a column for each T-conorm."""
    lines: dict[str, dict[str, str]] = {}
    for row in rows:
        lines.setdefault(title(row), {})[row["conorm"]] = cell(row)
    names = list(dict.fromkeys(row["conorm"] for row in rows))
    cells = ([key, *(found.get(name, "") for name in names)] for key, found in lines.items())
    return markdown_table(["", *names], cells, right_aligned=True) if rows else ""
