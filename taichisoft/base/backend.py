"""The backend that runs the kernels: chosen once per process, lazily, and never changed silently."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import weakref
from pathlib import Path
from typing import Any

import torch

from taichisoft.base.engine import ENGINE
from taichisoft.base.inside import INSIDE
from taichisoft.base.log import logger
from taichisoft.base.memory import keep_freed_memory
from taichisoft.base.taichi import ti
from taichisoft.base.vulkan_device import vulkan_devices

BACKENDS = ("cpu", "cuda", "vulkan", "metal")
VARIABLE = "TAICHISOFT_BACKEND"
DEBUG_VARIABLE = "TAICHISOFT_DEBUG"
# Bytes of compiled kernels on disk. Those of `tests.compiled` alone take 60 MB, and a program that ends while
# there are more than Taichi's own limit, 100 MB, deletes a quarter of them.
CACHE_SIZE = 2**30
CACHE_SIZE_VARIABLE = ENGINE.variable("OFFLINE_CACHE_MAX_SIZE_OF_FILES")

_active: str | None = None
# Taichi's runtime that kernels were compiled in. Not held: what is alive at exit keeps their cache unwritten.
_runtime: weakref.ref | None = None
# Whether this process is a fork of one in which Taichi ran.
_forked = False


def init(backend: str | None = None) -> str:
    """Choose the backend that runs the kernels of this process.

    Optional: the first render does it. Once chosen it stays, since Taichi cannot change its device without
    losing what it has compiled.

    Parameters
    ----------
    backend : str, optional
        "cpu", "cuda", "vulkan" or "metal". Default: the environment variable ``TAICHISOFT_BACKEND``, else
        the best one present: CUDA, Metal, Vulkan on a hardware device, CPU. A Vulkan software driver is
        used only when asked for.

    Returns
    -------
    str
        The name of the backend that runs.

    Raises
    ------
    ValueError
        An unknown name.
    RuntimeError
        The backend cannot be had here, or another one runs already; Taichi was reset after it had been
        chosen; this process was forked from one in which it had been.

    Notes
    -----
    Threads do not survive a fork, and a render in the child would wait for them for ever: there it raises,
    while a child that does not render (a worker that loads data) goes on. Start processes that render by
    "spawn" or "forkserver", or fork before the first render.

    With the environment variable ``TAICHISOFT_DEBUG=1`` kernels check their array bounds (CPU; slow).
    """
    global _active, _runtime
    check_usable()
    wanted, source = _requested(backend)
    if _active is not None:
        if wanted not in (None, _active):
            raise RuntimeError(
                f"backend {wanted!r} ({source}) cannot be chosen: {_active!r} runs already in this "
                f"process; call taichisoft.init({wanted!r}) before the first render, in a new process"
            )
        return _active
    name = wanted or best_backend()
    _start(name, source)
    # Compiled kernels are written to their cache when Taichi's program ends, which whatever is still alive
    # at exit would prevent: a single image that requires a gradient did.
    atexit.register(ti.reset)
    if name == "cpu":
        keep_freed_memory()
    _active = name
    _runtime = weakref.ref(ti.lang.impl.get_runtime())
    logger.info(
        "backend %s of %s (%s)", name, ENGINE.title, source if wanted else "the best one present"
    )
    return name


def backend() -> str:
    """Return the name of the backend that runs the kernels; chooses one if none runs yet."""
    check_usable()
    return _active or init()


def engine_name() -> str:
    """Return what compiles and runs the kernels: "taichi", or "quadrants", the fork of it that goes on.

    The environment variable ``TAICHISOFT_ENGINE`` chooses it, before taichisoft is imported. By default it is
    Taichi where that is installed, else quadrants.

    Raises
    ------
    ValueError
        From the import: the variable is neither name.
    ImportError
        From the import: what the variable names is not installed, or neither is.
    """
    return ENGINE.name


def check_usable() -> None:
    """Raise RuntimeError where no kernel can run: in a fork, or after Taichi was reset."""
    if _forked:
        raise RuntimeError(
            f"no render is possible here: this process was forked after taichisoft or {ENGINE.title} "
            "had started, and threads do not survive that; start it by spawn or forkserver "
            '(torch.multiprocessing.set_start_method("spawn"), multiprocessing_context="spawn" of a '
            "DataLoader), or fork before the first render"
        )
    if _runtime is not None and _runtime() is not ti.lang.impl.get_runtime():
        raise RuntimeError(
            f"no render is possible any more: {ENGINE.title} was reset ({ENGINE.alias}.reset, or "
            f"{ENGINE.alias}.init for a second time) after taichisoft had started, which deleted what it had "
            f"compiled; call {ENGINE.alias}.init before the first render only, or start a new process"
        )


def available_backends() -> dict[str, bool]:
    """Return for each backend whether it can be had on this machine. Starts nothing."""
    return {name: _reason_missing(name) is None for name in BACKENDS}


def best_backend() -> str:
    """Return the backend that `init` chooses when none is asked for."""
    if _reason_missing("cuda") is None:
        return "cuda"
    if _reason_missing("metal") is None:
        return "metal"
    hardware = any(is_hardware for _, is_hardware in vulkan_devices())
    return "vulkan" if hardware and _reason_missing("vulkan") is None else "cpu"


def threads() -> int:
    """Return how many threads run the kernels of the CPU backend."""
    return ti.lang.impl.current_cfg().cpu_max_num_threads


def in_debug_mode() -> bool:
    """Return whether kernels check their array bounds."""
    return ti.lang.impl.current_cfg().debug


def cache_folder() -> Path:
    """Return where compiled kernels are kept; ``XDG_CACHE_HOME`` moves it."""
    return INSIDE.cache_folder


def kernel_dtype(dtype: torch.dtype) -> Any:
    """Return the kernel float type of a tensor dtype; raises if the running backend lacks it."""
    if dtype == torch.float32:
        return ti.f32
    if backend() in ("vulkan", "metal"):
        raise TypeError(
            f"float64 is not available on the {backend()!r} backend; pass float32 vertices and "
            'cameras, or use the "cpu" backend'
        )
    return ti.f64


def _requested(backend: str | None) -> tuple[str | None, str]:
    name, source = backend, "argument backend"
    # The variable is a default: it chooses when nothing runs, and does not contradict what runs.
    if name is None and _active is None:
        name, source = os.environ.get(VARIABLE) or None, f"environment variable {VARIABLE}"
    if name is not None and name not in BACKENDS:
        raise ValueError(f"{source} must be one of {', '.join(BACKENDS)}, got {name!r}")
    return name, source


def _reason_missing(name: str) -> str | None:
    if name == "vulkan" and not vulkan_devices():
        return "the Vulkan loader finds no device (no loader, no driver, or no permission)"
    with contextlib.redirect_stdout(io.StringIO()):
        supported = ti.lang.misc.is_arch_supported(getattr(ti, name))
    return None if supported else f"{ENGINE.title} finds no {name} driver or device"


def _start(name: str, source: str) -> None:
    if INSIDE.program is not None:
        running = ti.lang.impl.current_cfg().arch
        if running != getattr(ti, name):
            raise RuntimeError(
                f"backend {name!r} ({source}) cannot be chosen: this process has initialised "
                f"{ENGINE.title} itself, on {ti._lib.core.arch_name(running)}"
            )
        return
    missing = _reason_missing(name)
    if missing is not None:
        present = ", ".join(n for n in BACKENDS if _reason_missing(n) is None)
        raise RuntimeError(
            f"backend {name!r} ({source}) cannot be had: {missing}; present here: {present}"
        )
    # Taichi would follow this variable to another device without a word.
    variable = ENGINE.variable("ARCH")
    override = os.environ.pop(variable, None)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            ti.init(
                arch=getattr(ti, name),
                log_level=ti.ERROR,
                enable_fallback=False,
                debug=name == "cpu" and os.environ.get(DEBUG_VARIABLE) == "1",
                **_cache_size(),
            )
    finally:
        if override is not None:
            os.environ[variable] = override
    started = ti.lang.impl.current_cfg().arch
    if started != getattr(ti, name):
        ti.reset()
        raise RuntimeError(
            f"backend {name!r} ({source}) cannot be had: {ENGINE.title} started "
            f"{ti._lib.core.arch_name(started)} instead"
        )


def _cache_size() -> dict[str, int]:
    """Return the limit of the cache for ``ti.init``; nothing if the environment has one."""
    return (
        {} if CACHE_SIZE_VARIABLE in os.environ else {"offline_cache_max_size_of_files": CACHE_SIZE}
    )


def _note_fork() -> None:
    """Remember, in the child of a fork, that Taichi ran in the parent."""
    global _forked
    if _active is not None or INSIDE.program is not None:
        _forked = True
        # At exit it would wait for threads that are not there.
        atexit.unregister(ti.reset)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
