"""Blending of shaded fragments: colours that a shader computes for each of them, in torch. Private."""

from __future__ import annotations

from torch import Tensor

from taichisoft.appearance.surface import Surface
from taichisoft.base.memory import check_fits
from taichisoft.engine.autodiff import shaded_sums_of_fragments
from taichisoft.engine.blend import BlendPass
from taichisoft.engine.fragments import count_fragments
from taichisoft.engine.job import RasterJob
from taichisoft.softness.curves import Curve

# Numbers that a fragment takes at the least, with and without its gradient: half of what was measured for a
# texture without light (``python -m benchmarks.appearance texture --reference-depth``), since hidden
# fragments take less.
NUMBERS = 25
GRADIENT_NUMBERS = 45


def shade_fragments(job: RasterJob, coverage: Curve, occlusion: Curve, surface: Surface) -> Tensor:
    """Return (B, H, W, 2 + C): weights, weighted depth and weighted colours summed over faces.

    Memory grows with the number of fragments, pairs of a face and a pixel within its reach.
    """
    assert surface.shader is not None, "without one the kernels do it"
    check_memory(job, coverage)
    front_face = BlendPass(job, coverage, occlusion).front_face()
    return shaded_sums_of_fragments(job, coverage, occlusion, front_face, surface.shader)


def check_memory(job: RasterJob, coverage: Curve) -> None:
    """Raise if the fragments cannot fit: see `taichisoft.base.memory`."""
    points = job.scene.points
    fragments = count_fragments(job, coverage.numbers(points))
    numbers = GRADIENT_NUMBERS if points.requires_grad else NUMBERS
    check_fits(
        fragments * numbers * points.element_size(),
        points.device,
        f"a texture or Phong shading of {fragments} pairs of a face and a pixel",
    )
