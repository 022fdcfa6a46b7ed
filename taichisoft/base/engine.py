"""The engine, which compiles and runs the kernels: Taichi, or quadrants, the fork of it that goes on.

It is chosen here, before it is imported. The kernels are the same for both; what differs inside is in
`taichisoft.base.inside`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

VARIABLE = "TAICHISOFT_ENGINE"


@dataclass(frozen=True)
class Engine:
    """One of the two.

    Parameters
    ----------
    name : str
        Of what is installed and imported.
    title : str
        What it is called in a sentence.
    alias : str
        What programs import it as. Its environment variables and its folder of compiled kernels begin so.
    """

    name: str
    title: str
    alias: str

    def variable(self, what: str) -> str:
        """Return the name of one of its environment variables."""
        return f"{self.alias.upper()}_{what}"

    def is_installed(self) -> bool:
        """Return whether it can be imported; imports nothing."""
        spec = find_spec(self.name)
        # A folder of that name that holds no package, such as one of results, has no origin.
        return spec is not None and spec.origin is not None


TAICHI = Engine("taichi", "Taichi", "ti")
QUADRANTS = Engine("quadrants", "quadrants", "qd")
# The first that is installed is the default.
ENGINES = (TAICHI, QUADRANTS)


def chosen(wanted: str | None, installed: Sequence[Engine]) -> Engine:
    """Return the engine of a name, or by default the first one that is installed.

    Parameters
    ----------
    wanted : str, optional
        What the environment variable says. Empty is as None.
    installed : sequence of Engine
        Those of `ENGINES` that can be imported, in their order.

    Raises
    ------
    ValueError
        An unknown name.
    ImportError
        The engine that is wanted is not installed, or none is.
    """
    names = [engine.name for engine in ENGINES]
    if wanted and wanted not in names:
        raise ValueError(
            f"environment variable {VARIABLE} must be one of {', '.join(names)}, got {wanted!r}"
        )
    python = platform.python_version()
    if not installed:
        raise ImportError(
            f"neither Taichi nor quadrants is installed for this Python ({python}), and one of them must run "
            "the kernels: pip install taichi (Python 3.10 to 3.13), or pip install quadrants"
        )
    if not wanted:
        return installed[0]
    found = next((engine for engine in installed if engine.name == wanted), None)
    if found is None:
        raise ImportError(
            f"environment variable {VARIABLE} asks for {wanted}, which is not installed for this Python "
            f"({python}): pip install {wanted}, or unset the variable to use {installed[0].name}"
        )
    return found


ENGINE = chosen(os.environ.get(VARIABLE), [engine for engine in ENGINES if engine.is_installed()])
