"""Prometheus metrics of live cameras, read from the streams at each scrape."""

import socket
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.errors import InputError
from serving.video.live_stream import LiveStream

_LABELS = ("district", "camera")
_MOST_REQUESTS = 16  # at the same time; each takes a thread and a descriptor, which cameras and database need


class StreamMetrics(Collector):
    """Metrics of the streams of one district, by camera; the mapping may change between scrapes."""

    def __init__(self, district: str, streams: Mapping[str, LiveStream]) -> None:
        self._district, self._streams = district, streams

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield each metric with its value for each camera."""
        frames = CounterMetricFamily("dongseon_stream_frames", "Frames decoded", labels=_LABELS)
        dropped = CounterMetricFamily(
            "dongseon_stream_dropped_frames", "Frames skipped, because processing is slower", labels=_LABELS
        )
        reconnects = CounterMetricFamily("dongseon_stream_reconnects", "Reconnections", labels=_LABELS)
        silence = GaugeMetricFamily(
            "dongseon_stream_seconds_since_frame", "Seconds since the last decoded frame", labels=_LABELS
        )
        gap = GaugeMetricFamily("dongseon_stream_gap_open", "1 while the camera delivers no picture", labels=_LABELS)
        for camera_id, stream in list(self._streams.items()):
            labels = (self._district, camera_id)
            frames.add_metric(labels, stream.num_frames)
            dropped.add_metric(labels, stream.num_dropped)
            reconnects.add_metric(labels, stream.num_reconnects)
            silence.add_metric(labels, stream.seconds_since_frame)
            gap.add_metric(labels, stream.is_in_gap)
        yield from (frames, dropped, reconnects, silence, gap)


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread; of too many at the same time the oldest is cut."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._open: deque[socket.socket] = deque()
        super().__init__(address, _Silent)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.append(request)
        if len(self._open) > _MOST_REQUESTS:
            with suppress(OSError):  # its client is gone
                self._open.popleft().shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        with suppress(ValueError):  # it was cut
            self._open.remove(request)
        super().close_request(request)


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve_metrics(district: str, streams: Mapping[str, LiveStream], host: str, port: int) -> None:
    """Serve metrics at `port` of the address `host` until the process ends.

    Raises:
        InputError: if the port is in use, or the address is not of this machine.
    """
    registry = CollectorRegistry()
    registry.register(StreamMetrics(district, streams))
    try:
        server = _Server((host, port))
    except OSError as error:
        raise InputError(
            f"serving.streams.metrics_port must be free, got {port} at {host}: {error.strerror}"
        ) from error
    server.set_app(make_wsgi_app(registry))
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
