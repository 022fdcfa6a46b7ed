"""Training: it learns, it goes on the same after an interruption, and what it writes can be read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from taichisoft import Mesh, SoftRasterizer
from taichisoft.base.engine import ENGINE
from tasks.single_view import __main__ as program
from tasks.single_view import evaluation, renderers, training
from tasks.single_view.checkpoint import Checkpoint
from tasks.single_view.evaluation import evaluate
from tasks.single_view.photographs import Photographs
from tasks.single_view.renderers import RENDERERS, Entrant
from tasks.single_view.report import summary, to_markdown
from tasks.single_view.runs import load_model, run, thinned
from tasks.single_view.settings import (
    DataSettings,
    LossSettings,
    NetworkSettings,
    Settings,
    ViewSettings,
)
from tasks.single_view.training import Training
from tests.tasks.single_view.cases import Dots, data, settings


@pytest.fixture
def dots(monkeypatch):
    """Let the renderer of the tests take part, as the only one."""
    entrants = {"dots": Entrant("Dots", Dots), "again": Entrant("Dots again", Dots)}
    for module in (renderers, training, program):
        monkeypatch.setattr(module, "RENDERERS", entrants)
    monkeypatch.setattr("tasks.single_view.report.RENDERERS", entrants)


@pytest.mark.parametrize("known_poses", [True, False])
def test_going_on_gives_the_same_as_going_through(dots, tmp_path, known_poses):
    wanted = settings(known_poses=known_poses, steps=6)
    through = Training(wanted, data().train, "dots", 5)
    through.run()
    stopped = Training(wanted, data().train, "dots", 5)
    stopped.run(3)
    stopped.checkpoint().save(tmp_path / "checkpoint.pt")
    resumed = Training(wanted, data().train, "dots", 5)
    resumed.resume(tmp_path / "checkpoint.pt")
    assert resumed.step == 3
    resumed.run()
    assert resumed.history == through.history
    assert len(through.history) == 6
    pairs = zip(resumed.model.parameters(), through.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_checkpoint_is_of_one_training(dots, tmp_path, monkeypatch):
    file = tmp_path / "checkpoint.pt"
    Training(settings(), data().train, "dots", 0).checkpoint().save(file)
    with pytest.raises(ValueError, match="same training, got another seed: 0 there, 1 here"):
        Training(settings(), data().train, "dots", 1).resume(file)
    with pytest.raises(ValueError, match="another renderer: dots there, again here"):
        Training(settings(), data().train, "again", 0).resume(file)
    with pytest.raises(ValueError, match="another steps: 30 there, 31 here"):
        Training(settings(steps=31), data().train, "dots", 0).resume(file)
    monkeypatch.setattr(Dots, "fingerprint", lambda self: "other")
    with pytest.raises(ValueError, match="another softness:  there, other here"):
        Training(settings(), data().train, "dots", 0).resume(file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"checkpoint.pt is no checkpoint, or is damaged"):
        Checkpoint.load(file)
    torch.save({"step": 1}, file)
    with pytest.raises(ValueError, match="it must hold history, model, optimizer"):
        Checkpoint.load(file)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        Checkpoint.load(tmp_path / "other.pt")


@pytest.mark.parametrize("known_poses", [True, False])
def test_a_short_training_lowers_the_loss(known_poses):
    """Through a renderer of the library, silhouettes and colours."""
    wanted = settings(known_poses=known_poses, steps=24, learning_rate=3e-3)
    learning = Training(wanted, data().train, "suggested", 0)
    learning.run()
    losses = [row["loss"] for row in learning.history]
    # Colours are compared in every other step.
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])
    assert learning.history[-1]["iou"] > learning.history[0]["iou"]


@pytest.mark.parametrize("name", RENDERERS)
def test_every_renderer_gives_gradients(name):
    learning = Training(settings(steps=2), data().train, name, 0)
    before = [p.detach().clone() for p in learning.model.parameters()]
    learning.run()
    pairs = zip(before, learning.model.parameters(), strict=True)
    assert all(not torch.equal(a, b) and b.isfinite().all() for a, b in pairs)


def test_a_softness_is_known_by_its_settings_and_its_weights(monkeypatch):
    """Another one of the same name is another training."""
    names = ("general", "softras", "softras-recon", "suggested")
    prints = {name: RENDERERS[name].make().fingerprint() for name in names}
    assert len(set(prints.values())) == len(prints)
    assert RENDERERS["general"].make().fingerprint() == prints["general"]
    softness = SoftRasterizer.pretrained("general").softness
    assert renderers.Soft(softness).fingerprint() == prints["general"]
    with torch.no_grad():
        next(softness.parameters()).add_(1e-3)
    assert renderers.Soft(softness).fingerprint() != prints["general"]


def test_unknown_renderers_are_named():
    with pytest.raises(ValueError, match=r"renderer must be one of general, softras.*got 'best'"):
        Training(settings(), data().train, "best", 0)


class Tells:
    """Tells the same shape of every image."""

    def __init__(self, mesh: Mesh):
        self.mesh = mesh

    def shapes(self, images: torch.Tensor) -> Mesh:  # noqa: D102
        vertices = self.mesh.vertices.expand(len(images), -1, -1)
        colors = torch.full_like(vertices, 0.5)
        return Mesh(vertices, self.mesh.faces, vertex_colors=colors)


def test_a_true_shape_is_measured_as_one():
    found = evaluate(
        Tells(data().shown.subjects[0].mesh), data().shown, data().judged, data().train
    )
    categories = found["categories"]
    assert list(categories) == ["car", "chair", "jug", "plane"]
    assert categories["car"]["volume_iou"] == 1
    assert categories["car"]["silhouette_iou"] > 0.8
    assert categories["car"]["volume_iou_of_another"] == categories["chair"]["volume_iou"] < 0.5
    assert found["volume_iou"] == pytest.approx(
        sum(category["volume_iou"] for category in categories.values()) / 4
    )


def test_another_object_is_of_the_same_category():
    """The next one, round about; of all, where an object is alone in its category."""
    kinds = ("car", "jug", "car", "chair", "car")
    subjects = [replace(data().shown.subjects[0], category=kind) for kind in kinds]
    shown = Photographs(subjects)
    assert [evaluation._another(shown, index) for index in range(5)] == [2, 2, 4, 4, 0]
    assert evaluation._another(Photographs(subjects[:1]), 0) == 0


def test_views_to_judge_by_leave_out_the_image_itself():
    """Without other photographs, and without true shapes."""
    bare = Photographs([replace(subject, mesh=None) for subject in data().shown.subjects])
    found = evaluate(Tells(data().shown.subjects[0].mesh), bare, bare, data().train, inputs=1)
    assert found["volume_iou"] is None
    assert 0 < found["silhouette_iou"] < 1


def test_a_run_goes_on_and_is_not_done_again(dots, tmp_path, monkeypatch):
    wanted, calls = settings(steps=4), []

    def stop(training):
        calls.append(training.step)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(wanted, data(), "dots", 0, tmp_path, on_step=stop)
    result = run(wanted, data(), "dots", 0, tmp_path, command="x", on_step=stop)
    assert calls == [1, 2, 3, 4]
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert run(wanted, data(), "dots", 0, tmp_path, on_step=stop) == result
    assert len(calls) == 4
    assert result["end"]["volume_iou"] > 0
    assert result["about"]["command"] == "x"
    assert ENGINE.name in result["about"]
    assert [row["step"] for row in result["history"]] == [1, 2, 3, 4]
    assert (tmp_path / "examples.png").is_file()
    assert len(list((tmp_path / "shapes").glob("*.ply"))) == 4
    model = load_model(tmp_path)
    assert model.settings == wanted
    told = model.shapes.tell(data().shown.images[0])
    (batched,) = model.shapes(data().shown.pictures(torch.tensor([0]))).vertices
    assert torch.allclose(told.vertices, batched, atol=1e-6)


def test_the_program_compares_renderers(dots, tmp_path, capsys):
    options = [
        *(
            "--out",
            tmp_path / "runs",
            "--renderers",
            "dots",
            "again",
            "--seeds",
            0,
            1,
            "--steps",
            2,
        ),
        *("--batch", 2, "--data.objects", 1, "--data.held-out", 1, "--data.image-size", 8),
        *("--data.views.per-ring", 2, "--network.subdivisions", 0, "--network.width", 4),
        *("--no-known-poses", "--network.hypotheses", 2),
    ]
    program.main([str(word) for word in options])
    table = json.loads((tmp_path / "runs" / "table.json").read_text())
    first, second = table["rows"]
    assert (first["seeds"], first["label"]) == ([0, 1], "Dots")
    assert first["end"] == second["end"]
    assert first["end"]["volume_iou"].keys() == {"mean", "spread"}
    text = (tmp_path / "runs" / "table.md").read_text()
    assert text in capsys.readouterr().out
    assert text.splitlines()[2].startswith("| nothing: the start |")
    assert " ± " in text


def test_wrong_options_are_told(tmp_path, capsys):
    for words, told in (
        (("--renderers", "best"), "renderers must be some of"),
        (("--data.folder", str(tmp_path / "none")), "folder must be an existing folder"),
        (("--steps", "0"), "steps must be at least 1"),
    ):
        with pytest.raises(SystemExit) as stopped:
            program.main(["--out", str(tmp_path / "runs"), *words])
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err


def test_summary_has_means_and_spreads():
    results = [
        {
            "renderer": "general",
            "seed": seed,
            "cpu_seconds": 60.0,
            "start": {"volume_iou": 0.1, "silhouette_iou": 0.2, "color_error": None},
            "end": {"volume_iou": value, "silhouette_iou": 0.5, "color_error": None},
        }
        for seed, value in enumerate((0.4, 0.5, 0.6))
    ]
    (row,) = summary(results)
    assert row["end"]["volume_iou"] == pytest.approx({"mean": 0.5, "spread": 0.1})
    assert "color_error" not in row["end"]
    assert "| Learned: general | 0.500 ± 0.100 | 0.500 ± 0.000 | 1.0 |" in to_markdown([row])
    (single,) = summary(results[:1])
    assert single["end"]["volume_iou"]["spread"] is None


def test_histories_are_thinned_to_means():
    history = [{"loss": float(index), "iou": 0.0} for index in range(120)]
    found = thinned(history)
    assert len(found) == 40
    assert found[0] == {"step": 3, "loss": 1.0, "iou": 0.0}
    assert found[-1]["step"] == 120


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Settings(steps=0), "steps must be at least 1"),
        (lambda: Settings(learning_rate=0), "learning_rate must be"),
        (lambda: DataSettings(radius=0), "radius must be"),
        (lambda: DataSettings(image_size=4), "image_size must be at least 8"),
        (lambda: LossSettings(color=-1), "color must not be negative"),
        (lambda: NetworkSettings(hypotheses=0), "hypotheses must be at least 1"),
        (lambda: ViewSettings(elevations=()), "elevations must be of at least one ring"),
        (lambda: ViewSettings(elevations=(95.0,)), "elevations must be between -90 and 90"),
        (lambda: ViewSettings(elevations=[10.0]), "elevations must be a tuple"),
        (lambda: ViewSettings(distance=1), "distance must be"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
