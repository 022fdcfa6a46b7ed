"""A request that cannot fit is refused with how much it needs; memory that is freed is kept."""

from __future__ import annotations

import platform
import resource
from itertools import pairwise

import pytest
import torch

import taichisoft as ts
from taichisoft.base import memory


def camera(size: int) -> ts.Camera:
    return ts.Camera.look_at((0.0, 0.0, 3.0), image_size=(size, size))


def test_free_memory_is_known_here():
    free = memory.free_bytes(torch.device("cpu"))
    assert 2**20 < free < 2**50
    assert memory.free_bytes(torch.device("meta")) is None


def test_refusal_says_how_much_is_needed(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 200_000_000)
    render = ts.SoftRasterizer()
    mesh = ts.shapes.icosphere(0)
    with pytest.raises(MemoryError) as refused:
        render.silhouette(mesh, camera(5000))
    assert str(refused.value) == (
        "rendering 1 x 5000 x 5000 pixels with 0 channels and 20 faces in all needs at least 0.4 GB of "
        "memory on cpu, and 0.2 GB are free; render fewer images at a time, or smaller ones"
    )


def test_colours_count(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 900_000_000)
    mesh = ts.shapes.icosphere(0)
    with pytest.raises(MemoryError, match=r"with 3 channels .* needs at least 1\.0 GB"):
        ts.SoftRasterizer()(mesh, camera(3200), torch.rand(mesh.num_vertices, 3))


def test_fragments_count(monkeypatch):
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 900_000)
    mesh = ts.shapes.icosphere(1)
    by_reference = ts.SoftRasterizer(occlusion=ts.DepthSoftmax())
    lighting = ts.Lighting([ts.AmbientLight()], ts.Shading.GOURAUD)
    assert by_reference(mesh, camera(64), lighting=lighting).color.max() > 0.9
    with pytest.raises(MemoryError, match=r"Phong shading of [0-9]+ pairs of a face and a pixel"):
        by_reference(mesh, camera(64), lighting=ts.Lighting([ts.AmbientLight()]))


def test_what_fits_is_rendered(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    alpha = ts.SoftRasterizer().silhouette(ts.shapes.icosphere(0), camera(16))
    assert alpha.max() > 0.9


def test_unknown_free_memory_refuses_nothing(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    memory.check_fits(2**60, torch.device("cpu"), "this")


@pytest.mark.cpu_only
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_memory_of_images_is_kept_when_they_are_freed():
    faults = []
    for _ in range(4):
        images = [torch.zeros(2**21) for _ in range(3)]  # of 8 MB
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        del images
    assert min(b - a for a, b in pairwise(faults)) < 100
