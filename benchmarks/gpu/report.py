"""How a part, a process of its own, tells rows of results to the run that started it: lines of output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
Say = Callable[[Row], None]
# Of lines that are rows; a driver or a compiler may print others.
MARK = "row: "


def say(row: Row) -> None:
    """Tell a row at once: a part that is ended has told what it has."""
    # A line of its own, after whatever stands in the last one.
    print(f"\n{MARK}{json.dumps(row)}", flush=True)


def rows_of(output: str) -> Iterator[Row]:
    """Yield the rows in what a part wrote; one that was cut off is none."""
    for line in output.splitlines():
        if line.startswith(MARK):
            try:
                yield json.loads(line.removeprefix(MARK))
            except ValueError:
                return


def others_of(output: str, lines: int = 12) -> str:
    """Return the last lines of output that are no rows."""
    kept = [line for line in output.splitlines() if line.strip() and not line.startswith(MARK)]
    return "\n".join(kept[-lines:])
