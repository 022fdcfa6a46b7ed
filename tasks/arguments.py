"""Arguments of task families and tasks, and their checks."""

from __future__ import annotations

from torch import Tensor

from taichisoft.base.checks import (
    check_integer,
    check_like,
    check_number,
    check_tensor,
    check_type,
)

Unknowns = dict[str, Tensor]
"""What is optimised, by name; the problem is the first axis."""


def check_unknowns(unknowns: object, expected: Unknowns) -> None:
    """Raise TypeError or ValueError unless names, shapes, dtypes and devices are as expected."""
    check_type(unknowns, "unknowns", dict)
    if unknowns.keys() != expected.keys():
        raise ValueError(
            f"unknowns must have the keys {sorted(expected)}, got {sorted(map(str, unknowns))}"
        )
    for name, like in expected.items():
        value = check_tensor(unknowns[name], f"unknowns[{name!r}]", tuple(like.shape))
        check_like(value, f"unknowns[{name!r}]", like, "the task")


def check_problem(problem: object, count: int) -> None:
    """Raise TypeError or ValueError unless ``problem`` is an index in ``[0, count)``."""
    if check_integer(problem, "problem", minimum=0) >= count:
        raise ValueError(f"problem must be less than {count}, got {problem}")


def check_weight(value: object, name: str) -> float:
    """Return ``value`` as a float if it is a finite number that is not negative."""
    if check_number(value, name) < 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return float(value)


def check_span(value: object, name: str, low: float, high: float) -> tuple[float, float]:
    """Return ``value`` as two floats if it is a rising pair within ``[low, high]``."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of numbers, got {value!r}")
    first, last = (check_number(v, f"{name}[{i}]") for i, v in enumerate(value))
    if not low <= first <= last <= high:
        raise ValueError(f"{name} must rise within [{low:g}, {high:g}], got {value}")
    return first, last
