"""What live cameras showed, on its way into the store: kept in memory, within limits, while the database is away.

A thread of its own writes, so no camera waits for the database. When too much waits, the oldest segment is dropped and
becomes a gap: that nothing is known of that time will stand in the store.
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
from serving.database.store import Store

DROPPED = "the database was away for too long to keep what was seen"
_REFUSED = "what was seen could not be stored; the log says why"
_RETRY_S = 1.0
_EMPTY_SEGMENT_BYTES = 1000  # about what one takes that saw nobody
_MAY_PASS = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, OSError)  # away, or its disk full
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LiveSegment:
    """A finished piece of a live stream."""

    camera_id: str
    start: datetime
    end: datetime
    frames: int
    tracklets: Sequence[Tracklet]
    damage: str | None  # what was not looked at

    @property
    def num_bytes(self) -> int:
        """Memory it takes, about."""
        return _EMPTY_SEGMENT_BYTES + sum(_num_bytes(tracklet) for tracklet in self.tracklets)


@dataclass(eq=False)
class _GapNote:
    """A gap on its way: when it is stored but still open, it stays until its end is known."""

    camera_id: str
    since: datetime
    until: datetime | None
    reason: str
    is_stored: bool = False


class Outbox:
    """Segments and gaps of a district's live cameras, written in each camera's order. Safe to share between threads.

    Args:
        store: where they go.
        district: whose cameras these are.
        model_version: see `serving.database.store.version_of_model`.
        max_bytes: of segments that wait.
    """

    def __init__(self, store: Store, district: str, model_version: str, max_bytes: int) -> None:
        """Nothing waits yet."""
        self._store, self._district, self._model_version, self._max_bytes = store, district, model_version, max_bytes
        self._notes: dict[str, deque[LiveSegment | _GapNote]] = {}  # of each camera, oldest first
        self._in_work: LiveSegment | _GapNote | None = None
        self._changed = threading.Condition()
        self._is_closing = False
        # A daemon: a database that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def put(self, segment: LiveSegment) -> None:
        """Store `segment` as soon as that is possible."""
        with self._changed:
            self._of(segment.camera_id).append(segment)
            self._drop_what_is_too_much()
            self._changed.notify_all()

    def begin_gap(self, camera_id: str, since: datetime, reason: str) -> None:
        """The camera shows nothing from `since` on; an open gap with another reason ends there."""
        with self._changed:
            self._end_gap(camera_id, since)
            self._of(camera_id).append(_GapNote(camera_id, since, None, reason))
            self._changed.notify_all()

    def end_gap(self, camera_id: str, until: datetime) -> None:
        """The camera shows something again; nothing changes if it has no open gap."""
        with self._changed:
            self._end_gap(camera_id, until)
            self._changed.notify_all()

    def close(self, timeout_s: float) -> int:
        """Write what waits, for at most so long, and end; how many segments could not be stored."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            return sum(isinstance(note, LiveSegment) for notes in self._notes.values() for note in notes)

    def _of(self, camera_id: str) -> deque[LiveSegment | _GapNote]:
        return self._notes.setdefault(camera_id, deque())

    def _end_gap(self, camera_id: str, until: datetime) -> None:
        notes = self._of(camera_id)
        if notes and isinstance(last := notes[-1], _GapNote) and last.until is None:
            last.until = max(last.since, until)

    def _drop_what_is_too_much(self) -> None:
        waiting = [note for notes in self._notes.values() for note in notes if isinstance(note, LiveSegment)]
        too_much = sum(segment.num_bytes for segment in waiting) - self._max_bytes
        for segment in sorted(waiting, key=lambda one: one.start):
            if too_much <= 0:
                return
            if segment is not self._in_work:
                self._replace_by_gap(segment, DROPPED)
                too_much -= segment.num_bytes

    def _replace_by_gap(self, segment: LiveSegment, reason: str) -> None:
        """Gaps that thereby touch become one, so that notes do not pile up either."""
        merged: deque[LiveSegment | _GapNote] = deque()
        for note in self._notes[segment.camera_id]:
            new = _GapNote(note.camera_id, note.start, note.end, reason) if note is segment else note
            last = merged[-1] if merged else None
            if isinstance(new, _GapNote) and isinstance(last, _GapNote) and last is not self._in_work:
                last.until = new.until
            else:
                merged.append(new)
        self._notes[segment.camera_id] = merged

    def _run(self) -> None:
        is_away = False
        while (note := self._next()) is not None:
            try:
                self._write(note)
            except _MAY_PASS as error:
                if not is_away:
                    _log.warning("the store cannot be written, what is seen waits: %s", _cause(error))
                is_away = True
                self._finish(note, is_written=False)
                time.sleep(_RETRY_S)
            except (sa.exc.SQLAlchemyError, InputError) as error:
                _log.error("camera %s: %s cannot be stored: %s", note.camera_id, type(note).__name__, _cause(error))
                self._refuse(note)
            else:
                if is_away:
                    _log.warning("the store can be written again")
                is_away = False
                self._finish(note, is_written=True)

    def _next(self) -> LiveSegment | _GapNote | None:
        """What to write next, a copy if it is a gap, for that may change meanwhile; None when all is to end."""
        with self._changed:
            while True:
                for notes in self._notes.values():
                    note = notes[0] if notes else None
                    if isinstance(note, LiveSegment):
                        self._in_work = note
                        return note
                    if isinstance(note, _GapNote) and not (note.is_stored and note.until is None):
                        self._in_work = note
                        return replace(note)
                if self._is_closing:
                    return None
                self._changed.wait()

    def _write(self, note: LiveSegment | _GapNote) -> None:
        store, district, camera_id = self._store, self._district, note.camera_id
        if isinstance(note, _GapNote):
            if not note.is_stored:
                store.open_gap(district, camera_id, note.since, note.reason)
            if note.until is not None:
                store.close_gap(district, camera_id, note.until)
            return
        name = stream_name(camera_id)
        checksum = f"{name}@{note.start.isoformat()}"
        segment = store.register_segment(district, camera_id, name, checksum, note.start, note.end)
        store.add_segment(
            segment.id, note.tracklets, self._model_version, frames=note.frames, end=note.end, damage=note.damage
        )

    def _finish(self, note: LiveSegment | _GapNote, *, is_written: bool) -> None:
        with self._changed:
            kept, self._in_work = self._in_work, None
            if is_written and isinstance(kept, _GapNote):
                kept.is_stored = True
            if is_written and (isinstance(note, LiveSegment) or note.until is not None):
                self._notes[note.camera_id].popleft()

    def _refuse(self, note: LiveSegment | _GapNote) -> None:
        with self._changed:
            self._in_work = None
            if isinstance(note, LiveSegment):
                self._replace_by_gap(note, _REFUSED)
            else:
                self._notes[note.camera_id].popleft()


def stream_name(camera_id: str) -> str:
    """How the store names the live stream of a camera; its address, which may hold a password, stays out of it."""
    return f"stream {camera_id}"


def _num_bytes(tracklet: Tracklet) -> int:
    arrays = (tracklet.frames, tracklet.boxes_xyxy, tracklet.scores, tracklet.embedding, *tracklet.crops)
    return sum(array.nbytes for array in arrays)


def _cause(error: Exception) -> object:
    """What the database said, without the statement and its values."""
    return error.orig if isinstance(error, sa.exc.DBAPIError) else error
