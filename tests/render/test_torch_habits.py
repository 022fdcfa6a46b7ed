"""What users of torch do to tensors: autocast, views, other devices, halves, empty ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import taichisoft as ts
from taichisoft.base.precision import full_precision
from taichisoft.render import reference
from tests.helpers import normal_like

SIZE = (12, 16)
LOW = (torch.bfloat16, torch.float16)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def ball() -> ts.Mesh:
    return ts.shapes.icosphere(1)


def render_of(vertices: torch.Tensor, renderer: ts.SoftRasterizer) -> torch.Tensor:
    """Return one tensor of all that is rendered, with a camera that is made on the way."""
    camera = ts.Camera.look_at((0.5, 0.3, 3.0), image_size=SIZE)
    image = renderer(ball().with_vertices(vertices), camera, colors=ball().vertices)
    alpha = renderer.silhouette(ball().with_vertices(vertices), camera)
    return torch.cat([alpha, image.alpha, image.depth, *image.color.unbind(-1)])


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("coverage", [ts.Gaussian, ts.MLPCoverage])
def test_autocast_changes_neither_image_nor_gradient(low, coverage, generator):
    torch.manual_seed(0)
    renderers = [ts.SoftRasterizer(coverage(2.0)) for _ in range(2)]
    renderers[1].load_state_dict(renderers[0].state_dict())
    outcomes = []
    for renderer, enabled in zip(renderers, (False, True), strict=True):
        vertices = ball().vertices.clone().requires_grad_()
        with torch.autocast("cpu", dtype=low, enabled=enabled):
            image = render_of(vertices, renderer)
        cotangent = normal_like(image, generator.manual_seed(1)).to(image)
        (gradient,) = torch.autograd.grad(image, vertices, cotangent)
        outcomes.append((image.detach(), gradient))
    (image, gradient), (image_within, gradient_within) = outcomes
    assert image_within.dtype == gradient_within.dtype == torch.float32
    assert torch.equal(image, image_within)
    torch.testing.assert_close(gradient, gradient_within, rtol=1e-5, atol=1e-4)


def test_autocast_would_change_them():
    # That the scene is one where it matters.
    vertices = ball().vertices
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (vertices @ torch.eye(3)).dtype == torch.bfloat16
        assert full_precision(torch.matmul)(vertices, torch.eye(3)).dtype == torch.float32
        assert torch.is_autocast_enabled("cpu")


def test_autocast_does_not_reach_the_losses_and_the_twin():
    mesh, camera = ball(), ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    functions = [
        lambda: ts.laplacian_loss(mesh.vertices, mesh.faces),
        lambda: ts.normal_consistency_loss(mesh.vertices, mesh.faces),
        lambda: ts.edge_length_loss(mesh.vertices, mesh.faces),
        lambda: reference.silhouette(ts.SoftRasterizer(), mesh, camera),
        lambda: reference.render(ts.SoftRasterizer(), mesh, camera, mesh.vertices).color,
        lambda: camera.position,
    ]
    for function in functions:
        outside = function()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(function(), outside)


def test_what_autocast_lowered_before_is_refused_with_the_cure():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        turned = ball().vertices @ torch.eye(3)
    with pytest.raises(
        TypeError, match=r"vertices must .* got torch.bfloat16; .to\(torch.float32\)"
    ):
        ball().with_vertices(turned)
    assert ball().with_vertices(turned.to(torch.float32)).dtype == torch.float32


def test_views_of_other_memory_render_the_same(dtype, tolerance):
    mesh, camera = ball().to(dtype=dtype), ts.Camera.look_at((0.5, 0.3, 3.0), image_size=SIZE)
    camera = camera.to(dtype=dtype)
    colors = torch.rand(mesh.num_vertices, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    renderer = ts.SoftRasterizer()

    def outcome(view) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = mesh.vertices.clone().requires_grad_()
        seen = ts.Mesh(view(leaf), view(mesh.faces))
        image = renderer(seen, camera, view(colors))
        total = (image.alpha + image.depth + image.color.sum(-1)).square()
        return image.color.detach(), torch.autograd.grad(view(total[0]).sum(), leaf)[0]

    def transposed(x: torch.Tensor) -> torch.Tensor:
        return x.mT.contiguous().mT

    def strided(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x, x.flip(0)], 1)[:, 0]

    color, gradient = outcome(torch.Tensor.contiguous)
    for view in (transposed, strided):
        assert not view(mesh.vertices).is_contiguous()
        other_color, other_gradient = outcome(view)
        assert torch.equal(color, other_color)
        assert (gradient - other_gradient).abs().max() <= tolerance.gradient * gradient.abs().max()


def test_expanded_vertices_are_a_batch():
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    alone = ts.SoftRasterizer().silhouette(ball(), camera)
    batch = ball().with_vertices(ball().vertices.expand(2, -1, -1))
    assert torch.equal(ts.SoftRasterizer().silhouette(batch, camera), alone.expand(2, -1, -1))


def test_integers_take_no_gradient():
    # torch refuses the faces; vertices that are integers are refused here, with the cure.
    with pytest.raises(RuntimeError, match="floating point"):
        ball().faces.requires_grad_()
    with pytest.raises(TypeError, match=r"vertices must .* got torch.int64; .to\(torch.float32\)"):
        ball().with_vertices(ball().vertices.long())
    with pytest.raises(TypeError, match=r"faces must .* got torch.int32; .to\(torch.int64\)"):
        ts.Mesh(ball().vertices, ball().faces.int())


@pytest.mark.parametrize("low", LOW)
def test_halves_are_refused_by_name(low):
    mesh, camera = ball(), ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    alpha = ts.SoftRasterizer().silhouette(mesh, camera)
    with pytest.raises(TypeError, match=f"vertices must be of dtype .* got {low}; "):
        ts.Mesh(mesh.vertices.to(low), mesh.faces)
    with pytest.raises(TypeError, match=f"dtype must be torch.float32 or torch.float64, got {low}"):
        mesh.to(dtype=low)
    with pytest.raises(TypeError, match=f"colors must have the dtype of vertices .* got {low}"):
        ts.SoftRasterizer()(mesh, camera, mesh.vertices.to(low))
    with pytest.raises(TypeError, match=f"alpha must be of dtype .* got {low}; "):
        ts.iou(alpha.to(low), alpha)
    # A camera is made of whatever numbers it gets.
    assert ts.Camera.look_at(torch.tensor([0, 0, 3], dtype=low), image_size=SIZE).dtype == (
        torch.float32
    )


@pytest.mark.parametrize("low", LOW)
def test_a_softness_in_halves_renders_in_float32(low):
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.Pixels(2.0, learn=True)))
    alpha = renderer.silhouette(ball(), camera)
    lowered = renderer.to(low).silhouette(ball(), camera)
    assert lowered.dtype == torch.float32
    assert (lowered - alpha).abs().max() < 0.01


def test_other_devices_are_refused_by_name():
    mesh, camera = ball(), ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    renderer = ts.SoftRasterizer()
    alpha = renderer.silhouette(mesh, camera)
    away = mesh.vertices.to("meta")
    holds = "must be on a device that holds numbers, got meta"
    with pytest.raises(ValueError, match=f"vertices {holds}"):
        mesh.with_vertices(away)
    with pytest.raises(
        ValueError, match=r"vertices must be on the device of camera \(cpu\), got meta"
    ):
        renderer(mesh.to("meta"), camera)
    with pytest.raises(ValueError, match=f"rotation {holds}"):
        camera.to("meta")
    with pytest.raises(
        ValueError, match=r"colors must be on the device of vertices \(cpu\), got meta"
    ):
        renderer(mesh, camera, away)
    with pytest.raises(
        ValueError, match=r"target must be on the device of alpha \(meta\), got cpu"
    ):
        ts.iou(alpha.to("meta"), alpha)
    with pytest.raises(ValueError, match=f"the renderer {holds}"):
        ts.SoftRasterizer(ts.MLPCoverage()).to("meta")(mesh, camera)


def test_an_empty_batch_is_refused_by_name():
    mesh, camera = ball(), ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    renderer = ts.SoftRasterizer()
    none = torch.zeros(0, mesh.num_vertices, 3)
    with pytest.raises(ValueError, match="at least 1: vertices has 0"):
        renderer(mesh.with_vertices(none), camera)
    with pytest.raises(ValueError, match="at least 1: rotation has 0"):
        camera[0:0]
    with pytest.raises(ValueError, match="meshes must hold at least one mesh, got none"):
        renderer([], camera)


def test_an_empty_mesh_is_an_empty_image_with_gradients():
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    vertices = torch.zeros(0, 3, requires_grad=True)
    empty = ts.Mesh(vertices, torch.zeros(0, 3, dtype=torch.int64))
    renderer = ts.SoftRasterizer(background=0.5)
    image = renderer(empty, camera, torch.zeros(0, 3))
    assert torch.equal(image.alpha, torch.zeros(1, *SIZE))
    assert torch.equal(image.depth, torch.zeros(1, *SIZE))
    assert torch.equal(image.color, torch.full((1, *SIZE, 3), 0.5))
    (gradient,) = torch.autograd.grad(image.alpha.sum() + image.color.sum(), vertices)
    assert gradient.shape == (0, 3)


def test_one_camera_is_selected_by_integers_of_numpy():
    camera = ts.Camera.look_at(torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, 4.0]]), image_size=SIZE)
    for index in (1, np.int64(1), -1):
        assert torch.equal(camera[index].position, torch.tensor([[0.0, 0.0, 4.0]]))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"background": "white"}, TypeError, "background must be .* numbers, got 'white'"),
        ({"background": float("nan")}, ValueError, "background must be finite, got nan"),
        ({"gradient": ["fused"]}, TypeError, "gradient must be a str, got list"),
    ],
)
def test_bad_settings_of_a_renderer(settings, error, message):
    with pytest.raises(error, match=message):
        ts.SoftRasterizer(**settings)


def silhouette_of(vertices: torch.Tensor) -> torch.Tensor:
    """Return the sum of the alpha of a ball."""
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    return ts.SoftRasterizer().silhouette(ball().with_vertices(vertices), camera).sum()


TRANSFORMS = {
    "grad": lambda f, x: torch.func.grad(f)(x),
    "vjp": lambda f, x: torch.func.vjp(f, x)[1](torch.ones_like(f(x)))[0],
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (x,))[1],
    "jacrev": lambda f, x: torch.func.jacrev(f)(x),
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "hessian": lambda f, x: torch.func.hessian(f)(x),
    "vmap": lambda f, x: torch.func.vmap(f)(x.expand(2)),
}


TWIN = ts.SoftRasterizer()


def silhouette_of_twin(vertices: torch.Tensor) -> torch.Tensor:
    """Return the same sum by the twin, in float64."""
    mesh = ball().with_vertices(vertices).to(dtype=torch.float64)
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE, dtype=torch.float64)
    return reference.silhouette(TWIN, mesh, camera).sum()


# Of torch itself, which compiles some of its transforms.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_torch_func_in_float32(name):
    def number(x: torch.Tensor) -> torch.Tensor:
        return silhouette_of(x.reshape(-1, 1) * ball().vertices)

    def exact(x: torch.Tensor) -> torch.Tensor:
        return silhouette_of_twin(x.reshape(-1, 1) * ball().vertices)

    size = torch.tensor(0.9)
    found = TRANSFORMS[name](number, size)
    # The twin is not to be mapped.
    wanted = exact(size).expand(2) if name == "vmap" else TRANSFORMS[name](exact, size)
    assert found.dtype == torch.float32
    assert float((found - wanted).abs().max()) <= 2e-3 * float(wanted.abs().max())


@pytest.mark.parametrize("coverage", [ts.Gaussian(1.0), ts.Gaussian(ts.Pixels(1.0, learn=True))])
def test_a_renderer_without_numbers_is_refused(coverage):
    renderer = ts.SoftRasterizer(coverage).to("meta")
    camera = ts.Camera.look_at((0.0, 0.0, 3.0), image_size=SIZE)
    for render in (renderer, renderer.silhouette):
        with pytest.raises(ValueError, match="renderer must be on a device that holds numbers"):
            render(ball(), camera)
