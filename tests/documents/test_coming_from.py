"""What the page for users of other libraries says of conventions, against their formulas."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

import taichisoft as ts
from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
THEIRS = re.findall(r'\.python title="(\w+)" \}\n(?!--8<--)(.*?)```', PAGE, flags=re.DOTALL)
DISTANCE, AZIMUTH, ELEVATION, FOV, SIZE = 4.0, 35.0, 20.0, 30.0, 48


@pytest.mark.parametrize(("name", "program"), THEIRS, ids=[name for name, _ in THEIRS])
def test_programs_of_others_are_python(name, program):
    compile(program, name, "exec")


def test_every_library_has_a_program():
    assert [name for name, _ in THEIRS] == ["PyTorch3D", "SoftRas", "nvdiffrast"]


def test_no_line_is_wider_than_its_column():
    snippets = sorted((ROOT / "docs" / "snippets").glob("from_*.py"))
    programs = [text for _, text in THEIRS] + [path.read_text("utf-8") for path in snippets]
    assert len(programs) == 6
    assert max(len(line) for text in programs for line in text.splitlines()) <= 66


def points() -> Tensor:
    return torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5


def looking(eye: Tensor) -> Tensor:
    """Return rows x, y, z of a camera that looks at the origin: z forward, y up, x their product."""
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    z = -eye / eye.norm()
    x = torch.linalg.cross(up, z)
    x = x / x.norm()
    return torch.stack([x, torch.linalg.cross(z, x), z])


def sphere(azimuth: float, towards: float) -> Tensor:
    """Return a point at the distance, z times what is given."""
    a, e = math.radians(azimuth), math.radians(ELEVATION)
    place = [math.cos(e) * math.sin(a), math.sin(e), towards * math.cos(e) * math.cos(a)]
    return DISTANCE * torch.tensor(place, dtype=torch.float64)


def orbit(azimuth: float) -> ts.Camera:
    return ts.Camera.orbit(
        DISTANCE, azimuth, ELEVATION, fov=FOV, image_size=(SIZE, SIZE), dtype=torch.float64
    )


def softras_pixels(x: Tensor) -> Tensor:
    """Return (column, row) of points by SoftRas: x right and y up in [-1, 1], half of the angle."""
    eye = sphere(AZIMUTH, -1.0)
    view = (x - eye) @ looking(eye).mT
    ndc = view[:, :2] / view[:, 2:] / math.tan(math.radians(FOV / 2))
    return SIZE / 2 * torch.stack([1 + ndc[:, 0], 1 - ndc[:, 1]], 1)


def pixels(camera: ts.Camera, x: Tensor) -> Tensor:
    return camera.project(x)[0, :, :2]


def test_softras_draws_a_mirrored_world():
    x = points()
    theirs = softras_pixels(x)
    mirrored = x * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(pixels(orbit(AZIMUTH), mirrored), theirs)
    flipped = theirs * torch.tensor([-1.0, 1.0]) + torch.tensor([SIZE, 0.0])
    torch.testing.assert_close(pixels(orbit(180 - AZIMUTH), x), flipped)


def test_orbit_is_the_camera_of_pytorch3d():
    eye = sphere(AZIMUTH, 1.0)
    R = looking(eye).mT
    size = (SIZE, SIZE)
    focal = 1 / math.tan(math.radians(FOV / 2))
    theirs = ts.Camera.from_pytorch3d(R, -eye @ R, focal, image_size=size, dtype=torch.float64)
    torch.testing.assert_close(pixels(orbit(AZIMUTH), points()), pixels(theirs, points()))


def test_clip_matrix_is_the_same_camera():
    camera = orbit(AZIMUTH)
    view, projection = camera.to_opengl(far=10.0)
    x = torch.nn.functional.pad(points(), (0, 1), value=1.0)
    clip = x @ (projection[0] @ view[0]).mT
    ndc = clip[:, :2] / clip[:, 3:]
    # Its rows count from the bottom.
    row = SIZE - SIZE / 2 * (1 + ndc[:, 1])
    theirs = torch.stack([SIZE / 2 * (1 + ndc[:, 0]), row], 1)
    torch.testing.assert_close(pixels(camera, points()), theirs)


@pytest.mark.parametrize(("size", "scale"), [(64, 0.32), (256, 1.28)])
def test_sigma_in_pixels(size, scale):
    sigma = 1e-4
    coverage = ts.Logistic.softras(sigma)
    assert float(coverage.scale.in_pixels(size)) == pytest.approx(scale)
    assert scale == pytest.approx(math.sqrt(sigma) * size / 2)
    assert f"{scale} pixels of a {size} x {size}" in " ".join(PAGE.split())
    blur_radius = math.log(1 / 1e-4 - 1) * sigma
    assert -coverage.domain().low == pytest.approx(math.sqrt(blur_radius / sigma), rel=1e-4)
    assert f"at {-coverage.domain().low:.2f} scales" in " ".join(PAGE.split())
