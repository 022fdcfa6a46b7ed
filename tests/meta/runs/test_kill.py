"""Runs that are killed at any moment, or damaged, and what can be continued."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from meta import train
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from tests.forks import Program
from tests.meta.learning.problems import tiny
from tests.meta.runs.run_cases import assert_same, environment, points, steps_of

__all__ = ["points"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> tuple[Path, dict]:
    """Kill runs with SIGKILL in another process, see `tests.meta.runs.killed_runs`."""
    path = tmp_path_factory.mktemp("killed")
    for name in ("random", "operations", "rendered"):
        (path / name).mkdir()
    code = f"from tests.meta.runs import killed_runs; killed_runs.main({str(path)!r}, 7)"
    done = Program(code, environment()).finished(600)
    assert done.returncode == 0, done.stderr
    return path, json.loads(done.stdout)


@pytest.mark.cpu_only
@pytest.mark.parametrize("kind", ["random", "operations", "rendered"])
def test_killed_runs_lose_nothing(kind, killed):
    path, reports = killed
    report = reports[kind]
    assert set(report["codes"]) == {0}
    whole = RunFolder(path / kind / "whole")
    assert len(steps_of(whole)) == whole.read_settings().outer.steps
    for number in range(report["runs"]):
        assert_same(RunFolder(path / kind / str(number)), whole)


@pytest.mark.cpu_only
def test_kills_at_random_times_hit_and_cost_less_than_a_step(killed):
    found = killed[1]["random"]["found"]
    assert len(found) >= 20
    done: dict[int, int] = {}
    for kill in found:
        step, lines = kill["step"] or 0, kill["lines"]
        assert done.get(kill["run"], 0) <= step <= lines <= step + 1
        done[kill["run"]] = step
    assert len({kill["step"] for kill in found}) > 3


@pytest.mark.cpu_only
def test_kills_at_every_file_operation_reach_every_state(killed):
    found = killed[1]["operations"]["found"]
    states = [(kill["step"], kill["lines"]) for kill in found]
    # No run yet; begun; line written and checkpoint not; both; and so on. In this order, none left out.
    assert list(dict.fromkeys(states)) == [(None, 0), (0, 0), (0, 1), (1, 1), (1, 2), (2, 2)]


def test_half_a_checkpoint_is_none(points, tmp_path, monkeypatch):
    run = train.create(tiny(out=str(tmp_path)))
    run.trainer.step()

    write = Path.write_bytes

    def torn(path, content):
        write(
            path,
            bytes(content)[: len(content) // 2] if path.name.startswith("checkpoint") else content,
        )
        if path.name.startswith("checkpoint"):
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", torn)
        with pytest.raises(SystemExit):
            run.save(run.trainer.checkpoint())
    assert Checkpoint.load(run.folder.checkpoint).step == 0
    assert train.reopen(tmp_path).trainer.done == 0


def test_half_a_line_is_no_step(points, tmp_path):
    whole = train.train(tiny(out=str(tmp_path / "whole")))
    run = train.create(tiny(out=str(tmp_path / "killed")))
    for _ in range(2):
        history.append(run.folder.history, run.trainer.step())
    run.save(run.trainer.checkpoint())
    with run.folder.history.open("ab") as file:
        # Cut within a character, and followed by what some file systems leave after a crash.
        file.write('{"step": 3, "objec\N{GREEK SMALL LETTER ALPHA}'.encode()[:-1] + b"\0\0")
    assert len(history.read(run.folder.history)) == 2
    again = train.reopen(run.folder.path)
    again.finish()
    assert_same(again.folder, whole)


def test_a_begun_folder_without_settings_is_begun_again(points, tmp_path):
    whole = train.train(tiny(out=str(tmp_path / "whole")))
    begun = train.train(tiny(out=str(tmp_path / "begun"), seed=1))
    begun.config.unlink()
    train.train(tiny(out=str(begun.path)))
    assert_same(begun, whole)


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda folder: folder.config.unlink(), "no training run in"),
        (lambda folder: folder.checkpoint.unlink(), "no checkpoint"),
        (lambda folder: folder.checkpoint.write_bytes(b"nonsense"), "is damaged"),
        (lambda folder: torch.save({"step": 1}, folder.checkpoint), "is no checkpoint"),
        (lambda folder: folder.history.write_text(""), "at least the 3 steps"),
        (lambda folder: folder.history.write_text("{]\n" * 3), "line 1 of"),
        (lambda folder: folder.history.write_text('{"step": 1}\n' * 3), "must be of step 2, got 1"),
    ],
)
def test_resuming_what_is_no_run(points, break_, message, tmp_path, capsys):
    folder = train.train(tiny(out=str(tmp_path)))
    break_(folder)
    assert train.main(["--resume", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_damaged_checkpoints_are_refused(points, tmp_path):
    folder = train.train(tiny(out=str(tmp_path)))
    whole = folder.checkpoint.read_bytes()
    before = Checkpoint.load(folder.checkpoint)
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    for place in range(0, len(whole), 53):
        damaged.append(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
    messages = []
    for content in damaged:
        folder.checkpoint.write_bytes(content)
        try:
            # Some bytes are padding, or names that nobody reads.
            assert equal(vars(before), vars(Checkpoint.load(folder.checkpoint)))
        except ValueError as error:
            messages.append(str(error))
    assert all(f"{folder.checkpoint} is " in message for message in messages)
    assert len(messages) > len(damaged) / 2


def equal(one: object, two: object) -> bool:
    """Return whether two states are equal to the last bit."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(equal, one, two))
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two
