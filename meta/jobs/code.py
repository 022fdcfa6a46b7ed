"""A hash of code that changes with what it does, and not with how it is explained or laid out."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def code_digest(modules: tuple[ModuleType, ...]) -> str:
    """Return a hash of the code of modules and, for packages, of all modules directly in them.

    Comments, docstrings and layout have no part in it.
    """
    found = sorted({path for module in modules for path in _files(module)}, key=lambda p: p.name)
    digest = hashlib.sha256()
    for path in found:
        digest.update(f"{path.name} {_meaning(path.read_text(encoding='utf-8'))}".encode())
    return digest.hexdigest()[:16]


def _files(module: ModuleType) -> Iterable[Path]:
    path = Path(module.__file__)
    return path.parent.glob("*.py") if path.name == "__init__.py" else [path]


def _meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
