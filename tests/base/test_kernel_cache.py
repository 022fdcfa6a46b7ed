"""Processes that share the cache of compiled kernels neither hang nor spoil it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.cpu_only

RENDER = """
import taichisoft as ts
ts.init("cpu")
mesh = ts.shapes.icosphere(1)
mesh = mesh.with_vertices(mesh.vertices.clone().requires_grad_())
camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(16, 16))
alpha = ts.SoftRasterizer().silhouette(mesh, camera)
alpha.sum().backward()
print(alpha.sum().item(), mesh.vertices.grad.abs().sum().item())
"""


def start(cache) -> subprocess.Popen:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAICHISOFT_", "TI_"))}
    return subprocess.Popen(
        [sys.executable, "-c", RENDER],
        env={**kept, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(processes: list[subprocess.Popen]) -> set[str]:
    found = set()
    for process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert err == ""
        found.add(out)
    return found


def test_processes_share_an_empty_and_then_a_filled_cache(tmp_path):
    first = answers([start(tmp_path) for _ in range(3)])
    assert len(first) == 1
    assert any(tmp_path.rglob("*.tic"))
    assert answers([start(tmp_path) for _ in range(2)]) == first
