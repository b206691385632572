"""Dynamic batching: the threads of many cameras share one set of engines, and their calls share batches."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from serving.perception.perception import Engine, Perception, PerceptionSettings


class SharedPerception(Perception):
    """`Perception` for many threads, one per camera, whose calls share the engines' batches.

    A call waits until all other registered threads wait or are in a running batch, and at most `max_wait_s`. Calls that
    arrive while the engines compute form the next batch, of at most `detector_batch` or `crop_batch` pictures; a single
    call is never divided. Resizing, non-maximum suppression and averaging run in the calling thread. An error is raised
    only in the thread whose pictures caused it. Results equal those of `Perception` up to the rounding that depends on
    an engine's batch size.

    Args:
        detector, reid, attributes, settings, previous_reid: see `Perception`.
        max_wait_s: with 0, a batch has only calls that arrive while an engine computes.
        batches_at_once: number of batches computed in parallel; the engines should share the cores among them.
    """

    def __init__(
        self,
        detector: Engine,
        reid: Engine,
        attributes: Engine | None,
        settings: PerceptionSettings,
        previous_reid: Engine | None = None,
        *,
        max_wait_s: float,
        batches_at_once: int = 1,
    ) -> None:
        self._batcher = _Batcher(max_wait_s, batches_at_once)
        super().__init__(
            _SharedEngine(detector, settings.detector_batch, self._batcher),
            _SharedEngine(reid, settings.crop_batch, self._batcher),
            _SharedEngine(attributes, settings.crop_batch, self._batcher) if attributes is not None else None,
            settings,
            _SharedEngine(previous_reid, settings.crop_batch, self._batcher) if previous_reid is not None else None,
        )

    @contextmanager
    def user(self) -> Iterator[None]:
        """Register the calling thread during its work; batches wait only for registered threads.

        Calls of other threads are answered too.
        """
        self._batcher.change_users(+1)
        try:
            yield
        finally:
            self._batcher.change_users(-1)


@dataclass(eq=False)
class _Call:
    engine: "_SharedEngine"
    images: np.ndarray
    due_s: float  # time at which it stops waiting for other calls
    outputs: dict[str, np.ndarray] | None = None
    error: Exception | None = None

    @property
    def is_answered(self) -> bool:
        return self.outputs is not None or self.error is not None


class _SharedEngine:
    """An engine whose calls go through a `_Batcher`."""

    def __init__(self, engine: Engine, max_batch: int, batcher: "_Batcher") -> None:
        self.card = engine.card
        self.max_batch = max_batch
        self.run = engine
        self._batcher = batcher

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return self._batcher.answer(self, images)


@dataclass
class _Batcher:
    """Waiting calls. It has no own thread: one of the calling threads computes each batch for all its callers."""

    max_wait_s: float
    batches_at_once: int
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _users: int = 0
    _waiting: list[_Call] = field(default_factory=list)  # oldest first
    _batches: list[list[_Call]] = field(default_factory=list)  # being computed

    def change_users(self, by: int) -> None:
        with self._changed:
            self._users += by
            self._changed.notify_all()

    def answer(self, engine: _SharedEngine, images: np.ndarray) -> dict[str, np.ndarray]:
        call = _Call(engine, images, time.monotonic() + self.max_wait_s)
        with self._changed:
            self._waiting.append(call)
            self._changed.notify_all()
        try:
            while not call.is_answered:
                batch = self._next_batch(call)
                if batch:
                    self._compute(batch)
        finally:
            with self._changed:
                if call in self._waiting:  # an exception ends this thread, so its call needs no answer
                    self._waiting.remove(call)
        if call.error is not None:
            raise call.error
        assert call.outputs is not None, "an answered call has outputs or an error"
        return call.outputs

    def _next_batch(self, call: _Call) -> list[_Call]:
        """Wait for the batch that this thread must compute; empty if `call` was answered meanwhile."""
        with self._changed:
            while not call.is_answered:
                rest_s = self._rest_s()
                if rest_s is not None and rest_s <= 0:
                    return self._take()
                self._changed.wait(rest_s)
        return []

    def _rest_s(self) -> float | None:
        """Seconds until the next batch is due; None without waiting calls, or while all batches are in use."""
        if not self._waiting or len(self._batches) >= self.batches_at_once:
            return None
        if len(self._waiting) + sum(map(len, self._batches)) >= self._users:
            return 0.0
        return self._waiting[0].due_s - time.monotonic()

    def _take(self) -> list[_Call]:
        """Take the oldest call, and others of its engine that fit into the batch."""
        oldest = self._waiting[0]
        batch, room = [oldest], oldest.engine.max_batch - len(oldest.images)
        for call in self._waiting[1:]:
            if call.engine is oldest.engine and len(call.images) <= room:
                batch.append(call)
                room -= len(call.images)
        self._waiting = [call for call in self._waiting if call not in batch]
        self._batches.append(batch)
        return batch

    def _compute(self, batch: list[_Call]) -> None:
        try:
            _run(batch)
        finally:
            with self._changed:
                self._waiting[:0] = [call for call in batch if not call.is_answered]  # if an exception ends this thread
                self._batches.remove(batch)
                self._changed.notify_all()


def _run(batch: list[_Call]) -> None:
    """Answer each call of `batch`; if the batch fails, run each call alone, because one may have caused it."""
    engine = batch[0].engine.run
    try:
        images = batch[0].images if len(batch) == 1 else np.concatenate([call.images for call in batch])
        outputs = engine(images)
    except Exception as error:  # noqa: BLE001 -- raised again in the calling thread
        if len(batch) == 1:
            batch[0].error = error
            return
        for call in batch:
            _run([call])
        return
    first = 0
    for call in batch:
        last = first + len(call.images)
        call.outputs = {name: values[first:last] for name, values in outputs.items()}
        first = last
