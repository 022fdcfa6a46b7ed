"""Renders within transforms of ``torch.func``: a render as a function of all the tensors of its scene."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from torch import Tensor, nn

from taichisoft.appearance.lights import Light, Lighting
from taichisoft.appearance.texture import Texture
from taichisoft.base.transforms import is_differentiated, is_traced, transforming
from taichisoft.engine.transformed import Needed, Tensors, Transformed
from taichisoft.render.several import OneScene, with_one_batch
from taichisoft.softness.softness import Softness

P = ParamSpec("P")
R = TypeVar("R")


class Renderer(Protocol):
    """A module that draws with a softness."""

    softness: Softness
    background: Tensor

    def modules(self) -> Iterator[nn.Module]:
        """Return the module and all in it."""


A = TypeVar("A", bound=Renderer)


def transformable(
    method: Callable[Concatenate[A, P], R],
) -> Callable[Concatenate[A, P], R]:
    """Return a method of a renderer that transforms of ``torch.func`` and forward mode may be applied to.

    Outside of them the method is called as it is. Within, it becomes one operation: what it does with the
    numbers of tensors, it does with plain ones.
    """

    @functools.wraps(method)
    def run(renderer: A, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not transforming():
            return method(renderer, *args, **kwargs)
        return _Drawing(method, renderer, args, kwargs).result()

    return run


class _Drawing(Generic[R]):
    """A call of a method as a function of those tensors, its module's included, that are no constants."""

    def __init__(
        self, method: Callable[..., R], renderer: Renderer, args: tuple, kwargs: dict[str, Any]
    ):
        self.method, self.renderer = method, renderer
        self.names, self.given = tuple(kwargs), (*args, *kwargs.values())
        # With the tensors: when derivatives are asked for, `functional_call` has put others back.
        self.places = list(_places(renderer))
        self.own = [tensor for _, _, tensor in self.places]
        self.inputs = {id(x): x for x in _tensors((self.given, self.own)) if is_traced(x)}
        self.made: R | None = None

    def result(self) -> R:
        """Return what the method returns, of tensors that transforms know."""
        operation = Transformed(
            self.draw,
            differentiated=any(map(is_differentiated, self.inputs.values())),
            # With a curve for the slopes, vertices are differentiated in another function than all else.
            symmetric=self.renderer.softness.coverage.surrogate is None,
            together=self.together,
        )
        results = iter(operation(*self.inputs.values()))
        return _map(self.made, lambda _: next(results))

    def draw(self, plain: Tensors, adapt: Callable[[Any], Any] = lambda x: x) -> Tensors:
        """Return all tensors of the result, given those that stand for the inputs."""
        instead = dict(zip(self.inputs, plain, strict=True))

        def exchange(x: Tensor) -> Tensor:
            return instead.get(id(x), x)

        with _exchanged(self.places, exchange):
            given = [adapt(_map(x, exchange)) for x in self.given]
            count = len(given) - len(self.names)
            kwargs = dict(zip(self.names, given[count:], strict=True))
            self.made = self.method(self.renderer, *given[:count], **kwargs)
        return tuple(_tensors(self.made))

    def together(self, apart: Needed) -> Callable[[Tensors], Tensors] | None:
        """Return the function that draws several scenes as a batch, if those inputs can have one."""
        named = dict(zip(self.names, self.given[len(self.given) - len(self.names) :], strict=True))
        scene = OneScene(self.given, self.renderer.background, named.get("opacity"))
        keys = {key for key, is_apart in zip(self.inputs, apart, strict=True) if is_apart}
        looks = [x for x in self.given if isinstance(x, (Texture, Lighting))]
        if not scene.takes(keys) or keys & {id(x) for x in _tensors((looks, self.own))}:
            return None

        def draw(stacked: Tensors) -> Tensors:
            plain = tuple(
                scene.as_batch(key, x) if key in keys else x
                for key, x in zip(self.inputs, stacked, strict=True)
            )
            return tuple(y.unsqueeze(1) for y in self.draw(plain, with_one_batch))

        return draw


def _map(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return what a render is given or returns with a function applied to each tensor in it."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_map(part, function) for part in value)
    if isinstance(value, dict):
        return {name: _map(part, function) for name, part in value.items()}
    if isinstance(value, Light) or (is_dataclass(value) and not isinstance(value, type)):
        # Past the checks of the constructor, which the value has passed.
        twin = copy.copy(value)
        for name, part in vars(value).items():
            object.__setattr__(twin, name, _map(part, function))
        return twin
    return value


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in what a render is given or returns, in the order of `_map`."""
    found: list[Tensor] = []

    def note(x: Tensor) -> Tensor:
        found.append(x)
        return x

    _map(value, note)
    return found


Place = tuple[dict[str, Any], str, Tensor]


def _places(renderer: Renderer) -> Iterator[Place]:
    """Yield where the parameters and buffers of a module are: a dictionary, a name in it, and the tensor."""
    for module in renderer.modules():
        for holder in (module._parameters, module._buffers):
            yield from ((holder, name, x) for name, x in holder.items() if x is not None)


@contextmanager
def _exchanged(places: list[Place], exchange: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Put what stands for the tensors of a module in their places, for a while."""
    before = [holder[name] for holder, name, _ in places]
    try:
        for holder, name, tensor in places:
            holder[name] = exchange(tensor)
        yield
    finally:
        for (holder, name, _), tensor in zip(places, before, strict=True):
            holder[name] = tensor
