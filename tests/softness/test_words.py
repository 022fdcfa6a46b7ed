"""A softness, its training and a file's header in words: what is there, and nothing that is not."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
import torch
from safetensors import safe_open

import taichisoft as ts
from taichisoft.softness.trained import Trained

SOFTNESSES = {
    "default": ts.Softness,
    "annealed": lambda: ts.Softness(
        ts.Gaussian(ts.ExponentialAnnealing(ts.Pixels(4.0, learn=True), 0.25)),
        occlusion=ts.DepthSoftmax(ts.AnnealedPositive(0.9, 0.1)),
    ),
    "parts within": lambda: ts.Softness(
        ts.StraightThrough(ts.Heaviside(), ts.Gaussian(2.0), 0.5),
        ts.Frank(ts.Positive(3.0, learn=True)),
        ts.DepthCurve(ts.Uniform()),
    ),
    "mixture": lambda: ts.Softness(
        ts.Mixture([ts.Gaussian(), ts.Laplace(2.0)], ts.HeightFraction(0.01)),
        ts.MonotoneGenerator(),
    ),
    "networks": lambda: ts.Softness(
        ts.MLPCoverage(ts.LearnedAnnealing(1.5)), occlusion=ts.MLPOcclusion()
    ),
    "knots": lambda: ts.Softness(
        ts.Gaussian(
            ts.PiecewiseAnnealing([4.0, ts.HeightFraction(0.1), 0.5]),
            shift=ts.PiecewiseReal([0.2, ts.Real(0.1, learn=True), 0.0]),
        ),
        ts.Yager(ts.PiecewisePositive([1.5, 2.0])),
        ts.FrontToBack(gamma=ts.DepthFraction(ts.PiecewisePositive([0.5, 0.3, 0.1]))),
    ),
    "a module of the user": lambda: ts.Softness(torch.nn.Sigmoid()),
}


@pytest.mark.parametrize("make", SOFTNESSES.values(), ids=SOFTNESSES.keys())
def test_a_softness_prints_as_a_few_readable_lines(make):
    softness = make()
    lines = str(softness).splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["coverage", "aggregation", "occlusion"]
    for line, part in zip(lines, ("coverage", "aggregation", "occlusion"), strict=False):
        assert type(getattr(softness, part)).__name__ in line
    assert len(lines) <= 4
    assert max(map(len, lines)) < 180
    # What it is comes first, and nothing is said of a training that there was not.
    assert softness.describe().splitlines()[: len(lines)] == lines
    assert softness.describe().endswith("learned: nothing is said about it")


def test_the_numbers_and_units_are_those_of_the_softness():
    annealed = SOFTNESSES["annealed"]()
    text = str(annealed)
    assert "coverage: Gaussian (scale from 4 px to 0.25 px (ExponentialAnnealing), shift 0)" in text
    assert "occlusion: DepthSoftmax (gamma from 0.9 to 0.1 scene units)" in text
    assert "progress 0, which goes from 0 to 1; never told: loop with anneal(steps)" in text
    annealed.set_progress(0.5)
    assert str(annealed).endswith("annealed: now at progress 0.5, which goes from 0 to 1")
    assert "parameters: 1 number, all trainable" in annealed.describe()
    assert "parameters: none" in ts.Softness().describe()
    knots = str(SOFTNESSES["knots"]())
    assert (
        "scale through [4 px, 0.1 of the image height, 0.5 px], shift through [0.2, 0.1, 0]"
        in knots
    )
    assert "aggregation: Yager (p through [1.5, 2])" in knots
    assert "gamma through [0.5, 0.3, 0.1] of the extent in depth" in knots
    assert (
        SOFTNESSES["knots"]()
        .describe(ts.Situation(image_height=20))
        .endswith(
            "4 px wide at first, 2 px half-way and 0.5 px at the end, "
            "shift 0.2 at first, 0.1 half-way and 0 at the end, "
            "p 1.5 at first, 1.73 half-way and 2 at the end, "
            "gamma 0.5 of the extent in depth at first, 0.3 half-way and 0.1 at the end"
        )
    )
    within = str(SOFTNESSES["parts within"]())
    assert "scale 0.5 px, value Heaviside (relative scale 1, shift 0)" in within
    assert "slope Gaussian (relative scale 2, shift 0)" in within
    assert "aggregation: Frank (p 3)" in within
    mixture = SOFTNESSES["mixture"]()
    assert "scale 0.01 of the image height" in str(mixture)
    mixture.coverage.requires_grad_(False)
    count = sum(p.numel() for p in mixture.parameters())
    left = sum(p.numel() for p in mixture.aggregation.parameters())
    assert f"parameters: {count} numbers, {left} of them trainable" in mixture.describe()


@pytest.mark.parametrize("name", ts.pretrained_names())
def test_a_shipped_softness_says_what_its_file_says(name):
    softness = ts.SoftRasterizer.pretrained(name).softness
    with safe_open(str(files("taichisoft") / "weights" / f"{name}.safetensors"), "pt") as file:
        header = json.loads(file.metadata()["trained"])
    text = softness.describe()
    assert "all frozen" in text
    if "merged" in header:
        assert f"merged: from {', '.join(header['merged'])}" in text
        low, high = (header["rate"][name] for name in ("low", "high"))
        assert f"rate: {low:.3g} to {high:.3g} times the learning rate" in text
    else:
        families = [family["name"] for family in header["settings"]["families"]]
        assert f"{header['step']} outer steps on {', '.join(families)};" in text
        assert f"of its parts {', '.join(header['settings']['softness']['learn'])};" in text
        assert f"rate: {header['rate']:.3g} times the learning rate" in text
    for row in header["evaluation"]:
        solved = round(100 * row["success_mean"])
        (line,) = [x for x in text.splitlines() if x.startswith(f"  {row['family']}, held-out:")]
        assert f" {solved} % solved [" in line
        count = f"{row['problems']} problems x {row['seeds']} seeds"
        assert f"median error {row['error_median']:.3g}, {count}" in line
    printed = str(softness.trained)
    assert printed.splitlines() == text.splitlines()[-len(printed.splitlines()) :]
    assert len(printed.splitlines()) <= 8
    # The data is as it was.
    assert softness.trained == header
    assert json.loads(json.dumps(softness.trained)) == header


def test_settings_that_nest_are_read_as_well():
    families = [{"name": "pose", "problems": 16}, {"name": "shape3d", "problems": 4}]
    settings = {
        "families": families,
        "softness": {"learn": ["scale"]},
        "gradient": {"name": "es", "sigma": 0.2},
    }
    assert str(Trained(step=7, settings=settings)) == (
        "learned: 7 outer steps on pose, shape3d; gradient es; of its parts scale"
    )


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        ({}, "learned: nothing is said about it"),
        ({"by": "hand", "seed": 3}, "by: hand\nseed: 3"),
        ({"settings": 3, "step": "x"}, "settings: 3\nstep: x"),
        ({"evaluation": {"solved": 0.9}}, "evaluation: {'solved': 0.9}"),
        (
            {"evaluation": [{"family": "pose", "success_mean": None}]},
            "earned:\n  pose: None % solved",
        ),
        (
            {"evaluation": [{"family": "a", "success_mean": 10**400, "steps": 10**400}]},
            f"earned:\n  a: 1{'0' * 68}... % solved, 1{'0' * 68}... steps",
        ),
        (
            {"validation": {"taken": 9, "problems": 8, "ahead": 0.05, "interval": [0.03, 0.07]}},
            "kept: best of 9 steps and the start by 8 validation problems of each family, "
            "ahead of the start by 0.05 [0.03, 0.07]",
        ),
        (
            {"validation": {"taken": 9, "problems": 1, "ahead": "\n", "interval": 3}},
            "kept: best of 9 steps and the start by 1 validation problems of each family, "
            "ahead of the start by ?",
        ),
        ({"validation": {"by": "eye"}}, "validation: {'by': 'eye'}"),
        ({"by": "\x1b[31mred\r\n"}, "by: ?[31mred??"),
        ({"note": "x" * 500}, f"note: {'x' * 69}..."),
    ],
)
def test_whatever_a_header_holds_is_told_in_short(trained, expected):
    assert str(Trained(trained)) == expected
    softness = ts.Softness()
    softness.trained = trained
    assert softness.describe().endswith(expected)


def test_many_keys_are_not_many_lines():
    lines = str(Trained({str(n): n for n in range(1000)})).splitlines()
    assert len(lines) == 25
    assert lines[-1] == "... and 976 lines more"
