"""Masks of one object in several photos, and which camera of a file belongs to which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from taichisoft.cameras.camera import Camera
from taichisoft.files.colmap import load_colmap_cameras
from taichisoft.files.images import read_image
from taichisoft.files.masks import read_mask
from taichisoft.files.nerf import load_nerf_cameras
from taichisoft.files.views import Views


def read_masks(paths: Sequence[Path]) -> Tensor:
    """Read masks of one size, (V, H, W). Raises as `read_mask` does."""
    return _of_one_size([read_mask(path) for path in paths], paths, "mask")


def read_photos(paths: Sequence[Path]) -> Tensor:
    """Read the colours of images of one size, (V, H, W, 3)."""
    images = [torch.from_numpy(read_image(path, "image")[..., :3]).float() for path in paths]
    return _of_one_size(images, paths, "image")


def cameras_of(masks: Sequence[Path], path: Path) -> Camera:
    """Return the cameras of masks, found by the names of their files without suffix.

    Parameters
    ----------
    masks : sequence of path
        One for each view.
    path : path
        A transforms.json of NeRF, or the folder of a COLMAP model.

    Raises
    ------
    FileNotFoundError, ValueError
        Not such a file, or not exactly one camera of that name.
    """
    views = load_colmap_cameras(path) if path.is_dir() else load_nerf_cameras(path)
    names = [Path(name).stem for name in views.names]
    counts = Counter(names)
    for mask in masks:
        if counts[mask.stem] != 1:
            raise ValueError(
                f"--cameras must have one photo named {mask.stem}, as the mask {mask} is, got "
                f"{counts[mask.stem]} in {path}"
            )
    chosen = [names.index(mask.stem) for mask in masks]
    return Views(
        tuple(views.cameras[k] for k in chosen), tuple(views.names[k] for k in chosen)
    ).camera()


def _of_one_size(images: list[Tensor], paths: Sequence[Path], name: str) -> Tensor:
    sizes = {tuple(image.shape[:2]) for image in images}
    if len(sizes) > 1:
        got = ", ".join(
            f"{path} of {tuple(image.shape[:2])}" for image, path in zip(images, paths, strict=True)
        )
        raise ValueError(f"{name} must be of one height and width in all views, got {got}")
    return torch.stack(images)
