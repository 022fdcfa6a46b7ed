"""The digest of renders finds a change, and nothing where there is none."""

from __future__ import annotations

import numpy as np
import pytest

import taichisoft as ts
from tests.digest import __main__ as digest

SCENES = ("coverage_logistic", "soup")


def write(path):
    digest.main(["--backend", ts.backend(), "--out", str(path), "--scenes", *SCENES])
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("digest") / "before.npz")


def changed(written, path, change):
    with np.load(written) as arrays:
        arrays = dict(arrays)
    change(arrays)
    np.savez(path, **arrays)
    return path


def compared(capsys, *arguments):
    capsys.readouterr()
    code = digest.main(["--compare", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_holds_images_and_both_gradients(written):
    with np.load(written) as arrays:
        whats = {"image.alpha", "image.color", "first.vertices", "second.rotation"}
        assert {f"soup/float32/{what}" for what in whats} <= set(arrays)
        assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.cpu_only
def test_is_equal_when_written_again(written, tmp_path, capsys):
    code, said = compared(capsys, written, write(tmp_path / "again.npz"))
    assert code == 0, said
    assert said.startswith("0 of ")


def test_names_what_differs(written, tmp_path, capsys):
    def change(arrays):
        arrays["soup/float32/image.alpha"][0, 3, 4] += 1e-3
        arrays["soup/float32/first.vertices"] = arrays["soup/float32/first.vertices"][:, 1:]
        del arrays["soup/float32/second.vertices"]

    other = changed(written, tmp_path / "changed.npz", change)
    code, said = compared(capsys, written, other)
    assert code == 1
    assert "soup/float32/image.alpha: 1 of " in said
    assert "soup/float32/first.vertices: shape " in said
    assert "soup/float32/second.vertices: missing after" in said
    assert "coverage_logistic" not in said
    code, said = compared(capsys, written, other, "--scenes", "coverage_logistic")
    assert code == 0, said


def test_tolerates_what_it_may(written, tmp_path, capsys):
    def change(arrays):
        arrays["soup/float32/image.alpha"][0, 3, 4] += 1e-3

    other = changed(written, tmp_path / "changed.npz", change)
    assert compared(capsys, written, other, "--tolerance", "2e-3")[0] == 0
    code, said = compared(capsys, written, other, "--tolerance", "5e-4")
    assert code == 1
    assert "soup/float32/image.alpha" in said


@pytest.mark.parametrize(
    ("before", "after", "size"),
    [
        ([np.nan, 1.0], [np.nan, 1.0], None),
        ([np.nan, 1.0], [0.0, 1.0], np.inf),
        ([np.inf, 4.0], [np.inf, 5.0], 0.25),
        ([0.0], [-0.0], 0.0),
        (3.0, 3.5, 0.5 / 3),
    ],
)
def test_difference(before, after, size):
    found = digest.difference("x", np.array(before), np.array(after))
    assert (found and found.size) == (None if size is None else pytest.approx(size))


def test_difference_of_refusals():
    text = np.array("not differentiable")
    assert digest.difference("x", text, text.copy()) is None
    assert digest.difference("x", text, np.array("no")).size == np.inf


def test_unknown_scene(tmp_path):
    with pytest.raises(ValueError, match=r"soup.*got nonsense"):
        digest.main(
            ["--backend", ts.backend(), "--out", str(tmp_path / "x.npz"), "--scenes", "nonsense"]
        )
