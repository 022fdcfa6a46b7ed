"""Compositing of shaded fragments: colours that a shader computes for each of them, in torch. Private.

The kernels give each fragment its depth, coverage and attributes, and then its weight; what torch does for a
fragment is the shader and a product. That is done band by band, and all but the last band again for their
derivatives: what is kept is at most one band.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise

import torch
from torch import Tensor

from taichisoft.engine.bridge import Gradients, Needed, Rendered, Tensors, flat
from taichisoft.engine.composite import LayerSums, in_order
from taichisoft.engine.compositing import Layers as SortedLayers
from taichisoft.engine.compositing import (
    Shader,
    composite_fragments,
    first_of_largest,
    fragment_values,
    weights_of,
)
from taichisoft.engine.fragments import Fragments
from taichisoft.engine.inputs import CompositeInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.kernels.layer_bundles import (
    ATTRIBUTES,
    COVERED,
    DEPTH,
    GENERATED,
    TOLERANCE,
    Band,
)
from taichisoft.engine.kernels.layer_pixels import layer_pixels
from taichisoft.engine.layers import BandLayers, LayerJob
from taichisoft.engine.recomputed import Recomputed, can_recompute
from taichisoft.engine.shaded import check_memory
from taichisoft.softness.curves import CompositeCurves

# Numbers that torch has in memory for a fragment of a band, beside those that kernels have, about a third of
# what was measured with a texture (``python -m benchmarks.appearance texture --reference-depth``).
SHADED = 32
# The inputs that weights depend on, besides the values of the fragments.
OF_WEIGHTS = ("order_cells", "at_tie", "gammas", "part_cells", "inverse_cells")


def shade_layers(
    job: RasterJob, curves: CompositeCurves, inputs: CompositeInputs, shader: Shader, opacity: bool
) -> Tensor:
    """Return what `composite_fragments` does with a shader.

    Memory is that of a band; within a transform of ``torch.func`` it grows with the number of fragments.
    """
    layers = LayerJob(job, curves, False)
    recomputed = Recomputed() if can_recompute() else None
    if recomputed is None and torch.is_grad_enabled():
        check_memory(job, curves.coverage)
    bands = _Bands(layers, inputs)
    parts: list[Tensor] = []
    done = 0
    for band, counts, is_last in _with_last(layers.bands(inputs.attributes.shape[1] + SHADED)):
        bands.evaluated(band, counts)
        shade = partial(_shaded, bands, band, inputs, shader, opacity)
        # The last one comes first in a backward.
        sums = shade() if recomputed is None or is_last else recomputed(shade)
        if band.first_row > done:
            parts.append(sums.new_zeros((band.first_row - done) * job.width, sums.shape[1]))
        parts.append(sums)
        done = band.last_row
    if not parts:
        # Zeros, with gradients that are zeros.
        return composite_fragments(job, curves, inputs, opacity=opacity, shader=shader)
    rows = job.images * job.height
    parts.append(parts[0].new_zeros((rows - done) * job.width, parts[0].shape[1]))
    return torch.cat(parts).reshape(job.images, job.height, job.width, -1)


def _with_last(bands: Iterator[tuple[Band, Tensor]]) -> Iterator[tuple[Band, Tensor, bool]]:
    """Yield bands with their counts, and whether it is the last one."""
    for one, following in pairwise(chain(bands, [None])):
        assert one is not None, "None comes last"
        yield *one, following is None


class _Bands:
    """The bands of a render, of which the one that was asked for last is in memory.

    Parameters
    ----------
    layers : LayerJob
    inputs : CompositeInputs
    """

    def __init__(self, layers: LayerJob, inputs: CompositeInputs):
        self.layers, self.arrays = layers, layers.arrays(inputs)
        self._latest: BandLayers | None = None
        # Whether the kernels have also noted what is in front of its fragments.
        self.is_composited = False

    def evaluated(self, band: Band, counts: Tensor | None = None) -> BandLayers:
        """Return a band with its fragments, evaluated and kept; their counts may be known."""
        if self._latest is None or self._latest.band != band:
            self.forget()
            counts = self.layers.counts(band) if counts is None else counts
            self._latest = self.layers.evaluated(band, counts, self.arrays, 0, kept=True)
        return self._latest

    def forget(self) -> None:
        """Have none in memory."""
        self._latest, self.is_composited = None, False


def _shaded(
    bands: _Bands, band: Band, inputs: CompositeInputs, shader: Shader, opacity: bool
) -> Tensor:
    """Return the sums of the pixels of a band, (P, 3 + C)."""
    layers, found = bands.layers, bands.evaluated(band)
    curves = layers.curves
    pixel = found.layers.pixel.long()
    image = (pixel + found.pixels.first) // found.pixels.of_image
    values = LayerValues(bands, band)(*inputs)
    colors = None
    rows = values[:, ATTRIBUTES:]
    values = values[:, :ATTRIBUTES]
    if opacity:
        colors = shader(rows, image)
        colors, opaque = colors[:, :-1], colors[:, -1]
        covered = values[:, COVERED] * opaque
        part = replace(curves.part, cells=inputs.part_cells)
        generated = covered if curves.takes_max else part(covered - 1)
        depth, tolerance = values[:, DEPTH], values[:, TOLERANCE]
        values = torch.stack([depth, covered, generated, tolerance], 1)
    weight = LayerWeights(bands, band)(values, *(getattr(inputs, name) for name in OF_WEIGHTS))
    depth, generated = values[:, DEPTH], values[:, GENERATED]
    total = _total(pixel, generated, found.pixels.count, curves.takes_max)
    if curves.coverage.slopes is None:
        # Most fragments are hidden; where the weight is zero, so are its derivatives.
        seen = torch.nonzero(weight.detach())[:, 0]
        pixel, image, weight, depth = (x[seen] for x in (pixel, image, weight, depth))
        rows = rows[seen] if colors is None else rows
        colors = colors if colors is None else colors[seen]
    if colors is None:
        colors = shader(rows, image)
    weighted = weight.unsqueeze(-1) * torch.cat(
        [torch.ones_like(depth).unsqueeze(-1), depth.unsqueeze(-1), colors], -1
    )
    sums = weighted.new_zeros(found.pixels.count, weighted.shape[1]).index_add(0, pixel, weighted)
    return torch.cat([total.unsqueeze(-1), sums], -1)


def _total(pixel: Tensor, generated: Tensor, pixels: int, takes_max: bool) -> Tensor:
    """Return the sums or maxima of the generator at pixels, (P,)."""
    if takes_max:
        winner = first_of_largest(pixel, generated.detach(), pixels)
        pixel, generated = pixel[winner], generated[winner]
    return generated.new_zeros(pixels).index_add(0, pixel, generated)


@dataclass(frozen=True, eq=False)
class LayerValues(Rendered):
    """Depth, coverage, its generator, tolerance, and attributes of the fragments of a band, (F, 4 + A).

    Parameters
    ----------
    bands : _Bands
    band : Band
    """

    bands: _Bands
    band: Band

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return what has been evaluated, given the fields of `CompositeInputs`."""
        found = self.bands.evaluated(self.band)
        return found.layers.values.view(found.num_fragments, found.layers.planes), ()

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of the fields of `CompositeInputs`; None for cells that are not asked for."""
        of, asked = CompositeInputs(*inputs), CompositeInputs(*needed)  # type: ignore[arg-type]
        into_cells = bool(asked.generator_cells or asked.cells)
        end = self.band.first_face + self.band.num_faces
        sums = LayerSums(self.bands.layers, of, into_cells, slice(self.band.first_face, end))
        found = self.bands.evaluated(self.band)
        sums.add_fragments(found, self.bands.arrays, flat(upstream))
        # A backward ends here.
        self.bands.forget()
        return in_order(sums.gradients())

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return them as a graph of torch."""
        layers, found = self.bands.layers, self.bands.evaluated(self.band)
        job, chunks = layers.job, found.chunks
        face = chunks.faces.repeat_interleave((chunks.ends - chunks.starts).long())
        pixel = found.layers.pixel + found.pixels.first
        fragments = Fragments(face.contiguous(), pixel.contiguous(), job.num_faces)
        values = fragment_values(job, layers.curves, CompositeInputs(*inputs), fragments)
        return torch.cat([torch.stack(values[:ATTRIBUTES], 1), values[ATTRIBUTES]], 1)


@dataclass(frozen=True, eq=False)
class LayerWeights(Rendered):
    """What each fragment of a band adds to alpha behind those in front of it, (F,).

    Its inputs are depth, coverage, its generator and tolerance of the fragments, (F, 4), and those in
    `OF_WEIGHTS`.

    Parameters
    ----------
    bands : _Bands
    band : Band
    """

    bands: _Bands
    band: Band

    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return the weights."""
        return self._composite(self._inputs(*inputs[1:]), self._with(inputs[0])), ()

    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradients of the inputs; None for cells that are not asked for."""
        found = self._with(inputs[0])
        of = self._inputs(*inputs[1:])
        if not self.bands.is_composited:
            self._composite(of, found)
        layers = self.bands.layers
        sums = LayerSums(layers, of, needed[1] or needed[4] or needed[5], slice(0))
        by_values = torch.zeros_like(inputs[0]).view(-1)
        sums.add_pixels(found, layers.model(of), flat(upstream), by_values, of_weights=True)
        by_values = by_values.view(-1, ATTRIBUTES)
        # There the kernel has noted something else.
        by_values[:, TOLERANCE] = 0
        by = sums.gradients()
        return by_values, *(by[name] for name in OF_WEIGHTS)

    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return them as a graph of torch."""
        found, of = self.bands.evaluated(self.band), self._inputs(*inputs[1:])
        depth, covered, generated, tolerance = inputs[0].unbind(1)
        pixel = found.layers.pixel.long()
        order = torch.argsort(pixel, stable=True)
        image = (pixel[order] + found.pixels.first) // found.pixels.of_image
        # In the order of the faces: which of them they are is not asked for.
        sorted_layers = SortedLayers(
            pixel[order],
            order,
            covered[order],
            generated[order],
            depth[order],
            tolerance[order],
            of.gammas[image],
        )
        weights = weights_of(sorted_layers, self.bands.layers.curves, of)
        return torch.zeros_like(weights).index_copy(0, order, weights)

    def _with(self, values: Tensor) -> BandLayers:
        """Return the fragments with other values."""
        found = self.bands.evaluated(self.band)
        layers = found.layers._replace(planes=ATTRIBUTES, values=flat(values))
        return replace(found, layers=layers)

    def _composite(self, inputs: CompositeInputs, found: BandLayers) -> Tensor:
        """Return the weights, and note what is in front of each fragment."""
        layers = self.bands.layers
        job = layers.job
        weights = job.zeros(found.num_fragments)
        layer_pixels(job.kernel_type).composite(
            found.pixels,
            layers.model(inputs),
            layers.launch(found.pixels.count),
            found.layers,
            job.zeros(3 * found.pixels.count),
            weights,
            1,
        )
        self.bands.is_composited = True
        return weights

    def _inputs(self, *chosen: Tensor) -> CompositeInputs:
        """Return all inputs; what weights do not depend on is that of the render."""
        inputs = CompositeInputs.of(self.bands.layers.job, self.bands.layers.curves)
        none = inputs.points.new_zeros(0, 0)
        detached = CompositeInputs(*(x.detach() for x in inputs))._replace(attributes=none)
        return detached._replace(**dict(zip(OF_WEIGHTS, chosen, strict=True)))
