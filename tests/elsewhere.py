"""The engine's tests elsewhere: ``python -m tests.elsewhere vulkan``, ``bounds`` or ``quadrants``.

On Vulkan in float32, on the CPU with checked array bounds, and, some of them, with quadrants in the place of
Taichi (``TAICHISOFT_ENGINE=quadrants``, which is read before this module). A run fails if another backend or
engine ran than was asked for, if a test was skipped, or if so few were found that files must be missing.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

import taichisoft as ts
from taichisoft.base.vulkan_device import vulkan_devices

WITHOUT = "TAICHISOFT_WITHOUT_VULKAN"
NO_DEVICE = (
    "no Vulkan device: install Mesa's software driver (Debian and Ubuntu: apt-get install libvulkan1 "
    f"mesa-vulkan-drivers), or set {WITHOUT}=1 to go without these tests"
)
ENGINE = (
    "engine/test_kernels_vs_reference.py",
    "engine/test_gradients.py",
    "engine/test_composite.py",
    "engine/test_layer_shading.py",
    "engine/test_second_derivatives.py",
    "engine/test_known_faults.py",
    "render/test_hard_renderer.py",
    "base/test_backend.py",
)
# Most of the time goes into compiling, on one core for each process.
IN_TWO = ("-n", "2")
# Each layout of a table is compiled, and its gradients checked, by others of these.
ON_VULKAN = ("-m", "not cpu_only", "-k", "not test_every_coverage")
# What goes to the ends of arrays.
AT_ENDS = (
    "test_image_sizes or test_hard_coverage or test_meshes_of_different_sizes "
    "or test_heights_around_the_bands or test_widths_around_the_lanes or test_kinds_of_colours"
)
# What an engine of another name could do otherwise: launches, vectors, first and second derivatives, threads.
OF_ENGINES = (
    "engine/test_direct.py",
    "engine/test_kernels_vs_reference.py",
    "engine/test_second_derivatives.py",
    "base/test_engine.py",
)
SHORT = (
    "test_direct or test_engine or test_widths_around_the_lanes "
    "or test_silhouette_is_alpha or (test_gradgradcheck and gaussian)"
)


@dataclass(frozen=True)
class Place:
    """Where tests run.

    Parameters
    ----------
    backend : str
        That of all of them.
    files : tuple of str
        In `tests`.
    options : tuple of str
        For pytest.
    at_least : int
        Number of tests.
    variables : mapping
        Of the environment.
    engine : str, optional
        That must run them. By default any.
    """

    backend: str
    files: tuple[str, ...]
    options: tuple[str, ...]
    at_least: int
    variables: Mapping[str, str] = field(default_factory=dict)
    engine: str | None = None


PLACES = {
    "vulkan": Place("vulkan", ENGINE, (*IN_TWO, *ON_VULKAN), 400),
    "bounds": Place(
        "cpu",
        ("engine/test_composite.py", *ENGINE[:1]),
        (*IN_TWO, "-k", AT_ENDS),
        50,
        {"TAICHISOFT_DEBUG": "1"},
    ),
    "quadrants": Place("cpu", OF_ENGINES, ("-k", SHORT), 35, engine="quadrants"),
}


class Outcomes:
    """What came of the tests of a session, as a plugin of pytest."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test by its call, or by what kept it from being called."""
        if report.when == "call" or not report.passed:
            self.numbers[report.outcome] += 1

    def complaints(self, place: Place, backend: str) -> list[str]:
        """Return what is wrong with a session besides failures."""
        found = []
        if backend != place.backend:
            found.append(f"the backend was {backend}, not {place.backend}")
        if place.engine not in (None, ts.engine_name()):
            found.append(f"the engine was {ts.engine_name()}, not {place.engine}")
        if self.numbers["skipped"]:
            found.append(f"{self.numbers['skipped']} tests were skipped")
        if self.numbers["passed"] < place.at_least:
            found.append(f"{self.numbers['passed']} tests passed, of at least {place.at_least}")
        return found


def main(words: Sequence[str]) -> int:
    """Run the tests at a place; further words are options of pytest. Return the exit code."""
    name, *more = words
    place = PLACES[name]
    if place.backend == "vulkan" and not vulkan_devices():
        print(NO_DEVICE, file=sys.stderr)
        return 0 if os.environ.get(WITHOUT) == "1" else 1
    os.environ.update({"TAICHISOFT_BACKEND": place.backend, **place.variables})
    outcomes = Outcomes()
    files = [f"tests/{file}" for file in place.files]
    code = pytest.main([*files, *place.options, *more], plugins=[outcomes])
    complaints = outcomes.complaints(place, ts.backend())
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return int(code) or bool(complaints)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
