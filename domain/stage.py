"""How a stage's `main` becomes a command: our own errors end it with one clear line, anything else is a bug."""

import sys
from collections.abc import Callable, Sequence

from domain.errors import DongseonError


def run_stage(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line; a `DongseonError` is printed without a traceback and exits with 1."""
    try:
        main(sys.argv[1:])
    except DongseonError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
