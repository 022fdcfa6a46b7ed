"""The comparison with other libraries' renderers as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.about import headline
from meta.report.markdown import markdown_table

Values = Mapping[str, Any]

METHOD = """\
Every row solves the same held-out problems with the same loss (1 - IoU of silhouettes, and the regularisers
of shapes) and the same Adam. DEODR and the Gaussian chose a width and a learning rate on training problems,
each among as many settings; the learned softness has nothing to choose. DEODR draws hard silhouettes with a
ramp outwards from their edges; its width is constant, or falls tenfold over the steps, as the scale of the
Gaussian does. Widths are in pixels, annealed ones half-way, rates in those of the family; a star marks an end
of what there was to choose from. Success and error are those of the last step.

Times are those of one thread, of the processor unless stated, for one problem. **The machine was shared: they
are ratios within these results, and no more**, and least of all those of the wall, since what is finished is
kept when the command is given again, and other programs ran beside it then. DEODR is called from Python image
by image, as it has no batches.

*Ahead* is success minus that of DEODR, problem by problem, in points: of the DEODR row that has solved most
after as many steps, or in the seconds that the row itself took. Which row of DEODR's that is was seen in
these results, which favours DEODR. Brackets are 95 % intervals of a bootstrap over problems."""


def to_markdown(result: Values) -> str:
    """Return the report.

    Parameters
    ----------
    result : dict
        What `benchmarks.other_renderers` writes as JSON.
    """
    head = result["about"]
    names = "".join(f", {name} {version}" for name, version in head["peers"].items())
    lines = [line for family in result["families"] for line in verdicts(family)]
    sections = (
        "# Other renderers",
        f"{headline(head)}; taichisoft {head['taichisoft']}, torch {head['torch']}{names}; seed "
        f"{head['seed']}.",
        "\n".join(f"- {line}" for line in lines),
        METHOD,
        *(_family(family) for family in result["families"]),
    )
    return "\n\n".join(sections) + "\n"


def verdicts(family: Values) -> Iterator[str]:
    """Yield a sentence for each row that is compared with DEODR."""
    for row in family["rows"]:
        if row["ahead"] is not None:
            steps, seconds = row["ahead"], row["at_end"]["ahead"]
            yield (
                f"{family['name']}, {row['label']}, {row['steps']} steps: {_word(steps)} DEODR after equal "
                f"steps ({_points(steps)} points), {_word(seconds)} DEODR in equal seconds "
                f"({_points(seconds)}); a step takes {_ratio(row, family, 'processor_ms')} times as long."
            )


def _family(family: Values) -> str:
    rows = family["rows"]
    shares = [f"{then['share']:g}" for then in rows[0]["by_then"]]
    return "\n\n".join(
        (
            f"## {family['name']}",
            f"{family['problems']} problems ({family['options']}); settings chosen on {family['tuning']} "
            f"training problems; errors in {family['unit']}.",
            markdown_table(
                (
                    *("", "steps", "width", "rate", "solved", "median error"),
                    *(
                        "ahead, equal steps",
                        "ahead, equal seconds",
                        "ms a step",
                        "ratio",
                        "of wall",
                    ),
                ),
                [_cells(row, family) for row in rows],
                right_aligned=True,
            ),
            "Solved in equal seconds, in units of what the first row takes in all, "
            f"{family['unit_seconds']:.3g} s; behind a semicolon, after how many steps:",
            markdown_table(("", "steps", *shares), map(_standings, rows), right_aligned=True),
        )
    )


def _cells(row: Values, family: Values) -> list[str]:
    rate = row["learning_rate"] / family["learning_rate"]
    stars = {name: "*" if name in row["at_edge"] else "" for name in ("scale", "learning_rate")}
    return [
        row["label"],
        str(row["steps"]),
        f"{row['scale']:.3g}{stars['scale']}",
        f"{rate:g}{stars['learning_rate']}",
        _percent(row["success"]),
        "{estimate:.3g} [{low:.3g}, {high:.3g}]".format(**row["error"]),
        _points(row["ahead"]),
        _points(row["at_end"]["ahead"]),
        f"{row['processor_ms']:.2f}",
        _ratio(row, family, "processor_ms"),
        _ratio(row, family, "wall_ms"),
    ]


def _standings(row: Values) -> list[str]:
    stood = (f"{_percent(then['success'])}; {then['step']}" for then in row["by_then"])
    return [row["label"], str(row["steps"]), *stood]


def _ratio(row: Values, family: Values, name: str) -> str:
    return f"{row[name] / family['rows'][0][name]:.2f}"


def _percent(interval: Values) -> str:
    values = {name: 100 * value for name, value in interval.items()}
    return "{estimate:.1f} % [{low:.1f}, {high:.1f}]".format(**values)


def _points(interval: Values | None) -> str:
    if interval is None:
        return "-"
    values = {name: 100 * value for name, value in interval.items()}
    return "{estimate:+.1f} [{low:+.1f}, {high:+.1f}]".format(**values)


def _word(interval: Values) -> str:
    """Return how a row stands to another one: ahead or behind only if the interval is apart from zero."""
    if interval["low"] > 0:
        return "ahead of"
    return "behind" if interval["high"] < 0 else "level with"
