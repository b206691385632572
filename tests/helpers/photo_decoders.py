"""The process of a decoder of photos."""

import psutil

from serving.search.photo import PhotoDecoders


def process_of(decoders: PhotoDecoders) -> psutil.Process:
    """The only process, which is idle."""
    starting = decoders._idle.get()
    decoders._idle.put(starting)
    return psutil.Process(starting.result()._process.pid)
