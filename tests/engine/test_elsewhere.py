"""Running the engine's tests elsewhere says what is wrong; the checks of array bounds are there."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

import taichisoft as ts
from tests import elsewhere
from tests.elsewhere import NO_DEVICE, PLACES, WITHOUT, Outcomes, main
from tests.forks import Program
from tests.helpers import ROOT

pytestmark = pytest.mark.cpu_only


def test_numbers_and_files():
    assert {name: place.at_least for name, place in PLACES.items()} == {
        "vulkan": 400,
        "bounds": 50,
        "quadrants": 35,
    }
    for place in PLACES.values():
        assert all((ROOT / "tests" / file).is_file() for file in place.files)


@pytest.mark.parametrize(
    ("numbers", "backend", "complaint"),
    [
        ({"passed": 400}, "vulkan", None),
        ({"passed": 400}, "cpu", "the backend was cpu, not vulkan"),
        ({"passed": 400, "skipped": 1}, "vulkan", "1 tests were skipped"),
        ({"passed": 399}, "vulkan", "399 tests passed, of at least 400"),
    ],
)
def test_complaints(numbers, backend, complaint):
    outcomes = Outcomes()
    outcomes.numbers = Counter(numbers)
    assert outcomes.complaints(PLACES["vulkan"], backend) == [complaint] * (complaint is not None)


@pytest.mark.parametrize("engine", ["taichi", "quadrants"])
def test_another_engine_is_complained_of(engine):
    outcomes = Outcomes()
    place = replace(PLACES["bounds"], at_least=0, engine=engine)
    complaint = f"the engine was {ts.engine_name()}, not {engine}"
    found = outcomes.complaints(place, "cpu")
    assert found == [complaint] * (engine != ts.engine_name())


def test_outcomes_are_counted():
    outcomes = Outcomes()
    for when, outcome in [("setup", "passed"), ("call", "passed"), ("setup", "skipped")]:
        passed = outcome == "passed"
        report = SimpleNamespace(when=when, outcome=outcome, passed=passed)
        outcomes.pytest_runtest_logreport(report)
    assert outcomes.numbers == {"passed": 1, "skipped": 1}


@pytest.mark.parametrize(("without", "code"), [("", 1), ("1", 0)])
def test_a_missing_device_is_a_failure_unless_one_goes_without(without, code, monkeypatch, capsys):
    monkeypatch.setattr(elsewhere, "vulkan_devices", list)
    monkeypatch.setenv(WITHOUT, without)
    assert main(["vulkan"]) == code
    assert capsys.readouterr().err.strip() == NO_DEVICE


@pytest.mark.parametrize(("value", "expected"), [("1", "True"), ("0", "False")])
def test_debug_variable_turns_on_the_checks(value, expected):
    code = """
import taichisoft as ts
from taichisoft.base.taichi import ti
ts.init("cpu")
print(ti.lang.impl.current_cfg().debug)
"""
    done = Program(code, {**os.environ, "TAICHISOFT_DEBUG": value}).finished()
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr
