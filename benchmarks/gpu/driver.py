"""The CUDA devices of the driver, asked of itself: `python benchmarks/gpu/driver.py cuda`, with no package.

So that a machine without one is told so before gigabytes of torch are installed.
"""

from __future__ import annotations

import ctypes
import sys

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NO_DEVICE = (
    "no CUDA device: {reason}. With an NVIDIA card, install its driver and see that `nvidia-smi` lists it. "
    "Without one the same runs on a Vulkan device, a software one too (Debian and Ubuntu: apt-get install "
    "libvulkan1 mesa-vulkan-drivers):\n\n    make gpu GPU=vulkan\n"
)


class NoDeviceError(Exception):
    """There is no device; says why."""


def cuda_devices() -> tuple[str, list[str]]:
    """Return the version of CUDA that the driver is for, and the names of the devices, at least one.

    Raises
    ------
    NoDeviceError
        Without a driver, or without a device.
    """
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        raise NoDeviceError(f"its driver ({LIBRARY}) is not installed") from None
    number = ctypes.c_int()
    code = driver.cuInit(0)
    if code == 0:
        code = driver.cuDeviceGetCount(ctypes.byref(number))
    if code or not number.value:
        raise NoDeviceError(f"its driver finds no device (error {code})")
    names = [_name(driver, index) for index in range(number.value)]
    driver.cuDriverGetVersion(ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}", names


def _name(driver: ctypes.CDLL, index: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    return name.value.decode(errors="replace")


def main(backend: str) -> int:
    """Say which devices there are; return 1 if CUDA is asked for and there is none."""
    if backend != "cuda":
        return 0
    try:
        version, names = cuda_devices()
    except NoDeviceError as error:
        print(NO_DEVICE.format(reason=error), file=sys.stderr)
        return 1
    print(f"CUDA {version}: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
