"""Explanations: what a softness does with a scene, and what to change about it, in numbers and words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from taichisoft.diagnosis.suggest import REACHED

# From here on alpha passes on less than a thousandth of its gradient under a probabilistic sum.
SATURATED = 0.999
# A silhouette that is larger than the mesh by more than this share.
INFLATED = 0.1
# Shares of pixels from which on something is worth a word.
MANY = 0.5
# What hidden faces may add to what is seen: since surfaces blend, and through seams, which every narrow scale
# leaves some of.
BLENDED, THROUGH_SEAMS = 0.03, 0.1
# Edges of which nobody needs to hear that they are without a gradient.
FEW = 0.05


@dataclass(frozen=True)
class Faces:
    """How many faces of all images are what.

    Parameters
    ----------
    total : int
        All of them.
    drawn : int
        At least in part in front, and the bounding box of that grown by the reach overlaps the image.
    behind_near : int
        Not drawn, since no vertex is beyond the near plane.
    off_screen : int
        At least in part in front, and not drawn: beside the image, or so small that no row has a centre of
        a pixel within reach.
    below_a_pixel : int
        Drawn, with an area below one square pixel.
    culled : int
        Left out for the side that the camera sees, see `Culling`.
    beyond_lens : int
        Left out, since the lens has no image of a vertex, see `Camera.valid_radius`.
    """

    total: int
    drawn: int
    behind_near: int
    off_screen: int
    below_a_pixel: int
    culled: int = 0
    beyond_lens: int = 0


@dataclass(frozen=True)
class Against:
    """How the mesh compares with a target.

    Parameters
    ----------
    target_pixels : int
        Pixels of the target, in all images.
    covered_pixels : int
        Of these, those whose centre lies in a face.
    unreached_pixels : int
        Of these, those out of reach of every face: nothing pulls the mesh towards them.
    farthest : float
        Pixels from the farthest of the target to the nearest face; infinite if none is in front.
    scale_to_reach_all : float
        The least scale in pixels with which every pixel of the target is within reach; infinite if none is.
    excess_pixels : int
        Pixels that lie in a face and not in the target.
    stuck_pixels : int
        Of these, those with an alpha above 0.999.
    """

    target_pixels: int
    covered_pixels: int
    unreached_pixels: int
    farthest: float
    scale_to_reach_all: float
    excess_pixels: int
    stuck_pixels: int


@dataclass(frozen=True)
class Depths:
    """What the occlusion does with a scene.

    Parameters
    ----------
    gamma : float
        In scene units, at the current progress; the mean of the images.
    extent : float
        In depth, of what is drawn, in scene units; the mean of the images.
    suggested_gamma : float
        In scene units, see `suggest_gamma`.
    hidden_share : float or None
        How much of what is seen comes from faces behind the nearest that covers the pixel, that is from what
        a hard renderer does not show there; the mean of the pixels whose centre lies in a face. What the
        slope of the nearest face explains within the cut-off radius does not count as behind. None if there
        is no such pixel.
    seam_share : float or None
        With `FrontToBack`, what of that a hard order would leave: what shows past blurred edges, and through
        the seams between faces.
    stuck_edges : float or None
        Of the pixels that a face covers partly while what is visible at their centre is behind it, the share
        in which it hides all of that, so that colour and depth have no gradient: those with more than 16
        gammas in between for `DepthSoftmax`, none for `FrontToBack`. None if there is no edge in front of
        anything.
    flat_alpha : float or None
        With `FrontToBack`, of the pixels that faces reach without covering the centre, the share in which
        their coverages add up to more than what makes alpha 1, so that it has no gradient (`BoundedSum`,
        `Yager`). None if there is no such pixel.
    front_to_back : bool
        Whether the occlusion is a `FrontToBack`.
    """

    gamma: float
    extent: float
    suggested_gamma: float
    hidden_share: float | None
    seam_share: float | None
    stuck_edges: float | None
    flat_alpha: float | None
    front_to_back: bool


@dataclass(frozen=True)
class Explanation:
    """What a renderer does with a scene; ``str()`` says it in words. Made by `SoftRasterizer.explain`.

    Parameters
    ----------
    images : int
        Number of images B.
    image_size : (int, int)
        Height and width in pixels.
    scale : float
        Width of the softness in pixels at its current progress.
    reach : float
        Cut-off radius in pixels: farther outside a face has no effect.
    gradient_reach : float
        How far outside it has a gradient, in pixels; 0 for a step. Differs from `reach` for a
        straight-through softness.
    adds_up : bool
        Whether the coverages of faces are summed, rather than their maximum taken.
    suggested_scale : float or None
        In pixels, see `suggest_scale`; None if no face is in front.
    faces : Faces
        What becomes of the faces.
    fragments : int
        Pairs of a face and a pixel within its reach.
    faces_per_pixel : float
        Mean over the pixels that a face reaches; 0 if there is none.
    most_faces_per_pixel : int
        Largest number of faces that reach a pixel.
    memory : int
        Bytes of image and gradient, about; they do not depend on the fragments.
    second_order_memory : int
        Bytes of a second derivative of a silhouette, about.
    milliseconds : float or None
        Time of a silhouette forward and backward on two CPU cores, within a factor of two or so; None on
        other backends.
    inflation : float or None
        Sum of alpha over the number of pixels whose centre lies in a face, minus 1; None if there is none.
    saturated : float or None
        Share of the latter pixels with an alpha above 0.999; None if there is none.
    against : Against or None
        How the mesh compares with the target, if there is one.
    depths : Depths or None
        What the occlusion does; None if no face is in front.
    start, end : Explanation or None
        Of a softness of which anything is annealed, the same at its first and at its last step; None for a
        constant one. The rest is of its current progress; what is advised is of both ends.
    """

    images: int
    image_size: tuple[int, int]
    scale: float
    reach: float
    gradient_reach: float
    adds_up: bool
    suggested_scale: float | None
    faces: Faces
    fragments: int
    faces_per_pixel: float
    most_faces_per_pixel: int
    memory: int
    second_order_memory: int
    milliseconds: float | None
    inflation: float | None
    saturated: float | None
    against: Against | None
    depths: Depths | None = None
    start: Explanation | None = None
    end: Explanation | None = None

    @property
    def advice(self) -> tuple[str, ...]:
        """What to change, in words; empty if nothing looks wrong."""
        return advice(self)

    def __str__(self) -> str:
        height, width = self.image_size
        images = f"{self.images} image{'s' * (self.images > 1)} of {height} x {width} pixels"
        f = self.faces
        culled = f"{f.culled} culled, " if f.culled else ""
        beyond = f"{f.beyond_lens} beyond the lens, " if f.beyond_lens else ""
        lines = [
            f"{images}; softness {self.scale:.3g} px wide ({self.scale / height:.2g} of the image height), "
            f"cut off {self.reach:.3g} px outside of a face",
            f"faces: {f.total}, of these {f.drawn} drawn ({f.below_a_pixel} smaller than a pixel), "
            f"{culled}{beyond}{f.behind_near} behind the near plane, {f.off_screen} off-screen or between "
            "centres of pixels",
            f"faces that reach a pixel: {self.faces_per_pixel:.3g} in the mean, "
            f"{self.most_faces_per_pixel} at most; {self.fragments} fragments",
            f"cost: {_bytes(self.memory)} for image and gradient{self._time()}; second derivatives "
            f"{_bytes(self.second_order_memory)}",
            f"silhouette: {self._silhouette()}",
        ]
        if self.depths is not None:
            lines.append(f"depth: {self._depths(self.depths)}")
        if self.against is not None:
            lines.append(self._against(self.against))
        if self.start is not None and self.end is not None:
            lines.append(self._annealed(self.start, self.end))
        return "\n".join(lines + [f"-> {line}" for line in self.advice])

    def _time(self) -> str:
        if self.milliseconds is None:
            return ""
        return f", about {self.milliseconds:.2g} ms for a silhouette with gradient on two CPU cores"

    def _silhouette(self) -> str:
        if self.inflation is None:
            return "no pixel is covered"
        return (
            f"the sum of alpha is {1 + self.inflation:.3g} times the covered area, {self.saturated:.0%} of "
            f"which has an alpha above {SATURATED}"
        )

    def _depths(self, d: Depths) -> str:
        text = f"gamma {d.gamma:.3g} scene units"
        if d.extent:
            text += f", {d.gamma / d.extent:.2g} of the extent of {d.extent:.3g}"
        if d.hidden_share is not None:
            text += f"; {_percent(d.hidden_share)} of what is seen comes from hidden faces"
        if d.stuck_edges is not None:
            text += f"; {_percent(d.stuck_edges)} of edges in front of something have no gradient"
        if d.flat_alpha:
            text += f"; alpha has none in {_percent(d.flat_alpha)} of the pixels around faces"
        return text

    def _against(self, a: Against) -> str:
        return (
            f"target: {a.target_pixels} pixels, {a.covered_pixels} covered, {a.unreached_pixels} out of "
            f"reach, the farthest {a.farthest:.3g} px away; {a.excess_pixels} pixels covered too much, "
            f"{a.stuck_pixels} of them with alpha above {SATURATED}"
        )

    def _annealed(self, start: Explanation, end: Explanation) -> str:
        text = f"annealed from {start.scale:.3g} to {end.scale:.3g} px"
        if start.scale == end.scale:
            text = f"annealed, {start.scale:.3g} px wide at both ends"
        if start.against is not None:
            text += f"; at the start {start.against.unreached_pixels} pixels of the target are out of reach"
        if end.inflation is not None:
            text += (
                f"; at the end the sum of alpha is {1 + end.inflation:.3g} times the covered area"
            )
        return text


def advice(e: Explanation) -> tuple[str, ...]:
    """Return what to change, in words; empty if nothing looks wrong.

    A tenth of a target may be out of reach: see `taichisoft.diagnosis.suggest`. An annealed softness is to
    reach the target at its start, and to show the mesh as it is at its end.
    """
    start, end = e.start or e, e.end or e
    rules = (
        *(_drawn(e), _step(start), _inflated(end)),
        *(_hidden(end), _stuck(end), _flat(end)),
        _target(start, annealed=e.start is not None),
    )
    return tuple(line for rule in rules for line in rule)


def _drawn(e: Explanation) -> Iterator[str]:
    if not e.faces.drawn and e.faces.culled:
        yield (
            f"no face is drawn, and {e.faces.culled} of {e.faces.total} are left out for the side that they "
            "show: set renderer.culling to ts.Culling.NONE, or turn their windings"
        )
    elif not e.faces.drawn and e.faces.beyond_lens:
        yield (
            f"no face is drawn, and {e.faces.beyond_lens} of {e.faces.total} have a vertex that the lens has "
            "no image of: use smaller faces, move the camera back, or look at camera.distortion"
        )
    elif not e.faces.drawn:
        nearer = ", or lower camera.near" if e.faces.behind_near else ""
        yield f"no face is drawn: move the mesh or the camera{nearer}"
    elif e.faces.behind_near:
        yield (
            f"{e.faces.behind_near} faces are wholly behind the near plane and not drawn (one that crosses "
            "it is cut there): move the camera back, or lower camera.near"
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


def _hidden(e: Explanation) -> Iterator[str]:
    d = e.depths
    if d is None or d.hidden_share is None:
        return
    said = f"{_percent(d.hidden_share)} of what is seen comes from hidden faces"
    seams = d.seam_share or 0.0
    if d.hidden_share - seams > BLENDED and d.gamma > d.suggested_gamma:
        smaller = f"{d.suggested_gamma:.2g}"
        kind = f"ts.FrontToBack(gamma={smaller})" if d.front_to_back else f"gamma={smaller}"
        yield (
            f"{said}, since gamma is wider than the gaps between surfaces: try {kind}, as "
            "ts.suggest_gamma says"
        )
    if seams > THROUGH_SEAMS:
        yield (
            f"{said}, {_percent(seams)} through the seams between faces and past blurred edges: try a "
            "narrower scale, or ts.Frank(1e4) or ts.BoundedSum() as aggregation"
        )


def _stuck(e: Explanation) -> Iterator[str]:
    d = e.depths
    if d is not None and d.stuck_edges is not None and d.stuck_edges > FEW and e.gradient_reach:
        yield (
            f"at {_percent(d.stuck_edges)} of edges in front of something colour and depth have no gradient, "
            "and the object in front is as wide as its cut-off: what is behind is farther than the occlusion "
            "reaches; try ts.FrontToBack()"
        )


def _flat(e: Explanation) -> Iterator[str]:
    d = e.depths
    if d is not None and d.flat_alpha is not None and d.flat_alpha > FEW:
        yield (
            f"alpha has no gradient in {_percent(d.flat_alpha)} of the pixels around faces, since coverages "
            "add up to more than 1: try a narrower scale, or ts.Frank(1e4), which has one everywhere"
        )


def _target(e: Explanation, *, annealed: bool) -> Iterator[str]:
    a = e.against
    if a is None or not e.faces.drawn:
        return
    reached = a.unreached_pixels <= math.ceil((1 - REACHED) * a.target_pixels)
    if not reached and e.gradient_reach:
        wide = _up(a.scale_to_reach_all)
        yield (
            f"{a.unreached_pixels} of {a.target_pixels} pixels of the target are out of every face's reach "
            f"and have no gradient: a scale of at least {wide} px reaches all; start with one, annealed "
            f"(ts.ExponentialAnnealing({wide}, {e.suggested_scale:.2g})), or elsewhere (ts.multi_start)"
        )
    if annealed and reached:
        return
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


def _percent(share: float) -> str:
    # A hundred has three digits.
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def _up(number: float) -> str:
    """Return a number with two digits, rounded up."""
    rounded = float(f"{number:.2g}")
    return f"{rounded if rounded >= number else float(f'{number * 1.05:.2g}'):.3g}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"
