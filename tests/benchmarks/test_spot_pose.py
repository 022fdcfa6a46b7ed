"""The published pose protocol as a benchmark: its choices, its records, and short runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

import taichisoft as ts
from benchmarks import spot_pose
from benchmarks.pose_candidates import PoseCandidate
from benchmarks.pose_report import to_markdown
from benchmarks.spot_pose import PoseProtocol
from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.tuning import tune
from meta.learning.inner import AdamState, Trajectory
from tasks import Split
from tasks.look_at_pose import LookAtPoseFamily
from tests.helpers import ROOT
from tests.zoo.tasks import soft

FAMILY = LookAtPoseFamily(ts.shapes.hammer(), (16, 16))
PROTOCOL = PoseProtocol(3, 1, 4, 2, (), (), rates=(1.0,), measure_every=1, seed=0)
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


@dataclass(frozen=True, eq=False)
class Scripted(PoseCandidate):
    """A candidate whose choices say with which errors the poses end; notes on which seeds it solves any."""

    seeds: list[int] = field(default_factory=list)

    def solve(self, task, renderer, settings, on_step) -> Trajectory:
        """End with those errors, from 20 degrees more and by way of half of them."""
        self.seeds.append(self.seed)
        if self.seeds == [0, 1, 2]:
            raise KeyboardInterrupt
        errors = renderer.softness.trained["errors"]
        last = torch.tensor([errors[i % len(errors)] for i in range(task.count)])
        for step, error in enumerate((last + 20, last / 2, last)):
            unknowns = {**task.init(), "elevation": error, "azimuth": 0 * error}
            on_step(AdamState(unknowns, {}, {}, step))
        return Trajectory(unknowns, torch.empty(0), torch.ones(2, task.count))


def scripted(**errors: list[float]) -> Scripted:
    """Return a candidate with choices that end with given errors."""

    def maker(errors: list[float]):
        def make(seed: int) -> ts.SoftRasterizer:
            renderer = soft()
            renderer.softness.trained = {"errors": errors}
            return renderer

        return make

    makers = {text: maker(errors) for text, errors in errors.items()}
    return Scripted("scripted", "Scripted", makers)


def run(candidate: PoseCandidate, seeds: int, folder: Path) -> tuple[dict, dict]:
    """Return the row of a candidate, and all results."""
    results = {"choices": {}, "runs": {}}
    job = CandidateJob(FAMILY, candidate, PROTOCOL, (), folder)
    (row,) = spot_pose.add_results(results, [job], seeds)
    return row, results


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
    candidate = scripted(lost=[90.0], far=[50.0], close=[4.0, 6.0])
    rounds = [FAMILY.sample(seed, 2, Split.TRAIN) for seed in range(2)]
    choices = candidate.choices(PROTOCOL.grid(FAMILY))
    tuned = tune(choices, candidate.renderer, rounds, 2, 60.0, candidate.solve)
    assert tuned.choice.text == "close"
    assert tuned.scores == pytest.approx((-1.0, -50 / 60, 0.5 - 5 / 60))
    row, results = run(candidate, 1, tmp_path)
    assert row["choice"] == "close"
    choice = results["choices"]["scripted"]
    assert (choice["text"], choice["tried"]) == ("close", ["lost", "far", "close"])
    # Rounds of one, one and two poses.
    scores = {"lost": -1.0, "far": -50 / 60, "close": 0.75 - 4.5 / 60}
    assert choice["scores"] == pytest.approx(scores)


def test_a_run_goes_on_where_it_was(tmp_path):
    candidate = scripted(only=[1.0, 9.0, 30.0])
    with pytest.raises(KeyboardInterrupt):
        run(candidate, 4, tmp_path)
    row, results = run(candidate, 4, tmp_path)
    assert candidate.seeds == [0, 1, 2, 2, 3]
    assert row["poses"] == 12
    assert list(results["runs"]["scripted"]) == ["0", "1", "2", "3"]
    run(candidate, 5, tmp_path)
    assert candidate.seeds == [0, 1, 2, 2, 3, 4]
    # What is there counts, if fewer are asked for.
    assert run(candidate, 1, tmp_path)[0]["poses"] == 15
    changed = replace(candidate, makers=scripted(other=[1.0]).makers)
    row, _ = run(changed, 1, tmp_path)
    assert candidate.seeds[-1] == 0
    assert (row["poses"], row["choice"], row["success_last"]["estimate"]) == (3, "other", 1)


def test_rows_count_last_and_best(tmp_path):
    row, _ = run(scripted(only=[1.0, 9.0, 30.0]), 2, tmp_path)
    success = row["success_last"]
    assert success["estimate"] == pytest.approx(1 / 3)
    assert row["success_best"]["estimate"] == pytest.approx(2 / 3)
    assert success["low"] < 1 / 3 < success["high"]
    assert row["median_error"]["estimate"] == 9
    assert row["loss_first"] == row["loss_last"] == 3


def test_published_table_is_that_of_the_published_numbers():
    """Rows follow from the runs in the file, and the table from the file."""
    path = ROOT / "results" / "spot_pose.json"
    results = json.loads(path.read_text())
    assert to_markdown(results) == path.with_suffix(".md").read_text()
    for row in results["rows"]:
        candidate = PoseCandidate(row["key"], row["label"], {})
        assert spot_pose.row_json(candidate, list(results["runs"][row["key"]].values())) == row


def test_entries_that_are_not_asked_for_keep_their_rows(tmp_path, mesh_path, weights):
    command = ["--out", str(tmp_path), "--mesh", str(mesh_path), "--weights", str(weights), *SHORT]
    for entry in ("gaussian", "pretrained-pose"):
        assert spot_pose.main([*command, "--entries", entry]) == 0
    result = json.loads((tmp_path / "spot_pose.json").read_text())
    assert [row["key"] for row in result["rows"]] == ["pretrained-pose", "gaussian"]


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
        spot_pose.read_results(path, {"steps": 2})
    assert path.read_text() == content


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
