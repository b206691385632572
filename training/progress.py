"""What a training shows of its progress: bars on a terminal, and some lines where they would fill a log."""

import sys
from collections.abc import Mapping
from time import perf_counter

_LINES = 5  # of a training
_WARM_UP, _TIMED = 3, 7  # batches: the first ones start processes and compile


def shows_bars() -> bool:
    """True if somebody looks on: the output is a terminal."""
    return sys.stdout.isatty() and sys.stderr.isatty()


class Estimate:
    """Says what a training takes: its size at once, and its time after ten batches, of which it timed the last seven.

    Args:
        pictures: number of training pictures.
        batches: in an epoch.
        epochs: that are still to come.
    """

    def __init__(self, pictures: int, batches: int, epochs: int) -> None:
        self._seen, self._batches, self._began = 0, batches * epochs, 0.0
        print(f"training on {pictures} pictures: {epochs} epochs of {batches} batches", flush=True)

    def after_batch(self) -> None:
        """Count a batch."""
        self._seen += 1
        if self._seen == _WARM_UP:
            self._began = perf_counter()
        elif self._seen == _WARM_UP + _TIMED:
            seconds = (perf_counter() - self._began) / _TIMED
            minutes = seconds * (self._batches - self._seen) / 60
            print(f"about {minutes:.0f} min to go, at {seconds:.2f} s a batch, validation apart", flush=True)


def say(epoch: int, max_epochs: int, values: Mapping[str, float], left_s: float = 0.0) -> None:
    """Print a line about every fifth of the epochs, counted from 1, and after the last, unless there are bars.

    Args:
        epoch: the one that ended.
        max_epochs: of the training.
        values: by name.
        left_s: what the others will take; 0 where that is not known.
    """
    if not shows_bars() and (epoch % -(-max_epochs // _LINES) == 0 or epoch == max_epochs):
        named = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        left = f"; about {left_s / 60:.0f} min to go" if left_s else ""
        print(f"epoch {epoch} of {max_epochs}: {named}{left}", flush=True)
