"""A disk that fills up costs no more than the steps since the last checkpoint."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import subprocess
import sys

import pytest

from meta import evaluate, train
from meta.jobs.records import Record, read_record, write_record
from meta.report import command as report_command
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from taichisoft.base.files import append_line, write_atomically
from tests.forks import Program
from tests.meta.learning.problems import tiny
from tests.meta.runs.full_disk import FullDisk
from tests.meta.runs.run_cases import assert_same, environment, points, words_of

__all__ = ["points"]

MANY = 10**9


@contextlib.contextmanager
def full_disk(folder, free):
    with pytest.MonkeyPatch.context() as patch:
        yield FullDisk(patch, folder, free)


def moments_of(folder) -> list[int]:
    """Return the bytes that a run has written when it begins to write something, and when it has half of it.

    They differ by a few from run to run, which has other names and times.
    """
    with full_disk(folder, MANY) as disk:
        train.train(tiny(out=str(folder), checkpoint_every=1))
    ends = itertools.accumulate(disk.written)
    return [
        end - left
        for end, size in zip(ends, disk.written, strict=True)
        for left in (size, size // 2)
    ]


def test_a_run_ends_with_one_line_and_goes_on(points, tmp_path, capsys):
    settings = tiny(checkpoint_every=1)
    moments = moments_of(tmp_path / "whole")
    whole = RunFolder(tmp_path / "whole")
    states = set()
    for number, free in enumerate(moments):
        folder = RunFolder(tmp_path / str(number))
        capsys.readouterr()
        with full_disk(folder.path, free):
            assert train.main([*words_of(settings), f"--out={folder.path}"]) == 1
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        assert len(said) == 1
        assert f"[Errno {errno.ENOSPC}] No space left on device: '{folder.path}" in said[0]
        assert not list(folder.path.glob("*.partial"))
        assert not folder.lock.exists()
        if folder.config.exists():
            step = Checkpoint.load(folder.checkpoint).step
            assert f"Kept: the checkpoint after {step} of 3 steps; free some space first" in said[0]
            words = ["--resume", str(folder.path)]
            assert f"python -m meta.train --resume {folder.path}" in said[0]
            assert step <= len(history.read(folder.history)) <= step + 1
        else:
            step, words = None, [*words_of(settings), f"--out={folder.path}"]
            assert "No step was taken: start again" in said[0]
        states.add(step)
        assert train.main(words) == 0
        assert_same(folder, whole)
    assert states >= {None, 0, 1, 2}


def test_a_line_is_there_or_not(tmp_path):
    path = tmp_path / "lines"
    append_line(path, "one\n")
    for free in range(5):
        with full_disk(tmp_path, free), pytest.raises(OSError, match=r"No space.*lines") as caught:
            append_line(path, "other\n")
        assert caught.value.errno == errno.ENOSPC
        assert path.read_text() == "one\n"
    append_line(path, "two\n")
    assert path.read_text() == "one\ntwo\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, lambda partial: partial.write_text("old"))
    with full_disk(tmp_path, 2), pytest.raises(OSError, match=r"No space left on device: .*file'$"):
        write_atomically(path, lambda partial: partial.write_text("newer"))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"

    def without_number(partial):
        raise OSError("encoder error -2 when writing image file")

    with pytest.raises(OSError, match=r"file: encoder error -2"):
        write_atomically(path, without_number)


def test_what_killed_processes_left_long_ago_is_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    path = tmp_path / "file"
    names = (process.pid, os.getppid(), "x")
    old = [tmp_path / f"file.{name}.partial" for name in names]
    other = tmp_path / f"other.{process.pid}.partial"
    new = tmp_path / f"file.{process.pid - 1}.partial"
    for partial in (*old, other, new):
        partial.write_text("half")
        if partial != new:
            os.utime(partial, (0, 0))
    write_atomically(path, lambda partial: partial.write_text("x"))
    # What is left: of a process that runs, of none, of another file, and of a moment ago.
    assert sorted(tmp_path.iterdir()) == sorted([path, *old[1:], other, new])


def test_a_record_is_there_or_not(tmp_path):
    record, path = Record({}, {"text": "x" * 100}), tmp_path / "record.safetensors"
    for free in (0, 100):
        with full_disk(tmp_path, free), pytest.raises(OSError, match=r"No space.*record"):
            write_record(path, record, {"seed": 1})
        assert list(tmp_path.iterdir()) == []
    write_record(path, record, {"seed": 1})
    assert read_record(path, {"seed": 1}).values == record.values


def test_reports_and_evaluations_say_how_to_go_on(points, tmp_path, capsys, monkeypatch):
    folder = train.train(tiny(out=str(tmp_path)))
    names = sorted(path.name for path in tmp_path.iterdir())
    with full_disk(tmp_path, 1000):
        assert report_command.main([str(tmp_path), "--problems", "0"]) == 1
        said = capsys.readouterr().err.splitlines()
        assert f"No space left on device: '{folder.report}'" in said[-1]
    monkeypatch.setattr(
        evaluate, "compare", lambda *rest, **options: write_atomically(folder.evaluation, _full)
    )
    assert evaluate.main([str(tmp_path)]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "Free some space, then the same command goes on" in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def _full(partial):
    partial.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Trains in one folder, in another one until a file is too large, and there to the end.
LIMITED = """
import resource
from pathlib import Path
from meta import train
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from tests.meta.runs import killed_runs
from tests.meta.runs.run_cases import steps_of

killed_runs.exact()
whole, folder = map(RunFolder, map(Path, FOLDERS))
assert train.main([*WORDS, f"--out={whole.path}"]) == 0
# The history is the file that grows.
limit = whole.history.stat().st_size // 2
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
assert train.main([*WORDS, f"--out={folder.path}"]) == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
step, lines = Checkpoint.load(folder.checkpoint).step, len(steps_of(folder))
assert train.main(["--resume", str(folder.path)]) == 0
print(limit, step, lines)
"""


@pytest.mark.cpu_only
def test_files_that_may_not_grow(tmp_path):
    """The same with a real limit, of the size of any file, in a process of its own."""
    whole, folder = (RunFolder(tmp_path / name) for name in ("whole", "limited"))
    words = words_of(tiny(outer_steps=20, checkpoint_every=1))
    given = f"WORDS, FOLDERS = {words!r}, {(str(whole.path), str(folder.path))!r}"
    done = Program(f"{given}\n{LIMITED}", environment()).finished()
    assert done.returncode == 0, done.stderr
    limit, step, lines = map(int, done.stdout.splitlines()[-1].split())
    assert limit > whole.checkpoint.stat().st_size
    assert lines == step > 0
    said = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(said) == 1
    assert said[0].startswith(
        f"error: [Errno {errno.EFBIG}] File too large: '{folder.history}'. Kept: "
    )
    assert_same(folder, whole)
