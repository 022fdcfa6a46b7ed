"""Settings of single-view reconstruction: what is learned from, by which network, with which loss."""

from __future__ import annotations

from dataclasses import dataclass, field

from taichisoft.base.checks import check_integer, check_number, check_type
from tasks.arguments import check_weight


@dataclass(frozen=True)
class ViewSettings:
    """Cameras in rings around the y axis that look at the origin.

    Parameters
    ----------
    elevations : tuple of float
        Of each ring, in degrees.
    per_ring : int
        Cameras of each ring, evenly spaced; those of one ring are half a space ahead of those of the ring
        before.
    distance : float
        From the origin, in scene units.
    fov : float
        Vertical field of view in degrees. By default the unit sphere just fits.
    """

    elevations: tuple[float, ...] = (10.0, 40.0)
    per_ring: int = 8
    distance: float = 4.0
    fov: float = 30.0

    def __post_init__(self) -> None:
        check_type(self.elevations, "elevations", tuple)
        if not self.elevations:
            raise ValueError("elevations must be of at least one ring, got none")
        for elevation in self.elevations:
            check_number(elevation, "elevations", above=-90, below=90)
        check_integer(self.per_ring, "per_ring", minimum=1)
        check_number(self.distance, "distance", above=1)
        check_number(self.fov, "fov", above=0, below=180)


@dataclass(frozen=True)
class DataSettings:
    """What to learn from, and what to test on.

    Parameters
    ----------
    folder : str, optional
        Own images, see `load_folder`. By default objects are drawn by a procedure.
    objects : int
        Procedural ones to learn from, of each category.
    held_out : int
        Procedural ones to test on, of each category. Of a folder without a list of these: every fifth.
    radius : float, optional
        Of a sphere about the origin that the objects of a folder lie in, in the units of its cameras. By
        default 1, and 0.5 for the layout of ShapeNet.
    image_size : int
        Height and width that the network sees, in pixels.
    seed : int
        Of the objects. It is one for all seeds of a training, so that these differ by nothing else.
    views : ViewSettings
        Where procedural objects are photographed from.
    """

    folder: str | None = None
    objects: int = 40
    held_out: int = 8
    radius: float | None = None
    image_size: int = 32
    seed: int = 0
    views: ViewSettings = field(default_factory=ViewSettings)

    def __post_init__(self) -> None:
        check_type(self.folder, "folder", (str, type(None)))
        check_integer(self.objects, "objects", minimum=1)
        check_integer(self.held_out, "held_out", minimum=1)
        if self.radius is not None:
            check_number(self.radius, "radius", above=0)
        check_integer(self.image_size, "image_size", minimum=8)
        check_integer(self.seed, "seed", minimum=0)


@dataclass(frozen=True)
class NetworkSettings:
    """Sizes of the network.

    Parameters
    ----------
    subdivisions : int
        Of the sphere that is deformed: 2 has 162 vertices, 3 has 642.
    width : int
        Channels of the first convolution.
    features : int
        Numbers that describe an image.
    palette : int
        Colours that are picked from an image; each vertex has a mixture of them.
    hypotheses : int
        Poses that the network tells for an image, if it has to.
    """

    subdivisions: int = 2
    width: int = 32
    features: int = 256
    palette: int = 8
    hypotheses: int = 6

    def __post_init__(self) -> None:
        check_integer(self.subdivisions, "subdivisions", minimum=0)
        check_integer(self.width, "width", minimum=1)
        check_integer(self.features, "features", minimum=1)
        check_integer(self.palette, "palette", minimum=1)
        check_integer(self.hypotheses, "hypotheses", minimum=1)


@dataclass(frozen=True)
class LossSettings:
    """Weights of the loss beside one minus the IoU of the silhouettes, whose weight is 1.

    Parameters
    ----------
    color : float
        Of the mean absolute difference of the colours.
    color_every : int
        Colours, which take longer than silhouettes, are compared in every so many steps.
    laplacian, flatten : float
        Of the sum over the vertices of squared Laplacians, and of the sum over the edges of one minus the
        cosine of the folding angle.
    scores : float
        Of the cross entropy between the scores of hypotheses and which of them is the best.
    """

    color: float = 2.0
    color_every: int = 2
    laplacian: float = 0.005
    flatten: float = 0.0005
    scores: float = 0.1

    def __post_init__(self) -> None:
        for name in ("color", "laplacian", "flatten", "scores"):
            check_weight(getattr(self, name), name)
        check_integer(self.color_every, "color_every", minimum=1)


@dataclass(frozen=True)
class Settings:
    """All that a training depends on but its seed and its renderer.

    Parameters
    ----------
    data, network, loss
        Their settings.
    known_poses : bool
        Whether the cameras of the images may be used. If not, the network tells them, too.
    steps : int
        Of Adam.
    batch : int
        Objects of each step, with two views each.
    learning_rate : float
        At the start; it goes down to a tenth on a cosine.
    """

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    known_poses: bool = True
    steps: int = 1500
    batch: int = 16
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_type(self.known_poses, "known_poses", bool)
        check_integer(self.steps, "steps", minimum=1)
        check_integer(self.batch, "batch", minimum=1)
        check_number(self.learning_rate, "learning_rate", above=0)


def quick(*, known_poses: bool = True, steps: int = 30) -> Settings:
    """Return settings for a look at the parts: they learn little."""
    return Settings(
        DataSettings(objects=2, held_out=1, image_size=16, views=ViewSettings(per_ring=3)),
        NetworkSettings(subdivisions=1, width=8, features=32, hypotheses=3),
        known_poses=known_poses,
        steps=steps,
        batch=4,
    )
