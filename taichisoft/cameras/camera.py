"""Cameras: world coordinates to pixel coordinates, differentiable in every parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from taichisoft.base.checks import check_batch, check_image_size
from taichisoft.base.eager import eager_class
from taichisoft.cameras import blender, opencv, opengl, pytorch3d
from taichisoft.cameras.construction import (
    Values,
    as_batch,
    as_tensors,
    broadcast,
    centred_intrinsics,
    check_inside,
    orbit_axes,
    view_from,
)
from taichisoft.cameras.model import CameraModel


@eager_class
@dataclass(frozen=True, eq=False, repr=False)
class Camera(CameraModel):
    """A batch of B pinhole or orthographic cameras that share an image size.

    Usually made by `look_at`, `orbit`, `orthographic`, or from the cameras of another program by
    `from_opencv`, `from_opengl`, `from_pytorch3d` or `from_blender`; `to_opencv` and so on go back. A
    point X of the world is at ``x = rotation @ X + translation`` in camera coordinates.

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
        Depth in scene units in front of which nothing is drawn; positive if perspective.

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
        fov: Values = 40.0,
        image_size: tuple[int, int],
        near: float = 0.01,
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
            Vertical field of view in degrees (the whole angle), between 0 and 180.
        image_size : (int, int)
            Height and width in pixels.
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
            A bad argument; ``eye`` equal to ``at``; ``up`` zero or parallel to the view
            direction.
        """
        values = {"eye": eye, "at": at, "up": up, "fov": fov}
        tensors = as_tensors(values, dtype, device)
        check_inside(tensors["fov"], "fov", 0.0, 180.0)
        height, width = check_image_size(image_size)
        view = view_from(tensors)
        focal = (height / 2) / torch.tan(torch.deg2rad(tensors["fov"]) / 2)
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
        image_size: tuple[int, int],
        near: float = 0.01,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Orthographic cameras at ``eye`` looking at ``at``, with square pixels.

        Parameters
        ----------
        height : scalar or (B,)
            Height of the view in scene units, positive. The width follows from the image size.
        near : float
            Depth (distance from ``eye`` along the view direction) in front of which nothing is
            drawn; may be negative.
        eye, at, up, image_size, dtype, device
            As for `look_at`, as are differentiability and errors.
        """
        tensors = as_tensors({"eye": eye, "at": at, "up": up, "height": height}, dtype, device)
        check_inside(tensors["height"], "height", 0.0, math.inf)
        rows, columns = check_image_size(image_size)
        view = view_from(tensors)
        matrices = broadcast(*view, centred_intrinsics(rows / tensors["height"], rows, columns))
        return cls(*matrices, (rows, columns), False, near)

    @classmethod
    def orbit(
        cls,
        distance: Values,
        azimuth: Values,
        elevation: Values = 0.0,
        at: Values = (0.0, 0.0, 0.0),
        *,
        fov: Values = 40.0,
        image_size: tuple[int, int],
        near: float = 0.01,
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
        fov, image_size, near, dtype, device
            As for `look_at`, as are differentiability and errors.
        """
        values = {"distance": distance, "azimuth": azimuth, "elevation": elevation}
        tensors = as_tensors({**values, "at": at, "fov": fov}, dtype, device)
        check_inside(tensors["distance"], "distance", 0.0, math.inf)
        distance, at = tensors["distance"].reshape(-1, 1), as_batch(tensors["at"], "at", 3)
        away, up = orbit_axes(tensors["azimuth"], tensors["elevation"])
        sizes = {"distance": len(distance), "azimuth and elevation": len(away), "at": len(at)}
        check_batch(sizes)
        eye = at + distance * away
        return cls.look_at(eye, at, up, fov=tensors["fov"], image_size=image_size, near=near)

    @classmethod
    def from_opencv(
        cls,
        K: Values,
        R: Values,
        t: Values,
        image_size: tuple[int, int],
        near: float = 0.01,
        *,
        pixel_center: float = 0.5,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Camera:
        """Perspective cameras from the matrices of OpenCV.

        Parameters
        ----------
        K : (3, 3) or (B, 3, 3)
            Intrinsics in pixels, ``[[fx, skew, cx], [0, fy, cy], [0, 0, 1]]``, with positive
            fx and fy. Lens distortion is not modelled: undistort the images first.
        R : (3, 3) or (B, 3, 3)
            Rotation, world to camera (a Rodrigues vector goes through ``cv2.Rodrigues``).
        t : (3,), (3, 1), (B, 3) or (B, 3, 1)
            Translation, world to camera.
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
        tensors = as_tensors({"K": K, "R": R, "t": t}, dtype, device)
        matrices = opencv.from_opencv(**tensors, pixel_center=pixel_center)
        return cls(*broadcast(*matrices), image_size, True, near)

    def to_opencv(self, *, pixel_center: float = 0.5) -> opencv.OpenCVCamera:
        """Return K, R and t as OpenCV has them, the way back from `from_opencv`. Differentiable.

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
        image_size: tuple[int, int],
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
            Depth that is mapped to 1; ``near`` is mapped to -1. Infinite only for perspective cameras.

        Raises
        ------
        ValueError
            ``far`` not greater than ``near``, or infinite for an orthographic camera; or a ``rotation``
            that is none.
        """
        return opengl.to_opengl(self, far)

    @classmethod
    def from_pytorch3d(
        cls,
        R: Values,
        T: Values,
        focal_length: Values = 1.0,
        principal_point: Values = (0.0, 0.0),
        *,
        image_size: tuple[int, int],
        in_ndc: bool = True,
        perspective: bool = True,
        near: float = 0.01,
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
        image_size, near, dtype, device
            As for `look_at`, as is differentiability; `near` may be negative if orthographic.

        Raises
        ------
        TypeError, ValueError
            A bad argument, such as an R that is no rotation (to within 1e-3) or mirrors.
        """
        values = {"R": R, "T": T, "focal_length": focal_length, "principal_point": principal_point}
        tensors = as_tensors(values, dtype, device)
        size = check_image_size(image_size)
        matrices = pytorch3d.from_pytorch3d(**tensors, image_size=size, in_ndc=in_ndc)
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
            A camera with skew, or whose ``rotation`` is none.
        """
        return pytorch3d.to_pytorch3d(self, in_ndc)

    @classmethod
    def from_blender(
        cls,
        matrix_world: Values,
        lens: Values | None = None,
        *,
        image_size: tuple[int, int],
        sensor_width: Values = 36.0,
        sensor_height: Values = 24.0,
        sensor_fit: blender.SensorFit = blender.SensorFit.AUTO,
        shift_x: Values = 0.0,
        shift_y: Values = 0.0,
        pixel_aspect_x: Values = 1.0,
        pixel_aspect_y: Values = 1.0,
        ortho_scale: Values | None = None,
        near: float = 0.01,
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
            Height and width in pixels: resolution_y and resolution_x times resolution_percentage.
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
        near : float
            Depth in front of which nothing is drawn (clip_start); positive if perspective.
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
        return cls(*broadcast(*matrices), size, "lens" in zoom, near)

    def to_blender(self, *, sensor_width: float = 36.0) -> blender.BlenderCamera:
        """Return settings of Blender, the way back from `from_blender`. Differentiable.

        ``camera.to_blender()._asdict()`` are arguments of `from_blender`. The sensor is fitted HORIZONTAL;
        the smaller pixel aspect is 1, since Blender takes none below. Also set clip_start to `near`, and
        resolution_y and resolution_x to `image_size`.

        Parameters
        ----------
        sensor_width : float
            In millimetres, positive.

        Raises
        ------
        ValueError
            A camera with skew, or whose ``rotation`` is none.
        """
        return blender.to_blender(self, sensor_width)
