"""Device functions of the fragments of a pixel: sort them by depth, and what is in front of each of them."""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.arithmetic import greater
from taichisoft.engine.kernels.layer_bundles import COVERED, DEPTH, GENERATED, TOLERANCE
from taichisoft.engine.kernels.layer_tables import ORDER, PART, table_functions


@cache
def layer_functions(real):
    """Return a namespace of device functions for the float type `real`."""
    table = table_functions(real)
    # Of a fragment and another one that may be in front of it. What the other one amounts to there; whether
    # it counts wholly, and whether they are equally deep; the order, its slope and its argument; the coverage
    # of the other one, and the slope of the amount by its part; where the tables were read.
    Pair = ti.types.struct(
        amount=real,
        wholly=ti.i32,
        tie=ti.i32,
        share=real,
        share_slope=real,
        u=real,
        cover=real,
        part_slope=real,
        order_cell=ti.i32,
        order_t=real,
        part_cell=ti.i32,
        part_t=real,
    )
    # What the fragments of a pixel share: the width of the order, the difference of depths above which no two
    # of them are equally deep, the order of equal depths and its slope, two tables.
    Setting = ti.types.struct(
        gamma=real,
        apart=real,
        at_tie=real,
        slope_at_tie=real,
        order=table.Piece,
        part=table.Piece,
    )
    # A fragment.
    Seen = ti.types.struct(fragment=ti.i32, depth=real, tolerance=real)
    # What is in front of a fragment: the sum or maximum of the amounts, and who has the maximum; the first
    # fragment of the order that need not count wholly, and sum or maximum of those before it.
    Front = ti.types.struct(total=real, winner=ti.i32, first=ti.i32, before=real, leader=ti.i32)

    @ti.func
    def earlier(layers: ti.template(), a, b):
        """Whether a fragment comes before another one: by depth, of equal ones by number."""
        za = layers.values[layers.planes * a + DEPTH]
        zb = layers.values[layers.planes * b + DEPTH]
        return ti.select(za < zb, 1, ti.select(za == zb, ti.select(a < b, 1, 0), 0))

    @ti.func
    def sort(layers: ti.template(), first, last):
        """Sort the fragments of a pixel: Shell's sort, which is insertion for a few."""
        order = ti.static(layers.order)
        gap = 1
        while gap < (last - first) // 8:
            gap = 3 * gap + 1
        while gap > 0:
            for i in range(first + gap, last):
                moved = order[i]
                at = i
                moving = 1
                while moving == 1:
                    moving = 0
                    if at - gap >= first:
                        other = order[at - gap]
                        if earlier(layers, moved, other) == 1:
                            order[at] = other
                            at -= gap
                            moving = 1
                order[at] = moved
            gap = gap // 3

    @ti.func
    def least_apart(layers: ti.template(), first, last):
        """Return the difference of depths above which no two fragments of a pixel are equally deep."""
        most = real(0.0)
        for k in range(first, last):
            most = greater(most, layers.values[layers.planes * layers.order[k] + TOLERANCE])
        return most

    @ti.func
    def setting(layers: ti.template(), model: ti.template(), image, first, last):
        """Return what the fragments of a pixel share."""
        apart = least_apart(layers, first, last)
        order = table.begin(ORDER, model.tables)
        part = table.begin(PART, model.tables)
        return Setting(model.gammas[image], apart, model.at_tie[0], model.at_tie[1], order, part)

    @ti.func
    def pair(
        layers: ti.template(),
        model: ti.template(),
        shared: ti.template(),
        seen: ti.template(),
        other,
    ):
        """Compare a fragment with another one."""
        values = ti.static(layers.values)
        at = layers.planes * other
        difference = seen.depth - values[at + DEPTH]
        found = Pair(amount=real(0.0))
        tie = ti.abs(difference) <= greater(seen.tolerance, values[at + TOLERANCE])
        found.tie = ti.select(tie, 1, 0)
        found.u = ti.select(tie, real(0.0), difference) / shared.gamma
        share, slope, cell, t = table.look_up(found.u, shared.order, model.tables)
        at_tie = shared.at_tie
        if ti.static(model.by_index):
            at_tie = ti.select(other < seen.fragment, real(1.0), real(0.0))
        found.share = ti.select(tie, at_tie, share)
        found.share_slope = ti.select(tie, shared.slope_at_tie, slope)
        found.order_cell = cell
        found.order_t = t
        found.cover = values[at + COVERED]
        part = found.share * found.cover
        found.amount = part
        found.part_slope = real(1.0)
        if ti.static(not model.takes_max):
            amount, part_slope, part_cell, part_t = table.look_up(
                part - 1, shared.part, model.tables
            )
            found.amount = amount
            found.part_slope = part_slope
            found.part_cell = part_cell
            found.part_t = part_t
        found.wholly = ti.select(found.u >= model.high, 1 - found.tie, 0)
        found.amount = ti.select(found.wholly == 1, values[at + GENERATED], found.amount)
        return found

    @ti.func
    def start(first):
        """Return what is in front of the first fragment of a pixel, before it is looked at."""
        return Front(real(0.0), -1, first, real(0.0), -1)

    @ti.func
    def takes_lead(amount, f, best, winner):
        """Whether an amount is the first of the largest ones."""
        return ti.select(
            winner < 0,
            1,
            ti.select(amount > best, 1, ti.select(amount == best, ti.select(f < winner, 1, 0), 0)),
        )

    @ti.func
    def view(layers: ti.template(), f):
        """Take a fragment to look for what is in front of it."""
        at = layers.planes * f
        return Seen(f, layers.values[at + DEPTH], layers.values[at + TOLERANCE])

    @ti.func
    def in_reach(
        layers: ti.template(),
        model: ti.template(),
        shared: ti.template(),
        seen: ti.template(),
        other,
    ):
        """Whether a fragment that is farther may still be in front for a part."""
        difference = seen.depth - layers.values[layers.planes * other + DEPTH]
        near = ti.select(difference < -shared.apart, 0, 1)
        return ti.select(difference < model.low * shared.gamma, near, 1)

    @ti.func
    def pass_by(
        layers: ti.template(),
        model: ti.template(),
        shared: ti.template(),
        seen: ti.template(),
        k,
        front: ti.template(),
    ):
        """Count what is farther in front of fragment k of the order than the width of the order."""
        values, planes = ti.static((layers.values, layers.planes))
        counting = 1
        while counting == 1:
            counting = 0
            if front.first < k:
                other = layers.order[front.first]
                difference = seen.depth - values[planes * other + DEPTH]
                farther = ti.select(difference > shared.apart, 1, 0)
                if ti.select(difference / shared.gamma >= model.high, farther, 0) == 1:
                    amount = values[planes * other + GENERATED]
                    if ti.static(not model.takes_max):
                        front.before += amount
                    elif takes_lead(amount, other, front.before, front.leader) == 1:
                        front.before = amount
                        front.leader = other
                    front.first += 1
                    counting = 1

    @ti.func
    def look(
        layers: ti.template(),
        model: ti.template(),
        shared: ti.template(),
        seen: ti.template(),
        last,
        k,
        front: ti.template(),
    ):
        """Find what is in front of fragment k of the order, given what was found for the one before it."""
        pass_by(layers, model, shared, seen, k, front)
        front.total = front.before
        front.winner = front.leader
        # Of it, what is of those that are wholly in front.
        wholly = front.before
        j = front.first
        while j < last:
            other = layers.order[j]
            if in_reach(layers, model, shared, seen, other) == 0:
                j = last
            elif j != k:
                found = pair(layers, model, shared, seen, other)
                if ti.static(not model.takes_max):
                    front.total += found.amount
                    wholly += ti.select(found.wholly == 1, found.amount, real(0.0))
                elif takes_lead(found.amount, other, front.total, front.winner) == 1:
                    front.total = found.amount
                    front.winner = other
            j += 1
            if ti.static(not model.takes_max):
                j = ti.select(wholly >= model.full, last, j)
        if ti.static(not model.takes_max):
            # Behind these nothing is seen, whatever else is in front.
            front.total = ti.select(wholly >= model.full, model.hidden, front.total)

    return SimpleNamespace(
        sort=sort,
        setting=setting,
        start=start,
        view=view,
        look=look,
        pair=pair,
        in_reach=in_reach,
        takes_lead=takes_lead,
    )
