"""The plain-torch twin of the engine: dense, differentiable to any order, written to be read.

Every face is evaluated at every pixel, so memory is faces x pixels: for tests, small scenes and higher
derivatives. `render` takes the same arguments as a `SoftRasterizer` and uses its softness functions
directly, not their tables (unless asked to).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from taichisoft.appearance.lights import Lighting
from taichisoft.appearance.surface import Surface
from taichisoft.appearance.texture import Texture
from taichisoft.base.checks import check_type
from taichisoft.base.precision import full_precision
from taichisoft.base.transforms import beneath, is_mapped, set_aside, transforming
from taichisoft.cameras.camera import Camera
from taichisoft.engine.projection import as_drawable
from taichisoft.engine.scene import Scene
from taichisoft.geometry.attributes import Opacity, has_opacity, without_colors
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.mesh_batch import MeshBatch
from taichisoft.render.image import SoftImage
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.render.reference_layers import Front, Layering
from taichisoft.softness.curves import Curve, generated
from taichisoft.softness.occlusion import FrontToBack, ReferenceDepth

Function = Callable[[Tensor], Tensor]
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Fragments:
    """All (face, pixel) pairs of one image.

    Parameters
    ----------
    distance : Tensor, (F, H * W)
        Signed distance in pixels, positive inside.
    barycentric : Tensor, (F, H * W, 3)
        Coordinates of the point of the face nearest to the pixel.
    """

    distance: Tensor
    barycentric: Tensor


@full_precision
def render(
    renderer: SoftRasterizer,
    mesh: Mesh | MeshBatch | list[Mesh],
    camera: Camera,
    colors: Tensor | Texture | None = None,
    *,
    lighting: Lighting | None = None,
    normals: bool = False,
    objects: bool = False,
    opacity: Opacity | None = None,
    tabulated: bool = False,
) -> SoftImage:
    """Render what ``renderer(mesh, camera, colors, ...)`` renders, densely in torch.

    Parameters
    ----------
    renderer : SoftRasterizer
        Whose softness to use.
    mesh, camera, colors, lighting, normals, objects, opacity
        As for `SoftRasterizer.forward`.
    tabulated : bool
        Evaluate the softness through the tables that the kernels read, instead of exactly: then the two
        agree to rounding.

    Returns
    -------
    SoftImage
        Differentiable to any order away from kinks of the softness and of the geometry.
    """
    _check_not_mapped(mesh, camera)
    surface, scene = renderer.scene(
        mesh,
        camera,
        colors,
        lighting=lighting,
        normals=normals,
        objects=objects,
        opacity=opacity,
    )
    generator, coverage, hiding = _softness(renderer, scene, tabulated)
    totals, sums = [], []
    for image, (corners, index) in enumerate(_visible(scene)):
        total, image_sums = _render_image(
            scene, surface, image, corners, index, renderer, generator, coverage, hiding
        )
        totals.append(total)
        sums.append(image_sums)
    size = (scene.batch_size, *scene.image_size)
    return renderer.compose(
        renderer.aggregation.inverse(torch.stack(totals).reshape(size)),
        torch.stack(sums).reshape(*size, -1),
        surface,
    )


@full_precision
def silhouette(
    renderer: SoftRasterizer,
    mesh: Mesh | MeshBatch | list[Mesh],
    camera: Camera,
    *,
    opacity: Opacity | None = None,
    tabulated: bool = False,
) -> Tensor:
    """Render alpha alone, (B, H, W), as ``renderer.silhouette(mesh, camera)`` does; see `render`."""
    _check_not_mapped(mesh, camera)
    mesh = as_drawable(mesh)
    if opacity is not None or has_opacity(mesh):
        mesh = without_colors(mesh)
        return render(renderer, mesh, camera, opacity=opacity, tabulated=tabulated).alpha
    _, scene = renderer.scene(mesh, camera)
    generator, _, _ = _softness(renderer, scene, tabulated)
    totals = [
        _aggregate(generator(fragments(corners[..., :2], scene.image_size).distance), renderer)
        if len(corners)
        else scene.points.sum() * scene.points.new_zeros(scene.image_size).reshape(-1)
        for corners, _ in _visible(scene)
    ]
    return renderer.alpha(torch.stack(totals).reshape(scene.batch_size, *scene.image_size))


def _check_not_mapped(mesh: object, camera: object) -> None:
    """Raise RuntimeError within a vmap over scenes: where a face is cut, numbers decide what is computed."""
    parts = (*mesh, camera) if isinstance(mesh, (list, tuple)) else (mesh, camera)
    # What is neither a mesh nor a camera is refused where they are projected.
    fields = [x for part in parts for x in getattr(part, "__dict__", {}).values()]
    if any(is_mapped(x) for x in fields if isinstance(x, Tensor)):
        raise RuntimeError(
            "taichisoft.reference cannot be mapped over meshes or cameras by torch.func.vmap; give it a "
            "batch of them, or use the renderer"
        )


def fragments(triangles: Tensor, image_size: tuple[int, int]) -> Fragments:
    """Return distances and nearest points of all pixel centres to triangles.

    Parameters
    ----------
    triangles : Tensor, (F, 3, 2)
        Pixel coordinates of the vertices.
    image_size : tuple of int
        Height and width.
    """
    height, width = image_size
    y, x = torch.meshgrid(
        torch.arange(height, device=triangles.device, dtype=triangles.dtype) + 0.5,
        torch.arange(width, device=triangles.device, dtype=triangles.dtype) + 0.5,
        indexing="ij",
    )
    pixel = torch.stack([x, y], -1).reshape(1, 1, -1, 2)
    start, end = triangles, triangles.roll(-1, dims=1)
    edge = (end - start).unsqueeze(2)
    offset = pixel - start.unsqueeze(2)

    first, second = end[:, 0] - start[:, 0], start[:, 2] - start[:, 0]
    doubled_area = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).reshape(-1, 1, 1)
    squared_length = (edge**2).sum(-1)
    shorter = squared_length.sort(1).values[:, :2].prod(1, keepdim=True).sqrt()
    solid = doubled_area.abs() > 1e-7 * shorter.clamp(min=1e-13)

    safe_squared = torch.where(squared_length > 1e-30, squared_length, 1)
    # Distance to the line of each edge, positive on the inner side, (F, 3, HW).
    cross = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
    line = doubled_area.sign() * cross / safe_squared.sqrt()
    inside = solid[..., 0] & (line >= 0).all(1)

    along = (offset * edge).sum(-1) / safe_squared
    t = along.clamp(0, 1)
    on_line = (along == t) & solid
    gap_squared = ((offset - t.unsqueeze(-1) * edge) ** 2).sum(-1)
    gap = torch.where(gap_squared > 1e-30, gap_squared, 1e-30).sqrt()
    # The line distance is smooth through zero, the vertex distance away from it.
    to_edge = torch.where(on_line, line.abs(), gap)
    nearest = to_edge.detach().argmin(1, keepdim=True)
    line_at = line.gather(1, nearest)[:, 0]
    outside_distance = torch.where(
        on_line.gather(1, nearest)[:, 0], line_at, -gap.gather(1, nearest)[:, 0]
    )
    distance = torch.where(inside, line_at, outside_distance)

    area_coordinates = (cross / torch.where(solid, doubled_area, 1)).roll(-1, dims=1)
    foot = t.gather(1, nearest)[:, 0]
    corner = torch.nn.functional.one_hot(nearest[:, 0], 3).to(triangles.dtype)
    on_boundary = (1 - foot).unsqueeze(-1) * corner + foot.unsqueeze(-1) * corner.roll(1, dims=-1)
    barycentric = torch.where(inside.unsqueeze(-1), area_coordinates.mT, on_boundary)
    return Fragments(distance, barycentric)


def _visible(scene: Scene) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for each image the corners, (F, 3, 4), and attribute indices, (F, 3), of its drawn faces."""
    starts = torch.tensor((0, *scene.face_counts)).cumsum(0).tolist()
    for start, count in zip(starts, scene.face_counts, strict=False):
        corners = scene.points[scene.faces[start : start + count]]
        drawn = corners[..., 2].amin(1) >= scene.near
        yield corners[drawn], scene.attribute_index[start : start + count][drawn]


def _aggregate(generators: Tensor, renderer: SoftRasterizer) -> Tensor:
    """Combine (F, HW) generators over the faces; of equal maxima the first counts."""
    if renderer.aggregation.takes_max:
        return generators.gather(0, generators.detach().argmax(0, keepdim=True))[0]
    return generators.sum(0)


def _render_image(
    scene: Scene,
    surface: Surface,
    image: int,
    corners: Tensor,
    attribute_index: Tensor,
    renderer: SoftRasterizer,
    generator: Function,
    coverage: Function,
    hiding: Front | Layering,
) -> tuple[Tensor, Tensor]:
    """Return the sums of one image: (HW,) of the generator, (HW, 2 + C) of the weights."""
    channels = surface.outputs
    if not len(corners):
        pixels = scene.image_size[0] * scene.image_size[1]
        # A zero that depends on the points, so that gradients are zero and not missing.
        zero = scene.points.sum() * 0
        return zero.expand(pixels), zero.expand(pixels, 2 + channels)
    pairs = fragments(corners[..., :2], scene.image_size)
    cover, amount = coverage(pairs.distance), generator(pairs.distance)
    by_inverse_w = pairs.barycentric * corners[:, None, :, 3]
    share = by_inverse_w / by_inverse_w.sum(-1, keepdim=True)
    # Of a level face to the last bit.
    first, others = corners[:, :1, 2], corners[:, None, 1:, 2] - corners[:, None, :1, 2]
    depth = first + (share[..., 1:] * others).sum(-1)
    seen = _seen(scene, surface, image, attribute_index, share)
    if surface.opacity:
        seen, opacity = seen[..., :-1], seen[..., -1]
        cover = cover * opacity
        amount = check_type(hiding, "occlusion", Layering).generator(cover - 1)
    weight = hiding.weights(cover, amount, depth, corners[..., 2])
    parts = [weight.sum(0)[:, None], (weight * depth).sum(0)[:, None]]
    parts.append((weight.unsqueeze(-1) * seen).sum(0))
    return _aggregate(amount, renderer), torch.cat(parts, -1)


def _seen(
    scene: Scene, surface: Surface, image: int, attribute_index: Tensor, share: Tensor
) -> Tensor:
    """Return what is seen of each face at each pixel, (F, HW, C), given the shares of its corners."""
    interpolated = torch.einsum("fpk,fkc->fpc", share, scene.channels[attribute_index])
    if surface.shader is None:
        return interpolated
    rows = interpolated.flatten(0, 1)
    images = torch.full((len(rows),), image, device=rows.device)
    return surface.shader(rows, images).reshape(*share.shape[:2], -1)


def _in_peace(renderer: SoftRasterizer, make: Callable[[], Made]) -> Made:
    """Return tables, which are made by autograd: outside of transforms, to which they are constants."""
    if not transforming():
        return make()
    parts = (*renderer.softness.parameters(), *renderer.softness.buffers())
    if any(beneath(x) is not x for x in parts):
        raise RuntimeError(
            "a softness must be made before a transform of torch.func, and be a constant to it, for "
            "taichisoft.reference to use it there; otherwise use torch.autograd.grad"
        )
    with set_aside():
        return make()


def _softness(
    renderer: SoftRasterizer, scene: Scene, tabulated: bool
) -> tuple[Function, Function, Front | Layering]:
    """Return the generator and the coverage of a distance in pixels, and how faces hide each other."""
    height = scene.image_size[0] // renderer.ssaa
    if isinstance(renderer.occlusion, FrontToBack):
        layers = _in_peace(renderer, lambda: renderer.composite_curves(height))
        hiding: Front | Layering = (
            Layering.through_tables(layers)
            if tabulated
            else Layering.exact(renderer.occlusion, renderer.aggregation)
        )
        generator, coverage = layers.generator, layers.coverage
    else:
        generator, coverage, occlusion = _in_peace(renderer, lambda: renderer.curves(height))
        exact = None if tabulated else _exact_occlusion(renderer)
        hiding = Front(coverage.faint, _of(occlusion, exact))
    if tabulated:
        return _of(generator), _of(coverage), hiding
    exact_generator, exact_coverage = _exact(renderer)
    return _of(generator, exact_generator), _of(coverage, exact_coverage), hiding


def _exact_occlusion(renderer: SoftRasterizer) -> Function:
    """Return the occlusion of a difference of depth in gammas."""
    occlusion = check_type(renderer.occlusion, "occlusion", ReferenceDepth)
    return lambda u: occlusion(u.clamp(min=occlusion.domain().low))


def _of(curve: Curve, exact: Function | None = None) -> Function:
    """Return the function of a distance, in pixels or scene units: a table, or, given it, the exact one."""
    if exact is None:
        return lambda x: curve.table(x / curve.width.to(x.dtype))
    return lambda x: exact(x.double() / curve.width).to(x.dtype)


def _exact(renderer: SoftRasterizer) -> tuple[Function, Function]:
    """Return the generator and the coverage of a distance in scales."""
    coverage, aggregation = renderer.coverage, renderer.aggregation
    low, high = coverage.domain().low, coverage.domain().high
    through = coverage.surrogate is not None

    def exact_coverage(s: Tensor) -> Tensor:
        value = coverage.without_tail(s)
        # A straight-through coverage is faint within the reach of its slope, and only there.
        return torch.where(s > low, value, 0) if through else value

    def exact_generator(s: Tensor) -> Tensor:
        top = exact_coverage(s.new_tensor(high))
        top = generated(aggregation, top) if through else aggregation.generator(top)
        within = generated(aggregation, exact_coverage(s))
        return torch.where(s >= high, top, within)

    return exact_generator, exact_coverage
