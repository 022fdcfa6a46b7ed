"""Processes that share the cache of compiled kernels neither hang nor spoil it."""

from __future__ import annotations

from pathlib import Path

import pytest

from taichisoft.base.engine import ENGINE
from tests.forks import Program, outside

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
    return Program(RENDER, {**outside(), "XDG_CACHE_HOME": str(cache)})


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
    assert any(tmp_path.rglob(f"*.{ENGINE.alias}c"))
    assert answers([start(tmp_path) for _ in range(2)]) == first
