"""Pictures to aim at: words and simple shapes in random colours, drawn by matplotlib."""

from __future__ import annotations

import math
from pathlib import Path as File

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, IdentityTransform
from torch import Tensor

from tasks.base import Split

# Pixels that are drawn, and then averaged, for each pixel of the picture, along each axis.
OVERSAMPLING = 4
LARGEST_COUNT = 3
# Largest and smallest share of the frame that an only word or shape spans; with more, each is smaller.
SPANS = (0.6, 0.95)
WORD_TURN = math.radians(25)
# Colours are the most different ones of this many random ones.
COLOR_CANDIDATES = 6

# By its file, so that no other font of that name on the machine is taken.
FONT = FontProperties(fname=File(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf"))

WORDS = {
    Split.TRAIN: (
        "A", "B", "R", "S", "2", "7", "AND", "BOX", "CAR", "EDGE", "Fog", "GO", "Hi", "MAP", "RED", "Sun",
        "TEN", "UP", "key", "yes",
    ),
    Split.HELD_OUT: (
        "E", "G", "K", "Q", "4", "9", "ARC", "DOT", "Fly", "HOME", "ICE", "Jet", "LOW", "NO", "OK", "PEN",
        "SKY", "We", "Zoo", "far",
    ),
}  # fmt: skip


def _bar(width: float) -> Path:
    return Path.unit_rectangle().transformed(Affine2D().translate(-0.5, -0.5).scale(2, 2 * width))


def _ring(hole: float) -> Path:
    """Return a disc with a hole: the inner circle runs the other way round."""
    circle = Path.unit_circle()
    return Path.make_compound_path(circle, circle.transformed(Affine2D().scale(-hole, hole)))


def _cross(width: float) -> Path:
    half = [(1, width), (width, width), (width, 1), (-width, 1), (-width, width), (-1, width)]
    corners = np.array(half + [(-x, -y) for x, y in half] + half[:1])
    return Path(corners, closed=True)


# Outlines that are about as large as the unit circle.
SHAPES = {
    Split.TRAIN: {
        "disc": Path.unit_circle(),
        "triangle": Path.unit_regular_polygon(3),
        "square": Path.unit_regular_polygon(4),
        "star": Path.unit_regular_star(5, 0.45),
        "bar": _bar(0.3),
    },
    Split.HELD_OUT: {
        "ring": _ring(0.5),
        "hexagon": Path.unit_regular_polygon(6),
        "burst": Path.unit_regular_star(8, 0.6),
        "cross": _cross(0.35),
        "wedge": Path.wedge(0, 230),
    },
}


def draw_picture(image_size: tuple[int, int], split: Split, generator: torch.Generator) -> Tensor:
    """Return a random picture, (H, W, 3) float64 in [0, 1], row 0 at the top.

    One to three words or shapes of the split, each in another colour, on a coloured background. The
    splits have no word and no kind of shape in common. Equal states of the generator give equal pictures.
    """
    height, width = image_size
    count = 1 + _pick(LARGEST_COUNT, generator)
    colors = _colors(count + 1, generator)
    frame = np.array([width, height]) * OVERSAMPLING
    outlines = []
    for _ in range(count):
        draw = _word if _pick(2, generator) else _shape
        outlines.append(_placed(draw(split, generator), frame, count, generator))
    drawn = _paint(outlines, colors, frame)
    blocks = drawn.reshape(height, OVERSAMPLING, width, OVERSAMPLING, 3)
    return torch.from_numpy(blocks.mean((1, 3)))


def _word(split: Split, generator: torch.Generator) -> Path:
    words = WORDS[split]
    path = TextPath((0, 0), words[_pick(len(words), generator)], size=1, prop=FONT)
    return path.transformed(Affine2D().rotate(WORD_TURN * _uniform(-1, 1, generator)))


def _shape(split: Split, generator: torch.Generator) -> Path:
    shapes = list(SHAPES[split].values())
    path = shapes[_pick(len(shapes), generator)]
    return path.transformed(Affine2D().rotate(math.pi * _uniform(-1, 1, generator)))


def _placed(path: Path, frame: np.ndarray, count: int, generator: torch.Generator) -> Path:
    """Return the outline scaled to a random share of the frame, anywhere within it."""
    box = path.get_extents()
    share = _uniform(*SPANS, generator) / math.sqrt(count)
    scale = share * (frame / box.size).min()
    free = frame - scale * box.size
    corner = free * [_uniform(0, 1, generator), _uniform(0, 1, generator)]
    return path.transformed(Affine2D().translate(-box.x0, -box.y0).scale(scale).translate(*corner))


def _paint(outlines: list[Path], colors: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return the filled outlines on the first colour, (4 H, 4 W, 3), the later ones on top."""
    # One pixel is one inch, so that the size of the canvas is exact.
    figure = Figure(tuple(frame), 1, facecolor=colors[0], linewidth=0, layout="none")
    canvas = FigureCanvasAgg(figure)
    for path, color in zip(outlines, colors[1:], strict=True):
        patch = PathPatch(path, facecolor=color, edgecolor="none", linewidth=0)
        patch.set_transform(IdentityTransform())
        figure.add_artist(patch)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def _colors(count: int, generator: torch.Generator) -> np.ndarray:
    """Return random colours that differ, (count, 3)."""
    colors = torch.rand(1, 3, generator=generator, dtype=torch.float64)
    while len(colors) < count:
        some = torch.rand(COLOR_CANDIDATES, 3, generator=generator, dtype=torch.float64)
        farthest = torch.cdist(some, colors).amin(1).argmax()
        colors = torch.cat([colors, some[farthest][None]])
    return colors.numpy()


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
