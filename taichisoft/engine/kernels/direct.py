"""Direct launches of kernels, without Taichi's examination of every argument at every call.

Taichi looks at the type, the device and the shape of each argument of each call, which costs about 10 us an
array: of a render of a few faces most of the time. The arguments of our kernels are made in this package,
always flat arrays of the annotated type and numbers, so on the CPU the first call of an instantiation goes
through Taichi's front door and later ones hand pointers to what it has compiled. On other backends, and with
a version of Taichi that is built otherwise inside, every call takes the front door; there it is put in the
order of the stream of CUDA that torch is on.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum, auto
from functools import partial
from time import perf_counter
from weakref import WeakKeyDictionary

from taichisoft.base.backend import check_usable
from taichisoft.base.engine import ENGINE
from taichisoft.base.inside import INSIDE
from taichisoft.base.log import logger
from taichisoft.base.streams import in_order
from taichisoft.base.taichi import ti


class _Kind(Enum):
    TEMPLATE = auto()
    ARRAY = auto()
    INTEGER = auto()
    REAL = auto()


class Direct:
    """A kernel with a short way in.

    Parameters
    ----------
    kernel : callable
        Made by ``ti.kernel``. Its arguments are templates (hashable), arrays and numbers. No kernel asks for
        the length of an array of vectors, which is not handed on.
    compiling : callable
        Makes the context that an instantiation is compiled in.
    """

    def __init__(
        self,
        kernel: Callable[..., None],
        compiling: Callable[[], AbstractContextManager] = nullcontext,
    ):
        self._kernel = kernel
        self._compiling = compiling
        # What was compiled goes with the runtime (``ti.reset``), and must not keep its program alive: that
        # writes the cache of kernels when it ends.
        self._by_runtime = WeakKeyDictionary()

    def __call__(self, *arguments) -> None:
        """Run the kernel."""
        check_usable()
        runtime = ti.lang.impl.get_runtime()
        found = self._by_runtime.get(runtime)
        if found is None:
            kinds = _kinds(self._kernel) if _on_host() else None
            found = self._by_runtime[runtime] = (kinds, {})
        kinds, launchers = found
        if kinds is None or not _all_on_host(kinds, arguments):
            with self._compiling(), _reading_quickly(), in_order(arguments):
                self._kernel(*arguments)
            return
        key = tuple(
            argument
            for kind, argument in zip(kinds, arguments, strict=True)
            if kind is _Kind.TEMPLATE
        )
        launcher = launchers.get(key)
        if launcher is None:
            start = perf_counter()
            with self._compiling(), _reading_quickly():
                self._kernel(*arguments)
            logger.debug("kernel %s ready after %.2f s", self._name, perf_counter() - start)
            launchers[key] = partial(self._try, launchers, key)
            return
        launcher(INSIDE.program, kinds, arguments)

    @property
    def _name(self) -> str:
        return getattr(self._kernel, "__name__", repr(self._kernel))

    def _try(
        self, launchers: dict, key: tuple, program, kinds: tuple[_Kind, ...], arguments: tuple
    ) -> None:
        """Launch directly for the first time; where that fails, by the front door from now on.

        What Taichi has inside is not promised to anyone: whatever a version of it raises is no news to users.
        """
        try:
            with self._compiling(), _reading_quickly():
                launcher = _launcher(self._kernel, arguments)
            launcher(program, kinds, arguments)
        except Exception as error:
            logger.info(
                "kernel %s is launched by the front door of %s: %r",
                self._name,
                ENGINE.title,
                error,
            )
            launcher = self._by_front_door
            launcher(program, kinds, arguments)
        launchers[key] = launcher

    def _by_front_door(self, program, kinds: tuple[_Kind, ...], arguments: tuple) -> None:
        self._kernel(*arguments)


# What reads slowly: an object, the name in it, what stands there and what is quicker.
_QUICK = tuple(
    (of, name, getattr(of, name), quicker(getattr(of, name)))
    for of, name, quicker in INSIDE.slow_readings
    if hasattr(of, name)
)


@contextmanager
def _reading_quickly() -> Iterator[None]:
    """Let Taichi do once what it does for each call or expression of a kernel that it reads.

    Every process reads the kernels that it uses, compiled before or not.
    """
    for of, name, _, quick in _QUICK:
        setattr(of, name, quick)
    try:
        yield
    finally:
        for of, name, slow, _ in _QUICK:
            setattr(of, name, slow)


def _on_host() -> bool:
    config = ti.lang.impl.current_cfg()
    # With checks of bounds on, an error is to be reported as Taichi does it.
    return config.arch in (ti.x64, ti.arm64) and not config.debug


def _all_on_host(kinds: tuple[_Kind, ...], arguments: tuple) -> bool:
    return all(
        argument.is_cpu
        for kind, argument in zip(kinds, arguments, strict=True)
        if kind is _Kind.ARRAY
    )


def _kinds(kernel: Callable) -> tuple[_Kind, ...] | None:
    """Return what the arguments of a kernel are; None where its inside is not as expected."""
    try:
        return tuple(_kind(annotation) for annotation in INSIDE.annotations(kernel))
    except AttributeError:
        return None


def _kind(annotation) -> _Kind:
    if isinstance(annotation, ti.types.ndarray):
        return _Kind.ARRAY
    if annotation in (ti.i32, ti.i64):
        return _Kind.INTEGER
    if annotation in (ti.f32, ti.f64):
        return _Kind.REAL
    return _Kind.TEMPLATE


def _launcher(kernel: Callable, arguments: tuple) -> Callable:
    """Return a function that runs what Taichi has compiled for a call with such arguments."""
    compiled, binary = INSIDE.compiled(kernel, arguments)
    places = [INSIDE.place(index) for index in range(len(arguments))]

    def launch(program, kinds: tuple[_Kind, ...], arguments: tuple) -> None:
        context = compiled.make_launch_context()
        at = 0
        for kind, argument in zip(kinds, arguments, strict=True):
            if kind is _Kind.TEMPLATE:
                continue
            if kind is _Kind.ARRAY:
                count = argument.numel()
                context.set_arg_external_array_with_shape(
                    places[at], argument.data_ptr(), count * argument.element_size(), (count,), 0
                )
            elif kind is _Kind.INTEGER:
                context.set_arg_int(places[at], argument)
            else:
                context.set_arg_float(places[at], argument)
            at += 1
        program.launch_kernel(binary, context)

    return launch
