"""The benchmark of start-up: what it starts, and what it says of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from benchmarks import start_up
from benchmarks.start_up import STAGES, Entrant, entrants
from taichisoft.base.engine import ENGINE, Engine


def test_an_engine_starts_and_computes_all_gradients():
    """With the kernels that are cached here: compiling them takes half a minute."""
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    times = Entrant("this", ENGINE.name, start_up.ROOT).start(cache)
    assert list(times) == list(STAGES)
    assert all(seconds > 0 for pair in times.values() for seconds in pair)


def test_an_earlier_version_takes_part(tmp_path, monkeypatch):
    monkeypatch.setattr(Engine, "is_installed", lambda self: self.name == "taichi")
    (one,) = entrants(None)
    assert (one.label, one.engine, one.folder) == ("Taichi", "taichi", start_up.ROOT)
    assert entrants(tmp_path / "first")[1] == Entrant("first, Taichi", "taichi", tmp_path / "first")


def test_what_is_in_its_folder_is_started(tmp_path):
    library = tmp_path / "first" / "taichisoft"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("open('imported', 'w'); raise SystemExit(3)")
    with pytest.raises(CalledProcessError, match="exit status 3"):
        Entrant("first", ENGINE.name, tmp_path / "first").start(str(tmp_path))
    assert (tmp_path / "first" / "imported").exists()


def test_medians_of_both_caches_are_told(tmp_path, capsys, monkeypatch):
    """An empty folder is given first, and then again; the second is the quicker here."""
    seen = []

    def start(self, cache):
        filled = cache in seen
        seen.append(cache)
        seconds = (1.0 if filled else 4.0) + 10 * (len(seen) > 4)
        return {stage: [seconds, 2 * seconds] for stage in STAGES}

    monkeypatch.setattr(Entrant, "start", start)
    monkeypatch.setattr(Engine, "is_installed", lambda self: self.name == "taichi")
    out = tmp_path / "start_up"
    start_up.main(["--out", str(out)])
    empty, filled = json.loads(out.with_suffix(".json").read_text())["rows"]
    assert (empty["entrant"], empty["cache"], filled["cache"]) == ("Taichi", "empty", "filled")
    # The median of three rounds is not moved by the last.
    assert empty["stages"]["colour"] == {"seconds": 4, "cpu_seconds": 8}
    assert filled["stages"]["colour"] == {"seconds": 1, "cpu_seconds": 2}
    assert filled["until_gradient"] == {"seconds": 3, "cpu_seconds": 6}
    said = out.with_suffix(".md").read_text()
    assert said in capsys.readouterr().out
    assert "| first gradient of an image in colour | 4.00 (8.00) | 1.00 (2.00) |" in said
    assert "| all until the gradient of a silhouette | 12.00 (24.00) | 3.00 (6.00) |" in said


def test_a_folder_without_the_library_is_no_earlier_version(tmp_path, capsys):
    with pytest.raises(SystemExit):
        start_up.main(["--earlier", str(tmp_path)])
    assert "--earlier must be a folder with taichisoft in it" in capsys.readouterr().err
