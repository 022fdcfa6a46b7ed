"""Several scenes of one topology as one batch: which tensors of a scene may have a batch axis, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from taichisoft.appearance.lights import Lighting
from taichisoft.appearance.texture import Texture
from taichisoft.cameras import construction
from taichisoft.cameras.camera import Camera
from taichisoft.geometry.mesh import Mesh


class OneScene:
    """What a render is given, if that is one scene, so that several can be drawn as a batch.

    Parameters
    ----------
    given : sequence
        Arguments of `SoftRasterizer.forward` or `silhouette`.
    background : Tensor
        What is behind.
    opacity : object
        That of them which is the opacity.
    """

    def __init__(self, given: Sequence[Any], background: Tensor, opacity: Any = None):
        meshes = [x for x in given if isinstance(x, Mesh)]
        cameras = [x for x in given if isinstance(x, Camera)]
        looks = [x for x in given if isinstance(x, (Texture, Lighting))]
        rows = [x for x in given if isinstance(x, Tensor) and x is not opacity]
        shares = [opacity] if isinstance(opacity, Tensor) else []
        self.is_one = (
            len(meshes) == 1
            and all(x.batch_size == 1 for x in (*meshes, *cameras, *looks))
            and all(x.ndim == 2 or x.shape[0] == 1 for x in rows)
            and all(x.ndim < 2 or x.shape[0] == 1 for x in shares)
            and (background.ndim < 4 or background.shape[0] == 1)
        )
        for mesh in meshes:
            of_mesh = (mesh.vertices, mesh.vertex_colors, mesh.face_colors, mesh.uv)
            rows += [x for x in of_mesh if x is not None]
            shares += [x for x in (mesh.vertex_opacity, mesh.face_opacity) if x is not None]
        # Those of a camera have a batch axis, the others have one if they have three, an opacity of two. One
        # number for all cannot have one.
        self._has_axis = {id(x): x.ndim == 3 for x in rows}
        self._has_axis |= {id(x): x.ndim == 2 for x in shares if x.ndim}
        self._has_axis |= {id(part): True for camera in cameras for part in camera.parts.values()}

    def takes(self, keys: set[int]) -> bool:
        """Return whether the tensors of these ids may be those of a batch."""
        return self.is_one and keys <= self._has_axis.keys()

    def as_batch(self, key: int, stacked: Tensor) -> Tensor:
        """Return the tensors of that id of several scenes, stacked, as that of a batch."""
        return stacked.flatten(0, 1) if self._has_axis[key] else stacked


def with_one_batch(value: Any) -> Any:
    """Return a camera, of which some tensors are those of a batch, with all so; else the value."""
    if not isinstance(value, Camera):
        return value
    return value.with_parts(construction.with_one_batch(value.parts))
