"""`ts.fit_pose`: poses that are known come back, and what is wrong with a mask or a pose is said."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.geometry.rotations import angle_between, from_axis_angle
from taichisoft.poses.constant import constant
from taichisoft.poses.framed import Framed
from taichisoft.poses.inputs import Frame, camera_of, check_mesh, evidence_of, masks_of, start_of
from taichisoft.poses.pose_fit import Inverse, Request, verdict_of
from taichisoft.poses.poses import Poses
from taichisoft.poses.search import Search
from tests.poses.scenes import SIZE, hard_mask, views

# Of a search that is as short as can be.
SHORT = {"starts": 2, "steps": 4}
UNIT, PLACE = 250.0, torch.tensor([40.0, -700.0, 90.0])


def chair_in_millimetres() -> ts.Mesh:
    chair = ts.shapes.chair()
    return chair.with_vertices(UNIT * chair.vertices + PLACE)


def camera_in_millimetres(count: int) -> ts.Camera:
    """Return cameras that see it as `views` see a chair of radius 1."""
    camera = views(count)
    shift = UNIT * camera.translation - camera.rotation @ PLACE
    return replace(camera, translation=shift, near=1.0)


def in_frame_of(camera: ts.Camera) -> tuple[Tensor, Tensor]:
    return camera.rotation[0], camera.translation[0]


def degrees(first: Tensor, second: Tensor) -> float:
    return math.degrees(float(angle_between(first, second)))


def turned(R: Tensor, t: Tensor, angle: float, axis=(0.6, 0.0, 0.8)) -> tuple[Tensor, Tensor]:
    """Return a pose that is off by an angle in degrees, about the middle of a mesh at the origin."""
    vector = math.radians(angle) * torch.tensor(axis, dtype=R.dtype)
    return from_axis_angle(vector) @ R, t


@pytest.fixture(scope="module")
def searched():
    """Search for a pose, of a mesh far from its origin, with K alone."""
    mesh, camera = chair_in_millimetres(), camera_in_millimetres(1)
    lines = []
    found = ts.fit_pose(
        mesh,
        hard_mask(mesh, camera)[0] > 0,
        camera.intrinsics[0],
        starts=12,
        steps=30,
        report=lines.append,
    )
    return mesh, camera, found, lines


def test_a_pose_is_found_from_its_mask(searched):
    _, camera, found, lines = searched
    assert found.ok
    assert not found.inverted
    assert found.iou > 0.97
    assert found.verdict.startswith(f"ok: IoU {found.iou:.4f}")
    R, t = in_frame_of(camera)
    assert degrees(found.R, R) < 2
    # Of the middle of the mesh: t is that of its far origin.
    assert ((found.R - R) @ PLACE + found.t - t).norm() < 0.02 * UNIT * 3.5
    torch.testing.assert_close(found.K, camera.intrinsics)
    assert lines[0].startswith("best of 192 random orientations: IoU 0.")
    assert len(lines) == 3


def test_the_camera_of_a_result_sees_the_mesh_there(searched):
    mesh, camera, found, _ = searched
    drawn = hard_mask(mesh, found.camera)
    assert float(ts.iou(drawn, hard_mask(mesh, camera))[0]) == pytest.approx(found.iou, abs=1e-3)


def test_other_poses_are_named(searched):
    found = searched[2]
    assert found.second_best is found.others[0]
    assert all(other.degrees >= 15 for other in found.others)
    losses = [other.behind for other in found.others]
    assert losses == sorted(losses)
    best = found.second_best
    assert best.degrees == pytest.approx(degrees(best.R, found.R), abs=0.1)
    assert best.behind == pytest.approx(found.iou - best.iou, abs=1e-5)
    assert found.ambiguous == tuple(o for o in found.others if o.behind < 0.01)


def test_a_result_is_printed_in_short(searched):
    found = searched[2]
    text = repr(found)
    assert text.startswith(f"pose, {found.verdict}\n  R: 0.")
    assert text.count("\n") == 2
    assert all(len(line) < 110 for line in text.split("\n"))
    assert repr(found.second_best).startswith("pose ")


def test_a_result_or_its_numbers_are_a_start(searched):
    mesh, camera, found, _ = searched
    mask = hard_mask(mesh, camera)[0]
    starts = (found, (found.R, found.t), (found.R.tolist(), found.t.numpy()))
    again = [
        ts.fit_pose(mask=mask, mesh=mesh, K=camera.intrinsics[0], init=s, steps=3) for s in starts
    ]
    for one in again:
        assert one.iou >= found.iou - 0.01
        assert one.others == ()
        torch.testing.assert_close(one.R, again[0].R, rtol=0, atol=0)
        torch.testing.assert_close(one.t, again[0].t, rtol=0, atol=0)


def test_another_pose_is_a_start(searched):
    mesh, found = searched[0], searched[2]
    framed, other = Framed.of(mesh), found.others[0]
    frame = Frame(framed, camera_of(found.K[0], None, torch.zeros(1, *SIZE), framed))
    pair = start_of((other.R, other.t), frame)
    torch.testing.assert_close(start_of(other, frame), pair, rtol=0, atol=0)


def test_several_views_lead_to_a_pose_in_their_world():
    mesh, camera = ts.shapes.bracket().to(dtype=torch.float64), views(3).to(dtype=torch.float64)
    true = (
        from_axis_angle(torch.tensor([0.3, -0.5, 0.2])).double(),
        torch.tensor([0.1, 0.05, -0.1]).double(),
    )
    placed = mesh.with_vertices(mesh.vertices @ true[0].mT + true[1])
    found = ts.fit_pose(
        mesh, hard_mask(placed, camera), camera=camera, init=turned(*true, 15), steps=40
    )
    assert found.ok
    assert found.R.dtype == torch.float64
    assert degrees(found.R, true[0]) < 2
    assert (found.t - true[1]).norm() < 0.02
    assert found.K.shape == (3, 3, 3)
    overlap = ts.iou(hard_mask(mesh, found.camera), hard_mask(placed, camera)).mean()
    assert float(overlap) == pytest.approx(found.iou, abs=1e-3)


def test_a_search_in_several_views():
    mesh, camera = ts.shapes.bracket(), views(2)
    masks = hard_mask(mesh, camera)
    found = ts.fit_pose(mesh, masks, camera=camera, starts=8, steps=25)
    assert found.ok
    assert degrees(found.R, torch.eye(3)) < 3


# --- masks


def test_an_inverted_mask_is_noticed_and_turned_round():
    mesh, camera = ts.shapes.chair(), views(1)
    inverse, K = 1 - hard_mask(mesh, camera)[0], camera.intrinsics[0]
    # A small object: the mesh in front of all of the image has a large IoU.
    assert inverse.mean() > 0.75
    with pytest.warns(UserWarning, match="the mask looks inverted: .* invert=True"):
        found = ts.fit_pose(mesh, inverse, K, starts=12, steps=25)
    assert found.inverted
    assert not found.ok
    assert "--invert" in found.verdict
    found = ts.fit_pose(mesh, inverse, K, invert=True, init=in_frame_of(camera), steps=3)
    assert found.ok
    assert not found.inverted


@pytest.mark.parametrize(
    ("box", "share"),
    [((0, 0, 26, 30), 0.1), ((16, 16, 36, 32), 0.5)],
    ids=["in part", "all around"],
)
def test_a_mask_that_is_cut_off_is_not_taken_for_an_inverted_one(box, share):
    mesh, camera = ts.shapes.car(), views(1).crop(box)
    mask, K = hard_mask(mesh, camera)[0], camera.intrinsics[0]
    assert torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean() > share
    assert mask.mean() < 0.95
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ts.fit_pose(mesh, mask, K, init=in_frame_of(camera), steps=3).ok
        # Nor if the pose is wrong, so that the inverse is looked at.
        lines = []
        poor = ts.fit_pose(mesh, mask, K, starts=2, steps=1, min_iou=0.99, report=lines.append)
    assert not poor.ok
    assert not poor.inverted
    assert any("inverted" in line for line in lines) == (share >= 0.5)


def test_a_mask_that_fills_the_image_tells_no_pose():
    mask = torch.ones(12, 12)
    mask[0, 0] = mask[6, 6] = mask[3, 8] = 0
    K = torch.tensor([[40.0, 0.0, 6.0], [0.0, 40.0, 6.0], [0.0, 0.0, 1.0]])
    found = ts.fit_pose(ts.shapes.icosphere(1), mask, K, **SHORT)
    assert found.iou > 0.95
    assert not found.ok
    assert "fill the image" in found.verdict


def test_masks_of_every_dtype_are_the_same():
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[1:3, 2:4] = True
    like = torch.zeros(1)
    for given in (mask, mask.byte(), 255 * mask.byte(), mask.float(), mask.double(), mask[None]):
        torch.testing.assert_close(masks_of(given, False, like), mask[None].float())
    torch.testing.assert_close(masks_of(mask, True, like), 1 - mask[None].float())
    grey = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    torch.testing.assert_close(masks_of(grey, False, like), torch.tensor([[[0, 0.2, 1]]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masks_and_photos_may_be_rounded_beyond_their_range(dtype):
    mask = torch.tensor([[0.0, 1.0, 1.0 + 1e-6, -1e-6]], dtype=dtype)
    like, expected = torch.zeros(1), torch.tensor([[[0.0, 1.0, 1.0, 0.0]]])
    torch.testing.assert_close(masks_of(mask, False, like), expected, rtol=0, atol=0)
    frame = Frame(Framed.of(PAINTED), views(1).crop((0, 0, 4, 1)))
    photo = mask[..., None].expand(1, 4, 3)
    image = evidence_of(frame, expected, photo, None).image
    torch.testing.assert_close(image[..., 0], expected, rtol=0, atol=0)
    for beyond, got in ((1.0001, "1.0001"), (-1e-4, "-0.0001")):
        mask[0, 0] = beyond
        with pytest.raises(ValueError, match=rf"mask must be in \[0, 1\], got {got}$"):
            masks_of(mask, False, like)


def test_verdicts():
    def verdict(iou, background=0.9, inverse=None):
        return verdict_of(iou, 0.9, background, inverse, ())

    assert verdict(0.95) == (True, "ok: IoU 0.9500, and all that was tried leads there")
    assert verdict(0.9)[0]
    assert verdict(0.95, inverse=Inverse(0.5, is_better=False))[0]
    for background, inverse in ((0.9, None), (0.1, None), (0.1, Inverse(0.5, is_better=False))):
        for iou in (0.89, 0.95 if background == 0.1 else 0.89):
            ok, words = verdict(iou, background, inverse)
            assert not ok
            assert words.startswith("not ok: IoU 0.")
            assert ("--invert" in words) == (inverse is not None)
    ok, words = verdict(0.95, 0.1, Inverse(0.97, is_better=True))
    assert not ok
    assert words.startswith("not ok: the mask looks inverted")


def test_a_verdict_says_that_no_other_pose_was_tried():
    for request in (Request(is_single=True), Request(from_start=True, is_single=True)):
        words = verdict_of(0.95, 0.9, 0.9, None, (), request)[1]
        assert words == "ok: IoU 0.9500; no other pose was tried"


@pytest.mark.parametrize(
    ("asked", "causes"),
    [
        (Request(is_single=True), "another mesh, mask or K, or too few starts"),
        (Request(from_start=True), "another mesh, mask or K, or a start (init) too far off"),
        (Request(has_depth=True), "another mesh, mask or K, the units of depth, or too few starts"),
        (Request(has_image=True), "another mesh, mask or K, the photo, or too few starts"),
    ],
)
def test_a_verdict_names_what_may_be_wrong(asked, causes):
    ok, words = verdict_of(0.5, 0.9, 0.9, None, (), asked)
    assert not ok
    assert words == f"not ok: IoU 0.5000 is less than 0.9: {causes}"


def test_a_mask_that_was_right_is_not_to_be_inverted():
    request = Request(is_inverted=True)
    for iou in (0.5, 0.95):
        words = verdict_of(iou, 0.9, 0.1, Inverse(0.5, is_better=False), (), request)[1]
        assert words.endswith("; was the mask right without invert=True (--invert)?")
    words = verdict_of(0.3, 0.9, 0.9, Inverse(0.97, is_better=True), (), request)[1]
    assert words.startswith("not ok: the mask looks inverted: ")
    assert words.endswith("; leave out invert=True (--invert), which turned it round")


def poses_of(iou: float) -> Poses:
    """Return one pose, of which this is known."""
    value = torch.tensor([iou])
    return Poses(torch.eye(3)[None], torch.tensor([[0.0, 0.0, 3.0]]), 1 - value, value, value)


def test_what_was_asked_for_reaches_the_verdict(monkeypatch):
    mesh, camera = ts.shapes.cube().with_vertex_colors(torch.rand(8, 3)), views(1)
    mask, K = hard_mask(mesh, camera)[0], camera.intrinsics[0]
    ious = {"refined_from": 0.95, "found": 0.3, "coarse": 0.97}
    for name in ious:
        monkeypatch.setattr(Search, name, lambda self, *_, name=name: poses_of(ious[name]))
    found = ts.fit_pose(mesh, mask, K, init=in_frame_of(camera))
    assert found.verdict == "ok: IoU 0.9500; no other pose was tried"
    assert found.ambiguous == ()
    assert found.second_best is None
    evidence = {"image": torch.rand(*SIZE, 3), "depth": torch.ones(SIZE)}
    found = ts.fit_pose(mesh, mask, K, **evidence)
    assert "the photo, the units of depth, or too few starts" in found.verdict
    ious.update(refined_from=0.5)
    found = ts.fit_pose(mesh, mask, K, init=in_frame_of(camera))
    assert "a start (init) too far off" in found.verdict
    ious.update(found=0.95)
    assert "no other pose" in ts.fit_pose(mesh, mask, K, starts=1).verdict
    assert "all that was tried" in ts.fit_pose(mesh, mask, K, starts=2).verdict
    ious.update(found=0.3)
    with pytest.warns(UserWarning, match="leave out invert=True"):
        assert ts.fit_pose(mesh, mask, K, invert=True).inverted


# --- what more is known


def test_symmetric_meshes_are_ambiguous():
    mesh, camera = ts.shapes.cube(), views(1)
    found = ts.fit_pose(mesh, hard_mask(mesh, camera)[0], camera.intrinsics[0], starts=8, steps=25)
    assert found.ok
    assert found.ambiguous
    assert "but ambiguous" in found.verdict
    for other in found.ambiguous:
        # A symmetry of the cube, or what is as far off as the pose itself.
        assert min(abs(other.degrees - angle) for angle in (90, 120, 180)) < 12


def test_colours_tell_what_a_silhouette_does_not():
    ball = ts.shapes.icosphere(2)
    ball = ball.with_vertex_colors((ball.vertices + 1) / 2)
    camera = views(1)
    seen = ts.SoftRasterizer.hard()(ball, camera)
    start = turned(*in_frame_of(camera), 30, (0.0, 1.0, 0.0))
    mask, K, photo = seen.alpha[0], camera.intrinsics[0], (255 * seen.color[0]).round().byte()
    found = ts.fit_pose(ball, mask, K, photo, init=start, steps=30)
    assert found.ok
    assert degrees(found.R, camera.rotation[0]) < 5
    blind = ts.fit_pose(ball, mask, K, init=start, steps=2)
    assert degrees(blind.R, camera.rotation[0]) > 15


def test_depths_with_holes_tell_how_far_a_mesh_is_that_is_cut_off():
    mesh, whole = ts.shapes.cube(), ts.Camera.look_at((1.0, 0.5, 4.0), image_size=(40, 40))
    camera = whole.crop((0, 14, 22, 26))
    seen = ts.SoftRasterizer.hard()(mesh, camera)
    depth = torch.where(seen.alpha > 0, seen.depth, 50.0)[0]
    depth[3:5] = torch.nan
    depth[6] = 0
    R, t = in_frame_of(camera)
    start = (R, t * 1.15)
    found = ts.fit_pose(
        mesh, seen.alpha[0], camera.intrinsics[0], depth=depth, init=start, steps=25
    )
    assert abs(float(found.t[2] - t[2])) < 0.1


def test_vertices_that_no_face_uses_do_not_count():
    mesh = ts.shapes.cube().with_vertex_colors(torch.rand(8, 3))
    far = torch.tensor([[20.0, 0.0, 0.0]])
    more = torch.cat([mesh.vertex_colors, torch.rand(1, 3)])
    stray = ts.Mesh(torch.cat([mesh.vertices, far]), mesh.faces, vertex_colors=more)
    framed = Framed.of(check_mesh(stray))
    assert framed.radius == Framed.of(mesh).radius
    torch.testing.assert_close(framed.mesh.vertices[:-1], Framed.of(mesh).mesh.vertices)
    torch.testing.assert_close(framed.mesh.vertex_colors, more)


def test_small_units_are_not_cut_by_the_near_plane():
    mesh = ts.shapes.bracket()
    mesh, camera = mesh.with_vertices(1e-3 * mesh.vertices), views(1)
    small = replace(camera, translation=1e-3 * camera.translation, near=1e-5)
    mask, K = hard_mask(mesh, small)[0], camera.intrinsics[0]
    found = ts.fit_pose(mesh, mask, K, init=in_frame_of(small), steps=2)
    assert found.iou > 0.99
    assert float(ts.iou(hard_mask(mesh, found.camera), mask)[0]) > 0.99


# --- modes of torch


@torch.inference_mode()
def fit_in_inference_mode(mesh: ts.Mesh, mask: Tensor, camera: ts.Camera) -> ts.PoseFit:
    copy = replace(camera, intrinsics=camera.intrinsics.clone())
    return ts.fit_pose(mesh.with_vertices(mesh.vertices.clone()), mask, camera=copy, **SHORT)


def test_a_pose_is_the_same_in_every_mode_of_torch():
    mesh, camera = ts.shapes.cube(), views(1)
    mask, K = hard_mask(mesh, camera)[0], camera.intrinsics[0]
    with torch.inference_mode():
        kept = mask.clone()
    expected = ts.fit_pose(mesh, kept, camera=camera, **SHORT)
    with torch.no_grad():
        found = [ts.fit_pose(mesh, mask, camera=camera, **SHORT)]
        assert not torch.is_grad_enabled()
    found += [fit_in_inference_mode(mesh, mask, camera)]
    for one in found:
        torch.testing.assert_close(one.R, expected.R)
        assert not one.R.is_inference()
        assert not one.K.is_inference()
    torch.set_default_dtype(torch.float64)
    try:
        found = ts.fit_pose(mesh, mask, K, **SHORT)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.R.dtype == mesh.dtype


def test_constants_have_no_gradients_and_are_not_of_inference_mode():
    color = torch.rand(3, requires_grad=True)
    with torch.inference_mode():
        image, uv = torch.rand(2, 2, 3), torch.rand(8, 2)
        mesh = ts.shapes.cube().with_materials([ts.Material(color, image)], uv=uv)
    found = constant(mesh)
    for given, kept in ((image, found.materials[0].image), (uv, found.uv)):
        assert not kept.is_inference()
        torch.testing.assert_close(kept, given)
    assert not found.materials[0].color.requires_grad
    assert constant(views(2)).image_size == SIZE


# --- errors

MASK = torch.zeros(8, 10)
MASK[2:5, 3:6] = 1
K = [[12.0, 0.0, 5.0], [0.0, 12.0, 4.0], [0.0, 0.0, 1.0]]
TWO = ts.Camera.orbit(3.0, [0.0, 90.0], image_size=(8, 10))
PAINTED = ts.shapes.cube().with_vertex_colors(torch.rand(8, 3))
AHEAD = torch.tensor([0.0, 0.0, 3.0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mesh": 3}, TypeError, "mesh must be a Mesh, got int"),
        (
            {"mesh": ts.shapes.cube().with_vertices(torch.rand(2, 8, 3))},
            ValueError,
            "without a batch",
        ),
        (
            {"mesh": ts.Mesh(torch.rand(3, 3), torch.zeros(0, 3).long())},
            ValueError,
            "must have faces",
        ),
        ({"mask": MASK.numpy()}, TypeError, "mask must be a Tensor, got ndarray"),
        ({"mask": MASK.long()}, TypeError, "mask must be of dtype"),
        ({"mask": MASK[0]}, ValueError, r"mask must have shape \(H, W\) or \(V, H, W\)"),
        ({"mask": MASK[:0]}, ValueError, r"mask must have pixels, got shape \(0, 10\)"),
        ({"mask": 2 * MASK}, ValueError, r"mask must be in \[0, 1\], got 2"),
        ({"mask": MASK * torch.nan}, ValueError, "mask must be finite"),
        (
            {"mask": 0 * MASK},
            ValueError,
            "mask must have an object and a background, .* got 0 to 0",
        ),
        ({"mask": 0 * MASK + 1}, ValueError, "mask must have an object and a background"),
        ({"K": None}, ValueError, "K or camera must be given, got none"),
        ({"camera": TWO[0]}, ValueError, "K or camera must be given, got both"),
        ({"K": torch.eye(4)}, ValueError, "K must have shape"),
        ({"K": -torch.eye(3)}, ValueError, "K must have positive focal lengths"),
        ({"mask": MASK.expand(2, 8, 10)}, ValueError, "camera must be given for 2 masks"),
        (
            {"mask": MASK[..., None]},
            ValueError,
            r"mask must have shape .* got \(8, 10, 1\); mask\[..., 0\]",
        ),
        (
            {"mask": MASK[..., None].repeat(1, 1, 3), "K": None, "camera": TWO[0]},
            ValueError,
            r"without an axis of channels, got \(8, 10, 3\); mask\[..., 0\]",
        ),
        ({"report": True}, TypeError, "report must be callable, as print is, got bool"),
        ({"K": None, "camera": 3}, TypeError, "camera must be a Camera"),
        (
            {"K": None, "camera": TWO},
            ValueError,
            "camera must have a view for each mask, got 2 for 1",
        ),
        (
            {"K": None, "camera": TWO[0].resize((4, 5))},
            ValueError,
            r"camera must have the image size of the mask, \(8, 10\), got \(4, 5\)",
        ),
        (
            {"K": None, "camera": ts.Camera.orthographic((0, 0, 3), image_size=(8, 10))},
            ValueError,
            "camera must be a perspective one",
        ),
        ({"image": torch.rand(8, 10, 3)}, ValueError, "mesh must have colours or materials"),
        ({"mesh": PAINTED, "image": torch.rand(8, 9, 3)}, ValueError, "image must have shape"),
        ({"mesh": PAINTED, "image": torch.rand(8, 10, 4)}, ValueError, "image must have shape"),
        ({"mesh": PAINTED, "image": 2 + torch.rand(8, 10, 3)}, ValueError, "image must be in"),
        ({"depth": torch.ones(8, 9)}, ValueError, "depth must have shape"),
        ({"depth": -torch.ones(8, 10)}, ValueError, "depth must not be negative, got -1"),
        ({"depth": 1 - MASK}, ValueError, "depth must be known somewhere in the mask"),
        (
            {"init": torch.eye(4)},
            TypeError,
            r"init must be a PoseFit or a pair \(R, t\), got Tensor",
        ),
        ({"init": (2 * torch.eye(3), AHEAD)}, ValueError, "init R must be a rotation"),
        ({"init": (torch.eye(3), torch.eye(3))}, ValueError, "init t must have shape"),
        ({"init": (torch.eye(3), -AHEAD)}, ValueError, "init must place the mesh in front"),
        ({"invert": 1}, TypeError, "invert must be a bool"),
        ({"min_iou": 1.0}, ValueError, "min_iou must be between 0 and 1"),
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"starts": 0}, ValueError, "starts must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"renderer": ts.SoftRasterizer.hard()}, ValueError, "renderer must be soft"),
        ({"renderer": "pose"}, TypeError, "renderer must be a SoftRasterizer"),
    ],
)
def test_bad_arguments(arguments, error, message):
    given = {"mesh": ts.shapes.cube(), "mask": MASK, "K": K, **arguments}
    with pytest.raises(error, match=message):
        ts.fit_pose(**given)


def test_nothing_that_was_given_is_changed_or_followed():
    mesh, camera = ts.shapes.cube(), views(1)
    vertices = mesh.vertices.clone().requires_grad_()
    mask = hard_mask(mesh, camera)[0]
    kept = mask.clone()
    found = ts.fit_pose(mesh.with_vertices(vertices), mask, camera.intrinsics[0], **SHORT)
    assert not found.R.requires_grad
    assert not found.camera.rotation.requires_grad
    assert vertices.grad is None
    torch.testing.assert_close(mask, kept)
    assert found.camera.image_size == SIZE
