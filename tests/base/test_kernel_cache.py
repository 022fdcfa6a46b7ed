"""Processes that share the cache of compiled kernels neither hang nor spoil it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.forks import Program

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


def start(cache: Path) -> Program:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TAICHISOFT_")}
    return Program(RENDER, {**kept, "XDG_CACHE_HOME": str(cache)})


def answers(programs: list[Program]) -> set[str]:
    found = set()
    for program in programs:
        done = program.finished()
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        found.add(done.stdout)
    return found


def test_processes_share_an_empty_and_then_a_filled_cache(tmp_path):
    first = answers([start(tmp_path) for _ in range(2)])
    assert len(first) == 1
    assert any(tmp_path.rglob("*.tic"))
    assert answers([start(tmp_path) for _ in range(2)]) == first
