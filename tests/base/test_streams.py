"""Kernels on the default stream of CUDA are in order with the one that torch is on; with a fake of CUDA."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from taichisoft.base.streams import check_device, in_order

ON_DEVICE = SimpleNamespace(is_cuda=True)
ON_HOST = torch.zeros(1)


class Stream:
    """A stream that notes whom it waits for."""

    def __init__(self, name: str, said: list[str]):
        self.name, self.said = name, said

    def wait_stream(self, other: Stream) -> None:
        """Note it."""
        self.said.append(f"{self.name} waits for {other.name}")


class Cuda:
    """What is used of ``torch.cuda``, with a current stream and a current device."""

    def __init__(self, monkeypatch, current: str = "default", *, capturing: bool = False):
        self.said: list[str] = []
        self.current_device = 1
        streams = {name: Stream(name, self.said) for name in ("default", "side")}
        for name, fake in {
            "current_stream": lambda device: streams[current],
            "default_stream": lambda device: streams["default"],
            "is_current_stream_capturing": lambda: capturing,
            "device": self.device,
        }.items():
            monkeypatch.setattr(torch.cuda, name, fake)

    @contextmanager
    def device(self, index: int):
        """Make another device the current one for a while."""
        before, self.current_device = self.current_device, index
        yield
        self.current_device = before

    def launch(self, *arguments: object) -> None:
        """Note where a kernel with these arguments runs."""
        with in_order(arguments):
            self.said.append(f"launch on device {self.current_device}")


def test_streams_wait_for_each_other(monkeypatch):
    cuda = Cuda(monkeypatch, "side")
    cuda.launch(1.0, ON_HOST, ON_DEVICE)
    assert cuda.said == [
        "default waits for side",
        "launch on device 0",
        "side waits for default",
    ]
    assert cuda.current_device == 1


def test_nothing_waits_on_the_default_stream(monkeypatch):
    cuda = Cuda(monkeypatch)
    cuda.launch(ON_DEVICE)
    assert cuda.said == ["launch on device 0"]
    assert cuda.current_device == 1


def test_tensors_of_the_host_are_copied_by_taichi(monkeypatch):
    cuda = Cuda(monkeypatch, "side", capturing=True)
    cuda.launch(1, ON_HOST)
    assert cuda.said == ["launch on device 1"]


def test_a_kernel_that_raises_is_waited_for(monkeypatch):
    cuda = Cuda(monkeypatch, "side")

    def failing():
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"), in_order((ON_DEVICE,)):
        failing()
    assert cuda.said == ["default waits for side", "side waits for default"]


def test_a_graph_that_is_captured_is_refused(monkeypatch):
    cuda = Cuda(monkeypatch, "side", capturing=True)
    with pytest.raises(RuntimeError, match=r"no render is possible while a CUDA graph is captured"):
        cuda.launch(ON_DEVICE)
    assert cuda.said == []


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0"])
def test_the_first_device_is_fine(device):
    check_device(torch.device(device), "vertices")


def test_another_device_is_refused():
    with pytest.raises(ValueError, match=r"vertices must be on cuda:0, .* got cuda:1; .*=1, where"):
        check_device(torch.device("cuda:1"), "vertices")
