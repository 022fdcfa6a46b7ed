"""Renders of random scenes: a short run here, a long one by ``make fuzz SCENES=20000``.

A failure names its seed; ``draw(seed)`` of `tests.fuzz.scenes` makes the scene again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.engine.kernels.blend_functions import TIES
from taichisoft.render import reference
from tests.fuzz import differences, exact
from tests.fuzz.scenes import FuzzScene, draw
from tests.helpers import TOLERANCES, Tolerance, compare_with_twin, normal_like, outcome

SCENES = int(os.environ.get("FUZZ_SCENES") or 2)
CHUNK = 20
# What tables promise of closed forms, and of a learned generator with wild weights: README, limitations.
TABLE, WILD_TABLE = 2e-6, 1e-4
SLOPE, WILD_SLOPE = 1e-4, 2e-2
# Relative to the length of the whole gradient, at least 1.
GRADIENT_IN_FLOAT32 = 2e-2
# Entries of images that must be left after those at kinks; corners of polygons are few.
SMOOTH = 0.5

pytestmark = [pytest.mark.parametrize("first", range(0, SCENES, CHUNK)), pytest.mark.cpu_only]


def scenes(first: int) -> Iterator[tuple[int, FuzzScene]]:
    for seed in range(first, min(first + CHUNK, SCENES)):
        yield seed, draw(seed)


def check(first: int, complaint: Callable[[int, FuzzScene], str]) -> None:
    """Assert that a chunk of scenes has no complaint, and name all that have."""
    found = {seed: (scene, complaint(seed, scene)) for seed, scene in scenes(first)}
    wrong = {seed: f"{what}\n{scene}" for seed, (scene, what) in found.items() if what}
    assert not wrong, "\n".join(f"seed {seed}: {what}" for seed, what in wrong.items())


def is_wild(renderer: ts.SoftRasterizer) -> bool:
    return isinstance(renderer.aggregation, ts.MonotoneGenerator)


def is_clear(scene: FuzzScene) -> bool:
    """Whether of no face it is left to rounding if it reaches a pixel, and of no pixel how faces weigh."""
    renderer, arguments = scene.renderer(), scene.setup.build(scene.setup.leaves)
    views = range(len(arguments[1]))
    return all(exact.render(renderer, *arguments, view).clear.all() for view in views)


def is_determined(scene: FuzzScene) -> bool:
    """Whether faces weigh what they do but for rounding: a sum that reaches 1 leaves a rounded difference."""
    renderer = scene.renderer()
    layered = isinstance(renderer.occlusion, ts.FrontToBack)
    return not layered or not exact.is_nilpotent(renderer.aggregation) or is_clear(scene)


def off(name: str, actual: Tensor, expected: np.ndarray, allowed: float) -> str:
    """Complain about a difference relative to the largest number, at least 1."""
    error = np.abs(actual.detach().double().numpy() - expected).max(initial=0)
    relative = error / max(1.0, np.abs(expected).max(initial=0))
    return "" if relative <= allowed else f"{name} is off by {relative:.1e}; "


def test_images_are_those_of_the_exact_functions(first):
    def complaint(seed: int, scene: FuzzScene) -> str:
        renderer = scene.renderer()
        arguments = scene.setup.build(scene.setup.leaves)
        image = renderer(*arguments)
        allowed = WILD_TABLE if is_wild(renderer) else TABLE
        if not (image.alpha.min() >= 0 and image.alpha.max() <= 1):
            return f"alpha is from {image.alpha.min()} to {image.alpha.max()}"
        said = ""
        for view in range(len(image.alpha)):
            known = exact.render(renderer, *arguments, view)
            clear, alpha = known.clear, known.alpha
            said += off("alpha", image.alpha[view], alpha, allowed)
            depth = image.depth[view] * torch.as_tensor(alpha)
            said += off("depth", depth[clear], (known.depth * alpha)[clear], allowed)
            said += off("color", image.color[view][clear], known.color[clear], allowed)
        return said

    check(first, complaint)


@pytest.mark.parametrize("of", [differences.of_geometry, differences.of_softness])
def test_gradients_are_differences_of_the_exact_functions(first, of):
    def complaint(seed: int, scene: FuzzScene) -> str:
        allowed = WILD_SLOPE if is_wild(scene.renderer()) else SLOPE
        attempts = []
        for step in differences.STEPS:
            attempts.append(of(scene, seed, step))
            if attempts[-1].error <= allowed and attempts[-1].smooth >= SMOOTH:
                return ""
        return str(attempts)

    check(first, complaint)


def test_engine_agrees_with_the_twin(first):
    # Ten times those of scenes that were chosen.
    tolerance = Tolerance(value=1e-12, gradient=2e-10, softness=1e-10)

    # Weights front to back are differences of numbers near 1.
    layered = replace(tolerance, value=1e-11)

    def complaint(seed: int, scene: FuzzScene) -> str:
        renderer = scene.renderer()
        if not is_determined(scene):
            return ""
        allowed = layered if isinstance(renderer.occlusion, ts.FrontToBack) else tolerance
        try:
            compare_with_twin(scene.setup, renderer, torch.float64, allowed)
        except AssertionError as error:
            return str(error)
        return ""

    check(first, complaint)


def test_engine_agrees_with_the_twin_in_float32(first):
    """Images to their last digits; gradients as a whole, since a single one may be all rounding.

    Where a pixel is about equally near to two edges, or two faces equally near to the camera, it is rounding
    which of them moves it, as the twin in float32 shows. What float32 takes as equally deep, one such face
    hides by half of a hard order: so it does in the twin in float64 that it is held against.
    """

    def complaint(seed: int, scene: FuzzScene) -> str:
        renderer = scene.renderer()

        def twin(*arguments):
            return reference.render(renderer, *arguments, tabulated=True)

        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(TIES, 64, TIES[32])
            exactly = outcome(scene.setup, renderer, torch.float64, twin)
        weight = exactly.values["alpha"]
        single = outcome(scene.setup, renderer, torch.float32, renderer, weight)
        said, allowed = "", TOLERANCES[torch.float32].value
        layered = isinstance(renderer.occlusion, ts.FrontToBack)
        if not (is_determined(scene) if layered else is_clear(scene)):
            # A coverage that float32 has not is in front of all else in float64.
            return off("alpha", single.values["alpha"], weight.numpy(), allowed)
        for name, value in exactly.values.items():
            said += off(name, single.values[name], value.numpy(), allowed)
        twin_in_float32 = outcome(scene.setup, renderer, torch.float32, twin, weight)
        for name, value in exactly.gradients.items():
            difference = float((single.gradients[name] - value).norm())
            of_twin = float((twin_in_float32.gradients[name] - value).norm())
            limit = max(GRADIENT_IN_FLOAT32 * max(float(value.norm()), 1.0), 3 * of_twin)
            # One that is not finite is not below either.
            if not difference <= limit:
                said += f"gradient of {name} is off by {difference:.1e} of {value.norm():.1e}; "
        return said

    check(first, complaint)


def test_hard_images_are_those_of_a_z_buffer(first):
    def complaint(seed: int, scene: FuzzScene) -> str:
        mesh, camera = scene.setup.build(scene.setup.leaves)
        image = ts.SoftRasterizer.hard()(mesh, camera, face_ids=True)
        said = ""
        for view in range(len(image.alpha)):
            known = exact.z_buffer(mesh, camera, view)
            seen, clear = known.face >= 0, known.clear
            if (image.face_ids[view].numpy() != known.face)[clear].any():
                said += "other faces are seen; "
            if (image.alpha[view].numpy() != seen)[clear].any():
                said += "alpha is not that of the faces seen; "
            both = seen & clear
            said += off("depth", image.depth[view][both], known.depth[both], 1e-9)
            said += off("color", image.color[view][both], known.color[both], 1e-9)
        return said

    check(first, complaint)


def test_deterministic_renders_are_equal_for_permuted_faces(first):
    def complaint(seed: int, scene: FuzzScene) -> str:
        renderer = scene.renderer()
        renderer.deterministic = True
        mesh, camera = scene.setup.build(scene.setup.leaves)
        order = torch.randperm(mesh.num_faces, generator=torch.Generator().manual_seed(seed))
        outcomes = []
        for faces in (mesh.faces, mesh.faces[order]):
            vertices = mesh.vertices.clone().requires_grad_()
            image = renderer(ts.Mesh(vertices, faces, mesh.vertex_colors), camera, normals=True)
            values = [image.alpha, image.depth, image.color, image.normals]
            generator = torch.Generator().manual_seed(seed)
            loss = sum((value * normal_like(value, generator)).sum() for value in values)
            outcomes.append([*values, *torch.autograd.grad(loss, vertices)])
        equal = [torch.equal(a, b) for a, b in zip(*outcomes, strict=True)]
        return "" if all(equal) else f"alpha, depth, color, normals, gradient are equal: {equal}"

    check(first, complaint)


@pytest.mark.parametrize("kind", TOLERANCES, ids=str)
def test_second_derivatives_are_finite(first, kind):
    def complaint(seed: int, scene: FuzzScene) -> str:
        renderer = scene.renderer()
        leaves = {k: x.to(kind).requires_grad_() for k, x in scene.setup.leaves.items()}
        wanted = [*leaves.values(), *renderer.parameters()]
        generator = torch.Generator().manual_seed(seed)
        image = renderer(*scene.setup.build(leaves))
        values = (image.alpha, image.depth, image.color)
        loss = sum((x * normal_like(x, generator).to(kind)).sum() for x in values)
        gradients = torch.autograd.grad(loss, wanted, create_graph=True, allow_unused=True)
        along = [(g * normal_like(g, generator)).sum() for g in gradients if g is not None]
        total = sum(along)
        if not total.requires_grad:
            return ""
        second = torch.autograd.grad(total, wanted, allow_unused=True)
        finite = all(bool(g.isfinite().all()) for g in (*gradients, *second) if g is not None)
        return "" if finite else "a derivative is not finite"

    check(first, complaint)
