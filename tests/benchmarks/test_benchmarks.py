"""The benchmark runs, with short loops."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest

import taichisoft as ts
from benchmarks import (
    appearance,
    backends,
    bench,
    compiled,
    cost,
    depth_bias,
    engines,
    kernels,
    large_steps,
    pose_iou,
    profile_step,
    renderers,
    scaling,
    workloads,
)
from benchmarks.scenes import Setting, sphere_scene
from benchmarks.timing import LEAST_ROUNDS, Ratio, measure
from meta.learning.gradients import AntitheticSettings
from taichisoft.base.checks import check_number
from taichisoft.base.engine import VARIABLE, Engine
from taichisoft.engine.fragments import Fragments, count_fragments
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.softness.curves import SoftnessCurves


def test_smoke(tmp_path, capsys):
    out = tmp_path / "bench"
    bench.main(["--out", str(out), "--rounds", "2", "--quick"])
    result = json.loads(out.with_suffix(".json").read_text())
    peers = {row["peer"] for row in result["rows"]}
    assert {"dense torch twin", "Gaussian, equal cut-off"} <= peers
    assert out.with_suffix(".png").stat().st_size > 1000
    rows = result["rows"] + result["cost"]
    assert all(row["ours_ms"] > 0 and row["peer_ms"] > 0 for row in rows)
    assert all(0 <= size < 200 for size in result["memory_mb"].values())
    check_costs(result["cost"])
    assert out.with_suffix(".md").read_text() in capsys.readouterr().out


def check_costs(rows):
    compared = {row["ours"] for row in rows}
    coverages = set(cost.COVERAGES) - {"Gaussian"}
    assert coverages | set(cost.LEARNED) <= compared
    assert {"double backward", "autodiff engine"} <= compared
    for row in rows:
        if row["target"] is None:
            assert row["verdict"] == ""
        else:
            assert (row["verdict"] == "met") == (row["ratio"] <= row["target"])


@pytest.mark.parametrize("name", cost.COVERAGES | cost.LEARNED)
def test_coverages_are_compared_at_equal_reach(name):
    coverage = cost.with_equal_reach((cost.COVERAGES | cost.LEARNED)[name])
    assert np.isclose(-coverage.domain().low * coverage.scale.in_pixels(64).item(), cost.REACH)
    assert not any(p.requires_grad for p in coverage.parameters())


@pytest.mark.parametrize("name", cost.LEARNED)
def test_parameters_compared_are_learned(name):
    coverage = cost.with_equal_reach(cost.LEARNED[name], learn=True)
    renderer = ts.SoftRasterizer(coverage)
    graph = cost.Graph(sphere_scene(16, 0), renderer, cost.silhouette)
    gradients = graph.backward()
    assert len(gradients) == 1 + len(list(coverage.parameters())) > 1
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_ratio_is_ours_over_peer():
    def busy(times):
        return lambda: sum(range(times))

    slow = bench.Renderer("slow", busy(300_000), busy(300_000))
    fast = bench.Renderer("fast", busy(1_000), busy(1_000))
    rows = list(bench.compare("scene", slow, fast, rounds=5))
    assert [row.work for row in rows] == ["forward", "forward+backward"]
    assert all(row.ratio > 10 for row in rows)
    assert np.isclose(rows[0].ratio, rows[0].ours_ms / rows[0].peer_ms, rtol=0.9)


@pytest.mark.parametrize("channels", [1, renderers.CHANNELS])
def test_the_peer_draws_the_same_picture(channels):
    setting = Setting(1, 64, 2, sigma=1e-6)
    ours = (renderers.fused if channels == 1 else renderers.fused_color)(setting).forward()
    theirs = np.stack(renderers.deodr(setting, channels).forward())
    ours = ours.reshape(theirs.shape).numpy()
    # The peer's edges are smoothed outwards, over a pixel.
    difference = np.abs(ours - theirs).mean()
    assert difference < 0.02 < theirs.mean()
    for axis, step in itertools.product((1, 2), (-1, 1)):
        assert np.abs(np.roll(ours, step, axis) - theirs).mean() > 1.4 * difference


def test_ratio_of_columns():
    ours, peer = np.array([2.0, 6.0, 20.0]), np.array([1.0, 2.0, 5.0])
    assert Ratio.of(ours, peer) == Ratio(6000, 2000, 3, 2.5, 3.5)


def test_contestants_take_turns():
    calls = []
    works = [lambda: (calls.append("a"), time.sleep(0.02)), lambda: calls.append("b")]
    times = measure(*works, rounds=3, warm_up=1)
    assert "".join(calls) == "ab" + "abbaab"
    assert (times[:, 0] >= 0.02).all()
    assert np.median(times[:, 1]) < 0.02


def test_measuring_stops_in_time():
    assert len(measure(lambda: None, rounds=9, seconds=0)) == LEAST_ROUNDS
    assert len(measure(lambda: None, rounds=2, seconds=0)) == 2
    assert len(measure(lambda: None, rounds=9)) == 9


def test_scaling_smoke(tmp_path, capsys):
    out = tmp_path / "scaling"
    scaling.main(["--out", str(out), "--quick", "--seconds", "0.01"])
    result = json.loads(out.with_suffix(".json").read_text())
    assert [point["axis"] for point in result["points"]] == ["faces", "faces", "batch"]
    assert [point["value"] for point in result["points"]] == [20, 80, 1]
    assert all(p["milliseconds"] > 0 and p["fragments"] > 0 for p in result["points"])
    assert "ns a fragment" in capsys.readouterr().out
    assert out.with_suffix(".png").stat().st_size > 1000


def test_fragments_are_counted_as_they_are_listed():
    scene = sphere_scene(16, 0)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
    job = RasterJob(build_scene(scene.mesh, scene.camera, None))
    numbers = SoftnessCurves(renderer.softness).generator(16).numbers(job.points)
    assert count_fragments(job, numbers) == len(Fragments.within_reach(job, numbers).face)


def test_workloads_smoke(tmp_path, capsys):
    out = tmp_path / "workloads"
    mesh = tmp_path / "mesh.obj"
    ts.save_mesh(ts.shapes.icosphere(1), mesh)
    workloads.main(["--out", str(out), "--mesh", str(mesh), "--seconds", "0.01"])
    result = json.loads(out.with_suffix(".json").read_text())
    assert len(result["seconds"]) == 4
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert out.with_suffix(".md").read_text() in capsys.readouterr().out


def test_backends_smoke(tmp_path, capsys):
    out = tmp_path / "backends"
    backends.main(["--out", str(out), "--quick", "--rounds", "1"])
    result = json.loads(out.with_suffix(".json").read_text())
    others = [
        name for name, present in ts.available_backends().items() if present and name != "cpu"
    ]
    assert [row["backend"] for row in result["rows"]] == others
    assert all(row["ratio"] == pytest.approx(row["ms"] / row["cpu_ms"]) for row in result["rows"])
    assert out.with_suffix(".md").read_text() in capsys.readouterr().out


def test_engines_smoke(tmp_path, capsys, monkeypatch):
    seconds = {"quadrants": 1.65, "taichi": 1.5}

    def timed(module: str, quick: bool, **variables: str) -> dict[str, float]:
        assert (module, quick) == ("benchmarks.engines", True)
        taken = seconds[variables[VARIABLE]]
        return {"sphere, forward": taken, "sphere, both": 2 * taken if taken > 1.5 else taken}

    monkeypatch.setattr(engines, "timed", timed)
    monkeypatch.setattr(Engine, "is_installed", lambda self: True)
    out = tmp_path / "engines"
    engines.main(["--out", str(out), "--quick", "--rounds", "2"])
    forward, both = json.loads(out.with_suffix(".json").read_text())["rows"]
    assert forward == {
        "row": "sphere, forward",
        "taichi_ms": 1500,
        "quadrants_ms": 1650,
        "ratio": pytest.approx(1.1),
        "met": True,
    }
    assert (both["ratio"], both["met"]) == (pytest.approx(2.2), False)
    said = out.with_suffix(".md").read_text()
    assert said in capsys.readouterr().out
    assert "1 of 2 rows are within 1.2" in said
    assert said.index("sphere, both") < said.index("sphere, forward")


def test_an_engine_is_timed_here():
    setting = Setting(0, 16, 2)
    plan = bench.Plan((setting,), *[()] * 5)
    seconds = engines.time_here(plan, 0.0)
    label = setting.label
    assert list(seconds) == [f"{label}: forward", f"{label}: forward+backward"]
    assert min(seconds.values()) > 0


def test_engines_cannot_be_compared_where_one_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(Engine, "is_installed", lambda self: self.name == "taichi")
    with pytest.raises(SystemExit):
        engines.main(["--quick"])
    assert "quadrants is not installed" in capsys.readouterr().err


def test_kernels_smoke(tmp_path, capsys):
    out = tmp_path / "kernels"
    kernels.main(["--out", str(out), "--quick", "--seconds", "0.01"])
    scenes = json.loads(out.with_suffix(".json").read_text())["scenes"]
    assert len(scenes) == (2 if ts.backend() == "cpu" else 1)
    for scene in scenes:
        assert scene["fragments"] == scenes[0]["fragments"] > 0
        assert min(scene["forward_ms"], scene["adjoint_ms"]) > 0
    assert out.with_suffix(".md").read_text() in capsys.readouterr().out


@pytest.mark.cpu_only
@pytest.mark.parametrize("kind", ["colors", "gouraud", "texture", "phong"])
def test_appearance_of_every_kind(kind, capsys):
    appearance.main([kind, "--size", "12", "--repeats", "1"])
    line = capsys.readouterr().out
    assert line.startswith(f"{kind}: ")
    assert float(line.split()[1]) > 0


def test_bias_of_depth_smoke(capsys):
    depth_bias.main(["--size", "16", "--steps", "1"])
    said = capsys.readouterr().out
    assert said.count("\n") == 2 + 2 * len(depth_bias.RENDERERS) * len(depth_bias.SCALES)
    assert "nan" not in said


def test_large_steps_smoke(capsys, monkeypatch):
    monkeypatch.setattr(large_steps, "RATES", (0.02,))
    monkeypatch.setattr(large_steps, "LAMBDAS", (1.0,))
    large_steps.main(
        ["--steps=1", "--size=16", "--views=2", "--subdivisions=1", "--train=1", "--held-out=2"]
    )
    said = capsys.readouterr().out
    tried, compared = said.split("\n\n")[:2]
    assert tried.count("smoothness term") == tried.count("large steps") == 3
    assert compared.count("smoothness term") == compared.count("large steps") == 1
    assert "standard error" in said
    assert "nan" not in said


def test_parts_of_a_step_are_told_apart(tmp_path, capsys):
    out = tmp_path / "profile"
    profile_step.main(["--out", str(out), "--seconds", "0.5", "--only", "silhouettes"])
    result = json.loads(out.with_suffix(".json").read_text())
    (name,) = set(result) - {"about"}
    parts = result[name]["parts"]
    assert {"kernels, forward", "kernels, backward"} < set(parts)
    # What takes a hundredth of a step may not be looked at in so short a time.
    assert set(parts) <= _all_parts()
    assert all(0 <= own <= 2 * wall + 0.01 for wall, own in parts.values())
    assert out.with_suffix(".md").read_text() in capsys.readouterr().out


def _all_parts():
    names = {part for _, part in (*profile_step.PARTS, *profile_step.OTHERS)}
    both = {f"{part}, {way}" for part in names for way in ("forward", "backward")}
    return names | both | {"autograd", "rest", "rest of a render"}


def test_time_is_given_to_the_part_that_took_it():
    def work():
        begin = time.perf_counter()
        while time.perf_counter() - begin < 0.02:
            check_number(1.0, "x")
        time.sleep(0.02)

    parts = profile_step.profile(work, seconds=0.4)
    # The first half computes here and in the checks, the second waits here.
    assert set(parts) == {"checks", "rest"}
    whole = sum(wall for wall, _ in parts.values())
    assert 0.035 <= whole < 0.2
    assert parts["rest"][0] >= 0.015
    assert parts["checks"][0] > 0
    assert sum(own for _, own in parts.values()) <= whole


def test_outer_steps_are_profiled():
    assert sum("meta-training" in name for name in profile_step.works(None)) == 2
    work = profile_step.outer_step(AntitheticSettings(pairs=1), problems=1, steps=2)
    assert work().step == 1


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_transforms_are_compared():
    vertices, by_name = compiled.functions(1, 8)
    assert {"silhouette", "image, with its camera"} == set(by_name)
    rows = compiled.transformed(by_name["silhouette"], vertices, 3)
    assert [name.split(",")[0] for name, *_ in rows] == [
        "grad",
        "jvp of grad",
        "vmap of grad over 16 scenes",
    ]
    assert all(float(ms) > 0 for _, _, *times, _ in rows for ms in times)


def test_which_iou_a_pose_has_is_printed(capsys):
    sizes = ("--poses", "1", "--size", "24", "--starts", "1", "--steps", "1")
    pose_iou.main(["--meshes", "bracket", "key", *sizes])
    said = capsys.readouterr().out.splitlines()
    assert sum(" degrees" in line for line in said) == 6
    assert "| IoU | searches | least | 5 % | 50 % | 95 % | largest |" in said
    assert said[-1].startswith("| ")
