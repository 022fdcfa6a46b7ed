"""The public interface is annotated, and the annotations say what a typed program needs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files

import pytest

import taichisoft as ts
from tests.documents import typed_user
from tests.helpers import ROOT

# Parts of other libraries that no annotation of ours comes from, and most of what there is to read.
ASIDE = (
    *("_decomp", "_dynamo", "_export", "_functorch", "_higher_order_ops", "_inductor", "_library"),
    *("_prims", "_refs", "_subclasses", "ao", "distributed", "export", "fx", "jit", "onnx"),
    *("package", "profiler", "testing"),
)
CONFIG = f"""
[mypy]
[mypy-{",".join(f"torch.{name}.*" for name in ASIDE)},sympy.*]
follow_imports = skip
"""


def test_what_is_left_aside_is_in_no_annotation():
    source = "\n".join(path.read_text() for path in sorted((ROOT / "taichisoft").rglob("*.py")))
    used = set(re.findall(r"\btorch\.(\w+)", source))
    assert not used & set(ASIDE)


@pytest.mark.cpu_only
def test_a_typed_program_passes_the_strictest_flags(tmp_path):
    # The library itself is checked by `make lint`; here it is what its user sees.
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG)
    # A cache would be for this once.
    flags = ["--strict", "--follow-imports=silent", "--no-incremental", f"--config-file={config}"]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "tests/documents/typed_user.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.stdout.startswith("Success"), run.stdout + run.stderr


@pytest.mark.cpu_only
def test_the_typed_program_runs(tmp_path):
    assert typed_user.main(tmp_path).loss.isfinite()


def test_the_package_says_that_it_is_typed():
    assert (files(ts) / "py.typed").is_file()


def functions() -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the public functions, and the public methods and constructors of public classes."""
    for name in dir(ts):
        value = getattr(ts, name)
        for each in vars(value).values() if inspect.ismodule(value) else [value]:
            if not getattr(each, "__module__", "").startswith("taichisoft"):
                continue
            if inspect.isfunction(each) and not each.__name__.startswith("_"):
                yield f"{name}: {each.__name__}", each
            elif inspect.isclass(each):
                yield from methods(name, each)


def methods(name: str, kind: type) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the public methods of a class and of its bases in the library."""
    for base in (base for base in kind.__mro__ if base.__module__.startswith("taichisoft")):
        for attribute, value in vars(base).items():
            unwrapped = getattr(value, "fget", None) or getattr(value, "__func__", value)
            private = attribute.startswith("_") and attribute != "__init__"
            if inspect.isfunction(unwrapped) and not private:
                yield f"{name}: {base.__name__}.{attribute}", unwrapped


def missing(function: Callable[..., object]) -> list[str]:
    """Return the parameters without an annotation, and "return" if the result has none."""
    signature = inspect.signature(function)
    names = [
        parameter.name
        for index, parameter in enumerate(signature.parameters.values())
        if parameter.annotation is parameter.empty
        and not (index == 0 and parameter.name in ("self", "cls"))
    ]
    constructs = function.__name__ == "__init__"
    unsaid = signature.return_annotation is signature.empty and not constructs
    return names + ["return"] * unsaid


def test_public_functions_are_fully_annotated():
    found = dict(functions())
    assert len(found) > 300
    assert {name: missing(f) for name, f in found.items() if missing(f)} == {}


def test_a_missing_annotation_is_found():
    class Half:
        def method(self, a, b: int):
            """Lack one parameter and the result."""

    assert dict(methods("x", Half)) == {}
    assert missing(Half.method) == ["a", "return"]
