"""The time left: what is known of the parts that have begun, and of those that have not."""

from __future__ import annotations

import pytest

from meta.jobs.remaining import Remaining, duration


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_every_part_goes_on_at_its_own_pace():
    clock = Clock()
    left = Remaining({"training": 40.0, "pose": 30.0, "shape": 10.0}, clock)
    assert left.seconds is None
    assert str(left) == "time left not known yet"
    clock.now += 60
    left.add("training", 10)
    # The first piece is all that is known, with what was compiled in it.
    assert left.seconds == pytest.approx(6 * (30 + 30 + 10))
    clock.now += 20
    left.add("training", 10)
    assert left.seconds == pytest.approx(2 * (20 + 30 + 10))
    assert str(left) == "about 2 min left"
    clock.now += 40
    left.add("training", 20)
    assert left.seconds == pytest.approx(2 * (30 + 10))
    # Other work between two parts is none of either.
    clock.now += 1000
    left.begin()
    clock.now += 50
    left.add("pose", 10)
    # Of this part no more than the first piece is known, so that it goes at the pace of the training.
    assert left.seconds == pytest.approx(2 * (20 + 10))
    clock.now += 5
    left.add("pose", 10)
    # The part that has not begun goes at the pace of all together: 65 s for 40, without first pieces.
    assert left.seconds == pytest.approx(0.5 * 10 + 10 * 65 / 40)
    clock.now += 10
    left.add("pose", 10)
    clock.now += 30
    left.add("shape", 10)
    assert left.seconds == 0
    assert str(left) == "about 10 s left"


def test_more_than_was_told_leaves_nothing():
    clock = Clock()
    left = Remaining({"a": 1.0}, clock)
    clock.now += 5
    left.add("a", 3)
    assert left.seconds == 0


def test_pieces_without_size_say_nothing():
    left = Remaining({"a": 0.0, "b": 2.0}, Clock())
    left.add("a", 0)
    assert left.seconds is None


def test_sizes_must_be_sizes():
    with pytest.raises(ValueError, match=r"parts\['a'\] must not be negative, got -1"):
        Remaining({"a": -1.0})
    with pytest.raises(TypeError, match=r"parts\['a'\]"):
        Remaining({"a": "much"})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "10 s"),
        (12, "10 s"),
        (49, "50 s"),
        (58, "1 min"),
        (96, "1 min 40 s"),
        (594, "9 min 50 s"),
        (640, "11 min"),
        (3599, "1 h 0 min"),
        (7384, "2 h 3 min"),
    ],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
