"""Compiled kernels over ranges of rows, on all cores, without numba's thread pool.

Each call has its own threads, so several requests of a service can compute at the same time; numba's default pool ends
the process in that case.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from domain.cores import available_cores

_CHUNKS_PER_THREAD = 8  # small, so that a slow last chunk leaves no core idle for long


def for_row_ranges(kernel: Callable[..., None], num_rows: int, *arguments: Any, threads: int | None = None) -> None:
    """Call `kernel(start, stop, *arguments)` in threads, with each of `num_rows` rows in exactly one range.

    Args:
        kernel: compiled with `nogil=True`; it writes only to the rows of its range.
        num_rows: number of rows.
        arguments: passed on to the kernel.
        threads: number of threads; default: one for each core that this process may use.
    """
    threads = threads or available_cores()
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
