"""Device functions that look textures up bilinearly, in whole vectors, and their adjoint."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.shading_bundles import Plan
from taichisoft.engine.kernels.vectors import vector_functions


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
    def neighbours(coordinate, size, clamps):
        """Return the texels before and after a coordinate from 0 to 1, the position, and its slope."""
        inside = coordinate - ti.floor(coordinate)
        slope = of.broadcast(size)
        if clamps > 0:
            inside = of.lesser(of.greater(coordinate, vec(0.0)), vec(1.0))
            slope = ti.select(inside == coordinate, slope, vec(0.0))
        position = inside * of.broadcast(size) - 0.5
        before = ti.floor(position)
        last = of.broadcast(size - 1)
        after = before + 1.0
        beyond = ti.select(after > last, vec(0.0), after)
        one = ti.select(before < 0.0, last, before)
        if clamps > 0:
            beyond = of.lesser(after, last)
            one = of.greater(before, vec(0.0))
        # What is read is within the texture, whatever the coordinate is.
        one = of.lesser(of.greater(one, vec(0.0)), last)
        beyond = of.lesser(of.greater(beyond, vec(0.0)), last)
        return of.to_ints(one), of.to_ints(beyond), position - before, slope

    @ti.func
    def spot(u, v, image, plan: ti.template()):
        """Return where a texture is looked up."""
        sizes = plan[Plan.SIZES]
        texel = plan[Plan.TEXEL]
        start = plan[sizes] + image * plan[Plan.TEXTURE]
        height = plan[sizes + 1]
        width = plan[sizes + 2]
        clamps = plan[Plan.CLAMPS]
        left, right, across, by_u = neighbours(u, ti.cast(width, real), clamps)
        upper, lower, down, by_v = neighbours(1.0 - v, ti.cast(height, real), clamps)
        left = left * texel + start
        right = right * texel + start
        upper = upper * (width * texel)
        lower = lower * (width * texel)
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

    return SimpleNamespace(Spot=Spot, spot=spot, edges=edges, look_up=look_up, spread=spread)
