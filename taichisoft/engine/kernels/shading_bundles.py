"""Bundles of shading in whole vectors: what textures and lights a pass has, in numbers known when it runs.

One compiled kernel serves them all: a kernel for each combination would be compiled for minutes.
"""

from typing import NamedTuple

from taichisoft.engine.kernels.kernel import Constant, Floats, Ints, Vectors


class Plan:
    """Integers of a plan. What is 0 or 1 says no or yes.

    The attributes of a face are the base (colours; or u and v, if a texture has several sizes the scale of
    `taichisoft.appearance.projected_size`, of several images the number of its own, and colours that what is
    looked up is multiplied by), what light needs (nothing; diffuse and mirrored light; or position and
    normal), those that are kept as they are, and its own opacity.
    """

    # Channels of the colours; with the kept ones; columns of the base; channels that the base has.
    CHANNELS, OUTPUTS, BASE, BASE_CHANNELS = range(4)
    # Whether there is a texture; numbers of a texel; of each texture, if each image has its own, else 0.
    TEXTURED, TEXEL, TEXTURE = range(4, 7)
    # Whether there is a scale; where the number of an image is, 0 if there is one image; where the colours
    # that are multiplied are, and how many channels they have, 0 if there are none.
    SCALED, NUMBER, TINT, TINT_CHANNELS = range(7, 11)
    # Whether the last number of a texel is an opacity; whether the last attribute is one; see `Lit`.
    THROUGH, OWN, LIT = range(11, 14)
    # Channels of light; whether any is mirrored; lights; whether directions to the camera differ.
    LIGHT_CHANNELS, MIRRORS, LIGHTS, PERSPECTIVE = range(14, 18)
    # Numbers of light of an image; the same, or 0 if they are those of all images.
    NUMBERS, NUMBERS_STRIDE = range(18, 20)
    # Whether gradients of texels and of the numbers of light are asked for; numbers of all textures.
    INTO_TEXELS, INTO_NUMBERS, TEXELS = range(20, 23)
    # Vectors of a worker, and where in them is what: numbers of texels, colours, diffuse and mirrored light;
    # gradients of these, of the base once it is multiplied, of attributes, and, summed over a band, of the
    # numbers of light.
    ROOM, BASES, COLORS, DIFFUSE, MIRRORED = range(23, 28)
    BY_BASE, BY_TINTED, BY_DIFFUSE, BY_MIRRORED, BY_VALUES, SUMS = range(28, 34)
    # The first of the attributes that are kept; where in the room those of places begin.
    KEPT, PLACES = range(34, 36)
    # Where in the room is what the adjoint of light wants to know, see `Noted`.
    NOTED = 36
    # Where the kinds of the lights begin, see `Kind`, and the images, see `Image`.
    KINDS, IMAGES, COUNT = range(37, 40)


class Image:
    """Integers of an image in a plan.

    Number of its sizes, what is beyond its borders (see `Border`), and where in the plan its sizes begin:
    `SIZE` integers each, the first number of a texture of that size, its height and its width.
    """

    LEVELS, BORDER_U, BORDER_V, SIZES, COUNT = range(5)
    SIZE = 3


class Border:
    """What is beyond the border of an image."""

    REPEAT, CLAMP, MIRROR = range(3)


class Lit:
    """What light needs of the attributes."""

    NOT, GIVEN, PHONG = range(3)


class Kind:
    """Kinds of lights."""

    AMBIENT, DIRECTIONAL, POINT = range(3)


class Noted:
    """Vectors of a place: directions of the normal and to the camera; then those of each light.

    They are the direction to it, the cosine n.l, and of mirrored light r.v, its logarithm, its power, and
    where it is seen. A direction is x, y, z and 1 / its length.
    """

    NORMAL, CAMERA, LIGHTS = 0, 4, 8
    COSINE, ALONG, LOG, POWER, SEEN, COUNT = range(4, 10)


class LightNumber:
    """Numbers of light of an image: where the camera is (orthographic: the unit vector to it) and shininess.

    Then how much is mirrored, of each channel; then for each light its position or the unit vector to it, and
    its colour.
    """

    CAMERA, SHININESS, SPECULAR = 0, 3, 4


class Shading(NamedTuple):
    """What shades the fragments."""

    shaded: Constant  # whether anything does; if not, the arrays have one element
    plan: Ints  # see `Plan`
    texels: Floats  # (textures * numbers of one of all sizes)
    numbers: Floats  # (B or 1) see `LightNumber`
    room: Vectors  # (workers * room) written here


# Of passes that shade nothing.
UNSHADED = Shading(0, 0, 0, 0, 0)
