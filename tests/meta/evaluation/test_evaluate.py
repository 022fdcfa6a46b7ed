"""The comparison of softnesses is fair, and is written down whole."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

import taichisoft as ts
from meta import evaluate
from meta.config.families import FAMILIES, PoseRun
from meta.config.softness import initial_renderer
from meta.evaluation.baselines import BASELINES
from meta.evaluation.candidate_job import CandidateJob
from meta.evaluation.candidates import FIXED, Choice, Grid, Learned
from meta.evaluation.comparison import collect
from meta.evaluation.measurements import measure
from meta.evaluation.pooled.given import DEFAULTS, SUGGESTED
from meta.evaluation.pooled.halving import Chosen
from meta.evaluation.pooled.job import ALL, Choices
from meta.evaluation.pooled.pool import Pool
from meta.evaluation.pooled.setting import PooledSetting
from meta.evaluation.pooled.settings import FEW
from meta.evaluation.settings import EvaluationSettings
from meta.evaluation.tuning import split_rounds, tune
from meta.learning.inner import InnerSettings
from meta.learning.settings import InnerLoop, TrainSettings, build_families
from meta.report.tables import markdown, rows
from meta.runs.folder import RunFolder, write_json_atomically
from tasks import Split
from tests.meta.evaluation.evaluation_cases import PROTOCOL, jobs, points, softness_file
from tests.meta.learning.problems import PointFamily

CONTRACT = {
    "family",
    "split",
    "softness",
    "scale",
    "problems",
    "seeds",
    "success_mean",
    "success_low",
    "success_high",
    "error_median",
    "error_mean",
    "seconds",
}


@pytest.fixture(autouse=True, scope="module")
def same_threads():
    """Undo what the command line sets for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return points(tmp_path_factory.mktemp("points"))


def tuned_on(family, grid, problems=(4, 4, 4)):
    rounds = [family.sample(i, count, Split.TRAIN) for i, count in enumerate(problems)]
    candidate = FIXED["logistic"]
    return tune(candidate.choices(grid), candidate.renderer, rounds, 40, family.error_cap)


def test_tuner_picks_the_known_best():
    # The points end at the scale of the softness, and should end at 1, which only the larger rate reaches.
    tuned = tuned_on(PointFamily(), Grid((0.5, 1.0, 1.5), (0.05,), (0.001, 0.1)))
    assert tuned.choice == Choice(1.0, 0.05, 0.1)
    assert tuned.at_edge == ("learning_rate",)
    assert max(tuned.scores) > 0.95
    assert len(tuned.scores) == 6


def test_tuner_says_when_the_best_is_at_the_edge_of_the_grid():
    assert tuned_on(PointFamily(), Grid((1.0, 1.5), (0.05,), (0.1,))).at_edge == ("scale",)
    assert tuned_on(PointFamily(), Grid((1.0,), (0.05,), (0.1,))).at_edge == ()
    assert tuned_on(PointFamily(), Grid((1.0,), (0.05, 0.1), (0.1,))).at_edge == ("gamma",)


def test_tuner_needs_choices_and_rounds():
    with pytest.raises(ValueError, match="choices and rounds"):
        tune([], FIXED["gaussian"].renderer, [], 1, 1.0)


@pytest.mark.parametrize("problems", [1, 2, 3, 4, 5, 16, 17])
def test_rounds_share_out_the_tuning_problems(problems):
    assert sum(split_rounds(problems)) == problems


def test_every_fixed_softness_has_as_many_settings():
    grid = Grid((0.1, 0.2, 0.4), (0.02, 0.05), (0.5, 1.0))
    assert len(FIXED) == 2 * len(BASELINES) + 1
    for candidate in FIXED.values():
        choices = candidate.choices(grid)
        assert len(choices) == len(set(choices)) == 12


def test_every_fixed_softness_gets_the_same_budget(tmp_path):
    spent = {}

    class Counting(PointFamily):
        def sample(self, seed, count, split):
            task = super().sample(seed, count, split)
            return replace_loss(task, lambda: spent.update({key: spent.get(key, 0) + 1}))

    family, protocol = Counting(), replace(PROTOCOL, steps=3)
    for key in FIXED:
        _, (job,) = jobs(tmp_path, {"learned": 1.0}, family=family, fixed=(key,), protocol=protocol)
        job.run()
    # Six settings on a round of one problem, the better three on another, the better two on one of two; then
    # the two seeds. Three steps each.
    assert spent == dict.fromkeys(FIXED, 3 * (6 + 3 + 2 + 2))


def replace_loss(task, count):
    """Return a task that counts how often its loss is asked for."""

    class Counted(type(task)):
        def loss(self, unknowns, renderer):
            count()
            return super().loss(unknowns, renderer)

    return Counted(task.start, task.goal)


def test_comparison_tunes_on_training_and_evaluates_on_held_out_problems(tmp_path):
    asked = []

    class Spy(PointFamily):
        def sample(self, seed, count, split):
            asked.append((split, seed, count))
            return super().sample(seed, count, split)

    both = (Split.HELD_OUT, Split.TRAIN)
    (job,), _ = jobs(tmp_path, {"learned": 1.0}, family=Spy(), fixed=("gaussian",), splits=both)
    job.run()
    assert sum(count for split, _, count in asked if split is Split.HELD_OUT) == 20
    assert sum(count for split, _, count in asked if split is Split.TRAIN) == 4 + 20
    assert len(set(asked)) == len(asked)
    assert set(job.load().outcomes) == set(both)


def test_all_softnesses_solve_the_same_problems(comparison):
    starts = [r.outcome.errors[0] for r in comparison.held_out]
    assert all(torch.equal(start, starts[0]) for start in starts)
    outcome = comparison.learned[0].outcome
    assert outcome.errors.shape == (7, 20)
    assert outcome.steps.tolist() == [0, 7, 14, 21, 28, 35, 40]
    assert {r.tuned.choice.scale for r in comparison.fixed} == {1.0}
    assert {r.tuned.choice.learning_rate for r in comparison.held_out} == {0.1}


def test_comparison_needs_both_kinds(tmp_path):
    learned, fixed = jobs(tmp_path, {"learned": 1.0})
    with pytest.raises(ValueError, match="at least one job each, got 0 and 2"):
        collect([], fixed, resamples=10, seed=0)
    other, _ = jobs(tmp_path, {"learned": 1.0}, protocol=replace(PROTOCOL, steps=3))
    with pytest.raises(ValueError, match="one family and protocol"):
        collect(other, fixed, resamples=10, seed=0)
    with pytest.raises(FileNotFoundError, match="no result of pose learned"):
        learned[0].load()


def test_comparison_is_deterministic_for_a_seed(tmp_path):
    tables = []
    for index, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(index)
        folder.mkdir()
        made = points(folder, 0.8, protocol=replace(PROTOCOL, seed=seed))
        tables.append([replace(row, seconds=0) for row in rows(made)])
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


def test_fixed_softnesses_have_the_usual_aggregation_and_occlusion():
    for candidate in FIXED.values():
        made = candidate.renderer(Choice(0.7, 0.3, 1.0))
        assert isinstance(made.aggregation, ts.Probabilistic)
        assert isinstance(made.occlusion, ts.DepthSoftmax)
        assert float(made.occlusion.gamma()) == pytest.approx(0.3, abs=1e-12)
        made.set_progress(0.5)
        assert float(made.coverage.scale.in_pixels(1)) == pytest.approx(0.7, abs=1e-12)
        assert not any(p.requires_grad for p in made.parameters())


@pytest.mark.parametrize("key", BASELINES)
def test_annealed_scales_fall_tenfold_around_the_chosen_one(key):
    made = FIXED[f"{key}-annealed"].renderer(Choice(0.7, 0.3, 1.0))
    ends = []
    for progress in (0.0, 1.0):
        made.set_progress(progress)
        ends.append(float(made.coverage.scale.in_pixels(1)))
    assert ends == pytest.approx([0.7 * 10**0.5, 0.7 / 10**0.5], rel=1e-12)


def test_straight_through_has_a_hard_image_and_the_slope_of_a_gaussian():
    coverage = FIXED["straight-through"].renderer(Choice(0.7, 0.3, 1.0)).coverage
    s = torch.tensor([-1.0, -0.1, 0.1, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.equal(coverage(s).detach(), torch.tensor([0.0, 0.0, 1.0, 1.0]).double())
    assert torch.equal(coverage.surrogate.without_tail(s), ts.Gaussian(1.0).without_tail(s))


def test_learned_softness_has_nothing_to_choose(tmp_path):
    candidate = softness_file(tmp_path, 0.4)
    softness = ts.Softness(ts.Gaussian(ts.ExponentialAnnealing(0.8, 0.2)), ts.Max())
    softness.save(candidate.path)
    grid = Grid((0.1, 0.2), (0.02, 0.05), (0.5, 1.0))
    (choice,) = candidate.choices(grid)
    assert choice.learning_rate == candidate.learning_rate
    assert choice.scale == pytest.approx(0.4, rel=1e-12)
    assert isinstance(candidate.renderer(choice).aggregation, ts.Max)


def test_key_of_a_candidate_can_be_a_file_name(tmp_path):
    with pytest.raises(ValueError, match="key must be of small letters"):
        Learned("../evil", "Evil", tmp_path, 64, 0.1)


def test_steps_to_success_are_those_of_the_first_measurement_that_is_solved():
    family = PointFamily()
    task = family.sample(3, 6, Split.HELD_OUT)
    candidate = FIXED["gaussian"]
    choice = Choice(1.0, 0.05, 0.1)
    measured = measure([task], candidate.renderer(choice), InnerSettings(40, 0.1), every=7)
    first = measured.steps_to_success
    for problem, step in enumerate(first.tolist()):
        solved = [
            s
            for s, ok in zip(measured.steps.tolist(), measured.solved[:, problem], strict=True)
            if ok
        ]
        assert step == solved[0]
    hopeless = measure(
        [task], candidate.renderer(Choice(1.0, 0.05, 1e-9)), InnerSettings(2, 1e-9), every=1
    )
    assert torch.isinf(hopeless.steps_to_success).any()


def test_time_of_processors_is_kept(tmp_path):
    (job,), _ = jobs(tmp_path, {"learned": 1.0}, fixed=())
    job.run()
    outcome = job.load().outcomes[Split.HELD_OUT]
    assert outcome.cpu_seconds > 0
    # Twenty problems in forty steps.
    assert outcome.cpu_seconds_per_step == pytest.approx(outcome.cpu_seconds / 800, rel=1e-12)


def test_time_of_the_first_step_is_that_of_the_second(monkeypatch):
    clock = iter([0.0, 90.0, 92.0, 93.0, 100.0, 103.0, 105.0, 106.0])
    monkeypatch.setattr("meta.evaluation.measurements.time.process_time", lambda: next(clock))
    tasks = [PointFamily().sample(seed, 2, Split.TRAIN) for seed in (0, 1)]
    renderer = FIXED["gaussian"].renderer(Choice(1.0, 0.05, 0.1))
    outcome = measure(tasks, renderer, InnerSettings(3, 0.1), every=3)
    # Of the first batch of problems alone: compiled once, kernels stay.
    assert outcome.cpu_seconds == (2 + 2 + 1) + (3 + 2 + 1)


def test_markdown_states_how_the_numbers_came_about(comparison):
    text = markdown([comparison])
    assert "20 problems a row (10 x 2 seeds) in 40 Adam steps" in text
    assert "0.4, 1, 1.8 px" in text
    assert sum(line.startswith("| ") for line in text.splitlines()) == 1 + 3


def test_settings_add_the_rate_of_training_to_the_grid():
    protocol = EvaluationSettings(rates=(0.5, 2.0)).protocol(
        TrainSettings(inner=InnerLoop(rate=1.5, steps=23)), "pose"
    )
    assert protocol.rates == (0.5, 1.5, 2.0)
    assert protocol.steps == 23


def test_gamma_is_chosen_where_depth_matters():
    settings, training = EvaluationSettings(), TrainSettings()
    assert settings.protocol(training, "pose").gammas == (0.05,)
    assert settings.protocol(training, "occlusion").gammas == (0.02, 0.05, 0.2)
    shaded = replace(training, families=(PoseRun(shaded=True),))
    assert settings.protocol(shaded, "pose").gammas == (0.02, 0.05, 0.2)
    assert settings.protocol(shaded, "shape3d").gammas == (0.05,)


@pytest.mark.parametrize("name", ["baselines", "scales", "gammas", "rates"])
def test_settings_reject_repeated_and_missing_values(name):
    value = getattr(EvaluationSettings(), name)[:1]
    for wrong in (value * 2, ()):
        with pytest.raises(ValueError, match=name):
            EvaluationSettings(**{name: wrong})


def test_named_files_are_files_or_run_folders(tmp_path):
    found = evaluate.named_files([f"one={tmp_path}", f"two={tmp_path / 'x.safetensors'}"])
    assert found == {"one": tmp_path / "softness.safetensors", "two": tmp_path / "x.safetensors"}
    for wrong in (["one"], ["one="], ["gaussian=x"], ["learned=x"], ["a=x", "a=y"]):
        with pytest.raises(ValueError, match="NAME=PATH"):
            evaluate.named_files(wrong)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Make a run folder as training leaves it."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    settings = TrainSettings(out=str(folder.path), families=(PoseRun(),), image_size=24)
    write_json_atomically(folder.config, {"settings": settings.to_json()})
    initial_renderer(settings.softness, settings.seed).softness.save(folder.softness)
    return folder


SMALL = [
    *("--pose.problems", "2", "--seeds", "1", "--inner-steps", "3", "--pose.tuning", "1"),
    *("--measure-every", "1", "--resamples", "50", "--scales", "0.3", "--rates", "1"),
    *("--workers", "1", "--train-split"),
    *("--baselines", "gaussian", "softras-annealed", "straight-through"),
]


@pytest.fixture(scope="module")
def evaluated(run, tmp_path_factory):
    """Evaluate a real family in miniature; return the folder of results."""
    out = tmp_path_factory.mktemp("evaluation")
    also = ["--also", f"other={run.path}"]
    assert evaluate.main([str(run.path), *SMALL, *also, "--out", str(out)]) == 0
    return out


def test_evaluation_writes_its_rows(evaluated):
    evaluation = json.loads((evaluated / "evaluation.json").read_text())
    assert set(evaluation) >= {"rows", "settings", "versions", "command", "verdicts"}
    assert {"taichisoft", "torch", ts.engine_name(), "python"} <= set(evaluation["versions"])
    assert evaluation["settings"]["counts"]["pose"]["problems"] == 2
    held_out = [row for row in evaluation["rows"] if row["split"] == "held-out"]
    names = {row["softness"] for row in held_out}
    assert names == {"learned", "other", "gaussian", "softras-annealed", "straight-through"}
    on_train = [r["softness"] for r in evaluation["rows"] if r["split"] == "train"]
    assert on_train == ["learned", "other"]
    assert all(set(row) >= CONTRACT for row in evaluation["rows"])
    assert all(0 <= row["success_low"] <= row["success_high"] <= 1 for row in held_out)


def test_evaluation_writes_its_report(evaluated):
    text = (evaluated / "evaluation.md").read_text()
    assert "**Learned**" in text
    assert "No winner" in text


def test_evaluation_draws_pictures(evaluated):
    for name in ("softness.png", "convergence.png"):
        with Image.open(evaluated / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 400
    assert not list(evaluated.glob("*.partial"))


def test_evaluation_animates_an_example(evaluated):
    path = evaluated / "examples.gif"
    assert path.stat().st_size < 1_000_000
    with Image.open(path) as picture:
        assert picture.format == "GIF"
        # A frame at the start and after each of the three steps.
        assert picture.n_frames == 4


def test_second_evaluation_uses_the_records_of_the_first(run, evaluated, monkeypatch):
    def must_not_run(self):
        raise AssertionError(f"{self.name} ran again")

    before = {path.name for path in (evaluated / "records").iterdir()}
    monkeypatch.setattr(CandidateJob, "run", must_not_run)
    fewer = ["--also", f"other={run.path}", "--out", str(evaluated), "--resamples", "60"]
    assert evaluate.main([str(run.path), *SMALL, *fewer]) == 0
    assert {path.name for path in (evaluated / "records").iterdir()} == before


@pytest.fixture
def pool():
    """Return a choice of two entrants for all families."""
    choices = {
        key: Choices(
            {ALL: Chosen(PooledSetting(key, scale, "probabilistic", 0.8, 1), score, {}, 9)}, 9, ""
        )
        for key, scale, score in (("gaussian", 0.5, 0.1), ("logistic-annealed", 0.3, 0.4))
    }
    return Pool(choices, tuple(choices))


TINY = [
    "--problems",
    "2",
    "--seeds",
    "1",
    "--inner-steps",
    "2",
    "--resamples",
    "50",
    "--workers",
    "1",
]


def test_any_softness_is_compared_with_settings_for_all_families(run, pool, tmp_path, capsys):
    problems = TrainSettings(families=(PoseRun(),), image_size=16)
    chosen = {"choices": pool.to_json(), "problems": problems.to_json()}
    (tmp_path / "pooled.json").write_text(json.dumps(chosen))
    given = ["--softness", str(run.softness), "--families", "pose", *TINY, "--out", str(tmp_path)]
    assert evaluate.main([*given, "--pooled", str(tmp_path / "pooled.json")]) == 0
    told = json.loads((tmp_path / "softness.json").read_text())
    assert told["problems"]["image_size"] == 16
    (report,) = told["reports"]
    best, entrants = (
        "pooled-best",
        {"pooled-gaussian", "pooled-logistic-annealed", SUGGESTED, *DEFAULTS},
    )
    rows = {row["softness"]: row for row in report["rows"]}
    assert set(rows) == {"learned", best, *entrants}
    assert (rows[best]["scale"], rows[best]["error_median"]) == (
        rows["pooled-logistic-annealed"]["scale"],
        rows["pooled-logistic-annealed"]["error_median"],
    )
    assert (rows[best]["scale"], rows[best]["problems"]) == (0.3, 2)
    assert {row["family"] for row in report["paired"]} == {"pose", "mean"}
    printed = capsys.readouterr().out
    assert report["headline"] in printed
    assert (tmp_path / "softness.png").is_file()


def test_few_settings_are_chosen_where_none_are_published(run, pool, tmp_path, monkeypatch):
    asked, found = [], []
    monkeypatch.setattr(
        evaluate, "choose_all", lambda *given, **options: asked.append((given, options)) or pool
    )
    monkeypatch.setattr(evaluate, "compare_pooled", lambda *given: found.append(given) or ())
    monkeypatch.setattr(evaluate, "write_pooled", lambda *given: [])
    settings = EvaluationSettings(families=("all",), out=str(tmp_path))
    missing = tmp_path / "none.json"
    evaluate.evaluate_softness(run.softness, settings, rate=2.0, pooled=missing)
    ((problems, few, _), options), (of, _, learned, _, _) = asked[0], found[0]
    assert (problems.family_names, few, options) == (tuple(FAMILIES), FEW, {"each": False})
    assert of is pool
    rates = {name: one.learning_rate for name, (one,) in learned.items()}
    assert rates == {f.name: 2 * f.learning_rate for f in build_families(problems)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give a run folder, or else --softness"),
        (["run", "--softness", "x"], "give a run folder, or else --softness"),
        (["--softness", "x", "--scales", "1"], "--scales has no effect with --softness"),
        (["run", "--softness-rate", "2"], "--softness-rate has no effect without --softness"),
    ],
)
def test_a_run_or_a_softness_is_compared(options, message, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(options)
    assert message in " ".join(capsys.readouterr().err.split())


def test_missing_softness_file_is_an_error(tmp_path, capsys):
    assert evaluate.main(["--softness", str(tmp_path / "none")]) == 1
    assert "softness must be a file" in capsys.readouterr().err


def test_a_softness_that_cannot_be_compared_costs_no_time(run, pool, tmp_path, monkeypatch, capsys):
    def must_not_choose(*given, **options):
        raise AssertionError("settings are chosen for nothing")

    monkeypatch.setattr(evaluate, "choose_all", must_not_choose)
    damaged, missing = tmp_path / "damaged.safetensors", str(tmp_path / "none.json")
    damaged.write_bytes(b"damaged")
    assert evaluate.main(["--softness", str(damaged), "--pooled", missing, *TINY]) == 1
    assert "is not a safetensors file" in capsys.readouterr().err
    problems = TrainSettings(families=(PoseRun(),), image_size=16).to_json()
    chosen = tmp_path / "pooled.json"
    chosen.write_text(json.dumps({"choices": pool.to_json(), "problems": problems}))
    given = ["--softness", str(run.softness), "--pooled", str(chosen), *TINY]
    assert evaluate.main([*given, "--families", "pose", "shape2d"]) == 1
    assert "families must be among those that" in capsys.readouterr().err


def test_missing_run_folder_is_an_error(tmp_path, capsys):
    assert evaluate.main([str(tmp_path / "none")]) == 1
    assert "config.json is missing" in capsys.readouterr().err


def test_missing_softness_is_an_error(run, tmp_path, capsys):
    (tmp_path / "config.json").write_text(run.config.read_text())
    assert evaluate.main([str(tmp_path)]) == 1
    assert "softness.safetensors is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--pose.problems", "0"],
        ["--pose-problems", "2"],
        ["--scales", "-1"],
        ["--baselines", "sinc"],
        ["--nonsense"],
    ],
)
def test_wrong_options_are_errors(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["run", *options])
    assert stopped.value.code == 2
    assert options[0].lstrip("-") in capsys.readouterr().err.replace("_", "-")
