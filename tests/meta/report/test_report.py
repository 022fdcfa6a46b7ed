"""The page about a run has its numbers, needs nothing else, and says what is missing."""

from __future__ import annotations

import base64
import copy
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import norm

import meta
from meta import train
from meta.config.softness import learn_only
from meta.learning.settings import ValidationSettings
from meta.report.command import main, report
from meta.report.page import chart, problems
from meta.report.page.chart import Chart, Line, thinned
from meta.report.page.checkpoints import MOST_STEPS, numbers_of
from meta.runs import history
from meta.runs.folder import RunFolder, write_json_atomically
from meta.runs.verdict import Verdict
from taichisoft import Softness
from tasks import Split
from tests.meta.learning.problems import PointFamily, PointTask, tiny
from tests.meta.report.report_cases import drawn, evaluate, points_of, read, shake, trained
from tests.meta.runs.test_learn import OWN

GAUSSIAN = {"coverage": "gaussian", "schedule": "exponential", "scale_end": 0.1}
LIMIT = 3_000_000
# The parts of the page after the verdict, in their order.
SECTIONS = ('id="problems"', 'id="curves"', 'id="training"', 'id="made"')
# Of a closed form.
TAIL = 1e-4
CUT = norm.ppf(TAIL)


@pytest.fixture(scope="module")
def gaussian(tmp_path_factory):
    """Return a run of which the scale alone is learned, so that its curves have a formula."""
    path = tmp_path_factory.mktemp("run") / "gaussian"
    folder = trained(path, learn=("scale",), outer_steps=6, **GAUSSIAN)
    shake(folder)
    return folder


@pytest.fixture
def run(tmp_path):
    """Return a new run, to be damaged."""
    return trained(tmp_path / "run")


def page_of(folder, **options):
    return read(report(folder.path, problems=0, **options))


def line_of(page, key, index):
    """Return the values at every step of a moving line, (steps, points)."""
    return np.array(page.data["charts"][key]["lines"][f"line-{key}-{index}"])


def lines_of(page, key):
    """Return the moving lines of a chart in order; the last is the thick one."""
    return [np.array(line) for line in page.data["charts"][key]["lines"].values()]


def test_moving_curves_are_those_of_the_formula_at_every_step(gaussian):
    page = page_of(gaussian)
    rows = history.read(gaussian.history)
    names = [f"coverage.scale.{end}.length.log_value" for end in ("start", "end")]
    start = gaussian.read_settings()
    ends = [(start.softness.scale, start.softness.scale_end)]
    ends += [tuple(np.exp(row["parameters"][name]) for name in names) for row in rows]
    assert [place["step"] for place in page.data["places"]] == list(range(7))
    d = np.array(page.data["charts"]["coverage"]["x"])
    first, last, middle = lines_of(page, "coverage")
    (slope,) = lines_of(page, "slope")
    for step, (wide, narrow) in enumerate(ends):
        half_way = np.sqrt(wide * narrow)
        for line, width in ((first, wide), (last, narrow), (middle, half_way)):
            assert line[step] == pytest.approx(without_tail(d / width), abs=2e-5 / width)
        exact = np.where(d / half_way > CUT, norm.pdf(d, scale=half_way), 0) / (1 - TAIL)
        assert slope[step] == pytest.approx(exact, abs=1e-4 * exact.max())
    assert np.abs(np.diff(middle, axis=0)).max(1).min() > 1e-3


def without_tail(s):
    """Return the normal distribution as the renderer has it, whose docstring says where it is cut."""
    return np.clip((norm.cdf(s) - TAIL) / (1 - TAIL), 0, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"coverage": "spline"},
        {"coverage": "mlp", "schedule": "free"},
        {"coverage": "mixture", "aggregation": "generator", "learn": ("coverage", "aggregation")},
        {"coverage": "gaussian", "slope": "logistic"},
        {"aggregation": "frank", "learn": ("aggregation",)},
        {
            "coverage": "gaussian",
            "shift_schedule": "knots",
            "aggregation": "frank",
            "aggregation_schedule": "knots",
            "learn": ("coverage", "aggregation"),
        },
        {
            "occlusion": "mlp",
            "gamma_schedule": "exponential",
            "gamma_end": 0.01,
            "learn": ("occlusion", "gamma"),
        },
        {
            "occlusion": "front_to_back",
            "order": "spline",
            "gamma_unit": "extent",
            "learn": ("occlusion", "gamma"),
        },
    ],
    ids=[
        "spline",
        "network",
        "mixture",
        "slope",
        "aggregation",
        "knots",
        "occlusion",
        "front to back",
    ],
)
def test_last_place_is_what_was_learned(changes, tmp_path):
    folder = trained(tmp_path / "run", **changes)
    shake(folder)
    page, settings = page_of(folder), folder.read_settings()
    final = Softness.load(folder.softness)
    final.set_progress(0.5)
    d = torch.tensor(page.data["charts"]["coverage"]["x"], dtype=torch.float64)
    with torch.no_grad():
        scale = final.coverage.scale.in_pixels(settings.image_size)
        expected = final.coverage.without_tail(d / scale)
    *_, thick = lines_of(page, "coverage")
    # The distances in the page have five digits: beside a jump a curve may be on its other side.
    wrong = np.abs(thick[-1] - expected.numpy()) > 2e-4
    assert wrong.sum() <= 1
    assert ("aggregation" in page.data["charts"]) == ("aggregation" in settings.softness.learn)
    assert ("occlusion" in page.data["charts"]) == ("occlusion" in settings.softness.learn)
    learned = settings.softness.learn[0].replace("coverage", "slope")
    (moved,) = lines_of(page, learned)
    assert np.abs(np.diff(moved, axis=0)).max(1).min() > 1e-3
    parameters = history.read(folder.history)[-1]["parameters"].values()
    assert ("change of all weights" in page.words) == any(isinstance(p, list) for p in parameters)
    learn_only(final, settings.softness.learn)
    numbers = [f"{value:.4g}" for value in numbers_of(final, settings.image_size).values()]
    assert page.data["places"][-1]["values"][3:] == numbers
    for name, moving in page.data["charts"].items():
        assert np.isfinite(moving["limits"]).all(), name


def test_still_page_shows_the_last_place(gaussian):
    page = page_of(gaussian)
    for key in ("coverage", "slope"):
        motion = page.data["charts"][key]
        assert motion["lines"]
        for name, steps in motion["lines"].items():
            found = points_of(page.attributes(name)["d"])
            assert np.array(found) == pytest.approx(np.array(drawn(motion, steps[-1])), abs=0.1)
    slider = page.attributes("step")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "6", "6")
    assert slider["aria-valuetext"] == "after outer step 6 of 6"
    assert "hidden" in page.attributes("control")


def test_history_is_drawn(gaussian):
    page, rows = page_of(gaussian), history.read(gaussian.history)
    for key, name in (("objective", "objective"), ("gradient-norm", "gradient_norm")):
        motion = page.data["charts"][key]
        assert motion["marked"]
        values = [row[name] for row in rows]
        found = points_of(page.attributes(f"line-{key}-0")["d"])
        expected = drawn({**motion, "x": range(1, 7)}, values)
        assert np.array(found) == pytest.approx(np.array(expected), abs=0.06)
    for row in rows:
        place = page.data["places"][row["step"]]["values"]
        assert place[0] == f"{row['objective']:.4g}"
        assert place[2] == f"{row['gradient_norm']:.4g}"
    # Two steps solve different problems.
    assert not [text for text in page.texts["dd"] if f"{rows[0]['objective']:.4g}" in text]


def test_judged_run_shows_both_curves_and_what_is_kept(tmp_path):
    # From 0.3 the scale goes far beyond 1, where all problems are solved.
    folder = trained(
        *(tmp_path / "run", ValidationSettings(4, 2)),
        **{"outer_steps": 9, "learning_rate": 0.9, "es_sigma": 0.02, "learn": ("scale",)},
    )
    page, rows = page_of(folder), history.read(folder.history)
    told = Softness.load(folder.softness).trained["validation"]
    kept, start = told["kept"]["step"], told["start"]["objective"]
    assert 0 < kept < 9
    # At the steps that were judged, and straight between them.
    judged = [start, *(row["validation_objective"] for row in rows)]
    known = [i for i, value in enumerate(judged) if value is not None]
    assert known == [0, 2, 4, 6, 8, 9]
    motion = page.data["charts"]["objective"]
    at = {**motion, "x": range(10)}
    validation = np.interp(range(10), known, [judged[i] for i in known])
    training = [row["objective"] for row in rows]
    for index, values, steps in ((1, validation, range(10)), (0, training, range(1, 10))):
        found = points_of(page.attributes(f"line-objective-{index}")["d"])
        assert np.array(found) == pytest.approx(
            np.array(drawn({**at, "x": steps}, values)), abs=0.06
        )
    ((x, _),) = drawn({**at, "x": [kept]}, [0.0])
    assert page.attributes("kept-objective")["d"].startswith(f"M{x:.1f} ")
    assert page.attributes("now-objective")["d"].startswith(f"M{x:.1f} ")
    assert page.data["shown"] == kept
    assert page.attributes("step")["value"] == str(kept)
    assert page.data["places"][kept]["words"] == f"after outer step {kept} of 9: kept"
    # Tiles and readings are of the validation problems, which are the same at all steps.
    losses = [f"{told[which]['objective']:.4g}" for which in ("start", "kept")]
    assert ", ".join(losses) in page.words
    assert [page.data["places"][place]["values"][0] for place in (0, kept)] == losses
    assert page.data["places"][1]["values"][0] == "\N{EN DASH}"
    assert "loss, validation" in page.words
    assert Verdict.from_json(told).words() in page.words
    # Without a program, the curve is that of the softness that is kept.
    coverage = page.data["charts"]["coverage"]
    ((name, moving),) = coverage["lines"].items()
    found = points_of(page.attributes(name)["d"])
    assert np.array(found) == pytest.approx(np.array(drawn(coverage, moving[kept])), abs=0.1)


def test_page_says_for_which_scene_a_conditioned_softness_is_drawn(run, tmp_path):
    folder = trained(tmp_path / "conditioned", conditioned=True, learn=("scale",))
    assert "faces with edges of 4 px in images of 64 px" in page_of(folder).words
    assert "faces with edges" not in page_of(run).words


def test_damaged_verdict_is_noted(run):
    softness = Softness.load(run.softness)
    softness.save(run.softness, {**softness.trained, "validation": {"taken": 3}})
    page = page_of(run)
    assert "validation.problems must be an int, got NoneType" in page.words
    assert "coverage" in page.data["charts"]


def test_page_has_the_numbers_of_the_run(gaussian, tmp_path):
    folder = trained(tmp_path / "run", **GAUSSIAN)
    made = evaluate(folder, tmp_path / "evaluation")
    page = page_of(folder)
    for row in made:
        assert row["label"] in page.words
        rate, low, high = (100 * row[f"success_{n}"] for n in ("mean", "low", "high"))
        assert f"{rate:.1f} % [{low:.1f}, {high:.1f}]" in page.words
        error, low, high = (row[f"error_median{n}"] for n in ("", "_low", "_high"))
        assert f"{error:.3g} [{low:.3g}, {high:.3g}]" in page.words
    config = json.loads(folder.config.read_text())
    options = [(option.name, option.value) for option in folder.read_settings().options()]
    assert len(options) > 30
    for name, value in (*config["versions"].items(), *options):
        assert name in page.words
        if not isinstance(value, tuple):
            assert str(value) in page.words
    told = json.loads(folder.evaluation.read_text())["verdicts"]["pose"]["learned"]
    assert told["text"] in page.words
    # The verdict comes first, then its figure, with the best fixed softnesses, and what remains on demand.
    text = folder.report.read_text(encoding="utf-8")
    parts = (told["sentence"], 'class="bars"', "<details>", told["text"], *SECTIONS)
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.count('<li class="ours"><span>') == 1
    # Only those that took part, at the scales that they chose.
    legend = [line for line in page.texts["li"] if " px" in line]
    fixed = [f"{row['label']}, {row['scale']:.2g} px" for row in made if row["kind"] == "fixed"]
    assert sorted(set(legend)) == sorted(fixed)
    assert len(fixed) == 3
    assert "at scales tuned on training problems" in page.words
    assert "at the scale that the learned one has half-way" in page_of(gaussian).words


def test_four_curves_are_shown_and_the_others_on_demand(gaussian):
    page = page_of(gaussian)
    for key, moving in (("coverage", 3), ("slope", 1)):
        classes = [
            values["class"].split()
            for tag, values in page.tags
            if tag == "path" and values.get("id", "").startswith(f"line-{key}-")
        ]
        assert len(classes) == 6 + moving
        shown = [names for names in classes if "extra" not in names]
        assert [names[1] for names in shown] == ["fixed-0", "fixed-1", "fixed-2", "learned"]
    assert page.attributes("all")["type"] == "checkbox"
    assert ".extra { display: none; }" in gaussian.report.read_text(encoding="utf-8")


def test_evaluation_of_an_earlier_version_has_its_headline(run, tmp_path):
    made = evaluate(run, tmp_path / "evaluation")
    text = "No winner: the intervals overlap. Solved: 1.5 % against 2 %."
    write_json_atomically(
        run.evaluation, {"rows": made, "verdicts": {"pose": {"learned": {"text": text}}}}
    )
    words = page_of(run).texts["p"]
    assert words.index("No winner: the intervals overlap.") < words.index(text)


def test_page_needs_nothing_else(gaussian):
    path = report(gaussian.path, problems=0)
    assert path == gaussian.report
    text, page = path.read_text(encoding="utf-8"), read(path)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "default-src 'none'" in text
    assert not any(word in text for word in ("@import", "fetch(", "XMLHttpRequest", "eval("))
    assert len(text.encode()) < LIMIT / 5
    images = [values for tag, values in page.tags if tag == "svg"]
    assert all(values.get("role") == "img" or "viewbox" in values for values in images)
    assert (
        "meta",
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    ) in page.tags


def test_names_cannot_become_parts_of_the_page(tmp_path):
    evil = "</script><script>alert(1)</script>\"'<b>&amp;"
    folder = trained(tmp_path / 'a <b id="x">&lt;')
    made = evaluate(folder, tmp_path / "evaluation")
    before = read(report(folder.path, problems=0))
    made = [{**row, "label": row["label"] + evil} for row in made]
    told = {"pose": {"learned": {"text": evil}}}
    write_json_atomically(folder.evaluation, {"rows": made, "verdicts": told})
    config = json.loads(folder.config.read_text())
    config["versions"] = {evil: evil}
    config["command"] = [evil]
    config["started"] = evil
    write_json_atomically(folder.config, config)
    page = read(report(folder.path, problems=0))
    kinds = [
        sorted(tag for tag, _ in each.tags if tag in ("script", "b")) for each in (before, page)
    ]
    assert kinds == [["script", "script"]] * 2
    assert evil in page.words
    assert folder.path.name in page.words


def test_folder_that_is_no_run(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "no training run in" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{]")
    assert main([str(tmp_path)]) == 1
    assert "config.json is damaged" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--problems", "-1"])
    assert "must be at least 0, got -1" in capsys.readouterr().err


def test_run_without_evaluation_says_how_to_make_one(run):
    assert f"python -m meta.evaluate {run.path}" in page_of(run).words
    with pytest.raises(FileNotFoundError, match=r"evaluation: no such file: .*nowhere\.json"):
        report(run.path, evaluation=run.path / "nowhere.json")


DAMAGE = [
    ("history", lambda f: f.history.unlink(), "history.jsonl is missing"),
    ("history", lambda f: f.history.write_text("{]\n"), "line 1 of"),
    ("history", lambda f: f.history.write_text('{"step": 2}\n'), "is of step 2"),
    ("softness", lambda f: f.softness.unlink(), "no such file"),
    ("softness", lambda f: f.softness.write_bytes(b"x" * 100), "is not a safetensors file"),
    ("start", lambda f: f.start.write_bytes(b"x" * 100), "is not a safetensors file"),
    ("evaluation", lambda f: f.evaluation.write_text("[]"), "is no evaluation, or is damaged"),
    ("evaluation", lambda f: f.evaluation.write_text('{"rows": [{}], "verdicts": {}}'), "KeyError"),
    ("evaluation", lambda f: f.evaluation.write_bytes(b"\xff\xfe"), "is no evaluation"),
]


@pytest.mark.parametrize(("part", "damage", "message"), DAMAGE)
def test_damaged_parts_are_left_out_with_a_note(run, part, damage, message):
    damage(run)
    page = page_of(run)
    assert message in page.words
    charts = page.data["charts"]
    assert ("objective" in charts) == (part != "history")
    assert ("coverage" in charts) == (part != "softness")


def test_history_of_another_softness_is_noted(run):
    rows = history.read(run.history)
    for parameters, message in (({"coverage.bias": 1.0}, "no 'coverage.bias'"), (3, "Mapping")):
        damaged = [json.dumps({**row, "parameters": parameters}) + "\n" for row in rows]
        run.history.write_text("".join(damaged))
        page = page_of(run)
        assert message in page.words
        assert "coverage" not in page.data["charts"]
        assert "objective" in page.data["charts"]


def test_numbers_of_the_history_may_be_missing(run):
    run.history.write_text('{"step": 1}\n{"step": 2, "objective": null, "gradient_norm": "much"}\n')
    page = page_of(run)
    assert page.data["places"][1]["values"][:3] == ["\N{EN DASH}"] * 3
    assert page.attributes("line-objective-0")["d"] == ""


def test_run_of_an_earlier_version_has_its_two_ends(run):
    rows = history.read(run.history)
    old = [{k: v for k, v in row.items() if k != "parameters"} for row in rows]
    run.history.write_text("".join(json.dumps(row) + "\n" for row in old))
    page = page_of(run)
    assert [place["step"] for place in page.data["places"]] == [0, 3]
    assert "Only the first and the last softness of this run are known" in page.words
    assert "scale" in page.data["charts"]
    assert "parameter-0" not in page.data["charts"]


def test_run_that_goes_on(run):
    config = json.loads(run.config.read_text())
    config["settings"]["outer"]["steps"] = 9
    write_json_atomically(run.config, config)
    page = page_of(run)
    assert "3 of 9, not finished" in page.words
    assert page.data["places"][-1]["words"] == "after outer step 3 of 9"


def test_run_before_its_first_step(tmp_path):
    folder = trained(tmp_path / "run")
    initial = folder.read_settings().softness.build(seed=0)
    initial.save(folder.softness, {"step": 0})
    folder.history.unlink()
    page = page_of(folder)
    assert "0 of 3, not finished" in page.words
    assert [place["step"] for place in page.data["places"]] == [0]
    assert "control" not in page.ids
    assert page.attributes("line-coverage-6")["d"].startswith("M")


def test_long_runs_stay_small(run):
    rows = history.read(run.history)
    many = [{**rows[step % 3], "step": step + 1} for step in range(2000)]
    run.history.write_text("".join(json.dumps(row) + "\n" for row in many))
    page = page_of(run)
    steps = [place["step"] for place in page.data["places"]]
    assert (len(steps), steps[0], steps[-1]) == (MOST_STEPS, 0, 2000)
    assert run.report.stat().st_size < LIMIT / 2


class Grey(PointTask):
    """Points whose picture is a different grey at every place."""

    def views(self, unknowns, problem):
        """Return a quarter of the place."""
        return (unknowns["x"][problem] / 4).clamp(0, 1).expand(4, 6)

    def target(self, problem):
        """Return the picture at the goal."""
        return self.views({"x": self.goal}, problem)


class Greys(PointFamily):
    """A family of such points."""

    def sample(self, seed, count, split):
        """Return the same points, with pictures."""
        task = super().sample(seed, count, split)
        return Grey(task.start, task.goal)


def test_problems_are_shown_while_being_solved(monkeypatch):
    monkeypatch.setattr(problems, "build_families", lambda settings: [Greys()])
    settings = tiny(inner_steps=10, seed=5)
    softness = settings.softness.build(settings.seed)
    found = problems.examples(settings, {"learned": softness, "initial": softness}, 2)
    assert [one.family for one in found] == ["pose problem 1", "pose problem 2"]
    task = Greys().sample(5, 2, Split.HELD_OUT)
    for index, one in enumerate(found):
        assert [solving.label for solving in one.solvings] == ["learned", "initial"]
        stills = one.solvings[0].stills
        error = float(task.error(task.init())[index])
        assert stills[0].caption == f"step 0: {error:.3g}"
        assert stills[-1].caption.startswith("step 10: ")
        first, target = decoded(stills[0]), decoded(one.target)
        assert first.size == target.size == (6, 4)
        # More than the target: between both and the colour of excess.
        assert first.getpixel((0, 0)) != target.getpixel((0, 0))
        film = decoded(one.solvings[0].animation)
        assert film.n_frames > 2
        assert one.errors.lines[-1].last[0] == pytest.approx(error)
        assert len(one.errors.x) == 11
    assert problems.examples(settings, {"learned": softness}, 0) == []


def test_run_with_classes_of_the_user(tmp_path, capsys):
    words = [*OWN, "--validation-every", "1", "--out", str(tmp_path)]
    assert train.main(words) == 0
    # It is read where the backend that it was made on cannot be had.
    folder = RunFolder(tmp_path)
    config = json.loads(folder.config.read_text())
    config["settings"]["backend"] = "metal"
    write_json_atomically(folder.config, config)
    capsys.readouterr()
    assert main([str(tmp_path), "--problems", "1"]) == 0
    assert capsys.readouterr().out == f"{folder.report}\n"
    page, loaded = read(folder.report), meta.load(tmp_path)
    assert [place["step"] for place in page.data["places"]] == [0, 1, 2, 3]
    rows = history.read(folder.history)
    steepness = [0.3, *(row["parameters"]["coverage.module.value"] for row in rows)]
    d = torch.tensor(page.data["charts"]["coverage"]["x"], dtype=torch.float64)
    (line,) = lines_of(page, "coverage")
    for value, curve in zip(steepness, line, strict=True):
        coverage = copy.deepcopy(loaded.softness.coverage)
        coverage.module.value.fill_(value)
        expected = coverage.without_tail(d)
        assert curve == pytest.approx(expected.numpy(), abs=1e-4)
    assert page.data["shown"] == loaded.verdict.kept.step > 0
    assert loaded.verdict.words() in page.words
    assert "steep problem 1" in page.words
    assert "With the initial softness" in page.words
    assert "docs/own-problems.md says how" in page.words
    assert "meta.evaluate" not in page.words
    assert "Left out" not in page.words


def test_run_with_a_class_that_is_gone(tmp_path):
    assert train.main([*OWN, "--out", str(tmp_path)]) == 0
    folder = RunFolder(tmp_path)
    config = json.loads(folder.config.read_text())
    config["settings"]["softness"]["coverage"] = "gone_since:Curve"
    write_json_atomically(folder.config, config)
    page = page_of(folder)
    assert "coverage: gone_since:Curve cannot be imported: there is no module" in page.words
    assert "softness.safetensors" not in page.words
    assert ("objective" in page.data["charts"], "coverage" in page.data["charts"]) == (True, False)


def decoded(still):
    """Return the picture of a data address."""
    kind, content = still.data.split(";base64,")
    assert kind in ("data:image/png", "data:image/gif")
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_problems_that_cannot_be_made_are_noted(run, capsys):
    config = json.loads(run.config.read_text())
    config["settings"]["meshes"] = ["nowhere.obj"]
    write_json_atomically(run.config, config)
    out = run.path / "new" / "page.html"
    assert main([str(run.path), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert "No problem could be solved here" in read(out).words
    assert "nowhere.obj" in read(out).words


def test_problems_of_the_user_that_fail_are_noted(run, monkeypatch):
    def unseen(task, unknowns, problem):
        raise KeyError("angle")

    monkeypatch.setattr(Grey, "views", unseen)
    monkeypatch.setattr(problems, "build_families", lambda settings: [Greys()])
    assert "No problem could be solved here: KeyError: 'angle'" in read(report(run.path)).words


def test_line_has_gaps_where_there_is_no_number():
    line = Line("", "learned", ((0.0, float("nan"), 1.0, 2.0, float("inf")),))
    made = Chart("k", "t", "x", "y", (0.0, 1.0, 2.0, 3.0, 4.0), (line,), (0.0, 2.0))
    left, right, top, bottom = made.motion()["box"]
    middle = (left + right) / 2
    quarter = (right - left) / 4
    assert made.path(line.last) == (
        f"M{left:.1f} {bottom:.1f}M{middle:.1f} {(top + bottom) / 2:.1f}L{middle + quarter:.1f} {top:.1f}"
    )
    assert made.motion()["lines"] == {}


@pytest.mark.parametrize("values", [[], [float("nan")], [2.0, 2.0], [0.0], [-3.0, 5.0]])
def test_limits_have_room(values):
    low, high = chart.around(values)
    assert low < high
    assert all(low < value < high for value in values if np.isfinite(value))


def test_thinning_keeps_the_ends():
    assert thinned(5, 10) == [0, 1, 2, 3, 4]
    assert thinned(1, 10) == [0]
    kept = thinned(1001, 11)
    assert kept == list(range(0, 1001, 100))
