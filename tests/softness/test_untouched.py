"""What a render takes for unchanged: every way to change a softness must be noticed, none may be invented."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import taichisoft as ts
from taichisoft.softness.curves import SoftnessCurves
from taichisoft.softness.untouched import ModuleTree, Watch

S = torch.linspace(-3, 3, 41, dtype=torch.float64)
LIKES = (S, S.float())


class Seen(TorchDispatchMode):
    """Lists the operations of torch."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.append(str(operation))
        return operation(*args, **(kwargs or {}))


class Steps(nn.Module):
    """A user's curve whose numbers are in places that torch knows nothing of."""

    def __init__(self):
        super().__init__()
        self.listed = [1.0, 2.0]
        self.named = {"steepness": {"value": 1.0}}
        self.array = np.array([1.0])
        self.loose = torch.tensor(1.0, dtype=torch.float64)

    def forward(self, s):
        """Return a logistic curve."""
        steepness = self.listed[0] * self.named["steepness"]["value"] * float(self.array[0])
        return torch.sigmoid(steepness * self.loose * s)


def softness(front_to_back: bool = False) -> ts.Softness:
    """Return one with a tensor of several numbers, scalars, and a width of its own."""
    scale = ts.ExponentialAnnealing(ts.Pixels(2.0, learn=True), 0.5)
    mixture = ts.Mixture([ts.Gaussian(), ts.Logistic(ts.Pixels(1.5, learn=True))], scale)
    occlusion = ts.FrontToBack(ts.MLPCoverage()) if front_to_back else ts.DepthSoftmax()
    return ts.Softness(mixture, ts.Hamacher(0.5), occlusion).requires_grad_(False)


def tables(curves: SoftnessCurves) -> list[torch.Tensor]:
    """Return all cells, and the numbers that kernels read, of images 32 high."""
    found = []
    three = [curves.generator(32), curves.coverage(32)]
    composite = None
    if isinstance(curves._softness.occlusion, ts.FrontToBack):
        composite = curves.composite(32)
    else:
        three.append(curves.occlusion())
    for like in LIKES:
        for curve in three:
            found += [curve.cells(like), curve.slope_cells(like)]
            found += [curve.numbers(like), curve.slope_numbers(like)]
        if composite is not None:
            for table in (composite.order, composite.part, composite.inverse):
                found += [table.cells_like(like), table.numbers_like(like, 1.0, table.domain.low)]
            found.append(composite.at_tie)
    return found


def equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    """Return whether all tensors are equal."""
    pairs = zip(first, second, strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def in_place(s):
    """Change a number in its place."""
    s.coverage.logits[0] += 1


def past_the_version(s):
    """Change a number through ``.data``, which counts no version."""
    version = s.coverage.logits._version
    s.coverage.logits.data[0] += 1
    s.coverage.components[1].scale.length.log_value.data.fill_(0.7)
    assert s.coverage.logits._version == version


def through_numpy(s):
    """Change a number in memory that NumPy shares."""
    s.coverage.logits.detach().numpy()[1] = 0.25


def other_memory(s):
    """Give a parameter other memory."""
    s.coverage.logits.data = torch.tensor([0.0, 2.0], dtype=torch.float64)


def same_memory_turned(s):
    """Give a parameter the same memory, read the other way."""
    both = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    s.coverage.logits.data = both[:2]
    yield
    s.coverage.logits.data = both.as_strided((2,), (2,))


def other_parameter(s):
    """Replace a parameter by another one."""
    s.coverage.logits = nn.Parameter(s.coverage.logits + torch.tensor([0.0, 1.0]))


def other_module(s):
    """Replace a module within."""
    s.coverage.components[0] = ts.Laplace()


def other_part(s):
    """Replace a whole part."""
    s.aggregation = ts.Probabilistic()


def other_occlusion(s):
    """Replace the occlusion."""
    kept = s.occlusion
    s.occlusion = (
        ts.DepthSoftmax(0.3) if isinstance(kept, ts.DepthSoftmax) else ts.FrontToBack(ts.Logistic())
    )


def order_in_place(s):
    """Change a number of the order, if there is one."""
    if isinstance(s.occlusion, ts.FrontToBack):
        s.occlusion.order.layers[0].weight[0, 0] += 1
    else:
        s.occlusion.gamma.log_value += 1


def parameter_of_the_sum(s):
    """Change the number of the T-conorm."""
    s.aggregation.p.log_value += 1


def plain_number(s):
    """Change a plain attribute."""
    s.coverage.components[0].squared = True


def loaded(s):
    """Load numbers."""
    other = softness(isinstance(s.occlusion, ts.FrontToBack))
    other.coverage.logits.add_(torch.tensor([0.0, 1.0]))
    s.load_state_dict(other.state_dict())


def other_dtype(s):
    """Round all numbers."""
    s.coverage.logits.add_(1 / 3)
    yield
    s.float()


def width(s):
    """Change the width alone."""
    s.coverage.scale.end.length.log_value.add_(1)
    s.set_progress(0.5)


def progress(s):
    """Go on with an annealed width."""
    s.set_progress(0.25)


CHANGES = [
    *(in_place, past_the_version, through_numpy, other_memory, same_memory_turned),
    *(other_parameter, other_module, other_part, other_occlusion, plain_number, loaded),
    *(other_dtype, width, progress, order_in_place, parameter_of_the_sum),
]


@torch.no_grad()
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("front_to_back", [False, True])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_is_noticed(change, front_to_back, grad):
    part = softness(front_to_back).requires_grad_(grad)
    curves = SoftnessCurves(part)
    before = tables(curves)
    steps = change(part)
    if steps is not None:
        next(steps)
        before = tables(curves)
        next(steps, None)
    after = tables(curves)
    assert not equal(after, before)
    # One that never saw anything else.
    assert equal(after, tables(SoftnessCurves(part)))


@torch.no_grad()
@pytest.mark.parametrize("name", ["listed", "named", "array", "loose"])
def test_numbers_outside_of_torch_are_noticed(name):
    module = Steps()
    part = ts.Softness(module)
    curves = SoftnessCurves(part)
    before = tables(curves)
    if name == "named":
        module.named["steepness"]["value"] = 3.0
    else:
        getattr(module, name)[... if name != "listed" else 0] = 3.0
    after = tables(curves)
    assert not equal(after, before)
    assert equal(after, tables(SoftnessCurves(part)))


@torch.no_grad()
@pytest.mark.parametrize("front_to_back", [False, True])
def test_nothing_is_made_again_for_an_unchanged_softness(front_to_back):
    curves = SoftnessCurves(softness(front_to_back))
    first = tables(curves)
    assert all(a is b for a, b in zip(first, tables(curves), strict=True))


def test_an_unchanged_softness_makes_no_more_than_its_widths():
    for occlusion, count in ((ts.DepthSoftmax(), 3), (ts.FrontToBack(), 2)):
        part = ts.Softness(ts.Gaussian(0.5), occlusion=occlusion).requires_grad_(False)
        curves = SoftnessCurves(part)
        tables(curves)
        with Seen() as seen:
            tables(curves)
        # The width of each curve, which is read for two arrays of numbers in each of two dtypes. Those of
        # compositing hold coverage and its generator as well.
        again = 2 if isinstance(occlusion, ts.FrontToBack) else 0
        assert {name: seen.names.count(name) for name in set(seen.names)} == {
            "aten.exp.default": count + again,
            "aten._local_scalar_dense.default": 4 * count,
        }


@torch.no_grad()
@pytest.mark.parametrize("number", [torch.float32, torch.float64])
def test_numbers_are_those_of_the_width_and_the_table(number):
    """The closed form: one over the width, how far it reaches, and where the pieces lie."""
    scale = 1 / 3
    curve = SoftnessCurves(ts.Softness(ts.Gaussian(scale))).coverage(8)
    length = torch.tensor(scale, dtype=torch.float64).log().exp()
    reach = -curve.table.domain.low * length
    expected = torch.cat([torch.stack([1 / length, reach]), S.new_tensor(curve.table.layout)])
    for _ in range(2):
        assert torch.equal(curve.numbers(S.to(number)), expected.to(number))


@torch.no_grad()
@pytest.mark.parametrize("front_to_back", [False, True])
def test_copies_follow_their_own_modules(front_to_back):
    part = softness(front_to_back)
    curves = SoftnessCurves(part)
    before = tables(curves)
    file = io.BytesIO()
    torch.save(curves, file)
    file.seek(0)
    for other in (
        copy.deepcopy(curves),
        pickle.loads(pickle.dumps(curves)),
        torch.load(file, weights_only=False),
    ):
        assert equal(tables(other), before)
        assert equal(tables(other), before)
        other._softness.coverage.logits[0] += 1
        changed = tables(other)
        assert not equal(changed, before)
        assert equal(changed, tables(SoftnessCurves(other._softness)))
        assert equal(tables(curves), before)
    part.coverage.logits[0] += 1
    assert equal(tables(curves), changed)


def test_gradients_come_back_when_they_are_wanted():
    part = softness()
    curves = SoftnessCurves(part)
    before = tables(curves)
    part.coverage.logits.requires_grad_()
    assert curves.coverage(32).cells(S.float()).requires_grad
    part.coverage.scale.start.length.log_value.requires_grad_()
    assert curves.coverage(32).width.requires_grad
    for _ in range(2):
        curves.coverage(32).cells(S).sum().backward()
    part.requires_grad_(False)
    assert equal(tables(curves), before)
    assert not any(t.requires_grad for t in tables(curves))


@pytest.mark.parametrize("front_to_back", [False, True])
def test_what_was_made_in_inference_mode_can_be_used_outside(front_to_back):
    curves = SoftnessCurves(softness(front_to_back))
    with torch.inference_mode():
        inside = tables(curves)
    outside = tables(curves)
    assert equal(inside, outside)
    assert not any(t.is_inference() for t in outside)


def test_tensors_of_inference_mode_are_watched():
    with torch.inference_mode():
        part = softness()
        curves = SoftnessCurves(part)
        before = tables(curves)
        part.coverage.logits[0] += 1
        after = tables(curves)
    assert not equal(after, before)
    with torch.inference_mode():
        assert equal(after, tables(SoftnessCurves(part)))


def test_what_could_be_changed_unseen_is_not_watched():
    plain = ts.Gaussian(1.0)
    assert Watch.over((plain,), tuple(plain.buffers())) is not None
    for value in ([1.0], {}, (1.0, [2.0]), object(), nn.Linear(1, 1), (torch.zeros(1),)):
        object.__setattr__(plain, "more", value)
        assert Watch.over((plain,), ()) is None
    for tensor in (torch.zeros(1).bfloat16(), torch.zeros(2**18), torch.zeros(1, device="meta")):
        assert Watch.over((), (tensor,)) is None


def test_a_tree_of_modules_follows_replacements():
    tree, root = ModuleTree(), nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())
    assert tree.of(root) == tuple(root.modules())
    assert tree.of(root) is tree.of(root)
    root[0][0] = nn.Sigmoid()
    assert tree.of(root) == tuple(root.modules())
    root[0].append(nn.ReLU())
    assert tree.of(root) == tuple(root.modules())
    other = copy.deepcopy(tree), copy.deepcopy(root)
    assert other[0].of(other[1]) == tuple(other[1].modules())
    assert tree.of(nn.Tanh()) != tree.of(root)


def test_a_late_annealed_part_is_told_of(recwarn):
    renderer = ts.SoftRasterizer(ts.Gaussian(1.0))
    cube = ts.shapes.cube()
    camera = ts.Camera.look_at((1.0, 1.0, 3.0), image_size=(8, 8))
    vertices = cube.vertices.clone().requires_grad_()

    def passes(count: int) -> None:
        for _ in range(count):
            renderer.silhouette(cube.with_vertices(vertices), camera).sum().backward()

    passes(12)
    assert not recwarn.list
    renderer.softness.coverage.scale = ts.ExponentialAnnealing(2.0, 0.5)
    passes(12)
    assert [str(w.message)[:18] for w in recwarn.list] == ["10 backward passes"]
