"""The bridge between torch and kernels: operations that are differentiable twice. Private.

A new operation says how its values, its adjoint and the derivative of its adjoint are computed; `Rendered`
has the last one from a render that torch can differentiate twice. Kernels get detached, contiguous, flat
tensors (`flat`) of sizes that the operation sees to, since Taichi checks neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd import Function

from taichisoft.base.eager import eager_class

Tensors = tuple[Tensor, ...]
Gradients = tuple[Tensor | None, ...]
Needed = tuple[bool, ...]


class Operation(ABC):
    """A function of tensors that kernels compute, and its first two derivatives."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the result, differentiable twice in the inputs."""
        return _Values.apply(self, *inputs)

    @abstractmethod
    def values(self, *inputs: Tensor) -> tuple[Tensor, Tensors]:
        """Return the result, and what the adjoint is to be given of it, without a gradient."""

    @abstractmethod
    def adjoint(
        self, upstream: Tensor, kept: Tensors, inputs: Tensors, needed: Needed
    ) -> Gradients:
        """Return the gradient of each input; None for one that has none.

        `needed` says of each input whether its gradient is asked for.
        """

    @abstractmethod
    def second_order(
        self,
        upstream: Tensor,
        kept: Tensors,
        inputs: Tensors,
        cotangents: Gradients,
        needed: Needed,
    ) -> Gradients:
        """Return the gradients of ``<adjoint, cotangents>`` in the upstream gradient and in the inputs.

        `needed` says of the upstream gradient and of each input whether that gradient is asked for.
        """


class Rendered(Operation):
    """An operation whose adjoint is differentiated by rendering again, as a graph of torch."""

    @abstractmethod
    def render(self, kept: Tensors, *inputs: Tensor) -> Tensor:
        """Return a result with the gradients of `values`, which torch can differentiate twice."""

    def second_order(
        self,
        upstream: Tensor,
        kept: Tensors,
        inputs: Tensors,
        cotangents: Gradients,
        needed: Needed,
    ) -> Gradients:
        """Return the gradients of ``<adjoint, cotangents>`` in the upstream gradient and in the inputs."""
        with torch.enable_grad():
            # An input whose gradient is only to be differentiated, not differentiated in, requires one too.
            required = [n or c is not None for n, c in zip(needed[1:], cotangents, strict=True)]
            upstream = upstream.detach().requires_grad_()
            inputs = tuple(
                x.detach().requires_grad_(r) for x, r in zip(inputs, required, strict=True)
            )
            chosen = [(x, c) for x, c in zip(inputs, cotangents, strict=True) if c is not None]
            first = torch.autograd.grad(
                self.render(kept, *inputs),
                [x for x, _ in chosen],
                upstream,
                create_graph=True,
                allow_unused=True,
            )
        pairs = [
            (g, c)
            for g, (_, c) in zip(first, chosen, strict=True)
            if g is not None and g.requires_grad
        ]
        wanted = [x for x, n in zip((upstream, *inputs), needed, strict=True) if n]
        found: Iterator[Tensor | None] = iter([None] * len(wanted))
        if pairs and wanted:
            gradients, seeds = zip(*pairs, strict=True)
            found = iter(torch.autograd.grad(gradients, wanted, list(seeds), allow_unused=True))
        return tuple(next(found) if n else None for n in needed)


@eager_class
class _Values(Function):
    """The values of an operation."""

    @staticmethod
    def forward(ctx, operation, *inputs):
        result, kept = operation.values(*inputs)
        ctx.operation, ctx.split = operation, len(kept)
        ctx.save_for_backward(*kept, *inputs)
        ctx.set_materialize_grads(False)
        return result

    @staticmethod
    def backward(ctx, upstream):
        if upstream is None:
            return (None,) * len(ctx.needs_input_grad)
        needed = ctx.needs_input_grad[1:]
        if not torch.is_grad_enabled():
            # Not to be differentiated: then it need not be an operation of torch.
            tensors = ctx.saved_tensors
            kept, inputs = tensors[: ctx.split], tensors[ctx.split :]
            return None, *ctx.operation.adjoint(upstream, kept, inputs, needed)
        return None, *_Adjoint.apply(ctx.operation, ctx.split, needed, upstream, *ctx.saved_tensors)


@eager_class
class _Adjoint(Function):
    """The gradients of the inputs of an operation."""

    @staticmethod
    def forward(ctx, operation, split, needed, upstream, *tensors):
        ctx.operation, ctx.split = operation, split
        ctx.save_for_backward(upstream, *tensors)
        return operation.adjoint(upstream, tensors[:split], tensors[split:], needed)

    @staticmethod
    def backward(ctx, *cotangents):
        # Inside backward, grad mode is on exactly when create_graph=True was asked for.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "third derivatives of the rasterizer are not available: the backward of a derivative was "
                "called with create_graph=True; use taichisoft.reference for derivatives of any order, and "
                "torch.autograd.functional.vhp in place of hvp, which asks for a third one"
            )
        upstream, *tensors = ctx.saved_tensors
        kept, inputs = tuple(tensors[: ctx.split]), tuple(tensors[ctx.split :])
        _, _, _, by_upstream, *by_tensors = ctx.needs_input_grad
        by_upstream, *found = ctx.operation.second_order(
            upstream, kept, inputs, cotangents, (by_upstream, *by_tensors[ctx.split :])
        )
        return None, None, None, by_upstream, *[None] * ctx.split, *found


def flat(x: Tensor) -> Tensor:
    """Return a detached, contiguous, flat array for a kernel."""
    return x.detach().contiguous().reshape(-1)
