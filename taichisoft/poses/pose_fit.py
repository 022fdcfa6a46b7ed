"""`PoseFit`: the pose that was found, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from taichisoft.base.words import counted
from taichisoft.cameras.camera import Camera

# Behind the best by less than this, a pose is as good.
AS_GOOD = 0.01
# The IoU of what is outside of mesh and mask below which the image is as good as filled.
FILLED = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class OtherPose:
    """A pose that differs from the one that was found by 15 degrees or more.

    Parameters
    ----------
    R : Tensor, (3, 3)
        Rotation of the mesh, as in `PoseFit`.
    t : Tensor, (3,)
        Translation of the mesh.
    iou : float
        Mean IoU over the views.
    degrees : float
        Angle between its rotation and that of the pose that was found.
    behind : float
        How much worse it fits: of masks alone the difference of IoU; with a photo or depths that of
        everything that `fit_pose` compares.
    """

    R: Tensor
    t: Tensor
    iou: float
    degrees: float
    behind: float

    def __repr__(self) -> str:
        return f"pose {self.degrees:.0f} degrees away, IoU {self.iou:.4f}"


@dataclass(frozen=True, eq=False, repr=False)
class PoseFit:
    """The pose of a mesh that fits its masks best. Made by `fit_pose`.

    A point x of the mesh, in the units of the mesh, is at ``x_cam = R x + t`` in the frame of the camera,
    with the axes of OpenCV: x right, y down, z forward. Where cameras with poses were given, it is at
    ``x_world = R x + t`` in their world.

    Parameters
    ----------
    R : Tensor, (3, 3)
        Rotation of the mesh. Dtype and device of the mesh, as of all tensors here.
    t : Tensor, (3,)
        Translation of the mesh.
    iou : float
        Of the hard silhouette and the mask, the mean over the views.
    ok : bool
        Whether the IoU is at least ``min_iou``, the mask does not look inverted, and what is outside of mesh
        and mask has an IoU of a half or more: a mesh that fills the image fits a mask that nearly does, in
        any pose. It does not say that the pose is the only one, see `ambiguous`.
    verdict : str
        That in a sentence.
    inverted : bool
        Whether the mask looks inverted: it goes along the border, and the mesh fits what is outside of it
        much better.
    others : tuple of OtherPose
        Other poses that were tried to the end, the best first; not all that there are.
    camera : Camera
        One for each view, that sees the mesh itself where it was found:
        ``SoftRasterizer.hard().silhouette(mesh, found.camera)``.
    """

    R: Tensor
    t: Tensor
    iou: float
    ok: bool
    verdict: str
    inverted: bool
    others: tuple[OtherPose, ...]
    camera: Camera

    def __repr__(self) -> str:
        rows = "; ".join(", ".join(f"{x:.4f}" for x in row) for row in self.R.tolist())
        place = ", ".join(f"{x:.5g}" for x in self.t.tolist())
        return f"pose, {self.verdict}\n  R: {rows}\n  t: {place}"

    @property
    def K(self) -> Tensor:
        """Intrinsics in pixels, (V, 3, 3); the centre of the first pixel is at (0.5, 0.5)."""
        return self.camera.intrinsics

    @property
    def ambiguous(self) -> tuple[OtherPose, ...]:
        """Other poses that fit as well to within 0.01: the mesh is symmetric, or looks so in the mask.

        Empty with `init` or one start, whatever the mesh: no other pose is tried then.
        """
        return tuple(other for other in self.others if other.behind < AS_GOOD)

    @property
    def second_best(self) -> OtherPose | None:
        """The best of the others, however far behind; None if all that were tried lead to the same pose.

        None with `init` or one start, too: no other pose is tried then.
        """
        return self.others[0] if self.others else None


@dataclass(frozen=True)
class Inverse:
    """How the mesh fits the inverse of a mask that covers the border of the image.

    Parameters
    ----------
    iou : float
        Of the mesh and the inverse.
    is_better : bool
        Whether it fits that well, and much better than the mask.
    """

    iou: float
    is_better: bool


@dataclass(frozen=True)
class Request:
    """What was asked for, as far as a verdict names it.

    Parameters
    ----------
    from_start : bool
        Whether a pose was given to start from (`init`).
    is_single : bool
        Whether one pose alone was tried to the end.
    is_inverted : bool
        Whether the mask was turned round (`invert`).
    has_image, has_depth : bool
        Whether photos and depth maps were compared as well.
    """

    from_start: bool = False
    is_single: bool = False
    is_inverted: bool = False
    has_image: bool = False
    has_depth: bool = False

    def causes(self) -> str:
        """Return what may be wrong if nothing fits."""
        names = ["another mesh", "mask or K"]
        names += ["the photo"] * self.has_image + ["the units of depth"] * self.has_depth
        last = "a start (init) too far off" if self.from_start else "too few starts"
        return f"{', '.join(names)}, or {last}"


def verdict_of(
    iou: float,
    min_iou: float,
    background_iou: float,
    inverse: Inverse | None,
    others: tuple[OtherPose, ...],
    request: Request = Request(),
) -> tuple[bool, str]:
    """Return whether a pose is one, and why in a sentence.

    Parameters
    ----------
    iou, background_iou : float
        Of mesh and mask, and of what is outside of them.
    min_iou : float
        The least that will do.
    inverse : Inverse or None
        If the mask covers the border, and the mesh fits it badly.
    others : tuple of OtherPose
        The best first.
    request : Request
        What was asked for.
    """
    if inverse is not None and inverse.is_better:
        cure = (
            "leave out invert=True (--invert), which turned it round"
            if request.is_inverted
            else "invert=True (--invert) turns it round"
        )
        return False, (
            f"not ok: the mask looks inverted: the mesh fits what is outside of it with an IoU of "
            f"{inverse.iou:.3f}, and the mask with {iou:.3f}; {cure}"
        )
    hint = "" if inverse is None else f"; {_doubt(request)}"
    if iou < min_iou:
        return False, (f"not ok: IoU {iou:.4f} is less than {min_iou:g}: {request.causes()}{hint}")
    if background_iou < FILLED:
        return False, (
            f"not ok: IoU {iou:.4f}, but mesh and mask fill the image, so that other poses fit as well: "
            f"what is outside of both has an IoU of {background_iou:.3f}{hint}"
        )
    return True, f"ok: IoU {iou:.4f}{_about(others, request)}"


def _doubt(request: Request) -> str:
    """Return what to ask of a mask that covers the border, and that nothing fits."""
    if request.is_inverted:
        return "was the mask right without invert=True (--invert)?"
    return "is the mask inverted (invert=True, --invert)?"


def _about(others: tuple[OtherPose, ...], request: Request) -> str:
    """Return what is to be said of other poses, after the IoU."""
    if request.is_single:
        return "; no other pose was tried"
    if not others:
        return ", and all that was tried leads there"
    close = [other for other in others if other.behind < AS_GOOD]
    if not close:
        best = others[0]
        return f"; the next pose, {best.degrees:.0f} degrees away, has {best.iou:.4f}"
    angles = ", ".join(f"{other.degrees:.0f}" for other in close)
    return (
        f", but ambiguous: {counted(len(close), 'other pose fits', 'other poses fit')} nearly as well, "
        f"{angles} degrees away"
    )
