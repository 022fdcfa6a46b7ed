"""A disk that fills up costs no more than the steps since the last checkpoint."""

from __future__ import annotations

import contextlib
import errno
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
from tests.helpers import ROOT
from tests.meta.learning.problems import tiny
from tests.meta.runs.full_disk import FullDisk
from tests.meta.runs.run_cases import assert_same, environment, points, steps_of, words_of

__all__ = ["points"]

MANY = 10**9


@contextlib.contextmanager
def full_disk(folder, free):
    with pytest.MonkeyPatch.context() as patch:
        yield FullDisk(patch, folder, free)


def size_of(folder) -> int:
    """Return the bytes that a run writes from its first file to its last."""
    with full_disk(folder, MANY) as disk:
        train.train(tiny(out=str(folder), checkpoint_every=1))
    return disk.taken


def test_a_run_ends_with_one_line_and_goes_on(points, tmp_path, capsys):
    settings = tiny(checkpoint_every=1)
    needed = size_of(tmp_path / "whole")
    whole = RunFolder(tmp_path / "whole")
    states = set()
    for number, free in enumerate(range(0, needed, needed // 60)):
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


@pytest.mark.cpu_only
def test_files_that_may_not_grow(tmp_path):
    """The same with a real limit, of the size of any file, in a process of its own."""
    whole = tmp_path / "whole"
    settings = tiny(outer_steps=40, checkpoint_every=1)
    run = "import resource, sys; from tests.meta.runs import killed_runs; killed_runs.exact()\n"
    limited = f"{run}resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, resource.RLIM_INFINITY))\n"
    end = "from meta import train; sys.exit(train.main(sys.argv[1:]))"

    def start(program, *words):
        return subprocess.run(
            [sys.executable, "-c", program + end, *words],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )

    done = start(run, *words_of(settings), f"--out={whole}")
    assert done.returncode == 0, done.stderr
    # The history is the file that grows.
    limit = RunFolder(whole).history.stat().st_size // 2
    assert limit > RunFolder(whole).checkpoint.stat().st_size
    folder = RunFolder(tmp_path / "limited")
    done = start(limited.replace("BYTES", str(limit)), *words_of(settings), f"--out={folder.path}")
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        f"error: [Errno {errno.EFBIG}] File too large: '{folder.history}'. Kept: "
    )
    assert len(steps_of(folder)) == Checkpoint.load(folder.checkpoint).step > 0
    assert start(run, "--resume", str(folder.path)).returncode == 0
    assert_same(folder, RunFolder(whole))
