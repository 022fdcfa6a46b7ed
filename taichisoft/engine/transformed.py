"""A function that autograd can differentiate twice, made known to ``torch.func`` and forward mode. Private.

A transform gives a function tensors that kernels cannot read. Here its numbers, its adjoint, its tangents and
the derivative of its adjoint are operations of their own, each of which says how it is transformed. At the
bottom, where all transforms are undone, they run the function on plain tensors under autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.base.eager import eager_class

Tensors = tuple[Tensor, ...]
Optional = tuple[Tensor | None, ...]
Needed = tuple[bool, ...]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Transformed:
    """A function of tensors that any transform may be applied to.

    Parameters
    ----------
    function : callable
        Takes a tuple of plain tensors and returns one, differentiable twice by autograd.
    differentiated : bool
        Whether derivatives may be asked for. Otherwise nothing is kept for them.
    symmetric : bool
        Whether its gradients are all those of one function, so that second derivatives are symmetric.
    together : callable, optional
        Takes which inputs have one more axis in front, and returns the function that is applied along it in
        one go, with results that have it too; or None where that cannot be.
    """

    function: Callable[[Tensors], Tensors]
    differentiated: bool
    symmetric: bool
    together: Callable[[Needed], Callable[[Tensors], Tensors] | None] = lambda _: None
    _several: dict[Needed, Transformed | None] = field(default_factory=dict)
    _graphs: dict[tuple, tuple[_Graph, tuple[int, ...]]] = field(default_factory=dict)

    def __call__(self, *inputs: Tensor) -> Tensors:
        """Return the results."""
        return _Values.apply(_Plan(self, (True,) * len(inputs)), *inputs)

    def several(self, apart: Needed) -> Transformed | None:
        """Return the function of several inputs each in the places of `apart`, if it can be had at once."""
        if apart not in self._several:
            function = self.together(apart)
            self._several[apart] = (
                Transformed(function, self.differentiated, self.symmetric) if function else None
            )
        return self._several[apart]

    def graph(self, inputs: Tensors) -> _Graph:
        """Return the graph of the function at some inputs, which many derivatives are taken of."""
        # The leaves of a graph hold the memory, so that no other tensor can have come to be there.
        place = tuple((x.data_ptr(), x.shape, x.stride(), x.dtype) for x in inputs)
        versions = tuple(x._version for x in inputs)
        if place not in self._graphs:
            self._graphs[place] = _Graph.of(self.function, inputs), versions
        graph, at_first = self._graphs[place]
        if versions != at_first:
            raise RuntimeError(
                "a tensor that a render was made of was modified by an inplace operation before its "
                "derivative was taken; give the render a clone of it"
            )
        return graph


@dataclass(frozen=True, eq=False)
class _Graph:
    """The graph of a function: inputs that are leaves, and its results."""

    leaves: Tensors
    results: Tensors

    @classmethod
    def of(cls, function: Callable[[Tensors], Tensors], inputs: Tensors) -> _Graph:
        with torch.enable_grad():
            leaves = tuple(x.detach().requires_grad_(x.is_floating_point()) for x in inputs)
            return cls(leaves, function(leaves))

    def adjoint(self, upstream: Optional, needed: Needed) -> Tensors:
        """Return the gradients of the inputs that are needed."""
        wanted = [x for x, n in zip(self.leaves, needed, strict=True) if n]
        return _gradients(*self._reached(upstream), wanted)

    def tangents(self, tangents: Optional) -> Tensors:
        """Return the derivatives of all results along tangents of the inputs."""
        # The adjoint is linear in the upstream gradient: its transpose is what is looked for.
        upstream = tuple(
            torch.zeros_like(y).requires_grad_() if y.requires_grad else None for y in self.results
        )
        gradients, seeds = self._adjoint_along(upstream, tangents)
        found = iter(_gradients(gradients, seeds, [u for u in upstream if u is not None]))
        return tuple(
            torch.zeros_like(y) if u is None else next(found)
            for y, u in zip(self.results, upstream, strict=True)
        )

    def curvature(
        self, upstream: Optional, tangents: Optional, needed: Needed, *, along: bool
    ) -> Tensors:
        """Return the gradients of ``<adjoint, tangents>`` in the inputs that are needed.

        Followed, if `along`, by those in the upstream gradients: the derivatives along the tangents.
        """
        if along:
            upstream = tuple(None if u is None else u.detach().requires_grad_() for u in upstream)
        wanted = [x for x, n in zip(self.leaves, needed, strict=True) if n]
        wanted += [u for u in upstream if along and u is not None]
        return _gradients(*self._adjoint_along(upstream, tangents), wanted)

    def _adjoint_along(
        self, upstream: Optional, tangents: Optional
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the gradients of inputs that have tangents, as a graph, and these tangents."""
        pairs = [(x, t) for x, t in zip(self.leaves, tangents, strict=True) if t is not None]
        results, seeds = self._reached(upstream)
        if not results:
            return [], []
        with torch.enable_grad():
            found = torch.autograd.grad(
                results, [x for x, _ in pairs], seeds, create_graph=True, allow_unused=True
            )
        kept = [
            (g, t)
            for g, (_, t) in zip(found, pairs, strict=True)
            if g is not None and g.requires_grad
        ]
        return [g for g, _ in kept], [t for _, t in kept]

    def _reached(self, upstream: Optional) -> tuple[list[Tensor], list[Tensor]]:
        """Return the results that depend on an input and have an upstream gradient, and these."""
        pairs = [
            (y, u)
            for y, u in zip(self.results, upstream, strict=True)
            if u is not None and y.requires_grad
        ]
        return [y for y, _ in pairs], [u for _, u in pairs]


def _gradients(results: list[Tensor], seeds: list[Tensor], wanted: list[Tensor]) -> Tensors:
    """Return gradients by autograd, zeros where there are none; the graph is kept."""
    if not results or not wanted:
        return tuple(torch.zeros_like(x) for x in wanted)
    return torch.autograd.grad(
        results, wanted, seeds, retain_graph=True, allow_unused=True, materialize_grads=True
    )


@dataclass(frozen=True)
class _Plan:
    """What is asked of a function. Not a tuple: transforms look into those.

    Parameters
    ----------
    of : Transformed
        The function.
    needed : tuple of bool
        Of each input, whether its gradient is needed.
    along : bool
        Whether the derivatives along tangents are, too.
    """

    of: Transformed
    needed: Needed
    along: bool = False

    def split(self, operands: Sequence[T]) -> tuple[tuple[T, ...], tuple[T, ...]]:
        """Split operands into those of the inputs of the function and what follows them."""
        count = len(self.needed)
        return tuple(operands[:count]), tuple(operands[count:])

    def spread(self, found: Optional) -> Optional:
        """Return what belongs to the needed inputs, in order, as one entry for each input."""
        values = iter(found)
        return tuple(next(values) if n else None for n in self.needed)


@eager_class
class _Stage(Function):
    """An operation with tensors as results.

    Operands are a `_Plan`, the inputs of the function, upstream gradients of its results, and tangents of
    the inputs, as far as an operation has them.
    """

    takes_tangents = False
    gives_gradients = False

    @classmethod
    def forward(cls, plan, *operands):
        """Compute outside of inference mode, in which transforms differentiate as well."""
        with torch.inference_mode(False):
            return cls.compute(plan, tuple(map(_usable, operands)))

    @classmethod
    def vmap(cls, info, in_dims, plan, *operands):
        """Apply to all at once if the function can be, else to one after the other."""
        if not info.batch_size:
            raise ValueError("a vmap over renders must have at least one scene, got none")
        dims = in_dims[1:]
        mapped = tuple(d is not None for d in dims)
        operands = [
            x if d is None else x.movedim(d, 0) for x, d in zip(operands, dims, strict=True)
        ]
        apart = cls._apart(plan, mapped)
        several = plan.of.several(apart) if any(plan.split(mapped)[0]) else None
        if several is None:
            parts = [
                cls.apply(plan, *(x[i] if m else x for x, m in zip(operands, mapped, strict=True)))
                for i in range(info.batch_size)
            ]
            results = tuple(torch.stack(part) for part in zip(*parts, strict=True))
        else:
            own = cls._own(plan, apart, len(operands))
            operands = [
                x.expand(info.batch_size, *x.shape) if o and not m and x is not None else x
                for x, m, o in zip(operands, mapped, own, strict=True)
            ]
            results = cls.apply(replace(plan, of=several), *operands)
        return results, (0,) * len(results)

    @classmethod
    def _apart(cls, plan, mapped):
        """Return of which inputs each of several calls must have its own."""
        inputs, rest = plan.split(mapped)
        tangents = rest[-len(inputs) :] if cls.takes_tangents else (False,) * len(inputs)
        needed = plan.needed if cls.gives_gradients else (False,) * len(inputs)
        return tuple(map(any, zip(inputs, needed, tangents, strict=True)))

    @classmethod
    def _own(cls, plan, apart, count):
        """Return of which operands each of several calls must have its own: all upstream gradients."""
        tangents = apart if cls.takes_tangents else ()
        return *apart, *(True,) * (count - len(apart) - len(tangents)), *tangents

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.plan, *operands = inputs
        ctx.save_for_backward(*operands)
        ctx.save_for_forward(*operands)
        # What no gradient or tangent comes to is left out.
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(y for y in output if not y.is_floating_point()))


@eager_class
class _Values(_Stage):
    """The results at ``(inputs)``."""

    @staticmethod
    def compute(plan, inputs):
        if plan.of.differentiated:
            results = plan.of.graph(inputs).results
        else:
            results = plan.of.function(inputs)
        return tuple(y.detach() for y in results)

    @staticmethod
    def backward(ctx, *upstream):
        needed = ctx.needs_input_grad[1:]
        return None, *_gradient(ctx.plan, needed, ctx.saved_tensors, upstream)

    @staticmethod
    def jvp(ctx, _, *tangents):
        found = _Tangents.apply(ctx.plan, *ctx.saved_tensors, *tangents)
        return tuple(t if t.is_floating_point() else None for t in found)


@eager_class
class _Adjoint(_Stage):
    """The gradients of the needed inputs at ``(inputs, upstream)``."""

    gives_gradients = True

    @staticmethod
    def compute(plan, operands):
        inputs, upstream = plan.split(operands)
        return plan.of.graph(inputs).adjoint(upstream, plan.needed)

    @staticmethod
    def backward(ctx, *cotangents):
        inputs, upstream = ctx.plan.split(ctx.saved_tensors)
        tangents = ctx.plan.spread(cotangents)
        by_inputs, by_upstream = ctx.plan.split(ctx.needs_input_grad[1:])
        if any(by_inputs):
            # One sweep for both.
            plan = replace(ctx.plan, needed=by_inputs, along=any(by_upstream))
            return None, *_curvature(plan, inputs, upstream, tangents)
        straight = _Tangents.apply(ctx.plan, *inputs, *tangents)
        none = (None,) * len(inputs)
        return None, *none, *(t if n else None for t, n in zip(straight, by_upstream, strict=True))

    @staticmethod
    def jvp(ctx, _, *tangents):
        plan = ctx.plan
        inputs, upstream = plan.split(ctx.saved_tensors)
        of_inputs, of_upstream = plan.split(tangents)
        parts = []
        if any(t is not None for t in of_upstream):
            parts.append(_Adjoint.apply(plan, *inputs, *of_upstream))
        if any(t is not None for t in of_inputs):
            if not plan.of.symmetric:
                raise RuntimeError(
                    "a forward derivative of a gradient (torch.func.hessian, jvp of grad) is not available "
                    "with a StraightThrough, whose gradients are not all those of one function; use jacrev "
                    "of jacrev, or vjp of grad"
                )
            # The derivative of a gradient along the tangents, since second derivatives are symmetric.
            parts.append(_Curvature.apply(plan, *inputs, *upstream, *of_inputs))
        return tuple(sum(part) for part in zip(*parts, strict=True))


@eager_class
class _Tangents(_Stage):
    """The derivatives of the results at ``(inputs, tangents)``, along the tangents."""

    takes_tangents = True

    @staticmethod
    def compute(plan, operands):
        inputs, tangents = plan.split(operands)
        return plan.of.graph(inputs).tangents(tangents)

    @staticmethod
    def backward(ctx, *upstream):
        inputs, tangents = ctx.plan.split(ctx.saved_tensors)
        by_inputs, by_tangents = ctx.plan.split(ctx.needs_input_grad[1:])
        curved: Optional = (None,) * len(inputs)
        if any(by_inputs):
            plan = replace(ctx.plan, needed=by_inputs)
            curved = _curvature(plan, inputs, upstream, tangents)[: len(inputs)]
        return None, *curved, *_gradient(ctx.plan, by_tangents, inputs, upstream)

    @staticmethod
    def jvp(ctx, _, *tangents):
        inputs, _ = ctx.plan.split(ctx.saved_tensors)
        of_inputs, of_tangents = ctx.plan.split(tangents)
        if any(t is not None for t in of_inputs):
            raise RuntimeError(
                "a forward derivative of a forward derivative (jvp of jvp, jacfwd of jacfwd, a third one) "
                "cannot go through a render; use torch.func.hessian or jacrev of jacrev for second "
                "derivatives, and taichisoft.reference for those of any order"
            )
        found = _Tangents.apply(ctx.plan, *inputs, *of_tangents)
        return tuple(t if t.is_floating_point() else None for t in found)


@eager_class
class _Curvature(_Stage):
    """The gradients of ``<adjoint, tangents>`` at ``(inputs, upstream, tangents)``, as the plan says."""

    takes_tangents = True
    gives_gradients = True

    @staticmethod
    def compute(plan, operands):
        inputs, rest = plan.split(operands)
        upstream, tangents = rest[: -len(inputs)], rest[-len(inputs) :]
        graph = plan.of.graph(inputs)
        return graph.curvature(upstream, tangents, plan.needed, along=plan.along)

    @staticmethod
    def backward(ctx, *_):
        _refuse_third()

    @staticmethod
    def jvp(ctx, *_):
        _refuse_third()


def _usable(operand: Tensor | None) -> Tensor | None:
    """Return a tensor that autograd may keep: not one that was made in inference mode."""
    return operand.clone() if operand is not None and operand.is_inference() else operand


def _gradient(plan: _Plan, needed: Needed, inputs: Tensors, upstream: Optional) -> Optional:
    """Return the gradient of each input that is needed."""
    if not any(needed) or all(u is None for u in upstream):
        return (None,) * len(inputs)
    plan = replace(plan, needed=needed)
    return plan.spread(_Adjoint.apply(plan, *inputs, *upstream))


def _curvature(plan: _Plan, inputs: Tensors, upstream: Optional, tangents: Optional) -> Optional:
    """Return the gradients of ``<adjoint, tangents>`` in each input and each upstream gradient."""
    found = _Curvature.apply(plan, *inputs, *upstream, *tangents)
    count = sum(plan.needed)
    straight = iter(found[count:])
    by_upstream = (next(straight) if plan.along and u is not None else None for u in upstream)
    return *plan.spread(found[:count]), *by_upstream


def _refuse_third() -> NoReturn:
    raise RuntimeError(
        "third derivatives of the rasterizer are not available: a second derivative was differentiated; use "
        "taichisoft.reference for derivatives of any order"
    )
