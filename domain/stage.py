"""Runs a stage's `main` as a command: expected errors end it with one line, any other error is a bug."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from domain.errors import DongseonError
from domain.paths import DVC
from domain.settings import HelpAsked

_RUN_BY_DVC = "DVC_STAGE"  # DVC sets it
_OTHERS = 0o077
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT}


def run_stage(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line; an error that is no bug is a line without a traceback, and exit status 1.

    With --help it says what the command does and takes.
    """
    close_dvc_folders(Path.cwd())
    try:
        main(sys.argv[1:])
        _say_what_dvc_does()
    except HelpAsked as asked:
        print(f"{sys.modules['__main__'].__doc__ or main.__doc__}\n\n{asked}")
    except DongseonError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        where = error.filename or Path.cwd()
        print(f"error: {where} must be writable and have room, got: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _say_what_dvc_does() -> None:
    """Of a stage that somebody ran by hand: DVC has its outputs recorded, and would put these back in silence."""
    main, file = sys.modules["__main__"].__spec__, Path("dvc.yaml")
    if main is None or _RUN_BY_DVC in os.environ or not file.is_file():
        return
    for name, stage in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"].items():
        if f" -m {main.name} " in f"{stage.get('do', stage)['cmd']} ":
            print(f"note: the next `dvc repro` replaces this by what it has recorded; `dvc commit {name}` keeps it")


def close_dvc_folders(project: Path) -> None:
    """Let only their user enter the folders in which DVC copies the outputs of stages: its cache and its experiments.

    DVC creates them, with the mode of the shell that it was called from. A queued experiment runs inside of them.
    """
    for dvc in (project / DVC, *(parent for parent in project.parents if parent.name == DVC)):
        for folder in (dvc / "cache", dvc / "tmp") if dvc.is_dir() else ():
            try:
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
            except OSError:  # another user's, or a file system that is only read
                if not folder.is_dir() or not folder.stat().st_mode & _OTHERS:
                    continue
                print(f"warning: only its owner may enter {folder}, for it holds pictures: chmod 700", file=sys.stderr)
