"""Records a live camera into the ring: its packets as they come, in pieces that begin with a key frame."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO

import av
import sqlalchemy as sa
from av.video.stream import VideoStream
from pydantic import NonNegativeFloat, PositiveFloat

from domain.settings import Settings
from serving.database.ring import Piece, Ring, held_spans
from serving.database.store import Store

_CODECS = ("h264", "hevc")  # that the container of a piece takes; cameras hardly send others
_MOST_WAITING = 8  # pieces, while the disk does not keep up
_PRUNE_EVERY_S = 30.0
_log = logging.getLogger(__name__)


class RingSettings(Settings):
    """Subsection `serving.streams.ring`."""

    hours: NonNegativeFloat
    gigabytes: PositiveFloat
    piece_s: PositiveFloat


@dataclass
class _OpenPiece:
    target: BytesIO
    container: av.container.OutputContainer
    stream: VideoStream
    first_s: float  # time of the first packet by the camera's clock
    last_s: float


class Recorder:
    """Writes pieces of one camera; `add` is called by the thread that decodes, a thread of its own writes.

    Args:
        store: has the ring, and the cases whose holds keep pieces.
        district: of the camera.
        camera_id: id of the camera.
        settings: hours and bytes of the ring; `gigabytes` is for this camera alone.
    """

    def __init__(self, store: Store, district: str, camera_id: str, settings: RingSettings) -> None:
        self._store, self._ring = store, Ring(store.crops)
        self._district, self._camera_id, self._settings = district, camera_id, settings
        self._piece: _OpenPiece | None = None
        self._connection = 0
        self._is_refused = False
        self._waiting: queue.Queue[tuple[Piece, bytes] | None] = queue.Queue(_MOST_WAITING)
        self.num_lost = 0  # pieces that could not be written
        self._thread = threading.Thread(target=self._write_all, name=f"record {camera_id}", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """A connection begins, whose packets cannot be joined with those before."""
        self._piece = None
        self._connection = round(datetime.now(UTC).timestamp() * 1000)

    def add(self, packet: "av.Packet[VideoStream]", moment: Callable[[float], datetime | None]) -> None:
        """Record a packet, after it was decoded; `moment` says when a time of the camera's clock was."""
        if packet.dts is None or packet.pts is None or packet.time_base is None or self._is_refused:
            return
        time_s = float(packet.pts * packet.time_base)
        piece = self._piece
        if packet.is_keyframe and (piece is None or time_s - piece.first_s >= self._settings.piece_s):
            self.end(moment)
            piece = self._begin_piece(packet.stream, time_s)
        if piece is None:
            return
        packet.stream = piece.stream
        piece.container.mux(packet)
        piece.last_s = max(piece.last_s, time_s)

    def end(self, moment: Callable[[float], datetime | None]) -> None:
        """Write the open piece, if any."""
        piece, self._piece = self._piece, None
        if piece is None:
            return
        piece.container.close()
        start, end = moment(piece.first_s), moment(piece.last_s)
        if start is None or end is None:  # no picture of the connection could be decoded
            return
        named = Piece(self._district, self._camera_id, self._connection, start, end)
        try:
            self._waiting.put_nowait((named, piece.target.getvalue()))
        except queue.Full:
            self._lose("the disk does not keep up")

    def close(self, patience_s: float) -> None:
        """Write what waits, for at most `patience_s`."""
        self._waiting.put(None)
        self._thread.join(patience_s)

    def _begin_piece(self, template: VideoStream, time_s: float) -> _OpenPiece | None:
        codec = template.codec_context.name
        if codec not in _CODECS:
            self._is_refused = True
            _log.warning(
                "camera %s: its video is not recorded, it must be H.264 or HEVC, got %s", self._camera_id, codec
            )
            return None
        target = BytesIO()
        container = av.open(target, "w", format="mpegts")
        stream = container.add_stream_from_template(template)
        self._piece = _OpenPiece(target, container, stream, time_s, time_s)
        return self._piece

    def _write_all(self) -> None:
        pruned = datetime.min.replace(tzinfo=UTC)
        while (waiting := self._waiting.get()) is not None:
            try:
                self._ring.put(*waiting)
            except OSError as error:
                self._lose(str(error))
            if (now := datetime.now(UTC)) - pruned > timedelta(seconds=_PRUNE_EVERY_S):
                pruned = now
                self._prune(now)

    def _prune(self, now: datetime) -> None:
        try:
            with self._store.begin() as connection:
                kept = held_spans(connection, self._district, self._camera_id)
            pieces = self._ring.pieces(self._district, self._camera_id)
            before = now - timedelta(hours=self._settings.hours)
            self._ring.remove_oldest(pieces, before, self._settings.gigabytes * 1e9, kept)
        except (sa.exc.SQLAlchemyError, OSError) as error:  # the next piece tries again
            _log.warning("camera %s: old pieces of its recording stay: %s", self._camera_id, error)

    def _lose(self, why: str) -> None:
        self.num_lost += 1
        _log.warning("camera %s: a piece of its recording is lost: %s", self._camera_id, why)
