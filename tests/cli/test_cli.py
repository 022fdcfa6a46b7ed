"""The command line: what it writes, against the library and formulas; and its errors, one line each."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image

import taichisoft as ts
from taichisoft.base.engine import ENGINE
from taichisoft.cli.framing import FILL, filling_distance
from taichisoft.cli.main import COMMANDS, main
from taichisoft.cli.pose_file import CONVENTION, CONVENTION_OF_VIEWS, Start, read_pose
from taichisoft.files import images
from taichisoft.geometry.rotations import angle_between
from taichisoft.poses.framed import Framed
from tests.forks import Program, outside


@pytest.fixture
def mug(tmp_path):
    path = tmp_path / "mug.obj"
    ts.save_mesh(ts.shapes.mug(), path)
    return path


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "taichisoft", *map(str, arguments)],
        env={**outside(), **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def forked(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
    """Run the command line in a process that is spared the imports."""
    words = ["taichisoft", *map(str, arguments)]
    code = (
        f"import sys; from taichisoft.cli.main import main; sys.argv = {words!r}; sys.exit(main())"
    )
    return Program(code, {**outside(), **variables}).finished()


def call(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# --- processes


@pytest.mark.cpu_only
def test_a_mask_that_was_rendered_gives_its_pose_back(mug, tmp_path):
    mask, pose, overlay = (
        tmp_path / name for name in ("mask.png", "pose.json", "pose_overlay.png")
    )
    options = ("--size", "120x90", "--fov", "30", "--azimuth", "55", "--elevation", "25")
    assert call("render", mug, "-o", mask, "--silhouette", "--softness", "0", *options) == 0
    search = ("--fov", "30", "--starts", "6", "--steps", "40")
    done = run("fit-pose", mug, mask, "-o", pose, *search)
    assert (done.returncode, done.stderr) == (0, "")
    assert "best of 96 random orientations: IoU 0." in done.stdout
    assert f"written to {pose}; overlay: {overlay}" in done.stdout.splitlines()[3]

    found = json.loads(pose.read_text())
    framed = Framed.of(ts.load_mesh(mug))
    distance = filling_distance(framed.mesh.vertices, 55, 25, 30, (90, 120))
    camera = ts.Camera.orbit(distance, 55, 25, fov=30, image_size=(90, 120))
    assert found["iou"] > 0.985
    assert math.degrees(angle_between(torch.tensor(found["R"]), camera.rotation[0])) < 1
    translation = framed.in_mesh_units(camera.rotation, camera.translation)[0]
    assert (torch.tensor(found["t"]) - translation).norm() < 0.01 * translation.norm()
    torch.testing.assert_close(torch.tensor(found["K"]), camera.intrinsics[0])

    again = ts.Camera.from_opencv(found["K"], found["R"], found["t"], tuple(found["image_size"]))
    silhouette = ts.SoftRasterizer.hard().silhouette(ts.load_mesh(mug), again)[0]
    red, green, blue = np.moveaxis(pixels(overlay), -1, 0) / 255
    np.testing.assert_array_equal(red, pixels(mask) / 255)
    assert (green != silhouette.numpy()).mean() < 0.002
    assert not blue.any()


@pytest.mark.cpu_only
def test_render_says_nothing(mug, tmp_path):
    done = run("render", mug, "-o", tmp_path / "out.png", "--size", "16x16", "--backend", "cpu")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert pixels(tmp_path / "out.png").shape == (16, 16, 4)


@pytest.mark.cpu_only
def test_info_says_what_runs(tmp_path):
    done = forked("info", TAICHISOFT_BACKEND="cpu", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert lines["taichisoft"].strip() == ts.__version__
    assert lines["torch"].strip() == torch.__version__
    assert lines["backend"].strip().startswith("cpu (present: cpu")
    assert lines["cache"].strip().startswith(f"{tmp_path / ENGINE.name / ENGINE.alias}cache (")
    assert lines[ENGINE.name].strip() == version(ENGINE.name)
    assert lines["softnesses"].strip() == ", ".join(ts.pretrained_names())


@pytest.mark.cpu_only
def test_an_error_is_one_line_and_no_traceback(tmp_path):
    done = forked("render", tmp_path / "none.obj", "-o", tmp_path / "out.png")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("taichisoft render: error: path must be an existing file, got ")
    assert done.stderr.count("\n") == 1


# --- render


def test_opacity_is_alpha_and_colours_are_not_darkened_by_it(mug, tmp_path):
    out, silhouette = tmp_path / "out.png", tmp_path / "silhouette.png"
    options = ("--size", "40x24", "--softness", "2")
    assert call("render", mug, "-o", out, *options) == 0
    assert call("render", mug, "-o", silhouette, "--silhouette", *options) == 0
    image, alpha = pixels(out), pixels(silhouette)
    assert image.shape == (24, 40, 4)
    assert alpha.shape == (24, 40)
    np.testing.assert_array_equal(image[..., 3], alpha)
    assert 0 < (alpha == 255).sum() < alpha.size
    # The darkest face is a quarter white, as thin as its coverage may be.
    assert image[..., :3][(alpha > 0) & (image[..., :3] > 0).all(-1)].min() >= 63
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_a_background_is_composited(mug, tmp_path):
    over, clear = tmp_path / "over.png", tmp_path / "clear.png"
    assert call("render", mug, "-o", clear, "--size", "30x20") == 0
    assert call("render", mug, "-o", over, "--size", "30x20", "--background", "1,0.5,0") == 0
    image = pixels(clear).astype(float)
    alpha = image[..., 3:] / 255
    expected = alpha * image[..., :3] + (1 - alpha) * np.array([255, 127.5, 0])
    assert pixels(over).shape == (20, 30, 3)
    assert np.abs(pixels(over) - expected).max() <= 2


@pytest.mark.parametrize("kind", ["vertex_colors", "face_colors"])
def test_colours_of_the_file_are_drawn(kind, tmp_path):
    ball = ts.shapes.icosphere(1)
    rows = ball.num_vertices if kind == "vertex_colors" else ball.num_faces
    colors = torch.tensor([0.2, 0.6, 1.0]).expand(rows, 3)
    options = ("--size", "20x20", "--softness", "0")
    ts.save_mesh(ts.Mesh(ball.vertices, ball.faces, **{kind: colors}), tmp_path / "ball.ply")
    assert call("render", tmp_path / "ball.ply", "-o", tmp_path / "o.png", *options) == 0
    np.testing.assert_array_equal(pixels(tmp_path / "o.png")[10, 10], [51, 153, 255, 255])


def test_materials_of_the_file_are_drawn(tmp_path):
    paint = ts.Material(torch.tensor([0.2, 0.6, 1.0]))
    ts.save_mesh(ts.shapes.icosphere(1).with_materials([paint]), tmp_path / "ball.obj")
    options = ("--size", "20x20", "--softness", "0")
    assert call("render", tmp_path / "ball.obj", "-o", tmp_path / "o.png", *options) == 0
    np.testing.assert_array_equal(pixels(tmp_path / "o.png")[10, 10], [51, 153, 255, 255])


def textured_ball(image: torch.Tensor) -> ts.Mesh:
    """Return a ball with an image, and coordinates in it."""
    ball = ts.shapes.icosphere(2)
    uv = (ball.vertices[:, :2] + 1) / 2
    return ball.with_materials([ts.Material(image=image)], uv=uv)


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".gltf"])
def test_textures_of_the_file_are_drawn(suffix, tmp_path):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (4, 6, 3), generator=generator) / 255
    ball = textured_ball(image)
    path, out = tmp_path / f"ball{suffix}", tmp_path / "o.png"
    ts.save_mesh(ball, path)
    options = ("--size", "36x28", "--softness", "0", "--azimuth", "20", "--elevation", "10")
    assert call("render", path, "-o", out, *options) == 0
    mesh = ball.normalized()
    distance = filling_distance(mesh.vertices, 20, 10, 40, (28, 36))
    camera = ts.Camera.orbit(distance, 20, 10, image_size=(28, 36))
    expected = ts.SoftRasterizer.hard()(mesh, camera).rgba()[0]
    drawn = pixels(out)
    assert len(np.unique(drawn[drawn[..., 3] > 0][:, :3], axis=0)) > 50
    # Files have coordinates in less digits, and turn v round.
    difference = np.abs(drawn - 255 * expected.numpy())
    assert np.quantile(difference, 0.99) <= 1
    np.testing.assert_array_equal(drawn[..., 3], 255 * expected[..., 3].numpy())


def test_opacity_of_the_file_is_drawn(tmp_path):
    ball = ts.shapes.icosphere(1)
    colors = torch.tensor([0.2, 0.6, 1.0]).expand(ball.num_vertices, 3)
    opacity = torch.full((ball.num_vertices,), 0.4)
    mesh = ts.Mesh(ball.vertices, ball.faces, colors, vertex_opacity=opacity)
    ts.save_mesh(mesh, tmp_path / "ball.ply")
    options = ("--size", "20x20", "--softness", "0.01")
    assert call("render", tmp_path / "ball.ply", "-o", tmp_path / "o.png", *options) == 0
    rgba = pixels(tmp_path / "o.png")[10, 10]
    np.testing.assert_array_equal(rgba[:3], [51, 153, 255])
    # The front of the ball, and its back through it.
    assert abs(int(rgba[3]) - 255 * (1 - 0.6**2)) <= 2


def test_shipped_softness_is_that_at_the_end(mug, tmp_path):
    options = ("--size", "32x32", "--silhouette", "--softness", "pose")
    assert call("render", mug, "-o", tmp_path / "o.png", *options) == 0
    renderer = ts.SoftRasterizer.pretrained("pose")
    renderer.set_progress(1)
    mesh = ts.load_mesh(mug).normalized()
    distance = filling_distance(mesh.vertices, 30, 20, 40, (32, 32))
    alpha = renderer.silhouette(mesh, ts.Camera.orbit(distance, 30, 20, image_size=(32, 32)))[0]
    drawn = pixels(tmp_path / "o.png")
    assert np.abs(drawn - 255 * alpha.detach().numpy()).max() <= 0.51


@pytest.mark.parametrize("size", [(48, 64), (64, 20)])
@pytest.mark.parametrize("view", [(30.0, 20.0), (-100.0, 90.0), (10.0, -120.0)])
def test_a_framed_mesh_fills_the_view(size, view):
    mesh = ts.shapes.chair().normalized()
    distance = filling_distance(mesh.vertices, *view, 35.0, size)
    x, y, depth, _ = (
        ts.Camera.orbit(distance, *view, fov=35.0, image_size=size)
        .project(mesh.vertices)[0]
        .unbind(-1)
    )
    span = torch.maximum((2 * x / size[1] - 1).abs(), (2 * y / size[0] - 1).abs()).max()
    assert float(span) == pytest.approx(FILL, abs=1e-5)
    assert float(depth.min()) > 0.01


def test_size_and_place_of_the_mesh_do_not_matter(tmp_path):
    mug = ts.shapes.mug()
    for name, size in (("a", 1.0), ("b", 1000.0)):
        moved = mug.with_vertices(size * (mug.vertices + torch.tensor([3.0, -2.0, 1.0])))
        ts.save_mesh(moved, tmp_path / f"{name}.obj")
        out = tmp_path / f"{name}.png"
        assert call("render", tmp_path / f"{name}.obj", "-o", out, "--size", "24x24") == 0
    # Vertices are read as float32, and rounded before they are moved.
    difference = pixels(tmp_path / "a.png").astype(int) - pixels(tmp_path / "b.png")
    assert np.abs(difference).max() <= 1


def test_vertices_that_no_face_uses_do_not_count_for_the_view(mug, tmp_path):
    stray = tmp_path / "stray.obj"
    stray.write_text(mug.read_text() + "\nv 20 0 0\n")
    drawn = []
    for path in (mug, stray):
        assert call("render", path, "-o", tmp_path / "out.png", "--size", "24x24") == 0
        drawn.append(pixels(tmp_path / "out.png"))
    np.testing.assert_array_equal(*drawn)


# --- fit-pose


@pytest.mark.cpu_only
def test_pose_of_an_off_centre_mask_with_intrinsics(tmp_path, capsys):
    mesh = ts.shapes.car()
    mesh = mesh.with_vertices(5 * mesh.vertices + torch.tensor([1.0, 2.0, -3.0]))
    ts.save_mesh(mesh, tmp_path / "car.obj")
    K = [[110.0, 0, 40.0], [0, 120.0, 55.0], [0, 0, 1]]
    seen = ts.Camera.look_at((10.0, 16.0, 17.0), (2.0, 1.0, -3.0), image_size=(100, 90))
    camera = ts.Camera.from_opencv(K, seen.rotation, seen.translation, (100, 90))
    mask = ts.SoftRasterizer.hard().silhouette(mesh, camera)[0]
    # Opacity goes before grey.
    images.write_image(torch.stack([1 - mask] * 3 + [mask], -1), tmp_path / "mask.png")
    files = (tmp_path / "car.obj", tmp_path / "mask.png", "-o", tmp_path / "pose.json")
    options = ("--intrinsics", 110, 120, 40, 55, "--starts", 16, "--steps", 40)
    assert call("fit-pose", *files, *options) == 0
    found = json.loads((tmp_path / "pose.json").read_text())
    assert found["iou"] > 0.985
    assert math.degrees(angle_between(torch.tensor(found["R"]), camera.rotation[0])) < 1.5
    error = (torch.tensor(found["t"]) - camera.translation[0]).norm()
    assert error < 0.015 * camera.translation.norm()
    assert f"IoU {found['iou']:.4f}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """Write a mesh, its masks in two views, and their cameras; return the folder and the cameras."""
    folder = tmp_path_factory.mktemp("part")
    mesh, camera = (
        ts.shapes.chair(),
        ts.Camera.orbit(3.5, [55.0, 130.0], 25.0, image_size=(48, 56)),
    )
    ts.save_mesh(mesh, folder / "part.obj")
    masks = ts.SoftRasterizer.hard().silhouette(mesh, camera)
    for index, mask in enumerate(masks):
        images.write_image(mask, folder / f"{index}.png")
    images.write_image(1 - masks[0], folder / "inverse.png")
    frames = [
        {"file_path": f"photos/{index}.jpg", "transform_matrix": pose.tolist()}
        for index, pose in enumerate(camera.to_blender().matrix_world)
    ]
    lens = {"fl_x": float(camera.intrinsics[0, 0, 0]), "w": 56, "h": 48}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))
    R, t = camera.rotation[0].tolist(), camera.translation[0].tolist()
    true = {"R": R, "t": t}
    K = camera.intrinsics[0].tolist()
    starts = {
        "true": true,
        "placed": {**true, "convention": CONVENTION_OF_VIEWS},
        "cut": {**true, "K": K, "image_size": [48, 40]},
    }
    for name, record in starts.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    return folder, camera


def fitted(folder, *arguments: object) -> tuple[int, dict]:
    """Run fit-pose in a folder; return the exit code and what was written."""
    pose = folder / "pose.json"
    files = (
        folder / "part.obj",
        *(folder / x if str(x).endswith("g") else x for x in arguments),
    )
    code = call("fit-pose", *files, "-o", pose, "--steps", 2)
    return code, json.loads(pose.read_text())


def test_a_pose_that_is_not_ok_is_written_and_has_a_code_of_its_own(part, capsys):
    folder, _ = part
    code, found = fitted(folder, "0.png", "--starts", 1)
    assert code == 1
    assert not found["ok"]
    assert found["verdict"].startswith("not ok: IoU 0.")
    assert capsys.readouterr().out.splitlines()[-1] == found["verdict"]
    # It is ok if less will do.
    code, found = fitted(folder, "0.png", "--starts", 1, "--min-iou", found["iou"] - 0.01)
    assert code == 0
    assert found["ok"]


def test_a_pose_is_refined_from_a_file_and_from_what_was_written(part, capsys):
    folder, camera = part
    code, found = fitted(folder, "0.png", "--init", folder / "true.json")
    assert code == 0
    assert found["convention"].startswith("x_cam = R x + t")
    assert math.degrees(angle_between(torch.tensor(found["R"]), camera.rotation[0])) < 2
    assert "random orientations" not in capsys.readouterr().out
    (folder / "first.json").write_text((folder / "pose.json").read_text())
    # With the intrinsics of the file, too.
    found["K"][0][0] = 70.0
    (folder / "other.json").write_text(json.dumps(found))
    assert fitted(folder, "0.png", "--init", folder / "first.json")[0] == 0
    assert fitted(folder, "0.png", "--init", folder / "other.json")[1]["K"][0][0] == 70.0
    options = ("--init", folder / "other.json", "--fov", 40)
    assert fitted(folder, "0.png", *options)[1]["K"] == camera.intrinsics[0].tolist()


LENS = torch.tensor([[70.0, 0.5, 32.0], [0.0, 72.0, 24.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def start_of(folder, **entries: object) -> Start:
    """Return what is read from a pose file of some entries besides R and t."""
    path = folder / "start.json"
    path.write_text(json.dumps({"R": torch.eye(3).tolist(), "t": [0, 0, 3], **entries}))
    return read_pose(path)


def test_the_intrinsics_of_a_start_go_with_the_size_of_the_image(tmp_path):
    start = start_of(tmp_path, K=LENS.tolist(), image_size=[48, 64])
    torch.testing.assert_close(start.intrinsics((48, 64)), LENS)
    camera = ts.Camera.from_opencv(LENS, torch.eye(3), torch.zeros(3), (48, 64))
    # 85 is 64 * 64 / 48 up to rounding.
    for size in ((96, 128), (24, 32), (64, 85)):
        torch.testing.assert_close(start.intrinsics(size), camera.resize(size).intrinsics[0])
    for size in ((48, 48), (64, 48), (64, 87)):
        words = (
            f"{size[1]}x{size[0]} pixels, .* K for 64x48 pixels in .*start.json; --fov or --intr"
        )
        with pytest.raises(ValueError, match=words):
            start.intrinsics(size)
    # Of a file that says no size they are taken for those of the mask.
    torch.testing.assert_close(start_of(tmp_path, K=LENS.tolist()).intrinsics((9, 9)), LENS)
    assert start_of(tmp_path, image_size=[48, 64]).intrinsics((9, 9)) is None
    for size in ([48, 0], [4.5, 3]):
        with pytest.raises(
            ValueError, match=r"start.json: image_size must be a height and a width"
        ):
            start_of(tmp_path, image_size=size)


def test_a_start_is_in_the_world_of_cameras_or_in_the_frame_of_one(tmp_path):
    for in_world in (True, False):
        start_of(tmp_path).check_world(in_world)
    alone = start_of(tmp_path, convention=CONVENTION)
    alone.check_world(in_world=False)
    with pytest.raises(
        ValueError, match=r"world of --cameras .*x_cam = R x \+ t\) in .*start.json"
    ):
        alone.check_world(in_world=True)
    placed = start_of(tmp_path, convention=CONVENTION_OF_VIEWS, K=[LENS.tolist()] * 2)
    placed.check_world(in_world=True)
    assert placed.K is None
    with pytest.raises(ValueError, match=r"--cameras must be given .*, as .*start.json is"):
        placed.check_world(in_world=False)


def test_a_field_of_view_that_is_assumed_is_said(part, capsys):
    folder, _ = part
    words = "assumed: a vertical field of view of 40 degrees"
    start = ("--init", folder / "true.json")
    for options, said in (((), True), (("--fov", 40), False)):
        fitted(folder, "0.png", *start, *options)
        assert (words in capsys.readouterr().out) == said


def test_an_inverted_mask_is_said_and_turned_round(part, capsys):
    folder, _ = part
    pose = folder / "pose.json"
    files = (folder / "part.obj", folder / "inverse.png", "-o", pose)
    assert call("fit-pose", *files, "--starts", 12, "--steps", 25) == 1
    said = capsys.readouterr()
    assert "looks inverted" in said.out.splitlines()[-1]
    assert "--invert" in said.out
    assert said.err == ""
    assert json.loads(pose.read_text())["inverted"]
    code, found = fitted(folder, "inverse.png", "--invert", "--init", folder / "true.json")
    assert (code, found["inverted"]) == (0, False)
    red, green, _ = np.moveaxis(pixels(folder / "pose_overlay.png"), -1, 0)
    np.testing.assert_array_equal(red, pixels(folder / "0.png"))
    assert (red != green).mean() < 0.02


def test_several_views_with_cameras_of_a_file(part):
    folder, _ = part
    (folder / "world.json").write_text(json.dumps({"R": torch.eye(3).tolist(), "t": [0, 0, 0]}))
    views = ("--cameras", folder / "transforms.json", "--init", folder / "world.json")
    code, found = fitted(folder, "1.png", "0.png", *views)
    assert code == 0
    assert found["convention"].startswith("x_world = R x + t")
    assert math.degrees(angle_between(torch.tensor(found["R"]), torch.eye(3))) < 2
    assert torch.tensor(found["t"]).norm() < 0.03
    assert len(found["K"]) == 2
    red = pixels(folder / "pose_overlay.png")[..., 0]
    both = [pixels(folder / name) for name in ("1.png", "0.png")]
    np.testing.assert_array_equal(red, np.concatenate(both, 1))


def test_a_photo_is_compared_as_well(tmp_path):
    ball, camera = ts.shapes.icosphere(2), ts.Camera.orbit(3.5, 30.0, image_size=(32, 32))
    ball = ball.with_vertex_colors((ball.vertices + 1) / 2)
    ts.save_mesh(ball, tmp_path / "ball.ply")
    seen = ts.SoftRasterizer.hard()(ball, camera)
    seen.save(tmp_path / "photo.png", opacity=False)
    images.write_image(seen.alpha[0], tmp_path / "mask.png")
    turn = ts.rotations.from_axis_angle(torch.tensor([0.0, 0.4, 0.0]))
    pose = {"R": (turn @ camera.rotation[0]).tolist(), "t": camera.translation[0].tolist()}
    (tmp_path / "start.json").write_text(json.dumps(pose))
    files = [tmp_path / name for name in ("ball.ply", "mask.png")]
    options = ("--image", tmp_path / "photo.png", "--init", tmp_path / "start.json", "--steps", 20)
    assert call("fit-pose", *files, "-o", tmp_path / "pose.json", *options) == 0
    found = json.loads((tmp_path / "pose.json").read_text())
    # The silhouette of a ball says nothing of its rotation, which was 23 degrees off.
    assert math.degrees(angle_between(torch.tensor(found["R"]), camera.rotation[0])) < 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0.png", "1.png"], "--cameras must be given for several masks, got 2 masks"),
        (
            ["inverse.png", "--cameras", "transforms.json"],
            "--cameras must have one photo named inverse, as the mask .* is, got 0",
        ),
        (
            ["0.png", "--cameras", "none.json"],
            "path must be an existing transforms.json file, got none.json",
        ),
        (["0.png", "--init", "none.json"], "path must be an existing pose file, got .*none.json"),
        (["0.png", "--init", "transforms.json"], 'transforms.json: a pose must have "R"'),
        (["0.png", "--image", "0.png"], "mesh must have colours or materials to be compared"),
        (
            ["0.png", "--init", "placed.json"],
            "--cameras must be given with an --init in their world",
        ),
        (["0.png", "--init", "cut.json"], "K of the mask, 56x48 pixels, .* for 40x48 pixels"),
        (["0.png", "--min-iou", "1"], "min_iou must be between 0 and 1"),
    ],
)
def test_bad_views_and_starts(arguments, message, part, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(part[0])
    line = line_of(capsys, "fit-pose", "part.obj", *arguments, "-o", tmp_path / "pose.json")
    assert re.search(message, line), line


def test_the_help_of_fit_pose_says_what_a_pose_is(capsys):
    with pytest.raises(SystemExit):
        call("fit-pose", "--help")
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "x_cam = R x + t",
        "x right, y down, z forward",
        "units of the mesh",
        "(0.5, 0.5)",
    ):
        assert words in said


# --- errors


def line_of(capsys, *arguments: object) -> str:
    """Return the only line on stderr of a command that fails with code 2."""
    try:
        code = call(*arguments)
    except SystemExit as stopped:
        code = stopped.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err.strip()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "640"], "argument --size: must be WIDTHxHEIGHT in pixels, .* got '640'"),
        (["--size", "0x5"], "must be WIDTHxHEIGHT in pixels, .* got '0x5'"),
        (["--background", "red"], r"--background: must be one or three numbers in .* got 'red'"),
        (["--background", "1,2,3"], "must be one or three numbers"),
        (["--softness", "nope"], r"softnesses present \(general, .* got 'nope'"),
        (["--size", "9" * 20 + "x8"], "must be WIDTHxHEIGHT in pixels, .* each from 1 to 32768"),
        (["--size", "9" * 5000 + "x8"], "must be WIDTHxHEIGHT in pixels, .* each from 1 to 32768"),
        (["--softness", "-1"], "--softness must be 0, from 1e-06 to 1e.06 pixels, .* got -1"),
        (["--softness", "nan"], "--softness must be 0, from .* got nan"),
        (["--softness", "1e-300"], "--softness must be 0, from .* got 1e-300"),
        (["--softness", "1e30"], "--softness must be 0, from .* got 1e30"),
        (["--fov", "180"], "fov must be greater than 0 and less than 180, got 180"),
        (["--distance", "0"], "--distance must be greater than 0, got 0"),
        (["--azimuth", "nan"], "must be finite, got nan"),
        (["--backend", "gpu"], "--backend: invalid choice: 'gpu'"),
    ],
)
def test_bad_options_of_render(options, message, mug, tmp_path, capsys):
    line = line_of(capsys, "render", mug, "-o", tmp_path / "out.png", *options)
    assert line.startswith("taichisoft render: error: ")
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.xyz", "path must end in the suffix of an image, such as .png"),
        ("out.jpg", "path must end in the suffix of a format that holds opacity, such as .png"),
        ("none/out.png", "--output must be in an existing folder"),
        (".", "--output must be a file, got the folder"),
    ],
)
def test_images_that_cannot_be_written(output, message, mug, tmp_path, capsys):
    assert message in line_of(capsys, "render", mug, "-o", tmp_path / output, "--size", "8x8")


def test_bad_masks(mug, tmp_path, capsys):
    def line(mask) -> str:
        return line_of(capsys, "fit-pose", mug, mask, "-o", tmp_path / "pose.json")

    assert "mask must be an existing file" in line(tmp_path / "none.png")
    assert "mask must be a readable image" in line(mug)
    images.write_image(torch.zeros(4, 6), tmp_path / "black.png")
    assert "mask must have an object and a background" in line(tmp_path / "black.png")
    assert not (tmp_path / "pose.json").exists()


@pytest.mark.parametrize("zero", ["0", "0.0", "-0.0", "0e5", "+0"])
def test_a_hard_softness_cannot_be_fitted_with(zero, mug, tmp_path, capsys):
    images.write_image(torch.eye(8), tmp_path / "mask.png")
    files = (mug, tmp_path / "mask.png", "-o", tmp_path / "pose.json")
    line = line_of(capsys, "fit-pose", *files, "--softness", zero)
    assert "a hard silhouette has no slope" in line


def test_minus_zero_is_a_hard_softness(mug, tmp_path):
    out = tmp_path / "out.png"
    options = ("--silhouette", "--size", "16x16", "--softness", "-0.0")
    assert call("render", mug, "-o", out, *options) == 0
    assert set(np.unique(pixels(out))) == {0, 255}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seed", "1" * 23, "--seed: must be a whole number from 0 to 18446744073709551615"),
        ("--seed", "-1", "--seed: must be a whole number from 0"),
        ("--steps", "1" * 23, "--steps: must be a positive whole number up to 1000000"),
        ("--starts", "1" * 23, "--starts: must be a positive whole number up to 1000000"),
    ],
)
def test_numbers_that_are_too_large(option, value, message, mug, tmp_path, capsys):
    files = (mug, tmp_path / "mask.png", "-o", tmp_path / "pose.json")
    assert message in line_of(capsys, "fit-pose", *files, f"{option}={value}")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (["-o", "none/pose.json"], "--output must be in an existing folder"),
        (["-o", "."], "--output must be a file, got the folder"),
        (["-o", "pose.json", "--overlay", "none/o.png"], "--overlay must be in an existing folder"),
        (["-o", "pose.json", "--overlay", "o.xyz"], "must end in the suffix of an image"),
        (["-o", "pose.json", "--overlay", "o"], "must end in the suffix of an image"),
    ],
)
def test_outputs_are_looked_at_before_the_search(
    outputs, message, mug, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    images.write_image(torch.eye(8), tmp_path / "mask.png")
    # The search would print lines, which `line_of` refuses.
    assert message in line_of(capsys, "fit-pose", mug, "mask.png", *outputs)
    assert not (tmp_path / "pose.json").exists()


def test_no_command_and_an_unknown_one(capsys):
    assert "required: COMMAND" in line_of(capsys)
    assert "invalid choice: 'draw'" in line_of(capsys, "draw")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_shows_an_example_that_parses(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        call(command.name, "--help")
    assert stopped.value.code == 0
    assert f"example:\n  {command.example}\n" in capsys.readouterr().out
    from taichisoft.cli.main import _parser

    assert _parser().parse_args(command.example.split()[1:]).command is command
