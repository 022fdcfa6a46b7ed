"""Device functions that shade the fragments of a face in whole vectors, and their adjoint.

A worker has room for the vectors of one place, a face in a block of pixels: see `Plan`. What is computed is
that of `taichisoft.appearance.shader`.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.shading_bundles import LightNumber, Lit, Plan
from taichisoft.engine.kernels.vector_light import light_functions
from taichisoft.engine.kernels.vector_texture import texture_functions
from taichisoft.engine.kernels.vectors import vector_functions


@cache
def shading_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    texture = texture_functions(real)
    light = light_functions(real)
    vec = of.vec

    @ti.func
    def attribute(arrays: ti.template(), index, c, share0, share1, share2):
        """Return an attribute of a face at its fragments."""
        values, rows = ti.static((arrays.attributes, arrays.rows))
        return (
            share0 * of.broadcast(values[rows[3 * index] * arrays.channels + c])
            + share1 * of.broadcast(values[rows[3 * index + 1] * arrays.channels + c])
            + share2 * of.broadcast(values[rows[3 * index + 2] * arrays.channels + c])
        )

    @ti.func
    def opacity(
        image, index, share0, share1, share2, arrays: ti.template(), shading: ti.template()
    ):
        """Return the opacity of a face at its fragments: its own one, and that of its texture."""
        plan = ti.static(shading.plan)
        result = vec(1.0)
        if plan[Plan.OWN] > 0:
            result = attribute(arrays, index, arrays.channels - 1, share0, share1, share2)
        if plan[Plan.THROUGH] > 0:
            u = attribute(arrays, index, 0, share0, share1, share2)
            v = attribute(arrays, index, 1, share0, share1, share2)
            # Without other sizes of the texture it is not looked at.
            scale = attribute(arrays, index, 2 % arrays.channels, share0, share1, share2)
            level, parts, _ = texture.between(scale, plan)
            number = vec(0.0)
            for turn in range(ti.min(plan[Plan.LEVELS], 2)):
                at = texture.spot(u, v, level + turn, image, plan)
                found = texture.look_up(shading.texels, at, plan[Plan.TEXEL] - 1)
                number = number + texture.part(parts, turn) * found
            result = result * number
        return result

    @ti.func
    def prepare(
        worker, image, index, share0, share1, share2, arrays: ti.template(), shading: ti.template()
    ):
        """Write attributes and light into the room of a worker; return where it begins."""
        plan, room = ti.static((shading.plan, shading.room))
        first = worker * plan[Plan.ROOM]
        for a in range(arrays.channels):
            room[first + a] = attribute(arrays, index, a, share0, share1, share2)
        if plan[Plan.LIT] == Lit.PHONG:
            light.shine(first, first + plan[Plan.BASE], image, shading)
        return first

    @ti.func
    def mirror(c, image, shading: ti.template()):
        """Return how much of a channel of light is mirrored."""
        plan = ti.static(shading.plan)
        at = image * plan[Plan.NUMBERS_STRIDE] + LightNumber.SPECULAR + c
        return of.broadcast(shading.numbers[at])

    @ti.func
    def look_up(first, base, image, shading: ti.template()):
        """Write what the texture is at the fragments, without its opacity, to `base` in the room."""
        plan, room = ti.static((shading.plan, shading.room))
        level, parts, _ = texture.between(room[first + 2], plan)
        for c in range(plan[Plan.BASE_CHANNELS]):
            room[base + c] = vec(0.0)
        for turn in range(ti.min(plan[Plan.LEVELS], 2)):
            at = texture.spot(room[first], room[first + 1], level + turn, image, plan)
            part = texture.part(parts, turn)
            for c in range(plan[Plan.BASE_CHANNELS]):
                number = texture.look_up(shading.texels, at, c)
                room[base + c] = room[base + c] + part * number

    @ti.func
    def evaluate(
        worker, image, index, share0, share1, share2, arrays: ti.template(), shading: ti.template()
    ):
        """Write what is seen of a face at its fragments, without opacity; return where in the room it is."""
        plan, room = ti.static((shading.plan, shading.room))
        first = prepare(worker, image, index, share0, share1, share2, arrays, shading)
        base = first
        if plan[Plan.TEXTURED] > 0:
            base = first + plan[Plan.BASES]
            look_up(first, base, image, shading)
        colors = first + plan[Plan.COLORS]
        channels = plan[Plan.CHANNELS]
        for c in range(channels):
            color = room[base + ti.min(c, plan[Plan.BASE_CHANNELS] - 1)]
            if plan[Plan.LIT] > 0:
                k = ti.min(c, plan[Plan.LIGHT_CHANNELS] - 1)
                mirrored = room[first + plan[Plan.MIRRORED] + k]
                if plan[Plan.LIT] == Lit.PHONG:
                    mirrored = mirrored * mirror(k, image, shading)
                color = color * room[first + plan[Plan.DIFFUSE] + k] + mirrored
            room[colors + c] = color
        for c in range(plan[Plan.OUTPUTS] - channels):
            room[colors + channels + c] = room[first + plan[Plan.KEPT] + c]
        return colors

    @ti.func
    def into_texels(first, base, texel, image, shading: ti.template(), texels_out: ti.template()):
        """Take the gradients of the numbers of a texture to those of its coordinates and of its texels.

        The numbers are added to what is at `base`; the gradients of texels begin at `texel`.
        """
        plan, room = ti.static((shading.plan, shading.room))
        by_values = first + plan[Plan.BY_VALUES]
        by_base = first + plan[Plan.BY_BASE]
        level, parts, slope = texture.between(room[first + 2], plan)
        by_u = vec(0.0)
        by_v = vec(0.0)
        by_share = vec(0.0)
        for turn in range(ti.min(plan[Plan.LEVELS], 2)):
            at = texture.spot(room[first], room[first + 1], level + turn, image, plan)
            part = texture.part(parts, turn)
            more_u, more_v, by_part = texture.pull(
                shading.texels, at, part, base, by_base, texel, plan, room, texels_out
            )
            by_u = by_u + more_u
            by_v = by_v + more_v
            by_share = by_part - by_share
        room[by_values] = by_u
        room[by_values + 1] = by_v
        if plan[Plan.BASE] > 2:
            room[by_values + 2] = by_share * slope

    @ti.func
    def into_base(
        worker,
        first,
        image,
        by_opacity,
        arrays: ti.template(),
        shading: ti.template(),
        shading_out: ti.template(),
    ):
        """Take the gradients of the base to those of attributes, and of texels; write what the base is."""
        plan, room = ti.static((shading.plan, shading.room))
        by_values = first + plan[Plan.BY_VALUES]
        by_base = first + plan[Plan.BY_BASE]
        own = by_values + arrays.channels - 1
        if plan[Plan.TEXTURED] > 0:
            base = first + plan[Plan.BASES]
            if plan[Plan.THROUGH] > 0:
                by_through = by_opacity
                if plan[Plan.OWN] > 0:
                    by_through = by_opacity * room[first + arrays.channels - 1]
                room[by_base + plan[Plan.BASE_CHANNELS]] = by_through
            for c in range(plan[Plan.TEXEL]):
                room[base + c] = vec(0.0)
            into_texels(first, base, worker * plan[Plan.TEXELS], image, shading, shading_out.texels)
            if plan[Plan.OWN] > 0:
                by_own = by_opacity
                if plan[Plan.THROUGH] > 0:
                    by_own = by_opacity * room[base + plan[Plan.BASE_CHANNELS]]
                room[own] = by_own
        else:
            for c in range(plan[Plan.BASE]):
                room[by_values + c] = room[by_base + c]
            if plan[Plan.OWN] > 0:
                room[own] = by_opacity

    @ti.func
    def into_light(first, image, weight, upstream: ti.template(), p, shading: ti.template()):
        """Take the gradients of the colours to those of light, and of what light is made of."""
        plan, room = ti.static((shading.plan, shading.room))
        base = first
        if plan[Plan.TEXTURED] > 0:
            base = first + plan[Plan.BASES]
        by_diffuse = first + plan[Plan.BY_DIFFUSE]
        by_mirrored = first + plan[Plan.BY_MIRRORED]
        for c in range(plan[Plan.LIGHT_CHANNELS]):
            room[by_diffuse + c] = vec(0.0)
            room[by_mirrored + c] = vec(0.0)
        for c in range(plan[Plan.CHANNELS]):
            up = weight * upstream[p + c]
            k = ti.min(c, plan[Plan.LIGHT_CHANNELS] - 1)
            color = room[base + ti.min(c, plan[Plan.BASE_CHANNELS] - 1)]
            room[by_diffuse + k] = room[by_diffuse + k] + up * color
            room[by_mirrored + k] = room[by_mirrored + k] + up
        if plan[Plan.LIT] == Lit.PHONG:
            for c in range(plan[Plan.LIGHT_CHANNELS]):
                up = room[by_mirrored + c]
                k = first + plan[Plan.SUMS] + LightNumber.SPECULAR + c
                room[k] = room[k] + up * room[first + plan[Plan.MIRRORED] + c]
                room[by_mirrored + c] = up * mirror(c, image, shading)
            light.pull(first, first + plan[Plan.BASE], image, shading)
        else:
            # They are attributes: diffuse light, then what is mirrored.
            by_light = first + plan[Plan.BY_VALUES] + plan[Plan.BASE]
            for c in range(plan[Plan.LIGHT_CHANNELS]):
                room[by_light + c] = room[by_diffuse + c]
                room[by_light + plan[Plan.LIGHT_CHANNELS] + c] = room[by_mirrored + c]

    @ti.func
    def pull(
        worker,
        image,
        index,
        share0,
        share1,
        share2,
        weight,
        by_opacity,
        upstream: ti.template(),
        p,
        arrays: ti.template(),
        shading: ti.template(),
        shading_out: ti.template(),
    ):
        """Write the gradients of the attributes of a place; return where in the room they are.

        Upstream gradients of what is seen begin at `p`. Gradients of texels and of the numbers of light are
        added to those of the worker.
        """
        plan, room = ti.static((shading.plan, shading.room))
        first = prepare(worker, image, index, share0, share1, share2, arrays, shading)
        by_base = first + plan[Plan.BY_BASE]
        for c in range(plan[Plan.BASE_CHANNELS]):
            room[by_base + c] = vec(0.0)
        for c in range(plan[Plan.CHANNELS]):
            up = weight * upstream[p + c]
            if plan[Plan.LIT] > 0:
                k = ti.min(c, plan[Plan.LIGHT_CHANNELS] - 1)
                up = up * room[first + plan[Plan.DIFFUSE] + k]
            k = by_base + ti.min(c, plan[Plan.BASE_CHANNELS] - 1)
            room[k] = room[k] + up
        into_base(worker, first, image, by_opacity, arrays, shading, shading_out)
        if plan[Plan.LIT] > 0:
            into_light(first, image, weight, upstream, p, shading)
        by_values = first + plan[Plan.BY_VALUES]
        channels = plan[Plan.CHANNELS]
        for c in range(plan[Plan.OUTPUTS] - channels):
            room[by_values + plan[Plan.KEPT] + c] = weight * upstream[p + channels + c]
        return by_values

    @ti.func
    def begin(worker, shading: ti.template()):
        """Clear the sums of a band."""
        plan = ti.static(shading.plan)
        at = worker * plan[Plan.ROOM] + plan[Plan.SUMS]
        for c in range(plan[Plan.NUMBERS]):
            shading.room[at + c] = vec(0.0)

    @ti.func
    def end(worker, band, shading: ti.template(), shading_out: ti.template()):
        """Write the sums of a band."""
        plan = ti.static(shading.plan)
        at = worker * plan[Plan.ROOM] + plan[Plan.SUMS]
        for c in range(plan[Plan.NUMBERS]):
            shading_out.numbers[band * plan[Plan.NUMBERS] + c] = shading.room[at + c].sum()

    return SimpleNamespace(
        attribute=attribute,
        opacity=opacity,
        evaluate=evaluate,
        pull=pull,
        begin=begin,
        end=end,
    )
