"""Small run folders for the tests of the page, and a reader of the page."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from meta.config.softness import with_parameters
from meta.learning.settings import ValidationSettings
from meta.report.tables import rows, verdicts
from meta.runs import history, trainer
from meta.runs.folder import RunFolder, write_json_atomically
from meta.runs.run import train
from taichisoft import Softness
from tests.meta.evaluation.evaluation_cases import points as compared_points
from tests.meta.learning.problems import PointFamily, tiny

# Elements that have no end tag, and in which nothing is.
VOID = {"meta", "link", "img", "source", "input", "br", "path", "circle", "rect"}
ADDRESSES = {"src", "href", "srcset", "action", "poster", "data", "xlink:href"}


def trained(path: Path, validation: ValidationSettings | None = None, **changes) -> RunFolder:
    """Return a finished run on points, which take no time."""
    judged = ValidationSettings() if validation is None else validation
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_families", lambda settings: [PointFamily()])
        return train(replace(tiny(**changes), out=str(path), validation=judged))


def shake(folder: RunFolder) -> None:
    """Make every step change all that is learned, which points do not all depend on."""
    generator = torch.Generator().manual_seed(0)
    rows, final = history.read(folder.history), Softness.load(folder.softness)
    for row in rows:
        for name, numbers in row["parameters"].items():
            value = torch.tensor(numbers, dtype=torch.float64)
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            row["parameters"][name] = (value + 0.1 * noise).tolist()
    folder.history.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with_parameters(final, rows[-1]["parameters"]).save(folder.softness, {"step": len(rows)})


def evaluate(folder: RunFolder, work: Path) -> list[dict]:
    """Write an evaluation on points into a run folder, and return its rows."""
    work.mkdir()
    comparison = compared_points(work, fixed=("gaussian", "uniform", "logistic-annealed"))
    made = [row.to_json() for row in rows(comparison)]
    texts = {comparison.family.name: verdicts(comparison)}
    write_json_atomically(folder.evaluation, {"rows": made, "verdicts": texts})
    return made


class Page(HTMLParser):
    """A page as it is read by a strict reader: every element is closed, in its turn.

    Parameters
    ----------
    text : str
        HTML.
    """

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attrs):
        """Note the element; one attribute must not come twice."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        values = dict(attrs)
        self.tags.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [value for name, value in attrs if name in ADDRESSES]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note an element that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Check that it closes what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note a text under the element that it is in."""
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def words(self) -> str:
        """All that is written, but for styles and programs."""
        return " ".join(
            text
            for tag, texts in self.texts.items()
            if tag not in ("script", "style")
            for text in texts
        )

    @property
    def data(self) -> dict:
        """The numbers in the page."""
        return json.loads(next(t for t in self.texts["script"] if t.lstrip().startswith("{")))

    def attributes(self, element: str) -> dict:
        """Return the attributes of the element with an id."""
        return next(values for _, values in self.tags if values.get("id") == element)


def read(path: Path) -> Page:
    """Return the page in a file."""
    return Page(path.read_text(encoding="utf-8"))


def points_of(outline: str) -> list[tuple[float, float]]:
    """Return the points of a path of straight lines."""
    words = outline.replace("M", "L").split("L")[1:]
    return [tuple(map(float, word.split())) for word in words]


def drawn(chart: dict, values: list[float]) -> list[tuple[float, float]]:
    """Return where values of a chart should be on the page, by the numbers in the page."""
    left, right, low, high = chart["limits"]
    start, end, top, bottom = chart["box"]
    return [
        (
            start + (x - left) / (right - left) * (end - start),
            bottom - (y - low) / (high - low) * (bottom - top),
        )
        for x, y in zip(chart["x"], values, strict=True)
    ]
