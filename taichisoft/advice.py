"""What to change about a softness, given what it does to a scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from taichisoft.suggest import REACHED

if TYPE_CHECKING:
    from taichisoft.explain import Explanation

# A silhouette that is larger than the mesh by more than this share.
INFLATED = 0.1
# Shares of pixels from which on something is worth a word.
MANY = 0.5


def advice(e: Explanation) -> tuple[str, ...]:
    """Return what to change, in words; empty if nothing looks wrong.

    A tenth of a target may be out of reach: see `taichisoft.suggest`.
    """
    return tuple(line for rule in (_drawn, _step, _inflated, _target) for line in rule(e))


def _drawn(e: Explanation) -> Iterator[str]:
    if not e.faces.drawn:
        yield "no face is drawn: move the mesh or the camera, or lower camera.near"
    elif e.faces.behind_near:
        yield (
            f"{e.faces.behind_near} faces have a vertex behind the near plane and are left out whole: move "
            "the camera back, or lower camera.near"
        )
    if e.faces.below_a_pixel > MANY * e.faces.drawn > 0:
        yield (
            f"{e.faces.below_a_pixel} of {e.faces.drawn} faces are smaller than a pixel: a coarser mesh or a "
            "larger image shows the same for less, or more"
        )


def _step(e: Explanation) -> Iterator[str]:
    if e.faces.drawn and not e.gradient_reach and e.suggested_scale is not None:
        yield (
            "no gradient of the coverage reaches outside of a face: take one with a tail outside, as "
            f"ts.Gaussian({e.suggested_scale:.2g})"
        )


def _inflated(e: Explanation) -> Iterator[str]:
    if e.inflation is None or e.inflation <= INFLATED:
        return
    cause = (
        f"coverages of {e.faces_per_pixel:.3g} faces add up at a pixel"
        if e.adds_up
        else "it is wide"
    )
    narrower = e.suggested_scale is not None and e.suggested_scale < e.scale
    ways = [f"a scale of {e.suggested_scale:.2g} px"] if narrower else []
    ways += ["ts.Max() as aggregation"] if e.adds_up else []
    yield (
        f"alpha adds up to {e.inflation:.0%} more than the mesh covers, since {cause}: try, at least at "
        f"the end, {' or '.join(ways) or 'a narrower scale'}"
    )


def _target(e: Explanation) -> Iterator[str]:
    a = e.against
    if a is None or not e.faces.drawn:
        return
    if a.unreached_pixels > (1 - REACHED) * a.target_pixels and e.gradient_reach:
        wide = _up(a.scale_to_reach_all)
        yield (
            f"{a.unreached_pixels} of {a.target_pixels} pixels of the target are out of every face's reach "
            f"and have no gradient: a scale of at least {wide} px reaches all; start with one, annealed "
            f"(ts.ExponentialAnnealing({wide}, {e.suggested_scale:.2g})), or elsewhere (ts.multi_start)"
        )
    if a.stuck_pixels > MANY * a.excess_pixels:
        yield (
            f"{a.stuck_pixels} of {a.excess_pixels} pixels that are covered too much have an alpha of "
            "nearly 1, hence hardly a gradient: they are left from the border inwards"
        )
    if a.covered_pixels < MANY * a.target_pixels:
        yield (
            f"the mesh covers {a.covered_pixels} of {a.target_pixels} pixels of the target; elsewhere a "
            "colour loss moves vertices through alpha alone: give it a silhouette loss as well"
        )


def _up(number: float) -> str:
    """Return a number with two digits, rounded up."""
    shown = float(f"{number:.2g}")
    return f"{shown if shown >= number else float(f'{number * 1.05:.2g}'):.3g}"
