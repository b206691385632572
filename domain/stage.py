"""Runs a stage's `main` as a command: expected errors end it with one line, any other error is a bug."""

import sys
from collections.abc import Callable, Sequence

from domain.errors import DongseonError


def run_stage(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line; print a `DongseonError` without a traceback and exit with 1."""
    try:
        main(sys.argv[1:])
    except DongseonError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
