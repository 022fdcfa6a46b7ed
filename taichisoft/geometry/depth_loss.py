"""The loss on depth maps, with soft edges that do not count for more than they know."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_like, check_tensor
from taichisoft.geometry.pixel_weights import image_shapes, mean_square, pixel_weights


def depth_mse(
    depth: Tensor,
    alpha: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean squared difference of each rendered depth map to one that was measured.

    ``sum(w a (d - t)^2) / sum(w a)`` over the pixels where the target has a depth, for the rendered depth d,
    alpha a, and w = 1 or ``mask * weight``. In squared scene units.

    Parameters
    ----------
    depth, alpha : Tensor, (B, H, W), float32 or float64
        Those of a `SoftImage`.
    target : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``depth``
        Depth along the view direction in scene units, as `SoftImage` has it, not the distance to the camera.
        NaN, an infinity or 0 where none was measured. One image is the target of all.
    mask : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``depth`` or bool, optional
        Which pixels count, or how much, in [0, 1].
    weight : Tensor, (B, H, W), (1, H, W) or (H, W), dtype of ``depth``, optional
        How much each pixel counts, not negative; only its ratios matter. It is multiplied by the mask. Its
        derivatives are right where it is 0, too, but for a pixel with a NaN or a huge number (from 4e9 on in
        float32), which is left out.

    Returns
    -------
    Tensor, (B,)
        It is 0, with gradient 0, where no pixel with a target is covered.

    Raises
    ------
    TypeError, ValueError
        Wrong dtype, shapes that do not fit, different devices, a mask outside of [0, 1], or a weight that is
        negative.

    Notes
    -----
    The depth of a `SoftImage` is a mean over faces, ``sum(w z) / sum(w)``, at any alpha; the background is
    not in it. So at the true pose it is that of the target wherever one surface is seen, up to the edge of
    the target, and the loss is least there. `mse` of the depths, with 0 for the background, is not: the
    faint pixels around a silhouette have the depth of the mesh, and pull it to 0.

    Where alpha is small the depth is that of what hardly reaches there; by alpha it counts for as little.
    Alpha is a constant to the gradient: else the loss would fall by uncovering the pixels that disagree.
    Where the mesh should be seen is for a loss on alpha to say, such as `iou_loss`; add it. A mesh that is
    not seen where the target is has no gradient here.

    What shines through is in the mean as well. Under the default T-conorm that is the far side, through the
    seams between faces; ``culling=ts.Culling.BACK`` for a closed mesh, or `BoundedSum`, keeps it out. A ball
    of radius 1 was then found within 0.002 of its place along the view axis, and 0.07 off without them
    (48 px, a Gaussian of 0.4 px, ``python -m benchmarks.depth_bias``).
    """
    check_tensor(depth, "depth", ("B", "H", "W"))
    check_tensor(alpha, "alpha", tuple(depth.shape))
    check_like(alpha, "alpha", depth, "depth")
    check_tensor(target, "target", *image_shapes(depth))
    check_like(target, "target", depth, "depth")
    measured = torch.isfinite(target) & (target != 0)
    counted = alpha.detach() * measured
    given = pixel_weights(mask, weight, depth, "depth")
    return mean_square(depth - target, counted if given is None else given * counted)


def depth_loss(
    depth: Tensor,
    alpha: Tensor,
    target: Tensor,
    *,
    mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of `depth_mse` over the batch, a scalar: ``ts.depth_loss(image.depth, image.alpha, target)``."""
    return depth_mse(depth, alpha, target, mask=mask, weight=weight).mean()
