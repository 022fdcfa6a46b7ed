"""A renderer in NumPy, float64, that shares no code with the engine or its twin: the oracle of the fuzzing.

It loops over faces, clips, projects and measures by formulas of its own, takes closed forms from SciPy and
T-conorms from their textbook formula for two arguments. From the library it asks only what is a setting and
not a computation: where a curve is cut off, and the values of learned curves, which are their own definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.stats
import torch
from numpy.typing import NDArray

import taichisoft as ts
from taichisoft.softness.coverage.closed_form import ClosedForm
from tests.zoo import aggregation as conorms
from tests.zoo.coverage import FAMILIES

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

# Coverages of which it is left to rounding whether their face reaches the pixel at all.
FAINT = 1e-7
# What faces that hide each other by a soft order may leave of alpha, for their mean to be certain: of a sum
# that reaches 1 it is a difference of rounded numbers, of others the tables hold it less closely below.
LEFT_OF_A_FULL_SUM, LEFT = 1e-3, 1e-5
# Of what is told apart by rounding in a z-buffer: pixels to an edge, and a part of the depth.
EDGE_MARGIN, DEPTH_MARGIN = 1e-6, 1e-9
# Depths that differ by less, relative to the largest of the two faces, are equal but for rounding.
TIE = 1e-12
# How far from 0 an order is asked on both of its sides, in gammas.
BESIDE = 2.0**-40
# What an order changes by between both sides, from which on it is hard.
JUMP = 1e-3


@dataclass(frozen=True)
class Images:
    """What is rendered of one camera.

    Parameters
    ----------
    alpha : array, (H, W)
        The silhouette.
    depth : array, (H, W)
        Of the mean surface; meaningless where alpha is 0.
    color : array, (H, W, C)
        Over the background.
    clear : array, (H, W), bool
        Whether it is certain which faces reach the pixel, and how they weigh.
    jumps : array, (H, W), bool
        Whether faces change places in it as they move: they are equally deep, and the order is hard.
    """

    alpha: Array
    depth: Array
    color: Array
    clear: NDArray[np.bool_]
    jumps: NDArray[np.bool_]


@dataclass(frozen=True)
class Face:
    """A drawn face: corners in pixels, (3, 2), their depth and 1 / w, (3,), and colours, (3, C)."""

    corners: Array
    depth: Array
    inverse_w: Array
    colors: Array
    source: int


@torch.no_grad()
def render(renderer: ts.SoftRasterizer, mesh: ts.Mesh, camera: ts.Camera, view: int = 0) -> Images:
    """Render one view."""
    height, width = camera.image_size
    pixels = _pixels(height, width)
    scale = float(renderer.coverage.scale.in_pixels(height))
    cover = coverage_of(renderer.coverage)
    faces = list(drawn_faces(mesh, camera, view))
    channels = mesh.vertex_colors.shape[-1]
    covers, depths, colors = [np.zeros((0, len(pixels)))] * 2 + [
        np.zeros((0, len(pixels), channels))
    ]
    if faces:
        met = [meet(face, pixels) for face in faces]
        covers = np.stack([cover(distance / scale) for distance, _ in met])
        depths = np.stack([share @ face.depth for face, (_, share) in zip(faces, met, strict=True)])
        colors = np.stack(
            [share @ face.colors for face, (_, share) in zip(faces, met, strict=True)]
        )
    clear = ~((covers > 0) & (covers < FAINT)).any(0)
    jumps = np.zeros_like(clear)
    if isinstance(renderer.occlusion, ts.FrontToBack):
        weight = front_to_back(renderer, faces, covers, depths)
        # What is faint hides no more than it shows.
        least = LEFT_OF_A_FULL_SUM if is_nilpotent(renderer.aggregation) else LEFT
        clear = weight.sum(0) >= least * joined(renderer.aggregation, covers)
        if is_hard(renderer.occlusion):
            jumps = meet_at_one_depth(faces, covers, depths)
    else:
        weight = behind_a_front(renderer.occlusion, covers, depths)
    total = np.where(weight.sum(0) > 0, weight.sum(0), 1)
    alpha = joined(renderer.aggregation, covers)
    background = renderer.background.double().numpy()
    mixed = (weight[..., None] * colors).sum(0) / total[:, None]
    color = alpha[:, None] * mixed + (1 - alpha[:, None]) * background
    size = (height, width)
    return Images(
        alpha.reshape(size),
        ((weight * depths).sum(0) / total).reshape(size),
        color.reshape(*size, -1),
        clear.reshape(size),
        jumps.reshape(size),
    )


def behind_a_front(occlusion: ts.ReferenceDepth, covers: Array, depths: Array) -> Array:
    """Return weights by how far faces, (F, P), are behind the nearest of a pixel."""
    front = np.where(covers > 0, depths, np.inf).min(0, initial=np.inf)
    with np.errstate(invalid="ignore"):
        gap = np.where(covers > 0, front - depths, 0)
    return covers * occlusion_of(occlusion)(gap / float(occlusion.gamma()))


def front_to_back(
    renderer: ts.SoftRasterizer, faces: list[Face], covers: Array, depths: Array
) -> Array:
    """Return what faces, (F, P), add to alpha behind what is in front of them."""
    aggregation, occlusion = renderer.aggregation, renderer.occlusion
    order, at_tie = order_of(occlusion)
    weight = np.zeros_like(covers)
    if not faces:
        return weight
    gamma = width_of_order(occlusion, np.stack([face.depth for face in faces]))
    farthest = np.array([np.abs(face.depth).max() for face in faces])
    by_index = isinstance(aggregation, ts.Max) and isinstance(occlusion.order, ts.Heaviside)
    for behind in range(len(faces)):
        nearer = depths[behind] - depths
        tolerance = 0 if by_index else TIE * np.maximum(farthest, farthest[behind])[:, None]
        first = (np.arange(len(faces)) < behind)[:, None]
        share = np.where(
            np.abs(nearer) <= tolerance, first if by_index else at_tie, order(nearer / gamma)
        )
        in_front = np.delete(share * covers, behind, 0)
        both = np.concatenate([in_front, covers[behind : behind + 1]])
        if isinstance(aggregation, ts.Max):
            weight[behind] = joined(aggregation, both) - joined(aggregation, in_front)
        else:
            weight[behind] = left_of(aggregation, in_front) - left_of(aggregation, both)
    return weight


def is_hard(occlusion: ts.FrontToBack) -> bool:
    """Whether an order jumps from what is behind to what is in front."""
    order, _ = order_of(occlusion)
    behind, front = order(np.array([-BESIDE, BESIDE]))
    return bool(front - behind > JUMP)


def meet_at_one_depth(faces: list[Face], covers: Array, depths: Array) -> NDArray[np.bool_]:
    """Return at which pixels, (P,), two faces, (F, P), are equally deep."""
    found = np.zeros(covers.shape[1], dtype=bool)
    farthest = np.array([np.abs(face.depth).max() for face in faces])
    for one in range(len(faces)):
        near = np.abs(depths[:one] - depths[one]) <= (
            TIE * np.maximum(farthest[:one], farthest[one])[:, None]
        )
        found |= (near & (covers[:one] > 0) & (covers[one] > 0)).any(0)
    return found


def is_nilpotent(aggregation: ts.Aggregation) -> bool:
    """Whether a sum reaches 1."""
    return isinstance(aggregation, ts.Yager)


def left_of(aggregation: ts.Aggregation, covers: Array) -> Array:
    """Return what all faces, (F, P), leave of alpha: the dual T-norm of what each of them leaves."""
    if isinstance(aggregation, ts.MonotoneGenerator):
        return aggregation.complement(aggregation.generator(torch.as_tensor(covers)).sum(0)).numpy()
    left = np.ones(covers.shape[1])
    for cover in covers:
        rest = 1 - cover
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            both = _meet(aggregation, left, rest)
        # Formulas are 0 / 0 at some corners, where one of the arguments decides alone.
        both = np.where(left == 1, rest, np.where(rest == 1, left, both))
        left = np.where((left == 0) | (rest == 0), 0, both)
    return left


def _meet(aggregation: ts.Aggregation, a: Array, b: Array) -> Array:
    """Return a T-norm by its textbook formula, which cancels less than 1 minus that of its dual."""
    if isinstance(aggregation, ts.Probabilistic):
        return a * b
    if isinstance(aggregation, ts.Einstein):
        return a * b / (1 + (1 - a) * (1 - b))
    p = _p(aggregation)
    if isinstance(aggregation, ts.Hamacher):
        return a * b / (p + (1 - p) * (a + b - a * b))
    if isinstance(aggregation, ts.Frank):
        return np.log1p(np.expm1(a * np.log(p)) * np.expm1(b * np.log(p)) / (p - 1)) / np.log(p)
    if isinstance(aggregation, ts.AczelAlsina):
        return np.exp(-(((-np.log(a)) ** p + (-np.log(b)) ** p) ** (1 / p)))
    if isinstance(aggregation, ts.Dombi):
        return 1 / (1 + ((1 / a - 1) ** p + (1 / b - 1) ** p) ** (1 / p))
    if isinstance(aggregation, ts.SchweizerSklar):
        return (a**p + b**p - 1) ** (1 / p)
    assert isinstance(aggregation, ts.Yager)
    return np.maximum(1 - ((1 - a) ** p + (1 - b) ** p) ** (1 / p), 0)


def order_of(occlusion: ts.FrontToBack) -> tuple[Function, float]:
    """Return an order of a difference of depth in gammas, that reaches 1, and its number for none."""
    bare, high = coverage_of(occlusion.order), occlusion.order.domain().high
    top = float(bare(np.array([high]))[0])

    def order(u: Array) -> Array:
        return np.where(u >= high, 1, bare(u) / top)

    return order, float(order(np.array([-BESIDE, BESIDE])).mean())


def width_of_order(occlusion: ts.FrontToBack, corner_depths: Array) -> float:
    """Return gamma in scene units."""
    gamma = occlusion.gamma
    width = float(gamma())
    if isinstance(gamma, ts.DepthFraction):
        width *= corner_depths.max() - corner_depths.min()
    # Rounding of depths is never resolved.
    return max(width, 1e-6 * np.abs(corner_depths).max()) or 1.0


@dataclass(frozen=True)
class HardImages:
    """A z-buffer: the face seen, (H, W), -1 for none, its depth and colour, and where that is certain."""

    face: NDArray[np.int64]
    depth: Array
    color: Array
    clear: NDArray[np.bool_]


@torch.no_grad()
def z_buffer(mesh: ts.Mesh, camera: ts.Camera, view: int = 0) -> HardImages:
    """Return which face is nearest at each pixel, by a loop over faces."""
    height, width = camera.image_size
    pixels = _pixels(height, width)
    best = np.full(len(pixels), np.inf)
    second = np.full(len(pixels), np.inf)
    seen = np.full(len(pixels), -1)
    color = np.zeros((len(pixels), mesh.vertex_colors.shape[-1]))
    clear = np.ones(len(pixels), dtype=bool)
    for face in drawn_faces(mesh, camera, view):
        distance, share = meet(face, pixels)
        clear &= np.abs(distance) > EDGE_MARGIN
        depth = np.where(distance >= 0, share @ face.depth, np.inf)
        nearer = depth < best
        second = np.where(nearer, best, np.minimum(second, depth))
        seen = np.where(nearer, face.source, seen)
        color = np.where(nearer[:, None], share @ face.colors, color)
        best = np.where(nearer, depth, best)
    with np.errstate(invalid="ignore"):
        clear &= ~(second - best < DEPTH_MARGIN * np.abs(best))
    size = (height, width)
    return HardImages(
        seen.reshape(size), best.reshape(size), color.reshape(*size, -1), clear.reshape(size)
    )


def coverage_of(coverage: ts.Coverage) -> Function:
    """Return a coverage function without its tail."""
    bare = _bare(coverage)
    low, high = float(coverage.low()), coverage.domain().high
    if low == high:
        return bare
    tail = float(bare(np.array([low]))[0])

    def without_tail(s: Array) -> Array:
        kept = (bare(np.minimum(s, high)) - tail) / (1 - tail)
        return np.where(s > low, np.clip(kept, 0, 1), 0)

    return without_tail


def _bare(coverage: ts.Coverage) -> Function:
    if isinstance(coverage, ts.Heaviside):
        return lambda s: np.where(s >= 0, 1.0, 0.0)
    if isinstance(coverage, ts.Mixture):
        weights = torch.softmax(coverage.logits, 0).tolist()
        widths = [float(part.scale.in_pixels(1)) for part in coverage.components]
        parts = [_bare(part) for part in coverage.components]
        return lambda s: sum(
            w * part(s / r) for w, r, part in zip(weights, widths, parts, strict=True)
        )
    if isinstance(coverage, ClosedForm):
        shift, cdf = float(coverage.shift()), _distribution(coverage)
        return lambda s: cdf((s * np.abs(s) if coverage.squared else s) - shift)
    # A learned curve is defined by its weights alone.
    return lambda s: coverage(torch.as_tensor(s)).numpy()


def _distribution(coverage: ClosedForm) -> Function:
    if isinstance(coverage, ts.Gamma):
        return scipy.stats.gamma(coverage.shape).cdf
    if isinstance(coverage, ts.GammaReversed):
        rest = scipy.stats.gamma(coverage.shape).sf
        return lambda x: rest(-x)
    (exact,) = (family.exact for family in FAMILIES.values() if family.kind is type(coverage))
    return exact


def occlusion_of(occlusion: ts.Occlusion) -> Function:
    """Return an occlusion function of u <= 0, in gammas."""
    if isinstance(occlusion, ts.DepthSoftmax):
        return _anchored(np.exp, -16.0)
    if isinstance(occlusion, ts.DepthCurve):
        return _anchored(_bare(occlusion.coverage), float(occlusion.coverage.low()))
    return lambda u: occlusion(torch.as_tensor(u)).numpy()


def _anchored(curve: Function, low: float) -> Function:
    tail, top = curve(np.array([low, 0.0]))
    return lambda u: np.where(u > low, np.clip((curve(u) - tail) / (top - tail), 0, 1), 0)


def joined(aggregation: ts.Aggregation, covers: Array) -> Array:
    """Join the coverages of all faces, (F, P), one after another."""
    alpha = torch.zeros(covers.shape[1], dtype=torch.float64)
    join = _join(aggregation)
    for cover in torch.as_tensor(covers):
        # Formulas for two arguments are 0 / 0 at some corners, where one of them decides alone.
        both = join(alpha, cover)
        alpha = torch.where(alpha == 0, cover, torch.where(cover == 0, alpha, both))
        alpha = torch.where((alpha == 1) | (cover == 1), 1, alpha)
    return alpha.numpy()


def _join(aggregation: ts.Aggregation) -> conorms.Join:
    for name in ("probabilistic", "max", "einstein"):
        case = conorms.CASES[name]
        if type(aggregation) is type(case.make()):
            return case.join
    for family in conorms.FAMILIES.values():
        if type(aggregation) is type(family.make(family.members[0])):
            p = _p(aggregation)
            return lambda a, b: family.join(a, b, p)
    return lambda a, b: aggregation.inverse(aggregation.generator(a) + aggregation.generator(b))


def _p(aggregation: ts.Aggregation) -> float:
    if isinstance(aggregation, ts.SchweizerSklar):
        return -float(aggregation.minus_p())
    return float(aggregation.p())


def drawn_faces(mesh: ts.Mesh, camera: ts.Camera, view: int) -> Iterator[Face]:
    """Yield the faces in front of the near plane, cut there and projected."""
    rotation, translation, intrinsics = (
        getattr(camera, name)[view if len(camera) > 1 else 0].double().numpy()
        for name in ("rotation", "translation", "intrinsics")
    )
    vertices = mesh.vertices.detach().double().numpy().reshape(-1, 3)
    vertices = vertices @ rotation.T + translation
    colors = mesh.vertex_colors.detach().double().numpy().reshape(-1, mesh.vertex_colors.shape[-1])
    for source, corners in enumerate(mesh.faces.numpy()):
        whole = [np.concatenate([vertices[k], colors[k]]) for k in corners]
        for triangle in cut(whole, camera.near):
            rows = np.stack(triangle)
            view_space = rows[:, :3]
            if camera.perspective:
                plane = view_space @ intrinsics.T
                image, inverse_w = plane[:, :2] / plane[:, 2:], 1 / view_space[:, 2]
            else:
                flat = np.concatenate([view_space[:, :2], np.ones((3, 1))], 1)
                image, inverse_w = (flat @ intrinsics.T)[:, :2], np.ones(3)
            yield Face(image, view_space[:, 2], inverse_w, rows[:, 3:], source)


def cut(corners: list[Array], near: float) -> list[list[Array]]:
    """Return what of a triangle is in front of the near plane, as triangles.

    A corner on the plane is behind it. Of a quadrilateral, the diagonal starts at the new point on the edge
    that leaves the corner behind the plane in the order of the face.
    """
    front = [corner[2] > near for corner in corners]
    if sum(front) == 0:
        # A face that lies in the plane, or touches it from the front, is drawn whole.
        return [corners] if min(corner[2] for corner in corners) >= near else []
    if sum(front) == 3 or min(corner[2] for corner in corners) >= near:
        return [corners]
    polygon = []
    lone = front.index(sum(front) == 1)
    order = [corners[(lone + k) % 3] for k in range(3)]
    for here, following in zip(order, order[1:] + order[:1], strict=True):
        if here[2] > near:
            polygon.append(here)
        if (here[2] > near) != (following[2] > near):
            share = (near - here[2]) / (following[2] - here[2])
            point = here + share * (following - here)
            point[2] = near
            polygon.append(point)
    return [[polygon[0], polygon[k], polygon[k + 1]] for k in range(1, len(polygon) - 1)]


def meet(face: Face, pixels: Array) -> tuple[Array, Array]:
    """Return signed distances, (P,), and the shares of the corners in what is nearest, (P, 3)."""
    a, b, c = face.corners
    area = _cross(b - a, c - a)
    weights = np.stack([_cross(c - b, pixels - b), _cross(a - c, pixels - c)], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = weights / area
        inner = np.concatenate([inner, 1 - inner.sum(1, keepdims=True)], 1)
        inside = (inner >= 0).all(1) & bool(area != 0)
    gaps, feet = zip(*(_to_segment(face.corners, k, pixels) for k in range(3)), strict=True)
    nearest = np.argmin(gaps, 0)
    gap = np.min(gaps, 0)
    on_boundary = np.stack(feet)[nearest, np.arange(len(pixels))]
    barycentric = np.where(inside[:, None], inner, on_boundary) * face.inverse_w
    share = barycentric / barycentric.sum(1, keepdims=True)
    return np.where(inside, gap, -gap), share


def _to_segment(corners: Array, k: int, pixels: Array) -> tuple[Array, Array]:
    """Return distances to the edge from corner k, (P,), and barycentrics of the feet, (P, 3)."""
    start, end = corners[k], corners[(k + 1) % 3]
    edge = end - start
    length = edge @ edge
    t = np.clip((pixels - start) @ edge / length, 0, 1) if length > 0 else np.zeros(len(pixels))
    foot = np.zeros((len(pixels), 3))
    foot[:, k], foot[:, (k + 1) % 3] = 1 - t, t
    return np.hypot(*(pixels - start - t[:, None] * edge).T), foot


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _pixels(height: int, width: int) -> Array:
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x.ravel(), y.ravel()], 1)
