"""Atomic writes: whole files, whoever else writes them and whatever fails."""

from __future__ import annotations

import os

import pytest

from taichisoft.base.files import append_line, write_atomically


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda partial: partial.write_text("old"))

    def fail(partial):
        partial.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_write_the_same_file_do_not_share_a_partial_one(tmp_path, monkeypatch):
    path = tmp_path / "file"

    def interrupted(partial):
        partial.write_text("first")
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            write_atomically(path, lambda other: other.write_text("second"))
        assert path.read_text() == "second"
        assert partial.read_text() == "first"

    write_atomically(path, interrupted)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, real=real: (events.append(name), real(*a))[1]
        )
    write_atomically(tmp_path / "file", lambda partial: partial.write_text("x"))
    assert events[:2] == ["fsync", "replace"]
    append_line(tmp_path / "file", "y\n")
    assert events[-1] == "fsync"
    assert (tmp_path / "file").read_text() == "xy\n"
