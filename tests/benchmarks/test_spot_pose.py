"""The published pose protocol as a benchmark: its entries, its record, and short runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import taichisoft as ts
from benchmarks import spot_pose
from benchmarks.pose_entries import Choice, Entry
from benchmarks.pose_record import Protocol, Record
from meta.learning.inner import InnerSettings, Trajectory
from tasks import Split
from tasks.look_at_pose import LookAtPoseFamily
from tests.zoo.tasks import soft

FAMILY = LookAtPoseFamily(ts.shapes.hammer(), (16, 16))
PROTOCOL = Protocol(2, 3, 4, 16, True, "hammer")
SHORT = [
    "--steps",
    "2",
    "--poses",
    "3",
    "--tuning-poses",
    "4",
    "--image-size",
    "16",
    "--seeds",
    "2",
]


@pytest.fixture(scope="module")
def mesh_path(tmp_path_factory):
    """Return Spot if it is there, else a built-in mesh."""
    if spot_pose.SPOT.is_file():
        return spot_pose.SPOT
    path = tmp_path_factory.mktemp("mesh") / "hammer.obj"
    ts.save_mesh(ts.shapes.hammer(), path)
    return path


@pytest.fixture
def weights(tmp_path):
    """Return a folder with one softness."""
    folder = tmp_path / "weights"
    folder.mkdir()
    ts.Softness(ts.MonotoneSpline(0.2)).save(folder / "pose.safetensors", trained={"by": "hand"})
    return folder


def scripted(text: str, errors: list[float]) -> Choice:
    """Return a choice whose renderer tells `play` the errors it shall end with."""

    def make(seed: int) -> ts.SoftRasterizer:
        renderer = soft()
        renderer.softness.trained = {"errors": errors, "seed": seed}
        return renderer

    return Choice(text, make)


def play(task, renderer, settings) -> Trajectory:
    said = renderer.softness.trained["errors"]
    last = torch.tensor([said[i % len(said)] for i in range(task.count)])
    errors = torch.stack([last + 20, last / 2, last])
    return Trajectory(task.init(), errors, torch.ones(2, task.count))


def scripted_entry(*choices: Choice) -> Entry:
    return Entry("scripted", "Scripted", choices or (scripted("only", [1.0, 9.0, 30.0]),), play)


def test_short_run(tmp_path, mesh_path, weights, capsys):
    keys = ["pretrained-pose", "joint-mlp", "joint-spline", "gamma-published", "gaussian-annealed"]
    command = ["--out", str(tmp_path), "--mesh", str(mesh_path), "--weights", str(weights), *SHORT]
    assert spot_pose.main([*command, "--entries", *keys]) == 0
    result = json.loads((tmp_path / "spot_pose.json").read_text())
    assert [row["key"] for row in result["rows"]] == keys
    assert set(result["runs"]) == set(keys)
    for row in result["rows"]:
        assert row["poses"] == 6
        assert (
            row["success_last"]["low"]
            <= row["success_last"]["estimate"]
            <= row["success_last"]["high"]
        )
        assert row["success_best"]["estimate"] >= row["success_last"]["estimate"]
        # The poses start 15 to 35 degrees away, and a step is about 0.3 degrees each of two ways.
        assert 14 < row["median_error"]["estimate"] < 36
        assert 0.3 < row["loss_last"] < 3
        assert row["seconds"] > 0
    assert len(result["choices"]["gaussian-annealed"]["scores"]) == 7
    text = (tmp_path / "spot_pose.md").read_text()
    assert text in capsys.readouterr().out
    assert all(row["label"] in text for row in result["rows"])
    assert "58.3 %" in text


def test_the_best_choice_takes_part(tmp_path):
    entry = scripted_entry(
        scripted("lost", [90.0]), scripted("far", [50.0]), scripted("close", [4.0, 6.0])
    )
    rounds = [FAMILY.sample(seed, 2, Split.TRAIN) for seed in range(2)]
    choice, scores = spot_pose.choose(entry, rounds, InnerSettings(2, 0.3), cap=60.0)
    assert choice.text == "close"
    assert scores == pytest.approx({"lost": -1.0, "far": -50 / 60, "close": 0.5 - 5 / 60})


def test_a_run_goes_on_where_it_was(tmp_path):
    calls = []

    def solver(task, renderer, settings):
        calls.append(renderer.softness.trained["seed"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return play(task, renderer, settings)

    entry = replace(scripted_entry(), solver=solver)
    path = tmp_path / "spot_pose.json"
    with pytest.raises(KeyboardInterrupt):
        spot_pose.run([entry], FAMILY, PROTOCOL, 4, Record(path, PROTOCOL))
    (row,) = spot_pose.run([entry], FAMILY, PROTOCOL, 4, Record(path, PROTOCOL))
    assert calls == [0, 1, 2, 2, 3]
    assert row.poses == 12
    spot_pose.run([entry], FAMILY, PROTOCOL, 5, Record(path, PROTOCOL))
    assert calls == [0, 1, 2, 2, 3, 4]
    changed = replace(entry, choices=(scripted("other", [1.0]),))
    (row,) = spot_pose.run([changed], FAMILY, PROTOCOL, 1, Record(path, PROTOCOL))
    assert calls[-1] == 0
    assert (row.poses, row.choice, row.success_last.estimate) == (3, "other", 1)


def test_rows_count_last_and_best(tmp_path):
    record = Record(tmp_path / "spot_pose.json", PROTOCOL)
    (row,) = spot_pose.run([scripted_entry()], FAMILY, PROTOCOL, 2, record)
    assert row.success_last.estimate == pytest.approx(1 / 3)
    assert row.success_best.estimate == pytest.approx(2 / 3)
    assert row.success_last.low < 1 / 3 < row.success_last.high
    assert row.median_error.estimate == 9
    assert row.loss_first == row.loss_last == 3
    assert record.row(replace(scripted_entry(), key="absent"), 5.0) is None


def test_results_of_another_protocol_are_kept(tmp_path, mesh_path, weights, capsys):
    command = ["--out", str(tmp_path), "--mesh", str(mesh_path), "--weights", str(weights), *SHORT]
    command += ["--entries", "pretrained-pose"]
    assert spot_pose.main(command) == 0
    before = (tmp_path / "spot_pose.json").read_text()
    assert spot_pose.main([*command, "--steps", "3"]) == 1
    assert "'steps': 2" in capsys.readouterr().err
    assert spot_pose.main([*command, "--frozen-fov"]) == 1
    assert "'fit_fov': True" in capsys.readouterr().err
    assert (tmp_path / "spot_pose.json").read_text() == before


@pytest.mark.parametrize("content", ["no json", "[]", '{"protocol": {}}'])
def test_other_files_are_kept(tmp_path, content):
    path = tmp_path / "spot_pose.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="holds no results of this protocol"):
        Record(path, PROTOCOL)


def test_what_cannot_be_run_is_said(tmp_path, capsys):
    missing = ["--out", str(tmp_path / "out"), "--mesh", str(tmp_path / "spot.obj")]
    assert spot_pose.main(missing) == 1
    assert "there is no mesh at" in capsys.readouterr().err
    large = tmp_path / "large.obj"
    hammer = ts.shapes.hammer()
    ts.save_mesh(hammer.with_vertices(9 * hammer.vertices), large)
    assert spot_pose.main([*missing, "--mesh", str(large)]) == 1
    assert "mesh must have a radius" in capsys.readouterr().err
    for option, message in (("--entries mug", "must be among"), ("--steps 0", "at least 1, got 0")):
        with pytest.raises(SystemExit):
            spot_pose.main([*missing, *option.split()])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
