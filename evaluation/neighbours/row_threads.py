"""Compiled kernels over ranges of rows, on all cores, without numba's own thread pool.

Threads here come and go with the call, so several requests of a service may compute at the same moment; numba's
default pool ends the process when they do.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_CHUNKS_PER_THREAD = 8  # small enough that a slow chunk at the end leaves no core idle for long


def for_row_ranges(kernel: Callable[..., None], num_rows: int, *arguments: Any, threads: int | None = None) -> None:
    """Call `kernel(start, stop, *arguments)` so that each of `num_rows` rows is in exactly one range.

    Args:
        kernel: compiled with `nogil=True`; writes only to the rows it is given.
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
