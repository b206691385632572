"""Freed memory stays with the process while it trains on a CPU.

Torch frees and allocates the same large tensors in every step. The C library hands them back to the system each time,
which clears each page anew for the next.

Source: mallopt(3) of the GNU C library; PyTorch's performance tuning guide on allocators.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
_NEVER, _NONE = -1, 0


def keep_freed_memory() -> None:
    """From now on, for this process; nothing happens where the C library has no such setting."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_MAX, _NONE)  # large blocks too come from the heap
        library.mallopt(_TRIM_THRESHOLD, _NEVER)  # and the heap does not shrink
