"""The comparison of softnesses is fair, is sure only of what it can be, and is written down whole."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

import taichisoft as ts
from meta import evaluate
from meta.baselines import BASELINES, Candidate, grid, solves, split_rounds, tune
from meta.comparison import LEARNED, Comparison, Protocol, Result, compare
from meta.config import TrainSettings, to_json
from meta.measurements import Measurements
from meta.report import markdown, rows, verdict
from meta.run_folder import RunFolder, write_json_atomically
from meta.softness import initial_renderer
from meta.statistics import Bootstrap, Interval
from tasks import Split
from tests.meta_problems import PointFamily

PROTOCOL = Protocol(
    problems=10,
    seeds=2,
    tuning_problems=4,
    steps=40,
    scales=(0.4, 1.0, 1.8),
    rates=(0.01, 1.0),
    measure_every=7,
    resamples=200,
    seed=0,
)
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


def nothing() -> None:
    pass


def spline(scale: float) -> ts.SoftRasterizer:
    return ts.SoftRasterizer(ts.MonotoneSpline(scale))


def points(learned_scale: float, protocol: Protocol = PROTOCOL, on_step=nothing) -> Comparison:
    baselines = {key: BASELINES[key] for key in ("gaussian", "uniform")}
    learned = spline(learned_scale)
    return compare(PointFamily(), learned, learned_scale, baselines, protocol, on_step)


def result(key: str, errors: torch.Tensor, bootstrap: Bootstrap) -> Result:
    """Return a result with given errors (M, N), of which those below 1 are successes."""
    solved = errors < 1
    outcome = Measurements(
        torch.arange(len(errors)), errors, solved, solved.cummax(0).values, 1.5, []
    )
    scale = 0.25
    candidate = Candidate(spline(scale), scale, 0.1)
    tuned = tune([candidate], [PointFamily().sample(0, 1, Split.TRAIN)], 1, 2.0, nothing)
    rate = bootstrap.rate(solved[-1])
    return Result(key, key.capitalize(), Split.HELD_OUT, tuned, outcome, rate)


def made_up(ours: int, theirs: int, count: int) -> Comparison:
    """Return a comparison in which so many of the problems are solved."""
    protocol = replace(PROTOCOL, problems=count, seeds=1)
    index = torch.arange(count, dtype=torch.float64)
    results = [
        result(key, torch.where(index < solved, 0.5, 1.5).double()[None], protocol.bootstrap())
        for key, solved in ((LEARNED, ours), ("gaussian", theirs), ("uniform", theirs // 2))
    ]
    return Comparison(PointFamily(), protocol, results[0], tuple(results[1:]), None)


@pytest.mark.parametrize("rate", [0.3, 0.7])
def test_bootstrap_interval_covers_the_true_rate(rate):
    generator = torch.Generator().manual_seed(1)
    samples = torch.rand(1000, 80, generator=generator) < rate
    _, low, high = Bootstrap.of(80, 2, resamples=1000).rates(samples)
    covered = ((low <= rate) & (rate <= high)).double().mean()
    assert 0.92 <= covered <= 0.97


def test_bootstrap_interval_of_a_mean_has_the_width_of_theory():
    values = torch.randn(500, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    interval = Bootstrap.of(500, 4, resamples=4000).mean(values)
    half = 1.96 * values.std() / 500**0.5
    assert interval.mean == pytest.approx(float(values.mean()), abs=1e-12)
    assert interval.high - interval.mean == pytest.approx(float(half), rel=0.06)
    assert interval.mean - interval.low == pytest.approx(float(half), rel=0.06)


def test_bootstrap_is_deterministic_for_a_seed():
    values = torch.arange(20, dtype=torch.float64) ** 2
    intervals = [Bootstrap.of(20, seed).mean(values) for seed in (5, 5, 6)]
    assert intervals[0] == intervals[1]
    assert intervals[0] != intervals[2]


def test_rate_of_equal_outcomes_is_not_certain():
    bootstrap = Bootstrap.of(10, 0)
    every, none = (bootstrap.rate(torch.full((10,), value)) for value in (True, False))
    slack = 1 - 0.025 ** (1 / 10)
    assert (every.mean, every.high, none.mean, none.low) == (1, 1, 0, 0)
    assert every.low == pytest.approx(1 - slack, abs=1e-12)
    assert none.high == pytest.approx(slack, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"count": 0}, "count"), ({"resamples": 1}, "resamples"), ({"level": 1.0}, "level")],
)
def test_bootstrap_rejects_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Bootstrap.of(**{"count": 5, "seed": 0, **arguments})


def test_bootstrap_rejects_another_number_of_problems():
    with pytest.raises(ValueError, match="values"):
        Bootstrap.of(5, 0).mean(torch.zeros(4, dtype=torch.float64))


def test_tuner_picks_the_known_best():
    # The points end at the scale of the softness, and should end at 1, which only the larger rate reaches.
    family = PointFamily()
    rounds = [family.sample(i, 4, Split.TRAIN) for i in range(3)]
    candidates = grid(BASELINES["logistic"], spline(1.0), (0.5, 1.0, 1.5), (0.001, 0.1))
    tuned = tune(candidates, rounds, 40, family.error_cap, nothing)
    assert (tuned.candidate.scale, tuned.candidate.learning_rate) == (1.0, 0.1)
    assert not tuned.scale_at_edge
    assert tuned.rate_at_edge
    assert tuned.score > 0.95


def test_tuner_says_when_the_best_is_at_the_edge_of_the_grid():
    family = PointFamily()
    rounds = [family.sample(0, 4, Split.TRAIN)]
    candidates = grid(BASELINES["logistic"], spline(1.0), (1.0, 1.5), (0.1,))
    assert tune(candidates, rounds, 40, family.error_cap, nothing).scale_at_edge
    assert not tune(candidates[:1], rounds, 40, family.error_cap, nothing).scale_at_edge


def test_tuner_needs_candidates_and_rounds():
    with pytest.raises(ValueError, match="candidates and rounds"):
        tune([], [], 1, 1.0, nothing)


@pytest.mark.parametrize("problems", [1, 2, 3, 4, 5, 16, 17])
def test_rounds_share_out_the_tuning_problems(problems):
    assert sum(split_rounds(problems)) == problems


def test_every_fixed_function_gets_the_same_budget():
    steps = []
    points(1.0, on_step=lambda: steps.append(1))
    assert len(steps) == PROTOCOL.total_steps(2)
    fixed = solves(6, [1, 1, 2])
    assert fixed == 6 + 3 + 2
    assert len(steps) == 40 * (2 * fixed + solves(2, [1, 1, 2]) + 2 * 3)


def test_comparison_tunes_on_training_and_judges_on_held_out_problems():
    asked = []

    class Spy(PointFamily):
        def sample(self, seed, count, split):
            asked.append((split, seed, count))
            return super().sample(seed, count, split)

    protocol = replace(PROTOCOL, train_split=True)
    compare(Spy(), spline(1.0), 1.0, {"gaussian": BASELINES["gaussian"]}, protocol, nothing)
    assert sum(count for split, _, count in asked if split is Split.HELD_OUT) == 20
    assert sum(count for split, _, count in asked if split is Split.TRAIN) == 4 + 20
    assert len(set(asked)) == len(asked)


def test_all_softnesses_solve_the_same_problems():
    comparison = points(1.0)
    starts = [r.outcome.errors[0] for r in comparison.held_out]
    assert all(torch.equal(start, starts[0]) for start in starts)
    assert comparison.learned.outcome.errors.shape == (7, 20)
    assert comparison.learned.outcome.steps.tolist() == [0, 7, 14, 21, 28, 35, 40]
    assert {r.tuned.candidate.scale for r in comparison.fixed} == {1.0}
    assert {r.tuned.candidate.learning_rate for r in comparison.held_out} == {0.1}


def test_comparison_needs_baselines():
    with pytest.raises(ValueError, match="baselines"):
        compare(PointFamily(), spline(1.0), 1.0, {}, PROTOCOL, nothing)


def test_comparison_is_deterministic_for_a_seed():
    first, second, other = (
        [{**row, "seconds": 0} for row in rows(points(0.8, replace(PROTOCOL, seed=seed)))]
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_fixed_functions_share_everything_but_the_coverage():
    like = ts.SoftRasterizer(ts.MonotoneSpline(0.3), ts.Max(), ts.DepthSoftmax(0.3))
    for baseline in BASELINES.values():
        made = baseline.renderer(0.7, like)
        assert made.aggregation is like.aggregation
        assert made.occlusion is like.occlusion
        assert float(made.coverage.scale.in_pixels(1)) == pytest.approx(0.7, abs=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs", "said", "points_ahead"),
    [
        (90, 50, "The learned softness wins", "+40.0"),
        (50, 90, "The learned softness loses", "-40.0"),
        (55, 50, "No winner", "+5.0"),
        (50, 55, "No winner", "-5.0"),
        (50, 50, "No winner", "+0.0"),
    ],
)
def test_verdict_is_what_the_intervals_allow(ours, theirs, said, points_ahead):
    text = verdict(made_up(ours, theirs, 100))
    assert text.startswith(said)
    assert f"the difference is {points_ahead} percentage points" in text
    assert ("wins" in text) == (ours == 90)
    assert ("loses" in text) == (theirs == 90)
    assert ("do not overlap" in text) == (abs(ours - theirs) > 5)
    assert ("rates are equal" in text) == (ours == theirs)


def test_no_verdict_from_two_problems():
    assert verdict(made_up(2, 0, 2)).startswith("No winner")


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [((0.1, 0.4), (0.4, 0.6), True), ((0.1, 0.4), (0.41, 0.6), False), ((0, 1), (0.2, 0.3), True)],
)
def test_overlap_of_intervals(first, second, overlap):
    a, b = (Interval(sum(ends) / 2, *ends) for ends in (first, second))
    assert a.overlaps(b) is overlap
    assert b.overlaps(a) is overlap


def test_rows_have_the_agreed_keys_sorted_by_success():
    table = rows(made_up(30, 60, 100))
    assert all(set(row) >= CONTRACT for row in table)
    assert [row["softness"] for row in table] == ["gaussian", "learned", "uniform"]
    assert [row["success_mean"] for row in table] == [0.6, 0.3, 0.3]
    assert table[0]["error_mean"] == pytest.approx(0.6 * 0.5 + 0.4 * 1.5, abs=1e-12)
    assert (table[0]["error_median"], table[0]["seconds"]) == (0.5, 1.5)


def test_best_so_far_is_not_the_last():
    bootstrap = Bootstrap.of(2, 0)
    errors = torch.tensor([[3.0, 3.0], [0.5, 4.0], [2.0, 5.0]], dtype=torch.float64)
    results = [result(key, errors, bootstrap) for key in (LEARNED, "gaussian")]
    protocol = replace(PROTOCOL, problems=2, seeds=1)
    row = rows(Comparison(PointFamily(), protocol, results[0], (results[1],), None))[0]
    assert (row["success_mean"], row["success_best"]) == (0, 0.5)
    assert (row["error_mean"], row["error_best_mean"]) == (3.5, 1.75)


def test_errors_that_are_no_numbers_count_as_the_cap():
    bootstrap = Bootstrap.of(2, 0)
    errors = torch.tensor([[0.5, torch.inf]], dtype=torch.float64)
    results = [result(key, errors, bootstrap) for key in (LEARNED, "gaussian")]
    protocol = replace(PROTOCOL, problems=2, seeds=1)
    table = rows(Comparison(PointFamily(), protocol, results[0], (results[1],), None))
    assert table[0]["error_mean"] == table[0]["error_median"] == (0.5 + 2.0) / 2
    json.dumps(table, allow_nan=False)


def test_markdown_states_how_the_numbers_came_about():
    comparison = points(1.0)
    text = markdown([comparison])
    assert "20 problems a row (10 x 2 seeds)" in text
    assert "0.4, 1, 1.8 px" in text
    assert "40 Adam steps" in text
    assert verdict(comparison) in text
    assert sum(line.startswith("| ") for line in text.splitlines()) == 1 + 3


def test_settings_add_the_rate_of_training_to_the_grid():
    protocol = evaluate.EvaluationSettings(rates=(0.5, 2.0)).protocol(
        TrainSettings(inner_rate=1.5, inner_steps=23), "pose"
    )
    assert protocol.rates == (0.5, 1.5, 2.0)
    assert protocol.steps == 23


@pytest.mark.parametrize("name", ["baselines", "scales", "rates"])
def test_settings_reject_repeated_and_missing_values(name):
    value = getattr(evaluate.EvaluationSettings(), name)[:1]
    for wrong in (value * 2, ()):
        with pytest.raises(ValueError, match=name):
            evaluate.EvaluationSettings(**{name: wrong})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Make a run folder as training leaves it."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    settings = TrainSettings(out=str(folder.path), families=("pose",), image_size=24)
    write_json_atomically(folder.config, {"settings": to_json(settings)})
    initial_renderer(settings).softness.save(folder.softness)
    return folder


SMALL = [
    *("--problems", "2", "--seeds", "1", "--inner-steps", "3", "--tuning-problems", "1"),
    *("--measure-every", "1", "--resamples", "50", "--scales", "0.3", "--rates", "1"),
    *("--train-split", "--baselines", "gaussian", "logistic", "softras", "uniform"),
]


@pytest.fixture(scope="module")
def evaluated(run, tmp_path_factory):
    """Evaluate a real family in miniature; return the folder of results."""
    out = tmp_path_factory.mktemp("evaluation")
    assert evaluate.main([str(run.path), *SMALL, "--out", str(out)]) == 0
    return out


def test_evaluation_writes_its_rows(evaluated):
    evaluation = json.loads((evaluated / "evaluation.json").read_text())
    assert set(evaluation) >= {"rows", "settings", "versions", "command"}
    assert {"taichisoft", "torch", "taichi", "python"} <= set(evaluation["versions"])
    assert evaluation["settings"]["problems"] == 2
    held_out = [row for row in evaluation["rows"] if row["split"] == "held-out"]
    names = {row["softness"] for row in held_out}
    assert names == {"learned", "gaussian", "logistic", "softras", "uniform"}
    assert [r["softness"] for r in evaluation["rows"] if r["split"] == "train"] == ["learned"]
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


def test_results_go_into_the_run_folder_by_default(run, monkeypatch, capsys):
    written = []

    def compare_none(learned, training, settings):
        assert not any(p.requires_grad for p in learned.parameters())
        return []

    monkeypatch.setattr(evaluate, "_compare_all", compare_none)
    monkeypatch.setattr(evaluate, "write", lambda found, out, *rest: written.append(out))
    assert evaluate.evaluate(run.path, evaluate.EvaluationSettings()) == []
    assert written == [run.path]


def test_missing_run_folder_is_an_error(tmp_path, capsys):
    assert evaluate.main([str(tmp_path / "none")]) == 1
    assert "config.json is missing" in capsys.readouterr().err


def test_missing_softness_is_an_error(run, tmp_path, capsys):
    (tmp_path / "config.json").write_text(run.config.read_text())
    assert evaluate.main([str(tmp_path)]) == 1
    assert "softness.safetensors is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--problems", "0"], ["--scales", "-1"], ["--baselines", "sinc"], ["--nonsense"]]
)
def test_wrong_options_are_errors(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["run", *options])
    assert stopped.value.code == 2
    assert options[0].lstrip("-") in capsys.readouterr().err
