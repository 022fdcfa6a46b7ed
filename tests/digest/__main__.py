"""A digest of all that is rendered: images, first and second gradients of many small scenes, in a file.

``python -m tests.digest --backend cpu --out before.npz`` writes one, and ``python -m tests.digest
--compare before.npz after.npz`` names every array in which two of them differ. So a change that should
change no number can show that it did not.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import taichisoft as ts
from tests.digest.scenes import Images, Scene, all_scenes
from tests.digest.subjects import seeded

Arrays = dict[str, np.ndarray]
Inputs = Mapping[str, Tensor]
# Backends whose kernels have float64.
WITH_FLOAT64 = ("cpu", "cuda")
# What is meaningless where nothing is covered: a ratio of rounding errors, weighted by alpha.
RATIOS = ("depth", "normals")


def random_like(value: Tensor, name: str) -> Tensor:
    """Return normal numbers that depend on a name alone, and not on what else there is."""
    generator = seeded(zlib.crc32(name.encode()))
    return torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)


def inner_product(values: Inputs) -> Tensor:
    """Contract tensors with a fixed random direction; nothing makes 0."""
    parts = [(value * random_like(value, name)).sum().double() for name, value in values.items()]
    return sum(parts, torch.zeros((), dtype=torch.float64))


def loss_of(images: Images) -> Tensor:
    """Contract all images that have a gradient with fixed random weights."""
    alpha = images["alpha"].detach()
    values = {}
    for name, image in images.items():
        if image.is_floating_point():
            weight = alpha.reshape(alpha.shape + (1,) * (image.ndim - 3)) if name in RATIOS else 1
            values[name] = image * weight
    return inner_product(values)


def gradients(of: Tensor, inputs: Inputs, **options: bool) -> dict[str, Tensor]:
    """Return the gradients with respect to the inputs that a scalar depends on, by name."""
    if not of.requires_grad:
        return {}
    found = torch.autograd.grad(of, list(inputs.values()), allow_unused=True, **options)
    return {name: g for name, g in zip(inputs, found, strict=True) if g is not None}


def second_gradients(loss: Tensor, inputs: Inputs) -> Arrays:
    """Return the gradients of the first gradients in a random direction, or why there are none."""
    try:
        first = gradients(loss, inputs, create_graph=True)
        second = gradients(inner_product(first), inputs)
    except RuntimeError as refusal:
        return {"refusal": np.array(str(refusal))}
    return named("second", second)


def named(prefix: str, tensors: Inputs) -> Arrays:
    """Return tensors as arrays, with a prefix to their names."""
    return {f"{prefix}.{name}": value.detach().cpu().numpy() for name, value in tensors.items()}


def arrays_of(scene: Scene, dtype: torch.dtype) -> Arrays:
    """Render a scene and differentiate it twice with respect to every number that made it.

    Parameters
    ----------
    scene : Scene
        What to render.
    dtype : torch.dtype
        Of the leaves and so of the kernels.

    Returns
    -------
    dict of str to ndarray
        The images, ``first.<input>`` and ``second.<input>``; ``refusal``, a text, instead of the latter
        where the library refuses. What nothing depends on is left out.
    """
    renderer = scene.renderer()
    leaves = {name: x.to(dtype).requires_grad_() for name, x in scene.subject.leaves.items()}
    images = scene.draw(renderer, scene.subject.arrange(leaves))
    inputs = {**leaves, **dict(renderer.named_parameters())}
    loss = loss_of(images)
    # Without `create_graph` first: it may take another way to the same numbers.
    first = gradients(loss, inputs, retain_graph=True)
    return named("image", images) | named("first", first) | second_gradients(loss, inputs)


def dtypes_of(scene: Scene, backend: str) -> list[torch.dtype]:
    """Return the float types that a scene is rendered in."""
    wide = scene.float64 and backend in WITH_FLOAT64
    return [torch.float32, torch.float64] if wide else [torch.float32]


def digest_of(scene: Scene, name: str, backend: str) -> Arrays:
    """Return all arrays of a scene, named ``scene/dtype/what``."""
    return {
        f"{name}/{str(dtype).removeprefix('torch.')}/{what}": array
        for dtype in dtypes_of(scene, backend)
        for what, array in arrays_of(scene, dtype).items()
    }


def hash_of(arrays: Arrays) -> str:
    """Return a short hash of names, types, shapes and bits."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def chosen(names: Iterable[str] | None) -> dict[str, Scene]:
    """Return the scenes of these names, or all.

    Raises
    ------
    ValueError
        There is no scene of that name.
    """
    scenes = all_scenes()
    unknown = sorted(set(names or ()) - scenes.keys())
    if unknown:
        raise ValueError(f"scenes must be among {', '.join(scenes)}, got {', '.join(unknown)}")
    return {name: scenes[name] for name in names} if names else scenes


def write(path: Path, backend: str, names: Iterable[str] | None) -> None:
    """Render the scenes, print a hash of each and one of all, and write all arrays."""
    everything: Arrays = {}
    scenes = chosen(names)
    for name, scene in scenes.items():
        arrays = digest_of(scene, name, backend)
        print(f"{hash_of(arrays)}  {name} ({len(arrays)} arrays)", flush=True)
        everything |= arrays
    print(f"{hash_of(everything)}  all {len(scenes)} scenes ({len(everything)} arrays)")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **everything)


@dataclass(frozen=True)
class Difference:
    """How an array differs from what it was.

    Parameters
    ----------
    name : str
        Of the array.
    what : str
        In words.
    size : float
        Largest difference, relative to the largest magnitude before, or to 1 if that is less; infinite if
        the arrays cannot be compared.
    """

    name: str
    what: str
    size: float = float("inf")


def difference(name: str, before: np.ndarray | None, after: np.ndarray | None) -> Difference | None:
    """Return how two arrays differ in any bit, or None; one NaN is like another."""
    if before is None or after is None:
        return Difference(name, f"missing {'before' if before is None else 'after'}")
    if before.shape != after.shape:
        return Difference(name, f"shape {before.shape} before, {after.shape} after")
    if before.dtype.kind == "U" or before.dtype != after.dtype:
        same = before.dtype.kind == after.dtype.kind and bool((before == after).all())
        return None if same else Difference(name, f"{before.dtype} or its text is another")
    # Numbers without axes would lose their masks.
    before, after = np.atleast_1d(before), np.atleast_1d(after)
    floating = before.dtype.kind == "f"
    alike = np.isnan(before) & np.isnan(after) if floating else np.zeros(before.shape, bool)
    bits = f"u{before.dtype.itemsize}"
    alike |= np.ascontiguousarray(before).view(bits) == np.ascontiguousarray(after).view(bits)
    if alike.all():
        return None
    size = relative(before[~alike], after[~alike], before)
    return Difference(
        name, f"{(~alike).sum()} of {alike.size} numbers, by {size:.2e} at most", size
    )


def relative(before: np.ndarray, after: np.ndarray, whole: np.ndarray) -> float:
    """Return the largest difference of numbers, relative to the largest of the whole array or to 1."""
    finite = np.abs(whole[np.isfinite(whole)].astype(np.float64))
    with np.errstate(invalid="ignore"):
        apart = np.abs(before.astype(np.float64) - after.astype(np.float64))
    return float(np.nan_to_num(apart, nan=np.inf).max()) / max(1.0, float(finite.max(initial=0)))


def compare(before: Path, after: Path, tolerance: float, names: Iterable[str] | None) -> int:
    """Print every array that differs by more than a tolerance, and the largest difference.

    Returns
    -------
    int
        1 if there is one, else 0. With the tolerance 0 a difference in any bit counts.
    """
    with np.load(before) as one, np.load(after) as other:
        old, new = dict(one), dict(other)
    keys = sorted(old.keys() | new.keys())
    keys = [key for key in keys if not names or key.split("/")[0] in set(names)]
    found = [difference(key, old.get(key), new.get(key)) for key in keys]
    differences = [entry for entry in found if entry is not None]
    bad = [entry for entry in differences if tolerance == 0 or entry.size > tolerance]
    for entry in bad:
        print(f"{entry.name}: {entry.what}")
    largest = max(differences, key=lambda entry: entry.size, default=None)
    where = f"{largest.size:.2e} ({largest.name})" if largest else "none"
    print(f"{len(bad)} of {len(keys)} arrays differ by more than {tolerance:g}; largest: {where}")
    return int(bool(bad))


def main(arguments: list[str] | None = None) -> int:
    """Write a digest, or compare two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="cpu", help="which runs the kernels")
    parser.add_argument("--scenes", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--tolerance", type=float, default=0.0, help="0: equal in every bit")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--out", type=Path, metavar="FILE.npz", help="where to write a digest")
    action.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE.npz", "AFTER.npz"))
    given = parser.parse_args(arguments)
    if given.compare:
        return compare(*given.compare, given.tolerance, given.scenes)
    # More threads would add up in another order.
    torch.set_num_threads(1)
    ts.init(given.backend)
    write(given.out, given.backend, given.scenes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
