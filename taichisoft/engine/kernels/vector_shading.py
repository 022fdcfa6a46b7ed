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
    def number_of(index, arrays: ti.template(), plan: ti.template()):
        """Return the number of the image of a face; if there is one image, any number."""
        values, rows = ti.static((arrays.attributes, arrays.rows))
        return values[rows[3 * index] * arrays.channels + plan[Plan.NUMBER]]

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
            which = texture.image_of(number_of(index, arrays, plan), plan)
            level, parts, _ = texture.between(scale, which, plan)
            opaque = vec(0.0)
            for turn in range(texture.turns(which, plan)):
                at = texture.spot(u, v, level + turn, which, image, plan)
                found = texture.look_up(shading.texels, at, plan[Plan.TEXEL] - 1)
                opaque = opaque + texture.part(parts, turn) * found
            result = result * opaque
        return result

    @ti.func
    def interpolate(
        at, index, share0, share1, share2, arrays: ti.template(), shading: ti.template()
    ):
        """Write the attributes of a face at its fragments to the room."""
        plan = ti.static(shading.plan)
        for a in range(arrays.channels):
            shading.room[at + a] = attribute(arrays, index, a, share0, share1, share2)
        if plan[Plan.NUMBER] > 0:
            # In all lanes, also in those of no fragment.
            shading.room[at + plan[Plan.NUMBER]] = of.broadcast(number_of(index, arrays, plan))

    @ti.func
    def light_at(first, values, image, shading: ti.template()):
        """Evaluate light, if it is not among the attributes; return where in the room it is."""
        plan = ti.static(shading.plan)
        result = values + plan[Plan.BASE]
        if plan[Plan.LIT] == Lit.PHONG:
            light.shine(first, values + plan[Plan.BASE], image, shading)
            result = first + plan[Plan.DIFFUSE]
        return result

    @ti.func
    def mirror(c, image, shading: ti.template()):
        """Return how much of a channel of light is mirrored; 1 if it comes so."""
        plan = ti.static(shading.plan)
        result = real(1.0)
        if plan[Plan.LIT] == Lit.PHONG:
            at = image * plan[Plan.NUMBERS_STRIDE] + LightNumber.SPECULAR + c
            result = shading.numbers[at]
        return of.broadcast(result)

    @ti.func
    def look_up(values, base, image, shading: ti.template()):
        """Write what the texture is at the fragments, without its opacity, to `base` in the room."""
        plan, room = ti.static((shading.plan, shading.room))
        which = texture.image_of(room[values + plan[Plan.NUMBER]][0], plan)
        level, parts, _ = texture.between(room[values + 2], which, plan)
        for c in range(plan[Plan.BASE_CHANNELS]):
            room[base + c] = vec(0.0)
        for turn in range(texture.turns(which, plan)):
            at = texture.spot(room[values], room[values + 1], level + turn, which, image, plan)
            part = texture.part(parts, turn)
            for c in range(plan[Plan.BASE_CHANNELS]):
                number = texture.look_up(shading.texels, at, c)
                room[base + c] = room[base + c] + part * number

    @ti.func
    def tint_at(c, values, plan: ti.template()):
        """Return where in the room is what a channel of the base is multiplied by."""
        return values + plan[Plan.TINT] + ti.min(c, plan[Plan.TINT_CHANNELS] - 1)

    @ti.func
    def tinted(values, base, shading: ti.template()):
        """Multiply what has been looked up by the colours of the face, if it has any."""
        plan, room = ti.static((shading.plan, shading.room))
        if plan[Plan.TINT_CHANNELS] > 0:
            for c in range(plan[Plan.BASE_CHANNELS]):
                room[base + c] = room[base + c] * room[tint_at(c, values, plan)]

    @ti.func
    def into_tint(values, by_values, base, by_tinted, shading: ti.template()):
        """Take the gradients of what has been multiplied to those of the colours, and multiply it.

        The gradients of what has been looked up were multiplied before, see `untinted`.
        """
        plan, room = ti.static((shading.plan, shading.room))
        if plan[Plan.TINT_CHANNELS] > 0:
            for c in range(plan[Plan.BASE_CHANNELS]):
                k = tint_at(c, by_values, plan)
                room[k] = room[k] + room[by_tinted + c] * room[base + c]
            tinted(values, base, shading)

    @ti.func
    def untinted(values, by_base, by_tinted, shading: ti.template()):
        """Take the gradients of what has been multiplied to those of what was looked up, and keep them."""
        plan, room = ti.static((shading.plan, shading.room))
        if plan[Plan.TINT_CHANNELS] > 0:
            for c in range(plan[Plan.BASE_CHANNELS]):
                room[by_tinted + c] = room[by_base + c]
                room[by_base + c] = room[by_base + c] * room[tint_at(c, values, plan)]

    @ti.func
    def color_of(c, base, lit, image, shading: ti.template()):
        """Return a channel of the colour, given where in the room base and light are."""
        plan, room = ti.static((shading.plan, shading.room))
        color = room[base + ti.min(c, plan[Plan.BASE_CHANNELS] - 1)]
        if plan[Plan.LIT] > 0:
            k = ti.min(c, plan[Plan.LIGHT_CHANNELS] - 1)
            mirrored = room[lit + plan[Plan.LIGHT_CHANNELS] + k] * mirror(k, image, shading)
            color = color * room[lit + k] + mirrored
        return color

    @ti.func
    def evaluate(
        worker, image, index, share0, share1, share2, arrays: ti.template(), shading: ti.template()
    ):
        """Write what is seen of a face at its fragments, without opacity; return where in the room it is."""
        plan, room = ti.static((shading.plan, shading.room))
        first = worker * plan[Plan.ROOM]
        interpolate(first, index, share0, share1, share2, arrays, shading)
        lit = light_at(first, first, image, shading)
        base = first
        if plan[Plan.TEXTURED] > 0:
            base = first + plan[Plan.BASES]
            look_up(first, base, image, shading)
            tinted(first, base, shading)
        colors = first + plan[Plan.COLORS]
        channels = plan[Plan.CHANNELS]
        for c in range(channels):
            room[colors + c] = color_of(c, base, lit, image, shading)
        for c in range(plan[Plan.OUTPUTS] - channels):
            room[colors + channels + c] = room[first + plan[Plan.KEPT] + c]
        return colors

    @ti.func
    def into_texture(
        worker,
        values,
        by_values,
        begin,
        end,
        image,
        shading: ti.template(),
        texels_out: ti.template(),
    ):
        """Look some numbers of a texture up, and take their gradients to its texels and its coordinates.

        The coordinates are at `values`, and their gradients are added at `by_values`.
        """
        plan, room = ti.static((shading.plan, shading.room))
        first = worker * plan[Plan.ROOM]
        base = first + plan[Plan.BASES]
        by_base = first + plan[Plan.BY_BASE]
        which = texture.image_of(room[values + plan[Plan.NUMBER]][0], plan)
        level, parts, slope = texture.between(room[values + 2], which, plan)
        for c in range(begin, end):
            room[base + c] = vec(0.0)
        by_share = vec(0.0)
        for turn in range(texture.turns(which, plan)):
            at = texture.spot(room[values], room[values + 1], level + turn, which, image, plan)
            part = texture.part(parts, turn)
            by_u = vec(0.0)
            by_v = vec(0.0)
            by_part = vec(0.0)
            for c in range(begin, end):
                up = room[by_base + c]
                upper, lower, above, below = texture.edges(shading.texels, at, c)
                number = upper + at.down * (lower - upper)
                room[base + c] = room[base + c] + part * number
                by_part = by_part + up * number
                up = up * part
                by_v = by_v + up * (lower - upper)
                by_u = by_u + up * (above + at.down * (below - above))
                if plan[Plan.INTO_TEXELS] > 0:
                    texel = worker * plan[Plan.TEXELS]
                    texture.spread(texels_out, texel, at, c, up)
            room[by_values] = room[by_values] + by_u * at.by_u
            room[by_values + 1] = room[by_values + 1] + by_v * at.by_v
            by_share = by_part - by_share
        if plan[Plan.SCALED] > 0:
            room[by_values + 2] = room[by_values + 2] + by_share * slope

    @ti.func
    def into_light(first, image, shading: ti.template()):
        """Take the gradients of light to those of what it is made of."""
        plan, room = ti.static((shading.plan, shading.room))
        channels = plan[Plan.LIGHT_CHANNELS]
        by_diffuse = first + plan[Plan.BY_DIFFUSE]
        by_mirrored = first + plan[Plan.BY_MIRRORED]
        if plan[Plan.LIT] == Lit.PHONG:
            for c in range(channels):
                up = room[by_mirrored + c]
                k = first + plan[Plan.SUMS] + LightNumber.SPECULAR + c
                room[k] = room[k] + up * room[first + plan[Plan.MIRRORED] + c]
                room[by_mirrored + c] = up * mirror(c, image, shading)
            light.pull(first, image, shading)
        else:
            # They are attributes: diffuse light, then what is mirrored.
            by_light = first + plan[Plan.BY_VALUES] + plan[Plan.BASE]
            for c in range(channels):
                room[by_light + c] = room[by_diffuse + c]
                room[by_light + channels + c] = room[by_mirrored + c]

    @ti.func
    def kept_at(place, worker, arrays: ti.template(), shading: ti.template()):
        """Return where in the room the attributes of a place are kept, and then their gradients."""
        plan = ti.static(shading.plan)
        number = place - worker * arrays.layers.capacity
        return worker * plan[Plan.ROOM] + plan[Plan.PLACES] + number * arrays.channels

    @ti.func
    def pull(
        place,
        worker,
        image,
        weight,
        upstream: ti.template(),
        arrays: ti.template(),
        shading: ti.template(),
        texels_out: ti.template(),
    ):
        """Return the upstream gradients times what is seen of a place, given its weight.

        Its attributes, which have been kept, give way to their gradients. Those of texels and of the numbers
        of light are added to those of the worker.
        """
        plan, room = ti.static((shading.plan, shading.room))
        first = worker * plan[Plan.ROOM]
        values = kept_at(place, worker, arrays, shading)
        block = worker * arrays.layers.blocks + arrays.layers.block[place]
        p = block * (3 + plan[Plan.OUTPUTS]) + 3
        channels = plan[Plan.CHANNELS]
        by_values = first + plan[Plan.BY_VALUES]
        by_base = first + plan[Plan.BY_BASE]
        by_diffuse = first + plan[Plan.BY_DIFFUSE]
        by_mirrored = first + plan[Plan.BY_MIRRORED]
        lit = light_at(first, values, image, shading)
        for a in range(arrays.channels):
            room[by_values + a] = vec(0.0)
        for c in range(plan[Plan.BASE_CHANNELS]):
            room[by_base + c] = vec(0.0)
        for c in range(channels):
            up = weight * upstream[p + c]
            if plan[Plan.LIT] > 0:
                up = up * room[lit + ti.min(c, plan[Plan.LIGHT_CHANNELS] - 1)]
            k = by_base + ti.min(c, plan[Plan.BASE_CHANNELS] - 1)
            room[k] = room[k] + up
        base = values
        if plan[Plan.TEXTURED] > 0:
            base = first + plan[Plan.BASES]
            numbers = plan[Plan.BASE_CHANNELS]
            by_tinted = first + plan[Plan.BY_TINTED]
            untinted(values, by_base, by_tinted, shading)
            into_texture(worker, values, by_values, 0, numbers, image, shading, texels_out)
            into_tint(values, by_values, base, by_tinted, shading)
        else:
            for c in range(plan[Plan.BASE]):
                room[by_values + c] = room[by_base + c]
        for c in range(plan[Plan.LIGHT_CHANNELS]):
            room[by_diffuse + c] = vec(0.0)
            room[by_mirrored + c] = vec(0.0)
        seen = vec(0.0)
        for c in range(channels):
            up = upstream[p + c]
            seen = seen + up * color_of(c, base, lit, image, shading)
            if plan[Plan.LIT] > 0:
                k = ti.min(c, plan[Plan.LIGHT_CHANNELS] - 1)
                color = room[base + ti.min(c, plan[Plan.BASE_CHANNELS] - 1)]
                room[by_diffuse + k] = room[by_diffuse + k] + weight * up * color
                room[by_mirrored + k] = room[by_mirrored + k] + weight * up
        if plan[Plan.LIT] > 0:
            into_light(first, image, shading)
        for c in range(plan[Plan.OUTPUTS] - channels):
            up = upstream[p + channels + c]
            seen = seen + up * room[values + plan[Plan.KEPT] + c]
            room[by_values + plan[Plan.KEPT] + c] = weight * up
        for a in range(arrays.channels):
            room[values + a] = room[by_values + a]
        return seen

    @ti.func
    def pull_opacity(
        place,
        worker,
        image,
        index,
        share0,
        share1,
        share2,
        by_opacity,
        arrays: ti.template(),
        shading: ti.template(),
        texels_out: ti.template(),
    ):
        """Add the gradients by the opacity of a place to those of its attributes, which are kept."""
        plan, room = ti.static((shading.plan, shading.room))
        by_values = kept_at(place, worker, arrays, shading)
        last = arrays.channels - 1
        first = worker * plan[Plan.ROOM]
        interpolate(first, index, share0, share1, share2, arrays, shading)
        by_own = by_opacity
        if plan[Plan.THROUGH] > 0:
            c = plan[Plan.BASE_CHANNELS]
            up = by_opacity
            if plan[Plan.OWN] > 0:
                up = up * room[first + last]
            room[first + plan[Plan.BY_BASE] + c] = up
            into_texture(worker, first, by_values, c, c + 1, image, shading, texels_out)
            by_own = by_own * room[first + plan[Plan.BASES] + c]
        if plan[Plan.OWN] > 0:
            room[by_values + last] = room[by_values + last] + by_own

    @ti.func
    def begin(worker, shading: ti.template()):
        """Clear the sums of a band."""
        plan = ti.static(shading.plan)
        at = worker * plan[Plan.ROOM] + plan[Plan.SUMS]
        for c in range(plan[Plan.NUMBERS]):
            shading.room[at + c] = vec(0.0)

    @ti.func
    def end(worker, first, shading: ti.template(), numbers_out: ti.template()):
        """Write the sums of a band, from `first` on."""
        plan = ti.static(shading.plan)
        at = worker * plan[Plan.ROOM] + plan[Plan.SUMS]
        for c in range(plan[Plan.NUMBERS]):
            numbers_out[first + c] = shading.room[at + c].sum()

    return SimpleNamespace(
        attribute=attribute,
        opacity=opacity,
        interpolate=interpolate,
        evaluate=evaluate,
        kept_at=kept_at,
        pull=pull,
        pull_opacity=pull_opacity,
        begin=begin,
        end=end,
    )
