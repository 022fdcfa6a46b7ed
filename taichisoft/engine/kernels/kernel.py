"""Kernels whose parameters may be bundles: named tuples of arrays and numbers that belong together.

Taichi takes the arrays and numbers of a kernel one by one. Here a parameter is annotated with `Floats`,
`Ints`, ``int``, ``float`` or `Constant`, or with a `typing.NamedTuple` whose fields are annotated so. What
Taichi compiles is written here: a kernel that takes all fields one by one and hands them on in bundles. The
function is inlined there, so that bundles cost a device nothing.
"""

import linecache
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Annotated, Any

from taichisoft.base.taichi import ti
from taichisoft.engine.kernels.direct import Direct
from taichisoft.engine.kernels.vectors import (
    lanes_of,
    whole_vectors,
    whole_vectors_in_order,
    whole_vectors_of_llvm,
)

# Flat arrays: of the float type of the kernel, and of int32.
Floats = Annotated[Any, "floats"]
Ints = Annotated[Any, "ints"]
# Of vector kernels: vectors that fill a register, of both types, (n, lanes), and rows of four, (n, 4).
Vectors = Annotated[Any, "vectors"]
IntVectors = Annotated[Any, "int vectors"]
Quads = Annotated[Any, "quads"]
# Known when a kernel is compiled, once for each value.
Constant = Annotated[int, "constant"]

NAMES = {
    Floats: "Floats",
    Ints: "Ints",
    Vectors: "Vectors",
    IntVectors: "IntVectors",
    Quads: "Quads",
    int: "int",
    float: "float",
    Constant: "Constant",
}


def kernel(real):
    """Return a decorator that makes a kernel for the float type `real`."""
    return _decorator(real, nullcontext)


def vector_kernel(real):
    """Return a decorator that makes a kernel whose vectors stay whole, for the float type `real`."""
    return _decorator(real, whole_vectors)


def large_vector_kernel(real):
    """Return a decorator like `vector_kernel`, for a kernel that Taichi would optimise for a minute."""
    return _decorator(real, whole_vectors_of_llvm)


def ordered_vector_kernel(real):
    """Return a decorator like `large_vector_kernel`, for products that overflow in another order."""
    return _decorator(real, whole_vectors_in_order)


def _decorator(real, compiling: Callable[[], AbstractContextManager]) -> Callable:
    def decorate(function: Callable) -> Callable[..., None]:
        kinds = {name: p.annotation for name, p in signature(function).parameters.items()}
        leaves = [leaf for name, kind in kinds.items() for leaf in _leaves(name, kind)]
        # The arguments of the kernel that Taichi compiles; written out, since every launch does it.
        paths = ", ".join(path for path, _ in leaves)
        fields = eval(f"lambda {', '.join(kinds)}: ({paths},)")
        compiled = Direct(ti.kernel(_taking_fields(function, kinds, leaves, real)), compiling)

        def run(*arguments) -> None:
            compiled(*fields(*arguments))

        return run

    return decorate


def _leaves(path: str, kind) -> Iterator[tuple[str, str]]:
    """Yield path and name of the type of the fields of a bundle, of its bundles too, or of what is none."""
    if kind in NAMES:
        yield path, NAMES[kind]
        return
    for field, of in kind.__annotations__.items():
        yield from _leaves(f"{path}.{field}", of)


def _bundle(path: str, kind, scope: dict) -> str:
    """Write what makes a bundle of its fields; its type is put into the scope."""
    if kind in NAMES:
        return _flat(path)
    scope[kind.__name__] = kind
    fields = (_bundle(f"{path}.{field}", of, scope) for field, of in kind.__annotations__.items())
    return f"{kind.__name__}({', '.join(fields)})"


def _flat(path: str) -> str:
    return path.replace(".", "_")


def _taking_fields(
    function: Callable, kinds: dict, leaves: list[tuple[str, str]], real
) -> Callable:
    """Return a function for Taichi that takes the fields of all bundles one by one."""
    function.__annotations__ = dict.fromkeys(kinds, ti.template())
    scope = {
        "Floats": ti.types.ndarray(real, 1),
        "Ints": ti.types.ndarray(ti.i32, 1),
        "Vectors": ti.types.ndarray(ti.types.vector(lanes_of(real), real), 1),
        "IntVectors": ti.types.ndarray(ti.types.vector(lanes_of(real), ti.i32), 1),
        "Quads": ti.types.ndarray(ti.types.vector(4, real), 1),
        "int": ti.i32,
        "float": real,
        "Constant": ti.template(),
        "function": ti.func(function),
        "ti": ti,
    }
    parameters = ", ".join(f"{_flat(path)}: {kind}" for path, kind in leaves)
    arguments = (
        name if kind in NAMES else f"ti.static({_bundle(name, kind, scope)})"
        for name, kind in kinds.items()
    )
    name = function.__name__
    source = f"def {name}({parameters}):\n    function({', '.join(arguments)})\n"
    # Where Taichi looks for the source of what it compiles.
    file = f"<{function.__module__}.{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), scope)
    return scope[name]
