"""What a training shows of its progress: bars on a terminal, and some lines where they would fill a log."""

import sys
from collections.abc import Mapping

_LINES = 5  # of a training


def shows_bars() -> bool:
    """True if somebody looks on: the output is a terminal."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def say(epoch: int, max_epochs: int, values: Mapping[str, float]) -> None:
    """Print a line about every fifth of the epochs, counted from 1, and after the last, unless there are bars."""
    if not shows_bars() and (epoch % -(-max_epochs // _LINES) == 0 or epoch == max_epochs):
        named = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        print(f"epoch {epoch} of {max_epochs}: {named}", flush=True)
