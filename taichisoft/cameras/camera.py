"""Cameras: world coordinates to pixel coordinates, differentiable in every parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from taichisoft.base.checks import check_alike, check_batch, check_image_size
from taichisoft.base.eager import eager_class
from taichisoft.base.trees import collated, tree
from taichisoft.cameras import blender, clip, opencv, opengl, pytorch3d
from taichisoft.cameras.construction import (
    ImageSize,
    Values,
    as_batch,
    as_scalars,
    as_tensors,
    broadcast,
    centred_intrinsics,
    check_inside,
    check_positive,
    focal_of,
    one_fov,
    orbit_axes,
    view_from,
    with_one_batch,
)
from taichisoft.cameras.model import NEAR, CameraModel, joined, near_or_default


@eager_class
@tree(but=("image_size", "perspective", "near"))
@dataclass(frozen=True, eq=False, repr=False)
class Camera(CameraModel):
    """A batch of B pinhole or orthographic cameras that share an image size.

    Usually made by `look_at`, `orbit`, `orthographic`, `weak_perspective`, or from the cameras of another
    program by `from_opencv`, `from_opengl`, `from_clip`, `from_pytorch3d` or `from_blender`; `to_opencv` and
    so on go back. In each of these the image size and `near` follow the camera's numbers. A point X of the
    world is at ``x = rotation @ X + translation`` in camera coordinates.

    Parameters
    ----------
    rotation : Tensor, (B, 3, 3), float32 or float64
        World to camera. Not checked to be a rotation, so that it can be optimised freely.
    translation : Tensor, (B, 3)
        World to camera, in scene units.
    intrinsics : Tensor, (B, 3, 3)
        ``[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]`` in pixels (pixels per scene unit if
        orthographic); the centre of the first pixel is at (0.5, 0.5). The last row is not used.
    image_size : (int, int)
        Height and width in pixels.
    perspective : bool
        Whether to divide by depth.
    near : float
        Depth in scene units in front of which nothing is drawn; positive if perspective, by default 0.01.
        An orthographic camera by default cuts nothing: it is ``-inf``.
    distortion : Tensor, (B, 4), (B, 5) or (B, 8), optional
        Of the lenses of perspective cameras, in the order of OpenCV: k1, k2, p1, p2, then k3, then k4, k5,
        k6; of ``x / z`` and ``y / z``, so that neither a crop nor another size changes it. By default there
        is none.

    Notes
    -----
    A lens moves the image of each vertex; the edges between them stay straight. An edge that is L pixels
    long is off by up to ``3/4 |k1| r L^2 / f`` pixels at ``r = sqrt(x^2 + y^2) / z``, f the focal length in
    pixels: use faces that are small enough. Depth, normals and light are those of the scene, a distortion
    does not change them. Faces of which a vertex has no image (`project` says when) are not drawn, so that a
    wide lens does not fold over. A distortion is differentiable as all parameters are, but for which faces
    these are.

    Raises
    ------
    TypeError, ValueError
        Wrong type, dtype, shape, device or value of an argument, which the message names.
    """

    @classmethod
    def look_at(
        cls,
        eye: Values,
        at: Values = (0.0, 0.0, 0.0),
        up: Values = (0.0, 1.0, 0.0),
        *,
        fov: Values | None = None,
        horizontal_fov: Values | None = None,
        image_size: ImageSize,
        near: float = NEAR,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Perspective cameras at ``eye`` looking at ``at``, with square pixels.

        Parameters
        ----------
        eye, at, up : (3,) or (B, 3)
            Position, a point at the image centre, and a direction that points up in the image;
            world coordinates. ``up`` need not be a unit vector.
        fov : scalar or (B,)
            Vertical field of view in degrees (the whole angle), between 0 and 180; 40 by default.
        horizontal_fov : scalar or (B,)
            That of the width, in place of `fov`.
        image_size : (int, int)
            Height and width in pixels: two integers in a tuple, list, array or tensor.
        near : float
            Depth in front of which nothing is drawn, positive.
        dtype, device : optional
            By default those of the tensors among the first four arguments (the widest dtype),
            or the default dtype on the CPU if there are none.

        Notes
        -----
        Differentiable, any number of times, in every argument that is a tensor. Batch sizes
        must be equal or 1.

        Raises
        ------
        TypeError, ValueError
            A bad argument, or both fields of view; ``eye`` equal to ``at``; ``up`` zero or parallel to the
            view direction.
        """
        values = {"eye": eye, "at": at, "up": up, **one_fov(fov, horizontal_fov)}
        tensors = as_tensors(values, dtype, device)
        height, width = check_image_size(image_size)
        focal = focal_of(tensors, height, width)
        view = view_from(tensors)
        matrices = broadcast(*view, centred_intrinsics(focal, height, width))
        return cls(*matrices, (height, width), True, near)

    @classmethod
    def orthographic(
        cls,
        eye: Values,
        at: Values = (0.0, 0.0, 0.0),
        up: Values = (0.0, 1.0, 0.0),
        *,
        height: Values = 2.0,
        image_size: ImageSize,
        near: float | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Orthographic cameras at ``eye`` looking at ``at``, with square pixels.

        Parameters
        ----------
        height : scalar or (B,)
            Height of the view in scene units, positive. The width follows from the image size.
        near : float, optional
            Depth (distance from ``eye`` along the view direction) in front of which nothing is
            drawn; may be negative. By default nothing is cut, not even what is behind ``eye``.
        eye, at, up, image_size, dtype, device
            As for `look_at`, as are differentiability and errors.
        """
        tensors = as_tensors({"eye": eye, "at": at, "up": up, "height": height}, dtype, device)
        check_inside(tensors["height"], "height", 0.0, math.inf)
        rows, columns = check_image_size(image_size)
        view = view_from(tensors)
        matrices = broadcast(*view, centred_intrinsics(rows / tensors["height"], rows, columns))
        return cls(*matrices, (rows, columns), False, near_or_default(near, perspective=False))

    @classmethod
    def weak_perspective(
        cls,
        scale: Values,
        tx: Values = 0.0,
        ty: Values = 0.0,
        *,
        image_size: ImageSize,
        near: float | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Orthographic cameras from the three numbers that models of human bodies predict for a square crop.

        A point (X, Y, Z) is at ``(scale (X + tx), scale (Y + ty))`` where -1 and 1 are the sides of the
        image: x points right and y down, as in the camera coordinates of these models (HMR, SPIN, VIBE).
        Z is the depth.

        Parameters
        ----------
        scale : scalar or (B,)
            Half images per scene unit, positive.
        tx, ty : scalar or (B,)
            Translation to the right and down, in scene units.
        image_size : (int, int)
            Height and width in pixels, equal: that of the crop. For the whole image go on with
            ``camera.resize((side, side)).crop((-left, -top, width - left, height - top))``, the crop being
            at (left, top) in the image, ``side`` pixels wide.
        near, dtype, device
            As for `orthographic`, as is differentiability.

        Raises
        ------
        TypeError, ValueError
            A bad argument, such as an image that is not square.
        """
        tensors = as_tensors({"scale": scale, "tx": tx, "ty": ty}, dtype, device)
        height, width = check_image_size(image_size)
        if height != width:
            raise ValueError(
                f"image_size must be square, that of the crop, got {(height, width)}; its crop(box) "
                "leads to the whole image"
            )
        check_positive(tensors["scale"], "scale")
        x = as_scalars(tensors)
        translation = torch.stack([x["tx"], x["ty"], torch.zeros_like(x["tx"])], -1)
        rotation = torch.eye(3).to(translation)[None]
        intrinsics = centred_intrinsics(x["scale"] * (width / 2), height, width)
        matrices = broadcast(rotation, translation, intrinsics)
        return cls(*matrices, (height, width), False, near_or_default(near, perspective=False))

    @classmethod
    def orbit(
        cls,
        distance: Values,
        azimuth: Values,
        elevation: Values = 0.0,
        at: Values = (0.0, 0.0, 0.0),
        *,
        fov: Values | None = None,
        horizontal_fov: Values | None = None,
        image_size: ImageSize,
        near: float = NEAR,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Perspective cameras on a sphere about ``at``, which they look at, with square pixels.

        Parameters
        ----------
        distance : scalar or (B,)
            From ``at``, in scene units, positive.
        azimuth : scalar or (B,)
            In degrees. 0 is on the side of +z, 90 on the side of +x.
        elevation : scalar or (B,)
            In degrees above the plane of x and z; 90 looks straight down, with -z up in the image
            at azimuth 0. Any angle will do: beyond 90 the camera goes on, upside down.
        at : (3,) or (B, 3)
            The point at the image centre, world coordinates.
        fov, horizontal_fov, image_size, near, dtype, device
            As for `look_at`, as are differentiability and errors.
        """
        values = {"distance": distance, "azimuth": azimuth, "elevation": elevation}
        angle = one_fov(fov, horizontal_fov)
        tensors = as_tensors({**values, "at": at, **angle}, dtype, device)
        check_inside(tensors["distance"], "distance", 0.0, math.inf)
        distance, at = tensors["distance"].reshape(-1, 1), as_batch(tensors["at"], "at", 3)
        away, up = orbit_axes(tensors["azimuth"], tensors["elevation"])
        sizes = {"distance": len(distance), "azimuth and elevation": len(away), "at": len(at)}
        check_batch(sizes)
        eye = at + distance * away
        return cls.look_at(
            eye,
            at,
            up,
            fov=tensors.get("fov"),
            horizontal_fov=tensors.get("horizontal_fov"),
            image_size=image_size,
            near=near,
        )

    @classmethod
    def from_opencv(
        cls,
        K: Values,
        R: Values,
        t: Values,
        image_size: ImageSize,
        near: float = NEAR,
        *,
        distortion: Values | None = None,
        pixel_center: float = 0.5,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Perspective cameras from the matrices of OpenCV.

        Parameters
        ----------
        K : (3, 3) or (B, 3, 3)
            Intrinsics in pixels, ``[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]``, with positive
            fx and fy.
        R : (3, 3) or (B, 3, 3); or (3,), (3, 1) or (B, 3, 1)
            Rotation, world to camera: a matrix, or ``rvec``, a Rodrigues vector.
        t : (3,), (3, 1), (B, 3) or (B, 3, 1)
            Translation, world to camera.
        distortion : (n,), (n, 1), (1, n) or (B, n) with n = 4, 5 or 8, optional
            ``distCoeffs``: k1, k2, p1, p2, then k3, then k4, k5, k6, as ``cv2.calibrateCamera`` finds them.
            There is no thin prism, tilt or fisheye.
        pixel_center : float
            The coordinate that K gives to the centre of the first pixel, 0.5 as in this library
            by default. OpenCV itself, hence ``cv2.calibrateCamera``, puts it at 0: pass 0.0 for
            such a K, and the principal point is moved by ``0.5 - pixel_center``.
        image_size, near, dtype, device
            As for `look_at`, as is differentiability.

        Raises
        ------
        TypeError, ValueError
            A bad argument, such as an R that is no rotation (to within 1e-3) or mirrors.
        """
        lens = {} if distortion is None else {"distortion": distortion}
        tensors = as_tensors({"K": K, "R": R, "t": t, **lens}, dtype, device)
        coefficients = {name: opencv.distortion_of(tensors.pop(name)) for name in lens}
        rotation, translation, intrinsics = opencv.from_opencv(**tensors, pixel_center=pixel_center)
        matrices = {"rotation": rotation, "translation": translation, "intrinsics": intrinsics}
        parts: dict[str, Any] = with_one_batch({**matrices, **coefficients})
        return cls(**parts, image_size=check_image_size(image_size), near=near)

    def to_opencv(
        self, *, pixel_center: float = 0.5
    ) -> opencv.OpenCVCamera | opencv.DistortedOpenCVCamera:
        """Return K, R and t as OpenCV has them, the way back from `from_opencv`. Differentiable.

        With a distortion they are four: ``K, R, t, distortion``. ``camera.to_opencv()._asdict()`` are
        arguments of `from_opencv`, which takes `image_size` and `near` as well.

        Parameters
        ----------
        pixel_center : float
            The coordinate that K is to give to the centre of the first pixel; 0.0 for ``cv2.projectPoints``.

        Raises
        ------
        ValueError
            An orthographic camera, or one whose ``rotation`` is none.
        """
        return opencv.to_opencv(self, pixel_center)

    @classmethod
    def from_opengl(
        cls,
        view: Values,
        projection: Values,
        image_size: ImageSize,
        near: float | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Cameras from the matrices of OpenGL (``glFrustum``, ``glOrtho``, ``gluPerspective``, glm, ...).

        Parameters
        ----------
        view : (4, 4) or (B, 4, 4)
            World to eye, for column vectors (``eye = view @ world``); a rotation and a translation. The
            camera looks along -z, y is up. The inverse of a camera's pose, as trimesh and glTF have it.
        projection : (4, 4) or (B, 4, 4)
            Eye to clip coordinates, perspective (last row ``(0, 0, -1, 0)``) or orthographic (last row
            ``(0, 0, 0, 1)``). Frusta may be asymmetric, pixels oblong or sheared.
        near : float, optional
            Depth in front of which nothing is drawn. By default that of the projection, if it maps near and
            far to -1 and 1 as OpenGL does; for other ranges (0 to 1, reversed) it must be given. The far
            plane is not used: nothing is too far to be drawn.
        image_size, dtype, device
            As for `look_at`, as is differentiability, but for `near`. The size is that of the viewport.

        Raises
        ------
        TypeError, ValueError
            A bad argument, such as a view that scales or mirrors, or a projection that mirrors, is neither
            perspective nor orthographic, or is not so in the same way for the whole batch.
        """
        tensors = as_tensors({"view": view, "projection": projection}, dtype, device)
        size = check_image_size(image_size)
        matrices, perspective, nearest = opengl.from_opengl(**tensors, image_size=size, near=near)
        return cls(*broadcast(*matrices), size, perspective, nearest)

    def to_opengl(self, *, far: float = math.inf) -> opengl.OpenGLCamera:
        """Return view and projection matrices of OpenGL, the way back from `from_opengl`. Differentiable.

        Parameters
        ----------
        far : float
            Depth that is mapped to 1; ``near`` is mapped to -1, or ``-far`` if an orthographic camera cuts
            nothing. Infinite only for perspective cameras.

        Raises
        ------
        ValueError
            ``far`` not greater than ``near``, or infinite for an orthographic camera; a ``rotation``
            that is none; or a camera with a distortion.
        """
        return opengl.to_opengl(self, far)

    @classmethod
    def from_clip(
        cls,
        mvp: Values,
        image_size: ImageSize,
        near: float | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Cameras from matrices that take points to clip coordinates, as nvdiffrast's users have them.

        Parameters
        ----------
        mvp : (4, 4) or (B, 4, 4)
            Model, view and projection in one, for column vectors: ``clip = mvp @ (x, y, z, 1)``, with the
            clip coordinates of OpenGL (y up). Perspective or orthographic; a model matrix may scale, so that
            the scene units, those of depth too, are those of the model. The axes of the camera follow by
            making the rows orthogonal (an RQ decomposition).
        image_size : (int, int)
            As for `look_at`. Rows count from the top here; those of nvdiffrast from the bottom, so flip its
            images: ``image.flip(1)``.
        near : float, optional
            Depth in front of which nothing is drawn; by default where the matrix says, if that is one depth
            for the whole batch. An orthographic matrix does not tell where the camera is: its depths count
            from the plane that is mapped to -1.
        dtype, device
            As for `look_at`, as is differentiability, but for `near`.

        Raises
        ------
        TypeError, ValueError
            A bad argument, such as a matrix that mirrors or flattens the scene, or a batch of both kinds.
        """
        tensors = as_tensors({"mvp": mvp}, dtype, device)
        size = check_image_size(image_size)
        matrices, perspective, nearest = clip.from_clip(**tensors, image_size=size, near=near)
        return cls(*matrices, size, perspective, nearest)

    @classmethod
    def from_pytorch3d(
        cls,
        R: Values,
        T: Values,
        focal_length: Values = 1.0,
        principal_point: Values = (0.0, 0.0),
        image_size: ImageSize | None = None,
        near: float | None = None,
        *,
        in_ndc: bool = True,
        perspective: bool = True,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Cameras from the parameters of PyTorch3D's ``PerspectiveCameras`` or ``OrthographicCameras``.

        Parameters
        ----------
        R : (3, 3) or (B, 3, 3)
            Rotation, world to view, for row vectors: ``view = world @ R + T``.
        T : (3,) or (B, 3)
            Translation, world to view.
        focal_length : scalar, (B,), (B, 1) or (B, 2)
            One for both axes, or those of x and y; positive. Those of ``FoVPerspectiveCameras`` are
            ``(1 / (aspect_ratio tan(fov / 2)), 1 / tan(fov / 2))`` in NDC.
        principal_point : (2,) or (B, 2)
            (x, y). In NDC x grows to the left, y upwards, and 0 is the middle of the image; on the screen it
            is in pixels from the top left corner, and the default of PyTorch3D is that corner.
        in_ndc : bool
            Whether focal lengths and principal point are in NDC or in pixels, as in PyTorch3D.
        perspective : bool
            Whether they are those of ``PerspectiveCameras``, or of ``OrthographicCameras``.
        image_size : (int, int)
            As for `look_at`; it must be given.
        near : float, optional
            As for `look_at`, or for `orthographic`.
        dtype, device
            As for `look_at`, as is differentiability.

        Raises
        ------
        TypeError, ValueError
            A bad argument, such as an R that is no rotation (to within 1e-3) or mirrors.
        """
        values = {"R": R, "T": T, "focal_length": focal_length, "principal_point": principal_point}
        tensors = as_tensors(values, dtype, device)
        size = check_image_size(image_size)
        matrices = pytorch3d.from_pytorch3d(**tensors, image_size=size, in_ndc=in_ndc)
        near = near_or_default(near, perspective=perspective)
        return cls(*broadcast(*matrices), size, perspective, near)

    def to_pytorch3d(self, *, in_ndc: bool = True) -> pytorch3d.PyTorch3DCamera:
        """Return the parameters of PyTorch3D's cameras, the way back from `from_pytorch3d`. Differentiable.

        They are those of ``PerspectiveCameras``, or of ``OrthographicCameras`` if `perspective` is False.

        Parameters
        ----------
        in_ndc : bool
            Whether focal lengths and principal point are to be in NDC or in pixels.

        Raises
        ------
        ValueError
            A camera with skew or a distortion, or whose ``rotation`` is none.
        """
        return pytorch3d.to_pytorch3d(self, in_ndc)

    @classmethod
    def from_blender(
        cls,
        matrix_world: Values,
        lens: Values | None = None,
        image_size: ImageSize | None = None,
        near: float | None = None,
        *,
        sensor_width: Values = 36.0,
        sensor_height: Values = 24.0,
        sensor_fit: blender.SensorFit = blender.SensorFit.AUTO,
        shift_x: Values = 0.0,
        shift_y: Values = 0.0,
        pixel_aspect_x: Values = 1.0,
        pixel_aspect_y: Values = 1.0,
        ortho_scale: Values | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Cameras from the settings of Blender, for a mesh in Blender's world coordinates (z up).

        Parameters
        ----------
        matrix_world : (4, 4) or (B, 4, 4)
            Pose of the camera object, camera to world, for column vectors. Its scale is ignored, as
            Blender does.
        lens : scalar or (B,), optional
            Focal length in millimetres, positive, of a perspective camera.
        image_size : (int, int)
            Height and width in pixels: resolution_y and resolution_x times resolution_percentage. It must be
            given.
        near : float, optional
            Depth in front of which nothing is drawn (clip_start), as for `look_at` or for `orthographic`.
        sensor_width, sensor_height : scalar or (B,)
            In millimetres, positive. The height matters only if it is fitted.
        sensor_fit : SensorFit
            Which of them is fitted to the image.
        shift_x, shift_y : scalar or (B,)
            Shift of the lens to the right and up, in units of the side of the image that is fitted.
        pixel_aspect_x, pixel_aspect_y : scalar or (B,)
            Width and height of a pixel, up to a common factor; positive.
        ortho_scale : scalar or (B,), optional
            Instead of the lens: scene units that the side that is fitted shows, of an orthographic camera.
        dtype, device : optional
            As for `look_at`, as is differentiability.

        Raises
        ------
        TypeError, ValueError
            A bad argument, such as a matrix that shears or mirrors, or both or none of lens and ortho_scale.
        """
        zooms = {"lens": lens, "ortho_scale": ortho_scale}
        zoom = {name: value for name, value in zooms.items() if value is not None}
        values = {
            "matrix_world": matrix_world,
            **zoom,
            "sensor_width": sensor_width,
            "sensor_height": sensor_height,
            "pixel_aspect_x": pixel_aspect_x,
            "pixel_aspect_y": pixel_aspect_y,
            "shift_x": shift_x,
            "shift_y": shift_y,
        }
        size = check_image_size(image_size)
        matrices = blender.from_blender(as_tensors(values, dtype, device), size, sensor_fit)
        near = near_or_default(near, perspective="lens" in zoom)
        return cls(*broadcast(*matrices), size, "lens" in zoom, near)

    def to_blender(self, *, sensor_width: float = 36.0) -> blender.BlenderCamera:
        """Return settings of Blender, the way back from `from_blender`. Differentiable.

        ``camera.to_blender()._asdict()`` are arguments of `from_blender`, which takes `image_size` and `near`
        as well. The sensor is fitted HORIZONTAL; the smaller pixel aspect is 1, since Blender takes none
        below. In Blender also set resolution_y and resolution_x to `image_size`, and clip_start to `near` if
        it is not ``-inf``.

        Parameters
        ----------
        sensor_width : float
            In millimetres, positive.

        Raises
        ------
        ValueError
            A camera with skew or a distortion, or whose ``rotation`` is none.
        """
        return blender.to_blender(self, sensor_width)


def as_one(cameras: Sequence[Camera]) -> Camera:
    """Return cameras of one image size and kind as one batch.

    Raises
    ------
    ValueError
        Image sizes, kinds, near depths, dtypes or devices differ.
    """
    shared = ("image_size", "perspective", "near", "dtype", "device")
    check_alike("cameras", {name: [getattr(x, name) for x in cameras] for name in shared})
    return joined(cameras)


collated(Camera, as_one)
