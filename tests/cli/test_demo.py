"""The demonstration: its pictures, what it says of them, and its errors before any work."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

import taichisoft as ts
from taichisoft.cli.demonstrations import learned, pose, shape
from taichisoft.cli.demonstrations.pictures import (
    BOTH,
    DIMMEST,
    EMPTY,
    EXCESS,
    MISSING,
    compared,
    shaded,
)
from taichisoft.cli.demonstrations.sheet import (
    BOTTOM,
    CHART_HEIGHT,
    COLORS,
    GAP,
    LEFT,
    NAME_WIDTH,
    RIGHT,
    TOP,
    Entry,
    draw_sheet,
)
from taichisoft.cli.main import main


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as film:
        frames = []
        for place in range(film.n_frames):
            film.seek(place)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    return frames


def share_of(frame: np.ndarray, color: tuple[float, ...]) -> float:
    """Return the share of pixels near a colour, whatever the palette made of it."""
    return float((np.abs(frame - 255 * np.array(color)).max(-1) < 25).mean())


@pytest.mark.cpu_only
def test_pose_and_shape_are_found_and_softnesses_compared(tmp_path, capsys, monkeypatch):
    # Fewer than are shown: enough to tell that it works.
    for module, steps in ((pose, 24), (shape, 16), (learned, 12)):
        monkeypatch.setattr(module, "STEPS", steps)
    monkeypatch.setattr(learned, "EACH", 1)
    out = tmp_path / "new" / "pictures"
    assert main(["demo", "--out", str(out)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in told[1:]] == [
        str(out / name) for name in ("pose.gif", "shape.gif", "learned.png")
    ]
    off, left, reached = map(
        float, re.search(r"a mug (\d+) .* is ([\d.]+) .*IoU ([\d.]+)$", told[1]).groups()
    )
    assert (off, left < 40, reached > 0.85) == (63, True, True)
    before, after = map(float, re.search(r"IoU ([\d.]+), .* ([\d.]+), from", told[2]).groups())
    assert before < 0.7
    assert after > before + 0.04
    found = dict(re.findall(r"(?:: |, )(\D.*?) (\d+)(?=,| \()", told[3].partition("poses")[2]))
    assert list(found) == [
        'learned ("general")',
        "suggested scale",
        "SoftRas's default",
        "Gaussian of 1 px",
    ]
    assert "of 5:" in told[3]
    assert all(0 <= int(number) <= 5 for number in found.values())

    turned, formed = frames_of(out / "pose.gif"), frames_of(out / "shape.gif")
    assert (len(turned), len(formed)) == (13, 5)
    assert share_of(turned[0], MISSING) > 0.05
    assert share_of(turned[-1], MISSING) < 0.03
    # The right half is the solution, which stays; the left one becomes like it.
    half = formed[0].shape[1] // 2
    tops = [frame[:half, :half] - frame[:half, half:] for frame in (formed[0], formed[-1])]
    first, last = (np.abs(difference).mean() for difference in tops)
    assert last < 0.95 * first
    with Image.open(out / "learned.png") as picture:
        assert (picture.format, picture.width) == (
            "PNG",
            LEFT + NAME_WIDTH + 5 * (64 + GAP) + RIGHT,
        )


def test_poses_start_as_far_away_as_is_said_and_end_at_the_solution():
    poses = learned.Poses()
    angles = poses.angles(poses.init()["turn"])
    assert angles.shape == (20,)
    assert learned.NEAREST <= angles.min() < angles.max() <= learned.FARTHEST
    assert poses.angles(poses.truth).max() < 0.1
    unsolved = poses.loss(poses.init(), ts.SoftRasterizer.hard())
    assert unsolved.min() > 0.02
    solved = poses.loss({"turn": poses.truth}, ts.SoftRasterizer.hard())
    torch.testing.assert_close(solved, torch.zeros(20))


def test_a_softness_that_follows_the_situation_is_told_of_the_start(monkeypatch):
    monkeypatch.setattr(learned, "EACH", 1)
    monkeypatch.setattr(learned, "STEPS", 1)
    poses, renderer = learned.Poses(), ts.SoftRasterizer(ts.Gaussian(ts.scale_by_edge()))
    assert renderer.softness.is_conditioned
    untold = float(renderer.coverage.scale.in_pixels(64))
    assert len(learned._turns(poses, renderer)) == 2
    told = float(renderer.coverage.scale.in_pixels(64))
    wanted = float(ts.suggest_scale(poses.start, poses.camera).in_pixels(64))
    assert told == pytest.approx(wanted, rel=1e-6)
    assert told != pytest.approx(untold, rel=0.02)


def test_masks_over_each_other_are_told_apart():
    got = torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.5]])
    wanted = torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0]])
    halved = (0.5 * (torch.tensor(BOTH) + torch.tensor(MISSING))).tolist()
    expected = torch.tensor([[BOTH, MISSING, EXCESS, EMPTY, halved]])
    torch.testing.assert_close(compared(got, wanted), expected)


def test_a_face_is_as_light_as_it_faces_the_camera():
    angle = 0.6
    tilted = ts.rotations.from_axis_angle(torch.tensor([angle, 0.0, 0.0]))
    square = ts.shapes.quad()
    mesh = square.with_vertices(square.vertices @ tilted.mT)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), fov=40, image_size=(24, 24))
    picture = shaded(mesh, camera)
    light = DIMMEST + (1 - DIMMEST) * np.cos(angle)
    assert picture[12, 12].tolist() == pytest.approx([light * c for c in BOTH], abs=1e-4)
    assert picture[0, 0].tolist() == pytest.approx(EMPTY, abs=1e-6)


def test_lines_and_pictures_are_where_they_belong():
    pictures = [Image.new("RGB", (10, 10), (0, 0, 200)) for _ in range(40)]
    rising = Entry("first", [0.0, 10.0, 5.0], pictures)
    above = Entry("second", [10.0, 10.0, 99.0], pictures)
    sheet = draw_sheet([rising, above], title="t", below="b", ticks=(0, 10, 20))
    width = LEFT + NAME_WIDTH + 40 * (10 + GAP) + RIGHT
    assert sheet.size[0] == width
    numbers = np.asarray(sheet).astype(int)

    def drawn(color: str, x: int) -> list[int]:
        """Return the rows in which a column of the chart has a colour."""
        column = numbers[: CHART_HEIGHT - BOTTOM + 3, x]
        return np.flatnonzero(np.abs(column - ImageColor.getrgb(color)).max(-1) < 60).tolist()

    bottom, middle = CHART_HEIGHT - BOTTOM, (LEFT + width - RIGHT) // 2
    quarter = (LEFT + middle) // 2
    assert np.mean(drawn(COLORS[0], quarter)) == pytest.approx(
        bottom - 0.25 * (bottom - TOP), abs=2
    )
    assert np.mean(drawn(COLORS[1], quarter)) == pytest.approx((bottom + TOP) / 2, abs=2)
    # What is beyond the axis ends at it.
    assert np.mean(drawn(COLORS[1], width - RIGHT - 3)) == pytest.approx(TOP, abs=3)
    blue = (numbers == (0, 0, 200)).all(-1)
    assert blue.sum() == 2 * 40 * 100
    assert not blue[:CHART_HEIGHT].any()
    assert not blue[:, : LEFT + NAME_WIDTH].any()


@pytest.mark.parametrize(
    ("made", "out", "message"),
    [
        ("file", "taken", "--out must be a folder, got the file taken"),
        ("file", "taken/below", "--out must be a folder that can be made, got taken/below: "),
        ("folder", "taken", "--out must be a folder without a folder shape.gif, got taken"),
    ],
)
def test_places_that_cannot_be_written_to_are_refused_before_the_work(
    made, out, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if made == "file":
        (tmp_path / "taken").write_text("")
    else:
        (tmp_path / "taken" / "shape.gif").mkdir(parents=True)
    assert main(["demo", "--out", out]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"taichisoft demo: error: {message}")
    assert said.err.count("\n") == 1


def test_a_folder_without_permission_is_refused(tmp_path, capsys, monkeypatch):
    # Whoever runs the tests may be allowed everything.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "--out must be a folder that can be written to" in capsys.readouterr().err
