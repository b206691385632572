"""SIGTERM during a training: it ends as soon as its checkpoint is whole, with the status that a shell gives it."""

import signal
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

_STATUS = 128 + signal.SIGTERM


class StopRequest:
    """Notes SIGTERM while its block runs, instead of ending the process."""

    def __init__(self) -> None:
        self.is_there = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.is_there = True


def stopped(folder: Path) -> SystemExit:
    """The end of a training whose checkpoint is in `folder`, to be raised; says how to go on."""
    print(f"stopped by SIGTERM: the same command goes on from the checkpoint in {folder}", flush=True)
    return SystemExit(_STATUS)
