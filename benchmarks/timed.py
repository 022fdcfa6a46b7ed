"""What a benchmark times in a fresh process, which another backend or engine runs in."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def timed(module: str, quick: bool, **variables: str) -> dict[str, float]:
    """Return what ``python -m module --here`` prints as JSON on its last line.

    Parameters
    ----------
    module : str
        Of the benchmark.
    quick : bool
        Whether ``--quick`` is given, too.
    **variables : str
        Environment variables of the process, besides those of this one.
    """
    command = [sys.executable, "-m", module, "--here", *["--quick"] * quick]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
