"""How a command that uses the store ends when the database goes away or a disk is full: with one line that says so."""

import errno
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from procrastinate.exceptions import ConnectorException

from domain.errors import InputError
from domain.stage import run_stage


def run_command(main: Callable[[Sequence[str]], None]) -> None:
    """As `domain.stage.run_stage`, which treats an error of the database as a bug."""
    run_stage(lambda argv: _explain(main, argv))


def _explain(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> None:
    try:
        main(argv)
    except (sa.exc.OperationalError, ConnectorException) as error:
        reason = error.orig if isinstance(error, sa.exc.OperationalError) else error.__cause__ or error
        raise InputError(
            f"the database must answer until the command ends, it did not: {reason}; make sure that it runs and that "
            "its disk has room, then run the command again: what was done stays done"
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(f"the disk must have room: {error}; make room, then run the command again") from error
