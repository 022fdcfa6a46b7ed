"""`SoftRasterizer`: what it returns and refuses, invariances, determinism, cut-off, and memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import taichisoft as ts
from tests.forks import outside
from tests.helpers import (
    AGGREGATIONS,
    assert_close,
    normal_like,
    pixel_camera,
    soft,
    soup_faces,
    soup_setup,
    views_setup,
)

FACE = torch.tensor([[0, 1, 2]])


def test_shapes_and_types_of_the_image(dtype):
    setup = views_setup(1, (7, 11), views=3)
    mesh, camera = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    renderer = ts.SoftRasterizer()
    image = renderer(mesh, camera)
    assert image.alpha.shape == image.depth.shape == (3, 7, 11)
    assert image.color.shape == (3, 7, 11, 2)
    assert image.alpha.dtype == image.depth.dtype == image.color.dtype == dtype
    assert renderer(mesh.with_vertex_colors(None), camera).color is None
    # Both sum the same numbers, of distances that each has rounded in its own way.
    rounding = 32 * torch.finfo(dtype).eps
    alone = renderer.silhouette(mesh, camera)
    torch.testing.assert_close(alone, image.alpha, rtol=0, atol=rounding)


def test_float32_is_rendered_on_every_backend():
    mesh, camera = ts.shapes.cube(), ts.Camera.look_at((1.0, 2.0, 3.0), image_size=(9, 9))
    image = ts.SoftRasterizer()(mesh, camera)
    assert image.alpha.dtype == torch.float32
    assert float(image.alpha.max()) > 0.98


def test_row_0_is_the_top_and_column_0_the_left(dtype):
    corners = torch.tensor([[0.0, 0, 1], [4, 0, 1], [0, 3, 1]], dtype=dtype)
    alpha = ts.SoftRasterizer.hard()(ts.Mesh(corners, FACE), pixel_camera(6, 8, dtype)).alpha[0]
    # Pixel centres below the line from (4, 0) to (0, 3): x / 4 + y / 3 <= 1.
    rows, columns = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    assert torch.equal(alpha, (columns / 4 + rows / 3 <= 1).to(dtype))


def test_background(dtype):
    corners = torch.tensor([[0.0, 0, 1], [4, 0, 1], [0, 3, 1]], dtype=dtype)
    mesh = ts.Mesh(corners, FACE, torch.ones(3, 2, dtype=dtype))
    camera = pixel_camera(16, 16, dtype)
    assert ts.SoftRasterizer()(mesh, camera).color[0, 15, 15].tolist() == [0, 0]
    two = ts.SoftRasterizer(background=(0.25, 0.75))
    assert two(mesh, camera).color[0, 15, 15].tolist() == [0.25, 0.75]
    assert ts.SoftRasterizer(background=0.5)(mesh, camera).color[0, 15, 15].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_order_of_faces_does_not_matter(aggregation, dtype, tolerance):
    setup = soup_setup(11, 40, (17, 23))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    results = []
    for faces in (soup_faces(40), soup_faces(40)[order]):
        leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
        mesh = ts.Mesh(leaves["vertices"], faces, leaves["colors"])
        renderer = soft("mlp", aggregation)
        image = renderer(mesh, pixel_camera(17, 23, dtype))
        cotangent = normal_like(image.color, torch.Generator().manual_seed(1)).to(dtype)
        loss = (image.color * cotangent).sum() + (image.alpha * cotangent[..., 0]).sum()
        wanted = [*leaves.values(), *renderer.parameters()]
        results.append(([image.alpha, image.color], torch.autograd.grad(loss, wanted)))
    for one, other in zip(results[0][0], results[1][0], strict=True):
        assert_close(other.detach(), one.detach(), tolerance.value, "image")
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert_close(other, one, tolerance.gradient, "gradient")


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.cpu_only
def test_runs_are_equal_to_the_bit(precision, aggregation):
    setup = views_setup(1, (37, 53), views=4, subdivisions=2)
    results = []
    for _ in range(3):
        leaves = {n: x.to(precision).requires_grad_() for n, x in setup.leaves.items()}
        renderer = soft("mlp", aggregation, scale=2.0)
        image = renderer(*setup.build(leaves))
        loss = image.alpha.square().sum() + image.color.square().sum() + image.depth.sum()
        wanted = [*leaves.values(), *renderer.parameters()]
        gradients = torch.autograd.grad(loss, wanted)
        results.append([image.alpha, image.depth, image.color, *gradients])
    for again in results[1:]:
        for one, other in zip(results[0], again, strict=True):
            assert torch.equal(one, other)


def profile(coverage: str, aggregation: str, positions: torch.Tensor, dtype) -> torch.Tensor:
    """Alpha and colour of one pixel while an edge recedes from it; (N, 2)."""
    renderer = soft(coverage, aggregation, scale=1.0)
    out = []
    for x in positions.tolist():
        corners = torch.tensor([[x, -300, 1], [x, 300, 1], [x - 500, 0, 1]], dtype=dtype)
        mesh = ts.Mesh(corners, FACE, torch.ones(3, 1, dtype=dtype))
        with torch.no_grad():
            image = renderer(mesh, pixel_camera(1, 1, dtype))
        out.append(torch.stack([image.alpha.reshape(()), image.color.reshape(())]))
    return torch.stack(out).double()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("coverage", ["gaussian", "squared_logistic", "mlp", "spline", "uniform"])
def test_no_jump_at_the_cut_off(coverage, aggregation, dtype):
    renderer = soft(coverage, aggregation)
    reach = -renderer.coverage.domain().low
    assert 0.9 < reach < 10
    steps = torch.linspace(-2e-3, 2e-3, 41, dtype=torch.float64)
    values = profile(coverage, aggregation, 0.5 - reach + steps, dtype)
    # Outside nothing, inside a rise whose slope is below 1 per pixel: no step above 1e-4 px of it.
    assert float(values[steps < -1e-5, 0].abs().max()) == 0
    assert float(values[steps > 1e-4, 0].min()) > 0
    assert float(values.diff(dim=0).abs().max()) < 1e-4 * 0.6


def test_state_is_saved_and_loaded(dtype):
    setup = soup_setup(3, 5, (9, 9))
    arguments = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    one, other = soft("mlp", scale=2.0), soft("mlp", scale=0.5)
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(one(*arguments).color, other(*arguments).color)


def test_colors_replace_those_of_the_mesh(dtype):
    setup = soup_setup(3, 5, (9, 9))
    mesh, camera = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    given = torch.rand(15, 4, generator=torch.Generator().manual_seed(1)).to(dtype)
    renderer = ts.SoftRasterizer()
    color = renderer(mesh, camera, colors=given).color
    assert torch.equal(color, renderer(mesh.with_vertex_colors(given), camera).color)
    faces = torch.rand(5, 4, generator=torch.Generator().manual_seed(1)).to(dtype)
    color = renderer(mesh, camera, colors=faces).color
    assert torch.equal(color, renderer(mesh.with_face_colors(faces), camera).color)


def good(dtype) -> tuple[ts.Mesh, ts.Camera]:
    corners = torch.tensor([[0.0, 0, 1], [4, 0, 1], [0, 3, 1]], dtype=dtype)
    return ts.Mesh(corners, FACE), pixel_camera(6, 8, dtype)


WRONG_CALLS = {
    "mesh is no mesh": (
        lambda m, c: ("spot.obj", c),
        TypeError,
        "mesh must be a Mesh or MeshBatch",
    ),
    "camera is no camera": (lambda m, c: (m, m), TypeError, "camera must be a Camera, got Mesh"),
    "empty list": (lambda m, c: ([], c), ValueError, "at least one mesh"),
    "list of others": (lambda m, c: ([m, 3], c), TypeError, r"meshes\[1\] must be a Mesh, got int"),
    "other dtype of camera": (
        lambda m, c: (m, c.to(dtype=torch.float64 if m.dtype == torch.float32 else torch.float32)),
        TypeError,
        "vertices must have the dtype of camera",
    ),
    "batch sizes": (
        lambda m, c: (
            m.with_vertices(m.vertices.expand(2, -1, -1)),
            pixel_camera(6, 8, m.dtype, batch=3),
        ),
        ValueError,
        "batch sizes must be equal or 1, and at least 1: .*2.*3",
    ),
    "batch of list": (
        lambda m, c: ([m, m], pixel_camera(6, 8, m.dtype, batch=3)),
        ValueError,
        "batch sizes must be equal or 1",
    ),
    "colours of another shape": (
        lambda m, c: (m, c, torch.zeros(5, 3, dtype=m.dtype)),
        ValueError,
        r"colors must have shape .* V=3 and F=1, got \(5, 3\)",
    ),
    "colours of another dtype": (
        lambda m, c: (m, c, torch.zeros(3, 3, dtype=torch.float16)),
        TypeError,
        "colors must have the dtype of vertices",
    ),
    "colours that are no tensor": (
        lambda m, c: (m, c, [[1.0, 0.0, 0.0]] * 3),
        TypeError,
        "colors must be a Tensor, got list",
    ),
    "colours with a NaN": (
        lambda m, c: (m, c, torch.full((3, 3), float("nan"), dtype=m.dtype)),
        ValueError,
        "must be finite, got nan",
    ),
    "colours on another device": (
        lambda m, c: (m, c, torch.zeros(3, 3, dtype=m.dtype, device="meta")),
        ValueError,
        "must be on the device of",
    ),
    "colours for different meshes": (
        lambda m, c: ([m, m], c, torch.zeros(3, 3, dtype=m.dtype)),
        (TypeError, ValueError),
        "colors",
    ),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_calls(case, dtype):
    make, error, message = WRONG_CALLS[case]
    with pytest.raises(error, match=message):
        ts.SoftRasterizer()(*make(*good(dtype)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_vertices(bad, dtype):
    mesh, _ = good(dtype)
    vertices = mesh.vertices.clone()
    vertices[1, 2] = bad
    with pytest.raises(ValueError, match=r"vertices must be finite, got \w+ at index \(1, 2\)"):
        ts.Mesh(vertices, FACE)
    with pytest.raises(ValueError, match="vertices must be finite"):
        mesh.with_vertices(vertices)


@pytest.mark.parametrize("index", [-1, 3])
def test_index_out_of_range(index, dtype):
    with pytest.raises(ValueError, match=rf"faces must index 3 vertices .*got {index}"):
        ts.Mesh(good(dtype)[0].vertices, torch.tensor([[0, 1, index]]))


def test_half_precision_is_refused():
    with pytest.raises(
        TypeError, match=r"vertices must be of dtype torch.float32 or torch.float64"
    ):
        ts.Mesh(torch.zeros(3, 3, dtype=torch.float16), FACE)


def test_background_of_another_length(dtype):
    mesh, camera = good(dtype)
    renderer = ts.SoftRasterizer(background=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"background must be .* 3 numbers, .* got 2"):
        renderer(mesh, camera, torch.zeros(3, 3, dtype=dtype))
    with pytest.raises(ValueError, match="background must be a number or one per channel"):
        ts.SoftRasterizer(background=torch.zeros(2, 2))


@pytest.mark.parametrize("name", ["coverage", "aggregation", "occlusion"])
def test_softness_of_a_wrong_type(name):
    with pytest.raises(TypeError, match=f"{name} must be an? {name.capitalize()}, got str"):
        ts.SoftRasterizer(**{name: "gaussian"})


PEAK = """
import resource, torch, taichisoft as ts
ts.init("cpu")
def render(subdivisions, size, batch):
    mesh = ts.shapes.icosphere(subdivisions)
    eyes = torch.tensor([[0.1 * b, 0.5, 3.0] for b in range(batch)])
    camera = ts.Camera.look_at(eyes, image_size=(size, size))
    vertices = mesh.vertices.clone().requires_grad_()
    mesh = ts.Mesh(vertices, mesh.faces, torch.rand(mesh.num_vertices, 3))
    image = ts.SoftRasterizer()(mesh, camera)
    (image.alpha.sum() + image.color.sum() + image.depth.sum()).backward()
    return mesh.num_faces, vertices.grad
def peak():
    # Kilobytes on Linux, bytes on macOS.
    import sys
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
render(1, 16, 1)
before = peak()
faces, gradient = render(4, 512, 4)
assert bool(gradient.isfinite().all()) and float(gradient.abs().max()) > 0
print(faces, peak() - before)
"""


@pytest.mark.cpu_only
def test_memory_grows_with_faces_and_pixels_not_with_their_product():
    done = subprocess.run(
        [sys.executable, "-c", PEAK],
        env=outside(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    faces, growth = (int(word) for word in done.stdout.split())
    assert faces == 5120
    # One float32 per face and pixel of an image would be 5.4 GB.
    assert growth < 1e9, f"peak memory grew by {growth / 1e6:.0f} MB"


def test_no_background_leaks_in_around_a_nearer_face(dtype):
    # A far face covers the image; the cut-off of a near one ends just inside the middle pixel.
    render = ts.SoftRasterizer(ts.Gaussian(1.0), occlusion=ts.DepthSoftmax(0.05), background=0.0)
    camera = ts.Camera.orthographic((0.0, 0.0, 3.0), height=9.0, image_size=(9, 9), dtype=dtype)
    reach = -render.coverage.domain().low
    far = [[-99.0, -99.0, 0.0], [99.0, -99.0, 0.0], [0.0, 198.0, 0.0]]
    for inside in (-1e-3, 1e-3, 1e-2, 0.1, 1.0):
        x = reach - inside
        near = [[x, -99.0, 1.0], [x + 99.0, 0.0, 1.0], [x, 99.0, 1.0]]
        mesh = ts.Mesh(torch.tensor(far + near, dtype=dtype), torch.tensor([[0, 1, 2], [3, 4, 5]]))
        image = render(mesh, camera, torch.eye(2, dtype=dtype))
        middle = image.color[0, 4, 4]
        assert image.alpha[0, 4, 4] > 0.99999
        assert middle.sum() > 0.9999, f"{inside} px inside the cut-off: {middle.tolist()}"


def test_parts_and_settings_can_be_replaced(dtype):
    setup = soup_setup(3, 6, (12, 14))
    scene = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0))
    with torch.no_grad():
        first = renderer(*scene).alpha
        renderer.softness = ts.Softness(ts.Gaussian(4.0), ts.Max())
        second = renderer(*scene).alpha
        fresh = ts.SoftRasterizer(ts.Gaussian(4.0), ts.Max())(*scene).alpha
        assert torch.equal(second, fresh)
        assert not torch.equal(first, second)
        renderer.coverage = torch.nn.Sigmoid()
        renderer(*scene)
    assert isinstance(renderer.coverage, ts.CustomCoverage)
    renderer.gradient = "autodiff"
    leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
    alpha = renderer.silhouette(*setup.build(leaves))
    assert "Function" not in type(alpha.grad_fn).__name__
    for name, wrong in (("occlusion", ts.Gaussian()), ("aggregation", 1), ("softness", None)):
        with pytest.raises(TypeError, match=f"{name} must be a"):
            setattr(renderer, name, wrong)


def test_colours_without_channels(dtype):
    setup = soup_setup(3, 6, (12, 14))
    mesh, camera = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    none = torch.zeros(mesh.num_vertices, 0, dtype=dtype)
    for lighting in (None, ts.Lighting([ts.AmbientLight()])):
        image = ts.SoftRasterizer()(
            ts.Mesh(mesh.vertices, mesh.faces, none), camera, lighting=lighting
        )
        assert image.color.shape == (1, 12, 14, 0)


def test_an_image_too_large_to_number_is_refused(dtype):
    mesh = ts.Mesh(torch.ones(3, 3, dtype=dtype), torch.tensor([[0, 1, 2]]))
    camera = pixel_camera(40_000, 40_000, dtype)
    with pytest.raises(
        ValueError, match=r"fewer than 2\*\*31 numbers in all images, got 3200000000"
    ):
        ts.SoftRasterizer().silhouette(mesh, camera)
