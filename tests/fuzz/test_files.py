"""Damaged mesh files: a finite mesh with all faces that the file states, or an error that names the file.

The error says in words of the library what is wrong in it. ``FUZZ_SCENES`` says how many are tried.
"""

from __future__ import annotations

import os
import re
import shutil
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest

import taichisoft as ts
from tests.fuzz.files import DAMAGES, triangles_stated, write_whole_files
from tests.fuzz.textured_files import damages_of, write_textured_files

ASKED = int(os.environ.get("FUZZ_SCENES", "0"))
COUNT = max(350, ASKED)
TEXTURED_COUNT = max(350, ASKED)
LIBRARY = str(Path(ts.__file__).parent)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_whole_files(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def textured(tmp_path_factory):
    return write_textured_files(tmp_path_factory.mktemp("textured"))


def outcome(path) -> tuple[ts.Mesh | None, str]:
    """Return the mesh, or what is said instead; another error, or a warning of no file, is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # what is left out of the file
        warnings.filterwarnings("ignore", f"{re.escape(str(path))}: ", UserWarning)
        try:
            return ts.load_mesh(path), ""
        except (ValueError, OSError) as error:
            check_own_words(error)
            return None, str(error)


def check_own_words(error: Exception) -> None:
    """Raise what a parser raised in words of another library, or of Python."""
    cause = error.__cause__
    if cause is not None:
        where = traceback.extract_tb(cause.__traceback__)[-1].filename
        if type(cause) is not ValueError or not where.startswith(LIBRARY):
            raise cause


def check_refused(message: str, path: Path, said: str) -> None:
    assert re.match("path must (be a readable|hold a mesh)", message), said
    assert str(path) in message, said


def check_finite(mesh: ts.Mesh, said: str) -> None:
    numbers = [mesh.vertices, mesh.uv, mesh.vertex_colors, mesh.vertex_opacity]
    for material in mesh.materials or ():
        numbers += [material.color, material.image, material.opacity, material.image_opacity]
    for values in (*numbers, *(mesh.vertex_data or {}).values()):
        assert values is None or values.isfinite().all(), said


def test_whole_files_hold_what_they_state(whole):
    for path in whole:
        assert ts.load_mesh(path).num_faces == triangles_stated(path)


@pytest.mark.parametrize("part", range(7))
def test_damaged_files(part, whole, tmp_path):
    refused, read = 0, 0
    for seed in range(part, COUNT, 7):
        generator = np.random.default_rng(seed)
        source = whole[generator.integers(len(whole))]
        damage = DAMAGES[generator.integers(len(DAMAGES))]
        path = tmp_path / f"{seed}{source.suffix}"
        path.write_bytes(damage(source.read_bytes(), generator))
        said = f"{damage.__name__}, {source.name}, seed {seed}"
        mesh, message = outcome(path)
        if mesh is None:
            check_refused(message, path, said)
            refused += 1
            continue
        assert mesh.vertices.isfinite().all(), said
        assert mesh.num_faces == triangles_stated(path), said
        read += 1
    # Damage is found, and what it left whole is read.
    assert refused > 10
    assert read > 5


def test_whole_textured_files_are_read(textured):
    for path in textured:
        mesh, message = outcome(path)
        assert mesh is not None, message
        check_finite(mesh, path.parent.name)
        if path.suffix == ".ply":
            assert mesh.vertex_colors is not None
            assert sorted(mesh.vertex_data) == ["label", "quality"]
        else:
            assert len(mesh.materials) >= 3
            assert any(material.image is not None for material in mesh.materials)


@pytest.mark.parametrize("part", range(7))
def test_damaged_textured_files(part, textured, tmp_path):
    refused, read = 0, 0
    for seed in range(part, TEXTURED_COUNT, 7):
        generator = np.random.default_rng(seed)
        source = textured[generator.integers(len(textured))]
        folder = shutil.copytree(source.parent, tmp_path / str(seed))
        path, files = folder / source.name, sorted(folder.iterdir())
        # The file itself, or one that it names.
        file = path if generator.random() < 0.6 else files[generator.integers(len(files))]
        damages = damages_of(file)
        damage = damages[generator.integers(len(damages))]
        file.write_bytes(damage(file.read_bytes(), generator))
        said = f"{damage.__name__}, {folder.name}/{file.name} of {source.parent.name}, seed {seed}"
        mesh, message = outcome(path)
        if mesh is None:
            check_refused(message, path, said)
            refused += 1
        else:
            check_finite(mesh, said)
            read += 1
        shutil.rmtree(folder)
    assert refused > 10
    assert read > 5
