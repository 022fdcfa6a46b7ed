"""Cameras of other programs' files: corners land on the pixels that each format's own formulas give."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

import taichisoft as ts
from tests.cameras.test_distortion import bent

DOUBLE = {"dtype": torch.float64}
CORNERS = np.array(np.meshgrid([-1.0, 1], [-1.0, 1], [-1.0, 1])).reshape(3, 8).T
K = np.array([[70.0, 0, 33], [0, 90, 20], [0, 0, 1]])
SIZES = [(48, 64), (40, 50)]
NAMES = ["a photo.jpg", "b.jpg"]
TURNS = Rotation.from_rotvec([[0.1, 0.2, 0.3], [2.0, -1, 0.5]])
SHIFTS = np.array([[0.1, 0.2, 5], [-0.3, 0.1, 6]])


def pixels(k, rotation, translation, points=CORNERS, lens=()):
    """Pixels of points by K (R X + t), bent by a lens in between."""
    inside = points @ rotation.T + translation
    plane = bent(inside[:, :2] / inside[:, 2:], lens)
    return plane @ k[:2, :2].T + k[:2, 2]


def check(view, expected, points=CORNERS):
    found = view.project(torch.from_numpy(points))[0, :, :2].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def write(path, record):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


# transforms.json


def gl_poses():
    """Camera to world in the axes of OpenGL, of the poses above."""
    poses = np.tile(np.eye(4), (2, 1, 1))
    for pose, turn, shift in zip(poses, TURNS.as_matrix(), SHIFTS, strict=True):
        pose[:3, :3] = turn.T @ np.diag([1, -1, -1])
        pose[:3, 3] = -turn.T @ shift
    return poses


def transforms(**settings):
    frames = [
        {"file_path": n, "transform_matrix": p.tolist()}
        for n, p in zip(NAMES, gl_poses(), strict=True)
    ]
    return {**settings, "frames": frames}


FULL = {"fl_x": 70.0, "fl_y": 90.0, "cx": 33.0, "cy": 20.0, "w": 64.0, "h": 48}


def test_transforms_with_intrinsics_of_the_file(tmp_path):
    record = transforms(**FULL, camera_model="OPENCV", k1=0.0, k2=0, p1=0, p2=0)
    views = ts.load_nerf_cameras(write(tmp_path / "transforms.json", record), near=0.2, **DOUBLE)
    assert views.names == tuple(NAMES)
    assert len(views) == 2
    for view, turn, shift in zip(views.cameras, TURNS.as_matrix(), SHIFTS, strict=True):
        check(view, pixels(K, turn, shift))
        assert view.image_size == (48, 64)
        assert view.near == 0.2
    batch = views.camera()
    assert len(batch) == 2
    check(batch[1], pixels(K, TURNS.as_matrix()[1], SHIFTS[1]))


def test_transforms_with_intrinsics_of_the_frames(tmp_path):
    record = transforms(camera_angle_x=0.1)
    record["frames"][0].update(FULL)
    record["frames"][1].update(w=50, h=40, fl_x=60)
    views = ts.load_nerf_cameras(str(write(tmp_path / "t.json", record)), **DOUBLE)
    check(views.cameras[0], pixels(K, TURNS.as_matrix()[0], SHIFTS[0]))
    k = np.array([[60, 0, 25], [0, 60, 20], [0, 0, 1]])
    check(views.cameras[1], pixels(k, TURNS.as_matrix()[1], SHIFTS[1]))
    with pytest.raises(ValueError, match=r"views must have one image size.*\(40, 50\), \(48, 64\)"):
        views.camera()


def test_transforms_of_a_synthetic_scene_take_the_size_of_the_images(tmp_path):
    record = transforms(camera_angle_x=0.8)
    (tmp_path / "train").mkdir()
    for frame, (height, width), name in zip(record["frames"], SIZES, ("r_0", "r_1"), strict=True):
        frame["file_path"] = f"./train/{name}"
        Image.new("RGB", (width, height)).save(tmp_path / "train" / f"{name}.png")
    path = write(tmp_path / "transforms_train.json", record)
    views = ts.load_nerf_cameras(path, **DOUBLE)
    for view, (height, width), turn, shift in zip(
        views.cameras, SIZES, TURNS.as_matrix(), SHIFTS, strict=True
    ):
        focal = width / 2 / math.tan(0.4)
        check(
            view,
            pixels(
                np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), turn, shift
            ),
        )
    given = ts.load_nerf_cameras(path, image_size=[8, 8])
    assert given.camera().image_size == (8, 8)
    assert given.camera().dtype == torch.float32
    record["camera_angle_y"] = 0.5
    tall = ts.load_nerf_cameras(write(path, record), image_size=(8, 8), **DOUBLE)
    assert float(tall.camera().intrinsics[0, 1, 1]) == pytest.approx(4 / math.tan(0.25))
    # Width in pixels, height as an angle.
    for one in record["frames"]:
        one["fl_x"] = 7.0
    tall = ts.load_nerf_cameras(write(path, record), image_size=(8, 8), **DOUBLE)
    assert tall.camera().intrinsics[0].diagonal().tolist() == pytest.approx(
        [7, 4 / math.tan(0.25), 1]
    )


@pytest.mark.parametrize("model", ["SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV"])
def test_models_of_transforms_without_distortion(model, tmp_path):
    record = transforms(**FULL, camera_model=model, k1=0.0, distortion_params=[0.0] * 6)
    views = ts.load_nerf_cameras(write(tmp_path / "t.json", record), **DOUBLE)
    assert views.cameras[0].distortion is None
    check(views.cameras[0], pixels(K, TURNS.as_matrix()[0], SHIFTS[0]))


LENSES_OF_TRANSFORMS = {
    "instant-ngp": ({"k1": 0.1, "k2": -0.05, "p1": 1e-3, "p2": 2e-3}, (0.1, -0.05, 1e-3, 2e-3)),
    "a pinhole that is none": ({"camera_model": "PINHOLE", "k1": 0.1}, (0.1,)),
    "of r^6": ({"camera_model": "OPENCV", "k3": 0.02}, (0, 0, 0, 0, 0.02)),
    "a list": (
        {"camera_model": "OPENCV", "distortion_params": [0.1, -0.05, 0.02, 0, 1e-3, 2e-3]},
        (0.1, -0.05, 1e-3, 2e-3, 0.02),
    ),
    "a list and names": (
        {"k1": 0.1, "p1": 0, "distortion_params": [0.1, -0.05, 0, 0, 0, 0]},
        (0.1, -0.05),
    ),
    "denominator": (
        {"camera_model": "FULL_OPENCV", "k1": 0.1, "k4": 0.2, "k5": 0.01, "k6": 0.02},
        (0.1, 0, 0, 0, 0, 0.2, 0.01, 0.02),
    ),
}


@pytest.mark.parametrize(
    ("settings", "lens"), LENSES_OF_TRANSFORMS.values(), ids=LENSES_OF_TRANSFORMS
)
def test_distortion_of_transforms(settings, lens, tmp_path):
    views = ts.load_nerf_cameras(
        write(tmp_path / "t.json", transforms(**FULL, **settings)), **DOUBLE
    )
    for view, turn, shift in zip(views.cameras, TURNS.as_matrix(), SHIFTS, strict=True):
        check(view, pixels(K, turn, shift, lens=lens))


def test_lenses_with_and_without_distortion_are_one_batch(tmp_path):
    record = transforms(**FULL)
    record["frames"][1]["k1"] = 0.1
    views = ts.load_nerf_cameras(write(tmp_path / "t.json", record), **DOUBLE)
    assert views.cameras[0].distortion is None
    batch = views.camera()
    check(batch[0], pixels(K, TURNS.as_matrix()[0], SHIFTS[0]))
    check(batch[1], pixels(K, TURNS.as_matrix()[1], SHIFTS[1], lens=(0.1,)))


def test_a_size_that_is_not_that_of_the_file(tmp_path):
    path = write(tmp_path / "t.json", transforms(**FULL))
    assert len(ts.load_nerf_cameras(path, image_size=(48, 64))) == 2
    with pytest.raises(
        ValueError, match=r"^image_size must be.*\(48, 64\) of a photo.jpg.*camera.resize"
    ):
        ts.load_nerf_cameras(path, image_size=(24, 32))


def test_an_image_that_lies_on_its_side_is_upright(tmp_path):
    record = transforms(camera_angle_x=0.8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in NAMES:
        Image.new("RGB", (20, 10)).save(tmp_path / name, exif=exif)
    views = ts.load_nerf_cameras(write(tmp_path / "t.json", record))
    assert views.camera().image_size == (20, 10)


def without(record, key):
    record = dict(record)
    del record[key]
    return record


def frame(record, **change):
    return {**record, "frames": [{**record["frames"][0], **change}]}


GOOD = transforms(**FULL)
BAD_TRANSFORMS = {
    "no frames": (without(GOOD, "frames"), 'the file must have "frames"'),
    "none": ({**GOOD, "frames": []}, "at least one frame"),
    "a list": ([1], "JSON object, got list"),
    "a number": ({**GOOD, "frames": [3]}, "frame 0 must be an object, got int"),
    "matrix": (
        {**GOOD, "frames": [without(GOOD["frames"][0], "transform_matrix")]},
        'frame 0 must have "transform_matrix"',
    ),
    "shape": (frame(GOOD, transform_matrix=[[1, 2], [3, 4]]), r"frame 0.*\(4, 4\).*\(2, 2\)"),
    "ragged": (frame(GOOD, transform_matrix=[[1, 2], [3]]), "frame 0 must be numbers of shape"),
    "nan": (frame(GOOD, transform_matrix=[[math.nan] * 4] * 4), "must be finite"),
    "lens": (without(GOOD, "fl_x"), '"fl_x" or "camera_angle_x"'),
    "negative": ({**GOOD, "fl_x": -3}, "focal lengths must be positive"),
    "last row": (
        frame(GOOD, transform_matrix=[*gl_poses()[0][:3].tolist(), [0, 0, 0.001, 1]]),
        r"transform_matrix of frame 0 must have the last row \(0, 0, 0, 1\), got",
    ),
    "a short list": (
        {**GOOD, "distortion_params": [0, 0, 0.1]},
        "distortion_params of frame 0 must be k1, k2, k3, k4, p1, p2, got 3 numbers",
    ),
    "a list that differs": (
        {**GOOD, "k1": 0.2, "distortion_params": [0.1, 0, 0, 0, 0, 0]},
        "distortion_params of frame 0 must agree with k1 beside them",
    ),
    "k4 of r^8": (
        {**GOOD, "camera_model": "OPENCV", "k4": 0.1},
        "must have a camera_model of FULL_OPENCV for k4, got OPENCV",
    ),
    "k4 of r^8 in a list": (
        {**GOOD, "camera_model": "FULL_OPENCV", "distortion_params": [0, 0, 0, 0.1, 0, 0]},
        "k4 is the coefficient of r.8, which OpenCV does not have",
    ),
    "ftheta": ({**GOOD, "ftheta_p1": 0.001}, "no fisheye, got PINHOLE ftheta_p1"),
    "a coefficient of text": ({**GOOD, "k1": "x"}, "k1 of frame 0 must be a number"),
    "a list of text": (
        {**GOOD, "distortion_params": "x"},
        "distortion_params of frame 0 must be num",
    ),
    "is_fisheye": ({**GOOD, "is_fisheye": True}, "got PINHOLE is_fisheye"),
    "scaled": (
        frame(GOOD, transform_matrix=np.diag([2, 2, 2, 1]).tolist()),
        "the rotation of frame 0 must be a rotation",
    ),
    "whose lens": ({**GOOD, "fl_x": -3.0}, "frame 0: focal lengths"),
    "angle": (without({**GOOD, "camera_angle_x": 4.0}, "fl_x"), "camera angles of frame 0"),
    "text": ({**GOOD, "cx": "3"}, "cx of frame 0 must be a number, got '3'"),
    "huge": ({**GOOD, "cx": 10**400}, "cx of frame 0 must be numbers"),
    "half": ({**GOOD, "w": 3.5}, "w of frame 0 must be a whole number, got 3.5"),
    "name": (frame(GOOD, file_path=3), "file_path of frame 0 must be a string"),
    "fisheye": ({**GOOD, "camera_model": "OPENCV_FISHEYE"}, "got OPENCV_FISHEYE"),
}


@pytest.mark.parametrize(("record", "match"), BAD_TRANSFORMS.values(), ids=BAD_TRANSFORMS)
def test_bad_transforms(record, match, tmp_path):
    path = write(tmp_path / "bad.json", record)
    with pytest.raises(
        ValueError, match=rf"(?s)readable transforms.json file, got .*bad.json: .*{match}"
    ):
        ts.load_nerf_cameras(path)


def test_transforms_that_are_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path must be an existing.*none\.json"):
        ts.load_nerf_cameras(tmp_path / "none.json")
    path = tmp_path / "x.json"
    for content in (b"{", b"\xff\xfe\x00", b"", 99999 * b"["):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"readable transforms.json file, got .*x\.json"):
            ts.load_nerf_cameras(path)
    write(path, transforms(camera_angle_x=0.5))
    with pytest.raises(FileNotFoundError, match=r"image_size must be given.*a photo\.jpg$"):
        ts.load_nerf_cameras(path)
    with pytest.raises(TypeError, match="path must be"):
        ts.load_nerf_cameras(3)
    with pytest.raises(ValueError, match="near must be"):
        ts.load_nerf_cameras(path, near=0)


# COLMAP


MODELS = {
    "SIMPLE_PINHOLE": (0, [70, 33, 20]),
    "PINHOLE": (1, [70, 90, 33, 20]),
    "SIMPLE_RADIAL": (2, [70, 33, 20, 0]),
    "RADIAL": (3, [70, 33, 20, 0, 0]),
    "OPENCV": (4, [70, 90, 33, 20, 0, 0, 0, 0]),
    "FULL_OPENCV": (6, [70, 90, 33, 20] + 8 * [0]),
}


def poses():
    """Quaternion w, x, y, z and translation of both images."""
    return np.concatenate([TURNS.as_quat()[:, [3, 0, 1, 2]], SHIFTS], 1)


def colmap_text(folder, cameras, images):
    lines = [
        "# Camera list",
        *(f"{i} {m} {w} {h} {' '.join(map(repr, p))}" for i, m, w, h, p in cameras),
    ]
    (folder / "cameras.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["# Image list", "#   POINTS2D[] as (X, Y, POINT3D_ID)"]
    for i, (pose, camera, name) in enumerate(images):
        # The second one has no points: its line is empty.
        lines += [
            f"{i + 1} {' '.join(map(repr, pose.tolist()))} {camera} {name}",
            "" if i else "1.5 2.5 -1",
        ]
    (folder / "images.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def colmap_binary(folder, cameras, images):
    content = struct.pack("<Q", len(cameras))
    for i, model, width, height, values in cameras:
        number = MODELS[model][0] if model in MODELS else int(model)
        content += struct.pack(f"<iiQQ{len(values)}d", i, number, width, height, *values)
    (folder / "cameras.bin").write_bytes(content)
    content = struct.pack("<Q", len(images))
    for i, (pose, camera, name) in enumerate(images):
        content += struct.pack("<i7di", i + 1, *pose, camera) + name.encode() + b"\0"
        content += struct.pack("<Q", 2) + struct.pack("<ddq", 1, 2, -1) * 2
    (folder / "images.bin").write_bytes(content)


WRITERS = {"text": colmap_text, "binary": colmap_binary}


@pytest.mark.parametrize("kind", WRITERS)
def test_colmap(kind, tmp_path):
    cameras = [
        (3, "PINHOLE", 64, 48, [70.0, 90, 33, 20]),
        (7, "SIMPLE_PINHOLE", 50, 40, [60.0, 25, 20]),
    ]
    # By name, not by number.
    images = [(poses()[1], 7, NAMES[1]), (poses()[0], 3, NAMES[0])]
    WRITERS[kind](tmp_path, cameras, images)
    views = ts.load_colmap_cameras(tmp_path, **DOUBLE)
    assert views.names == tuple(NAMES)
    assert [view.image_size for view in views.cameras] == SIZES
    check(views.cameras[0], pixels(K, TURNS.as_matrix()[0], SHIFTS[0]))
    k = np.array([[60, 0, 25], [0, 60, 20], [0, 0, 1]])
    check(views.cameras[1], pixels(k, TURNS.as_matrix()[1], SHIFTS[1]))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", WRITERS)
def test_models_of_colmap(kind, model, tmp_path):
    values = list(map(float, MODELS[model][1]))
    image = [(poses()[0], 1, "x.png")]
    WRITERS[kind](tmp_path, [(1, model, 64, 48, values)], image)
    k = K if len(values) in (4, 8, 12) and model != "SIMPLE_RADIAL" else K * [[1], [7 / 9], [1]]
    k[1, 2] = 20
    view = ts.load_colmap_cameras(tmp_path, **DOUBLE).camera()
    check(view, pixels(k, TURNS.as_matrix()[0], SHIFTS[0]))
    assert view.distortion is None
    if len(values) > 4 or model == "SIMPLE_RADIAL":
        lens = [0.1, -0.02, 1e-3, -2e-3, 0.03, 0.05, -0.01, 0.02]
        lens = lens[: MODELS[model][1].count(0)]
        values[-len(lens) :] = lens
        WRITERS[kind](tmp_path, [(1, model, 64, 48, values)], image)
        view = ts.load_colmap_cameras(tmp_path, **DOUBLE).camera()
        check(view, pixels(k, TURNS.as_matrix()[0], SHIFTS[0], lens=lens))


def test_a_lens_that_no_image_has_does_not_matter(tmp_path):
    good = (3, "PINHOLE", 64, 48, [70.0, 90, 33, 20])
    image = [(poses()[0], 3, "x.png")]
    bent = (4, "RADIAL", 64, 48, [70.0, 33, 20, 0.1, 0])
    fisheye = (5, "OPENCV_FISHEYE", 64, 48, [70.0, 90, 33, 20, 0, 0, 0, 0])
    colmap_text(tmp_path, [(9, "NEW", 64, 48, [1.0]), bent, fisheye, good], image)
    expected = pixels(K, TURNS.as_matrix()[0], SHIFTS[0])
    check(ts.load_colmap_cameras(tmp_path, **DOUBLE).camera(), expected)
    colmap_binary(tmp_path, [bent, (5, "5", *fisheye[2:]), good], image)
    check(ts.load_colmap_cameras(tmp_path, **DOUBLE).camera(), expected)
    colmap_binary(tmp_path, [good, good], image)
    with pytest.raises(ValueError, match=r"cameras\.bin: .*got camera 3 again"):
        ts.load_colmap_cameras(tmp_path)


def test_text_with_a_byte_order_mark(tmp_path):
    colmap_text(tmp_path, [(1, "PINHOLE", 64, 48, [70.0, 90, 33, 20])], [(poses()[0], 1, "x.png")])
    for name in ("cameras.txt", "images.txt"):
        content = (tmp_path / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert ts.load_colmap_cameras(tmp_path).names == ("x.png",)


def test_images_without_lines_of_points_are_not_left_out(tmp_path):
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 64 48 70 90 33 20\n", encoding="utf-8")
    lines = [f"{i} 1 0 0 0 0 0 5 1 {i} a.png" for i in range(1, 5)]
    (tmp_path / "images.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"images\.txt: line 2 must have the points of image 1 a\.png"
    ):
        ts.load_colmap_cameras(tmp_path)
    # The file may end with the last image, whose line would be empty.
    (tmp_path / "images.txt").write_text(f"{lines[0]}\n\n{lines[1]}", encoding="utf-8")
    assert len(ts.load_colmap_cameras(tmp_path)) == 2


BAD_TEXT = {
    "model": (
        "1 FOV 64 48 70 90 33 20 0.1",
        None,
        "must be a pinhole .*no fisheye, got FOV",
    ),
    "unknown": ("1 NEW 64 48 70", None, "must be a pinhole .*got NEW"),
    "few": ("1 PINHOLE 64 48 70 33 20", None, r"parameters of PINHOLE.*\(4,\).*\(3,\)"),
    "short": ("1 PINHOLE 64", None, "line 2 must have CAMERA_ID MODEL"),
    "word": ("1 PINHOLE 64 48 70 x 33 20", None, "line 2 must have a number, got 'x'"),
    "float": (
        "1 PINHOLE 64.5 48 70 90 33 20",
        None,
        "line 2: a whole number was expected, got '64.5'",
    ),
    "nan": ("1 PINHOLE 64 48 70 nan 33 20", None, "must be finite"),
    "zero": ("1 PINHOLE 64 0 70 90 33 20", None, "height and width must be at least 1"),
    "whose lens": (
        "1 PINHOLE 64 48 -70 90 33 20",
        None,
        "camera 1: focal lengths must be positive",
    ),
    "image": (None, "1 1 0 0 0 0 0 5 1", r"images\.txt: line 2 must have IMAGE_ID QW"),
    "camera": (None, "1 1 0 0 0 0 0 5 9 x.png", r"image x.png needs camera 9, and there are \[1\]"),
    "quaternion": (None, "1 0 0 0 0 0 0 5 1 x.png", "quaternion of image x.png must not be zero"),
    "no image": (None, "", "at least one image"),
}


@pytest.mark.parametrize(("camera", "image", "match"), BAD_TEXT.values(), ids=BAD_TEXT)
def test_bad_colmap_text(camera, image, match, tmp_path):
    camera = "1 PINHOLE 64 48 70 90 33 20" if camera is None else camera
    image = "1 1 0 0 0 0 0 5 1 x.png" if image is None else image
    (tmp_path / "cameras.txt").write_text(f"# c\n{camera}\n", encoding="utf-8")
    (tmp_path / "images.txt").write_text(f"# i\n{image}\n\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"readable COLMAP file, got .*{match}"):
        ts.load_colmap_cameras(tmp_path)


def test_bad_colmap_binary(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cameras\.bin or cameras\.txt, such as sparse/0"):
        ts.load_colmap_cameras(tmp_path)
    colmap_binary(
        tmp_path, [(1, "PINHOLE", 64, 48, [70.0, 90, 33, 20])], [(poses()[0], 1, "x.png")]
    )
    images, cameras = tmp_path / "images.bin", tmp_path / "cameras.bin"
    whole = images.read_bytes()
    # Cut off anywhere.
    for size in range(len(whole)):
        images.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"images\.bin: the file ends"):
            ts.load_colmap_cameras(tmp_path)
    images.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match=r"images\.bin: 1 bytes more than 1 records"):
        ts.load_colmap_cameras(tmp_path)
    images.unlink()
    with pytest.raises(FileNotFoundError, match=r"existing COLMAP file.*images\.bin"):
        ts.load_colmap_cameras(tmp_path)
    images.write_bytes(whole)
    for number, name in ((5, "OPENCV_FISHEYE"), (99, "number 99"), (-1, "number -1")):
        values = [70, 90, 33, 20, 0, 0, 0, 0]
        cameras.write_bytes(struct.pack("<QiiQQ8d", 1, 1, number, 64, 48, *values))
        with pytest.raises(ValueError, match=rf"cameras\.bin: .*must be a pinhole .*got {name}"):
            ts.load_colmap_cameras(tmp_path)


# BOP


def bop(folder, world=True):
    """Write a scene of two images, each with objects 4 and 5, where object 5 is seen twice in the second."""
    camera, truth = {}, {}
    # Numbers are sorted as numbers.
    for key, turn, shift in zip(("10", "9"), TURNS.as_matrix(), 1000 * SHIFTS, strict=True):
        camera[key] = {"cam_K": K.flatten().tolist(), "depth_scale": 0.1}
        pose = turn.flatten().tolist(), shift.tolist()
        if world:
            camera[key].update(cam_R_w2c=pose[0], cam_t_w2c=pose[1])
        other = np.eye(3).flatten().tolist(), [0, 0, 3000 + int(key)]
        truth[key] = [
            {"obj_id": 4, "cam_R_m2c": pose[0], "cam_t_m2c": pose[1]},
            {"obj_id": 5, "cam_R_m2c": other[0], "cam_t_m2c": other[1]},
        ]
    truth["10"].append(dict(truth["10"][1], cam_t_m2c=[100, 0, 2000]))
    write(folder / "scene_camera.json", camera)
    write(folder / "scene_gt.json", truth)


@pytest.mark.parametrize("object_id", [None, 4])
def test_bop(object_id, tmp_path):
    bop(tmp_path)
    (tmp_path / "rgb").mkdir()
    for key in (9, 10):
        Image.new("RGB", (64, 48)).save(tmp_path / "rgb" / f"{key:06}.png")
    views = ts.load_bop_cameras(
        tmp_path, object_id=object_id, scale=0.001, pixel_center=0.5, **DOUBLE
    )
    assert views.names == ("rgb/000009.png", "rgb/000010.png")
    for view, index in zip(views.cameras, (1, 0), strict=True):
        check(view, pixels(K, TURNS.as_matrix()[index], SHIFTS[index]))
    millimetres = ts.load_bop_cameras(tmp_path, object_id=object_id, **DOUBLE).camera()
    # OpenCV's K, with the first pixel at 0.
    expected = pixels(K, TURNS.as_matrix()[0], 1000 * SHIFTS[0], 1000 * CORNERS) + 0.5
    check(millimetres[1], expected, 1000 * CORNERS)


def test_instances_of_bop(tmp_path):
    bop(tmp_path, world=False)
    views = ts.load_bop_cameras(tmp_path, object_id=5, image_size=(48, 64), **DOUBLE)
    assert views.names == ("000009", "000010", "000010")
    assert views.camera().translation.tolist() == [[0, 0, 3009], [0, 0, 3010], [100, 0, 2000]]
    with pytest.raises(ValueError, match=r"object_id must be an object of the scene.*got 6"):
        ts.load_bop_cameras(tmp_path, object_id=6, image_size=(48, 64))
    with pytest.raises(
        ValueError, match=r"scene_camera\.json: image 9 has no cam_R_w2c: object_id"
    ):
        ts.load_bop_cameras(tmp_path, image_size=(48, 64))
    with pytest.raises(FileNotFoundError, match="image_size must be given"):
        ts.load_bop_cameras(tmp_path, object_id=5)


BAD_BOP = {
    "no K": ("scene_camera", {"9": {}}, 'image 9 must have "cam_K"'),
    "K": ("scene_camera", {"9": {"cam_K": [1, 2]}}, r"cam_K of image 9.*\(3, 3\).*\(2,\)"),
    "K transposed": (
        "scene_camera",
        {"9": {"cam_K": K.T.tolist()}},
        "cam_K of image 9 must be upper",
    ),
    "focal": ("scene_camera", {"9": {"cam_K": (-K).tolist()}}, "focal lengths must be positive"),
    "key": ("scene_camera", {"nine": {}}, r"keys must be numbers of images, got \['nine'\]"),
    "empty": ("scene_camera", {}, "keys must be numbers of images, got none"),
    "pose": ("scene_gt", {"9": [{"obj_id": 5}]}, 'an object of image 9 must have "cam_R_m2c"'),
    "list": ("scene_gt", {"9": {}}, "image 9 must have a list of poses"),
    "image": (
        "scene_gt",
        {"11": [{"obj_id": 5, "cam_R_m2c": np.eye(3).tolist(), "cam_t_m2c": [0, 0, 1]}]},
        "image 11 must be in scene_camera.json",
    ),
    "scaled": (
        "scene_gt",
        {"9": [{"obj_id": 5, "cam_R_m2c": (2 * np.eye(3)).tolist(), "cam_t_m2c": [0, 0, 1]}]},
        "the rotation of image 9 must be a rotation",
    ),
}


@pytest.mark.parametrize(("name", "record", "match"), BAD_BOP.values(), ids=BAD_BOP)
def test_bad_bop(name, record, match, tmp_path):
    bop(tmp_path)
    write(tmp_path / f"{name}.json", record)
    with pytest.raises(ValueError, match=rf"readable BOP file, got .*{name}\.json: .*{match}"):
        ts.load_bop_cameras(tmp_path, object_id=5, image_size=(48, 64))


def test_a_mesh_is_drawn_where_a_photo_has_it(tmp_path):
    """From files to pixels: the silhouette of a cube fills the hull of its corners."""
    colmap_text(tmp_path, [(1, "PINHOLE", 64, 48, [70.0, 90, 33, 20])], [(poses()[0], 1, "x.png")])
    camera = ts.load_colmap_cameras(tmp_path).camera()
    cube = ts.shapes.cube()
    drawn = ts.SoftRasterizer.hard().silhouette(cube, camera)[0].nonzero().double() + 0.5
    corners = pixels(K, TURNS.as_matrix()[0], SHIFTS[0], cube.vertices.double().numpy())
    for side, axis in ((0, 1), (1, 0)):
        low, high = corners[:, axis].min(), corners[:, axis].max()
        assert 0 <= float(drawn[:, side].min()) - low < 1.5
        assert 0 <= high - float(drawn[:, side].max()) < 1.5
