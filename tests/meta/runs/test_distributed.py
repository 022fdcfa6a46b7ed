"""Several processes that share the problems of an outer step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from meta import train
from meta.learning.distributed import KERNEL_THREADS, Place, shared
from meta.learning.gradients import ESTIMATORS
from meta.learning.group import Alone, together
from meta.learning.sharding import even, parts_of
from meta.runs import command, history
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from meta.runs.trainer import Trainer
from tests.helpers import ROOT
from tests.meta.learning.problems import tiny
from tests.meta.learning.thread_group import in_threads
from tests.meta.runs.run_cases import (
    points,
    rendered,
    rows_of,
    steps_of,
    weights_of,
    without_times,
    words_of,
)

# Measured: 4e-16.
RELATIVE = 1e-12
__all__ = ["points"]


def torchrun(size: int, module: str, *words: object) -> subprocess.Popen:
    """Start processes of a module on this machine."""
    launch = ["--standalone", f"--nproc-per-node={size}", "-m", module, *map(str, words)]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *launch],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    """Return exit code and both outputs."""
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def assert_close(rows: list[dict], others: list[dict]) -> None:
    """Check that two histories are equal up to the order of sums."""
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        (ours, weights), (theirs, others_weights) = map(apart, (row, other))
        assert ours == pytest.approx(theirs, rel=RELATIVE)
        assert weights.keys() == others_weights.keys()
        for name, numbers in weights.items():
            assert np.array(numbers) == pytest.approx(np.array(others_weights[name]), rel=RELATIVE)


def apart(row: dict) -> tuple[dict, dict]:
    """Return the single numbers of a step that are known, and the parameters after it."""
    numbers = {k: v for k, v in row.items() if k != "parameters" and v is not None}
    return numbers, row["parameters"]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("gradient", ESTIMATORS)
def test_shares_give_the_whole(points, gradient, size):
    settings = tiny(gradient=gradient, shards=3, pose_problems=7, horizon=3, outer_steps=5)
    whole = rows_of_trainer(Trainer(settings), 4)
    shares = in_threads(size, lambda group: rows_of_trainer(Trainer(settings, group), 4))
    assert all(share == shares[0] for share in shares)
    assert_close(shares[0], whole)


def test_rollouts_are_weighted_by_their_problems():
    settings = rendered(pose_problems=3, shape3d_problems=2, shards=2)
    rollouts = Trainer(settings).objective(0).rollouts
    assert [rollout.task.count for rollout in rollouts] == [2, 1, 1, 1]
    weights = [rollout.weight for rollout in rollouts]
    assert weights == pytest.approx([1 / 3, 1 / 6, 1 / 4, 1 / 4])


def test_parts():
    assert even(7, 3) == [3, 2, 2]
    assert even(2, 3) == [1, 1]
    assert even(5, 1) == [5]
    alone = parts_of((7, 2), 3, Alone())
    for size in (1, 2, 3):
        shares = in_threads(size, lambda group: parts_of((7, 2), 3, group))
        parts = [part for share in shares for part in share]
        assert sorted(parts, key=lambda p: (p.family, p.number)) == alone
        assert all(shares)
    assert sum(part.weight for part in alone) == pytest.approx(1, rel=1e-15)


@pytest.mark.parametrize(
    ("shards", "problems", "advice"),
    [(2, 9, "choose --shards 3 or a multiple"), (9, 2, "take at most 2 processes")],
)
def test_every_process_needs_problems(points, shards, problems, advice, tmp_path):
    settings = tiny(shards=shards, pose_problems=problems, out=str(tmp_path / "run"))
    errors = in_threads(3, lambda group: train.create(settings, group=group))
    assert all(advice in str(error) for error in errors)
    assert all(isinstance(error, ValueError) for error in errors)
    assert not (tmp_path / "run").exists()


def test_different_settings_are_refused(points, tmp_path):
    def made(group):
        return train.create(tiny(shards=2, es_pairs=2 + group.rank, out=str(tmp_path)), group=group)

    errors = in_threads(2, made)
    assert all("got another es.pairs on process 1" in str(error) for error in errors)
    assert list(tmp_path.iterdir()) == []


def test_one_failure_is_everyones():
    def fails(group):
        def action():
            if group.rank == 1:
                raise FileNotFoundError("no such mesh")

        return together(group, action)

    first, second, third = in_threads(3, fails)
    assert isinstance(second, FileNotFoundError)
    assert str(first) == str(third) == "process 1 failed: no such mesh"


def test_only_the_first_needs_and_writes_the_folder(points, tmp_path):
    # The others are on a machine that does not see it.
    def run(group):
        settings = tiny(shards=2, out=str(tmp_path / "seen"))
        run = train.create(settings, group=group)
        run.finish()
        return run.trainer.renderer

    here, there = in_threads(2, run)
    before = steps_of(RunFolder(tmp_path / "seen"))
    for one, two in zip(here.parameters(), there.parameters(), strict=True):
        assert torch.equal(one, two)

    def resumed(group):
        path = tmp_path / ("seen" if group.rank == 0 else "unseen")
        return train.reopen(path, group).trainer

    first, second = in_threads(2, resumed)
    assert first.done == second.done == 3
    assert torch.equal(first.renderer.coverage.weight, second.renderer.coverage.weight)
    assert not (tmp_path / "unseen").exists()
    assert steps_of(RunFolder(tmp_path / "seen")) == before


def test_shares_of_a_machine():
    place = Place.of({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"})
    assert place == Place(5, 8, 1, 4)
    assert Place.of({}) == Place(0, 1, 0, 1)
    name = KERNEL_THREADS
    assert shared({}, place, cores=10, gpus=0) == {name: "2"}
    assert shared({}, place, cores=2, gpus=0) == {name: "1"}
    assert shared({name: "7"}, place, cores=10, gpus=0) == {}
    visible = "CUDA_VISIBLE_DEVICES"
    assert shared({}, place, cores=4, gpus=4) == {name: "1", visible: "1"}
    assert shared({visible: "6,3"}, place, cores=4, gpus=2) == {name: "1", visible: "3"}
    alone = Place(1, 2, 1, 2)
    assert shared({}, alone, cores=4, gpus=1) == {name: "2", visible: "0"}


def test_command_line_errors_are_said_once(monkeypatch, capsys):
    for rank, speaks in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(SystemExit, match="2"):
            command.read_command(["--shards", "0"])
        assert ("shards" in capsys.readouterr().err) == speaks
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit, match="2"):
        command.read_command(["--timeout", "0"])
    assert "timeout must be finite and greater than 0" in capsys.readouterr().err


@pytest.mark.cpu_only
def test_exchange_between_processes(tmp_path, monkeypatch):
    monkeypatch.delenv(KERNEL_THREADS, raising=False)
    code, _, errors = finished(torchrun(3, "tests.meta.runs.distributed_worker", tmp_path))
    assert code == 0, errors
    reports = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    for got in reports:
        assert (got["size"], got["sum"]) == (3, 0.0)
        assert got["matrix"] == [[6.0] * 3] * 2
        assert got["empty"] == [0, 4]
        assert got["gathered"] == [{"rank": r, "text": "x" * r, "tensor": r} for r in range(3)]
        assert int(got["threads"]) == max(1, (os.cpu_count() or 1) // 3)
    assert sorted(got["first"] for got in reports) == [[False, False]] * 2 + [[True, False]]


@pytest.mark.cpu_only
def test_two_processes_have_the_history_of_one(tmp_path):
    settings = rendered(backend="cpu", pose_problems=3, shape3d_problems=2, shards=2)
    process = torchrun(2, "meta.train", *words_of(settings), f"--out={tmp_path / 'two'}")
    whole = train.train(replace(settings, out=str(tmp_path / "one")))
    code, output, errors = finished(process)
    assert code == 0, errors
    assert output.count("3 steps, loss") == 1
    assert errors.count("3/3 [") >= 1
    two = RunFolder(tmp_path / "two")
    assert_close(steps_of(two), steps_of(whole))
    for a, b in zip(weights_of(two), weights_of(whole), strict=True):
        torch.testing.assert_close(a, b, rtol=RELATIVE, atol=RELATIVE)
    assert json.loads(two.config.read_text())["processes"] == 2


@pytest.mark.cpu_only
@pytest.mark.parametrize("victim", ["0", "1"])
def test_a_dead_worker_ends_the_run(victim, tmp_path):
    settings = rendered(
        families=("pose",), backend="cpu", shards=2, outer_steps=10000, checkpoint_every=1
    )
    folder = RunFolder(tmp_path / "run")
    process = torchrun(2, "meta.train", *words_of(settings), f"--out={folder.path}")
    limit = time.monotonic() + 300
    while len(rows_of(folder.history)) < 3:
        assert process.poll() is None, finished(process)[2]
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.kill(worker(process.pid, victim), signal.SIGKILL)
    killed = time.monotonic()
    code, _, errors = finished(process)
    assert time.monotonic() - killed < 60
    assert code != 0
    assert "a worker died" in errors
    assert errors.count(f"python -m meta.train --resume {folder.path}") == 1
    done = Checkpoint.load(folder.checkpoint).step
    assert done <= len(rows_of(folder.history)) <= done + 1
    again = train.reopen(folder.path)
    again.trainer.step()
    assert again.trainer.done == len(history.read(folder.history)) + 1 == done + 1
    assert_close(steps_of(folder), rows_of_trainer(Trainer(settings), done))


def worker(launcher: int, rank: str) -> int:
    """Return the number of the process that torchrun gave a rank (Linux)."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    wanted = f"RANK={rank}".encode()
    for child in children:
        if wanted in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"no process of rank {rank}")


def rows_of_trainer(trainer: Trainer, steps: int) -> list[dict]:
    """Return the history of some steps."""
    rows = [json.loads(trainer.step().line()) for _ in range(steps)]
    return [without_times(row) for row in rows]
