"""Runs that are stopped: by Ctrl-C, by SIGTERM, by an error."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from meta import train
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from tests.meta.learning.problems import tiny
from tests.meta.runs.run_cases import (
    assert_same,
    points,
    rendered,
    steps_of,
    stop_at,
    training,
    words_of,
)

__all__ = ["points"]


@pytest.mark.parametrize(
    ("gradient", "stop"), [("es", s) for s in range(1, 6)] + [("es-persistent", 3)]
)
def test_interrupted_and_resumed_is_uninterrupted(
    points, gradient, stop, tmp_path, monkeypatch, capsys
):
    settings = tiny(outer_steps=5, gradient=gradient, horizon=3)
    whole = train.train(replace(settings, out=str(tmp_path / "whole")))
    path = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_at(patch, stop, KeyboardInterrupt)
        assert train.main([*words_of(settings), f"--out={path}"]) == 130
    assert f"Stopped. To continue: python -m meta.train --resume {path}" in capsys.readouterr().err
    stopped = RunFolder(path)
    assert Checkpoint.load(stopped.checkpoint).step == stop - 1
    assert len(steps_of(stopped)) == stop - 1
    assert train.main(["--resume", str(path)]) == 0
    assert_same(stopped, whole)
    assert f"python -m meta.evaluate {path}" in capsys.readouterr().out
    # Nothing is left to do, and nothing changes.
    assert train.main(["--resume", str(path)]) == 0
    assert_same(stopped, whole)


def test_interrupted_between_history_and_checkpoint(points, tmp_path, monkeypatch):
    run = train.create(tiny(out=str(tmp_path)))
    original = history.append

    def interrupted(path, record):
        original(path, record)
        if record.step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(history, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.finish()
    assert [row["step"] for row in history.read(run.folder.history)] == [1]
    assert Checkpoint.load(run.folder.checkpoint).step == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("again", [False, True])
def test_signals_end_a_run_cleanly(points, number, again, tmp_path, monkeypatch, capsys):
    original = history.append

    def signalled(path, record):
        original(path, record)
        if record.step == 2:
            os.kill(os.getpid(), number)

    saved = Checkpoint.save

    def disturbed(checkpoint, path):
        if again and checkpoint.step == 1:
            # Neither may end the saving.
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
        saved(checkpoint, path)

    monkeypatch.setattr(history, "append", signalled)
    monkeypatch.setattr(Checkpoint, "save", disturbed)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    words = [*words_of(tiny(checkpoint_every=10)), f"--out={tmp_path}"]
    assert train.main(words) == 128 + number
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert f"To continue: python -m meta.train --resume {tmp_path}" in capsys.readouterr().err
    assert Checkpoint.load(tmp_path / "checkpoint.pt").step == 1


def test_no_signal_disturbs_the_last_saving(points, tmp_path, monkeypatch):
    run = train.create(tiny(out=str(tmp_path), checkpoint_every=10))
    saved = Checkpoint.save

    def disturbed(checkpoint, path):
        os.kill(os.getpid(), signal.SIGINT)
        saved(checkpoint, path)

    monkeypatch.setattr(Checkpoint, "save", disturbed)
    run.finish()
    assert Checkpoint.load(tmp_path / "checkpoint.pt").step == 3


@pytest.mark.cpu_only
def test_sigterm_ends_a_process_cleanly(tmp_path):
    words = words_of(rendered(families=("pose",), outer_steps=10000, checkpoint_every=10000))
    process = training([*words, f"--out={tmp_path / 'run'}"])
    folder = RunFolder(tmp_path / "run")
    limit = time.monotonic() + 300
    while len(steps_of(folder)) < 2:
        assert process.running(), process.finished().stderr
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.signal(signal.SIGTERM)
    done = process.finished(60)
    assert done.returncode == 143
    said = f"Stopped by SIGTERM. To continue: python -m meta.train --resume {folder.path}"
    assert said in done.stderr
    assert Checkpoint.load(folder.checkpoint).step == len(steps_of(folder)) >= 1


def test_stopped_before_there_is_a_run(points, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("meta.runs.run._write_first", interrupted)
    assert train.main([*words_of(tiny()), f"--out={tmp_path}"]) == 130
    assert "Stopped. No step was taken: start again" in capsys.readouterr().err


def test_any_failure_leaves_a_checkpoint(points, tmp_path, monkeypatch):
    run = train.create(tiny(out=str(tmp_path), checkpoint_every=100))
    stop_at(monkeypatch, 3, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        run.finish()
    assert Checkpoint.load(run.folder.checkpoint).step == 2
