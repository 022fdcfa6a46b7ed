"""The record of a fit: its numbers, its curve and its film."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import taichisoft as ts


def bowl(p) -> torch.Tensor:
    return (p["x"] - 3).square().sum(-1)


def run(start=None, **options) -> ts.Fit:
    start = torch.zeros(2, dtype=torch.float64) if start is None else start
    return ts.fit(bowl, {"x": start}, 7, learning_rate=0.5, progress=False, **options)


def picture(parameters) -> torch.Tensor:
    """Return a bar as high as the first number says."""
    rows = torch.arange(8)[:, None] / 8
    return (rows < parameters["x"].flatten()[0] / 4).double().expand(8, 6)


def test_numbers():
    history = run(snapshot_every=3).history
    assert history.loss.shape == history.best.shape == history.seconds.shape == (8,)
    assert float(history.loss[0]) == 18.0
    assert torch.equal(history.judged, history.loss)
    assert bool((history.seconds.diff() >= 0).all())
    assert bool(history.taken.all())
    # The gradient is 2 (x - 3), so its norm is twice the root of the loss before the step.
    norms = history.gradient_norms["x"]
    assert torch.allclose(norms, 2 * history.loss[:-1].sqrt())
    assert [snapshot.step for snapshot in history.snapshots] == [0, 3, 6, 7]
    for snapshot in history.snapshots:
        assert torch.allclose(bowl(snapshot.parameters), history.loss[snapshot.step])


def test_no_steps_and_no_snapshots():
    found = ts.fit(bowl, {"x": torch.zeros(2)}, 0, progress=False)
    assert found.history.loss.shape == (1,)
    assert found.history.taken.shape == (0,)
    assert found.history.snapshots == ()
    assert float(found.loss) == 18.0


def test_plot():
    found = run(torch.zeros(3, 2, dtype=torch.float64) + torch.tensor([[0.0], [1.0], [2.0]]))
    figure = found.history.plot()
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert len(axes.lines) == 6
    drawn = np.stack([line.get_ydata() for line in axes.lines])
    np.testing.assert_allclose(drawn[:3].T, found.history.loss.numpy())
    np.testing.assert_allclose(drawn[3:].T, found.history.best.numpy())
    # On axes of the caller, whose lines stay.
    axes = Figure().subplots()
    axes.plot([0, 1], [1, 1])
    assert found.history.plot(axes) is axes.figure
    assert [text.get_text() for text in axes.get_legend().texts] == ["at the step", "best so far"]


def test_animation_has_a_frame_for_each_snapshot(tmp_path):
    history = run(snapshot_every=1).history
    history.animate(tmp_path / "fit.gif", picture, frame_ms=50, last_frame_ms=700)
    with Image.open(tmp_path / "fit.gif") as film:
        frames, durations = [], []
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert("L")) / 255)
            durations.append(film.info["duration"])
    expected = [picture(snapshot.parameters).numpy() for snapshot in history.snapshots]
    # Those that are equal to the one before are stored once.
    kept = [0] + [i for i in range(1, 8) if not np.array_equal(expected[i], expected[i - 1])]
    assert len(frames) == len(kept) >= 4
    for frame, index in zip(frames, kept, strict=True):
        np.testing.assert_array_equal(frame, expected[index])
    assert sum(durations) == 7 * 50 + 700


@pytest.mark.parametrize("shape", [(8, 6, 3), (1, 8, 6), (2, 8, 6, 3), (8, 6, 1)])
def test_what_render_may_return(tmp_path, shape):
    history = run(snapshot_every=1).history
    steps = iter(range(8))
    history.animate(tmp_path / "fit.gif", lambda p: torch.full(shape, next(steps) / 8))
    with Image.open(tmp_path / "fit.gif") as film:
        assert film.n_frames == 8
        assert film.size == (6, 8)


def test_what_cannot_be_animated(tmp_path):
    with pytest.raises(ValueError, match=r"there must be snapshots.*fit\(snapshot_every=1\)"):
        run().history.animate(tmp_path / "fit.gif", picture)
    history = run(snapshot_every=1).history
    with pytest.raises(
        TypeError, match="the image that render returns must be a Tensor, got float"
    ):
        history.animate(tmp_path / "fit.gif", lambda p: 1.0)
    with pytest.raises(ValueError, match="the image that render returns must have shape"):
        history.animate(tmp_path / "fit.gif", lambda p: torch.zeros(5))


def test_a_missing_matplotlib_is_named(monkeypatch):
    history = run(snapshot_every=1).history
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"not installed: pip install 'taichisoft\[train\]'"):
        history.plot()
