"""`fit_pose`: where a mesh was when its mask was taken."""

from __future__ import annotations

import torch
from torch import Tensor

from taichisoft.base.checks import check_integer, check_number, check_type
from taichisoft.base.eager import eager
from taichisoft.base.warn import warn_user
from taichisoft.cameras.camera import Camera
from taichisoft.cameras.construction import Values
from taichisoft.geometry.mesh import Mesh
from taichisoft.geometry.rotations import angle_between
from taichisoft.poses.evidence import Evidence
from taichisoft.poses.framed import Framed
from taichisoft.poses.inputs import (
    Frame,
    Pose,
    camera_of,
    check_mesh,
    evidence_of,
    masks_of,
    start_of,
)
from taichisoft.poses.pose_fit import Inverse, OtherPose, PoseFit, Request, verdict_of
from taichisoft.poses.poses import Poses
from taichisoft.poses.search import APART, Report, Search
from taichisoft.render.rasterizer import SoftRasterizer
from taichisoft.softness.coverage import Heaviside

# The softness of the first stage, one that was learned for poses.
SOFTNESS = "pose"
MIN_IOU = 0.9
LARGEST_SEED = 2**64 - 1
# A mask that covers this share of the border of its image, and fits less well than this, may be inverted. It
# looks so if the mesh fits the inverse as well as this, and better than the mask by so much.
BORDER, GOOD, FITS, BETTER = 0.5, 0.9, 0.75, 0.1


@eager
def fit_pose(
    mesh: Mesh,
    mask: Tensor,
    K: Values | None = None,
    image: Tensor | None = None,
    depth: Tensor | None = None,
    init: Pose | None = None,
    *,
    camera: Camera | None = None,
    invert: bool = False,
    min_iou: float = MIN_IOU,
    steps: int = 60,
    starts: int = 32,
    seed: int = 0,
    renderer: SoftRasterizer | None = None,
    report: Report | None = None,
) -> PoseFit:
    """Find rotation and translation of a known mesh from its mask, in one view or several.

    Random orientations are moved so that the box around the mesh is that of the mask. Those that overlap
    most are optimised as one batch, in an image 64 pixels long and then one of 192. What is minimised is 1 -
    IoU of the soft silhouette, plus, where they are given, three times the mean square of the differences to
    the photo, and the mean square of those to the depth map, in radii of the mesh. What is compared in the
    end are hard images, in the size that was given.

    Parameters
    ----------
    mesh : Mesh
        One mesh in any unit. Its opacity is not looked at, and its colours only if there is an `image`.
    mask : Tensor, (H, W) or (V, H, W), bool, uint8 or float
        Where the object is: True, 1, or of uint8 with larger numbers 255. In between it is covered in part.
        The object may be cut off by the border. Of several views some may be without it.
    K : (3, 3), optional
        Intrinsics of one view in pixels, ``[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]``; the centre of the
        first pixel is at (0.5, 0.5). OpenCV puts it at (0, 0): add 0.5 to such cx and cy. Of a part of a
        photo that begins at (left, top), take these from cx and cy, as ``camera.crop`` does.
    image : Tensor, (H, W, 3) or (V, H, W, 3), uint8 or float, optional
        Photos, in [0, 1] or of uint8 up to 255, to compare the mesh's own colours with, which are drawn
        without light. It tells poses apart that have the same silhouette.
    depth : Tensor, (H, W) or (V, H, W), optional
        Depth along the view direction in the units of the mesh; NaN, infinity or 0 where none was measured.
        What is outside of the mask is not looked at.
    init : PoseFit, OtherPose or (R, t), optional
        Refine this pose instead of a search. No other pose is tried then.
    camera : Camera, optional
        In place of K: perspective cameras, one for each mask, of its image size. Their poses say how several
        views stand to each other; the result is then a pose in their world.
    invert : bool
        Whether the mask is of the background.
    min_iou : float
        The least IoU that is ok, in (0, 1).
    steps : int
        Steps of Adam in each of the two stages.
    starts : int
        Orientations that are optimised, the best of 16 times as many.
    seed : int
        Of the random orientations.
    renderer : SoftRasterizer, optional
        Softness of the first stage, by default ``SoftRasterizer.pretrained("pose")``.
    report : callable, optional
        Gets a line about each stage: ``report=print``.

    Returns
    -------
    PoseFit
        ``x_cam = R x + t``, the axes those of OpenCV (x right, y down, z forward), in the units of the mesh;
        whether it is ok, and other poses that fit as well.

    Raises
    ------
    TypeError, ValueError
        A bad argument: among others no object in the mask, both or none of K and camera, a mesh without
        colours to compare with an image, no depth in the mask, or an `init` nearer than 1.1 radii.

    Warns
    -----
    UserWarning
        The mask looks inverted.

    Notes
    -----
    The camera stays outside of the sphere around the mesh.

    By an IoU of 0.9 a pose was told from one in the mask of another mesh. In 72 searches of 12 meshes with
    few starts, poses that were found had at least 0.937, and those in the mask of another mesh at most 0.893.
    Of poses that were not found half had less than 0.866; the best, 0.965, were half a turn off, of meshes
    that look nearly the same then: more starts help. In rough masks, with steps of 3 pixels in 120, poses
    that were found had from 0.836 to 0.941: lower ``min_iou`` for such. (``python -m benchmarks.pose_iou``)
    """
    # The search follows gradients, whatever the mode in which the pose is wanted.
    with torch.inference_mode(False), torch.enable_grad():
        mesh = check_mesh(mesh)
        check_type(invert, "invert", bool)
        check_number(min_iou, "min_iou", above=0, below=1)
        check_integer(steps, "steps", minimum=1)
        check_integer(starts, "starts", minimum=1)
        check_integer(seed, "seed", minimum=0, maximum=LARGEST_SEED)
        if report is not None and not callable(report):
            raise TypeError(f"report must be callable, as print is, got {type(report).__name__}")
        if renderer is None:
            renderer = SoftRasterizer.pretrained(SOFTNESS).to(mesh.device)
        check_type(renderer, "renderer", SoftRasterizer)
        if isinstance(renderer.coverage, Heaviside):
            raise ValueError("renderer must be soft: a hard silhouette has no slope")
        masks = masks_of(mask, invert, mesh.vertices)
        framed = Framed.of(mesh)
        frame = Frame(framed, camera_of(K, camera, masks, framed))
        evidence = evidence_of(frame, masks, image, depth)
        search = Search(renderer, steps, starts, seed, report or (lambda line: None))
        if init is None:
            poses = search.found(evidence)
        else:
            poses = search.refined_from(evidence, *start_of(init, frame))
        request = Request(
            from_start=init is not None,
            is_single=init is not None or starts == 1,
            is_inverted=invert,
            has_image=image is not None,
            has_depth=depth is not None,
        )
        found = _result(frame, poses, min_iou, _inverse(search, evidence, poses), request)
    if found.inverted:
        warn_user(found.verdict.removeprefix("not ok: "))
    return found


def _inverse(search: Search, evidence: Evidence, poses: Poses) -> Inverse | None:
    """Return how the mesh fits the inverse of a mask that covers the border, and that it fits badly.

    Such a mask may be that of an object which is cut off, so it is tried. Object and background both count: a
    mesh that fills the image has a large IoU with an inverted mask, and none with what is outside of it.
    """
    quality = _quality(poses)
    if quality >= GOOD or evidence.border_share() < BORDER:
        return None
    search.report("the mask covers the border: the same for the inverted mask")
    other = search.coarse(evidence.inverted())
    return Inverse(float(other.iou[0]), _quality(other) > max(FITS, quality + BETTER))


def _quality(poses: Poses) -> float:
    """Return the IoU of the best pose, of object or background, whichever is less."""
    return min(float(poses.iou[0]), float(poses.background_iou[0]))


def _result(
    frame: Frame, poses: Poses, min_iou: float, inverse: Inverse | None, request: Request
) -> PoseFit:
    poses = poses[poses.apart(APART)]
    rotation, translation = frame.to_world(poses.rotation, poses.translation)
    degrees = torch.rad2deg(angle_between(poses.rotation, poses.rotation[:1])).tolist()
    iou, behind = poses.iou.tolist(), (poses.loss - poses.loss[0]).tolist()
    others = tuple(
        OtherPose(rotation[k], translation[k], iou[k], degrees[k], behind[k])
        for k in range(1, len(poses))
    )
    background = float(poses.background_iou[0])
    ok, verdict = verdict_of(iou[0], min_iou, background, inverse, others, request)
    camera = frame.seen(rotation[0], translation[0])
    inverted = inverse is not None and inverse.is_better
    return PoseFit(rotation[0], translation[0], iou[0], ok, verdict, inverted, others, camera)
