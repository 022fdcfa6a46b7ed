"""What the documentation shows is run, and it leaves no public name out. ``make docs`` checks its links."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import fields

import pytest
import torch

import taichisoft as ts
from meta.evaluate import Arguments
from meta.train import parse
from taichisoft.cli.info import describe
from taichisoft.cli.main import main as command_line
from tests.documents.alike import differences
from tests.documents.recipes import RECIPES
from tests.helpers import ROOT
from tests.meta.learning.problems import ParameterObjective, flat, spline_method

DOCS = ROOT / "docs"
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
SNIPPETS = sorted((DOCS / "snippets").glob("*.py"))
# What some of them print, as the pages show it: python docs/outputs.py
OUTPUTS = {path.stem: path.read_text("utf-8") for path in (DOCS / "snippets/outputs").glob("*.txt")}
# What learns from problems of the user, which are in a module of their own: one program after the other.
OWN_PROBLEMS = [DOCS / "snippets" / "own" / f"{name}.py" for name in ("learn", "compare")]
# What starts processes, which begin by reading the program again.
PROGRAMS = sorted((DOCS / "snippets" / "processes").glob("*.py"))


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_snippet_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = RECIPES.get(path.stem)
    if recipe is None:
        # Each checks by itself that what it computes is right.
        runpy.run_path(str(path), run_name="__main__")
        shown = OUTPUTS.get(path.stem)
        assert shown is None or not differences(capsys.readouterr().out, shown)
        return
    recipe.files()
    recipe.check(runpy.run_path(str(path), run_name="__main__"))


def test_softness_is_learned_from_own_problems_and_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(OWN_PROBLEMS[0].parent)
    learn, compare = (runpy.run_path(str(path), run_name="__main__") for path in OWN_PROBLEMS)
    learned, kept = learn["learned"], learn["learned"].softness.state_dict()
    weights = [record.parameters["coverage.module.weight"] for record in learned.history]
    # They start at 0.
    assert len({0.0, *weights}) == 5
    assert learned.verdict.ahead >= 0
    assert learned.verdict.words() in capsys.readouterr().out
    assert all(torch.equal(compare["softness"].state_dict()[name], kept[name]) for name in kept)
    assert compare["solved"].keys() == {"learned", "gaussian", "gaussian-annealed"}
    with pytest.raises(
        TypeError, match="cannot be saved, since its class is not one of taichisoft"
    ):
        learned.softness.save("blend.safetensors")


def shown_in(text: str) -> list[str]:
    return re.findall(r'--8<-- "docs/snippets/(.+)\.py"', text)


def run(*command: object) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cpu_only
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program_of_several_processes_runs(path):
    run(sys.executable, path)


@pytest.mark.cpu_only
def test_program_that_shares_gradients_runs_under_torchrun():
    path = DOCS / "snippets" / "processes" / "parallel.py"
    run(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, path)


def test_pages_show_the_snippets():
    shown = Counter(name for text in PAGES.values() for name in shown_in(text))
    snippets = (DOCS / "snippets").rglob("*.py")
    kept = (path.relative_to(DOCS / "snippets").with_suffix("") for path in snippets)
    assert shown == Counter(path.as_posix() for path in kept)


def test_pages_show_the_outputs():
    pattern = r'--8<-- "docs/snippets/outputs/(.+)\.txt"'
    shown = [name for text in PAGES.values() for name in re.findall(pattern, text)]
    assert sorted(shown) == sorted(OUTPUTS)
    assert set(OUTPUTS) <= {path.stem for path in SNIPPETS}


@pytest.mark.cpu_only
def test_commands_print_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = PAGES[DOCS / "command-line.md"]
    exec(re.search(r"```python\n(.*?)```", page, flags=re.DOTALL)[1], {})
    blocks = re.findall(r"```console\n\$ taichisoft (.*?)\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) == 4
    for command, shown in blocks:
        assert command_line(shlex.split(command)) == 0
        assert not differences(capsys.readouterr().out, shown), command


def test_info_prints_what_the_page_shows():
    part = PAGES[DOCS / "command-line.md"].split("## What there is")[1]
    shown = re.findall(r"^(\w+): +\S", part, flags=re.MULTILINE)
    # The page shows Taichi; what runs here may be quadrants.
    assert [ts.engine_name() if name == "taichi" else name for name in shown] == list(describe())


def test_gallery_shows_what_is_drawn():
    text = "".join(PAGES.values())
    kept = {path.name for path in (DOCS / "images" / "gallery").iterdir()}
    assert set(re.findall(r"images/gallery/([\w.]+)", text)) == kept
    script = (DOCS / "gallery.py").read_text("utf-8")
    sections = set(re.findall(r"\[start:(\w+)\]", script))
    assert sections == set(re.findall(r'--8<-- "docs/gallery.py:(\w+)"', text))
    assert sections - {"common"} <= {path.split(".")[0] for path in kept}
    assert (
        sum(path.stat().st_size for path in (DOCS / "images" / "gallery").iterdir()) <= 300 * 1024
    )


def test_recipes_have_at_most_fifteen_lines():
    names = shown_in(PAGES[DOCS / "recipes.md"])
    assert set(names) >= set(RECIPES)
    for name in names:
        lines = (DOCS / "snippets" / f"{name}.py").read_text(encoding="utf-8").splitlines()
        code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
        assert len(code) <= 15, name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_python_of_a_page_is_python(path):
    for block in re.findall(r"```python\n(.*?)```", PAGES[path], flags=re.DOTALL):
        compile(block, str(path), "exec")


def test_every_public_name_is_documented_once():
    names = Counter(
        name
        for path, text in PAGES.items()
        if path.parent.name == "api"
        for name in re.findall(r"^::: taichisoft\.(\S+)$", text, flags=re.MULTILINE)
    )
    assert names == Counter(dir(ts))


def test_names_in_the_text_exist():
    for path, text in PAGES.items():
        for name in re.findall(r"`ts\.([\w.]+)", text):
            found = ts
            for part in name.split("."):
                assert hasattr(found, part), f"{path.name}: ts.{name}"
                found = getattr(found, part)


def test_pictures_are_those_that_are_drawn_and_shown():
    shown = {name for text in PAGES.values() for name in re.findall(r"images/(\w+)\.png", text)}
    script = (DOCS / "pictures.py").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^def (\w+)\(\) -> Figure:", script, flags=re.MULTILINE))
    kept = {path.stem for path in (DOCS / "images").glob("*.png")}
    assert shown == drawn == kept


def test_make_draws_all_of_them():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^docs-pictures:.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)[1]
    scripts = {p.name for p in DOCS.glob("*.py") if "\nPICTURES: " in p.read_text(encoding="utf-8")}
    assert scripts == {"gallery.py", "pictures.py"}
    assert set(re.findall(r"docs/(\w+\.py)", recipe)) == scripts


def test_files_named_in_the_text_exist():
    folders = "results|tests|meta|benchmarks|tasks"
    for path, text in PAGES.items():
        for name in re.findall(rf"`((?:{folders})/[\w./]+\.\w+)`", text):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_rows_of_what_works_with_torch_name_tests_that_are_there():
    rows = [row for row in PAGES[DOCS / "torch.md"].splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        file, name = re.findall(r"`(tests/[\w/]+\.py)::(\w+)` \|$", row)[0]
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


def options_in_tables(page: str) -> set[str]:
    rows = re.findall(r"^\| (`--.*?) \|", PAGES[DOCS / page], flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(--[\w.-]+)", row)}


def test_settings_of_an_evaluation_exist():
    named = options_in_tables("protocol.md")
    known = {"--" + field.name.replace("_", "-") for field in fields(Arguments)}
    assert len(named) > 5
    assert named <= known, named - known


def test_settings_in_the_text_exist(capsys):
    named = options_in_tables("meta-training.md")
    with pytest.raises(SystemExit):
        parse(["--help"])
    known = set(re.findall(r"--[\w.-]+", capsys.readouterr().out))
    assert len(named) > 10
    assert named <= known, named - known


def test_estimator_that_is_shown_is_unbiased():
    made = runpy.run_path(str(DOCS / "snippets" / "estimator.py"))
    settings = made["SimultaneousPerturbationSettings"](sigma=0.1)
    solver = spline_method()
    slope = torch.arange(1.0, 6.0)
    # A linear function, of which the mean of the estimates is the slope for any sigma.
    objective = ParameterObjective(lambda p: float(slope @ p.float()))
    generator = torch.Generator().manual_seed(0)
    count = 1000
    estimates = [
        settings.build(steps=1).estimate(objective, solver, generator) for _ in range(count)
    ]
    names = [name for name, _ in solver.named_parameters()]
    found = torch.stack([torch.cat([e.gradients[n].reshape(-1) for n in names]) for e in estimates])
    assert found.shape == (count, len(flat(solver)))
    # The other components are its noise.
    spread = (slope.square().sum() - slope.square()).sqrt() / count**0.5
    assert ((found.mean(0) - slope).abs() < 4 * spread).all(), found.mean(0)
