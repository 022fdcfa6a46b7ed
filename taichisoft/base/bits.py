"""Bits: whether tensors still hold the numbers that they held, found out in well under a microsecond each.

Their memory is compared, and not their versions: writing through ``.data``, or through an array of NumPy that
shares it, counts none, and tensors of inference mode have none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN_TENSORS = (Tensor, nn.Parameter)
# Of tensors whose bits NumPy shows.
DTYPES = (torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.bool)
# Bytes up to which copying them all to compare the copy is as quick as anything.
SMALL = 2**14


class Bits:
    """The numbers in the memory of tensors, as they are now. A copy of it is None: its tensors are others.

    The memory is held, so that it is not given to something new, and the tensors are not.

    Parameters
    ----------
    tensors : tuple of Tensor
        All of them `readable`.
    """

    def __init__(self, tensors: tuple[Tensor, ...]):
        # An array of the tensor itself, or a view that is detached from it, would hold it.
        self._reads = tuple(_read(tensor.data.numpy()) for tensor in tensors)
        self._numbers = [read() for read in self._reads]
        self._places = _places(tensors)

    def are_of(self, tensors: tuple[Tensor, ...]) -> bool:
        """Return whether the same tensors lie where they lay, and are what they were, bit by bit."""
        return (
            _places(tensors) == self._places and [read() for read in self._reads] == self._numbers
        )

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


def _places(tensors: tuple[Tensor, ...]) -> list[object]:
    places: list[object] = [tensor.data_ptr() for tensor in tensors]
    return places + [(tensor.shape, tensor.stride()) for tensor in tensors if tensor.ndim]


def _read(view: np.ndarray[Any, Any]) -> Callable[[], object]:
    """Return what gives equal values as long as an array is the same."""
    if view.nbytes <= SMALL or view.dtype.kind not in "iu":
        return view.tobytes
    return partial(np.array_equal, view, view.copy())


def readable(tensor: Tensor) -> bool:
    """Return whether a tensor is plain numbers in the main memory."""
    return (
        type(tensor) in PLAIN_TENSORS
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and tensor.dtype in DTYPES
        and not tensor.is_neg()
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )
