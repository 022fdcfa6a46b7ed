"""The networks: an image to a coloured mesh, and an image to hypotheses of the pose of its camera."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from taichisoft import Camera, Mesh
from taichisoft.base.checks import check_tensor
from taichisoft.shapes import icosphere
from tasks.single_view.settings import NetworkSettings, ViewSettings

CHANNELS = 4
# Side of the last grid of features.
GRID = 4
# Radius of the sphere that is deformed, and the largest offset along each axis.
RADIUS, REACH = 0.5, 0.75
# Side of the image that colours are picked from, and what counts as the least opacity there.
PALETTE_SIDE, TRANSPARENT = 16, 1e-4
# Weights of the last layers are made smaller by this factor, so that a training starts with the sphere.
SMALL = 0.1
# Of the space between two hypotheses, how far each may turn: they overlap.
TURN = 0.75


class Encoder(nn.Sequential):
    """Images (B, 4, S, S) to numbers that describe them, (B, features).

    Strided convolutions halve the image until its side is about 4, and double the channels each time.
    """

    def __init__(self, settings: NetworkSettings, image_size: int):
        layers: list[nn.Module] = []
        before, channels = CHANNELS, settings.width
        for _ in range(max(1, round(math.log2(image_size / GRID)))):
            layers += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.ReLU()]
            before, channels = channels, 2 * channels
        layers += [nn.AdaptiveAvgPool2d(GRID), nn.Flatten()]
        layers += [nn.Linear(before * GRID**2, settings.features), nn.ReLU()]
        super().__init__(*layers)


class Colors(nn.Module):
    """Colours of vertices that are taken from the image: each is a mean of a few that are picked there.

    A network that tells colours as plain numbers learns the mean of those that it was shown. After Liu et al.
    2019: one layer picks a palette, each colour of it a mean of pixels of the object, another one mixes it.
    """

    def __init__(self, settings: NetworkSettings, vertices: int, image_size: int):
        super().__init__()
        self.side = min(image_size, PALETTE_SIDE)
        self.count = settings.palette
        self.picks = _small(nn.Linear(settings.features, self.count * self.side**2))
        self.mixing = _small(nn.Linear(settings.features, self.count * vertices))

    def forward(self, features: Tensor, images: Tensor) -> Tensor:
        """Return colours in [0, 1], (B, V, 3), of what was told of images (B, 4, S, S)."""
        pixels = adaptive_avg_pool2d(images, self.side).flatten(2)
        opacity = pixels[:, 3:].clamp(min=TRANSPARENT)
        picks = self.picks(features).unflatten(1, (self.count, -1)) + opacity.log()
        palette = picks.softmax(-1) @ (pixels[:, :3] / opacity).mT
        mixing = self.mixing(features).unflatten(1, (-1, self.count)).softmax(-1)
        return (mixing @ palette).clamp(0, 1)


class Reconstructor(nn.Module):
    """A coloured mesh from one image: the sphere with an offset and a colour of each vertex.

    The offset has a bound, so that no shape leaves the view: each coordinate is within 1.25.

    Parameters
    ----------
    settings : NetworkSettings
        Its size.
    image_size : int
        Side of the images in pixels.
    """

    def __init__(self, settings: NetworkSettings, image_size: int):
        super().__init__()
        sphere = icosphere(settings.subdivisions)
        self.register_buffer("sphere", RADIUS * sphere.vertices, persistent=False)
        self.register_buffer("faces", sphere.faces, persistent=False)
        self.image_size = image_size
        self.encoder = Encoder(settings, image_size)
        self.offsets = _small(nn.Linear(settings.features, 3 * sphere.num_vertices))
        self.colors = Colors(settings, sphere.num_vertices, image_size)

    def forward(self, images: Tensor) -> Mesh:
        """Return B meshes with colours of the vertices, for images as `Photographs` has them.

        Parameters
        ----------
        images : Tensor, (B, 4, S, S)
            Colours multiplied by the opacity, and the opacity, in [0, 1].

        Raises
        ------
        TypeError, ValueError
            Images of another dtype or size.
        """
        size = self.image_size
        check_tensor(images, "images", ("B", CHANNELS, size, size), dtypes=(torch.float32,))
        features = self.encoder(images)
        offsets = self.offsets(features).reshape(len(images), -1, 3)
        vertices = self.sphere + REACH * torch.tanh(offsets / REACH)
        return Mesh(vertices, self.faces, vertex_colors=self.colors(features, images))

    @torch.no_grad()
    def tell(self, picture: Tensor) -> Mesh:
        """Return the mesh, without a batch axis, of a picture of `load_picture`, (S, S, 4) uint8."""
        size = self.image_size
        check_tensor(picture, "picture", (size, size, CHANNELS), dtypes=(torch.uint8,))
        mesh = self(picture.permute(2, 0, 1)[None].float() / 255)
        return Mesh(mesh.vertices[0], mesh.faces, vertex_colors=mesh.vertex_colors[0])


class Poses(NamedTuple):
    """Hypotheses of the poses of cameras around the y axis, for B images M each.

    Attributes
    ----------
    azimuth, elevation : Tensor, (B, M)
        In degrees, as `Camera.orbit` has them.
    scores : Tensor, (B, M)
        The largest is that of the hypothesis to believe; a softmax makes them probabilities.
    """

    azimuth: Tensor
    elevation: Tensor
    scores: Tensor

    def chosen(self, hypothesis: Tensor) -> Poses:
        """Return one hypothesis of each image, (B, 1), by its index (B,)."""
        return Poses(*(value.gather(1, hypothesis[:, None]) for value in self))

    def best(self) -> Poses:
        """Return the hypothesis with the largest score of each image, (B, 1)."""
        return self.chosen(self.scores.argmax(1))

    def cameras(self, views: ViewSettings, image_size: int) -> Camera:
        """Return B M cameras, those of the first image first. Differentiable."""
        return Camera.orbit(
            views.distance,
            self.azimuth.flatten(),
            self.elevation.flatten(),
            fov=views.fov,
            image_size=(image_size, image_size),
        )


class PoseNetwork(nn.Module):
    """Hypotheses of the pose of the camera of an image.

    Their azimuths are spread evenly, and each may turn by three quarters of the space between two of them, so
    that every azimuth is in reach of one at least, and none can take the place of all. Elevations are within
    those of the rings, and a little beyond.

    Parameters
    ----------
    settings : NetworkSettings
        Its size, and the number M of hypotheses.
    views : ViewSettings
        The rings.
    image_size : int
        Side of the images in pixels.
    """

    def __init__(self, settings: NetworkSettings, views: ViewSettings, image_size: int):
        super().__init__()
        self.encoder = Encoder(settings, image_size)
        self.head = _small(nn.Linear(settings.features, 3 * settings.hypotheses))
        space = 360 / settings.hypotheses
        azimuths = torch.arange(settings.hypotheses) * space
        self.register_buffer("azimuths", azimuths, persistent=False)
        self.turn = TURN * space
        low, high = min(views.elevations), max(views.elevations)
        self.middle, self.range = (low + high) / 2, (high - low) / 2 + 5

    def forward(self, images: Tensor) -> Poses:
        """Return the hypotheses for images (B, 4, S, S)."""
        turn, rise, scores = self.head(self.encoder(images)).chunk(3, 1)
        azimuth = self.azimuths + self.turn * turn.tanh()
        elevation = self.middle + self.range * rise.tanh()
        return Poses(azimuth, elevation, scores)


def _small(layer: nn.Linear) -> nn.Linear:
    with torch.no_grad():
        layer.weight.mul_(SMALL)
        layer.bias.zero_()
    return layer
