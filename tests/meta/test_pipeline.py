"""The whole way of a run: its stages and the time left, the verdict and the page, and how to go on."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlparse

import pytest
import torch

import meta.evaluate
from meta import pipeline
from meta.config.families.base import ProblemCounts
from meta.evaluation import candidate_job, tuning, work
from meta.evaluation.settings import EvaluationSettings
from meta.evaluation.work import planned_work, work_of
from meta.jobs.jobs import run_jobs
from meta.learning.outer import OuterOptimizer
from meta.report.page import problems
from meta.runs import history, trainer
from meta.runs.folder import RunFolder
from tests.meta.evaluation.evaluation_cases import PROTOCOL, jobs
from tests.meta.learning.problems import PointFamily, tiny
from tests.meta.runs.run_cases import words_of

COMPARISON = EvaluationSettings(
    workers=1,
    baselines=("gaussian", "uniform"),
    scales=(0.4, 1.0),
    rates=(1.0,),
    resamples=50,
    counts={"pose": ProblemCounts(8, 4)},
)


@pytest.fixture
def points(monkeypatch):
    """Replace rendered problems by exact ones, wherever a family is made, and say all there is to say."""
    for module in (trainer, meta.evaluate, work, problems):
        monkeypatch.setattr(module, "build_families", lambda settings: [PointFamily()])
    news = pipeline.News
    monkeypatch.setattr(pipeline, "News", lambda: news(interval=0.0))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def words(tmp_path):
    """Return the command line of a run of three steps that is judged."""
    return [*words_of(tiny()), "--out", str(tmp_path / "run"), "--validation-problems", "4"]


def test_it_says_where_it_is_and_ends_with_the_verdict_and_the_page(
    points, words, tmp_path, capsys, monkeypatch
):
    works, finished = [], pipeline.Journey.finished
    monkeypatch.setattr(
        pipeline.Journey,
        "finished",
        lambda self, job: works.append(work_of(job)) or finished(self, job),
    )
    assert pipeline.main(words, COMPARISON) == 0
    said = capsys.readouterr()
    assert "\r" not in said.out
    lines = said.out.splitlines()
    assert lines[0] == "2/3 training: 3 of 3 steps to take; first kernels are compiled"
    left = r"about [\w ]+ left for the whole"
    for number, line in enumerate(lines[1:4], 1):
        assert re.fullmatch(f"2/3 training: step {number} of 3, {left}", line)
    assert re.fullmatch(f"3/3 comparing: 3 softnesses on unseen problems, {left}", lines[4])
    for number, line in enumerate(lines[5:8], 1):
        assert re.fullmatch(f"3/3 comparing: {number} of 3 softnesses, {left}", line)
    assert lines[8].startswith("3/3 comparing: done")
    numbers = r"[\d.]+ % \[[\d.]+, [\d.]+\]"
    assert re.fullmatch(
        rf"pose: The learned softness solved {numbers} of 16 unseen problems, the best fixed softness "
        rf"\((Gaussian|Uniform)\) {numbers}: [+-][\d.]+ percentage points \[[+-][\d.]+, [+-][\d.]+\], .*\.",
        lines[9],
    )
    assert lines[10] == pipeline.ONE_RUN
    assert len(lines) == 12
    page = unquote(urlparse(lines[11]).path)
    assert (urlparse(lines[11]).scheme, page) == ("file", str(tmp_path / "run" / "report.html"))
    assert lines[9].removeprefix("pose: ") in (tmp_path / "run" / "report.html").read_text()
    # A bar would be there as well.
    assert "it/s" not in said.err
    assert planned_work(tiny(), COMPARISON) == {"pose": sum(works)}

    assert pipeline.main(words, COMPARISON) == 1
    assert f"{tmp_path / 'run'} holds a run already" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on(points, words, tmp_path, capsys, monkeypatch):
    original = OuterOptimizer.step

    def failing(self, estimate, index):
        if index == 2:
            raise KeyboardInterrupt
        original(self, estimate, index)

    with monkeypatch.context() as patch:
        patch.setattr(OuterOptimizer, "step", failing)
        assert pipeline.main(words, COMPARISON) == 130
    run = tmp_path / "run"
    assert (
        f"To go on with all of it: python -m meta.pipeline --resume {run}"
        in capsys.readouterr().err
    )
    assert len(history.read(RunFolder(run).history)) == 2
    assert pipeline.main(["--resume", str(run)], COMPARISON) == 0
    assert capsys.readouterr().out.startswith("2/3 training: 1 of 3 steps to take;")
    assert (run / "report.html").is_file()


def test_a_comparison_that_fails_is_told_of(points, words, capsys, monkeypatch):
    def failing(*args, **kwargs):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(pipeline, "evaluate", failing)
    assert pipeline.main(words, COMPARISON) == 1
    assert capsys.readouterr().err == "error: no such luck\n"


def test_a_folder_to_go_on_with_must_be_a_run(tmp_path, capsys):
    assert pipeline.main(["--resume", str(tmp_path / "none")]) == 1
    assert "error: " in capsys.readouterr().err


def test_several_processes_are_refused(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as stopped:
        pipeline.main([])
    assert stopped.value.code == 2
    assert "is for one process; with torchrun take meta.train" in capsys.readouterr().err


def test_the_work_of_a_comparison_is_what_its_jobs_solve(tmp_path, monkeypatch):
    solved = []
    original = tuning.measure

    def counting(tasks, *args, **options):
        solved.extend(task.count for task in tasks)
        return original(tasks, *args, **options)

    for module in (tuning, candidate_job):
        monkeypatch.setattr(module, "measure", counting)
    learned, fixed = jobs(tmp_path, {"learned": 0.5}, fixed=("gaussian",))
    for job, count in ((fixed[0], 6 * 1 + 3 * 1 + 2 * 2 + 20), (learned[0], 20)):
        solved.clear()
        run_jobs([job])
        assert sum(solved) == count
        assert work_of(job) == PROTOCOL.steps * count
