"""Target pictures and their triangulations: what they are made of, and that they fit each other."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import torch

from tasks import Split, pictures
from tasks.pictures import SHAPES, WORDS, draw_picture
from tasks.triangulation import MARGIN, triangulate

every_split = pytest.mark.parametrize("split", Split)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def areas(mesh) -> torch.Tensor:
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return torch.linalg.det(torch.stack([b - a, c - a], 1)) / 2


def halves(height: int, width: int) -> torch.Tensor:
    """Return a picture that is red on the left and green on the right."""
    picture = torch.zeros(height, width, 3, dtype=torch.float64)
    picture[:, : width // 2, 0] = 1
    picture[:, width // 2 :, 1] = 1
    return picture


@every_split
@pytest.mark.parametrize("size", [(64, 64), (24, 32), (50, 17), (3, 1), (1, 1)])
def test_pictures_have_the_size_and_range_that_they_say(split, size):
    picture = draw_picture(size, split, seeded(0))
    assert picture.shape == (*size, 3)
    assert picture.dtype == torch.float64
    assert picture.min() >= 0
    assert picture.max() <= 1


@every_split
def test_pictures_follow_from_the_generator_alone(split):
    first = draw_picture((32, 32), split, seeded(5))
    with matplotlib.rc_context({"figure.facecolor": "red", "patch.linewidth": 9}):
        assert torch.equal(first, draw_picture((32, 32), split, seeded(5)))
    assert not torch.equal(first, draw_picture((32, 32), split, seeded(6)))


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    # Reading the backend would choose one.
    names = matplotlib.rcParams.keys() - {"backend"}
    before = {name: matplotlib.rcParams[name] for name in names}
    draw_picture((16, 16), Split.TRAIN, seeded(0))
    assert {name: matplotlib.rcParams[name] for name in names} == before


def test_splits_have_no_word_and_no_shape_in_common():
    train, held_out = Split.TRAIN, Split.HELD_OUT
    assert not {w.lower() for w in WORDS[train]} & {w.lower() for w in WORDS[held_out]}
    assert not SHAPES[train].keys() & SHAPES[held_out].keys()
    for one in SHAPES[train].values():
        for other in SHAPES[held_out].values():
            assert not np.array_equal(one.vertices, other.vertices)


@every_split
def test_every_picture_shows_something(split):
    for seed in range(20):
        picture = draw_picture((24, 24), split, seeded(seed))
        background = picture[0, 0]
        differing = ((picture - background).norm(dim=-1) > 0.2).double().mean()
        assert 0.02 < differing < 0.98


def test_pictures_are_upright_and_smooth(monkeypatch):
    monkeypatch.setitem(WORDS, Split.TRAIN, ("F",))
    monkeypatch.setattr(pictures, "_shape", pictures._word)
    monkeypatch.setattr(pictures, "LARGEST_COUNT", 1)
    monkeypatch.setattr(pictures, "WORD_TURN", 0.0)
    picture = draw_picture((40, 40), Split.TRAIN, seeded(1))
    ink = (picture - picture[0, 0]).norm(dim=-1)
    ink = ink / ink.max()
    box = ink.nonzero()
    letter = ink[box[:, 0].min() : box[:, 0].max() + 1, box[:, 1].min() : box[:, 1].max() + 1]
    height, width = letter.shape
    assert letter[: height // 2].sum() > 1.2 * letter[-(height // 2) :].sum()
    assert letter[:, : width // 2].sum() > 1.2 * letter[:, -(width // 2) :].sum()
    assert ((letter > 0.05) & (letter < 0.95)).any(), "edges must be anti-aliased"


@pytest.mark.parametrize("size", [(24, 24), (8, 100), (90, 7), (1, 1)])
@pytest.mark.parametrize("triangles", [4, 5, 40, 101])
def test_triangulations_cover_the_frame_once(size, triangles):
    mesh = triangulate(draw_picture(size, Split.TRAIN, seeded(2)), triangles, seeded(3))
    assert len(mesh.faces) == triangles - triangles % 2
    assert len(mesh.faces) == 2 * len(mesh.inner) + len(mesh.boundary) - 2
    assert len(mesh.inner) >= 1
    assert areas(mesh).min() > 0
    half = torch.tensor([size[1] / size[0], 1.0], dtype=torch.float64) / 2 + MARGIN
    torch.testing.assert_close(areas(mesh).sum(), 4 * half.prod())
    assert ((mesh.boundary.abs() - half).abs().amin(1) < 1e-12).all()
    assert (mesh.inner.abs() < half).all()
    equilateral = 3**0.5 / 4 * mesh.spacing**2
    torch.testing.assert_close(4 * half.prod() / triangles, half.new_tensor(equilateral))


def test_many_triangles():
    mesh = triangulate(draw_picture((32, 32), Split.TRAIN, seeded(0)), 700, seeded(0))
    assert len(mesh.faces) == 700
    assert areas(mesh).min() > 0


def test_triangulations_are_random():
    picture = draw_picture((24, 24), Split.TRAIN, seeded(0))
    first, again, other = (triangulate(picture, 30, seeded(s)) for s in (0, 0, 1))
    assert torch.equal(first.inner, again.inner)
    assert torch.equal(first.faces, again.faces)
    assert not torch.equal(first.inner, other.inner)


def test_vertices_lie_on_contours_and_edges_follow_them():
    picture = halves(32, 48)
    mesh = triangulate(picture, 60, seeded(0))
    on_contour = mesh.inner[:, 0].abs() <= 0.5 / 32 + 1e-12
    assert 0.3 < on_contour.double().mean() < 0.75
    colors = mesh.colors(picture)
    assert ((colors[:, 0] - 0.5).abs() > 0.4).double().mean() > 0.9, "few faces have both colours"
    assert (mesh.vertices[mesh.faces].mean(1)[colors[:, 0] > 0.9][:, 0] < 0).all(), "red is left"


def test_colors_are_means_over_the_faces():
    height, width = 10, 14
    picture = torch.rand(height, width, 3, generator=seeded(0), dtype=torch.float64)
    mesh = triangulate(picture, 12, seeded(1))
    colors = mesh.colors(picture)
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    to_face = torch.linalg.inv(torch.stack([b - a, c - a], 2))
    sums, counts = torch.zeros_like(colors), torch.zeros(len(colors))
    for i in range(2 * height):
        for j in range(2 * width):
            point = torch.tensor([(j + 0.5) / 2 - width / 2, height / 2 - (i + 0.5) / 2]) / height
            u, v = (to_face @ (point - a)[..., None])[..., 0].T
            inside = (u >= 0) & (v >= 0) & (u + v <= 1)
            assert inside.sum() == 1
            sums[inside] += picture[i // 2, j // 2]
            counts[inside] += 1
    assert (counts > 0).all()
    torch.testing.assert_close(colors, sums / counts[:, None])


def test_a_face_without_samples_has_the_mean_color():
    picture = torch.rand(2, 2, 3, generator=seeded(0), dtype=torch.float64)
    mesh = triangulate(picture, 100, seeded(0))
    colors = mesh.colors(picture)
    assert torch.isfinite(colors).all()
    unseen = (mesh.vertices[mesh.faces][..., 1] > 0.5 - 1e-9).all(1)
    plain = (colors - picture.mean((0, 1))).norm(dim=1) < 1e-12
    assert plain.any()
    assert plain[unseen].all()
