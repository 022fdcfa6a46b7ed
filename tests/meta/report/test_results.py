"""The published results: one plan, from training to shipped weights, that can be stopped and continued."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import taichisoft as ts
from meta import merge, publish, results
from meta.config.families import FAMILIES
from meta.evaluation.candidates import FIXED
from meta.evaluation.plan import FULL, GENERAL, QUICK, WITHOUT, Plan
from meta.evaluation.pooled.given import DEFAULTS, SUGGESTED
from meta.evaluation.pooled.job import alone
from meta.learning.merge import Source, merged
from meta.learning.settings import OuterLoop
from meta.report.matrix import BEST_FIXED, Matrix, save_heat_maps
from meta.report.overview import table
from meta.report.pooled_files import read_pooled
from meta.report.results import goal
from meta.results import ResultsSettings
from meta.runs.folder import RunFolder
from meta.runs.trainer import Trainer
from meta.runs.training import Training
from taichisoft import Situation
from tasks import Shape3DFamily, Split
from tests.meta.evaluation.evaluation_cases import comparison_of, made_up, result

TWO = ("pose", "occlusion")


@pytest.fixture(autouse=True, scope="module")
def same_threads():
    """Undo what training sets for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def two_families() -> Plan:
    """Return the quick plan without two of its families, but with a curve."""
    return replace(
        QUICK,
        problems=QUICK.problems.with_families(TWO),
        learned={name: QUICK.learned[name] for name in TWO},
        sizes=QUICK.sizes,
        curves={"pose-spline": QUICK.curves["pose-spline"]},
    )


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    """Return whether two states are the same."""
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Make all results of the quick plan of two families; return their folder."""
    out = tmp_path_factory.mktemp("results")
    settings = results.ResultsSettings(out=str(out), workers=1, quick=True)
    results.make_results(two_families(), settings, "the command")
    return out


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_plan_covers_what_is_published(plan):
    runs = plan.runs(Path("runs"))
    assert set(runs) == {*FAMILIES, *plan.sizes, *plan.curves}
    assert set(plan.merged) == {GENERAL, *(WITHOUT + family for family in FAMILIES)}
    assert set(plan.merged[GENERAL]) == {*FAMILIES, *plan.sizes}
    for family in FAMILIES:
        left = [name for name in plan.merged[GENERAL] if runs[name].family_names != (family,)]
        assert plan.merged[WITHOUT + family] == tuple(left)
        assert runs[family].family_names == (family,)
        assert "rate" in runs[family].softness.learn
    for name, run in runs.items():
        assert (run.image_size != plan.problems.image_size) == (name in plan.sizes)
        assert run.inner == plan.problems.inner
        for family in run.families:
            assert replace(plan.problems.family(family.name), problems=family.problems) == family
    assert len({run.out for run in runs.values()}) == len(runs)


def test_what_is_planned_can_be_merged():
    sources = [
        Source(run.softness.build(run.seed), run.softness.learn, (Situation(),))
        for run in (*FULL.learned.values(), *FULL.sizes.values())
    ]
    assert merged(sources).is_conditioned


def test_full_plan_is_as_large_as_promised():
    evaluation = FULL.evaluation
    assert evaluation.seeds >= 5
    counts = {family: evaluation.counts[family].problems for family in FAMILIES}
    assert counts == {"pose": 100, "shape3d": 20, "shape2d": 100, "occlusion": 100}
    assert set(FULL.pooled.entrants) == set(FIXED)
    assert evaluation.train_split
    for run in FULL.runs(Path()).values():
        assert run.outer.steps >= 200
        assert run.validation.problems >= 128
    usual = Shape3DFamily()
    made = FULL.problems.family("shape3d")
    assert (made.views, made.subdivisions) == (usual.views, usual.subdivisions)


def test_results_are_all_there(made):
    names = {path.name for path in made.iterdir()}
    assert names >= {
        "results.json",
        "results.md",
        "table.md",
        "overview.png",
        "matrix.png",
        "examples.gif",
        "conditions.json",
        "conditions.md",
        "pooled.json",
        "pooled.md",
        *("pooled.png", "pooled-unseen.png", "pooled-known.png", "claim.md", "claim.png"),
    }
    assert names >= {
        f"{family}-{what}.png" for family in TWO for what in ("softness", "convergence")
    }
    assert not list(made.rglob("*.partial"))
    for path in made.glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 200


def test_results_say_how_they_were_made(made):
    told = json.loads((made / "results.json").read_text())
    assert told["command"] == "the command"
    assert set(told["runs"]) == {*TWO, "pose-40", "pose-spline"}
    assert told["versions"]["taichisoft"] == ts.__version__
    held_out = [row for row in told["rows"] if row["split"] == "held-out"]
    of_pose = {row["softness"] for row in held_out if row["family"] == "pose"}
    fixed = {f"pooled-{key}" for key in read_pooled(made / "pooled.json")[0].finalists}
    assert len(fixed) == 1
    assert of_pose == {"pose", GENERAL, "pose-start", "pose-spline", "occlusion"} | fixed
    on_train = {(r["family"], r["softness"]) for r in told["rows"] if r["split"] == "train"}
    assert on_train == {(family, key) for family in TWO for key in (family, GENERAL)}
    assert set(told["verdicts"]["pose"]) == of_pose - fixed
    gained = [(gain["family"], gain["ours"], gain["theirs"]) for gain in told["gains"]]
    start, general = "Start of the learning", "Learned on all families"
    assert gained == [
        ("pose", "Learned", start),
        ("pose", "Learned: pose-spline", "Learned"),
        ("pose", general, "Learned"),
        ("occlusion", "Learned", start),
        ("occlusion", general, "Learned"),
    ]
    success = {(r["family"], r["label"]): r["success_mean"] for r in held_out}
    for gain in told["gains"]:
        ours, theirs = (success[gain["family"], gain[who]] for who in ("ours", "theirs"))
        assert gain["success"]["estimate"] == pytest.approx(ours - theirs)
    text = (made / "results.md").read_text()
    assert "| pose | Learned: pose-spline | Learned | " in text
    assert "`the command`" in text
    assert "seed of the training runs 0" in text
    assert (made / "table.md").read_text().strip() in text


def test_results_compare_on_equal_information(made):
    pool, problems = read_pooled(made / "pooled.json")
    assert problems == two_families().problems
    (finalist,) = pool.finalists
    chosen = pool.choices[finalist].chosen
    assert set(chosen) == {"all", *TWO, *map(alone, TWO)}
    told = json.loads((made / "pooled.json").read_text())
    one_for_all, never_seen, known = told["reports"]
    entrants = {"pooled-best", f"pooled-{finalist}", SUGGESTED, *DEFAULTS}
    for report, learned in ((one_for_all, GENERAL), (never_seen, "general-without")):
        assert {(row["family"], row["softness"]) for row in report["rows"]} == {
            (family, key) for family in TWO for key in (learned, *entrants)
        }
        assert {row["softness"] for row in report["paired"]} == entrants
    scale = {r["family"]: r["scale"] for r in never_seen["rows"] if r["softness"] == "pooled-best"}
    assert scale == {family: chosen[family].setting.scale for family in TWO}
    # The merged one is told as of the usual scenes of each family.
    general = {r["family"]: r["scale"] for r in one_for_all["rows"] if r["softness"] == GENERAL}
    assert general["pose"] != general["occlusion"]
    text = (made / "pooled.md").read_text()
    assert "`the command`" in text
    assert one_for_all["headline"] in text
    assert never_seen["headline"] in text
    best = {"pooled-best", f"pooled-{finalist}"}
    assert {(row["family"], row["softness"]) for row in known["rows"]} == {
        (family, key) for family in TWO for key in (family, *best)
    }
    assert "Best setting for the family" in {r["label"] for r in known["rows"]}
    scale = {r["family"]: r["scale"] for r in known["rows"] if r["softness"] == "pooled-best"}
    assert scale == {family: chosen[alone(family)].setting.scale for family in TWO}


def test_claim_has_every_comparison(made):
    text = (made / "claim.md").read_text()
    for report in json.loads((made / "pooled.json").read_text())["reports"]:
        assert f"- **{report['title']}.** {report['headline']}" in text
        best = next(
            r for r in report["paired"] if r["softness"] == "pooled-best" and r["family"] == "mean"
        )
        assert f"{best['overall']}: {100 * best['success']:+.1f} [" in text
    assert (
        f"- **Conditions never seen.** {(made / 'conditions.md').read_text().splitlines()[2]}"
        in text
    )
    rows = [line for line in text.splitlines() if line.startswith("| One setting for all | ")]
    assert len(rows) == 2 + len(DEFAULTS)
    assert sum(line.startswith("| Conditions never seen | ") for line in text.splitlines()) == 2


def test_results_ship_weights_with_what_they_earned(made):
    files = sorted((made / "weights").iterdir())
    assert [path.stem for path in files] == [GENERAL, "occlusion", "pose"]
    general, _, pose = (ts.Softness.load(path).trained for path in files)
    assert [row["family"] for row in general["evaluation"]] == list(TWO)
    assert {row["softness"] for row in pose["evaluation"]} == {"pose"}
    assert [family["name"] for family in pose["settings"]["families"]] == ["pose"]
    assert pose["step"] == 1
    assert set(general["merged"]) == {*TWO, "pose-40"}
    assert "merged: from pose, occlusion, pose-40" in ts.Softness.load(files[0]).describe()
    whole = ts.Softness.load(made / "merged" / f"{GENERAL}.safetensors").state_dict()
    assert equal(ts.Softness.load(files[0]).state_dict(), whole)


def test_gamma_is_the_whole_extent_where_no_depths_were_learned(made):
    def gammas(name: str) -> set[float]:
        state = ts.Softness.load(made / "merged" / f"{name}.safetensors").state_dict()
        names = [name for name in state if name.startswith("occlusion.gamma.")]
        return {float(state[name]) for name in names if name.endswith("log_value")}

    assert gammas(f"{WITHOUT}occlusion") == {0.0}
    assert gammas(GENERAL) != {0.0}


def test_merge_command_makes_one_softness_of_runs(made, tmp_path, capsys):
    runs = [str(made / "runs" / name) for name in (*TWO, "pose-40")]
    out = tmp_path / "new" / "both.safetensors"
    assert merge.main([*runs, "--out", str(out)]) == 0
    assert "px wide at first" in capsys.readouterr().out
    whole = ts.Softness.load(made / "merged" / f"{GENERAL}.safetensors").state_dict()
    assert equal(ts.Softness.load(out).state_dict(), whole)
    for wrong, message in (
        ([runs[0], runs[0]], "runs must have different names"),
        ([str(tmp_path)], "no training run in"),
        ([str(made / "runs" / "pose-spline")], "sources must have learned numbers alone"),
        ([*runs, "--ridge", "-1"], "ridge must not be negative"),
    ):
        assert merge.main([*wrong, "--out", str(tmp_path / "none")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_second_time_nothing_is_done_again(made, monkeypatch):
    def must_not_run(self):
        raise AssertionError(f"{self.name} ran again")

    monkeypatch.setattr("meta.evaluation.candidate_job.CandidateJob.run", must_not_run)
    monkeypatch.setattr("meta.evaluation.pooled.job.PooledJob.run", must_not_run)
    monkeypatch.setattr("meta.runs.training.Training.run", must_not_run)
    before = (made / "results.json").read_text()
    settings = results.ResultsSettings(out=str(made), workers=1, quick=True)
    results.make_results(two_families(), settings, "the command")
    assert (made / "results.json").read_text() == before


def test_interrupted_training_is_continued(tmp_path, monkeypatch):
    settings = replace(
        QUICK.runs(tmp_path)["pose"],
        outer=OuterLoop(steps=2, checkpoint_every=1),
        image_size=8,
    )
    job = Training(settings)
    assert not job.done()
    steps = []

    def interrupted(self):
        steps.append(self.done)
        if self.done == 1:
            raise KeyboardInterrupt
        return step(self)

    step = Trainer.step
    with monkeypatch.context() as patch:
        patch.setattr("meta.runs.trainer.Trainer.step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            job.run()
    assert steps == [0, 1]
    assert not job.done()
    job.run()
    assert job.done()
    assert len((job.folder.path / "history.jsonl").read_text().splitlines()) == 2


def test_run_with_other_settings_is_not_taken_for_the_planned_one(made):
    settings = two_families().runs(made / "runs")["pose"]
    assert Training(settings).done()
    assert Training(replace(settings, threads=2)).done()
    with pytest.raises(ValueError, match=r"another es\.sigma, learning_rate than planned"):
        Training(
            replace(
                settings,
                gradient=replace(settings.gradient, sigma=0.7),
                outer=replace(settings.outer, learning_rate=0.3),
            )
        ).done()


def test_command_line_reports_errors(made, tmp_path, capsys):
    (tmp_path / "runs" / "pose").mkdir(parents=True)
    config = json.loads((made / "runs" / "pose" / "config.json").read_text())
    config["settings"]["seed"] = 5
    (tmp_path / "runs" / "pose" / "config.json").write_text(json.dumps(config))
    assert results.main(["--out", str(tmp_path), "--quick", "--workers", "1"]) == 1
    assert "holds a run with another" in capsys.readouterr().err


def test_weights_of_a_quick_try_stay_apart():
    settings = results.ResultsSettings(out="somewhere", quick=True)
    assert settings.weights_folder == Path("somewhere/weights")
    assert results.ResultsSettings().weights_folder == publish.WEIGHTS
    assert publish.WEIGHTS.parent.name == "taichisoft"


def test_published_softness_renders_the_same(made, tmp_path):
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(
        json.dumps({"rows": json.loads((made / "results.json").read_text())["rows"]})
    )
    run = made / "runs" / "pose"
    given = [str(run), "new", "--evaluation", str(evaluation), "--softness", "pose"]
    assert publish.main([*given, "--weights", str(tmp_path)]) == 0
    shipped, trained = (
        ts.Softness.load(path) for path in (tmp_path / "new.safetensors", RunFolder(run).softness)
    )
    assert equal(shipped.state_dict(), trained.state_dict())
    row = shipped.trained["evaluation"][0]
    assert (row["softness"], row["split"]) == ("pose", Split.HELD_OUT.value)


@pytest.mark.parametrize(
    ("name", "softness", "message"),
    [("../x", "pose", "name must be"), ("x", "nobody", "rows must hold one of 'nobody'")],
)
def test_publishing_needs_a_name_and_a_row(made, tmp_path, capsys, name, softness, message):
    given = [str(made / "runs" / "pose"), name, "--evaluation", str(made / "results.json")]
    assert publish.main([*given, "--softness", softness, "--weights", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_matrix_has_a_row_for_each_origin_and_the_best_fixed():
    comparison = made_up({"pose": 80, "general": 60, "scale": 70, "gaussian": 50, "uniform": 30})
    comparison = replace(comparison, on_train=(comparison.learned[0],))
    matrix = Matrix.of([comparison], {"pose": "pose", "general": "all", "missing": "missing"})
    assert list(matrix.cells) == ["pose", "all", "missing", BEST_FIXED]
    assert matrix.cells["pose"]["pose"].success.estimate == 0.8
    assert matrix.cells[BEST_FIXED]["pose"].success.estimate == 0.5
    assert matrix.cells["missing"] == {}
    assert matrix.on_train["pose"]["pose"].success.estimate == 0.8
    text = matrix.markdown()
    assert "| missing | - |" in text
    assert "| pose | 80.0 % [" in text
    assert "| pose | pose | 80.0 % [" in text
    json.dumps(matrix.to_json(), allow_nan=False)


def test_best_fixed_of_the_matrix_is_another_one_for_each_measure():
    index = torch.arange(100, dtype=torch.float64)
    many = torch.where(index < 90, 0.9, 1.1).double()[None]
    precise = torch.where(index < 70, 0.1, 1.1).double()[None]
    comparison = comparison_of(
        result("pose", many), result("gaussian", many), result("uniform", precise)
    )
    best = Matrix.of([comparison], {}).cells[BEST_FIXED]["pose"]
    assert (best.success.estimate, best.error_median.estimate) == (
        0.9,
        pytest.approx(0.1, abs=1e-6),
    )


def test_heat_maps_are_drawn_with_gaps(tmp_path):
    comparison = made_up({"pose": 80, "gaussian": 50})
    matrix = Matrix.of([comparison], {"pose": "pose", "missing": "missing"})
    save_heat_maps(matrix, tmp_path / "matrix.png")
    with Image.open(tmp_path / "matrix.png") as picture:
        assert picture.format == "PNG"


def test_table_has_two_rows_for_each_family():
    comparison = made_up({"learned": 90, "general": 20, "gaussian": 50, "uniform": 30})
    lines = table([comparison], [comparison.learned]).splitlines()
    assert lines[0] == "| Family |  | Learned | General | Best fixed softness | Learned is |"
    assert lines[2].startswith("| pose (100) | solved | 90.0 % [")
    assert lines[2].endswith("] Gaussian | ahead |")
    assert lines[3].startswith("|  | error [pixels] | 0.5 [")
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("own", "general", "said"),
    [
        (
            (90, 90),
            (50, 50),
            "overlap, in every family. The one learned on all families is behind the "
            "best fixed one in no family.",
        ),
        (
            (90, 50),
            (50, 10),
            "overlap, in pose, and not in other. The one learned on all families is "
            "behind the best fixed one in other, and not in pose.",
        ),
        (
            (50, 10),
            (90, 90),
            "overlap, in no family. The one learned on all families is behind the best "
            "fixed one in no family.",
        ),
    ],
)
def test_goal_follows_from_the_numbers(own, general, said):
    comparisons = []
    for name, ours, theirs in zip(("pose", "other"), own, general, strict=True):
        made = made_up({"learned": ours, "general": theirs, "gaussian": 50, "uniform": 20}, 100)
        comparisons.append(replace(made, family=_Named(name)))
    assert goal(comparisons).endswith(said)


class _Named:
    def __init__(self, name):
        self.name = name


def test_fewer_problems_than_planned():
    fewer = ResultsSettings(problems=7).plan
    assert all(fewer.evaluation.counts[family].problems == 7 for family in FAMILIES)
    counts = {c.count(family) for c in fewer.conditions for family in c.changes}
    assert counts == {7 * FULL.evaluation.seeds}
    assert replace(fewer, evaluation=FULL.evaluation, conditions=FULL.conditions) == FULL
