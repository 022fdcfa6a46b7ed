"""The command for GPUs: its parts run, one that fails is told, and what is missing is said at once."""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace

import pytest
import torch

import taichisoft as ts
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import driver, memory
from benchmarks.gpu import parts as parts_module
from benchmarks.gpu.cases import Torus, renderers, silhouettes
from benchmarks.gpu.counts import WAITS, count, launches, waits
from benchmarks.gpu.machine import describe
from benchmarks.gpu.page import to_markdown
from benchmarks.gpu.parts import (
    COUNTS,
    MACHINE,
    MEMORY,
    PEER,
    TESTS,
    TIMES,
    Outcome,
    Part,
    State,
    end_all,
    part_named,
    parts,
    run_command,
    run_part,
)
from benchmarks.gpu.peers import PEERS, gsplat, nvdiffrast, time_peer
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import others_of, rows_of
from benchmarks.gpu.tested import GROUPS, Told
from benchmarks.gpu.times import time_scenes
from benchmarks.renderers import fused
from benchmarks.scenes import Setting
from tests.helpers import ROOT

PLAN = Plan(ts.backend(), quick=True)


def program(code: str, limit: float = 60.0) -> Outcome:
    """Run a program as a part."""
    return run_command([sys.executable, "-c", code], limit, {})


def test_rows_are_found_among_other_output():
    output = 'warning\n\nrow: {"a": 1}\nrow of houses\nrow: {"a": 2}\nrow: {"a": '
    assert list(rows_of(output)) == [{"a": 1}, {"a": 2}]
    assert others_of(output) == "warning\nrow of houses"


def test_a_part_that_ends_well():
    outcome = program("from benchmarks.gpu.report import say; say({'a': 1}); say({'a': 2})")
    assert outcome.state is State.DONE
    assert outcome.rows == [{"a": 1}, {"a": 2}]
    assert outcome.why == ""


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("sys.exit('no luck')", "ended with code 1\nno luck"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal SIGSEGV\n"),
    ],
)
def test_a_part_that_crashes_keeps_what_it_said(end, why):
    outcome = program(f"import os, signal, sys; print('row: {{}}', flush=True); {end}")
    assert outcome.state is State.FAILED
    assert outcome.rows == [{}]
    assert outcome.why == why


def test_a_part_that_takes_too_long_is_ended():
    begin = time.monotonic()
    # The program that it has started is ended as well: else its output would stay open.
    child = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    said = "print('row: {}', flush=True)"
    outcome = program(f"import subprocess, sys; {said}; subprocess.run({child})", limit=3.0)
    assert outcome.state is State.OUT_OF_TIME
    assert outcome.rows == [{}]
    assert outcome.why == "ended after 3 s"
    assert time.monotonic() - begin < 120


def test_parts_end_with_the_run():
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(program, "import time; time.sleep(600)")
        while not parts_module._running:
            time.sleep(0.01)
        end_all()
        assert running.result().why == "ended by signal SIGKILL\n"
    assert not parts_module._running


def test_no_part_is_begun_when_the_time_is_over():
    assert run_part(part_named(MACHINE), PLAN, 1.0).state is State.SKIPPED


def test_time_is_shared(monkeypatch):
    limits = {}

    def noted(part: Part, plan: Plan, limit: float) -> Outcome:
        limits[part.name] = limit
        return Outcome(State.DONE)

    monkeypatch.setattr(command, "run_part", noted)
    monkeypatch.setattr(command.os, "cpu_count", lambda: 4)
    names = [name for name, _ in command.outcomes(PLAN, 100.0, "")]
    assert names == [part.name for together in parts() for part in together]
    assert len(set(names)) == len(names)
    # Two at a time of four groups.
    assert [limits[f"{TESTS}{name}"] for name in GROUPS] == [pytest.approx(20.0)] * 4
    assert all(0 < limit <= 100 for limit in limits.values())
    assert [name for name, _ in command.outcomes(PLAN, 100.0, PEER)] == [
        f"{PEER}{n}" for n in PEERS
    ]
    assert {n for n, _ in command.outcomes(PLAN, 0.0, TIMES)} == {TIMES}
    assert limits[TIMES] <= 0


def test_one_part_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "deep" / "gpu.json"
    options = ["--backend", ts.backend(), "--quick", "--only", MACHINE, "--out", str(out)]
    assert command.main([*options, "--minutes", "30"]) == 0
    assert capsys.readouterr().out.startswith("machine: done, ")
    result = json.loads(out.read_text())
    assert result["backend"] == ts.backend()
    (part,) = result["parts"].values()
    assert part["state"] == "done"
    assert part["rows"][0]["backend"] == ts.backend()
    assert out.with_suffix(".md").read_text() == to_markdown(result)


@pytest.mark.parametrize(
    ("name", "outcome", "failed"),
    [
        (TIMES, Outcome(State.FAILED), True),
        (TIMES, Outcome(State.OUT_OF_TIME), False),
        (f"{PEER}gsplat", Outcome(State.FAILED), False),
        (f"{TESTS}engine", Outcome(State.DONE, rows=[{"outcome": "passed"}]), False),
        (f"{TESTS}engine", Outcome(State.OUT_OF_TIME, rows=[{"outcome": "failed"}]), True),
    ],
)
def test_what_counts_as_a_failure(name, outcome, failed):
    assert command.has_failed(name, outcome) is failed


class Driver:
    """A driver of CUDA with one device, or with an error."""

    def __init__(self, code: int = 0):
        self.code = code

    def cuInit(self, flags):
        """Start."""
        return self.code

    def cuDeviceGetCount(self, number):
        """Tell one device."""
        number._obj.value = 1
        return 0

    def cuDeviceGet(self, device, index):
        """Do nothing."""

    def cuDeviceGetName(self, name, size, device):
        """Tell its name."""
        name.value = b"A card"

    def cuDriverGetVersion(self, number):
        """Tell the version."""
        number._obj.value = 12040


def test_devices_of_the_driver(monkeypatch, capsys):
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: Driver())
    assert driver.cuda_devices() == ("12.4", ["A card"])
    assert driver.main("cuda") == 0
    assert capsys.readouterr().out == "CUDA 12.4: A card\n"


@pytest.mark.parametrize(
    ("made", "reason"),
    [(lambda name: Driver(100), "finds no device (error 100)"), (None, "is not installed")],
)
def test_without_a_device_the_way_round_is_told(made, reason, monkeypatch, capsys):
    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(driver.ctypes, "CDLL", made or absent)
    assert driver.main("cuda") == 1
    said = capsys.readouterr().err
    assert reason in said
    assert "make gpu GPU=vulkan" in said
    assert command.missing("cuda") == said.removesuffix("\n")
    assert command.main(["--backend", "cuda"]) == 2
    assert driver.main("vulkan") == 0


def test_a_torch_without_cuda_is_told(monkeypatch):
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: Driver())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    said = command.missing("cuda")
    assert "a CUDA device (A card), but torch" in said
    assert "has no CUDA" in said
    assert "pip install" in said
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "is for CUDA 13.0, which cannot use it" in command.missing("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert command.missing("cuda") is None


def test_a_missing_vulkan_device_is_told(monkeypatch):
    assert command.missing("cpu") is None
    monkeypatch.setattr(command, "vulkan_devices", list)
    assert "mesa-vulkan-drivers" in command.missing("vulkan")


def test_parts_that_measure(monkeypatch):
    monkeypatch.setattr("benchmarks.gpu.times.ROUNDS", 3)
    monkeypatch.setattr(memory, "peak_memory", lambda setting: 1.5)
    said: dict[str, list] = {}
    for name, measure in {
        MACHINE: describe,
        COUNTS: count,
        TIMES: time_scenes,
        MEMORY: memory.measure_memory,
    }.items():
        measure(PLAN, said.setdefault(name, []).append)
    assert said[MACHINE][0]["backend"] == ts.backend()
    assert {row["work"] for row in said[COUNTS]} == {"forward", "forward+backward"}
    for row in said[COUNTS]:
        assert row["launches"] == sum(row["kernels"].values()) > 0
        assert row["waits"] is None
    assert [row["scene"] for row in said[TIMES][::2]] == [label for label, _ in renderers(PLAN)]
    assert all(0 < row["low_ms"] <= row["ms"] <= row["high_ms"] for row in said[TIMES])
    assert said[MEMORY][0]["host_mb"] == 1.5
    page = to_markdown(
        result(**{name: Outcome(State.DONE, 1.0, rows) for name, rows in said.items()})
    )
    assert "| forward+backward |" in page


def test_launches_are_counted_by_kernel():
    work = fused(Setting(0, 16, 2)).both
    work()
    found = launches(work)
    assert found == launches(work)
    assert all(number > 0 and name.isidentifier() for name, number in found.items())


def test_waits_are_counted_by_place(monkeypatch):
    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[0])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def work():
        warnings.warn("something else", UserWarning, stacklevel=1)
        for _ in range(2):
            warnings.warn(f"{WAITS} (Triggered internally)", UserWarning, stacklevel=1)

    found = waits(work)
    assert sum(found.values()) == 2
    assert [place.split(":")[0] for place in found] == ["test_gpu.py"]
    assert modes == [0, "warn", 0]


def test_the_scene_of_many_faces():
    (torus,) = (one for one in silhouettes(Plan("cpu", quick=False)) if isinstance(one, Torus))
    assert torus.label == "200000 faces, 1 x 1024 x 1024, sigma 1e-05"
    assert torus.scene.mesh.num_faces == torus.faces == 200_000
    assert torus.scene.size == 1024
    on_cuda = silhouettes(Plan("cuda", quick=False))
    assert {one.device for one in on_cuda} == {"cuda"}


def test_gsplat_is_called_with_what_it_takes(monkeypatch):
    setting = Setting(0, 12, views=3)
    called = []

    def rasterization(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height
    ):  # fmt: skip
        shapes = (means, quats, scales, opacities, colors, viewmats, Ks)
        called.append([tuple(x.shape) for x in shapes])
        # OpenCV's cameras: what is in view has a positive depth.
        depth = (means @ viewmats[:, 2, :3].mT) + viewmats[:, 2, 3]
        assert bool((depth > 0).all())
        alpha = means.sum() + torch.zeros(3, height, width, 1)
        return alpha, alpha, {}

    module = ModuleType("gsplat")
    module.rasterization = rasterization
    monkeypatch.setitem(sys.modules, "gsplat", module)
    renderer = gsplat(setting)
    assert called[0] == [(20, 3), (20, 4), (20, 3), (20,), (20, 3), (3, 4, 4), (3, 3, 3)]
    assert renderer.forward().shape == (3, 12, 12, 1)
    # The middle of a face is a third of each corner, of which five faces meet; in 3 x 12 x 12 pixels.
    assert torch.allclose(renderer.both(), torch.full((12, 3), 5 / 3 * 3 * 12 * 12))


def test_nvdiffrast_is_called_with_what_it_takes(monkeypatch):
    setting = Setting(0, 12, views=2)
    scene = setting.scene
    module = ModuleType("nvdiffrast.torch")

    def rasterize(context, points, faces, resolution):
        assert faces.dtype == torch.int32
        assert (tuple(points.shape), resolution) == ((2, 12, 4), (12, 12))
        x, y = (points[..., :2] / points[..., 3:]).unbind(-1)
        pixels = torch.stack([(1 + x) * 6, (1 - y) * 6], -1)
        projected = scene.camera.project(scene.mesh.vertices)[..., :2]
        assert torch.allclose(pixels, projected, atol=1e-4)
        return torch.ones(2, 12, 12, 4), None

    module.RasterizeCudaContext = lambda device: device
    module.rasterize = rasterize
    module.antialias = lambda color, drawn, points, faces: color * points[..., 3].mean()
    package = ModuleType("nvdiffrast")
    package.torch = module
    monkeypatch.setitem(sys.modules, "nvdiffrast", package)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", module)
    renderer = nvdiffrast(setting)
    assert renderer.forward().shape == (2, 12, 12, 1)
    assert renderer.both().abs().max() > 0


def test_a_peer_that_is_not_there_is_told(monkeypatch):
    said = []
    monkeypatch.setitem(sys.modules, "gsplat", None)
    time_peer("gsplat", Plan("cuda", quick=True), said.append)
    assert said[0]["renderer"] == "gsplat"
    assert "gsplat" in said[0]["missing"]
    left_out = run_part(part_named(f"{PEER}gsplat"), Plan("cpu", quick=True), 60.0)
    assert left_out == Outcome(State.SKIPPED, why="timed with CUDA only")


@pytest.mark.parametrize("name", GROUPS)
def test_chosen_tests_are_there(name):
    """Each file has a test that is chosen, and each word chooses one."""
    group = GROUPS[name]
    found = {}
    for chosen in (*group.chosen, group.quick):
        file, _, test = chosen.partition("::")
        text = (ROOT / "tests" / "engine" / file).read_text(encoding="utf-8")
        names = re.findall(r"^def (test_\w+)", text, re.MULTILINE)
        assert not test or test in names
        found[chosen] = [test] if test else names
    words = group.words.split(" or ") if group.words else [""]
    for file in group.chosen:
        assert any(word in one for word in words for one in (*found[file], file))
    assert all(any(word in one for names in found.values() for one in names) for word in words)


def test_tests_are_told_as_they_end():
    said = []
    plugin = Told(said.append)

    def report(when: str, outcome: str, longrepr: object = None):
        return SimpleNamespace(
            when=when,
            outcome=outcome,
            passed=outcome == "passed",
            failed=outcome == "failed",
            nodeid=f"{when} {outcome}",
            duration=0.5,
            longrepr=longrepr,
        )

    crash = SimpleNamespace(reprcrash=SimpleNamespace(message="assert 1 == 2"))
    for one in [
        report("setup", "passed"),
        report("call", "passed"),
        report("call", "failed", crash),
        report("setup", "failed", "no device"),
        report("setup", "skipped"),
    ]:
        plugin.pytest_runtest_logreport(one)
    assert [row["test"] for row in said] == [
        "call passed",
        "call failed",
        "setup failed",
        "setup skipped",
    ]
    assert [row.get("why") for row in said] == [None, "assert 1 == 2", "no device", None]


def result(**outcomes: Outcome) -> dict:
    """Return what a run writes."""
    parts = {name: outcome.record() for name, outcome in outcomes.items()}
    head = {"command": "python -m benchmarks.gpu", "backend": "cuda", "quick": False}
    return {**head, "minutes": 8.0, "seconds": 12.3, "parts": parts}


def timed_row(scene: str, renderer: str, ms: float) -> dict:
    """Return a row of times."""
    numbers = {"first_s": 2.0, "ms": ms, "low_ms": ms - 1, "high_ms": ms + 1, "rounds": 5}
    return {"scene": scene, "renderer": renderer, "work": "forward", **numbers}


def test_the_page_tells_what_failed():
    failing = {"test": "tests/a.py::b", "outcome": "failed", "seconds": 1, "why": "x | y\nmore"}
    passing = {"test": "tests/a.py::c", "outcome": "passed", "seconds": 1}
    waited = {
        "scene": "silhouette, 20 faces",
        "work": "forward",
        "launches": 3,
        "kernels": {"a": 3},
    }
    page = to_markdown(
        result(
            **{
                MACHINE: Outcome(State.DONE, 1, [{"cuda_devices": ["A card"], "torch": "2.13"}]),
                COUNTS: Outcome(State.DONE, 1, [{**waited, "waits": 2, "waits_at": {"b.py:3": 2}}]),
                TIMES: Outcome(
                    State.OUT_OF_TIME, 9, [timed_row("s", "taichisoft", 5.0)], "ended after 9 s"
                ),
                f"{TESTS}engine": Outcome(State.DONE, 1, [failing, passing]),
                MEMORY: Outcome(State.FAILED, 1, [], "ended by signal SIGSEGV\nlast words"),
                f"{PEER}nvdiffrast": Outcome(State.DONE, 1, [timed_row("s", "nvdiffrast", 2.0)]),
                f"{PEER}gsplat": Outcome(
                    State.DONE, 1, [{"renderer": "gsplat", "missing": "not installed"}]
                ),
            }
        )
    )
    for line in (
        "| cuda devices | A card |",
        "| engine | 1 | 1 | 0 |  |",
        "| `tests/a.py::b` | x \\| y |",
        "| s | forward | 2.0 | 5.00 (4.00-6.00) | 2.00 |",
        "| silhouette, 20 faces | forward | 3 | 2 | b.py:3 2 |",
        "| times | out of time | 9 | ended after 9 s |",
        "gsplat: not installed.",
        "last words",
    ):
        assert line in page
    assert page.count("\n## ") == 6


def test_a_page_of_nothing():
    page = to_markdown(result(**{MACHINE: Outcome(State.FAILED, 1, [], "ended with code 1\n")}))
    assert "What the machine is could not be told." in page
