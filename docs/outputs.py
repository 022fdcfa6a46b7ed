"""Write what the programs of the guides print: ``python docs/outputs.py``. The tests compare it.

A program has its output shown if there is a file of its name in ``docs/snippets/outputs``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

SNIPPETS = Path(__file__).parent / "snippets"


def main() -> None:
    """Run each of them in a folder of its own."""
    for path in sorted((SNIPPETS / "outputs").glob("*.txt")):
        command = [sys.executable, SNIPPETS / f"{path.stem}.py"]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True
            )
        path.write_text(done.stdout, encoding="utf-8")


if __name__ == "__main__":
    main()
