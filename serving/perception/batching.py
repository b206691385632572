"""One set of engines for the threads of many cameras: calls that come together go into an engine as one batch."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from serving.perception.perception import Engine, Perception, PerceptionSettings


class SharedPerception(Perception):
    """`Perception` for many threads, one a camera: same calls, same answers, but they share the engines' batches.

    A call waits until all other users wait or are being answered, or for `max_wait_s`, whichever comes first; while
    the engines compute, calls gather for the next batch, which holds at most `detector_batch` or `crop_batch` pictures
    (a call is never divided).
    Resizing, non-maximum suppression and averaging stay in the threads that ask. An error reaches only the thread whose
    pictures caused it. Answers are those of `Perception` up to what an engine's sums differ by with the batch size.

    Args:
        detector, reid, attributes, settings: as `Perception` has them.
        max_wait_s: 0 never waits, so that only calls gather that come while an engine computes.
        batches_at_once: so many batches may be computed side by side; the engines should share the cores among them.
    """

    def __init__(
        self,
        detector: Engine,
        reid: Engine,
        attributes: Engine | None,
        settings: PerceptionSettings,
        *,
        max_wait_s: float,
        batches_at_once: int = 1,
    ) -> None:
        """Take the engines; nothing runs yet."""
        self._batcher = _Batcher(max_wait_s, batches_at_once)
        super().__init__(
            _SharedEngine(detector, settings.detector_batch, self._batcher),
            _SharedEngine(reid, settings.crop_batch, self._batcher),
            _SharedEngine(attributes, settings.crop_batch, self._batcher) if attributes is not None else None,
            settings,
        )

    @contextmanager
    def user(self) -> Iterator[None]:
        """For each thread around its work: nobody waits for one that left, whatever ended it.

        Calls of threads that are no users are answered too; nobody waits for them.
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
    due_s: float  # when it no longer waits for others
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
    """Calls that wait. There is no thread of its own: of those who wait, one computes for all in its batch."""

    max_wait_s: float
    batches_at_once: int
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _users: int = 0
    _waiting: list[_Call] = field(default_factory=list)  # oldest first
    _batches: list[list[_Call]] = field(default_factory=list)  # in work

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
                if call in self._waiting:  # this thread is being ended: nobody is left to take the answer
                    self._waiting.remove(call)
        if call.error is not None:
            raise call.error
        assert call.outputs is not None, "an answered call has outputs or an error"
        return call.outputs

    def _next_batch(self, call: _Call) -> list[_Call]:
        """Wait; the batch that this thread must compute, or nothing when `call` was answered meanwhile."""
        with self._changed:
            while not call.is_answered:
                rest_s = self._rest_s()
                if rest_s is not None and rest_s <= 0:
                    return self._take()
                self._changed.wait(rest_s)
        return []

    def _rest_s(self) -> float | None:
        """Seconds until the next batch is due; None while there is nothing to compute, or nobody to compute it."""
        if not self._waiting or len(self._batches) >= self.batches_at_once:
            return None
        if len(self._waiting) + sum(map(len, self._batches)) >= self._users:
            return 0.0
        return self._waiting[0].due_s - time.monotonic()

    def _take(self) -> list[_Call]:
        """The oldest call and others of its engine, as many as go into a batch."""
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
                self._waiting[:0] = [call for call in batch if not call.is_answered]  # if this thread is being ended
                self._batches.remove(batch)
                self._changed.notify_all()


def _run(batch: list[_Call]) -> None:
    """Answer each call of `batch`; where they fail together, each is tried alone, for one may be at fault."""
    engine = batch[0].engine.run
    try:
        images = batch[0].images if len(batch) == 1 else np.concatenate([call.images for call in batch])
        outputs = engine(images)
    except Exception as error:  # noqa: BLE001 -- it is raised again, in the thread that asked
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
