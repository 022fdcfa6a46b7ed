"""Own data: folders of images with cameras."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from taichisoft import Camera, save_mesh
from taichisoft.files.images import write_image
from tasks.base import Split
from tasks.single_view.folders import load_folder, load_picture
from tasks.single_view.photographs import Subject
from tasks.single_view.shapenet import FOV, load_shapenet_cameras
from tests.tasks.single_view.cases import DATA, data

METADATA = "10.0 25.0 0 0.7 25\n120.0 30.0 0 0.9 25\n"


def write_object(folder: Path, subject: Subject, *, masks: bool = False) -> None:
    """Write the first views of an object as NeRF's programs do, and its mesh."""
    folder.mkdir(parents=True)
    frames = []
    for index in range(3):
        image = subject.images[index].float() / 255
        alpha = image[..., 3:]
        straight = torch.where(alpha > 0, image[..., :3] / alpha.clamp(min=1e-6), 0)
        if masks:
            write_image(straight, folder / f"{index}.png")
            write_image(alpha[..., 0], folder / f"{index}_mask.png")
        else:
            write_image(torch.cat([straight, alpha], -1), folder / f"{index}.png")
        frames.append(
            {"file_path": f"{index}.png", "transform_matrix": pose(subject.camera[index])}
        )
    height = subject.camera.image_size[0]
    focal = float(subject.camera.intrinsics[0, 0, 0])
    record = {"camera_angle_x": 2 * math.atan(height / 2 / focal), "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(record))
    save_mesh(subject.mesh, folder / "mesh.ply")


def pose(camera: Camera) -> list[list[float]]:
    """Return camera to world in the axes of OpenGL."""
    rotation = camera.rotation[0].double()
    place = -rotation.T @ camera.translation[0].double()
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = rotation.T * torch.tensor([1.0, -1.0, -1.0])
    matrix[:3, 3] = place
    return matrix.tolist()


@pytest.fixture
def root(tmp_path):
    cups = data().train.subjects[:3]
    write_object(tmp_path / "cups" / "a", cups[0])
    write_object(tmp_path / "cups" / "b", cups[1], masks=True)
    write_object(tmp_path / "tall" / "c", cups[2])
    (tmp_path / "held_out.txt").write_text("tall/c\n\n")
    return tmp_path


def wanted(root: Path, **changes: object):
    return replace(DATA, folder=str(root), **changes)


def test_folders_give_what_was_written(root):
    train = load_folder(wanted(root), Split.TRAIN)
    assert [s.name for s in train.subjects] == ["cups/a", "cups/b"]
    assert {s.category for s in train.subjects} == {"cups"}
    for found, written in zip(train.subjects, data().train.subjects, strict=False):
        # Colours were divided by the opacity and multiplied by it again, in 8 bits.
        assert (found.images.int() - written.images[:3].int()).abs().max() <= 1
        assert torch.allclose(found.camera.rotation, written.camera.rotation[:3], atol=1e-6)
        assert torch.allclose(found.camera.translation, written.camera.translation[:3], atol=1e-5)
        assert torch.allclose(found.camera.intrinsics, written.camera.intrinsics[:3], atol=1e-4)
        assert torch.allclose(found.mesh.vertices, written.mesh.vertices)
    held_out = load_folder(wanted(root), Split.HELD_OUT)
    assert [s.name for s in held_out.subjects] == ["tall/c"]


def test_sizes_and_units_change_together(root):
    plain = load_folder(wanted(root), Split.TRAIN).subjects[0]
    other = load_folder(wanted(root, image_size=8, radius=2.0), Split.TRAIN).subjects[0]
    assert other.images.shape == (3, 8, 8, 4)
    assert torch.allclose(other.mesh.vertices, plain.mesh.vertices / 2)
    before, after = (s.camera.project(s.mesh.vertices) for s in (plain, other))
    scale = 8 / DATA.image_size
    assert torch.allclose(after[..., :2], before[..., :2] * scale, atol=1e-4)


def test_every_fifth_is_held_out_without_a_list(root):
    (root / "held_out.txt").unlink()
    for name in "de":
        write_object(root / "tall" / name, data().train.subjects[3])
    held_out = load_folder(wanted(root), Split.HELD_OUT)
    assert [s.name for s in held_out.subjects] == ["tall/e"]


def test_what_is_wrong_is_named(root):
    with pytest.raises(
        FileNotFoundError, match=r"folder must be an existing folder, got .*nowhere"
    ):
        load_folder(wanted(root / "nowhere"), Split.TRAIN)
    (root / "cups" / "a" / "empty").mkdir()
    with pytest.raises(ValueError, match="folder must have objects with transforms"):
        load_folder(wanted(root / "cups" / "a" / "empty"), Split.TRAIN)
    (root / "held_out.txt").write_text("tall/d")
    with pytest.raises(
        ValueError, match=r"held_out.txt must name objects of the folder, got 'tall/d'"
    ):
        load_folder(wanted(root), Split.TRAIN)
    (root / "held_out.txt").write_text("cups/a\ncups/b\ntall/c")
    with pytest.raises(ValueError, match="folder must have train objects, got none of 3"):
        load_folder(wanted(root), Split.TRAIN)


def test_wrong_images_are_named(root):
    folder = root / "cups" / "b"
    write_image(torch.ones(4, 4), folder / "1_mask.png")
    with pytest.raises(
        ValueError, match=r"1_mask.png must have the size of 1.png, \(16, 16\), got \(4, 4\)"
    ):
        load_folder(wanted(root), Split.TRAIN)
    (folder / "1_mask.png").unlink()
    with pytest.raises(
        ValueError, match=r"1.png must have an opacity .* or a mask 1_mask.png beside it"
    ):
        load_folder(wanted(root), Split.TRAIN)
    (folder / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1.png"):
        load_folder(wanted(root), Split.TRAIN)


def test_small_images_are_means(tmp_path):
    image = torch.zeros(4, 4, 4)
    image[:, 2:] = torch.tensor([1.0, 0.5, 0.0, 1.0])
    image[:, :2] = torch.tensor([0.0, 1.0, 1.0, 0.0])
    write_image(image, tmp_path / "a.png")
    small = load_picture(tmp_path / "a.png", (1, 1))
    # What is transparent has no colour.
    assert small.flatten().tolist() == pytest.approx([128, 64, 0, 128], abs=1)


def test_layout_of_shapenet(tmp_path):
    folder = tmp_path / "02958343" / "abc" / "rendering"
    folder.mkdir(parents=True)
    (folder / "rendering_metadata.txt").write_text(METADATA)
    image = torch.rand(10, 10, 4)
    image[..., 3] = (torch.arange(10) < 5).float()
    for index in range(2):
        write_image(image, folder / f"0{index}.png")
    (tmp_path / "held_out.txt").write_text("")
    subject = load_folder(wanted(tmp_path), Split.TRAIN).subjects[0]
    assert (subject.name, subject.category) == ("02958343/abc", "02958343")
    assert subject.mesh is None
    # The largest distance is 1.75, objects have a radius of 0.5, and 90 degrees are on the side of +z.
    place = subject.camera.position
    assert torch.allclose(place.norm(dim=1), 2 * 1.75 * torch.tensor([0.7, 0.9]))
    azimuth = torch.rad2deg(torch.atan2(place[:, 2], place[:, 0]))
    assert azimuth.tolist() == pytest.approx([10, 120], abs=1e-3)
    elevation = torch.rad2deg(torch.asin(place[:, 1] / place.norm(dim=1)))
    assert elevation.tolist() == pytest.approx([25, 30], abs=1e-3)
    # 35 mm before 32 mm.
    assert subject.camera.intrinsics[0, 0, 0] == pytest.approx(DATA.image_size * 35 / 32)
    assert pytest.approx(49.13, abs=0.01) == FOV


def test_a_turned_camera_turns_the_image(tmp_path):
    file = tmp_path / "rendering_metadata.txt"
    file.write_text("30 20 0 0.8 25\n30 20 90 0.8 25")
    straight, turned = load_shapenet_cameras(file, (100, 100)).cameras
    assert torch.allclose(straight.position, turned.position, atol=1e-5)
    points = torch.tensor([[0.1, 0.2, -0.1]])
    (x, y), (u, v) = ((c.project(points)[0, 0, :2] - 50).tolist() for c in (straight, turned))
    # The camera turns clockwise as it sees it, and what it sees the other way.
    assert (u, v) == pytest.approx((y, -x), abs=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a line for each image"),
        ("1 2 3 4", "line 1 must be five numbers .* got '1 2 3 4'"),
        ("1 2 3 4 5\n\n1 2 3 x 5", "line 3 must be five numbers"),
        ("1 2 3 0 5", "distance in line 1 must be positive, got 0.0"),
    ],
)
def test_wrong_metadata_is_named(tmp_path, text, message):
    file = tmp_path / "rendering_metadata.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_shapenet_cameras(file, (10, 10))
    assert str(file) in str(caught.value)
