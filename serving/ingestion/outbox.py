"""Queues between live cameras and the store, which hold sightings in memory while the database is unreachable.

A background thread writes, so cameras never wait for the database. Sightings are stored as they end, the rest and the
times of their segment when the segment ends. Above the memory limit the oldest sightings are dropped, and a gap takes
the place of their segment, so that the store records the missing time.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from domain.errors import InputError
from domain.tracklets import Tracklet
from serving.database import segments
from serving.database.segments import Looks
from serving.database.store import Store

DROPPED = "the database was unreachable for too long; the sightings in memory were dropped"
_REJECTED = "the sightings could not be stored; the log has the reason"
_NOT_RUNNING = "not running"
_RETRY_S = 1.0
_EMPTY_SEGMENT_BYTES = 1000  # approximate size of a segment without tracklets
# The database is unreachable, or its disk is full.
_TRANSIENT_STORE_ERRORS = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, OSError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LiveSightings:
    """Sightings that ended in a piece of a live stream which goes on."""

    camera_id: str
    start: datetime  # of the piece
    tracklets: Sequence[Tracklet]

    @property
    def num_bytes(self) -> int:
        """Approximate memory."""
        return sum(_num_bytes(tracklet) for tracklet in self.tracklets)


@dataclass(frozen=True, eq=False)
class LiveSegment:
    """A finished piece of a live stream."""

    camera_id: str
    start: datetime
    end: datetime
    frames: int  # decoded
    tracklets: Sequence[Tracklet]  # but those that were put before, as `LiveSightings`
    damage: str | None  # skipped frames and what could not be read, `None` if there is neither
    looks: Looks | None = None

    @property
    def num_bytes(self) -> int:
        """Approximate memory."""
        return _EMPTY_SEGMENT_BYTES + sum(_num_bytes(tracklet) for tracklet in self.tracklets)


@dataclass(eq=False)
class _PendingGap:
    """A gap in the queue; a stored gap without an end stays until its end is known."""

    camera_id: str
    since: datetime
    until: datetime | None
    reason: str
    is_stored: bool = False


_Entry = LiveSightings | LiveSegment | _PendingGap


class Outbox:
    """Writes what live cameras of a district saw and their gaps, in each camera's order. Safe to share between threads.

    Args:
        store: receives segments and gaps.
        district: district of the cameras.
        model_version: `ModelCard.version` of the re-ID engine.
        max_bytes: memory limit of waiting sightings.
        deployment_version: `version_of_deployment` of all engines; None if unknown.
        attributes_version: `ModelCard.version` of the attribute engine; empty if unknown, or without one.
        previous_version: `ModelCard.version` of the re-ID engine that was in use before, if all sightings have
            embeddings by it, too; else empty.
    """

    def __init__(
        self,
        store: Store,
        district: str,
        model_version: str,
        max_bytes: int,
        deployment_version: str | None = None,
        attributes_version: str = "",
        previous_version: str = "",
    ) -> None:
        self._store, self._district, self._max_bytes = store, district, max_bytes
        self._versions = (model_version, attributes_version)
        self._deployment_version, self._previous_version = deployment_version, previous_version
        self._queues: dict[str, deque[_Entry]] = {}  # by camera, oldest first
        self._lost: dict[tuple[str, datetime], str] = {}  # why sightings of a segment that goes on are lost
        self._writing: _Entry | None = None
        self._changed = threading.Condition()
        self._is_closing = False
        # A daemon, because a database that never answers must not prevent the process from ending.
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put(self, entry: LiveSightings | LiveSegment) -> None:
        """Queue `entry` for storing."""
        with self._changed:
            self._queue(entry.camera_id).append(entry)
            if isinstance(entry, LiveSegment) and (reason := self._lost.pop((entry.camera_id, entry.start), None)):
                self._replace_by_gap(entry, reason)
            self._drop_oldest()
            self._changed.notify_all()

    def begin_gap(self, camera_id: str, since: datetime, reason: str) -> None:
        """Open a gap of the camera at `since`; its previous open gap ends there."""
        with self._changed:
            self._end_gap(camera_id, since)
            self._queue(camera_id).append(_PendingGap(camera_id, since, None, reason))
            self._changed.notify_all()

    def resume(self, camera_id: str) -> bool:
        """Open a gap from the end of what the store has of the camera, if it has any; False if it is unreachable."""
        try:
            with self._store.begin() as connection:
                moment = segments.resume_stream(connection, self._district, camera_id, stream_name(camera_id))
        except _TRANSIENT_STORE_ERRORS as error:
            _log.warning("camera %s waits for the store: %s", camera_id, _cause(error))
            return False
        if moment is not None:
            self.begin_gap(camera_id, moment, _NOT_RUNNING)
        return True

    def end_gap(self, camera_id: str, until: datetime) -> None:
        """Close the open gap of the camera, if any."""
        with self._changed:
            self._end_gap(camera_id, until)
            self._changed.notify_all()

    def leave(self, camera_id: str) -> bool:
        """Forget the camera, whose open gap another process continues; False if something of it waits to be stored."""
        with self._changed:
            is_stored = all(
                isinstance(entry, _PendingGap) and entry.is_stored and entry.until is None
                for entry in self._queue(camera_id)
            )
            if is_stored:
                del self._queues[camera_id]
            return is_stored

    def close(self, timeout_s: float) -> int:
        """Write the queued entries for at most `timeout_s`, then end; returns the number of segments left over."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            entries = [entry for queue in self._queues.values() for entry in queue]
            return len({(one.camera_id, one.start) for one in entries if not isinstance(one, _PendingGap)})

    def _queue(self, camera_id: str) -> deque[_Entry]:
        return self._queues.setdefault(camera_id, deque())

    def _end_gap(self, camera_id: str, until: datetime) -> None:
        queue = self._queue(camera_id)
        if queue and isinstance(last := queue[-1], _PendingGap) and last.until is None:
            last.until = max(last.since, until)

    def _drop_oldest(self) -> None:
        waiting = [one for queue in self._queues.values() for one in queue if not isinstance(one, _PendingGap)]
        excess_bytes = sum(entry.num_bytes for entry in waiting) - self._max_bytes
        for entry in sorted(waiting, key=lambda entry: entry.start):
            if excess_bytes <= 0:
                return
            if entry is not self._writing:
                self._drop(entry, DROPPED)
                excess_bytes -= entry.num_bytes

    def _drop(self, entry: LiveSightings | LiveSegment, reason: str) -> None:
        if isinstance(entry, LiveSegment):
            self._replace_by_gap(entry, reason)
            return
        queue = self._queues[entry.camera_id]
        queue.remove(entry)
        whole = [one for one in queue if isinstance(one, LiveSegment) and one.start == entry.start]
        if whole:
            self._replace_by_gap(whole[0], reason)
        else:
            self._lost[entry.camera_id, entry.start] = reason

    def _replace_by_gap(self, segment: LiveSegment, reason: str) -> None:
        """Replace `segment` by a gap, merged with adjacent gaps so that the queue stays short."""
        merged: deque[_Entry] = deque()
        for entry in self._queues[segment.camera_id]:
            new = _PendingGap(entry.camera_id, entry.start, entry.end, reason) if entry is segment else entry
            last = merged[-1] if merged else None
            if isinstance(new, _PendingGap) and isinstance(last, _PendingGap) and last is not self._writing:
                last.until = new.until
            else:
                merged.append(new)
        self._queues[segment.camera_id] = merged

    def _run(self) -> None:
        is_unreachable = False
        while (entry := self._next()) is not None:
            try:
                self._write(entry)
            except _TRANSIENT_STORE_ERRORS as error:
                if not is_unreachable:
                    _log.warning("the store cannot be written, segments wait in memory: %s", _cause(error))
                is_unreachable = True
                self._finish(entry, is_written=False)
                time.sleep(_RETRY_S)
            except (sa.exc.SQLAlchemyError, InputError) as error:
                _log.error("camera %s: %s cannot be stored: %s", entry.camera_id, type(entry).__name__, _cause(error))
                self._reject(entry)
            else:
                if is_unreachable:
                    _log.warning("the store can be written again")
                is_unreachable = False
                self._finish(entry, is_written=True)

    def _next(self) -> _Entry | None:
        """The next entry to write; a copy if it is a gap, which may change meanwhile. None after `close`."""
        with self._changed:
            while True:
                for queue in self._queues.values():
                    entry = queue[0] if queue else None
                    if entry is not None and not isinstance(entry, _PendingGap):
                        self._writing = entry
                        return entry
                    if isinstance(entry, _PendingGap) and not (entry.is_stored and entry.until is None):
                        self._writing = entry
                        return replace(entry)
                if self._is_closing:
                    return None
                self._changed.wait()

    def _write(self, entry: _Entry) -> None:
        store, district, camera_id = self._store, self._district, entry.camera_id
        if isinstance(entry, _PendingGap):
            with store.begin() as connection:
                if not entry.is_stored:
                    segments.give_up_stream(connection, district, camera_id, stream_name(camera_id))
                    segments.open_gap(connection, district, camera_id, entry.since, entry.reason)
                if entry.until is not None:
                    segments.close_gap(connection, district, camera_id, entry.until)
            return
        name = stream_name(camera_id)
        checksum = f"{name}@{entry.start.isoformat()}"
        with store.begin() as connection:
            segment = segments.register(connection, district, camera_id, name, checksum, entry.start)
        store.add_sightings(segment.id, entry.tracklets, *self._versions)
        if isinstance(entry, LiveSightings):
            return
        store.add_segment(
            segment.id,
            [],
            self._versions[0],
            frames=entry.frames,
            end=entry.end,
            damage=entry.damage,
            looks=entry.looks,
            deployment_version=self._deployment_version,
            attributes_version=self._versions[1],
            previous_version=self._previous_version,
        )

    def _finish(self, entry: _Entry, *, is_written: bool) -> None:
        with self._changed:
            original, self._writing = self._writing, None
            if is_written and isinstance(original, _PendingGap):
                original.is_stored = True
            if is_written and (not isinstance(entry, _PendingGap) or entry.until is not None):
                self._queues[entry.camera_id].popleft()

    def _reject(self, entry: _Entry) -> None:
        with self._changed:
            self._writing = None
            if isinstance(entry, _PendingGap):
                self._queues[entry.camera_id].popleft()
            else:
                self._drop(entry, _REJECTED)


def stream_name(camera_id: str) -> str:
    """Name of a camera's live stream in the store; without its address, which may contain a password."""
    return f"stream {camera_id}"


def _num_bytes(tracklet: Tracklet) -> int:
    embeddings = (tracklet.embedding, *tracklet.more_embeddings.values())
    arrays = (tracklet.frames, tracklet.boxes_xyxy, tracklet.scores, *embeddings, *tracklet.crops)
    encoded = list(tracklet.more_crops) + ([tracklet.full_frame.jpeg] if tracklet.full_frame is not None else [])
    return sum(map(len, encoded)) + sum(array.nbytes for array in arrays)


def _cause(error: Exception) -> object:
    """The error of the database without the statement and its values."""
    return error.orig if isinstance(error, sa.exc.DBAPIError) else error
