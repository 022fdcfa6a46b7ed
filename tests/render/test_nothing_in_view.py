"""Nothing in view, in every look of a surface: an empty image, with gradients that are zero."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from taichisoft.render import reference

SIZE = (6, 8)
BACKGROUND = 0.25
EYE, BACK = [0.0, 0.0, 3.0], [0.0, 0.0, 9.0]
LOOKS = {
    "plain": (False, None),
    "texture": (True, None),
    "flat": (False, ts.Shading.FLAT),
    "gouraud": (False, ts.Shading.GOURAUD),
    "phong": (False, ts.Shading.PHONG),
    "texture, flat": (True, ts.Shading.FLAT),
    "texture, phong": (True, ts.Shading.PHONG),
}
SCENES = {
    "beside": (ts.shapes.icosphere(1), [[50.0, 0.0, 3.0]]),
    "behind": (ts.shapes.icosphere(1), [BACK]),
    "no face": (ts.Mesh(torch.rand(4, 3), torch.zeros(0, 3, dtype=torch.int64)), [[0.0] * 3]),
    "no vertex": (ts.Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), [[0.0] * 3]),
    "a batch of nothing": (ts.shapes.icosphere(1), [BACK, [50.0, 0.0, 3.0]]),
}


class Look:
    """A lit or textured mesh, with every number that it is differentiable in as a leaf."""

    def __init__(self, mesh: ts.Mesh, at: list, textured: bool, shading: ts.Shading | None, dtype):
        def leaf(value: torch.Tensor) -> torch.Tensor:
            return value.to(dtype).requires_grad_()

        generator = torch.Generator().manual_seed(3)
        self.vertices = leaf(mesh.vertices.clone())
        self.leaves = [self.vertices]
        self.mesh = ts.Mesh(self.vertices, mesh.faces)
        self.camera = ts.Camera.look_at([EYE] * len(at), at, image_size=SIZE, dtype=dtype)
        self.colors = leaf(torch.rand(mesh.num_vertices, 3, generator=generator))
        self.lighting = None
        if textured:
            image, uv = torch.rand(5, 4, 3, generator=generator), mesh.vertices[:, :2].clone()
            self.colors = ts.Texture(leaf(image), leaf(uv), wrap=ts.Wrap.REPEAT)
            self.leaves += [self.colors.image, self.colors.uv]
        else:
            self.leaves.append(self.colors)
        if shading is not None:
            place, light = leaf(torch.tensor([2.0, 3.0, 4.0])), leaf(torch.tensor([0.7, 0.6, 0.5]))
            lights = [ts.AmbientLight(0.3), ts.PointLight(place, light)]
            self.lighting = ts.Lighting(lights, shading, specular=0.2, shininess=32.0)
            self.leaves += [place, light]

    def image(self, renderer: ts.SoftRasterizer) -> ts.SoftImage:
        """Return its image with everything that a render can tell."""
        return renderer(
            self.mesh, self.camera, self.colors, lighting=self.lighting, normals=True, face_ids=True
        )


def weighted_sum(image: ts.SoftImage) -> torch.Tensor:
    """Return a sum over all of an image in which no two numbers weigh the same."""
    parts = (image.alpha, image.depth, image.color, image.normals)
    return sum((x * torch.linspace(0.5, 1.5, x.numel()).reshape(x.shape)).sum() for x in parts)


@pytest.mark.parametrize("gradient", ["fused", "autodiff"])
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("scene", SCENES)
def test_an_empty_image_with_zero_gradients_of_both_orders(scene, look, gradient, dtype):
    mesh, at = SCENES[scene]
    seen = Look(mesh, at, *LOOKS[look], dtype)
    scale = ts.Pixels(0.5, learn=True)
    renderer = ts.SoftRasterizer(ts.Gaussian(scale), background=BACKGROUND, gradient=gradient)
    image = seen.image(renderer)
    assert image.color.shape == (len(at), *SIZE, 3)
    assert (image.color == BACKGROUND).all()
    assert (image.face_ids == -1).all()
    for empty in (image.alpha, image.depth, image.normals):
        assert (empty == 0).all()
    leaves = [*seen.leaves, *renderer.parameters()]
    first = torch.autograd.grad(weighted_sum(image), leaves, create_graph=True)
    assert all((gradient == 0).all() for gradient in first)
    second = torch.autograd.grad(sum(g.sum() for g in first), leaves, allow_unused=True)
    assert all(gradient is None or (gradient == 0).all() for gradient in second)


@pytest.mark.parametrize("look", LOOKS)
def test_of_a_batch_the_image_that_has_something_is_as_alone(look, dtype, tolerance):
    ball = ts.shapes.icosphere(1)
    gradients = []
    for at, weights in (
        ([[0.0] * 3], [1.0]),
        ([BACK, [0.0] * 3, [50.0, 0.0, 3.0]], [5.0, 1.0, 5.0]),
    ):
        seen = Look(ball, at, *LOOKS[look], dtype)
        image = seen.image(ts.SoftRasterizer(ts.Gaussian(0.5)))
        shown = torch.tensor(weights, dtype=dtype)[:, None, None, None] * image.color
        gradients.append(
            [image.color[len(at) // 2].detach(), *torch.autograd.grad(shown.sum(), seen.leaves)]
        )
    assert float(gradients[0][0].max()) > 0.1
    for alone, beside in zip(*gradients, strict=True):
        limit = tolerance.gradient * float(alone.abs().max())
        torch.testing.assert_close(beside, alone, rtol=0, atol=limit)


@pytest.mark.parametrize("scene", SCENES)
def test_the_dense_twin_shows_nothing_either(scene):
    mesh, at = SCENES[scene]
    seen = Look(mesh, at, True, ts.Shading.PHONG, torch.float64)
    renderer = ts.SoftRasterizer(ts.Gaussian(0.5), background=BACKGROUND)
    image = reference.render(
        renderer, seen.mesh, seen.camera, seen.colors, lighting=seen.lighting, normals=True
    )
    assert (image.color == BACKGROUND).all()
    gradients = torch.autograd.grad(weighted_sum(image), seen.leaves, allow_unused=True)
    assert all(gradient is None or (gradient == 0).all() for gradient in gradients)
