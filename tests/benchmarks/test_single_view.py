"""The comparison of renderers for single-view reconstruction, with small objects and few steps."""

from __future__ import annotations

import json

import pytest

from benchmarks import single_view
from benchmarks.single_view import by_category, folder_of, to_text
from tasks.single_view import renderers, training
from tasks.single_view.renderers import RENDERERS, Entrant
from tasks.single_view.report import summary
from tasks.single_view.settings import quick
from tests.helpers import ROOT
from tests.tasks.single_view.cases import DATA, Dots, data

QUICK = ["--quick", "--steps", "2", "--renderers", "general", "antialiased", "--seeds"]


@pytest.fixture
def dots(monkeypatch):
    """Let dots draw for those who take part, which compile nothing, and share the photographs."""
    entrants = {
        name: Entrant(entrant.label, lambda width=width: Dots(width))
        for width, (name, entrant) in enumerate(RENDERERS.items(), 1)
    }
    for module in (renderers, training, single_view):
        monkeypatch.setattr(module, "RENDERERS", entrants)
    monkeypatch.setattr(single_view.Data, "of", {DATA: data()}.__getitem__)


def test_short_comparison(dots, tmp_path, capsys):
    command = ["--out", str(tmp_path), *QUICK]
    single_view.main([*command, "1"])
    (first,) = (tmp_path / "records" / "single_view").glob("general-0-*/result.json")
    written = first.stat().st_mtime_ns
    capsys.readouterr()
    single_view.main([*command, "2"])
    results = json.loads((tmp_path / "single_view.json").read_text())
    # The seed that was there is not trained again.
    assert first.stat().st_mtime_ns == written
    said = capsys.readouterr().out
    assert "general, seed 1: step 2" in said
    assert "seed 0: step" not in said
    assert [(run["renderer"], run["seed"]) for run in results["runs"]] == [
        (name, seed) for seed in (0, 1) for name in ("general", "antialiased")
    ]
    assert results["settings"]["steps"] == 2
    assert results["about"]["command"].endswith("--seeds 2")
    text = (tmp_path / "single_view.md").read_text()
    assert text in said
    assert "8 objects" in text
    assert "4 objects that it never saw" in text
    assert "| trained through | car | chair | jug | plane |" in text
    for row in results["rows"]:
        assert row["seeds"] == [0, 1]
        volume = row["end"]["volume_iou"]
        assert f"| {row['label']} | {volume['mean']:.3f} ± {volume['spread']:.3f} |" in text
        categories = results["categories"][row["renderer"]].values()
        assert sum(c["mean"] for c in categories) / 4 == pytest.approx(volume["mean"])


def test_another_softness_is_another_training(dots, tmp_path, monkeypatch):
    wanted = quick()
    before = folder_of(wanted, "general", 0, tmp_path)
    assert before.name.startswith("general-0-")
    assert folder_of(wanted, "general", 0, tmp_path) == before
    assert folder_of(quick(steps=31), "general", 0, tmp_path) != before
    monkeypatch.setattr(Dots, "fingerprint", lambda self: "learned anew")
    assert folder_of(wanted, "general", 0, tmp_path) != before


def test_unknown_poses_have_a_file_of_their_own(dots, tmp_path):
    command = ["--out", str(tmp_path), *QUICK, "1", "--unknown-poses"]
    single_view.main(command)
    assert not (tmp_path / "single_view.json").exists()
    results = json.loads((tmp_path / "single_view_poses.json").read_text())
    assert not results["settings"]["known_poses"]
    turns = results["runs"][0]["end"]["turns"]
    assert turns.keys() == results["categories"]["general"].keys()
    text = (tmp_path / "single_view_poses.md").read_text()
    assert "cameras unknown" in text
    assert "azimuth within 30°" in text


@pytest.mark.parametrize("name", ["single_view", "single_view_poses"])
def test_published_table_is_that_of_the_published_numbers(name):
    """Rows follow from the runs in the file, and the table from the file."""
    path = ROOT / "results" / f"{name}.json"
    results = json.loads(path.read_text())
    assert to_text(results) == path.with_suffix(".md").read_text()
    assert summary(results["runs"]) == results["rows"]
    assert by_category(results["runs"]) == results["categories"]


def test_wrong_options_are_told(tmp_path, capsys):
    for words, told in ((["--seeds", "0"], "seeds must be"), (["--steps", "0"], "steps must be")):
        with pytest.raises(ValueError, match=told):
            single_view.main(["--out", str(tmp_path), "--quick", *words])
    with pytest.raises(SystemExit):
        single_view.main(["--renderers", "best"])
    assert "invalid choice: 'best'" in capsys.readouterr().err
