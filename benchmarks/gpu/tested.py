"""A chosen list of tests, by what they are about, that run in a few minutes with nothing compiled."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import Say


@dataclass(frozen=True)
class Group:
    """Tests that belong together.

    Parameters
    ----------
    chosen : tuple of str
        Files in `tests/engine`, or tests in them.
    words : str
        Of which those are run whose name has one of them, as pytest's option ``-k`` has it.
    quick : str
        The one that will do for a quick run.
    """

    chosen: tuple[str, ...]
    words: str
    quick: str


GROUPS = {
    "engine": Group(
        ("test_tensors_of_device.py", "test_kernels_vs_reference.py", "test_composite.py"),
        "device or stream or image_sizes or many_cameras or hard_coverage or larger_than or kinds_of_colours "
        "or hundreds_of_faces or equal_depths or non_contiguous",
        "test_tensors_of_device.py::test_silhouettes_are_those_of_the_twin",
    ),
    "gradients": Group(
        (
            "test_gradients.py",
            "test_composite.py::test_against_finite_differences",
        ),
        "mirrored or saturated or tie or alone or summed or none_is_asked or accumulate or finite",
        "test_gradients.py::test_gradients_accumulate_once",
    ),
    "second derivatives": Group(
        ("test_second_derivatives.py", "test_composite.py"),
        "hessian or refused or nothing_to_draw or engines_agree or gradgradcheck or of_the_graph",
        "test_second_derivatives.py::test_third_derivatives_are_refused",
    ),
    "determinism": Group(
        ("test_deterministic.py",),
        "",
        "test_deterministic.py::test_nothing_to_draw",
    ),
}


class Told:
    """Says what comes of each test, as a plugin of pytest: a run that is cut off has said what it did."""

    def __init__(self, say: Say):
        self._say = say

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Say the outcome of a test by its call, or by what kept it from being called."""
        if report.when == "call" or not report.passed:
            row = {"test": report.nodeid, "outcome": report.outcome, "seconds": report.duration}
            if report.failed:
                row["why"] = _last_words(report)
            self._say(row)


def _last_words(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    words = str(report.longrepr) if crash is None else crash.message
    return words.strip()[:500]


def run_tests(name: str, plan: Plan, say: Say) -> None:
    """Run a group and say what comes of each test."""
    group = GROUPS[name]
    os.environ["TAICHISOFT_BACKEND"] = plan.backend
    chosen = (group.quick,) if plan.quick else group.chosen
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "-W", "default"]
    if group.words and not plan.quick:
        options += ["-k", group.words]
    # They need float64, or start processes that the time is too short for.
    if plan.backend not in ("cpu", "cuda"):
        options += ["-m", "not cpu_only"]
    code = pytest.main([*(f"tests/engine/{one}" for one in chosen), *options], plugins=[Told(say)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with {pytest.ExitCode(code).name}")
