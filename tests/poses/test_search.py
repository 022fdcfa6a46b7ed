"""The parts of the search: where masks put a mesh, what a pose is held against, which poses are kept."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import taichisoft as ts
from taichisoft.geometry.rotations import from_axis_angle, random_rotations
from taichisoft.poses.alignment import aligned
from taichisoft.poses.evidence import Evidence
from taichisoft.poses.framed import Framed
from taichisoft.poses.inputs import Frame, evidence_of
from taichisoft.poses.poses import Poses
from taichisoft.poses.search import APART, KEPT, RATES, kept, refined
from tests.poses.scenes import hard_mask, views


def as_first(camera: ts.Camera) -> ts.Camera:
    """Return the cameras in the frame of the first one."""
    turn = camera.rotation @ camera.rotation[0].mT
    shift = camera.translation - turn @ camera.translation[0]
    return replace(camera, rotation=turn, translation=shift)


def poses_of(rotation: torch.Tensor, loss: torch.Tensor) -> Poses:
    return Poses(rotation, torch.zeros(len(loss), 3), loss, 1 - loss, 1 - loss)


def about_z(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees))
    return from_axis_angle(torch.stack([0 * angles, 0 * angles, angles], -1))


def test_a_conditioned_softness_is_told_of_the_starts():
    intrinsics = torch.tensor([[[20.0, 0.0, 10.0], [0.0, 20.0, 8.0], [0.0, 0.0, 1.0]]])
    eye, origin = torch.eye(3)[None], torch.zeros(1, 3)
    ball = ts.shapes.icosphere(1)
    evidence = Evidence(ball, torch.ones(1, 16, 20), ts.Camera(eye, origin, intrinsics, (16, 20)))
    translation = torch.tensor([[0.0, 0.0, 4.0]]).expand(2, 3)
    poses = Poses(eye.expand(2, 3, 3), translation, *torch.zeros(3, 2))
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.scale_by_edge()))
    refined(evidence, poses, renderer, 0, RATES)
    told = renderer.coverage.scale.length.situation
    camera = ts.Camera(eye, translation[:1], intrinsics, (16, 20))
    assert told == ts.situation_of(ball, camera, colors=False)


@pytest.mark.parametrize("count", [1, 3])
def test_boxes_of_masks_lead_to_the_place_of_the_mesh(count):
    mesh, camera = ts.shapes.chair(), views(count)
    evidence = Evidence(mesh, hard_mask(mesh, camera), as_first(camera))
    found = aligned(evidence, camera.rotation[:1], torch.Generator())
    # To within what half a pixel at each side of the box makes of the distance.
    assert (found[0] - camera.translation[0]).norm() < 0.04 * camera.translation[0].norm()


def test_a_view_without_the_object_does_not_count():
    mesh, camera = ts.shapes.chair(), views(2)
    masks = hard_mask(mesh, camera)
    masks[1] = 0
    evidence = Evidence(mesh, masks, as_first(camera))
    found = aligned(evidence, camera.rotation[:1], torch.Generator())
    assert (found[0] - camera.translation[0]).norm() < 0.04 * camera.translation[0].norm()


def test_a_mask_that_is_cut_off_puts_the_mesh_at_many_places():
    mesh, camera = ts.shapes.chair(), views(1).crop((20, 0, 56, 48))
    mask = hard_mask(mesh, camera)
    assert mask[0, :, 0].any()
    evidence = Evidence(mesh, mask, as_first(camera))
    rotation = camera.rotation.expand(64, 3, 3)
    found = aligned(evidence, rotation, torch.Generator().manual_seed(0))
    off = (found - camera.translation).norm(dim=-1)
    # Were the box of the object taken for that of what is seen, all were as far off.
    within = evidence.camera.crop((-20, 0, 36, 48))
    whole = Evidence(mesh, torch.nn.functional.pad(mask, (20, 0)), within)
    naive = (aligned(whole, camera.rotation, torch.Generator()) - camera.translation).norm()
    assert off.min() < 0.3 * naive


def test_the_loss_is_of_all_that_is_known():
    mesh = ts.shapes.cube()
    colors = torch.rand(mesh.num_faces, 3, generator=torch.Generator().manual_seed(0))
    mesh, camera = mesh.with_face_colors(colors), views(2)
    seen = ts.SoftRasterizer.hard()(mesh, camera)
    depth = torch.where(seen.alpha > 0, seen.depth, torch.nan)
    # A quarter turn about an axis of the cube: the same silhouette, and other colours.
    quarter = from_axis_angle(torch.tensor([0.0, math.pi / 2, 0.0]))
    rotation = torch.stack([camera.rotation[0], camera.rotation[0] @ quarter])
    away = 1.1 * camera.translation[:1]
    translation = camera.translation[:1].expand(2, 3)
    masks, first = hard_mask(mesh, camera), as_first(camera)

    def losses(translation, **more):
        return Evidence(mesh, masks, first, **more).measured(rotation, translation).loss

    assert losses(translation).max() < 1e-2
    colored = losses(translation, image=seen.color)
    assert colored[0] < 1e-2
    assert colored[1] > 0.1
    deep = losses(translation, depth=depth)
    assert deep.max() < 1e-2
    farther = losses(away.expand(2, 3), depth=depth) - losses(away.expand(2, 3))
    expected = ts.depth_mse(*_hard(mesh, camera, away), depth).mean()
    assert float(farther[0]) == pytest.approx(float(expected), abs=1e-4)


def _hard(mesh, camera, translation):
    turn = camera.rotation @ camera.rotation[0].mT
    shift = translation - camera.translation[:1]
    moved = replace(camera, translation=camera.translation + (turn @ shift[0]))
    image = ts.SoftRasterizer.hard()(mesh, moved)
    return image.depth, image.alpha


def test_evidence_in_larger_pixels():
    mask = torch.zeros(1, 8, 8)
    mask[0, 2:6, 2:7] = 1
    depth = torch.full((1, 8, 8), 9.0)
    depth[0, 2:4, 2:4] = torch.tensor([[3.0, torch.nan], [5.0, 4.0]])
    camera = views(1).crop((0, 0, 8, 8))
    image = torch.rand(1, 8, 8, 3)
    full = Evidence(ts.shapes.cube(), mask, camera, image, depth)
    small = full.resized(4)
    assert small.camera.image_size == (4, 4)
    torch.testing.assert_close(small.mask[0, 1], torch.tensor([0.0, 1.0, 1.0, 0.5]))
    # The mean of what is known of the object.
    assert float(small.depth[0, 1, 1]) == 4.0
    assert bool(small.depth[0, 0].isnan().all())
    assert float(small.depth[0, 1, 3]) == 9.0
    torch.testing.assert_close(small.image[0, 0, 0], image[0, :2, :2].mean((0, 1)))
    assert full.resized(8) is full


def test_a_photo_is_compared_with_colours_and_not_with_opacity():
    ball = ts.shapes.icosphere(1)
    image = torch.rand(4, 4, 3)
    paint = ts.Material(image=image, opacity=torch.tensor(0.5), image_opacity=torch.rand(4, 4))
    uv, thin = (ball.vertices[:, :2] + 1) / 2, torch.full((ball.num_vertices,), 0.3)
    mesh = ball.with_materials([paint], uv=uv).with_vertex_opacity(thin)
    mask = torch.ones(1, 8, 8)
    camera = views(1).crop((0, 0, 8, 8))
    frame = Frame(Framed.of(mesh), camera)
    seen = evidence_of(frame, mask, torch.rand(8, 8, 3), None).mesh
    assert seen.vertex_opacity is None
    assert not seen.materials[0].has_opacity
    torch.testing.assert_close(seen.materials[0].image, image)
    alone = evidence_of(frame, mask, None, None).mesh
    assert alone.materials is None
    assert alone.vertex_opacity is None


def test_how_much_of_the_border_a_mask_covers():
    mask = torch.zeros(2, 4, 6)
    mask[0, :, 0] = 1
    evidence = Evidence(ts.shapes.cube(), mask, views(2).crop((0, 0, 6, 4)))
    # Of 20 places along the border, corners twice, 6 of one image and none of the other.
    assert evidence.border_share() == pytest.approx(6 / 20)
    assert evidence.inverted().border_share() == pytest.approx(1)


def test_poses_that_are_apart():
    poses = poses_of(about_z(0, 5, 30, 32, 100), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert poses.apart(APART) == [0, 2, 4]


def test_a_second_pose_is_kept_beside_many_variants_of_the_best():
    degrees = [*(0.1 * k for k in range(20)), 90.0]
    loss = torch.linspace(0.1, 0.2, 21)
    shuffled = torch.randperm(21, generator=torch.Generator().manual_seed(0))
    found = kept(poses_of(about_z(*degrees)[shuffled], loss[shuffled]))
    assert len(found) == KEPT
    assert found.loss[0] == loss[0]
    assert found.loss.max() == loss[-1]
    assert len(kept(poses_of(random_rotations(3, torch.Generator()), loss[:3]))) == 3
