"""Cameras that are made, used and turned into those of other programs within transforms of torch.func."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import grad, jacfwd, jacrev, vmap

import taichisoft as ts

# Of torch itself, which compiles some of its transforms.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

SIZE = (6, 8)
REAL = torch.float64
EYE = torch.tensor([0.5, 0.3, 3.0], dtype=REAL)
ONE = torch.ones((), dtype=REAL)
HERE = ts.Camera.look_at(EYE, image_size=SIZE)
POINTS = torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=REAL)

K, R, T = HERE.to_opencv()
VIEW, PROJECTION = HERE.to_opengl()
P3D = HERE.to_pytorch3d()
BLENDER = HERE.to_blender()._asdict()


def zoomed(zoom: Tensor) -> ts.Camera:
    scale = torch.stack([zoom, zoom, torch.ones_like(zoom)])[:, None]
    return ts.Camera(HERE.rotation, HERE.translation * zoom, HERE.intrinsics * scale, SIZE)


MADE: dict[str, tuple[Callable[[Tensor], ts.Camera], Tensor]] = {
    "look_at": (lambda x: ts.Camera.look_at(x, image_size=SIZE), EYE),
    "fov": (lambda x: ts.Camera.look_at(EYE, fov=40 * x, image_size=SIZE), ONE),
    "orbit": (lambda x: ts.Camera.orbit(3 * x, 20 * x, 10.0, image_size=SIZE), ONE),
    "orthographic": (lambda x: ts.Camera.orthographic(EYE, height=x, image_size=SIZE), 3 * ONE),
    "opencv": (lambda x: ts.Camera.from_opencv(K, R, T * x, SIZE), ONE),
    "opengl": (lambda x: ts.Camera.from_opengl(VIEW, PROJECTION * (x / x.detach()), SIZE), ONE),
    "pytorch3d": (
        lambda x: ts.Camera.from_pytorch3d(P3D.R, P3D.T, P3D.focal_length * x, image_size=SIZE),
        ONE,
    ),
    "blender": (
        lambda x: ts.Camera.from_blender(
            **{**BLENDER, "lens": BLENDER["lens"] * x}, image_size=SIZE
        ),
        ONE,
    ),
    "zoomed": (zoomed, ONE),
    "to_opencv": (lambda x: ts.Camera.from_opencv(*zoomed(x).to_opencv(), SIZE), ONE),
    "to_opengl": (lambda x: ts.Camera.from_opengl(*zoomed(x).to_opengl(), SIZE), ONE),
    "to_pytorch3d": (
        lambda x: ts.Camera.from_pytorch3d(**zoomed(x).to_pytorch3d()._asdict(), image_size=SIZE),
        ONE,
    ),
    "to_blender": (
        lambda x: ts.Camera.from_blender(**zoomed(x).to_blender()._asdict(), image_size=SIZE),
        ONE,
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_cameras_have_transforms(name):
    make, x = MADE[name]

    def draw(x: Tensor) -> Tensor:
        return make(x).project(POINTS)

    several = torch.stack([x, 1.1 * x, 0.9 * x])
    loop = torch.stack([draw(one) for one in several])
    torch.testing.assert_close(vmap(draw)(several), loop, rtol=1e-13, atol=1e-13)
    leaf = x.clone().requires_grad_()
    (exact,) = torch.autograd.grad(draw(leaf).square().sum(), leaf)
    torch.testing.assert_close(grad(lambda x: draw(x).square().sum())(x), exact)
    torch.testing.assert_close(jacfwd(draw)(x), jacrev(draw)(x))


REFUSED: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "look_at": (
        lambda x: ts.Camera.look_at(0 * x * EYE, image_size=SIZE),
        "eye must differ from at",
    ),
    "fov": (
        lambda x: ts.Camera.look_at(EYE, fov=200 * x, image_size=SIZE),
        "fov must be greater than 0 and less than 180, got 200",
    ),
    "opencv": (lambda x: ts.Camera.from_opencv(-K * x, R, T, SIZE), "K must have positive focal"),
    "rotation": (lambda x: ts.Camera.from_opencv(K, R * (1 + x), T, SIZE), "R must be a rotation"),
    "pytorch3d": (
        lambda x: ts.Camera.from_pytorch3d(P3D.R, P3D.T, -x, image_size=SIZE),
        "focal_length must be positive",
    ),
    "light": (lambda x: ts.DirectionalLight(0 * x * EYE), "direction must not be the zero vector"),
    "shininess": (
        lambda x: ts.Lighting([ts.AmbientLight()], shininess=-x),
        "shininess must be positive, got -1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_of_one_in_several(name):
    make, message = REFUSED[name]

    def number(x: Tensor) -> Tensor:
        make(x)
        return x

    for call in (lambda: vmap(number)(torch.stack([ONE, ONE])), lambda: grad(number)(ONE)):
        with pytest.raises(ValueError, match=message):
            call()
