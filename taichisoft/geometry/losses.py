"""Losses on images (IoU, squared error) and on meshes (Laplacian, normal consistency, edge length).

Every loss comes twice: as values per image or mesh, (B,), and as their mean, a scalar. The mesh
losses are sparse linear maps of the vertices followed by a pointwise function. The maps depend on
the faces only: build the class once when the same topology is used again and again; the function
of the same name builds it at every call. All are differentiable any number of times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from taichisoft.base.checks import (
    FLOAT_DTYPES,
    check_batch,
    check_like,
    check_number,
    check_same_device,
    check_tensor,
)
from taichisoft.base.eager import eager, eager_class
from taichisoft.base.precision import full_precision
from taichisoft.base.transforms import beneath, transforming
from taichisoft.geometry.overlap import overlap
from taichisoft.geometry.pixel_weights import (
    image_shapes,
    mean_square,
    of_size_one,
    pixel_weights,
)
from taichisoft.geometry.topology import adjacent_faces, check_faces, unique_edges
from taichisoft.geometry.vectors import unit_normals


def iou(
    alpha: torch.Tensor,
    target: torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Soft intersection over union of each image of a batch.

    ``sum(w a t) / sum(w (a + t - a t))`` over the pixels, as in Soft Rasterizer (Liu et al., ICCV 2019),
    where w is 1, or ``mask * weight``.

    Parameters
    ----------
    alpha : Tensor, (B, H, W), float32 or float64
        Coverage in [0, 1].
    target : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``alpha`` or bool
        Coverage in [0, 1]; one image is the target of all. Levels from 0 to 255 (uint8) are not taken:
        ``target / 255``.
    mask : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``alpha`` or bool, optional
        Which pixels count, or how much, in [0, 1]. One that does not count is not looked at: ``target`` may
        be NaN there.
    weight : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``alpha``, optional
        How much each pixel counts, not negative; only its ratios matter. It is multiplied by the mask. Its
        derivatives are right where it is 0, too, but for a pixel with a NaN or a huge number (from 4e9 on in
        float32), which is left out.

    Returns
    -------
    Tensor, (B,)
        In [0, 1]. It is 1, with gradient 0, where both images are empty, and where no pixel counts.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shapes that do not fit, different devices, a mask outside of [0, 1], or a weight that is
        negative.
    """
    check_tensor(alpha, "alpha", ("B", "H", "W"))
    target = _as_target(target, alpha, "alpha")
    weights = pixel_weights(mask, weight, alpha, "alpha")
    intersection, union = overlap(alpha, target, None if weights is None else of_size_one(weights))
    # the square root keeps second derivatives, of the order of 1 / union^2, within range
    empty = union <= torch.finfo(union.dtype).tiny ** 0.5
    one = torch.ones_like(union)
    return torch.where(empty, one, intersection / torch.where(empty, one, union))


def iou_loss(
    alpha: torch.Tensor,
    target: torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """One minus the mean of `iou` over the batch, a scalar in [0, 1]."""
    return 1 - iou(alpha, target, mask=mask, weight=weight).mean()


def mse(
    image: torch.Tensor,
    target: torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean squared difference of each image of a batch.

    Parameters
    ----------
    image : Tensor, (B, H, W) or (B, H, W, C), float32 or float64
    target : Tensor, shape of ``image``, dtype of ``image`` or bool
        Or one image, (H, W), (H, W, C) or with an axis of length 1 in front, the target of all. Levels from
        0 to 255 (uint8) are not taken: ``target / 255``.
    mask : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``image`` or bool, optional
        Which pixels count, or how much, in [0, 1]. One that does not count is not looked at: ``target`` may
        be NaN there.
    weight : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``image``, optional
        How much each pixel counts, not negative; only its ratios matter. It is multiplied by the mask. Its
        derivatives are right where it is 0, too, but for a pixel with a NaN or a huge number (from 4e9 on in
        float32), which is left out.

    Returns
    -------
    Tensor, (B,)
        The mean over pixels, by mask and weight, and over channels. It is 0, with gradient 0, where no pixel
        counts.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shapes that do not fit, different devices, a mask outside of [0, 1], or a weight that is
        negative.
    """
    check_tensor(image, "image", ("B", "H", "W"), ("B", "H", "W", "C"))
    target = _as_target(target, image, "image")
    weights = pixel_weights(mask, weight, image, "image")
    if weights is None:
        return (image - target).square().flatten(1).mean(1)
    return mean_square(image - target, weights)


def mse_loss(
    image: torch.Tensor,
    target: torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of `mse` over the batch, a scalar."""
    return mse(image, target, mask=mask, weight=weight).mean()


@eager_class
class MeshLoss(nn.Module, ABC):
    """A loss on the vertices of one topology: a sparse linear map, then a pointwise function.

    The map is a non-persistent buffer, so ``.to(device)`` moves it and a state dict leaves it
    out. Calling the module returns the mean over the batch of `per_mesh`.
    """

    _operator: torch.Tensor

    def __init__(self, operator: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("_operator", operator, persistent=False)

    @property
    def num_vertices(self) -> int:
        """Number of vertices V that the loss expects."""
        return self._operator.shape[1]

    @abstractmethod
    def per_mesh(self, vertices: torch.Tensor) -> torch.Tensor:
        """Return the loss of each mesh, (B,), for vertices (B, V, 3) or (V, 3) (then B is 1).

        Raises TypeError or ValueError for a wrong dtype, shape or device.
        """

    def forward(self, vertices: torch.Tensor) -> torch.Tensor:
        """Return the mean loss over the batch, a scalar, for vertices (B, V, 3) or (V, 3)."""
        return self.per_mesh(vertices).mean()

    def _map(self, vertices: torch.Tensor) -> torch.Tensor:
        """Return the map of the vertices, (R, B, 3) for an operator (R, V)."""
        size = self.num_vertices
        check_tensor(vertices, "vertices", (size, 3), ("B", size, 3))
        check_same_device(vertices, "vertices", self._operator, "the loss (use .to)")
        vertices = vertices if vertices.ndim == 3 else vertices[None]
        check_batch({"vertices": vertices.shape[0]})
        return _apply(self._operator, vertices.transpose(0, 1))


@eager_class
class Laplacian(MeshLoss):
    """Mean over the vertices of the squared length of the uniform graph Laplacian.

    The Laplacian of a vertex is the vertex minus the mean of its neighbours (Taubin, SIGGRAPH
    1995), in scene units; 0 for a vertex without neighbours. Multiply by the number of vertices
    for the sum that Soft Rasterizer uses.

    Parameters
    ----------
    faces : Tensor, (F, 3), int64
    num_vertices : int, optional
        By default, one more than the largest index.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape of ``faces``, or an index out of range.
    """

    _degree: torch.Tensor

    def __init__(self, faces: torch.Tensor, num_vertices: int | None = None) -> None:
        size = check_faces(faces, num_vertices)
        edges = unique_edges(faces)
        pairs = torch.cat([edges, edges.flip(1)])
        degree = torch.bincount(pairs[:, 0], minlength=size)
        # (degree - adjacency), divided by the degree afterwards: integers are exact in any dtype
        diagonal = torch.arange(size, device=faces.device)[:, None].expand(-1, 2)
        values = torch.cat([-torch.ones_like(pairs[:, 0]), degree])
        super().__init__(_sparse(torch.cat([pairs, diagonal]), values, size, size))
        self.register_buffer("_degree", degree.clamp(min=1), persistent=False)

    def per_mesh(self, vertices: torch.Tensor) -> torch.Tensor:  # noqa: D102 - inherited
        laplacian = self._map(vertices) / self._degree[:, None, None]
        return _mean(laplacian.square().sum(-1))


@eager_class
class NormalConsistency(MeshLoss):
    """Mean of ``1 - cos(angle)`` over the pairs of faces that share an edge; 0 if flat.

    The angle is the one by which the surface folds at the edge: that between the two normals,
    where a face wound the other way round counts with its normal reversed. An edge with k faces
    has k (k - 1) / 2 pairs; a boundary edge has none. A pair with a face of no area counts as
    flat, without gradient. No pairs: 0.

    Parameters
    ----------
    faces : Tensor, (F, 3), int64
    num_vertices : int, optional
        By default, one more than the largest index.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape of ``faces``, or an index out of range.
    """

    _pairs: torch.Tensor
    _normal_difference: torch.Tensor

    def __init__(self, faces: torch.Tensor, num_vertices: int | None = None) -> None:
        size = check_faces(faces, num_vertices)
        first, second, third = faces.unbind(1)
        super().__init__(_differences(first.repeat(2), torch.cat([second, third]), size))
        pairs, sign = adjacent_faces(faces)
        self.register_buffer("_pairs", pairs, persistent=False)
        operator = _pairwise(pairs, torch.stack([torch.ones_like(sign), -sign], 1), len(faces))
        self.register_buffer("_normal_difference", operator, persistent=False)

    def per_mesh(self, vertices: torch.Tensor) -> torch.Tensor:  # noqa: D102 - inherited
        normals = unit_normals(*self._map(vertices).chunk(2))
        has_area = (normals.detach() != 0).any(-1)
        counts = has_area[self._pairs].all(1)
        # half the squared difference of unit vectors is 1 - cos, without its cancellation
        square = _apply(self._normal_difference, normals).square().sum(-1)
        return _mean(torch.where(counts, square / 2, torch.zeros_like(square)))


@eager_class
class EdgeLength(MeshLoss):
    """Mean over the edges of ``(length - target_length)^2``, in squared scene units.

    Parameters
    ----------
    faces : Tensor, (F, 3), int64
    num_vertices : int, optional
        By default, one more than the largest index.
    target_length : float
        Not negative. With 0, the loss is smooth everywhere; else an edge of length zero has a
        gradient of zero.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype or shape of ``faces``, an index out of range, or a negative target.
    """

    def __init__(
        self,
        faces: torch.Tensor,
        num_vertices: int | None = None,
        *,
        target_length: float = 0.0,
    ) -> None:
        size = check_faces(faces, num_vertices)
        start, end = unique_edges(faces).unbind(1)
        super().__init__(_differences(start, end, size))
        self.target_length = check_number(target_length, "target_length")
        if self.target_length < 0:
            raise ValueError(f"target_length must not be negative, got {target_length}")

    def per_mesh(self, vertices: torch.Tensor) -> torch.Tensor:  # noqa: D102 - inherited
        square = self._map(vertices).square().sum(-1)
        length = _sqrt_or_zero(square)
        return _mean(square - 2 * self.target_length * length + self.target_length**2)


@eager
def laplacian_loss(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """`Laplacian` of vertices (B, V, 3) or (V, 3) with faces (F, 3), mean over the batch."""
    return Laplacian(faces, _count(vertices))(vertices)


@eager
def normal_consistency_loss(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """`NormalConsistency` of vertices (B, V, 3) or (V, 3), mean over the batch."""
    return NormalConsistency(faces, _count(vertices))(vertices)


@eager
def edge_length_loss(
    vertices: torch.Tensor, faces: torch.Tensor, *, target_length: float = 0.0
) -> torch.Tensor:
    """`EdgeLength` of vertices (B, V, 3) or (V, 3), mean over the batch."""
    return EdgeLength(faces, _count(vertices), target_length=target_length)(vertices)


def _as_target(target: torch.Tensor, image: torch.Tensor, name: str) -> torch.Tensor:
    shapes = image_shapes(image, tuple(image.shape[3:]))
    check_tensor(target, "target", *shapes, dtypes=(*FLOAT_DTYPES, torch.bool))
    if target.dtype == torch.bool:
        target = target.to(image.dtype)
    check_like(target, "target", image, name)
    return target


def _count(vertices: torch.Tensor) -> int:
    check_tensor(vertices, "vertices", ("V", 3), ("B", "V", 3))
    return vertices.shape[-2]


def _differences(start: torch.Tensor, end: torch.Tensor, size: int) -> torch.Tensor:
    """Return the sparse map from vertices to ``vertices[end] - vertices[start]``."""
    pairs = torch.stack([start, end], 1)
    return _pairwise(pairs, pairs.new_tensor([-1, 1]).expand_as(pairs), size)


def _pairwise(pairs: torch.Tensor, values: torch.Tensor, columns: int) -> torch.Tensor:
    """Return a sparse matrix whose row r holds the two ``values[r]`` at columns ``pairs[r]``."""
    rows = torch.arange(len(pairs), device=pairs.device)[:, None].expand_as(pairs)
    entries = torch.stack([rows.flatten(), pairs.flatten()], 1)
    return _sparse(entries, values.flatten(), len(pairs), columns)


def _sparse(entries: torch.Tensor, values: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return a float32 matrix with ``values`` (N,) at the (row, column) of ``entries`` (N, 2)."""
    if beneath(values) is not values:
        raise RuntimeError(
            "a loss of a mesh cannot be built within a transform of torch.func; build it before, "
            "loss = ts.Laplacian(faces), and call loss(vertices) there"
        )
    matrix = torch.sparse_coo_tensor(
        entries.T, values.float(), (rows, columns), check_invariants=True
    )
    return matrix.coalesce()


@full_precision
def _apply(operator: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Apply a sparse (R, N) map to (N, B, 3), giving (R, B, 3)."""
    operator = operator.to(values.dtype)
    if not transforming():
        return torch.sparse.mm(operator, values.flatten(1)).unflatten(1, values.shape[1:])
    # torch has no forward derivatives of sparse matrices.
    rows, columns = operator.indices()
    terms = operator.values()[:, None, None] * values.index_select(0, columns)
    return values.new_zeros(operator.shape[0], *values.shape[1:]).index_add(0, rows, terms)


def _mean(values: torch.Tensor) -> torch.Tensor:
    """Mean over the first axis; 0, still attached to the graph, if that axis is empty."""
    return values.sum(0) / max(len(values), 1)


def _sqrt_or_zero(values: torch.Tensor) -> torch.Tensor:
    """Square root; zero, without gradient, where too small to differentiate twice."""
    small = values.detach() <= torch.finfo(values.dtype).tiny ** 0.5
    root = torch.where(small, torch.ones_like(values), values).sqrt()
    return torch.where(small, torch.zeros_like(values), root)
