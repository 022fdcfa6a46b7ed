"""The short way into a compiled kernel: the same numbers as through Taichi's front door."""

from contextlib import contextmanager
from functools import cache

import pytest
import torch

from taichisoft.base.engine import ENGINE
from taichisoft.base.inside import INSIDE
from taichisoft.base.taichi import ti
from taichisoft.engine.kernels import direct
from taichisoft.engine.kernels.direct import Direct

# The short way is for the CPU.
pytestmark = pytest.mark.cpu_only


@ti.kernel
def scaled(
    doubled: ti.template(),
    x: ti.types.ndarray(ti.f32, 1),
    factor: ti.f32,
    count: ti.i32,
    out: ti.types.ndarray(ti.f32, 1),
):
    for i in range(count):
        out[i] = x[i] * factor
        if ti.static(doubled):
            out[i] = out[i] * 2


def run(kernel, doubled: bool, factor: float, count: int, size: int = 5) -> list[float]:
    out = torch.zeros(size)
    kernel(doubled, torch.arange(size, dtype=torch.float32), factor, count, out)
    return out.tolist()


def test_later_calls_take_their_own_arguments():
    kernel = Direct(scaled)
    for doubled, factor, count, size in [
        (False, 2.0, 5, 5),
        (False, 3, 4, 5),
        (True, 0.5, 5, 5),
        (True, 1.5, 7, 9),
        (False, 1.0, 9, 9),
    ]:
        expected = run(scaled, doubled, factor, count, size)
        assert run(kernel, doubled, factor, count, size) == expected


def test_the_front_door_is_passed_once_per_instantiation():
    calls = []

    class Counted:
        _primal = scaled._primal

        def __call__(self, *arguments):
            calls.append(arguments[0])
            scaled(*arguments)

    kernel = Direct(Counted())
    for doubled in (False, True, False, True, True):
        run(kernel, doubled, 1.0, 5)
    assert calls == [False, True]


def test_the_source_of_a_function_is_looked_for_once():
    function = scaled._primal.func
    reader = INSIDE.slow_readings[0][0]
    look_ups = [name for _, name, quicker in INSIDE.slow_readings if quicker is cache]
    assert look_ups
    slow = {name: getattr(of, name) for of, name, _ in INSIDE.slow_readings}
    found = [slow[name](function) for name in look_ups]
    with direct._reading_quickly():
        first = [getattr(reader, name)(function) for name in look_ups]
        assert first == found
        again = [getattr(reader, name)(function) for name in look_ups]
        assert all(one is other for one, other in zip(first, again, strict=True))
        assert [reader.textwrap.fill(line, tabsize=4, width=9999) for line in ("a\tb", "c")] == [
            "a   b",
            "c",
        ]
    assert {name: getattr(of, name) for of, name, _ in INSIDE.slow_readings} == slow


def test_a_kernel_that_is_built_otherwise_inside_takes_the_front_door():
    calls = []

    def plain(*arguments):
        calls.append(arguments[0])
        scaled(*arguments)

    kernel = Direct(plain)
    assert run(kernel, True, 1.0, 5) == run(kernel, True, 1.0, 5) == run(scaled, True, 1.0, 5)
    assert calls == [True, True]


@pytest.mark.parametrize("broken", ["making", "launching"])
def test_where_the_first_launch_fails_the_front_door_is_taken(broken, monkeypatch, caplog):
    """As with a fork of Taichi whose inside has the same names and other arguments."""
    calls = []

    class Counted:
        __name__ = "counted"
        _primal = scaled._primal

        def __call__(self, *arguments):
            calls.append(arguments[0])
            scaled(*arguments)

    def fails(*_):
        raise TypeError("no such argument")

    monkeypatch.setattr(direct, "_launcher", fails if broken == "making" else lambda *_: fails)
    kernel = Direct(Counted())
    expected = run(scaled, True, 2.0, 5)
    with caplog.at_level("INFO", "taichisoft"):
        assert [run(kernel, True, 2.0, 5) for _ in range(3)] == [expected] * 3
    assert calls == [True] * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"kernel counted is launched by the front door of {ENGINE.title}: TypeError('no such argument')"
    ]


def test_arrays_elsewhere_take_the_front_door():
    kinds = direct._kinds(scaled)
    here = (False, torch.zeros(1), 1.0, 1, torch.zeros(1))
    elsewhere = (False, torch.zeros(1), 1.0, 1, torch.zeros(1, device="meta"))
    assert direct._all_on_host(kinds, here)
    assert not direct._all_on_host(kinds, elsewhere)


def test_kernels_are_put_in_the_order_of_the_stream_of_cuda(monkeypatch):
    said = []

    @contextmanager
    def noted(arguments):
        said.append(("before", arguments))
        yield
        said.append(("after", arguments))

    monkeypatch.setattr(direct, "in_order", noted)
    Direct(lambda *arguments: said.append(("launch", arguments)))(1, 2.0)
    assert said == [(when, (1, 2.0)) for when in ("before", "launch", "after")]


def test_wrong_number_of_arguments():
    kernel = Direct(scaled)
    run(kernel, False, 1.0, 5)
    with pytest.raises(ValueError, match="argument"):
        kernel(False, torch.zeros(1))
