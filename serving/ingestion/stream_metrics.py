"""Prometheus metrics of live cameras, read from the streams at each scrape."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.errors import InputError
from serving.video.live_stream import LiveStream

_LABELS = ("district", "camera")


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


def serve_metrics(district: str, streams: Mapping[str, LiveStream], host: str, port: int) -> None:
    """Serve metrics at `port` of the address `host` until the process ends.

    Raises:
        InputError: if the port is in use, or the address is not of this machine.
    """
    registry = CollectorRegistry()
    registry.register(StreamMetrics(district, streams))
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        raise InputError(
            f"serving.streams.metrics_port must be free, got {port} at {host}: {error.strerror}"
        ) from error
