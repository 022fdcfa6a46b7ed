"""What the README shows is run, and it stays short."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys

import pytest

from tests.helpers import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
PAGE = (ROOT / "docs" / "meta-training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m (meta\.\w+)(.*?)(?:\s+#.*)?$", PAGE, flags=re.MULTILINE)


def test_there_is_something_to_run():
    assert len(BLOCKS) >= 1
    assert len(COMMANDS) >= 3


def test_it_is_read_in_minutes():
    """Everything else is in docs/."""
    assert len(TEXT.splitlines()) <= 150


def test_examples_run(tmp_path):
    script = tmp_path / "example.py"
    # Later ones go on where earlier ones stopped.
    script.write_text("\n".join(BLOCKS))
    # There, since the examples save files.
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS}))
# It was imported by other tests.
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_options_of_shown_commands_exist(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not end.value.code
    told = capsys.readouterr().out
    for _, arguments in (c for c in COMMANDS if c[0] == module):
        for option in (word for word in shlex.split(arguments) if word.startswith("--")):
            assert re.search(rf"{option}\b", told), f"{module} has no option {option}"


def test_linked_files_exist():
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (ROOT / link).exists(), link
