"""Compiled kernels over ranges of rows, on all cores, without numba's own thread pool.

Threads here come and go with the call, so several requests of a service may compute at the same moment; numba's
default pool ends the process when they do.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap
from typing import Any, TypeVar

from numba import njit

_CHUNKS_PER_THREAD = 8  # small enough that a slow chunk at the end leaves no core idle for long

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[_Kernel], _Kernel]:
    """Decorator that compiles a function by numba, without the GIL, and keeps the machine code beside its module.

    Under pytest a wrapper checks a function's array annotations; numba compiles what it wraps.

    Args:
        options: further ones of `numba.njit`.
    """

    def compile_by_numba(kernel: _Kernel) -> _Kernel:
        return njit(nogil=True, cache=True, **options)(unwrap(kernel))

    return compile_by_numba


def for_row_ranges(kernel: Callable[..., None], num_rows: int, *arguments: Any, threads: int | None = None) -> None:
    """Call `kernel(start, stop, *arguments)` so that each of `num_rows` rows is in exactly one range.

    Args:
        kernel: made by `compiled`; writes only to the rows it is given.
        threads: default: one a core that this process may use.
    """
    threads = threads or len(os.sched_getaffinity(0))
    if threads == 1 or num_rows <= 1:
        kernel(0, num_rows, *arguments)
        return
    chunk = max(1, -(-num_rows // (threads * _CHUNKS_PER_THREAD)))
    with ThreadPoolExecutor(threads) as pool:
        running = [
            pool.submit(kernel, start, min(start + chunk, num_rows), *arguments) for start in range(0, num_rows, chunk)
        ]
        for future in running:
            future.result()
