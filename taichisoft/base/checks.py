"""Argument checks: every message names the argument, what was expected and what came."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, TypeVar, overload

import numpy as np
import torch

from taichisoft.base.eager import eager
from taichisoft.base.precision import full_precision
from taichisoft.base.transforms import beneath
from taichisoft.base.trees import checked

FLOAT_DTYPES = (torch.float32, torch.float64)

NOT_A_ROTATION = 1e-3
"""Error of ``R R^T`` above which it is more than rounding."""

Axis = int | str
Shape = tuple[Axis, ...]

T = TypeVar("T")


@overload
def check_type(value: object, name: str, expected: type[T]) -> T: ...
@overload
def check_type(value: object, name: str, expected: tuple[type, ...]) -> Any: ...
def check_type(value: object, name: str, expected: type | tuple[type, ...]) -> object:
    """Return ``value`` if it is an instance of ``expected``, else raise TypeError.

    A record that was put together unchecked is checked now, and raises what its constructor does.
    """
    if not isinstance(value, expected):
        types = expected if isinstance(expected, tuple) else (expected,)
        names = " or ".join(t.__name__ for t in types)
        wanted = f"an {names}" if names[0] in "AEIOaeio" else f"a {names}"
        raise TypeError(f"{name} must be {wanted}, got {_kind_of(value, types)}")
    return checked(value)


def _kind_of(value: object, types: tuple[type, ...]) -> str:
    """Return the type of a value; of a class that only has to be called, how."""
    if not isinstance(value, type):
        return type(value).__name__
    if not issubclass(value, types):
        return f"the class {value.__name__}"
    return (
        f"the class {value.__name__} and not an instance: {value.__name__}({_first_default(value)})"
    )


def _first_default(kind: type) -> str:
    """Return the default of the first argument of a class, as it would be written."""
    try:
        first = next(iter(signature(kind).parameters.values()), None)
    except ValueError:
        return "..."
    if first is not None and first.default is Parameter.empty:
        return "..."
    return repr(first.default) if first and isinstance(first.default, int | float) else ""


def check_dtype(dtype: object) -> None:
    """Raise TypeError unless ``dtype`` is torch.float32 or torch.float64."""
    if dtype not in FLOAT_DTYPES:
        raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype}")


def check_tensor(
    value: object,
    name: str,
    *shapes: Shape,
    dtypes: tuple[torch.dtype, ...] = FLOAT_DTYPES,
) -> torch.Tensor:
    """Return ``value`` if it is a strided tensor of one of the dtypes and one of the shapes.

    Parameters
    ----------
    value : object
        What the caller passed.
    name : str
        Its name in messages.
    *shapes : tuple of int or str
        Allowed shapes; an int is a required length, a str names an axis of any length.
        None given: any shape.
    dtypes : tuple of torch.dtype
        Allowed dtypes.

    Raises
    ------
    TypeError
        Not a tensor, or of another dtype.
    ValueError
        Of another shape, or sparse.
    """
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} must be a Tensor, got ndarray; torch.from_numpy({name}) makes one of it"
        )
    value = check_type(value, name, torch.Tensor)
    if value.dtype not in dtypes:
        wanted = " or ".join(str(d) for d in dtypes)
        raise TypeError(
            f"{name} must be of dtype {wanted}, got {value.dtype}; {_converted(value, name, dtypes[0])}"
        )
    if value.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor, got layout {value.layout}")
    if shapes and not any(_matches(value.shape, shape) for shape in shapes):
        wanted = " or ".join(_format_shape(shape) for shape in shapes)
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(value.shape)}")
    return value


def check_last_axes(value: object, name: str, *lengths: int) -> None:
    """Raise unless ``value`` is a tensor of a float type whose last axes have these lengths."""
    value = check_tensor(value, name)
    if value.shape[-len(lengths) :] != lengths:
        wanted = ", ".join(map(str, lengths))
        raise ValueError(f"{name} must have shape (..., {wanted}), got {tuple(value.shape)}")


@eager
@full_precision
def check_rotation(rotation: torch.Tensor, name: str) -> None:
    """Raise ValueError unless all matrices (..., 3, 3) are orthonormal to within 1e-3 and do not mirror."""
    matrices = rotation.detach()
    if not beneath(matrices).numel():
        return
    identity = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
    error = beneath((matrices @ matrices.mT - identity).abs()).max().item()
    if not error <= NOT_A_ROTATION:
        raise ValueError(
            f"{name} must be a rotation: R R^T differs from the identity by {error:.3g}"
        )
    if not bool(beneath(torch.linalg.det(matrices) > 0).all()):
        raise ValueError(f"{name} must be a rotation: its determinant is -1, so it mirrors")


def _converted(value: torch.Tensor, name: str, dtype: torch.dtype) -> str:
    """Return how a tensor of another dtype becomes one of that dtype."""
    if value.dtype == torch.bool and dtype.is_floating_point:
        return ".float() converts it"
    if value.dtype == torch.uint8 and dtype.is_floating_point:
        return f"{name} / 255 converts levels from 0 to 255, {name}.float() a mask of 0 and 1"
    return f".to({dtype}) converts it"


@eager
def check_finite(value: torch.Tensor, name: str) -> None:
    """Raise ValueError if ``value`` holds a NaN or an infinity, or no numbers at all (device meta)."""
    check_holds_numbers(value, name)
    held = beneath(value).detach()
    # A sum of all is the quickest look at them; that of finite numbers overflows at worst.
    if math.isfinite(held.sum().item()):
        return
    finite = torch.isfinite(held)
    if not bool(finite.all()):
        where = tuple(torch.nonzero(~finite)[0].tolist())
        bad = held[where].item()
        raise ValueError(f"{name} must be finite, got {bad} at index {where}")


@eager
def check_all_finite(values: Mapping[str, torch.Tensor]) -> None:
    """Raise as `check_finite` does for the first of tensors of one device that is not finite."""
    if not any(value.is_meta for value in values.values()):
        sums = [beneath(value).detach().sum() for value in values.values()]
        # Their device is waited for once.
        if math.isfinite(torch.stack(sums).sum().item()):
            return
    for name, value in values.items():
        check_finite(value, name)


@eager
def check_shares(value: torch.Tensor, name: str) -> None:
    """Raise ValueError unless every entry of ``value`` is in [0, 1]."""
    check_finite(value, name)
    if value.numel() == 0:
        return
    low, high = (bound.item() for bound in torch.aminmax(beneath(value).detach()))
    if low < 0 or high > 1:
        # Rounding beyond 1 is seen in the last digit of float32.
        bound = f"{low:g}" if low < 0 else f"{high:.8g}" if high < 2 else f"{high:g}"
        raise ValueError(f"{name} must be in [0, 1], got {bound}")


def check_holds_numbers(value: torch.Tensor, name: str) -> None:
    """Raise ValueError if ``value`` is on the device meta."""
    if value.is_meta:
        raise ValueError(f"{name} must be on a device that holds numbers, got {value.device}")


def check_like(value: torch.Tensor, name: str, other: torch.Tensor, other_name: str) -> None:
    """Raise unless ``value`` has the dtype (TypeError) and device (ValueError) of ``other``."""
    if value.dtype != other.dtype:
        raise TypeError(
            f"{name} must have the dtype of {other_name} ({other.dtype}), got {value.dtype}"
        )
    check_same_device(value, name, other, other_name)


def check_same_device(value: torch.Tensor, name: str, other: torch.Tensor, other_name: str) -> None:
    """Raise ValueError unless ``value`` is on the device of ``other``."""
    if value.device != other.device:
        raise ValueError(
            f"{name} must be on the device of {other_name} ({other.device}), got {value.device}"
        )


@eager
def check_indices(value: torch.Tensor, name: str, limit: int, counted: str) -> None:
    """Raise ValueError unless every entry of ``value`` is in ``[0, limit)``.

    ``counted`` says in the message what there are ``limit`` of, for example ``"vertices"``.
    """
    if value.numel() == 0:
        return
    low, high = (int(bound) for bound in torch.aminmax(beneath(value)))
    if low < 0 or high >= limit:
        bad = low if low < 0 else high
        raise ValueError(f"{name} must index {limit} {counted} (0 to {limit - 1}), got {bad}")


def check_number(
    value: object,
    name: str,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return ``value`` as a float if it is a real number strictly between the two bounds.

    Scalars of NumPy are numbers, bools are none.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        # An int beyond all floats, of either sign.
        number = math.inf
    if not math.isfinite(number) or not above < number < below:
        raise ValueError(f"{name} must be {_format_range(above, below)}, got {value}")
    return number


def check_integer(value: object, name: str, *, minimum: int, maximum: int | None = None) -> int:
    """Return ``value`` as an int if it is an integer (of NumPy, too; not a bool) within both bounds."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    number = int(value)
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {number}")
    return number


def check_image_size(value: object, name: str = "image_size") -> tuple[int, int]:
    """Return ``value``, any two integers (of Python, NumPy or torch), as ``(height, width)``."""
    held = value
    if isinstance(value, torch.Tensor):
        check_holds_numbers(value, name)
        held = beneath(value)
    # Of an array or a tensor.
    pair = held.tolist() if hasattr(held, "tolist") else held
    if not isinstance(pair, Sequence) or isinstance(pair, (str, bytes)) or len(pair) != 2:
        raise TypeError(f"{name} must be a pair (height, width) of ints, got {value!r}")
    height, width = (x.item() if isinstance(x, torch.Tensor) and not x.ndim else x for x in pair)
    height = check_integer(height, f"{name}[0] (height)", minimum=1)
    width = check_integer(width, f"{name}[1] (width)", minimum=1)
    return height, width


def check_batch(sizes: Mapping[str, int]) -> int:
    """Return the common batch size: all sizes are equal, or 1 and repeated.

    Raises
    ------
    ValueError
        Two sizes differ and neither is 1, or one is 0.
    """
    largest = max(sizes.values())
    if any(size not in (1, largest) or size < 1 for size in sizes.values()):
        got = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ValueError(f"batch sizes must be equal or 1, and at least 1: {got}")
    return largest


def check_alike(records: str, values: Mapping[str, Iterable[object]]) -> None:
    """Raise ValueError unless records that are to be a batch have, of each property by name, one value."""
    for name, given in values.items():
        different = sorted({str(value) for value in given})
        if len(different) > 1:
            raise ValueError(
                f"{records} must agree in {name} to be a batch, got {' and '.join(different)}"
            )


def _matches(actual: torch.Size, shape: Shape) -> bool:
    return len(actual) == len(shape) and all(
        isinstance(axis, str) or axis == length for axis, length in zip(shape, actual, strict=True)
    )


def _format_shape(shape: Shape) -> str:
    inner = ", ".join(str(axis) for axis in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def _format_range(above: float, below: float) -> str:
    if math.isinf(above) and math.isinf(below):
        return "finite"
    if math.isinf(below):
        return f"finite and greater than {above:g}"
    if math.isinf(above):
        return f"finite and less than {below:g}"
    return f"between {above:g} and {below:g} (both excluded)"
