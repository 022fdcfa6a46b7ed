"""The optimisation loop: finds minima, keeps the best, survives what is not finite, says what it did."""

from __future__ import annotations

import math

import pytest
import torch

import taichisoft as ts
from tasks import Split
from tests.meta.learning.problems import PointFamily

GOAL = torch.tensor([1.0, -2.0], dtype=torch.float64)


def quiet(loss, parameters=None, steps=100, **options) -> ts.Fit:
    return ts.fit(loss, parameters, steps, progress=False, **options)


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, dtype=torch.float64)


def bowl(x: torch.Tensor) -> torch.Tensor:
    return (x - GOAL).square().sum(-1)


def scripted(losses):
    """Return a loss that takes these values one after the other, whatever the parameters are."""
    values = iter(losses)
    return lambda p: p[0].sum() * 0 + next(values)


@pytest.mark.parametrize("given", [{"x": zeros(2)}, [zeros(2)], (zeros(2),)])
def test_finds_the_minimum_and_keeps_the_form(given):
    named = isinstance(given, dict)
    found = quiet(lambda p: bowl(p["x" if named else 0]), given, 300, learning_rate=0.1)
    assert isinstance(found.parameters, dict if named else list)
    best = found.parameters["x" if named else 0]
    assert torch.allclose(best, GOAL, atol=1e-3)
    assert not best.requires_grad
    # What was given is not changed, and the loss is that of the parameters.
    assert bool((given["x" if named else 0] == 0).all())
    assert found.loss == bowl(best)
    assert found.reason == "all 300 steps were tried"


def test_parameters_that_are_numbers():
    found = quiet(
        lambda p: (p["x"] - 3).square(),
        {"x": torch.zeros((), dtype=torch.float64)},
        200,
        learning_rate=0.1,
    )
    assert found.parameters["x"].shape == ()
    assert abs(found.parameters["x"] - 3) < 1e-3


def test_adam_is_that_of_torch():
    x = zeros(2).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    losses = []
    for _ in range(7):
        optimizer.zero_grad()
        loss = bowl(x)
        losses.append(loss.detach())
        loss.backward()
        optimizer.step()
    found = quiet(lambda p: bowl(p[0]), [zeros(2)], 7, learning_rate=0.05)
    assert torch.equal(found.history.loss[:7], torch.stack(losses))
    assert torch.equal(found.parameters[0], x.detach())


def test_any_optimizer():
    found = quiet(
        lambda p: bowl(p[0]),
        [zeros(2)],
        1,
        optimizer=lambda leaves: torch.optim.SGD(leaves, lr=0.5),
    )
    assert torch.equal(found.parameters[0], GOAL)


def test_returns_the_best_and_not_the_last():
    # A rate so large that the second step leaves the minimum again.
    found = quiet(
        lambda p: bowl(p[0]).sqrt(),
        [zeros(2)],
        20,
        optimizer=lambda leaves: torch.optim.SGD(leaves, lr=2.0),
    )
    losses = found.history.loss
    assert losses[-1] > losses.min()
    assert found.loss == losses.min()
    assert int(found.step) == int(losses.argmin())
    assert bowl(found.parameters[0]).sqrt() == losses.min()
    assert torch.equal(found.history.best, losses.cummin(0).values)


def test_a_loss_that_only_gets_worse_leaves_the_start():
    found = quiet(
        lambda p: -bowl(p[0]).detach() - 1e-9 * p[0].sum(),
        [zeros(2)],
        5,
        judge=lambda p: p[0].abs().sum(),
    )
    assert bool((found.parameters[0] == 0).all())
    assert int(found.step) == 0


def test_each_problem_has_its_own_best():
    start = torch.tensor([[0.0], [5.0], [1.0]], dtype=torch.float64)
    found = quiet(lambda p: (p[0][:, 0] - 1).abs(), [start], 30, learning_rate=0.4)
    losses = found.history.loss
    assert losses.shape == (31, 3)
    assert torch.equal(found.loss, losses.amin(0))
    assert torch.equal(found.step, losses.argmin(0))
    assert torch.equal((found.parameters[0][:, 0] - 1).abs(), found.loss)
    assert found.step[2] == 0
    # Side by side or alone: the same steps.
    alone = quiet(lambda p: (p[0][:, 0] - 1).abs(), [start[1:2]], 30, learning_rate=0.4)
    assert torch.equal(alone.history.loss[:, 0], losses[:, 1])


def test_early_stop():
    losses = [5.0, 4.0, 3.95, 3.9, 3.85, 3.8, 0.0]
    found = quiet(scripted(losses), [zeros(1)], 6, patience=3, tolerance=0.5)
    # 4.0 is the last clear improvement, after one step; the small ones add up to less than the tolerance.
    assert len(found.history.loss) == 5
    assert float(found.loss) == 3.85
    assert "no loss fell by more than 0.5 in 3 steps, at step 4" in found.reason
    assert len(quiet(scripted(losses), [zeros(1)], 6, patience=3).history.loss) == 7


def test_small_improvements_add_up():
    losses = [5.0, 4.7, 4.4, 4.1, 3.8, 3.5, 3.2]
    found = quiet(scripted(losses), [zeros(1)], 6, patience=2, tolerance=0.5)
    assert len(found.history.loss) == 7


def test_a_step_with_a_loss_that_is_not_finite_is_not_taken():
    seen, calls = [], iter(range(100))

    def loss(p):
        seen.append(p[0].detach().clone())
        return bowl(p[0]) * (math.nan if next(calls) in (3, 4) else 1)

    found = quiet(loss, [zeros(2)], 10)
    assert torch.equal(seen[3], seen[4])
    assert torch.equal(seen[4], seen[5])
    assert not torch.equal(seen[5], seen[6])
    assert found.history.taken.tolist() == [True] * 3 + [False] * 2 + [True] * 5
    assert bool(found.parameters[0].isfinite().all())


class NanGradient(torch.autograd.Function):
    """The identity with a gradient of NaN."""

    @staticmethod
    def forward(ctx, x):
        """Return a copy."""
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        """Return NaN."""
        return gradient * math.nan


def test_a_gradient_that_is_not_finite_is_not_followed_and_named():
    def loss(p):
        bad = bowl(p["good"]) < 4.9
        return bowl(p["good"]) + bowl(NanGradient.apply(p["bad"]) if bad else p["bad"])

    with pytest.warns(RuntimeWarning, match="the gradient of bad was not finite"):
        found = quiet(loss, {"good": zeros(2), "bad": zeros(2)}, 50, bad_steps=4)
    tried = len(found.history.taken)
    expected = (
        f"steps {tried - 4} to {tried - 1} were not taken: the gradient of bad was not finite"
    )
    assert found.reason == expected
    assert tried < 50
    assert found.history.taken[-4:].tolist() == [False] * 4
    assert bool(found.history.taken[-5])
    assert all(bool(value.isfinite().all()) for value in found.parameters.values())


def test_one_bad_problem_does_not_hold_up_the_others():
    start = zeros(3, 2)

    def loss(p):
        values = bowl(p[0])
        return torch.where(torch.tensor([False, True, False]) & (values < 4.2), math.nan, values)

    with pytest.warns(RuntimeWarning, match=r"1 of 3 problems.*the loss was not finite"):
        found = quiet(loss, [start], 200, learning_rate=0.1)
    assert torch.allclose(found.parameters[0][::2], GOAL, atol=1e-2)
    assert 4.2 <= float(found.loss[1]) < 5
    # It stays where its loss stopped being finite, although Adam's momentum would carry it on.
    assert found.history.taken[:, 1].sum() < 10
    assert bool(found.history.loss[:, ::2].isfinite().all())


def test_never_finite():
    with pytest.raises(FloatingPointError, match="the loss was never finite in 4 evaluations"):
        quiet(lambda p: bowl(p[0]) * math.nan, [zeros(2)], 20, bad_steps=3)


def test_clipping():
    start = torch.tensor([[3.0, 4.0], [0.3, 0.4]], dtype=torch.float64)
    found = quiet(
        lambda p: (p[0] * start).sum(-1),
        [zeros(2, 2)],
        1,
        clip=1.0,
        optimizer=lambda leaves: torch.optim.SGD(leaves, lr=1.0),
    )
    # The long gradient has length 1 then, the short one is as it was.
    expected = torch.tensor([[-0.6, -0.8], [-0.3, -0.4]], dtype=torch.float64)
    assert torch.allclose(found.parameters[0], expected)
    norms = torch.tensor([[5.0, 0.5]], dtype=torch.float64)
    assert torch.allclose(found.history.gradient_norms["parameters[0]"], norms)


def test_annealing_follows_and_the_best_is_judged_at_its_end():
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(4.0, 1.0)))
    seen = []

    def loss(p):
        scale = renderer.coverage.scale
        if torch.is_grad_enabled():
            seen.append(scale.progress)
        # Losses fall with the width, whatever x is: the wide ones must not be compared with narrow ones.
        return bowl(p[0]) - 100 * scale.in_pixels(1).to(p[0])

    found = quiet(loss, [zeros(2)], 5, renderer=renderer, learning_rate=0.1)
    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert int(found.step) == 5
    assert torch.allclose(found.loss, bowl(found.parameters[0]) - 100)
    assert found.history.loss[0] < found.history.loss[-1]
    assert renderer.coverage.scale.progress == 1.0


def test_a_task_is_solved():
    task = PointFamily().sample(0, 3, Split.TRAIN)
    found = quiet(task, steps=200, renderer=ts.SoftRasterizer(), learning_rate=0.1)
    assert found.parameters["x"].shape == task.init()["x"].shape
    assert bool((found.loss < found.history.loss[0]).all())
    with pytest.raises(ValueError, match="renderer must be given for a problem"):
        quiet(task)


def test_a_task_tells_a_conditioned_renderer_its_situation():
    task = PointFamily().sample(0, 3, Split.TRAIN)
    renderer = ts.SoftRasterizer(ts.Gaussian(ts.scale_by_edge()))
    quiet(task, steps=1, renderer=renderer)
    assert renderer.coverage.scale.length.situation == task.situation()


def test_interruption_returns_the_best_so_far():
    def on_step(step, parameters):
        if step == 4:
            raise KeyboardInterrupt

    found = quiet(lambda p: bowl(p[0]), [zeros(2)], 100, on_step=on_step)
    assert found.reason == "interrupted at step 4"
    assert int(found.step) == 3
    assert found.loss == bowl(found.parameters[0])
    assert len(found.history.loss) == 4
    assert len(found.history.taken) == 3


def test_an_interruption_before_anything_is_one():
    def loss(p):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quiet(loss, [zeros(2)])


def test_progress_bar_only_if_wanted(capsys):
    quiet(lambda p: bowl(p[0]), [zeros(2)], 3)
    assert capsys.readouterr() == ("", "")
    ts.fit(lambda p: bowl(p[0]), [zeros(2)], 3)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: quiet(3.0, [zeros(2)]), TypeError, "problem must be a callable"),
        (lambda: quiet(lambda p: p[0].sum()), ValueError, "parameters must be given"),
        (
            lambda: quiet(lambda p: p.sum(), zeros(2)),
            TypeError,
            "parameters must be a dict or a list",
        ),
        (lambda: quiet(lambda p: p, []), ValueError, "at least one tensor"),
        (
            lambda: quiet(lambda p: p[0].sum(), [zeros(2) / 0]),
            ValueError,
            r"parameters\[0\] must be finite",
        ),
        (lambda: quiet(lambda p: 1.0, [zeros(2)]), TypeError, "the loss that problem returns"),
        (lambda: quiet(lambda p: p[0], [zeros(2, 2)]), ValueError, "the loss that problem returns"),
        (
            lambda: quiet(lambda p: p[0].detach().sum(), [zeros(2)]),
            ValueError,
            "the loss must depend on",
        ),
        (
            lambda: quiet(lambda p: p[0].sum(0), [zeros(2, 3)]),
            ValueError,
            "one row for each of the 3",
        ),
        (
            lambda: quiet(lambda p: p[0].sum(), [zeros(2)], -1),
            ValueError,
            "steps must be at least 0",
        ),
        (
            lambda: quiet(lambda p: p[0].sum(), [zeros(2)], patience=0),
            ValueError,
            "patience must be",
        ),
        (
            lambda: quiet(lambda p: p[0].sum(), [zeros(2)], tolerance=-1),
            ValueError,
            "tolerance must",
        ),
        (lambda: quiet(lambda p: p[0].sum(), [zeros(2)], clip=0), ValueError, "clip must"),
        (
            lambda: quiet(lambda p: p[0].sum(), [zeros(2)], learning_rate=0),
            ValueError,
            "learning_rate",
        ),
        (
            lambda: quiet(lambda p: p[0].sum(), [zeros(2)], renderer=3),
            TypeError,
            "renderer must be",
        ),
        (
            lambda: quiet(lambda p: p[0].sum(), [zeros(2)], optimizer=torch.optim.LBFGS),
            ValueError,
            "optimizer must not be LBFGS",
        ),
        (
            lambda: quiet(lambda p: bowl(p[0]), [zeros(3, 2)], judge=lambda p: bowl(p[0]).sum()),
            ValueError,
            "what judge returns",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_one_silhouette_is_the_target_of_a_batch():
    mesh = ts.shapes.icosphere(1)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), image_size=(24, 24))
    target = ts.SoftRasterizer.hard().silhouette(mesh, camera)[0]
    render = ts.SoftRasterizer(ts.Gaussian(ts.suggest_scale(mesh, camera)))
    starts = {"offset": torch.tensor([[0.2, 0.0, 0.0], [-0.1, 0.1, 0.0]])}

    def loss(p):
        moved = mesh.with_vertices(mesh.vertices + p["offset"][:, None])
        return 1 - ts.iou(render.silhouette(moved, camera), target)

    found = quiet(loss, starts, 30, learning_rate=0.02)
    assert found.loss.shape == (2,)
    assert float(found.loss.max()) < 0.1


@pytest.mark.parametrize("problems", [(), (5,)], ids=["one", "five"])
def test_a_fit_prints_as_a_few_readable_lines(problems):
    found = quiet(lambda p: bowl(p["x"]), {"x": zeros(*problems, 2)}, 100, snapshot_every=1)
    for text in (str(found), repr(found)):
        assert len(text.splitlines()) == 3
        assert max(map(len, text.splitlines())) < 120
        assert f"{float(found.loss.flatten()[0]):.4g}" in text
        # That of the start: 1 + 4.
        assert "5" in text.splitlines()[0].split("at the start")[1]
        assert f"parameters after 100 steps: x {(*problems, 2)}" in text
        assert "all 100 steps were tried" in text
    assert "100 steps in" in str(found.history)
    assert "101 snapshots" in str(found.history)
    assert "\n" not in str(found.history)


def test_many_starts_print_as_a_few_readable_lines():
    starts = [torch.tensor([[0.0, 0.0], [1.0, -1.0], [5.0, 5.0]], dtype=torch.float64)]
    found = ts.multi_start(lambda p: bowl(p[0]), starts, 3, keep=2, progress=False)
    assert str(found).startswith(f"loss {float(found.loss):.4g} from start 1")
    assert len(str(found).splitlines()) == 4
