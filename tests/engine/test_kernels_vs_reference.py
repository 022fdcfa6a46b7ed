"""The fused kernels against the plain-torch twin: images, and every gradient, under random cotangents."""

from __future__ import annotations

import pytest
import torch

import taichisoft as ts
from tests.helpers import (
    AGGREGATIONS,
    COVERAGES,
    Leaves,
    Setup,
    assert_close,
    compare_with_twin,
    outcome,
    pixel_camera,
    soft,
    soup,
    soup_faces,
    soup_setup,
    uniform,
    views_setup,
)
from tests.zoo.renderers import EVERY

SIZES = [(1, 1), (1, 2), (1, 37), (23, 1), (8, 8), (7, 9), (9, 7), (16, 17), (17, 24), (37, 53)]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("image", SIZES)
def test_image_sizes(image, aggregation, dtype, tolerance):
    compare_with_twin(soup_setup(1, 5, image), soft(aggregation=aggregation), dtype, tolerance)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
def test_batches_of_vertices(batch, aggregation, dtype, tolerance):
    setup = soup_setup(batch, 6, (11, 19), batch=batch)
    compare_with_twin(setup, soft(aggregation=aggregation), dtype, tolerance)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("views", [1, 2, 3, 4, 5])
def test_one_mesh_and_many_cameras(views, aggregation, dtype, tolerance):
    setup = views_setup(10 + views, (13, 21), views=views)
    exact = compare_with_twin(setup, soft(aggregation=aggregation), dtype, tolerance)
    for name in setup.leaves:
        assert exact.gradients[name].abs().max() > 1e-2, f"{name} has no gradient to compare"


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("scale", [0.1, 8.0], ids=["narrow", "wide"])
@pytest.mark.parametrize("coverage", COVERAGES)
def test_every_coverage(coverage, scale, aggregation, dtype, tolerance):
    renderer = soft(coverage, aggregation, scale=scale)
    compare_with_twin(soup_setup(4, 7, (18, 29)), renderer, dtype, tolerance)


@pytest.mark.parametrize("name", [n for n in EVERY if n.startswith(("aggregation", "occlusion"))])
def test_every_aggregation_and_occlusion(name, dtype, tolerance):
    compare_with_twin(soup_setup(5, 6, (18, 23)), EVERY[name](), dtype, tolerance)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_hard_coverage(aggregation, dtype, tolerance):
    renderer = soft(ts.Heaviside(), aggregation)
    exact = compare_with_twin(soup_setup(4, 7, (18, 29)), renderer, dtype, tolerance)
    assert exact.gradients["colors"].abs().max() > 1


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("faces", [1, 2, 63, 64, 65, 255, 256, 257, 300])
def test_numbers_of_faces_around_the_work_sizes(faces, aggregation, dtype, tolerance):
    # From many row slices for each face to one, and from fewer faces than workers to more.
    setup = soup_setup(faces, faces, (19, 21), size=3.0)
    compare_with_twin(setup, soft(aggregation=aggregation, scale=0.4), dtype, tolerance)


@pytest.mark.parametrize("height", [7, 8, 9, 63, 64, 65, 131])
def test_heights_around_the_bands(height, dtype, tolerance):
    # 5 images of 131 rows are more bands of 8 rows than the 64 workers of the CPU.
    setup = soup_setup(height, 9, (height, 5), batch=5, size=9.0)
    compare_with_twin(setup, soft(scale=2.0), dtype, tolerance)


@pytest.mark.parametrize("width", [7, 8, 9, 15, 16, 17, 64])
def test_widths_around_the_lanes(width, dtype, tolerance):
    compare_with_twin(
        soup_setup(40 + width, 9, (5, width)), soft("mlp", scale=0.7), dtype, tolerance
    )


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_faces_larger_than_the_image(aggregation, dtype, tolerance):
    setup = soup_setup(3, 4, (33, 27), size=300.0)
    compare_with_twin(setup, soft("mlp", aggregation, scale=6.0), dtype, tolerance)


def different_meshes(kind: str) -> Setup:
    """Three meshes with different numbers of vertices and faces, one of them empty of faces."""
    generator = torch.Generator().manual_seed(9)
    counts, image = (5, 0, 2), (14, 23)
    leaves = {
        f"vertices {b}": soup(generator, n + (not n), *image, 6.0) for b, n in enumerate(counts)
    }
    if kind != "none":
        for b, n in enumerate(counts):
            rows = len(leaves[f"vertices {b}"]) if kind == "vertex_colors" else n
            leaves[f"colors {b}"] = uniform(generator, rows, 4)

    def build(x: Leaves) -> tuple:
        colors = [{} if kind == "none" else {kind: x[f"colors {b}"]} for b in range(3)]
        meshes = [
            ts.Mesh(x[f"vertices {b}"], soup_faces(n), **colors[b]) for b, n in enumerate(counts)
        ]
        return meshes, pixel_camera(*image, meshes[0].dtype)

    return Setup(leaves, build)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kind", ["none", "vertex_colors", "face_colors"])
def test_meshes_of_different_sizes(kind, aggregation, dtype, tolerance):
    compare_with_twin(different_meshes(kind), soft(aggregation=aggregation), dtype, tolerance)


def colored(kind: str, batch: int | None, channels: int) -> Setup:
    """Return a soup, drawn in two images, with colours of a kind."""
    generator = torch.Generator().manual_seed(5)
    image, faces = (12, 15), 5
    rows = faces if kind == "face" else 3 * faces
    shape = (rows, channels) if batch is None else (batch, rows, channels)
    leaves = {"vertices": soup(generator, faces, *image, 6.0), "colors": uniform(generator, *shape)}

    def build(x: Leaves) -> tuple:
        mesh = ts.Mesh(x["vertices"], soup_faces(faces))
        return mesh, pixel_camera(*image, mesh.dtype, batch=2), x["colors"]

    def build_batch(x: Leaves) -> tuple:
        # Colours as an argument have the batch of the mesh, so the mesh has one too.
        mesh = ts.Mesh(x["vertices"].expand(2, -1, -1), soup_faces(faces))
        return mesh, pixel_camera(*image, mesh.dtype), x["colors"]

    return Setup(leaves, build if batch is None else build_batch)


@pytest.mark.parametrize("channels", [1, 3, 9])
@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("kind", ["vertex", "face"])
def test_kinds_of_colours(kind, batch, channels, dtype, tolerance):
    compare_with_twin(colored(kind, batch, channels), soft(), dtype, tolerance)


def test_one_list_of_meshes_and_many_cameras(dtype, tolerance):
    generator = torch.Generator().manual_seed(6)
    leaves = {"vertices": soup(generator, 4, 10, 12, 5.0), "shift": uniform(generator, 3, 3)}

    def build(x: Leaves) -> tuple:
        camera = pixel_camera(10, 12, x["vertices"].dtype, batch=3)
        camera = ts.Camera(camera.rotation, x["shift"], camera.intrinsics, (10, 12), False, -1e6)
        return [ts.Mesh(x["vertices"], soup_faces(4))], camera

    compare_with_twin(Setup(leaves, build), soft(), dtype, tolerance)


@pytest.mark.parametrize("orthographic", [False, True])
def test_camera_matrices(orthographic, dtype, tolerance):
    generator = torch.Generator().manual_seed(8)
    ball = ts.shapes.icosphere(1)
    focal = 9.0 if orthographic else 25.0
    leaves = {
        "vertices": ball.vertices.double(),
        "rotation": torch.eye(3) + uniform(generator, 2, 3, 3, low=-0.1, high=0.1),
        "translation": torch.tensor([0.0, 0.0, 3.0]) + uniform(generator, 2, 3, low=-0.2, high=0.2),
        "intrinsics": torch.tensor([[focal, 0.5, 12.0], [0.0, focal, 9.0], [0.0, 0.0, 1.0]])
        + uniform(generator, 2, 3, 3),
    }

    def build(x: Leaves) -> tuple:
        matrices = (x["rotation"], x["translation"], x["intrinsics"])
        camera = ts.Camera(*matrices, (19, 22), not orthographic)
        colors = x["vertices"] * 0.5 + 0.5
        return ts.Mesh(x["vertices"], ball.faces, colors), camera

    setup = Setup({name: leaf.float().double() for name, leaf in leaves.items()}, build)
    exact = compare_with_twin(setup, soft(), dtype, tolerance)
    assert exact.gradients["intrinsics"][:, :2].abs().min() > 1e-3


@pytest.mark.parametrize("gamma", [1e-3, 0.05, 5.0])
def test_widths_of_occlusion(gamma, dtype, tolerance):
    compare_with_twin(soup_setup(2, 12, (20, 20)), soft(gamma=gamma), dtype, tolerance)


def test_scale_in_units_of_the_image_height(dtype, tolerance):
    scale = ts.HeightFraction.from_sigma(1e-3, learn=True)
    renderer = soft(ts.Logistic(scale, squared=True))
    exact = compare_with_twin(soup_setup(2, 6, (24, 16)), renderer, dtype, tolerance)
    assert exact.gradients["softness.coverage.scale.length.log_value"].abs() > 1e-3


def test_non_contiguous_input(dtype, tolerance):
    setup = soup_setup(2, 6, (13, 16))
    leaves = {
        "vertices": setup.leaves["vertices"][0].T.contiguous(),
        "colors": setup.leaves["colors"].T.contiguous(),
    }

    def build(x: Leaves) -> tuple:
        mesh = ts.Mesh(x["vertices"].T, soup_faces(6), x["colors"].T)
        return mesh, pixel_camera(13, 16, mesh.dtype)

    compare_with_twin(Setup(leaves, build), soft(), dtype, tolerance)


def test_silhouette_is_alpha_with_its_gradients(dtype, tolerance):
    setup = soup_setup(5, 6, (13, 16), batch=2)
    renderer = soft("mlp")

    def silhouette(mesh, camera):
        return ts.SoftImage(renderer.silhouette(mesh, camera), torch.zeros(2, 13, 16), None)

    def of_alpha(mesh, camera):
        image = renderer(mesh, camera)
        return ts.SoftImage(image.alpha, torch.zeros(2, 13, 16), None)

    alone = outcome(setup, renderer, dtype, silhouette)
    whole = outcome(setup, renderer, dtype, of_alpha)
    assert torch.equal(alone.values["alpha"], whole.values["alpha"])
    for name, gradient in whole.gradients.items():
        assert_close(alone.gradients[name], gradient, tolerance.value, name)
