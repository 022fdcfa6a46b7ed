"""Learned softness as package data."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.softness import pretrained
from taichisoft.softness.pretrained import load_from, names_in, pretrained_names

TRAINED = {"settings": {"seed": 3, "families": ["pose"]}, "evaluation": {"solved": 0.9}}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two softnesses, and files that are none."""
    softness = ts.Softness(ts.MonotoneSpline(ts.Pixels(0.3, learn=True)), ts.Hamacher(2.0))
    with torch.no_grad():
        softness.coverage.weight += torch.linspace(0, 1, 12, dtype=torch.float64)
    softness.save(tmp_path / "pose.safetensors", trained=TRAINED)
    ts.Softness().save(tmp_path / "general.safetensors", trained={"by": "hand"})
    (tmp_path / "README.md").write_text("no weights")
    (tmp_path / "shape.safetensors.partial").write_bytes(b"")
    return tmp_path


def test_names_are_those_of_the_files(folder):
    assert names_in(folder) == ("general", "pose")
    assert names_in(folder / "nothing") == ()


def test_a_softness_comes_back_with_how_it_was_trained(folder):
    loaded = load_from(folder, "pose")
    assert loaded.trained == TRAINED
    assert isinstance(loaded.aggregation, ts.Hamacher)
    direct = ts.Softness.load(folder / "pose.safetensors")
    assert loaded.state_dict().keys() == direct.state_dict().keys()
    for name, value in direct.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_a_renderer_of_it(folder, monkeypatch):
    monkeypatch.setattr("taichisoft.render.rasterizer.shipped", lambda: folder)
    renderer = ts.SoftRasterizer.pretrained(
        "pose", background=(0.5, 0.25), gradient="autodiff", deterministic=True
    )
    assert renderer.softness.trained == TRAINED
    assert renderer.background.tolist() == [0.5, 0.25]
    assert renderer.gradient == "autodiff"
    assert renderer.deterministic
    plain = ts.SoftRasterizer.pretrained("pose")
    assert (plain.gradient, plain.deterministic, plain.background.item()) == ("fused", False, 0)
    camera = ts.Camera.look_at(eye=(0.0, 0.0, 3.0), image_size=(8, 8))
    mesh = ts.shapes.hammer()
    expected = ts.SoftRasterizer(softness=load_from(folder, "pose")).silhouette(mesh, camera)
    assert torch.equal(plain.silhouette(mesh, camera), expected)
    assert expected.max() > 0.5


def test_a_frozen_softness_in_a_module_does_not_drift_and_a_trainable_one_does():
    mesh = ts.shapes.icosphere(1)
    camera = ts.Camera.look_at(eye=(0.0, 0.0, 3.0), image_size=(16, 16))
    target = ts.SoftRasterizer.hard().silhouette(mesh, camera)
    for trainable in (False, True):
        module = torch.nn.Module()
        module.renderer = ts.SoftRasterizer.pretrained("pose", trainable=trainable)
        module.offset = torch.nn.Parameter(torch.tensor([0.3, 0.0, 0.0]))
        before = {n: p.detach().clone() for n, p in module.renderer.named_parameters()}
        assert len(before) >= 3
        optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
        for _ in module.renderer.anneal(4):
            optimizer.zero_grad()
            moved = mesh.with_vertices(mesh.vertices + module.offset)
            ts.iou_loss(module.renderer.silhouette(moved, camera), target).backward()
            optimizer.step()
        assert float((module.offset.detach() - torch.tensor([0.3, 0.0, 0.0])).abs().max()) > 0.01
        for name, parameter in module.renderer.named_parameters():
            moved_too = trainable and "scale" in name
            assert not moved_too or not torch.equal(parameter, before[name]), name
            assert trainable or torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("name", ["mug", "", "../pose", "pose.safetensors", "README"])
def test_unknown_names_are_answered_with_those_present(folder, name):
    with pytest.raises(ValueError, match=r"softnesses present \(general, pose\), got"):
        load_from(folder, name)


def test_wrong_types_and_empty_folders_are_named(tmp_path):
    with pytest.raises(TypeError, match="name must be a str, got int"):
        load_from(tmp_path, 3)
    with pytest.raises(ValueError, match="none, since no weights are there"):
        load_from(tmp_path, "pose")
    with pytest.raises(ValueError, match="name must be one of"):
        ts.SoftRasterizer.pretrained("no such name")


def test_the_package_has_the_folder_and_everything_in_it_loads():
    folder = pretrained.shipped()
    assert (folder / "README.md").is_file()
    assert pretrained_names() == names_in(folder)
    for name in pretrained_names():
        renderer = ts.SoftRasterizer.pretrained(name)
        assert renderer.softness.trained, f"{name} does not say how it was trained"
