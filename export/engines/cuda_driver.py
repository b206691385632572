"""The calls of the CUDA driver that an engine needs, by ctypes: every machine with a GPU has `libcuda`.

Buffers and one stream of the first visible device. Without a GPU `compute_capability()` is None and nothing else here
may be called.
"""

import ctypes
import functools
from typing import Any

import numpy as np

_MAJOR, _MINOR = 75, 76  # CUdevice_attribute: compute capability


@functools.cache
def _library() -> Any | None:
    """`libcuda`, initialised; None if there is no driver or no device."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    count = ctypes.c_int()
    if library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return None
    return library


@functools.cache
def compute_capability() -> str | None:
    """Compute capability of the first visible GPU, such as "8.6"; None if there is no GPU."""
    library = _library()
    if library is None:
        return None
    numbers = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        _call("cuDeviceGetAttribute", ctypes.byref(value), attribute, 0)
        numbers.append(value.value)
    return f"{numbers[0]}.{numbers[1]}"


@functools.cache
def _primary_context() -> ctypes.c_void_p:
    context = ctypes.c_void_p()
    _call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
    return context


def enter_device() -> None:
    """Make the device's primary context current in the calling thread; call it once per thread before other calls."""
    _call("cuCtxSetCurrent", _primary_context())


class Stream:
    """A CUDA stream, the queue of work on the device."""

    def __init__(self) -> None:
        """Create it on the current device."""
        handle = ctypes.c_void_p()
        _call("cuStreamCreate", ctypes.byref(handle), 1)  # 1: does not wait for the default stream
        self.handle = int(handle.value or 0)

    def synchronize(self) -> None:
        """Wait until all queued work is done."""
        _call("cuStreamSynchronize", ctypes.c_void_p(self.handle))


class DeviceBuffer:
    """Memory on the device, freed with the object."""

    address = 0

    def __init__(self, size_bytes: int) -> None:
        """Allocate on the current device."""
        pointer = ctypes.c_uint64()
        _call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size_bytes))
        self.address = pointer.value

    def __del__(self) -> None:
        """Free the memory."""
        library = _library()
        if library is not None and self.address:
            library.cuMemFree_v2(ctypes.c_uint64(self.address))

    def upload(self, array: np.ndarray, stream: Stream) -> None:
        """Queue the copy of a contiguous `array` to the device."""
        source = ctypes.c_void_p(array.ctypes.data)
        size = ctypes.c_size_t(array.nbytes)
        _call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(self.address), source, size, ctypes.c_void_p(stream.handle))

    def download(self, array: np.ndarray, stream: Stream) -> None:
        """Queue the copy from the device into a contiguous `array`."""
        target = ctypes.c_void_p(array.ctypes.data)
        size = ctypes.c_size_t(array.nbytes)
        _call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(self.address), size, ctypes.c_void_p(stream.handle))


def _call(name: str, *arguments: Any) -> None:
    library = _library()
    if library is None:
        raise RuntimeError("CUDA needs a driver and a device, this machine has none")
    code = getattr(library, name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        library.cuGetErrorString(code, ctypes.byref(text))
        raise RuntimeError(f"CUDA's {name} failed: {(text.value or b'unknown').decode()} ({code})")
