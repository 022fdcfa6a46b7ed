"""One test for each known fault of earlier differentiable rasterizers, named after the fault.

The faults are those of the kernels published with SoftRas (Liu et al. 2019), GenDR (Petersen et al. 2022)
and MetaRas (Wu et al. 2024), and of PyTorch3D. What is right comes from closed forms, from central
differences of whole renders, or from the torch twin; never from the kernels' own backward pass.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

import taichisoft as ts
from taichisoft.render import reference
from taichisoft.softness.coverage import (
    Cauchy,
    CubicHermite,
    Exponential,
    ExponentialReversed,
    Gamma,
    GammaReversed,
    Gaussian,
    Laplace,
    Levy,
    LevyReversed,
    Logistic,
    MLPCoverage,
    Reciprocal,
)
from taichisoft.softness.occlusion import DepthSoftmax, MLPOcclusion, MonotoneDepth, Occlusion
from tests.engine.known_fault_scenes import (
    EDGE,
    WIDTH,
    by_pixel,
    central_difference,
    central_differences,
    exact_strip,
    faces_of,
    half_plane,
    strip,
)
from tests.helpers import (
    assert_close,
    compare_with_twin,
    learned,
    mlp,
    normal_like,
    pixel_camera,
    scalar_loss,
    soft,
    soup_setup,
    uniform,
)

# Tolerances are about twice what was measured on the CPU in float64 and on Vulkan in float32.

# What the renderer removes of the standard normal distribution, and its slope on the boundary then.
TAIL = float(torch.special.ndtr(torch.tensor(Gaussian().domain().low, dtype=torch.float64)))
PEAK = 1 / math.sqrt(2 * math.pi) / (1 - TAIL)


def steep_network() -> MLPCoverage:
    """Return a network whose slopes at the pixels of a strip differ by a factor of 1e4."""
    coverage = mlp(2.0, 3, reach=6.5)
    with torch.no_grad():
        coverage.layers[-1].weight.mul_(1.5)
    return coverage


def learned_gamma(gamma: float = 0.3) -> ts.Positive:
    return ts.Positive(gamma, learn=True)


# --- The learned curve ---


def test_no_activation_derivative_applied_twice(dtype):
    # MetaRas: the backward pass took sigmoid' and tanh' of values that had been through the activation
    # already, so the slope of the network never fell below a fifth of its largest, however saturated.
    coverage = steep_network()
    edge = torch.tensor(EDGE, dtype=dtype, requires_grad=True)
    found = by_pixel(strip(ts.SoftRasterizer(coverage), dtype, edge), edge).double()
    at = torch.tensor(EDGE, dtype=torch.float64)
    expected = central_difference(lambda: exact_strip(coverage, at), at)
    assert expected.abs().max() > 1e4 * expected.abs().min() > 0
    assert_close(found / expected, torch.ones_like(expected), 2e-5, "slope, relative to the exact")


def test_no_weight_is_skipped_by_a_wrong_matrix_stride(dtype):
    # MetaRas: with the wrong stride in its matrix products only the first column of the inner layers
    # got gradients, and only the first unit of a layer an input.
    coverage = steep_network()
    weight = torch.linspace(-1, 2, WIDTH, dtype=torch.float64)
    (strip(ts.SoftRasterizer(coverage), dtype) * weight.to(dtype)).sum().backward()
    for name, parameter in coverage.layers.named_parameters():
        expected = central_differences(lambda: (exact_strip(coverage) * weight).sum(), parameter)
        assert expected.abs().min() > 1e-5, f"{name} has an entry that has no influence"
        ratio = parameter.grad / expected
        assert_close(ratio, torch.ones_like(ratio), 6e-5, f"gradient of {name}, by entry")


def test_weight_gradient_carries_the_upstream_factor(dtype, tolerance):
    # MetaRas: weights received the sum of df/dw over all pixels, whatever the loss: neither its size
    # nor its sign, nor which pixels it looks at.
    setup = soup_setup(11, 4, (12, 15))
    renderer = ts.SoftRasterizer(mlp(1.5, 3), occlusion=MLPOcclusion(learned_gamma()))
    image = renderer(*setup.build({n: x.to(dtype) for n, x in setup.leaves.items()}))
    values = torch.cat([image.alpha[..., None], image.color], -1)
    left = normal_like(values, torch.Generator().manual_seed(0)).to(dtype)
    right = left.clone()
    left[:, :, 7:], right[:, :, :7] = 0, 0

    def gradient(cotangent):
        wanted = list(renderer.parameters())
        parts = torch.autograd.grad(values, wanted, cotangent, retain_graph=True)
        return torch.cat([part.reshape(-1) for part in parts])

    by_left, by_right = gradient(left), gradient(right)
    assert torch.equal(gradient(-2 * left), -2 * by_left)
    assert torch.equal(gradient(0 * left), torch.zeros_like(by_left))
    assert_close(gradient(left + right), by_left + by_right, tolerance.softness, "sum of losses")
    # Of losses that share no pixel; without the upstream factor the two would have one direction.
    assert float(torch.cosine_similarity(by_left, by_right, 0)) < 0.5


# --- The scale ---


def test_scale_gradient_is_summed_not_overwritten(dtype, tolerance):
    # MetaRas: all threads wrote their share of the scale gradient to one place, and the last one won.
    count, views = 6, 3
    corners = torch.tensor(
        [[6, 4, 1], [14, 6, 1.25], [9, 13, 1.5], [7, 3, 1.5], [15, 8, 1], [8, 12, 1.25]],
        dtype=dtype,
    )
    colors = uniform(torch.Generator().manual_seed(2), 6, 3).to(dtype)
    renderer = soft(mlp(1.0, 3, reach=2.0), gamma=0.4)

    def gradients(copies, batch):
        moved = [corners + torch.tensor([32.0 * k, 0, 0], dtype=dtype) for k in range(copies)]
        mesh = faces_of(*moved, colors=colors.repeat(copies, 1))
        image = renderer(mesh, pixel_camera(16, 32 * copies, dtype, batch=batch))
        loss = image.alpha.sum() + image.color.square().sum() + image.depth.sum()
        return torch.autograd.grad(loss, list(renderer.parameters()))

    names = [name for name, _ in renderer.named_parameters()]
    one, many = gradients(1, 1), gradients(count, views)
    for name, single, total in zip(names, one, many, strict=True):
        assert single.abs().max() > 1e-2, name
        assert_close(total, count * views * single, tolerance.softness, f"gradient of {name}")


@pytest.mark.parametrize("unit", [ts.Pixels, ts.HeightFraction])
@pytest.mark.parametrize("pixels", [1e-2, 1.0, 40.0])
def test_log_scale_has_the_chain_factor(pixels, unit, dtype):
    # MetaRas: the gradient of log10(scale) was divided by scale * ln 10 instead of multiplied. With
    # respect to log(scale), a pixel at a fixed number of scales has the same gradient at any scale.
    height, s = 4, 0.75
    value = pixels if unit is ts.Pixels else pixels / height
    coverage = Gaussian(unit(value, learn=True))
    mesh = faces_of(half_plane(0.5 - s * pixels, dtype))
    alpha = ts.SoftRasterizer(coverage).silhouette(mesh, pixel_camera(height, 1, dtype))[0, 0, 0]
    (found,) = torch.autograd.grad(alpha, coverage.scale.length.log_value)
    assert float(found) == pytest.approx(-s * PEAK * math.exp(-(s**2) / 2), rel=1e-6)


# By name, so that a failure tells which derivative is wrong. Each made with a learned scale.
SCALED = {
    "cubic_hermite": CubicHermite,
    "laplace": Laplace,
    "gamma_half": lambda scale: Gamma(scale, shape=0.5),
    "gamma_2": lambda scale: Gamma(scale, shape=2.0),
    "gamma_reversed_half": lambda scale: GammaReversed(scale, shape=0.5),
    "gamma_reversed_2": lambda scale: GammaReversed(scale, shape=2.0),
    "exponential": Exponential,
    "exponential_reversed": ExponentialReversed,
    "levy": Levy,
    "levy_reversed": LevyReversed,
}


@pytest.mark.parametrize("name", SCALED)
def test_scale_derivative_of_each_pixel(name, dtype):
    # MetaRas: wrong signs or terms in d/d(scale) of the cubic Hermite, of the inner half of the Laplace
    # and of both gamma distributions; none was set for the exponential and Levy ones.
    coverage = SCALED[name](learned(3.0))
    log_scale = coverage.scale.length.log_value
    found = by_pixel(strip(ts.SoftRasterizer(coverage), dtype), log_scale)
    expected = central_difference(lambda: exact_strip(coverage), log_scale)
    assert expected.abs().max() > 0.1
    assert_close(found, expected, 1e-5, "d(alpha) / d(log scale), by pixel")


@pytest.mark.parametrize("name", SCALED)
def test_scale_derivative_of_a_whole_render(name, dtype):
    # The same, through overlapping faces, alpha and colour.
    setup = soup_setup(17, 5, (16, 20))
    renderer = soft(SCALED[name](learned(1.75)))
    log_scale = renderer.coverage.scale.length.log_value
    arguments = setup.build({n: x.to(dtype) for n, x in setup.leaves.items()})
    image = renderer(*arguments)
    # Depth where hardly anything is covered hangs on the tails alone.
    weight = image.alpha.detach().double()
    (found,) = torch.autograd.grad(scalar_loss(image, weight, seed=3), log_scale)

    def loss():
        return scalar_loss(reference.render(renderer, *setup.build(setup.leaves)), weight, seed=3)

    expected = central_difference(loss, log_scale)
    assert abs(float(expected)) > 0.1
    assert float(found) == pytest.approx(float(expected), rel=1.5e-5)


# --- The cut-off ---


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("scale", [0.05, 0.5, 8.0])
@pytest.mark.parametrize("toward", ["edge", "vertex"])
def test_cut_off_is_compared_with_the_distance_itself(toward, scale, squared, dtype):
    # SoftRas, GenDR, MetaRas: a threshold on the distance was compared with its square, so the radius
    # was the square root of the stated one: too large for small scales, too small for large ones.
    reach = 2.0
    coverage = Logistic(scale, squared=squared, reach=reach)
    face = half_plane(0.0, dtype)
    if toward == "vertex":
        # The nearest point of the face to a pixel at the upper left is its right-angled corner.
        face = torch.tensor([[0, 0, 1], [999, 0, 1], [0, 999, 1]], dtype=dtype)
    away = (1.0, 0.0) if toward == "edge" else (math.sqrt(0.5), math.sqrt(0.5))

    def alpha_at(distance):
        # The pixel (0.5, 0.5) is at that distance from the face.
        shift = torch.tensor([0.5 + distance * away[0], 0.5 + distance * away[1], 0], dtype=dtype)
        shift.requires_grad_()
        mesh = faces_of(face + shift)
        image = ts.SoftRasterizer(coverage)(mesh, pixel_camera(1, 1, dtype), colors=None)
        (gradient,) = torch.autograd.grad(image.alpha.sum() + image.depth.sum(), shift)
        return float(image.alpha.detach()), float(image.depth.detach()), gradient

    alpha, depth, gradient = alpha_at(0.97 * reach * scale)
    x = torch.tensor([0.97 * reach, reach], dtype=torch.float64)
    inside, tail = torch.sigmoid(-(x**2 if squared else x)).tolist()
    assert alpha == pytest.approx((inside - tail) / (1 - tail), rel=6e-5)
    assert depth == pytest.approx(1, abs=1e-5)
    assert float(gradient[:2].norm()) > 1e-3 / scale
    alpha, depth, gradient = alpha_at(1.03 * reach * scale)
    assert (alpha, depth, float(gradient.abs().max())) == (0, 0, 0)


# Coverages that are far from 0 at their cut-off.
HEAVY = {
    "cauchy": lambda: Cauchy(1.0, reach=5.0),
    "reciprocal": lambda: Reciprocal(1.0, reach=5.0),
    "levy_reversed": lambda: LevyReversed(1.0, reach=5.0),
    "logistic": lambda: Logistic(1.0, reach=3.0),
    "network": lambda: mlp(1.0, 3, reach=1.5),
}


@pytest.mark.parametrize("name", HEAVY)
def test_no_jump_at_the_cut_off(name, dtype):
    # GenDR, MetaRas: coverage fell from its value at the cut-off radius, a few percent for heavy tails
    # and networks, to nothing.
    coverage = HEAVY[name]()
    low = coverage.domain().low
    with torch.no_grad():
        tail = float(coverage(torch.tensor([low], dtype=torch.float64)))
        assert tail > 0.02
        # The pixel at 0.5 is beyond the cut-off, just within it, and well within it.
        places = torch.tensor([low - 1e-4, low + 1e-4, low + 0.1], dtype=torch.float64)
        beyond, within, well_within = (
            float(strip(ts.SoftRasterizer(coverage), dtype, float(0.5 - s))[0]) for s in places
        )
    assert beyond == 0
    assert 0 <= within < 1e-4
    exact = coverage.without_tail(places)[2]
    assert well_within == pytest.approx(float(exact.detach()), abs=4e-8)
    assert well_within > 1e-4


# --- Degenerate geometry and the edge itself ---


@pytest.mark.parametrize("edge", range(3))
def test_zero_length_edge_poisons_nothing(edge, dtype, tolerance):
    # SoftRas, GenDR, MetaRas, PyTorch3D: 0 / 0 in the foot point on an edge without length, and NaN in
    # every pixel near it and in all gradients.
    here, there = [4.5, 3.5, 1.0], [10.5, 3.5, 1.0]
    flat = [here, here, here]
    flat[(edge + 2) % 3] = there
    proper = torch.tensor([[20, 2, 1.5], [28, 4, 1.5], [22, 11, 1.5]], dtype=dtype)
    camera, renderer = pixel_camera(13, 31, dtype), soft()
    leaf = torch.cat([torch.tensor(flat, dtype=dtype), proper]).requires_grad_()
    image = renderer(faces_of(leaf, colors=leaf.detach() / 32), camera)
    loss = image.alpha.sum() + image.color.sum() + image.depth.sum()
    gradient, *softness = torch.autograd.grad(loss, [leaf, *renderer.parameters()])
    assert all(bool(part.isfinite().all()) for part in (gradient, *softness, image.color))
    # The face is a segment: seen from outside, at the distance of its nearest point.
    distance = torch.tensor([0.0, 1, 2, 3], dtype=torch.float64)
    column = image.alpha[0, 3:7, 7].detach().double()
    expected = (torch.special.ndtr(-distance) - TAIL) / (1 - TAIL)
    assert_close(column, expected, 1e-6, "coverage beside the segment")
    past_end = image.alpha[0, 3, 10:14].detach().double()
    assert_close(past_end, expected, 1e-6, "coverage past its end")
    # And its neighbour does not notice.
    alone = proper.clone().requires_grad_()
    image = renderer(faces_of(alone, colors=proper / 32), camera)
    loss = image.alpha.sum() + image.color.sum() + image.depth.sum()
    (expected,) = torch.autograd.grad(loss, alone)
    assert_close(gradient[3:], expected, tolerance.gradient, "gradient of the other face")


# A face with an edge, or a vertex, on the centre (8.5, 6.5) of a pixel; the direction in which to move
# the face so that it covers more of that pixel; and what of the move each vertex stands for.
ON_THE_EDGE = {
    "vertical": ([[8.5, 0.5, 1], [8.5, 14.5, 1], [1, 7, 1]], [1, 0], [4 / 7, 3 / 7, 0]),
    "horizontal": ([[3.5, 6.5, 1], [11.5, 6.5, 1], [7, 1, 1]], [0, 1], [3 / 8, 5 / 8, 0]),
    "diagonal": ([[4.5, 2.5, 1], [12.5, 10.5, 1], [2, 12, 1]], [1, -1], [1 / 2, 1 / 2, 0]),
    "vertex": ([[8.5, 6.5, 1], [2.5, 12.5, 1], [2.5, 0.5, 1]], None, [1, 0, 0]),
}


@pytest.mark.parametrize("winding", [[0, 1, 2], [0, 2, 1]])
@pytest.mark.parametrize("case", ON_THE_EDGE)
def test_gradient_is_not_zero_on_the_edge(case, winding, dtype):
    # MetaRas: the offset from the edge, divided by a distance of at least 1e-6, is nothing on the edge
    # itself, where the slope is largest. Vertices at pixel centres are common.
    corners, direction, shares = ON_THE_EDGE[case]
    vertices = torch.tensor(corners, dtype=dtype).requires_grad_()
    mesh = ts.Mesh(vertices, torch.tensor([winding]))
    alpha = soft().silhouette(mesh, pixel_camera(13, 17, dtype))[0, 6, 8]
    (gradient,) = torch.autograd.grad(alpha, vertices)
    gradient = gradient[:, :2].double()
    # At a vertex the gradient is set-valued: any unit normal of the edges that meet there.
    normal = gradient.sum(0) if direction is None else torch.tensor(direction).double()
    normal = normal / normal.norm()
    expected = PEAK * torch.tensor(shares, dtype=torch.float64)[:, None] * normal
    assert_close(gradient, expected, 1e-6, "gradient on the edge")
    if direction is None:
        # A convex corner grows along either of its two edges' normals, both to the right.
        assert_close(normal.abs(), torch.full_like(normal, 0.5**0.5), 1e-6, "normal")
        assert normal[0] > 0


# --- Aggregation ---


@pytest.mark.parametrize("count", [1, 2, 4])
def test_saturated_face_keeps_its_gradient(count, dtype):
    # SoftRas, GenDR: the derivative of the probabilistic sum as (1 - alpha) / (1 - D), which is 0 or
    # 0 / 0 once alpha has rounded to 1. Here it reaches 1e-20, which 1 - alpha cannot even in float64.
    s = [11.5, 11.0, 10.5, 10.0][:count]
    edges = torch.tensor([EDGE - x for x in s], dtype=dtype).requires_grad_()
    camera = pixel_camera(1, WIDTH, dtype)
    mesh = faces_of(*(half_plane(edge, dtype) for edge in edges))
    pixel = int(EDGE)
    s = torch.tensor(s, dtype=torch.float64) + pixel + 0.5 - EDGE
    coverage = Logistic(1.0)
    alpha = ts.SoftRasterizer(coverage).silhouette(mesh, camera)[0, 0, pixel]
    (found,) = torch.autograd.grad(alpha, edges)
    # 1 - alpha is the product of 1 - D, and the logistic's rate of decay -d log(1 - D) / ds is sigmoid(s).
    tail = float(coverage(torch.tensor([coverage.domain().low], dtype=torch.float64)).detach())
    clear = (torch.sigmoid(-s) / (1 - tail)).prod()
    ratio = found.double() / (-clear * torch.sigmoid(s))
    assert clear < 10 ** (-4 * count)
    assert_close(ratio, torch.ones_like(ratio), 2e-6, "gradient, relative to the exact")


# Triangles that are tied at the pixel centre (8.5, 8.5), which is on the boundary of each.
def sharing_an_edge() -> list[torch.Tensor]:
    tips = [[2.5, 8.5, 1.0], [14.5, 8.5, 1.0]]
    return [torch.tensor([[8.5, 1.5, 1], [8.5, 15.5, 1], tip]).double() for tip in tips]


def sharing_a_vertex() -> list[torch.Tensor]:
    angle = torch.arange(7, dtype=torch.float64) * torch.pi / 3
    ring = torch.stack([8.5 + 5 * angle.cos(), 8.5 + 5 * angle.sin(), torch.ones(7)], -1)
    centre = torch.tensor([8.5, 8.5, 1.0]).double()
    return [torch.stack([centre, a, b]) for a, b in pairwise(ring)]


@pytest.mark.parametrize("tied", [sharing_an_edge, sharing_a_vertex])
@pytest.mark.parametrize("first", [0, 1])
def test_tie_under_max_gives_one_gradient_in_all(first, tied, dtype):
    # GenDR, MetaRas: each of the tied faces got the full gradient: at an edge shared by two faces their
    # gradients cancel, at a vertex shared by six they add up.
    triangles = tied()
    leaves = [t.to(dtype).requires_grad_() for t in triangles[first:] + triangles[:first]]
    alpha = soft(aggregation="max").silhouette(faces_of(*leaves), pixel_camera(17, 17, dtype))
    assert float(alpha[0, 8, 8].detach()) == pytest.approx((0.5 - TAIL) / (1 - TAIL), abs=1e-6)
    gradients = torch.autograd.grad(alpha[0, 8, 8], leaves)
    sizes = torch.stack([gradient.sum(0).norm() for gradient in gradients]).double()
    expected = torch.zeros_like(sizes)
    expected[0] = PEAK
    assert_close(sizes, expected, 1e-6, "gradient by face: all to the first")


# --- Occlusion and background ---


@pytest.mark.parametrize("gamma", [1e-4, 0.05, 10.0])
@pytest.mark.parametrize("depth", [0.5, 1000.0])
def test_background_weight_is_counted_once(depth, gamma, dtype, tolerance):
    # SoftRas, GenDR, MetaRas: the sum of the softmax over depth started with the background's weight,
    # over a maximum that held it too: it counted as its square, in float32 as infinity for small gamma.
    coverage = Gaussian(3.0)
    corners = half_plane(EDGE, dtype, depth)
    colors = torch.tensor([[1.0, 0.25]] * 3, dtype=dtype).requires_grad_()

    def render(background):
        renderer = ts.SoftRasterizer(coverage, occlusion=DepthSoftmax(gamma), background=background)
        return renderer(faces_of(corners, colors=colors), pixel_camera(1, WIDTH, dtype))

    image = render((0.0, 0.5))
    alpha = image.alpha[0, 0].detach()
    assert_close(alpha.double(), exact_strip(coverage), 1e-6, "alpha")
    # Face and background share each pixel as alpha says, at any depth and any gamma.
    shown = image.color[0, 0].detach()
    assert_close(shown[:, 0], alpha, tolerance.value, "share of the face")
    assert_close(shown[:, 1], 0.5 - 0.25 * alpha, tolerance.value, "blend")
    (by_color,) = torch.autograd.grad(image.color[..., 0].sum(), colors)
    by_background = (render(1.0).color - render(0.0).color)[..., 0].sum().detach()
    total = by_color[:, 0].sum() + by_background
    assert float(total) == pytest.approx(WIDTH, rel=1e-6), "the shares of a pixel add up to 1"


@torch.no_grad()
def with_learned_depth(kind: type[Occlusion]) -> ts.SoftRasterizer:
    """Return a renderer whose occlusion is far from where its learning starts."""
    occlusion = kind(learned_gamma())
    generator = torch.Generator().manual_seed(5)
    for parameter in occlusion.parameters():
        if parameter.ndim:
            parameter.add_(0.3 * normal_like(parameter, generator))
    return ts.SoftRasterizer(Gaussian(learned(1.5)), occlusion=occlusion)


OCCLUSIONS = [MLPOcclusion, MonotoneDepth, DepthSoftmax]


@pytest.mark.parametrize("kind", OCCLUSIONS)
def test_order_of_faces_does_not_matter_to_learned_depth(kind, dtype, tolerance):
    # MetaRas: whenever a nearer face arrived, what had been summed was scaled by the learned weight of
    # its depth, so image and gradients depended on the order in which faces arrived.
    setup = soup_setup(8, 12, (12, 15), size=8.0)
    renderer = with_learned_depth(kind)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    leaves = {n: x.to(dtype).requires_grad_() for n, x in setup.leaves.items()}
    wanted = [*leaves.values(), *renderer.parameters()]
    results = []
    for chosen in (torch.arange(12), order):
        mesh, camera = setup.build(leaves)
        image = renderer(ts.Mesh(mesh.vertices, mesh.faces[chosen], mesh.vertex_colors), camera)
        weight = image.alpha.detach().double()
        gradients = torch.autograd.grad(scalar_loss(image, weight, seed=4), wanted)
        results.append([image.color.detach(), image.alpha.detach(), *gradients])
    (color, alpha, *gradients), (other_color, other_alpha, *other_gradients) = results
    assert_close(other_color, color, tolerance.value, "colour")
    assert_close(other_alpha, alpha, tolerance.value, "alpha")
    for one, other in zip(gradients, other_gradients, strict=True):
        assert one.abs().max() > 0
        assert_close(other, one, tolerance.softness, "gradient")


@pytest.mark.parametrize("kind", OCCLUSIONS)
def test_learned_depth_gradient_is_not_that_of_the_softmax(kind, dtype, tolerance):
    # MetaRas: the backward pass of a learned depth weight f divided by gamma as for exp(z / gamma), and
    # passed f' in place of f to colours and coverage.
    setup = soup_setup(9, 8, (12, 15), size=8.0)
    renderer = with_learned_depth(kind)
    exact = compare_with_twin(setup, renderer, dtype, tolerance)
    for gradient in exact.gradients.values():
        assert gradient.abs().max() > 1e-2


# --- What is drawn at all ---


def test_back_faces_count_in_alpha_and_in_colour(dtype):
    # SoftRas, GenDR, MetaRas: a face seen from behind covered its pixels but gave them no colour, so it
    # showed as a hole of the colour of the background.
    corners = torch.tensor([[1, 2, 1], [14, 4, 2], [5, 12, 3]], dtype=dtype)
    results = []
    for winding in ([0, 1, 2], [0, 2, 1]):
        vertices = corners.clone().requires_grad_()
        colors = (corners.flip(1) / 16).requires_grad_()
        mesh = ts.Mesh(vertices, torch.tensor([winding]), colors)
        image = soft(scale=0.5, background=5.0)(mesh, pixel_camera(13, 16, dtype))
        loss = scalar_loss(image, image.alpha.detach().double(), seed=2)
        gradients = torch.autograd.grad(loss, [vertices, colors])
        results.append([image.alpha, image.color, image.depth * image.alpha, *gradients])
    alpha, color, *_ = results[0]
    covered = alpha.detach() > 0.999
    assert int(covered.sum()) > 10
    assert float(color.detach()[covered].max()) < 1
    # Sums over the edges are taken in another order.
    allowed = 1e-13 if dtype == torch.float64 else 1e-6
    for front, back in zip(*results, strict=True):
        assert_close(back.detach(), front.detach(), allowed, "image or gradient")


NEAR = 1.0


@pytest.mark.parametrize("depth", [0.5, 0.999, 1.0, 1.001, 99.0, 101.0, 1e4])
@pytest.mark.parametrize("vertices_there", [1, 3])
def test_faces_outside_near_and_far_are_all_there_or_not_at_all(vertices_there, depth, dtype):
    # SoftRas, GenDR, MetaRas: faces outside [near, far] were left out after alpha had been aggregated,
    # so they covered pixels, without colour or gradient; and far was 100 by default. Here a face that
    # crosses the near plane is cut, and what is left covers, has colour and has every gradient.
    corners = torch.tensor([[2, 2, 3.0], [9, 3, 3.0], [5, 9, 3.0]], dtype=dtype)
    corners[:vertices_there, 2] = depth
    colors = torch.tensor([[1.0], [0.8], [0.6]], dtype=dtype).requires_grad_()
    corners.requires_grad_()
    identity = torch.eye(3, dtype=dtype)[None]
    camera = ts.Camera(identity, torch.zeros(1, 3, dtype=dtype), identity, (11, 11), False, NEAR)
    renderer = soft(background=0.0)
    image = renderer(faces_of(corners, colors=colors), camera)
    by_alpha, *by_scale = torch.autograd.grad(
        image.alpha.sum(), [corners, renderer.coverage.scale.length.log_value], retain_graph=True
    )
    by_color = torch.autograd.grad(image.color.sum(), [corners, colors], retain_graph=True)
    (by_depth,) = torch.autograd.grad(image.depth[0, 4, 5], corners)
    signs = [image.alpha, image.color, image.depth, by_alpha, *by_scale, *by_color, by_depth]
    largest = [float(part.detach().abs().max()) for part in signs]
    if depth < NEAR and vertices_there == 3:
        assert max(largest) == 0
    else:
        assert min(largest) > 1e-3


@pytest.mark.parametrize("factor", [2.0**-6, 2.0**6, 2.0**13])
def test_a_scene_looks_alike_at_any_distance(factor, dtype, tolerance):
    # SoftRas and its descendants: depth was normalised by near and far, which tied gamma to them and cut
    # off what was beyond. Here a scene and its gamma can be a hundred times as large.
    setup = soup_setup(13, 6, (9, 9), size=6.0)
    base = setup.leaves["vertices"][0] * torch.tensor([0.2, 0.2, 0.5]) - torch.tensor([1, 1, 3.5])
    results = []
    for size in (1.0, factor):
        vertices = (base * size).to(dtype).requires_grad_()
        colors = setup.leaves["colors"].to(dtype).requires_grad_()
        camera = ts.Camera.look_at(
            (0.0, 0.0, 0.0), (0.0, 0.0, -1.0), fov=50, image_size=(16, 16), dtype=dtype
        )
        renderer = soft(gamma=0.2 * size)
        image = renderer(faces_of(vertices, colors=colors), camera)
        loss = (image.color * torch.linspace(-1, 1, 16, dtype=dtype)[:, None]).sum()
        by_vertices, by_colors = torch.autograd.grad(loss, [vertices, colors])
        results.append(
            [image.alpha, image.color, image.depth / size, by_vertices * size, by_colors]
        )
    assert float(results[0][0].detach().max()) > 0.5
    for here, there in zip(*results, strict=True):
        assert_close(there.detach(), here.detach(), tolerance.value, "image or gradient")
