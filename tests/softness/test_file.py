"""A softness survives a file; a file cannot do anything else."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

import taichisoft as ts
from taichisoft.softness import file as serialize
from taichisoft.softness import registry as kinds
from taichisoft.softness.annealing import ExponentialAnnealing
from taichisoft.softness.softness import PARTS, Softness

SOFTNESSES = {
    "default": lambda: Softness(),
    "softras": lambda: Softness(ts.Logistic.softras(1e-4), ts.Max()),
    "gamma": lambda: Softness(ts.GammaReversed(0.3, shape=0.7, squared=True)),
    "hard": lambda: Softness(ts.Heaviside(), ts.Max(), ts.DepthSoftmax(1e-4)),
    "mlp": lambda: Softness(
        ts.MLPCoverage(ts.Pixels(0.4, learn=True), reach=3.0, biases=False, seed=5),
        occlusion=ts.DepthSoftmax(ts.Positive(0.2, learn=True)),
    ),
    "spline": lambda: Softness(ts.MonotoneSpline(ts.HeightFraction(0.01), knots=7)),
    "uniform": lambda: Softness(ts.Uniform(2.0)),
    "exponential": lambda: Softness(ts.ExponentialReversed(2.0)),
    "annealed": lambda: Softness(
        ts.Gaussian(ExponentialAnnealing(ts.HeightFraction(0.1, learn=True), 0.5))
    ),
}


def write(path: Path, tensors: dict | None = None, **header) -> None:
    """Write a file with that header in place of the one of a default softness; a value None is left out."""
    softness = Softness()
    softness.save(path)
    with safe_open(path, "pt") as file:
        header = {k: v for k, v in (file.metadata() | header).items() if v is not None}
    tensors = softness.state_dict() if tensors is None else tensors
    path.write_bytes(safetensors.torch.save(tensors, metadata=header))


def parts(**changes) -> str:
    """Return the description of a default softness with other parts."""
    made = {name: kinds.describe(part) for name, part in Softness().settings().items()}
    return json.dumps(made | changes)


def gaussian(**settings) -> dict:
    """Return the description of a normal distribution."""
    return {"kind": "Gaussian", "settings": {"squared": False, **settings}}


@pytest.fixture
def path(tmp_path) -> Path:
    """Return where a softness goes."""
    return tmp_path / "softness.safetensors"


@pytest.mark.parametrize("make", SOFTNESSES.values(), ids=SOFTNESSES.keys())
def test_round_trip(make, path):
    softness = make()
    with torch.no_grad():
        for parameter in softness.parameters():
            parameter.add_(0.125)
    softness.save(path, {"seed": 3, "families": ["pose"]})
    assert list(path.parent.iterdir()) == [path]
    loaded = Softness.load(path, trainable=True)
    assert loaded.trained == {"seed": 3, "families": ["pose"]}
    assert {n: p.requires_grad for n, p in loaded.named_parameters()} == {
        n: p.requires_grad for n, p in softness.named_parameters()
    }
    for (name, one), (other, two) in zip(
        softness.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert (name, one.dtype) == (other, two.dtype)
        assert torch.equal(one, two)
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    for part in ("coverage", "occlusion"):
        one, two = getattr(softness, part), getattr(loaded, part)
        assert repr(one) == repr(two)
        assert torch.equal(one(x.clamp(max=0)), two(x.clamp(max=0)))
    assert type(loaded.aggregation) is type(softness.aggregation)


def test_the_same_image_after_loading(path):
    softness = Softness(ts.MonotoneSpline(ts.Pixels(0.9)), ts.Max(), ts.DepthSoftmax(0.3))
    softness.save(path)
    mesh, camera = ts.shapes.cube(), ts.Camera.look_at((1.0, 2.0, 3.0), image_size=(9, 12))
    colors = torch.rand(mesh.num_vertices, 3, generator=torch.Generator().manual_seed(0))
    one, two = (
        ts.SoftRasterizer(s.coverage, s.aggregation, s.occlusion)(mesh, camera, colors)
        for s in (softness, Softness.load(path))
    )
    assert torch.equal(one.alpha, two.alpha)
    assert torch.equal(one.color, two.color)


def test_header_can_be_read_by_people(path):
    Softness(ts.Gaussian(ts.HeightFraction(0.02))).save(path, {"steps": 24})
    with safe_open(path, "pt") as file:
        header = file.metadata()
    assert header["format"] == "taichisoft softness 2"
    assert header["library"] == f"taichisoft {ts.__version__}"
    coverage = json.loads(header["softness"])["coverage"]
    assert coverage["kind"] == "Gaussian"
    assert coverage["settings"]["scale"]["settings"]["value"] == pytest.approx(0.02, rel=1e-15)
    assert json.loads(header["units"]) == {
        "coverage.scale": "fraction of the image height",
        "occlusion.gamma": "fraction of the extent in depth",
    }
    assert json.loads(header["trained"]) == {"steps": 24}


def test_how_it_was_trained_is_kept_unless_said_anew(path):
    softness = Softness()
    softness.save(path)
    assert Softness.load(path).trained == {}
    softness.save(path, {"steps": 1})
    Softness.load(path).save(path)
    assert Softness.load(path).trained == {"steps": 1}
    Softness.load(path).save(path, {"steps": 2})
    assert Softness.load(path).trained == {"steps": 2}


def test_failed_save_leaves_the_old_file(path):
    Softness().save(path, {"steps": 1})
    before = path.read_bytes()
    with pytest.raises(TypeError, match="trained must be JSON-able"):
        Softness().save(path, {"steps": object()})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


class Mine(ts.ClosedForm):
    """A coverage from elsewhere."""

    def cdf(self, x):
        """Return a logistic curve."""
        return torch.sigmoid(x)

    def support(self):
        """Return a bounded range."""
        return -1.0, 1.0


@pytest.mark.parametrize(
    ("softness", "trained", "error", "message"),
    [
        (lambda: Softness(Mine()), {}, TypeError, "a Mine cannot be saved, only "),
        (lambda: Softness(torch.nn.Sigmoid()), {}, TypeError, "Sigmoid"),
        (Softness, [], TypeError, "trained must be a dict, got list"),
        (Softness, {"loss": float("nan")}, TypeError, "trained must be JSON-able"),
        (Softness, {"x": "y" * 2**20}, ValueError, "trained must have at most"),
    ],
    ids=["unknown", "custom", "list", "nan", "long"],
)
def test_what_cannot_be_saved(softness, trained, error, message, path):
    with pytest.raises(error, match=message):
        softness().save(path, trained)
    assert not path.exists()


def test_files_that_are_no_softness(path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*softness\.safetensors"):
        Softness.load(path)
    path.write_bytes(b"not a safetensors file at all")
    with pytest.raises(ValueError, match=r"softness\.safetensors is not a safetensors file"):
        Softness.load(path)
    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="must have the format 'taichisoft softness 2', got None"):
        Softness.load(path)
    write(path, format="taichisoft softness 1")
    with pytest.raises(ValueError, match=r"must have the format .* got 'taichisoft softness 1'"):
        Softness.load(path)
    monkeypatch.setattr(serialize, "MAX_FILE_BYTES", 10)
    with pytest.raises(ValueError, match="must have at most 10 bytes"):
        Softness.load(path)


def nested(depth: int) -> object:
    """Return a list in a list in a list."""
    value: object = 1.0
    for _ in range(depth):
        value = [value]
    return value


DAMAGED = {
    "unknown kind": parts(coverage={"kind": "system", "settings": {"command": "true"}}),
    "a class of torch": parts(coverage={"kind": "Linear", "settings": {}}),
    "an abstract kind": parts(coverage={"kind": "Coverage", "settings": {"scale": 1.0}}),
    "a module of the user": parts(
        coverage={"kind": "CustomCoverage", "settings": {"module": gaussian(scale=1.0)}}
    ),
    "kind is no name": parts(coverage={"kind": ["Gaussian"], "settings": {}}),
    "wrong value": parts(coverage=gaussian(scale=-1.0)),
    "infinite value": parts(coverage=gaussian(scale=1.0)).replace("1.0", "Infinity"),
    "unknown setting": parts(coverage=gaussian(color=1)),
    "private entry": parts(coverage=gaussian(scale=1.0) | {"module": "os"}),
    "no settings": parts(coverage={"kind": "Gaussian"}),
    "settings are no dict": parts(coverage={"kind": "Gaussian", "settings": [1.0]}),
    "wrong part": parts(coverage={"kind": "Max", "settings": {}}),
    "part is a number": parts(coverage=1.0),
    "missing part": json.dumps({"coverage": gaussian(scale=1.0)}),
    "too many parts": parts(background=gaussian(scale=1.0)),
    "a list": "[]",
    "no JSON": "{",
}


@pytest.mark.parametrize("described", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_descriptions(described, path):
    write(path, softness=described)
    with pytest.raises(ValueError, match=r"path: .*softness\.safetensors is damaged: "):
        Softness.load(path)


def many(count: int) -> dict:
    """Return a mixture of many components."""
    return {"kind": "Mixture", "settings": {"components": [gaussian()] * count}}


EXCESSIVE = {
    "an int": (
        parts(coverage={"kind": "MonotoneSpline", "settings": {"knots": 10**6}}),
        "an int of at most 65536",
    ),
    "a string": (parts(coverage=gaussian(scale="x" * 1000)), "at most 256 characters, got 1000"),
    "modules": (parts(coverage=many(500)), "at most 256 modules"),
    "weights of a situation": (
        parts(
            coverage=gaussian(
                shift={"kind": "ConditionedReal", "settings": {"value": 0.0, "weights": [1.0] * 6}}
            )
        ),
        "weights must be five numbers, got 6",
    ),
    "depth of modules": (parts(coverage=gaussian(scale=nested(20))), "at most 16 levels deep"),
    "depth of JSON": (parts(coverage=gaussian(scale=nested(40))), "at most 32 levels deep"),
    "far too deep": ("[" * 200_000 + "]" * 200_000, "at most 32 levels deep"),
    "length": (" " * 2**20 + parts(), "at most 1048576 characters"),
}


@pytest.mark.parametrize(("described", "message"), EXCESSIVE.values(), ids=EXCESSIVE.keys())
def test_excessive_descriptions(described, message, path):
    write(path, softness=described)
    with pytest.raises(ValueError, match=rf"path: .* is damaged: .*{message}"):
        Softness.load(path)


def test_large_mixtures_within_the_bounds(path):
    Softness(ts.Mixture([ts.Gaussian() for _ in range(60)])).save(path)
    assert len(Softness.load(path).coverage.components) == 60
    with pytest.raises(ValueError, match="at most 256 modules"):
        Softness(ts.Mixture([ts.Gaussian() for _ in range(200)])).save(path)


GOOD = Softness().state_dict()


@pytest.mark.parametrize(
    ("tensors", "header"),
    [
        (None, {"softness": None}),
        (None, {"trained": None}),
        (None, {"trained": "[]"}),
        (None, {"trained": json.dumps({"x": nested(40)})}),
        ({}, {}),
        (GOOD | {"x": torch.zeros(1)}, {}),
        ({name: torch.zeros(2) for name in GOOD}, {}),
        ({name: torch.full((), torch.nan) for name in GOOD}, {}),
        ({name: torch.full((), torch.inf) for name in GOOD}, {}),
        ({name: torch.zeros((), dtype=torch.int64) for name in GOOD}, {}),
    ],
)
def test_damaged_files(tensors, header, path):
    write(path, tensors, **header)
    with pytest.raises(ValueError, match=r"path: .*softness\.safetensors is damaged: "):
        Softness.load(path)


def test_untouched_contents_load(path):
    # What the damaged ones above are made from.
    write(path, softness=parts(coverage=gaussian(scale=kinds.describe(ts.Pixels(2.0)))))
    assert float(Softness.load(path).coverage.scale.in_pixels(1)) == pytest.approx(1.0)


def test_kinds_are_the_concrete_ones_of_the_library():
    found = kinds.kinds()
    assert {"Gaussian", "MonotoneSpline", "Max", "DepthSoftmax", "Pixels", "Positive"} <= set(found)
    assert {"ExponentialAnnealing", "CosineAnnealing", "LearnedAnnealing", "Real"} <= set(found)
    abstract = {"Coverage", "ClosedForm", "Aggregation", "Occlusion", "Scale", "ConstantScale"}
    assert not (
        abstract | {"Annealed", "TwoEnded", "PositiveCourse", "CustomCoverage", "Softness"}
    ) & set(found)
    for name, kind in found.items():
        assert kind.__name__ == name
        assert kind.__module__.startswith("taichisoft.")


# What cannot be made without arguments.
ARGUMENTS = {
    "AnnealedPositive": (2.0, ts.Positive(1.0, learn=True)),
    "AczelAlsina": (2.0,),
    "ConditionedPositive": (2.0, {"edge_length": 1.0, "colors": -0.5}),
    "ConditionedReal": (-2.0, [0.1, 0.2, 0.3, 0.4, 0.5]),
    "CosineAnnealing": (2.0, ts.HeightFraction(0.1, learn=True)),
    "DepthCurve": (ts.Laplace(),),
    "Dombi": (ts.Positive(2.0, learn=True),),
    "ExponentialAnnealing": (2.0, 1.0),
    "Frank": (2.0,),
    "Hamacher": (0.0,),
    "HeightFraction": (0.1,),
    "LearnedAnnealing": (2.0,),
    "Mixture": ([ts.Heaviside(), ts.Gaussian(ts.Pixels(2.0, learn=True)), ts.Levy()],),
    "PiecewiseAnnealing": ([2.0, ts.HeightFraction(0.1, learn=True), 1.0],),
    "PiecewisePositive": ([2.0, ts.Positive(1.0, learn=True), 0.5],),
    "PiecewiseReal": ([ts.Real(-0.5, learn=True), 0.0, 0.5],),
    "Pixels": (2.0,),
    "Positive": (2.0,),
    "Real": (-2.0,),
    "SchweizerSklar": (-2.0,),
    "StraightThrough": (ts.Heaviside(), ts.Gaussian(2.0)),
    "Yager": (2.0,),
}


@pytest.mark.parametrize("kind", kinds.kinds())
def test_every_kind_survives_its_description(kind):
    made = kinds.kinds()[kind](*ARGUMENTS.get(kind, ()))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.125)
    again = kinds.build(json.loads(json.dumps(kinds.describe(made))))
    assert {n: p.requires_grad for n, p in again.named_parameters()} == {
        n: p.requires_grad for n, p in made.named_parameters()
    }
    again.load_state_dict(made.state_dict())
    assert repr(again) == repr(made)
    assert kinds.describe(again) == kinds.describe(made)


def test_lists_of_modules_and_plain_settings():
    value = [ts.Positive(2.0), [ts.Pixels(1.0, learn=True)], "text", None, True, 3, 0.5]

    class Holder(torch.nn.Module):
        """Stands in for a mixture."""

        def __init__(self, parts=()):
            super().__init__()
            self.parts = parts

        def settings(self):
            """Return the list."""
            return {"parts": self.parts}

    known = {**kinds.kinds(), "Holder": Holder}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "kinds", lambda: known)
        made = kinds.build(json.loads(json.dumps(kinds.describe(Holder(value))))).parts
    assert made[2:] == value[2:]
    assert float(made[0]()) == pytest.approx(2.0)
    assert isinstance(made[1][0], ts.Pixels)


def test_what_is_loaded_is_frozen_unless_it_is_to_be_trainable(path):
    scale = ts.ExponentialAnnealing(ts.Pixels(2.0, learn=True), ts.Pixels(0.3))
    Softness(ts.MonotoneSpline(scale), ts.Hamacher(ts.Positive(2.0, learn=True))).save(path)
    for trainable in (False, True):
        loaded = Softness.load(path, trainable=trainable)
        # The end of the scale is a fixed number in either.
        assert {name: p.requires_grad for name, p in loaded.named_parameters()} == {
            "coverage.scale.start.length.log_value": trainable,
            "coverage.weight": trainable,
            "aggregation.p.log_value": trainable,
        }
    with pytest.raises(TypeError, match="trainable must be a bool, got str"):
        Softness.load(path, trainable="yes")


def test_a_frozen_parameter_that_is_saved_again_can_still_be_learned(path):
    scale = ts.Pixels(2.0, learn=True)
    parts = [ts.Gaussian(1.0, shift=ts.Real(0.1, learn=True)), ts.Laplace(2.0)]
    Softness(ts.Mixture(parts, scale)).save(path)
    Softness.load(path).save(path)
    again = Softness.load(path, trainable=True)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        "coverage.scale.length.log_value",
        "coverage.components.0.shift.value",
        "coverage.logits",
    }


@pytest.mark.parametrize("size", [0.1, 3.0, 50.0, 1e3])
@pytest.mark.parametrize(
    "kind",
    [name for name, kind in kinds.kinds().items() if issubclass(kind, tuple(PARTS.values()))],
)
def test_what_saves_also_loads_whatever_its_weights(kind, size, path):
    made = kinds.kinds()[kind](*deepcopy(ARGUMENTS.get(kind, ())))
    part = next(name for name, base in PARTS.items() if isinstance(made, base))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(size * noise)
    softness = Softness(**{part: made})
    softness.save(path)
    for name, value in Softness.load(path).state_dict().items():
        assert torch.equal(value, softness.state_dict()[name])


def test_what_could_not_be_loaded_is_not_saved(path):
    softness = Softness(occlusion=ts.DepthCurve(ts.Exponential(shift=ts.Real(-1.0, learn=True))))
    with torch.no_grad():
        softness.occlusion.coverage.shift.value.fill_(2.0)
    with pytest.raises(
        ValueError, match="cannot be saved: it could not be loaded again: coverage must rise"
    ):
        softness.save(path)
    with torch.no_grad():
        softness.occlusion.coverage.shift.value.fill_(torch.nan)
    with pytest.raises((ValueError, TypeError), match=r"JSON-able|finite"):
        softness.save(path)
    assert not path.exists()
