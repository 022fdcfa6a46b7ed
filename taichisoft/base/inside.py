"""What the engines are inside, where this library goes past their front doors.

None of it is promised to anyone. All that differs between Taichi and quadrants is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, final

from taichisoft.base.engine import ENGINE, QUADRANTS, TAICHI
from taichisoft.base.taichi import ti

# An object, a name in it, and what makes something quicker of what stands there.
Reading = tuple[Any, str, Callable[[Any], Any]]


class Inside(ABC):
    """The inside of an engine."""

    @property
    @abstractmethod
    def program(self) -> Any:
        """What launches kernels; None before ``ti.init``."""

    @abstractmethod
    def annotations(self, kernel: Any) -> list[Any]:
        """Return those of the parameters of a kernel; AttributeError if it is built otherwise."""

    @abstractmethod
    def compiled(self, kernel: Any, arguments: tuple) -> tuple[Any, Any]:
        """Return what a call with such arguments runs: a maker of contexts, and the binary."""

    @abstractmethod
    def place(self, index: int) -> Any:
        """Return what a context, which takes the arguments of a launch, calls the one with an index."""

    @property
    @abstractmethod
    def slow_readings(self) -> tuple[Reading, ...]:
        """What reads the source at each call that is inlined, thousands of times, and need do so once."""

    @property
    def cache_folder(self) -> Path:
        """Where compiled kernels are kept."""
        return Path(ti._lib.core.get_repo_dir()) / f"{ENGINE.alias}cache"


@final
class InsideTaichi(Inside):
    """That of Taichi 1.7."""

    @property
    def program(self) -> Any:
        """That of the runtime."""
        return ti.lang.impl.get_runtime().prog

    def annotations(self, kernel: Any) -> list[Any]:
        """Return those of what it calls arguments."""
        return [argument.annotation for argument in kernel._primal.arguments]

    def compiled(self, kernel: Any, arguments: tuple) -> tuple[Any, Any]:
        """Return what it compiles on the way to the binary, and that."""
        primal = kernel._primal
        made = primal.compiled_kernels[primal.ensure_compiled(*arguments)]
        program = self.program
        return made, program.compile_kernel(program.config(), program.get_device_caps(), made)

    def place(self, index: int) -> tuple[int]:
        """Return a path, since an argument may be a structure."""
        return (index,)

    @property
    def slow_readings(self) -> tuple[Reading, ...]:
        """Look-ups of sources, wraps of lines, and positions in files."""
        reader = ti.lang.kernel_impl
        context = ti.lang.ast.ast_transformer_utils.ASTTransformerContext
        return (
            (reader, "getsourcelines", cache),
            (reader, "getsourcefile", cache),
            (reader, "textwrap", _wrapping_once),
            (context, "get_pos_info", lambda _: _position),
        )


@final
class InsideQuadrants(Inside):
    """That of quadrants 1.3 and 1.4."""

    @property
    def program(self) -> Any:
        """That of the runtime, whose public name raises where there is none."""
        return ti.lang.impl.get_runtime()._prog

    def annotations(self, kernel: Any) -> list[Any]:
        """Return those of what it calls metas of arguments."""
        return [meta.annotation for meta in kernel._primal.arg_metas]

    def compiled(self, kernel: Any, arguments: tuple) -> tuple[Any, Any]:
        """Return what it has kept of an earlier call."""
        primal = kernel._primal
        key = primal.ensure_compiled(*arguments)
        return primal.materialized_kernels[key], primal.compiled_kernel_data_by_key[key]

    def place(self, index: int) -> int:
        """Return the index."""
        return index

    @property
    def slow_readings(self) -> tuple[Reading, ...]:
        """Look-ups of sources, wraps of lines, and positions in files."""
        # Underscored, so that it may go with any version.
        reader = getattr(ti.lang, "_func_base", None)
        context = ti.lang.ast.ast_transformer_utils.ASTTransformerFuncContext
        return (
            (reader, "get_source_info_and_src", cache),
            (reader, "textwrap", _wrapping_once),
            (context, "_build_pos_info", lambda _: _position),
        )


def _wrapping_once(textwrap: ModuleType) -> SimpleNamespace:
    """Return what wraps each text once."""
    return SimpleNamespace(fill=cache(textwrap.fill), dedent=cache(textwrap.dedent))


def _position(context: Any, node: Any) -> str:
    """Return where in the source a node is; they would print the line with marks under it, too."""
    line = node.lineno + context.lineno_offset
    return f'File "{context.file}", line {line}, in {context.func.func.__name__}:\n'


INSIDE: Inside = {TAICHI: InsideTaichi, QUADRANTS: InsideQuadrants}[ENGINE]()
