"""A setting of the C library's allocator that makes training on a CPU faster: freed memory stays with the process.

Torch frees and allocates the same large tensors in every step. By default the C library returns them to the system each
time, and the system clears every page before it hands it out again.

Set at run time: the environment variables of the same effect (`MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_MAX_`) are read
before Python starts, so every command that trains would have to be started with them.

Source: mallopt(3) of the GNU C library; PyTorch's performance tuning guide on allocators.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
_NEVER, _NONE = -1, 0


def keep_freed_memory() -> None:
    """Keep freed memory in this process from now on; does nothing where the C library lacks the setting."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_MAX, _NONE)  # large blocks come from the heap too
        library.mallopt(_TRIM_THRESHOLD, _NEVER)  # the heap does not shrink
