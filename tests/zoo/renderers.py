"""A renderer of every member of the zoos, and one of each layout.

What tests of the engine take their time for is compiling kernels, and of a curve a kernel sees nothing but
its table. So what depends on how kernels are compiled is tested with one member of each layout, `LAYOUTS`;
how a table is differentiated with every member of which more than a width is learned, `LEARNED`; and the
numbers in tables with every member: in `tests/softness` without a kernel, and in renders, which are cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import taichisoft as ts
from tests.helpers import COVERAGES, learned, soft
from tests.zoo.aggregation import CASES, FAMILIES
from tests.zoo.occlusion import OCCLUSIONS

# Takes scale and gamma.
Make = Callable[..., ts.SoftRasterizer]


@dataclass(frozen=True)
class Layout:
    """What kernels are compiled for.

    Parameters
    ----------
    takes_max : bool
        Whether faces compete.
    generator, coverage, occlusion : int
        Pieces of the tables.
    slopes : int
        Pieces of the slopes of a straight-through softness, 0 for any other.
    learned : tuple of bool
        Whether the adjoint of coverage goes on into cells, and whether that of the blend does.
    """

    takes_max: bool
    generator: int
    coverage: int
    occlusion: int
    slopes: int
    learned: tuple[bool, bool]

    @classmethod
    def of(cls, renderer: ts.SoftRasterizer) -> Layout:
        """Return the layout of a renderer, which does not depend on the size of the image."""
        curves = renderer.curves(20)
        generator, coverage, occlusion = (curve.table.cells.requires_grad for curve in curves)
        return cls(
            renderer.aggregation.takes_max,
            *(curve.pieces for curve in curves),
            slopes=curves[1].slope_pieces,
            learned=(generator, coverage or occlusion),
        )


def with_coverage(name: str, aggregation: str, scale=1.4, gamma=0.3) -> ts.SoftRasterizer:
    return soft(name, aggregation, scale=scale, gamma=gamma)


def with_aggregation(name: str, scale=1.4, gamma=0.3) -> ts.SoftRasterizer:
    renderer = soft(scale=scale, gamma=gamma)
    renderer.aggregation = CASES[name].make()
    return renderer


def with_occlusion(name: str, scale=1.4, gamma=0.4) -> ts.SoftRasterizer:
    renderer = soft(scale=scale)
    renderer.occlusion = OCCLUSIONS[name](ts.Positive(gamma, learn=True))
    return renderer


def straight_through(value: str, slope: str) -> ts.SoftRasterizer:
    return soft(ts.StraightThrough(VALUES[value](), SLOPES[slope](), learned(1.3)))


def each(label: str, names: Iterable[str], make: Callable, *more: str) -> dict[str, Make]:
    return {label + name: partial(make, name, *more) for name in names}


def learns_a_shape(renderer: ts.SoftRasterizer) -> bool:
    """Whether more is learned than the width of a coverage and that of an occlusion."""
    return any(
        not name.startswith(("softness.coverage.scale", "softness.occlusion.gamma"))
        for name, _ in renderer.named_parameters()
    )


OTHERS_OF_FAMILIES = tuple(
    f"aggregation {name}_{p:g}"
    for name, family in FAMILIES.items()
    for p in (family.members[0], *family.members[2:])
)
VALUES = {"heaviside": ts.Heaviside, "logistic": lambda: ts.Logistic(0.2)}
SLOPES = {"gaussian": ts.Gaussian, "cauchy": ts.Cauchy, "mlp": ts.MLPCoverage}

EVERY: dict[str, Make] = {
    **each("", COVERAGES, with_coverage, "probabilistic"),
    **each("max ", COVERAGES, with_coverage, "max"),
    **each("aggregation ", CASES, with_aggregation),
    **each("occlusion ", OCCLUSIONS, with_occlusion),
}
STRAIGHT_THROUGH = {
    f"{value} {slope}": partial(straight_through, value, slope)
    for value in VALUES
    for slope in SLOPES
}
# One of each layout. By hand, as finding them takes seconds; `tests/zoo/test_layouts.py` finds them all.
LAYOUTS = (
    *("gaussian", "mlp", "cauchy", "spline", "moved_wigner", "mixture_with_steps"),
    *("max gaussian", "max mlp", "max cauchy"),
    *("max spline", "max moved_wigner", "max mixture_with_steps"),
    *("aggregation hamacher_0.5", "aggregation yager_1"),
    *("occlusion shifted_uniform", "occlusion mlp"),
)
# Those of which Taichi's own derivatives are compiled, which takes longest: tables of one piece and of
# several, a learned one, and each of the other curves.
FEW_LAYOUTS = (
    *("gaussian", "mlp", "mixture_with_steps", "max gaussian", "max mixture_with_steps"),
    *("aggregation hamacher_0.5", "occlusion mlp"),
)
# Of one with faces that compete it is the same table as of the coverage that faces are blended by, and the
# members of a family of T-conorms differ by a number: the one in the middle is near a limit of its formula.
LEARNED = tuple(
    name
    for name, make in EVERY.items()
    if learns_a_shape(make()) and not name.startswith(("max ", *OTHERS_OF_FAMILIES))
)
STRAIGHT_LAYOUTS = ("heaviside gaussian", "heaviside mlp", "logistic gaussian", "logistic mlp")
