"""One backend per process, its float type, and the tolerances that go with it."""

from __future__ import annotations

import os

import pytest
import torch

import taichisoft as ts
from tests.helpers import LARGEST_ERRORS, TOLERANCES, Tolerance

# The CPU unless the environment asks for another one: what is tested must not depend on the machine.
BACKEND = os.environ.get("TAICHISOFT_BACKEND") or "cpu"
DTYPES = {"cpu": torch.float64, "cuda": torch.float64}
# Most of what they compile is for that type.
FLOAT64 = (
    *("appearance/", "engine/", "meta/learning/", "render/", "tasks/test_occlusion.py", "zoo/"),
    "digest/",
    *("softness/test_straight_through.py", "softness/test_occlusion.py", "softness/test_table.py"),
    *("softness/test_coverage_learned.py", "softness/test_coverage_tables.py"),
    *("softness/test_aggregation.py", "softness/test_file.py"),
)
# Of these, what compiles others than the rest: differentiated by Taichi, and twice.
SECOND = (
    *("engine/test_autodiff.py", "engine/test_second_derivatives.py"),
    *("engine/test_vector_second.py", "engine/test_silhouette_second.py"),
)
# What takes longest, in that order: begun last, it would run alone in the end.
LONG = (
    *("float64", "float64, twice", "fuzz/test_renders.py", "documents/test_notebooks.py"),
    "meta/runs/test_kill.py",
    *("benchmarks/test_benchmarks.py", "meta/runs/test_distributed.py", "cli/test_cli.py"),
    *("meta/runs/test_full_disk.py", "documents/test_package.py", "documents/test_readme.py"),
)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "cpu_only: needs float64 or starts processes; deselected on other backends"
    )
    # Small tensors: more threads only wait for each other when other programs run.
    torch.set_num_threads(1)
    ts.init(BACKEND)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByKernels(LoadScopeScheduling):
        """Tests that need the same kernels run in one worker, and else those of a file; long ones first.

        Workers do not share what they compile until they end.
        """

        def _assign_work_unit(self, node):
            queue = self.workqueue
            for scope in LONG:
                if scope in queue:
                    queue.move_to_end(scope, last=False)
                    break
            super()._assign_work_unit(node)

        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.removeprefix("tests/")
            # A long run: what it compiles is little beside it.
            if path.startswith("fuzz/") and os.environ.get("FUZZ_SCENES"):
                return path
            if path.startswith(FLOAT64) and "in_float32" not in path:
                return LONG[path.startswith(SECOND)]
            return path.split("::")[0]

    return ByKernels(config, log)


def pytest_addoption(parser):
    parser.addoption("--errors", action="store_true", help="show the largest errors that were met")


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--errors"):
        for what, found in sorted(LARGEST_ERRORS.items()):
            terminalreporter.write_line(f"largest error of {what}: {found:.1e}")


def pytest_report_header():
    return f"taichisoft backend: {ts.backend()}"


@pytest.fixture(scope="session")
def dtype() -> torch.dtype:
    """Return the float type of the kernels under test."""
    return DTYPES.get(BACKEND, torch.float32)


@pytest.fixture(scope="session")
def tolerance(dtype) -> Tolerance:
    """Return how closely results of that float type must agree with the exact ones."""
    return TOLERANCES[dtype]


@pytest.fixture(autouse=True)
def seeded():
    """Seed the global generator, of `gradgradcheck` for one: tests run in another order each time."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def record_backend(record_testsuite_property):
    """Write the backend that ran into the XML report, where a parent process can check it."""
    record_testsuite_property("backend", ts.backend())
