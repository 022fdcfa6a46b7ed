"""The suggested scale follows its rule, and helps."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import distance_transform_edt

import taichisoft as ts
from benchmarks import scales
from taichisoft.diagnosis.projected_faces import ProjectedFaces
from taichisoft.engine.projection import build_scene
from tests.helpers import pixel_camera, soup_setup

SIZE = (24, 32)


def square(left: float, top: float, side: float, dtype: torch.dtype) -> ts.Mesh:
    """Return two faces that cover a square of the image."""
    corners = [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]
    places = torch.tensor(corners, dtype=dtype) * torch.tensor([side, side, 1.0], dtype=dtype)
    places = places + torch.tensor([left, top, 0.0], dtype=dtype)
    return ts.Mesh(places, torch.tensor([[0, 1, 2], [0, 2, 3]]))


def pixels(scale: ts.Scale) -> float:
    return float(scale.in_pixels(SIZE[0]))


@pytest.mark.parametrize(("side", "expected"), [(0.5, 0.1), (1.6, 0.2), (3.0, 0.375), (20.0, 0.4)])
def test_an_eighth_of_the_edge_within_limits(side, expected, dtype):
    # Of the six edges four are as long as a side: the median.
    scale = ts.suggest_scale(square(2, 2, side, dtype), pixel_camera(*SIZE, dtype))
    assert isinstance(scale, ts.Pixels)
    assert pixels(scale) == pytest.approx(expected, rel=1e-5)
    assert isinstance(ts.Gaussian(scale), ts.Coverage)


def test_only_faces_in_the_image_count(dtype):
    near, away = square(2, 2, 1.6, dtype), square(200, 2, 30, dtype)
    away = ts.Mesh(away.vertices.repeat(3, 1), away.faces.repeat(3, 1))
    both = ts.Mesh(
        torch.cat([near.vertices, away.vertices]), torch.cat([near.faces, away.faces + 4])
    )
    assert pixels(ts.suggest_scale(both, pixel_camera(*SIZE, dtype))) == pytest.approx(
        0.2, rel=1e-5
    )
    # Unless there is none.
    assert pixels(ts.suggest_scale(away, pixel_camera(*SIZE, dtype))) == pytest.approx(0.4)


def test_nine_tenths_of_a_target_are_within_reach(dtype):
    mesh, camera = square(2, 2, 4, dtype), pixel_camera(*SIZE, dtype)
    target = torch.zeros(1, *SIZE, dtype=dtype)
    # Ten pixels of one row: their centres are 0.5 to 9.5 px away from the right side.
    target[0, 3, 6:16] = 1
    scale = ts.suggest_scale(mesh, camera, target, reach=2.0)
    assert isinstance(scale, ts.ExponentialAnnealing)
    # The quantile 0.9 of ten numbers lies a tenth of the way from the ninth to the tenth.
    assert pixels(scale) == pytest.approx((8.5 + 0.1) / 2, rel=1e-5)
    scale.set_progress(1.0)
    assert pixels(scale) == pytest.approx(0.4)
    assert pixels(ts.suggest_scale(mesh, camera, target[0].bool(), reach=4.3)) == pytest.approx(2.0)
    # By default that of a Gaussian.
    default = ts.suggest_scale(mesh, camera, target)
    assert pixels(default) * -ts.Gaussian().domain().low == pytest.approx(8.6, rel=1e-5)


def test_a_target_that_is_covered_changes_nothing(dtype):
    mesh, camera = square(2, 2, 6, dtype), pixel_camera(*SIZE, dtype)
    for target in (ts.SoftRasterizer.hard().silhouette(mesh, camera), torch.zeros(SIZE)):
        scale = ts.suggest_scale(mesh, camera, target)
        assert isinstance(scale, ts.Pixels)
        assert pixels(scale) == pytest.approx(0.4)


@pytest.mark.parametrize("far", [5.0, 60.0, 1e4])
def test_distances_are_those_of_the_geometry(dtype, far):
    # A square to the right of the image: the distance is horizontal in the rows beside it.
    mesh, camera = square(SIZE[1] + far, 0, SIZE[0], dtype), pixel_camera(*SIZE, dtype)
    faces = ProjectedFaces(build_scene(mesh, camera, None))
    found = faces.distances(torch.ones(1, *SIZE, dtype=torch.bool))[0]
    expected = SIZE[1] + far - (torch.arange(SIZE[1]) + 0.5)
    assert torch.allclose(found, expected.expand(SIZE).to(dtype), rtol=2e-6, atol=1e-4)
    assert not bool(faces.in_image.any())


def test_distances_of_a_filled_shape_agree_with_a_distance_transform(dtype):
    mesh, camera = square(10, 6, 8, dtype), pixel_camera(*SIZE, dtype)
    faces = ProjectedFaces(build_scene(mesh, camera, None))
    found = faces.distances(torch.ones(1, *SIZE, dtype=torch.bool))[0]
    hard = ts.SoftRasterizer.hard().silhouette(mesh, camera)[0]
    assert torch.equal(found == 0, hard == 1)
    # From centre to centre, where the square ends half a pixel before: in rows and columns beside it.
    outside = torch.from_numpy(distance_transform_edt(hard.numpy() == 0)).to(dtype)
    beside = torch.zeros(SIZE, dtype=torch.bool)
    beside[6:14], beside[:, 10:18] = True, True
    beside &= hard == 0
    assert torch.allclose(found[beside], outside[beside] - 0.5, atol=1e-4)


def test_distances_of_a_batch(dtype):
    setup = soup_setup(3, 5, SIZE, batch=2)
    mesh, camera = setup.build({name: leaf.to(dtype) for name, leaf in setup.leaves.items()})
    behind = mesh.vertices.clone()
    behind[1, :, 2] -= 1e7
    camera = ts.Camera(
        camera.rotation, camera.translation, camera.intrinsics, SIZE, perspective=False, near=-1e6
    )
    everywhere = torch.ones(2, *SIZE, dtype=torch.bool)
    both = ProjectedFaces(build_scene(mesh, camera, None)).distances(everywhere)
    one = ProjectedFaces(build_scene(mesh.with_vertices(behind), camera, None)).distances(
        everywhere
    )
    assert torch.allclose(one[0], both[0], atol=1e-4)
    # Nothing is in front in the other image.
    assert bool(one[1].isinf().all())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": torch.zeros(5, 5)}, ValueError, "target must have shape"),
        ({"target": [1.0]}, TypeError, "target must be a Tensor"),
        ({"target": torch.zeros(SIZE, dtype=torch.int64)}, TypeError, "target must be of dtype"),
        ({"reach": 0.0}, ValueError, "reach must be finite and greater than 0"),
        ({"camera": 3}, TypeError, "camera must be a Camera"),
        ({"mesh": "mug"}, TypeError, "mesh must be a Mesh"),
    ],
)
def test_bad_arguments(change, error, message, dtype):
    good = {"mesh": square(2, 2, 3, dtype), "camera": pixel_camera(*SIZE, dtype)}
    with pytest.raises(error, match=message):
        ts.suggest_scale(**(good | change))


def test_nothing_in_front():
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), at=(0.0, 0.0, 8.0), image_size=SIZE)
    with pytest.raises(ValueError, match="mesh must have a face in front of the camera"):
        ts.suggest_scale(ts.shapes.icosphere(1), camera)


def test_a_ball_finds_a_target_that_it_does_not_touch():
    problem = scales.translations(6, size=32)
    rates = []
    for target in (None, problem.target):
        scale = ts.suggest_scale(problem.mesh, problem.camera, target)
        _, solved = problem.solve(ts.SoftRasterizer(ts.Gaussian(scale)))
        rates.append(float(solved.double().mean()))
    assert rates[0] < rates[1] == 1.0


def test_the_benchmark_runs(monkeypatch, capsys):
    monkeypatch.setattr(scales, "STEPS", 2)
    scales.main(["--count", "1"])
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 + 4 * 3 + 2
    assert all(row.count("|") == 5 for row in rows)
