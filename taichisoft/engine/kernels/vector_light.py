"""Device functions of Phong's model of light, in whole vectors, and their adjoint.

What is computed is that of `taichisoft.appearance.lights`, at a block of pixels.
"""

from functools import cache
from types import SimpleNamespace

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.shading_bundles import Kind, LightNumber, Noted, Plan
from taichisoft.engine.kernels.vectors import vector_functions
from taichisoft.geometry.vectors import NOISE


@cache
def light_functions(real):
    """Return the device functions for the float type `real`."""
    of = vector_functions(real)
    vec, greater = of.vec, of.greater
    noise = NOISE * (2.0**-23 if real is ti.f32 else 2.0**-52)
    # Unit vectors and 1 / what they have been divided by, 0 for none.
    Direction = ti.types.struct(x=vec, y=vec, z=vec, inverse=vec)
    # Where a light is seen from a point; n.l if positive, r.v to the shininess, and what these come from.
    Answer = ti.types.struct(lit=vec, power=vec, cosine=vec, along=vec, log=vec, seen=vec)
    Sums = ti.types.struct(x=vec, y=vec, z=vec)

    @ti.func
    def size(v):
        return greater(v, 0.0 - v)

    @ti.func
    def direction(x, y, z, shortest):
        """Return vectors made unit length; zero where no entry is larger than `shortest`."""
        largest = greater(size(x), greater(size(y), size(z)))
        present = largest > of.broadcast(shortest)
        inverse = 1.0 / ti.select(present, largest, vec(1.0))
        inverse = ti.select(present, inverse, vec(0.0))
        x = x * inverse
        y = y * inverse
        z = z * inverse
        squared = x * x + y * y + z * z
        scale = 1.0 / ti.sqrt(ti.select(present, squared, vec(1.0)))
        result = Direction()
        result.x = x * scale
        result.y = y * scale
        result.z = z * scale
        result.inverse = inverse * scale
        return result

    @ti.func
    def dot(a: ti.template(), b: ti.template()):
        return a.x * b.x + a.y * b.y + a.z * b.z

    @ti.func
    def across(by: ti.template(), a: ti.template()):
        """Return the gradient of vectors, given that of their directions `a`."""
        along = dot(by, a)
        result = Sums()
        result.x = (by.x - a.x * along) * a.inverse
        result.y = (by.y - a.y * along) * a.inverse
        result.z = (by.z - a.z * along) * a.inverse
        return result

    @ti.func
    def towards(numbers: ti.template(), at, differs, room: ti.template(), position):
        """Return the directions to what has its place at `at`, or its one direction unless they differ."""
        result = Direction()
        x = of.broadcast(numbers[at])
        y = of.broadcast(numbers[at + 1])
        z = of.broadcast(numbers[at + 2])
        if differs > 0:
            result = direction(
                x - room[position], y - room[position + 1], z - room[position + 2], real(0.0)
            )
        else:
            result.x = x
            result.y = y
            result.z = z
        return result

    @ti.func
    def normal_at(room: ti.template(), normal):
        return direction(room[normal], room[normal + 1], room[normal + 2], real(noise))

    @ti.func
    def note(room: ti.template(), at, a: ti.template()):
        room[at] = a.x
        room[at + 1] = a.y
        room[at + 2] = a.z
        room[at + 3] = a.inverse

    @ti.func
    def noted(room: ti.template(), at):
        result = Direction()
        result.x = room[at]
        result.y = room[at + 1]
        result.z = room[at + 2]
        result.inverse = room[at + 3]
        return result

    @ti.func
    def note_answer(room: ti.template(), at, found: ti.template()):
        room[at + Noted.COSINE] = found.cosine
        room[at + Noted.ALONG] = found.along
        room[at + Noted.LOG] = found.log
        room[at + Noted.POWER] = found.power
        room[at + Noted.SEEN] = found.seen

    @ti.func
    def noted_answer(room: ti.template(), at):
        result = Answer()
        result.cosine = room[at + Noted.COSINE]
        result.lit = greater(result.cosine, vec(0.0))
        result.along = room[at + Noted.ALONG]
        result.log = room[at + Noted.LOG]
        result.power = room[at + Noted.POWER]
        result.seen = room[at + Noted.SEEN]
        return result

    @ti.func
    def answer(n: ti.template(), v: ti.template(), l: ti.template(), shininess, mirrors):  # noqa: E741
        """Return how much of a light is sent back and mirrored."""
        result = Answer()
        result.cosine = dot(n, l)
        result.lit = greater(result.cosine, vec(0.0))
        if mirrors > 0:
            result.along = 2.0 * result.cosine * dot(n, v) - dot(l, v)
            none = vec(0.0)
            seen = ti.select(result.along > 0.0, vec(1.0), none)
            result.seen = ti.select(result.cosine > 0.0, seen, none)
            result.log = of.log(ti.select(result.seen > 0.0, result.along, vec(1.0)))
            power, _ = of.exp_and_rest((0.0 - of.broadcast(shininess)) * result.log)
            result.power = ti.select(result.seen > 0.0, power, none)
        return result

    @ti.func
    def shine(first, position, image, shading: ti.template()):
        """Write diffuse and mirrored light, summed over the lights, into the room that begins at `first`.

        What `pull` wants to know is noted there.
        """
        plan, numbers, room = ti.static((shading.plan, shading.numbers, shading.room))
        channels = plan[Plan.LIGHT_CHANNELS]
        mirrors = plan[Plan.MIRRORS]
        start = image * plan[Plan.NUMBERS_STRIDE]
        diffuse = first + plan[Plan.DIFFUSE]
        mirrored = first + plan[Plan.MIRRORED]
        for c in range(channels):
            room[diffuse + c] = vec(0.0)
            room[mirrored + c] = vec(0.0)
        n = normal_at(room, position + 3)
        v = towards(numbers, start + LightNumber.CAMERA, plan[Plan.PERSPECTIVE], room, position)
        shininess = numbers[start + LightNumber.SHININESS]
        notes = first + plan[Plan.NOTED]
        note(room, notes + Noted.NORMAL, n)
        note(room, notes + Noted.CAMERA, v)
        for light in range(plan[Plan.LIGHTS]):
            at = start + LightNumber.SPECULAR + channels + light * (3 + channels)
            kind = plan[plan[Plan.KINDS] + light]
            if kind == Kind.AMBIENT:
                for c in range(channels):
                    color = of.broadcast(numbers[at + 3 + c])
                    room[diffuse + c] = room[diffuse + c] + color
            else:
                l = towards(numbers, at, kind - Kind.DIRECTIONAL, room, position)  # noqa: E741
                found = answer(n, v, l, shininess, mirrors)
                here = notes + Noted.LIGHTS + Noted.COUNT * light
                note(room, here, l)
                note_answer(room, here, found)
                for c in range(channels):
                    color = of.broadcast(numbers[at + 3 + c])
                    room[diffuse + c] = room[diffuse + c] + color * found.lit
                    room[mirrored + c] = room[mirrored + c] + color * found.power

    @ti.func
    def add(sums: ti.template(), by: ti.template()):
        sums.x = sums.x + by.x
        sums.y = sums.y + by.y
        sums.z = sums.z + by.z

    @ti.func
    def add_to_numbers(room: ti.template(), at, by: ti.template()):
        room[at] = room[at] + by.x
        room[at + 1] = room[at + 1] + by.y
        room[at + 2] = room[at + 2] + by.z

    @ti.func
    def pull(first, image, shading: ti.template()):
        """Take the gradients of diffuse and mirrored light to those of positions, normals and numbers.

        The light is that which `shine` has found last. They are added to the sums of the numbers, and
        written for the position and the normal.
        """
        plan, numbers, room = ti.static((shading.plan, shading.numbers, shading.room))
        channels = plan[Plan.LIGHT_CHANNELS]
        mirrors = plan[Plan.MIRRORS]
        start = image * plan[Plan.NUMBERS_STRIDE]
        by_diffuse = first + plan[Plan.BY_DIFFUSE]
        by_mirrored = first + plan[Plan.BY_MIRRORED]
        sums = first + plan[Plan.SUMS]
        notes = first + plan[Plan.NOTED]
        n = noted(room, notes + Noted.NORMAL)
        v = noted(room, notes + Noted.CAMERA)
        shininess = numbers[start + LightNumber.SHININESS]
        by_n = Sums()
        by_v = Sums()
        by_position = Sums()
        for light in range(plan[Plan.LIGHTS]):
            number = LightNumber.SPECULAR + channels + light * (3 + channels)
            at = start + number
            kind = plan[plan[Plan.KINDS] + light]
            if kind == Kind.AMBIENT:
                for c in range(channels):
                    k = sums + number + 3 + c
                    room[k] = room[k] + room[by_diffuse + c]
            else:
                here = notes + Noted.LIGHTS + Noted.COUNT * light
                l = noted(room, here)  # noqa: E741
                found = noted_answer(room, here)
                by_lit = vec(0.0)
                by_power = vec(0.0)
                for c in range(channels):
                    color = of.broadcast(numbers[at + 3 + c])
                    up = room[by_diffuse + c]
                    shone = room[by_mirrored + c]
                    by_lit = by_lit + up * color
                    by_power = by_power + shone * color
                    k = sums + number + 3 + c
                    room[k] = room[k] + up * found.lit + shone * found.power
                by_cosine = ti.select(found.cosine >= 0.0, by_lit, vec(0.0))
                by_l = Sums()
                if mirrors > 0:
                    by_log = by_power * found.power
                    k = sums + LightNumber.SHININESS
                    room[k] = room[k] + by_log * found.log
                    along = ti.select(found.seen > 0.0, found.along, vec(1.0))
                    by_along = by_log * of.broadcast(shininess) / along
                    twice = 2.0 * by_along
                    by_cosine = by_cosine + twice * dot(n, v)
                    turned = twice * found.cosine
                    by_n.x = by_n.x + turned * v.x
                    by_n.y = by_n.y + turned * v.y
                    by_n.z = by_n.z + turned * v.z
                    by_v.x = by_v.x + turned * n.x - by_along * l.x
                    by_v.y = by_v.y + turned * n.y - by_along * l.y
                    by_v.z = by_v.z + turned * n.z - by_along * l.z
                    by_l.x = 0.0 - by_along * v.x
                    by_l.y = 0.0 - by_along * v.y
                    by_l.z = 0.0 - by_along * v.z
                by_n.x = by_n.x + by_cosine * l.x
                by_n.y = by_n.y + by_cosine * l.y
                by_n.z = by_n.z + by_cosine * l.z
                by_l.x = by_l.x + by_cosine * n.x
                by_l.y = by_l.y + by_cosine * n.y
                by_l.z = by_l.z + by_cosine * n.z
                if kind == Kind.POINT:
                    moved = across(by_l, l)
                    add_to_numbers(room, sums + number, moved)
                    add(by_position, moved)
                else:
                    add_to_numbers(room, sums + number, by_l)
        if plan[Plan.PERSPECTIVE] > 0:
            moved_eye = across(by_v, v)
            add_to_numbers(room, sums + LightNumber.CAMERA, moved_eye)
            add(by_position, moved_eye)
        else:
            add_to_numbers(room, sums + LightNumber.CAMERA, by_v)
        by_normal = across(by_n, n)
        k = first + plan[Plan.BY_VALUES] + plan[Plan.BASE]
        room[k] = 0.0 - by_position.x
        room[k + 1] = 0.0 - by_position.y
        room[k + 2] = 0.0 - by_position.z
        room[k + 3] = by_normal.x
        room[k + 4] = by_normal.y
        room[k + 5] = by_normal.z

    return SimpleNamespace(shine=shine, pull=pull)
