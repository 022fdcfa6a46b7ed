"""Choosing a backend: by argument, by variable, by default; refusals; and silence."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import taichisoft as ts
from taichisoft.base import backend as runtime
from taichisoft.base.engine import ENGINE
from tests.forks import Program, outside

RENDER = """
import torch, taichisoft as ts
mesh = ts.shapes.icosphere(1)
camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(8, 8))
mesh = mesh.with_vertices(mesh.vertices.clone().requires_grad_())
ts.SoftRasterizer()(mesh, camera).alpha.sum().backward()
"""


def environment(**variables: str) -> dict[str, str]:
    """Return the variables of a program, without the backend of this process."""
    kept = {k: v for k, v in outside().items() if k != ENGINE.variable("ARCH")}
    return {**kept, **variables}


def forked(code: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a program in a process that no backend has been chosen in."""
    return Program(code, environment(**variables)).finished()


def python(code: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a program in a process from its start."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def answer(code: str, run=forked, **variables: str) -> str:
    """Return what a program prints; it must succeed and write nothing else."""
    done = run(code, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_running_backend_is_visible():
    assert ts.backend() in runtime.BACKENDS
    assert ts.available_backends()[ts.backend()]
    assert set(ts.available_backends()) == {"cpu", "cuda", "vulkan", "metal"}


def test_same_backend_again_is_fine():
    assert ts.init(ts.backend()) == ts.backend()
    assert ts.init() == ts.backend()


def test_unknown_backend():
    with pytest.raises(ValueError, match=r"argument backend must be one of cpu, .*, got 'gpu'"):
        ts.init("gpu")


def test_importing_loads_nothing_that_only_some_need():
    optional = {"trimesh", "scipy", "matplotlib", "torch._dynamo"}
    code = f"import sys, taichisoft; print({optional} & set(sys.modules))"
    assert answer(code, python) == "set()"


def test_another_backend_is_refused():
    other = next(name for name in runtime.BACKENDS if name != ts.backend())
    with pytest.raises(RuntimeError, match=rf"{other!r} .* cannot be chosen: .* runs already"):
        ts.init(other)
    assert ts.init() == ts.backend()


def test_variable_does_not_contradict_a_running_backend(monkeypatch):
    other = next(name for name in runtime.BACKENDS if name != ts.backend())
    monkeypatch.setenv("TAICHISOFT_BACKEND", other)
    assert ts.init() == ts.backend()


@pytest.mark.cpu_only
def test_unavailable_backends_say_why():
    # CUDA and Metal exist on different systems, so that one of them is missing on every machine.
    missing = [name for name, present in ts.available_backends().items() if not present]
    assert {"cuda", "metal"} & set(missing)
    for name in missing:
        done = forked(f"import taichisoft as ts; ts.init({name!r})")
        assert done.returncode != 0
        assert f"RuntimeError: backend '{name}' (argument backend) cannot be had: " in done.stderr
        reason = (
            "finds no device"
            if name == "vulkan"
            else f"{ENGINE.title} finds no {name} driver or device"
        )
        assert reason in done.stderr
        assert "; present here: cpu" in done.stderr


@pytest.mark.cpu_only
def test_unavailable_backend_from_the_variable_is_no_silent_fallback():
    missing = "cuda" if sys.platform == "darwin" else "metal"
    done = forked(RENDER, TAICHISOFT_BACKEND=missing)
    assert done.returncode != 0
    assert f"'{missing}' (environment variable TAICHISOFT_BACKEND) cannot be had" in done.stderr


@pytest.mark.cpu_only
def test_unknown_backend_in_the_variable():
    done = forked(RENDER, TAICHISOFT_BACKEND="gpu")
    assert done.returncode != 0
    assert "environment variable TAICHISOFT_BACKEND must be one of cpu" in done.stderr


@pytest.mark.cpu_only
def test_variable_is_followed_and_the_argument_goes_before_it():
    asked = "import taichisoft as ts; print(ts.init(), ts.backend())"
    assert answer(asked, TAICHISOFT_BACKEND="cpu") == "cpu cpu"
    argued = "import taichisoft as ts; print(ts.init('cpu'))"
    assert answer(argued, TAICHISOFT_BACKEND="metal") == "cpu"


@pytest.mark.cpu_only
def test_taichis_own_variable_changes_nothing():
    variable = ENGINE.variable("ARCH")
    code = f"import os, taichisoft as ts; print(ts.init('cpu'), os.environ['{variable}'])"
    assert answer(code, **{variable: "vulkan"}) == "cpu vulkan"


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    ("variables", "size"),
    [({}, runtime.CACHE_SIZE), ({runtime.CACHE_SIZE_VARIABLE: "12345"}, 12345)],
)
def test_more_kernels_are_kept_than_taichi_would_unless_its_variable_says_how_many(variables, size):
    code = (
        "import taichisoft as ts; ts.init('cpu'); from taichisoft.base.taichi import ti; "
        "print(ti.lang.impl.current_cfg().offline_cache_max_size_of_files)"
    )
    assert answer(code, **variables) == str(size)


@pytest.mark.cpu_only
def test_import_render_and_gradient_are_silent():
    done = python(RENDER, TAICHISOFT_BACKEND="cpu")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.cpu_only
def test_backend_starts_lazily():
    code = """
import taichisoft as ts
from taichisoft.base import backend as runtime
camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(8, 8))
mesh, renderer = ts.shapes.icosphere(1), ts.SoftRasterizer()
available = ts.available_backends()
before = runtime._active
renderer(mesh, camera)
print(before, runtime._active is not None)
"""
    assert answer(code) == "None True"


@pytest.mark.cpu_only
def test_a_software_driver_is_never_the_default(monkeypatch):
    monkeypatch.setattr(runtime, "_reason_missing", {"cuda": "x", "metal": "x"}.get)
    monkeypatch.setattr(runtime, "vulkan_devices", lambda: [("llvmpipe", False)])
    assert runtime.best_backend() == "cpu"
    monkeypatch.setattr(runtime, "vulkan_devices", lambda: [("llvmpipe", False), ("card", True)])
    assert runtime.best_backend() == "vulkan"
    monkeypatch.setattr(runtime, "vulkan_devices", list)
    assert runtime.best_backend() == "cpu"
    monkeypatch.setattr(runtime, "_reason_missing", {"metal": "x"}.get)
    assert runtime.best_backend() == "cuda"
    monkeypatch.setattr(runtime, "_reason_missing", {"cuda": "x"}.get)
    assert runtime.best_backend() == "metal"


@pytest.mark.cpu_only
def test_taichi_initialised_by_someone_else_is_noticed():
    code = f"""
import {ENGINE.name} as ti
ti.init(arch=ti.cpu, log_level=ti.ERROR, offline_cache=False)
import taichisoft as ts
print(ts.init("cpu"))
try:
    runtime_error = None
    from taichisoft.base import backend
    backend._active = None
    ts.init("vulkan" if ts.available_backends()["vulkan"] else "metal")
except RuntimeError as error:
    print("has initialised {ENGINE.title} itself" in str(error))
"""
    quiet = {f"ENABLE_{ENGINE.name.upper()}_HEADER_PRINT": "False"}
    lines = answer(code, python, **quiet).splitlines()
    assert lines[-2:] == ["cpu", "True"]


def test_float64_is_refused_where_the_backend_lacks_it():
    if ts.backend() in ("cpu", "cuda"):
        assert runtime.kernel_dtype(torch.float64) is not runtime.kernel_dtype(torch.float32)
        return
    mesh = ts.shapes.icosphere(0).to(dtype=torch.float64)
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(8, 8), dtype=torch.float64)
    with pytest.raises(
        TypeError, match=r"float64 is not available on the '\w+' backend; pass float32"
    ):
        ts.SoftRasterizer()(mesh, camera)


IN_A_CHILD = """
import os, signal, torch
import taichisoft as ts
from taichisoft.base.taichi import ti

mesh, camera = ts.shapes.icosphere(1), ts.Camera.look_at((0, 0, 3), image_size=(12, 16))
vertices = mesh.vertices.clone().requires_grad_()
render = lambda: ts.SoftRasterizer()(mesh.with_vertices(vertices), camera).alpha.sum()

def in_child(function):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # instead of waiting for ever
        try:
            answer = str(function())
        except RuntimeError as error:
            answer = str(error)
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        print(file.read()[:60])
    os.waitpid(child, 0)
"""
# What an engine that a program starts itself begins with.
SAYING = f"[{ENGINE.name.capitalize()}]"
FORKED = "no render is possible here: this process was forked after ta"


@pytest.mark.cpu_only
@pytest.mark.parametrize(
    "started", ["ts.init()", "render()", "ti.init(arch=ti.cpu, log_level=ti.ERROR)"]
)
def test_a_fork_of_a_process_that_has_rendered_says_so_at_once(started):
    code = f"{IN_A_CHILD}\n{started}\nin_child(render)\nin_child(lambda: 1 + 1)\nrender()"
    said = answer(code, TAICHISOFT_BACKEND="cpu").splitlines()
    assert [line for line in said if not line.startswith(SAYING)] == [FORKED, "2"]


@pytest.mark.cpu_only
def test_a_fork_cannot_go_back_through_an_image_of_its_parent():
    code = f"{IN_A_CHILD}\nalpha = render()\nin_child(alpha.backward)"
    assert answer(code, TAICHISOFT_BACKEND="cpu") == FORKED


@pytest.mark.cpu_only
def test_a_fork_before_the_first_render_renders():
    code = f"{IN_A_CHILD}\nin_child(lambda: bool(render() > 1))"
    assert answer(code, TAICHISOFT_BACKEND="cpu") == "True"


@pytest.mark.cpu_only
def test_workers_that_load_data_go_on_after_a_render():
    code = IN_A_CHILD + (
        "\nfrom torch.utils.data import DataLoader"
        "\nrender()"
        "\nloader = DataLoader(torch.arange(6), batch_size=3, num_workers=2)"
        "\nprint([batch.tolist() for batch in loader], bool(render() > 1))"
    )
    assert answer(code, TAICHISOFT_BACKEND="cpu") == "[[0, 1, 2], [3, 4, 5]] True"


@pytest.mark.cpu_only
@pytest.mark.parametrize("again", ["ti.reset()", "ti.init(arch=ti.cpu, log_level=ti.ERROR)"])
def test_a_render_after_taichi_was_reset_says_so(again):
    code = IN_A_CHILD + (
        f"\nalpha = render()\n{again}"
        "\nfor use in (render, alpha.backward, ts.backend):"
        "\n    try:"
        "\n        use()"
        "\n    except RuntimeError as error:"
        "\n        print(str(error)[:55])"
    )
    said = answer(code, TAICHISOFT_BACKEND="cpu").splitlines()
    wanted = [
        f"no render is possible any more: {ENGINE.title} was reset ({ENGINE.alias}.reset"[:55]
    ] * 3
    assert [line for line in said if not line.startswith(SAYING)] == wanted
