"""News: lines from time to time where there is no terminal, and one line that changes in a terminal."""

from __future__ import annotations

import io

from meta.jobs.news import News


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_a_file_gets_a_line_from_time_to_time():
    stream, now = io.StringIO(), [0.0]
    news = News(stream, interval=15, clock=lambda: now[0])
    news.say("begun")
    for _ in range(40):
        now[0] += 1
        news.tell(f"at {now[0]:g} s")
    news.say("done")
    assert stream.getvalue().splitlines() == ["begun", "at 15 s", "at 30 s", "done"]
    assert "\r" not in stream.getvalue()


def test_what_is_told_first_is_said():
    stream = io.StringIO()
    News(stream).tell("first")
    assert stream.getvalue() == "first\n"


def test_a_terminal_has_one_line_that_changes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    news = News(stream)
    news.say("begun")
    news.tell("one")
    news.tell("a text that is longer than the line")
    news.say("done")
    assert stream.getvalue() == ("begun\n\r\x1b[Kone\r\x1b[Ka text that is long\r\x1b[Kdone\n")
    news.clear()
    assert stream.getvalue().endswith("done\n")
