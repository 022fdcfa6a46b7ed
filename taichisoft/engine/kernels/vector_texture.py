"""Device functions that look textures up bilinearly, in whole vectors, and their adjoint."""

import math
from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.shading_bundles import Border, Image, Plan
from taichisoft.engine.kernels.vectors import vector_functions

# Levels of a scale, see `taichisoft.appearance.projected_size`, by its natural logarithm.
LEVELS_PER_E = 1.5 / math.log(2)


@cache
def texture_functions(real):
    """Return the struct and the device functions for the float type `real`."""
    of = vector_functions(real)
    vec, ints, lanes = of.vec, of.ints, of.lanes
    # The first numbers of the four texels around a point, how far it is from the left and the upper ones, and
    # how fast these change by u and v.
    Spot = ti.types.struct(
        upper_left=ints,
        upper_right=ints,
        lower_left=ints,
        lower_right=ints,
        across=vec,
        down=vec,
        by_u=vec,
        by_v=vec,
    )

    @ti.func
    def image_of(number, plan: ti.template()):
        """Return where in the plan the image of a number is; of one image, that one."""
        at = plan[Plan.IMAGES]
        if plan[Plan.NUMBER] > 0:
            # It is the same at all corners, but for rounding.
            at = at + Image.COUNT * ti.cast(number + 0.5, ti.i32)
        return at

    @ti.func
    def neighbours(coordinate, size, border):
        """Return the texels before and after a coordinate, its share of the latter, and its slope."""
        inside = coordinate - ti.floor(coordinate)
        slope = size
        if border == Border.CLAMP:
            inside = of.lesser(of.greater(coordinate, vec(0.0)), vec(1.0))
            slope = ti.select(inside == coordinate, size, vec(0.0))
        if border == Border.MIRROR:
            # From 0 to 2: there and back again.
            turned = coordinate - 2.0 * ti.floor(coordinate * 0.5)
            inside = of.lesser(turned, 2.0 - turned)
            slope = ti.select(turned > 1.0, 0.0 - size, size)
        position = inside * size - 0.5
        before = ti.floor(position)
        last = size - 1.0
        after = before + 1.0
        beyond = ti.select(after > last, vec(0.0), after)
        one = ti.select(before < 0.0, last, before)
        if border != Border.REPEAT:
            beyond = of.lesser(after, last)
            one = of.greater(before, vec(0.0))
        # What is read is within the texture, whatever the coordinate is.
        one = of.lesser(of.greater(one, vec(0.0)), last)
        beyond = of.lesser(of.greater(beyond, vec(0.0)), last)
        return of.to_ints(one), of.to_ints(beyond), position - before, slope

    @ti.func
    def spot(u, v, level, which, image, plan: ti.template()):
        """Return where a texture is looked up, in the sizes of numbers; `which` is where its image is."""
        sizes = plan[which + Image.SIZES]
        texel = plan[Plan.TEXEL]
        start = ints(0) + image * plan[Plan.TEXTURE]
        height = ints(0)
        width = ints(0)
        if plan[which + Image.LEVELS] > 1:
            for lane in ti.static(range(lanes)):
                at = sizes + Image.SIZE * level[lane]
                start[lane] = start[lane] + plan[at]
                height[lane] = plan[at + 1]
                width[lane] = plan[at + 2]
        else:
            start = start + plan[sizes]
            height = height + plan[sizes + 1]
            width = width + plan[sizes + 2]
        left, right, across, by_u = neighbours(u, of.to_reals(width), plan[which + Image.BORDER_U])
        upper, lower, down, by_v = neighbours(
            1.0 - v, of.to_reals(height), plan[which + Image.BORDER_V]
        )
        left = left * texel + start
        right = right * texel + start
        line = width * texel
        upper = upper * line
        lower = lower * line
        result = Spot()
        result.upper_left = upper + left
        result.upper_right = upper + right
        result.lower_left = lower + left
        result.lower_right = lower + right
        result.across = across
        result.down = down
        result.by_u = by_u
        result.by_v = 0.0 - by_v
        return result

    @ti.func
    def turns(which, plan: ti.template()):
        """Return in how many sizes a texture is looked up."""
        return ti.min(plan[which + Image.LEVELS], 2)

    @ti.func
    def between(scale, which, plan: ti.template()):
        """Return the finer of two sizes of a texture, the share of the next one, and its slope by the scale.

        Of a texture of one size, that one alone.
        """
        finer = ints(0)
        share = vec(0.0)
        slope = vec(0.0)
        if plan[which + Image.LEVELS] > 1:
            last = of.broadcast(ti.cast(plan[which + Image.LEVELS] - 1, real))
            scale = of.greater(scale, vec(1.0))
            level = real(LEVELS_PER_E) * of.log(scale)
            slope = real(LEVELS_PER_E) / scale
            slope = ti.select(scale > 1.0, ti.select(level > last, vec(0.0), slope), vec(0.0))
            level = of.lesser(level, last)
            before = of.lesser(ti.floor(level), last - 1.0)
            finer = of.to_ints(before)
            share = level - before
        return finer, share, slope

    @ti.func
    def part(share, turn):
        """Return the part of the finer size in the first turn, that of the next one in the second."""
        result = share
        if turn == 0:
            result = 1.0 - share
        return result

    @ti.func
    def texels_at(texels: ti.template(), index):
        result = vec(0.0)
        for lane in ti.static(range(lanes)):
            result[lane] = texels[index[lane]]
        return result

    @ti.func
    def edges(texels: ti.template(), at: ti.template(), c):
        """Return a number of the texture above and below a spot, and their slopes from left to right."""
        upper = texels_at(texels, at.upper_left + c)
        above = texels_at(texels, at.upper_right + c) - upper
        lower = texels_at(texels, at.lower_left + c)
        below = texels_at(texels, at.lower_right + c) - lower
        return upper + at.across * above, lower + at.across * below, above, below

    @ti.func
    def look_up(texels: ti.template(), at: ti.template(), c):
        """Return a number of the texture at a spot."""
        upper, lower, _, _ = edges(texels, at, c)
        return upper + at.down * (lower - upper)

    @ti.func
    def scatter(texels_out: ti.template(), index, v):
        for lane in ti.static(range(lanes)):
            k = index[lane]
            # Not `+=`, which is an atomic addition.
            texels_out[k] = texels_out[k] + v[lane]

    @ti.func
    def spread(texels_out: ti.template(), first, at: ti.template(), c, up):
        """Add the gradient of a number of the texture to the texels, which begin at `first`."""
        lower = up * at.down
        upper = up - lower
        upper_right = upper * at.across
        lower_right = lower * at.across
        scatter(texels_out, at.upper_left + (first + c), upper - upper_right)
        scatter(texels_out, at.upper_right + (first + c), upper_right)
        scatter(texels_out, at.lower_left + (first + c), lower - lower_right)
        scatter(texels_out, at.lower_right + (first + c), lower_right)

    return SimpleNamespace(
        image_of=image_of,
        spot=spot,
        turns=turns,
        between=between,
        part=part,
        edges=edges,
        look_up=look_up,
        spread=spread,
    )
