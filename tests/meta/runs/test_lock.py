"""One process at a time writes a folder."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from meta import evaluate, train
from meta.evaluation.settings import EvaluationSettings
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from meta.runs.lock import InUse, Lock
from tests.forks import Program
from tests.meta.learning.problems import tiny
from tests.meta.runs.run_cases import (
    assert_same,
    environment,
    points,
    rendered,
    steps_of,
    training,
    words_of,
)

__all__ = ["points"]

HOLD = "import time; from pathlib import Path; from meta.runs.lock import Lock\n"


def holding(path) -> Program:
    """Start a process that locks a file, and wait until it has it."""
    code = f"{HOLD}lock = Lock(Path({str(path)!r})); print('locked', flush=True); time.sleep(300)"
    process = Program(code, environment())
    assert process.said() == "locked"
    return process


def killed(process: Program) -> None:
    """Kill a process and wait for its end."""
    process.signal(signal.SIGKILL)
    process.finished()


def test_another_process_is_told_who_holds_it(tmp_path):
    path = tmp_path / "lock"
    process = holding(path)
    try:
        with pytest.raises(InUse) as caught:
            Lock(path)
    finally:
        killed(process)
    text = str(caught.value)
    assert (
        f"{tmp_path} is in use by process {process.pid} on {socket.gethostname()} since 20" in text
    )
    assert "\n" not in text
    # It was killed, and left its file.
    assert path.exists()
    with Lock(path):
        assert str(os.getpid()) in path.read_text()
    assert list(tmp_path.iterdir()) == []


def test_one_process_may_have_it_several_times(tmp_path):
    path = tmp_path / "lock"
    first, second = Lock(path), Lock(path)
    first.release()
    first.release()
    assert path.exists()
    del second
    assert not path.exists()


def test_a_fork_neither_has_it_nor_keeps_it(tmp_path):
    path = tmp_path / "lock"
    ready, told = os.pipe()
    lock = Lock(path)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Lock(path)
        except InUse:
            lock.release()
            code = 0 if path.exists() else 2
        os.write(told, b"%d" % code)
        time.sleep(300)
        os._exit(0)
    try:
        assert os.read(ready, 1) == b"0"
        lock.release()
        # The child still runs.
        killed(holding(path))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("command", ["new", "resume"])
def test_a_run_in_use_is_refused(points, command, tmp_path, capsys):
    settings = tiny(out=str(tmp_path / "run"))
    folder = RunFolder(tmp_path / "run")
    if command == "resume":
        train.train(settings)
        before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
        words = ["--resume", str(folder.path)]
    else:
        folder.path.mkdir()
        before = {}
        words = [*words_of(settings), f"--out={folder.path}"]
    process = holding(folder.lock)
    try:
        assert train.main(words) == 1
    finally:
        killed(process)
    errors = capsys.readouterr().err.splitlines()[-1]
    assert errors.startswith(f"error: {folder.path} is in use by process {process.pid} on ")
    after = {path.name: path.read_bytes() for path in folder.path.iterdir() if path != folder.lock}
    assert after == before
    # It is dead now.
    assert train.main(words) == 0


def test_results_in_use_are_refused(points, tmp_path):
    folder = train.train(tiny(out=str(tmp_path / "run")))
    process = holding(folder.results_lock)
    try:
        with pytest.raises(InUse, match=f"in use by process {process.pid}"):
            evaluate.evaluate(folder.path, EvaluationSettings())
    finally:
        killed(process)
    assert not (folder.path / "records").exists()


@pytest.mark.cpu_only
def test_two_at_once_leave_the_run_that_one_would_have_made(tmp_path):
    settings = rendered(
        families=("pose",), backend="cpu", outer_steps=30, checkpoint_every=1, inner_steps=2
    )
    folder = RunFolder(tmp_path / "run")
    new = [*words_of(settings), f"--out={folder.path}"]
    both = [training(new), training(new)]
    first, second = sorted(
        (process.finished() for process in both), key=lambda done: done.returncode
    )
    assert (first.returncode, second.returncode) == (0, 1), first.stderr + second.stderr
    loser = second.stderr
    # By which process, the other may not have written yet.
    assert "is in use by" in loser or "holds a run already" in loser
    assert [row["step"] for row in steps_of(folder)] == list(range(1, 31))
    assert Checkpoint.load(folder.checkpoint).step == 30
    assert not folder.lock.exists()


def test_a_history_that_two_have_written_is_repaired(points, tmp_path, caplog):
    whole = train.train(tiny(out=str(tmp_path / "whole"), outer_steps=6))
    ruined = train.train(tiny(out=str(tmp_path / "ruined"), outer_steps=6))
    lines = ruined.history.read_text().splitlines(keepends=True)
    # As two that resumed after two steps had written it: one was faster, and a line is torn.
    mixed = [*lines[:3], lines[2], lines[3], lines[4], lines[3], lines[4][:30] + "\n", lines[5]]
    ruined.history.write_text("".join([*mixed, lines[4], lines[5]]))
    assert train.main(["--resume", str(ruined.path)]) == 0
    said = [line for line in caplog.messages if line.startswith("repaired: ")]
    assert len(said) == 1
    assert f"{ruined.history} was written by several processes at once" in said[0]
    assert "cut at the checkpoint, 6 steps are kept" in said[0]
    assert_same(ruined, whole)
    caplog.clear()
    assert train.main(["--resume", str(ruined.path)]) == 0
    assert not caplog.messages


def test_what_killed_writes_have_left_is_removed(points, tmp_path):
    folder = train.train(tiny(out=str(tmp_path)))
    left = [tmp_path / f"{name}.{os.getpid()}.partial" for name in ("checkpoint.pt", "config.json")]
    others = [
        tmp_path / name for name in ("evaluation.json.1.partial", "checkpoint.pt.mine.partial")
    ]
    for path in (*left, *others):
        path.write_text("half")
    train.reopen(folder.path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)
