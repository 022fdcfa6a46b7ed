"""Whatever is wrong with a run folder: what is whole is used, or one error names the file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from meta import train
from meta.jobs.jobs import run_jobs
from meta.learning.settings import ValidationSettings
from meta.report.command import report
from meta.report.page.ranking import read_rankings
from meta.runs import history
from meta.runs.checkpoint import Checkpoint
from meta.runs.folder import RunFolder
from meta.runs.training import Training
from tests.fuzz.runs import BYTES, JSON, LINES, damage_checkpoint, damaged
from tests.meta.evaluation.evaluation_cases import jobs
from tests.meta.learning.problems import tiny
from tests.meta.report.report_cases import evaluate, trained
from tests.meta.runs.run_cases import points

__all__ = ["points"]

JUDGED = ValidationSettings(problems=3, every=2)
SCENES = int(os.environ.get("FUZZ_SCENES", "20"))
SEEDS = range(SCENES)
# What errors of readers are; a JSONDecodeError, say, is a ValueError that names no file.
ERRORS = (OSError, ValueError, TypeError)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunFolder:
    """Return a finished, judged and evaluated run."""
    path = tmp_path_factory.mktemp("fuzz")
    folder = trained(path / "run", JUDGED)
    evaluate(folder, path / "evaluated")
    return folder


@pytest.fixture
def copied(whole, tmp_path) -> Callable[[], RunFolder]:
    """Return what makes a new copy of the run."""

    def copy() -> RunFolder:
        path = tmp_path / "run"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(whole.path, path)
        return RunFolder(path)

    return copy


def works_or_names(path: Path, read: Callable[[], object]) -> object:
    """Return what reading gives, or None after an error in one line that names the file."""
    try:
        return read()
    except ERRORS as error:
        text = str(error)
    assert str(path) in text
    assert len(text) < 1000
    assert "\n" not in text
    return None


def resumed(folder: RunFolder) -> bool:
    """Resume a run and take a step beyond."""
    run = train.reopen(folder.path)
    run.trainer.step()
    run.release()
    assert [row["step"] for row in history.read(folder.history)] == [1, 2, 3]
    return True


def shown(folder: RunFolder) -> bool:
    """Write the page about a run."""
    return report(folder.path, problems=0).is_file()


def test_configs(copied, points):
    for seed in SEEDS:
        folder = copied()
        folder.config.write_bytes(damaged(folder.config.read_bytes(), JSON, seed))
        settings = works_or_names(folder.config, folder.read_settings)
        shows = works_or_names(folder.config, lambda f=folder: shown(f))
        assert (settings is None) == (shows is None)
        # Settings may be whole and others than those of the checkpoint; a step may take for ever.
        works_or_names(folder.path, lambda f=folder: train.reopen(f.path).release())


def test_histories(copied, points, capsys):
    for seed in SEEDS:
        folder = copied()
        before = [json.loads(line) for line in folder.history.read_bytes().splitlines()]
        folder.history.write_bytes(damaged(folder.history.read_bytes(), LINES, seed))
        works_or_names(folder.history, lambda f=folder: history.read(f.history))
        rows, faults = history.read_whole(folder.history)
        assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
        assert all(str(folder.history) in fault for fault in faults)
        # What is whole is kept: no more than the steps of damaged or missing lines is lost.
        content = folder.history.read_bytes().splitlines(keepends=True)
        there = {row["step"] for row in before if (json.dumps(row) + "\n").encode() in content}
        known = next(n for n in range(len(before) + 1) if n + 1 not in there)
        assert len(rows) >= known
        assert shown(folder)
        done = works_or_names(folder.history, lambda f=folder: resumed(f))
        assert done or there != {1, 2, 3}


def test_checkpoints(copied, points):
    original = None
    for seed in SEEDS:
        folder = copied()
        original = original or Checkpoint.load(folder.checkpoint)
        damage_checkpoint(folder.checkpoint, seed)
        works_or_names(folder.checkpoint, lambda f=folder: Checkpoint.load(f.checkpoint))
        # A checkpoint of another step needs other lines of the history.
        works_or_names(folder.path, lambda f=folder: resumed_from(f))


def resumed_from(folder: RunFolder) -> None:
    """Resume a run, and take a step if its checkpoint is whole, whatever its number."""
    run = train.reopen(folder.path)
    run.trainer.step()
    run.release()
    for parameter in run.trainer.renderer.parameters():
        assert bool(torch.isfinite(parameter).all())


def test_softnesses(copied, points):
    for seed in SEEDS:
        folder = copied()
        folder.softness.write_bytes(damaged(folder.softness.read_bytes(), BYTES, seed))
        job = Training(replace(tiny(out=str(folder.path)), validation=JUDGED))
        works_or_names(folder.softness, job.done)
        assert shown(folder)
        # It is not needed to go on.
        assert resumed(folder)


def test_evaluations(copied, points):
    for seed in SEEDS:
        folder = copied()
        folder.evaluation.write_bytes(damaged(folder.evaluation.read_bytes(), JSON, seed))
        works_or_names(folder.evaluation, lambda f=folder: read_rankings(f.evaluation))
        assert shown(folder)


def test_records(tmp_path):
    learned, _ = jobs(tmp_path, {"learned": 0.5}, fixed=())
    run_jobs(learned)
    (job,) = learned
    content = job.path.read_bytes()
    before = job.load()
    for seed in SEEDS:
        job.path.write_bytes(damaged(content, BYTES, seed))
        if not job.done():
            with pytest.raises(FileNotFoundError, match=job.path.name):
                job.load()
            continue
        # As before, to the last bit, or it would be done again.
        after = job.load()
        for split, outcome in before.outcomes.items():
            ours, theirs = outcome.to_tensors(), after.outcomes[split].to_tensors()
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)
