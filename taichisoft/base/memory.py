"""Memory: what is free, so that a request which cannot fit is refused, and keeping what is freed."""

from __future__ import annotations

from pathlib import Path

import torch

# Requests below this are not looked at: finding out what is free takes as long as a small render.
SMALL = 2**28
# Bytes: just less than the 32 MB up to which glibc follows what is freed.
LARGEST_KEPT = 2**25 - 2**13


def free_bytes(device: torch.device) -> int | None:
    """Return how many bytes can be allocated on a device, or None where that is unknown.

    Of the main memory, what Linux counts as available, file caches included; of a CUDA device, what its
    driver says is free and what torch holds in reserve.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + reserved
    if device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable:")), None)


def check_fits(needed: int, device: torch.device, what: str) -> None:
    """Raise MemoryError if a device has fewer free bytes than are needed.

    Parameters
    ----------
    needed : int
        Bytes.
    device : torch.device
        Where.
    what : str
        What they are needed for, for the message.
    """
    if needed < SMALL:
        return
    free = free_bytes(device)
    if free is not None and needed > free:
        raise MemoryError(
            f"{what} needs at least {needed / 1e9:.1f} GB of memory on {device}, and {free / 1e9:.1f} GB "
            "are free; render fewer images at a time, or smaller ones"
        )


def keep_freed_memory() -> None:
    """Let the C library keep the memory of images that are freed for those of the next render.

    That of Linux (glibc) returns large arrays to the system, and a new one costs a page fault for every 4 KB.
    Once it has seen a large array freed, it keeps arrays up to that size, twice as many bytes of them in all:
    see ``M_MMAP_THRESHOLD`` in mallopt(3). With another C library this does nothing.
    """
    torch.empty(LARGEST_KEPT, dtype=torch.uint8)
