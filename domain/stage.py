"""Runs a stage's `main` as a command: expected errors end it with one line, any other error is a bug."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from domain.errors import DongseonError
from domain.paths import DVC


def run_stage(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line; print a `DongseonError` without a traceback and exit with 1."""
    close_dvc_folders(Path.cwd())
    try:
        main(sys.argv[1:])
    except DongseonError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def close_dvc_folders(project: Path) -> None:
    """Let only their user enter the folders in which DVC copies the outputs of stages: its cache and its experiments.

    DVC creates them, with the mode of the shell that it was called from. A queued experiment runs inside of them.
    """
    for dvc in (project / DVC, *(parent for parent in project.parents if parent.name == DVC)):
        for folder in (dvc / "cache", dvc / "tmp") if dvc.is_dir() else ():
            try:
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
            except PermissionError:
                print(f"warning: only its owner may enter {folder}, for it holds pictures: chmod 700", file=sys.stderr)
