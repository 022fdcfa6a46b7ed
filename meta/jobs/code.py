"""Hash of code: it changes with what the code does, and not with how it is explained, laid out or filed."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def code_digest(modules: tuple[ModuleType, ...]) -> str:
    """Return a hash of the code of modules and, for packages, of all modules below them.

    A package below that is a program, with a ``__main__.py``, is left out: nothing else imports it. It is the
    hash of all statements at the top of the modules, sorted: comments, docstrings, imports, layout and which
    file a function stands in have no part in it.
    """
    files = {path for module in modules for path in _files(module)}
    statements = sorted(s for path in files for s in _statements(path.read_text(encoding="utf-8")))
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()[:16]


def _files(module: ModuleType) -> Iterable[Path]:
    path = Path(module.__file__)
    if path.name != "__init__.py":
        return [path]
    programs = {main.parent for main in path.parent.glob("*/**/__main__.py")}
    return [file for file in path.parent.rglob("*.py") if programs.isdisjoint(file.parents)]


def _statements(source: str) -> Iterator[str]:
    """Yield what the statements at the top of a module mean."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                kept = [part for part in block if not _says_nothing(part)]
                setattr(node, name, kept or ([ast.Pass()] if name == "body" else []))
    for node in tree.body:
        if not isinstance(node, ast.Pass) and not _only_passes(node):
            yield ast.dump(node)


def _says_nothing(node: ast.stmt) -> bool:
    """Tell whether a statement is a docstring or an import."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return (text and isinstance(node.value.value, str)) or isinstance(
        node, ast.Import | ast.ImportFrom
    )


def _only_passes(node: ast.stmt) -> bool:
    """Tell whether a statement is what is left of a block of imports, such as those for types alone."""
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and all(isinstance(n, ast.Pass) for n in node.body)
    )
