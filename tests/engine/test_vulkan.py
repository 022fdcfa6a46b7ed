"""The engine's tests in other processes: on Vulkan in float32, and with checked array bounds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from taichisoft.base.vulkan_device import vulkan_devices
from tests.helpers import ROOT

pytestmark = pytest.mark.cpu_only

TESTS = ROOT / "tests"
ENGINE = [
    "engine/test_kernels_vs_reference.py",
    "meta/learning/test_gradients.py",
    "engine/test_autodiff.py",
    "engine/test_second_derivatives.py",
    "softness/test_straight_through.py",
    "engine/test_deterministic.py",
    "engine/test_known_faults.py",
    "render/test_hard_renderer.py",
    "engine/test_degenerate.py",
    "softness/test_coverage.py",
    "softness/test_aggregation.py",
    "tasks/test_occlusion.py",
    "render/test_rasterizer.py",
    "base/test_backend.py",
]
WITHOUT = "TAICHISOFT_WITHOUT_VULKAN"
# Fewer would mean that files were not collected.
AT_LEAST = {"vulkan": 600, "bounds": 50}


def run_pytest(report: Path, *arguments: str, **variables: str) -> dict[str, int | str]:
    """Run tests in a process of their own; return their numbers and the backend that ran."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAICHISOFT_", "PYTEST_"))}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            f"--junitxml={report}",
            "-p",
            "no:cacheprovider",
            *arguments,
        ],
        cwd=TESTS.parent,
        env={**kept, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"the tests failed with {variables}:\n{done.stdout[-6000:]}"
    suite = ElementTree.parse(report).getroot().find("testsuite")
    numbers = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    return {**numbers, **properties}


def assert_all_passed(result: dict, backend: str, at_least: int) -> None:
    assert result["backend"] == backend
    assert (result["failures"], result["errors"], result["skipped"]) == (0, 0, 0)
    assert result["tests"] >= at_least


def test_engine_on_vulkan_in_float32(tmp_path):
    if not vulkan_devices():
        if os.environ.get(WITHOUT) == "1":
            pytest.skip(f"no Vulkan device, and {WITHOUT}=1")
        pytest.fail(
            "no Vulkan device: install Mesa's software driver (Debian and Ubuntu: apt-get install "
            f"libvulkan1 mesa-vulkan-drivers), or set {WITHOUT}=1 to go without these tests"
        )
    files = [str(TESTS / name) for name in ENGINE]
    result = run_pytest(
        tmp_path / "vulkan.xml", "-m", "not cpu_only", *files, TAICHISOFT_BACKEND="vulkan"
    )
    assert_all_passed(result, "vulkan", AT_LEAST["vulkan"])


def test_kernels_with_checked_array_bounds(tmp_path):
    chosen = (
        "test_image_sizes or test_hard_coverage or test_meshes_of_different_sizes "
        "or test_heights_around_the_bands or test_widths_around_the_lanes or test_kinds_of_colours"
    )
    result = run_pytest(
        tmp_path / "bounds.xml",
        "-k",
        chosen,
        str(TESTS / "engine/test_kernels_vs_reference.py"),
        TAICHISOFT_BACKEND="cpu",
        TAICHISOFT_DEBUG="1",
    )
    assert_all_passed(result, "cpu", AT_LEAST["bounds"])


def test_debug_variable_turns_on_the_checks():
    code = """
import taichisoft as ts
from taichisoft.base.taichi import ti
ts.init("cpu")
print(ti.lang.impl.current_cfg().debug)
"""
    for value, expected in (("1", "True"), ("0", "False")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TAICHISOFT_DEBUG": value},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert re.fullmatch(expected, done.stdout.strip())
