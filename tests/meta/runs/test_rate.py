"""Runs that learn the rate of the inner steps, from their files to those who use them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from meta import train
from meta.evaluation.candidates import Learned
from meta.report.page.run_data import read_run_data
from meta.report.weights import publish
from meta.runs import history
from meta.runs.trainer import Trainer
from taichisoft import Softness
from tests.meta.learning.problems import PointFamily, tiny
from tests.meta.runs.run_cases import assert_same, points, stop_at

__all__ = ["points"]

LEARN = {"learn": ("scale", "rate"), "inner_rate": 0.5}


def test_a_learned_rate_is_saved_and_used(points, tmp_path):
    folder = train.train(tiny(out=str(tmp_path), **LEARN))
    rates = [row["parameters"]["rate"] for row in history.read(folder.history)]
    softness = Softness.load(folder.softness)
    assert softness.trained["rate"] == rates[-1]
    assert len({0.5, *rates}) == 4
    settings, family = folder.read_settings(), PointFamily()
    learned = Learned.of_file("mine", "Mine", folder.softness, settings, family)
    assert learned.learning_rate == rates[-1] * family.learning_rate
    row = SimpleNamespace(softness="learned", held_out=True, to_json=dict)
    shipped = publish(folder, "mine", [row], folder=tmp_path / "weights")
    assert Softness.load(shipped).trained["rate"] == rates[-1]
    data = read_run_data(tmp_path)
    assert [checkpoint.step for checkpoint in data.checkpoints] == [0, 1, 2, 3]
    assert data.notes.keys() == {"rankings"}


def test_a_run_that_learns_the_rate_goes_on_after_an_interruption(points, tmp_path, monkeypatch):
    whole = train.train(tiny(out=str(tmp_path / "whole"), **LEARN))
    run = train.create(tiny(out=str(tmp_path / "cut"), **LEARN))
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            run.finish()
    assert train.main(["--resume", str(run.folder.path)]) == 0
    assert_same(run.folder, whole)
    files = [Softness.load(folder.softness).trained["rate"] for folder in (run.folder, whole)]
    assert files[0] == files[1]


def test_a_checkpoint_from_before_rates_goes_on(points, tmp_path):
    run = train.create(tiny(out=str(tmp_path)))
    values = torch.load(run.folder.checkpoint, weights_only=True)
    del values["rate"]
    torch.save(values, run.folder.checkpoint)
    run.release()
    trainer = train.reopen(Path(tmp_path)).trainer
    assert float(trainer.method.rate()) == 1
    trainer.step()
    fresh = Trainer(tiny(out=str(tmp_path)))
    fresh.step()
    assert torch.equal(trainer.renderer.coverage.weight, fresh.renderer.coverage.weight)
