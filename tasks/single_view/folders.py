"""Own objects: a folder with images and cameras of each, as NeRF's programs or 3D-R2N2 leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from taichisoft import Camera, Mesh, Views, load_image, load_mesh, load_nerf_cameras
from taichisoft.cameras.model import joined
from taichisoft.files.images import image_size_of
from tasks.base import Split
from tasks.single_view.photographs import Photographs, Subject
from tasks.single_view.settings import DataSettings
from tasks.single_view.shapenet import METADATA, RADIUS, load_shapenet_cameras

TRANSFORMS = "transforms.json"
HELD_OUT_LIST = "held_out.txt"
# Without a list every so many objects are kept for testing.
EVERY = 5
MASK = "_mask.png"
MESHES = ("mesh.obj", "mesh.ply", "mesh.glb", "mesh.off", "mesh.stl", "model.obj")


def load_folder(settings: DataSettings, split: Split) -> Photographs:
    """Return the photographs of a split of a folder of objects.

    An object is a folder, at any depth, with

    - ``transforms.json`` and the images that it names, see `taichisoft.load_nerf_cameras`, or
    - ``rendering/rendering_metadata.txt`` and ``rendering/00.png`` and so on, see
    `tasks.single_view.shapenet`.

    Images have an opacity, or a mask beside them, ``photo_mask.png`` of ``photo.png``, whose first channel is
    white where the object is. They are made square and as large as the settings say, and the cameras with
    them. A mesh beside the cameras, ``mesh.obj`` (or PLY, GLB, OFF, STL) or ``model.obj``, is the true shape,
    which results are measured by. The names in ``held_out.txt``, paths relative to the folder with one on
    each line, are the objects to test on; without that file every fifth object is. The first folder of a path
    is the category.

    Raises
    ------
    FileNotFoundError
        A folder or a file is missing, which the message names.
    ValueError
        No objects, a file that is wrong, an image without opacity and mask, or a name in the list that is no
        object.
    """
    root = Path(settings.folder or "")
    found = find_objects(root)
    held_out = _held_out(root, list(found))
    chosen = [n for n in found if (n in held_out) == (split is Split.HELD_OUT)]
    if not chosen:
        raise ValueError(
            f"folder must have {split.value} objects, got none of {len(found)} in {root}"
        )
    return Photographs([load_object(root, found[name], settings) for name in chosen])


def find_objects(root: Path) -> dict[str, Path]:
    """Return the files of cameras by the name of the object, which is its path in the folder.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ValueError
        There are no objects in it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"folder must be an existing folder, got {root}")
    found = {path.parent: path for path in root.rglob(TRANSFORMS)}
    found |= {path.parent.parent: path for path in root.rglob(f"rendering/{METADATA}")}
    named = {path.relative_to(root).as_posix(): file for path, file in found.items()}
    if not named:
        raise ValueError(
            f"folder must have objects with {TRANSFORMS} or rendering/{METADATA}, got none in {root}"
        )
    return dict(sorted(named.items()))


def load_object(root: Path, cameras: Path, settings: DataSettings) -> Subject:
    """Return an object with its images, in units in which its radius is 1."""
    is_shapenet = cameras.name == METADATA
    folder = cameras.parent.parent if is_shapenet else cameras.parent
    if is_shapenet:
        views = load_shapenet_cameras(cameras, image_size_of(cameras.parent / "00.png"))
    else:
        views = load_nerf_cameras(cameras)
    radius = settings.radius or (RADIUS if is_shapenet else 1.0)
    size = (settings.image_size, settings.image_size)
    name = folder.relative_to(root)
    mesh = next((folder / file for file in MESHES if (folder / file).is_file()), None)
    return Subject(
        name.as_posix(),
        name.parts[0] if len(name.parts) > 1 else "all",
        torch.stack(_images(views, cameras.parent, size)),
        _scaled(joined([camera.resize(size) for camera in views.cameras]), radius),
        None if mesh is None else _scaled_mesh(load_mesh(mesh, materials=False), radius),
    )


def load_picture(path: Path | str, size: tuple[int, int]) -> Tensor:
    """Return an image as photographs are kept, (H, W, 4) uint8: colours multiplied by the opacity, of a size.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        It is opaque everywhere, and there is no mask beside it; or the mask has another size.
    """
    path = Path(path)
    image = load_image(path)
    if image.shape[-1] == 3:
        image = torch.cat([image, _mask(path, image)], -1)
    alpha = image[..., 3:]
    pictures = torch.cat([image[..., :3] * alpha, alpha], -1).permute(2, 0, 1)[None]
    small = interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)[0]
    return (small.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)


def _images(views: Views, folder: Path, size: tuple[int, int]) -> list[Tensor]:
    found = []
    for name, camera in zip(views.names, views.cameras, strict=True):
        path = folder / name
        # The paths of NeRF's synthetic scenes have no suffix.
        if not path.is_file() and path.with_name(path.name + ".png").is_file():
            path = path.with_name(path.name + ".png")
        if not path.is_file():
            raise FileNotFoundError(
                f"an image that the cameras of {folder} name is missing: {path}"
            )
        if image_size_of(path) != camera.image_size:
            raise ValueError(
                f"{path} must have the size that its camera says, {camera.image_size}, "
                f"got {image_size_of(path)}"
            )
        found.append(load_picture(path, size))
    return found


def _mask(path: Path, image: Tensor) -> Tensor:
    mask = path.with_name(path.stem + MASK)
    if not mask.is_file():
        raise ValueError(
            f"{path} must have an opacity (PNG with alpha), or a mask {mask.name} beside it, got neither"
        )
    found = load_image(mask)[..., :1]
    if found.shape[:2] != image.shape[:2]:
        raise ValueError(
            f"{mask} must have the size of {path.name}, {tuple(image.shape[:2])}, got "
            f"{tuple(found.shape[:2])}"
        )
    return found


def _scaled(camera: Camera, radius: float) -> Camera:
    return replace(camera, translation=camera.translation / radius, near=camera.near / radius)


def _scaled_mesh(mesh: Mesh, radius: float) -> Mesh:
    return Mesh(mesh.vertices / radius, mesh.faces)


def _held_out(root: Path, names: Sequence[str]) -> set[str]:
    """Return the names of the objects to test on."""
    file = root / HELD_OUT_LIST
    if not file.is_file():
        return set(names[EVERY - 1 :: EVERY])
    listed = {line.strip() for line in file.read_text(encoding="utf-8").splitlines()} - {""}
    unknown = sorted(listed - set(names))
    if unknown:
        raise ValueError(f"{file} must name objects of the folder, got {unknown[0]!r}")
    return listed
