"""Transforms of ``torch.func`` and forward-mode differentiation: whether one is active, and its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._C import _functorch
from torch.autograd import forward_ad

from taichisoft.base.eager import eager


@eager
def transforming() -> bool:
    """Return whether this is run by a transform of ``torch.func``, or may see a forward derivative."""
    return _functorch.peek_interpreter_stack() is not None or _sees_tangents()


@eager
def beneath(value: Tensor) -> Tensor:
    """Return the numbers of a tensor of any transform, nested ones too; of others the tensor itself.

    Those of a ``vmap`` have one more axis, somewhere. For checks: no derivative goes through.
    """
    while _functorch.is_functorch_wrapped_tensor(value):
        value = _functorch.get_unwrapped(value)
    return value


def is_differentiated(value: Tensor) -> bool:
    """Return whether a derivative with respect to this tensor may be asked for, of any kind or transform."""
    while _functorch.is_functorch_wrapped_tensor(value):
        if _functorch.is_gradtrackingtensor(value):
            return True
        value = _functorch.get_unwrapped(value)
    if value.requires_grad and not torch.is_inference_mode_enabled():
        return True
    return _sees_tangents() and forward_ad.unpack_dual(value).tangent is not None


def is_mapped(value: Tensor) -> bool:
    """Return whether a tensor is that of one of several, by a ``vmap``."""
    while _functorch.is_functorch_wrapped_tensor(value):
        if _functorch.is_batchedtensor(value):
            return True
        value = _functorch.get_unwrapped(value)
    return False


def is_traced(value: Tensor) -> bool:
    """Return whether a transform or a derivative has to do with a tensor: all others are constants."""
    return _functorch.is_functorch_wrapped_tensor(value) or is_differentiated(value)


@contextmanager
def set_aside() -> Iterator[None]:
    """Run as if there were no transforms: for what is a constant to them, but made by autograd."""
    layers = []
    try:
        while _functorch.peek_interpreter_stack() is not None:
            layers.append(_functorch.pop_dynamic_layer_stack())
        yield
    finally:
        while layers:
            _functorch.push_dynamic_layer_stack(layers.pop())


def _sees_tangents() -> bool:
    # Within the rule of an operation the mode is off, though the level is still there.
    return forward_ad._current_level >= 0 and torch._C._is_fwd_grad_enabled()
