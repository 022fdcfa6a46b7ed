"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, right_aligned: bool = False
) -> str:
    """Return a table, without a line break at its end.

    Parameters
    ----------
    head : sequence of str
        Titles of the columns.
    rows : iterable of sequence of str
        The cells of each row.
    right_aligned : bool
        Whether all columns but the first are aligned to the right.
    """
    rule = "|---" + ("|---:" if right_aligned else "|---") * (len(head) - 1) + "|"
    first, *rest = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([first, rule, *rest])
