"""The page of errors is that of the code, and every error has a cure."""

from __future__ import annotations

import re
import runpy

import pytest
import torch

import taichisoft as ts
from tests.helpers import ROOT

DOCS = ROOT / "docs"
PROGRAM = runpy.run_path(str(DOCS / "errors.py"))
ERRORS = [error for errors in PROGRAM["by_topic"]().values() for error in errors]


def test_page_is_that_of_the_code():
    written = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert written == PROGRAM["page"](), "run python docs/errors.py"


def test_every_error_has_a_cure_and_every_cure_an_error():
    assert len(ERRORS) > 100
    used = {PROGRAM["cure"](error)[0] for error in ERRORS}
    assert used == {pattern for pattern, _, _ in PROGRAM["CURES"]}


def test_what_is_expected_or_wrong_is_said():
    """A message is a sentence about an argument: it has a verb, and says what came where there is a value."""
    verb = re.compile(
        r"\b(must|cannot|need|needs|is|are|has|holds|was|gave|unknown|no such|have|damaged"
        r"|end|ends|begin|states|count|names)\b"
    )
    silent = [e.message for e in ERRORS if not verb.search(e.message)]
    assert not silent


@pytest.mark.parametrize(
    "meet",
    [
        lambda: ts.Mesh(torch.zeros(3, 2), torch.zeros(1, 3, dtype=torch.int64)),
        lambda: ts.Mesh(torch.zeros(3, 3), torch.full((1, 3), 7)),
        lambda: ts.Camera.look_at((0.0, 0.0, 0.0), image_size=(4, 4)),
        lambda: ts.Camera.look_at((0.0, 0.0, 3.0), image_size=4),
        lambda: ts.load_mesh("absent.obj"),
        lambda: ts.SoftRasterizer.pretrained("absent"),
        lambda: ts.Gaussian(-1.0),
    ],
)
def test_an_error_that_is_met_is_on_the_page(meet):
    with pytest.raises((TypeError, ValueError, OSError)) as met:
        meet()
    said = str(met.value)
    patterns = [
        re.sub(r"\\\{.*?\\\}", ".+", re.escape(error.message))
        for error in ERRORS
        if error.kind == met.type.__name__
    ]
    assert any(re.fullmatch(pattern, said, flags=re.DOTALL) for pattern in patterns), said
