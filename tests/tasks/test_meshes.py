"""Which meshes are learned from and which are tested on, built in and from files."""

from __future__ import annotations

import pytest
import torch

from taichisoft import Mesh, shapes
from taichisoft.files.saved_meshes import save_mesh
from tasks import MeshSplit, PoseFamily, Split, default_meshes, load_meshes
from tests.zoo.tasks import CASES, SIZE, SOME_MESHES, soft


def test_default_sets_are_disjoint_and_made_once():
    meshes = default_meshes()
    assert meshes is default_meshes()
    assert len(meshes.train) >= 6
    assert len(meshes.held_out) >= 4
    assert not meshes.train.keys() & meshes.held_out.keys()
    for split in Split:
        for mesh in meshes.of(split).values():
            assert mesh.dtype == torch.float32
            assert mesh.vertices.norm(dim=1).max() == pytest.approx(1.0)


def test_sample_uses_the_meshes_of_its_split_evenly():
    for split in Split:
        allowed = {mesh.num_vertices for mesh in SOME_MESHES.of(split).values()}
        task = CASES["pose"].sample(0, 6, split)
        counts = task.meshes.vertex_counts
        assert set(counts) == allowed
        assert all(counts.count(size) == 3 for size in allowed)


def test_split_refuses_what_is_in_both_sets_and_what_is_no_mesh():
    chair, key = shapes.chair(), shapes.key()
    with pytest.raises(ValueError, match="no name in common"):
        MeshSplit({"a": chair}, {"a": key})
    with pytest.raises(ValueError, match="no mesh in common, got 'a' and 'b'"):
        MeshSplit({"a": chair}, {"b": shapes.chair()})
    with pytest.raises(ValueError, match="held_out must hold at least one mesh"):
        MeshSplit({"a": chair}, {})
    with pytest.raises(TypeError, match=r"train\['a'\] must be a Mesh"):
        MeshSplit({"a": None}, {"b": key})
    with pytest.raises(TypeError, match="train must be a Mapping"):
        MeshSplit([chair], {"b": key})
    with pytest.raises(ValueError, match=r"train\['a'\] must not be batched"):
        MeshSplit({"a": chair.with_vertices(chair.vertices[None])}, {"b": key})
    with pytest.raises(ValueError, match="at least one face"):
        MeshSplit({"a": Mesh(torch.zeros(3, 3), chair.faces[:0])}, {"b": key})


@pytest.fixture
def files(tmp_path):
    colored = shapes.mug().with_vertex_colors(torch.rand(shapes.mug().num_vertices, 3))
    meshes = {"a.ply": colored, "b.obj": shapes.boot(), "c.ply": shapes.car()}
    for name, mesh in meshes.items():
        save_mesh(mesh.with_vertices(3 * mesh.vertices + 1), tmp_path / name)
    return [tmp_path / name for name in meshes]


def test_user_files_are_split_normalised_and_usable(files):
    meshes = load_meshes(files)
    assert list(meshes.train) == [str(files[0]), str(files[2])]
    assert list(meshes.held_out) == [str(files[1])]
    for split in Split:
        for mesh in meshes.of(split).values():
            assert mesh.vertices.norm(dim=1).max() == pytest.approx(1.0)
    # One mesh has colours and the other has none, which a batch could not hold.
    task = PoseFamily(image_size=SIZE, meshes=meshes).sample(0, 2, Split.TRAIN)
    assert task.loss(task.init(), soft()).isfinite().all()


def test_user_files_that_cannot_be_split_are_refused(files):
    with pytest.raises(ValueError, match=r"files must hold at least 2 meshes.*got 1"):
        load_meshes(files[:1])
    with pytest.raises(ValueError, match="files must all be different"):
        load_meshes([files[0], files[0]])
    with pytest.raises(TypeError, match="files must be a sequence of paths"):
        load_meshes(str(files[0]))
    with pytest.raises(FileNotFoundError, match="missing"):
        load_meshes([files[0], files[0].with_name("missing.obj")])
