"""Hard links, so that imported data is not stored twice."""

import os
import shutil
from pathlib import Path

from domain.errors import InputError


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard-link the file; copy it where the file system has no hard links.

    Raises:
        InputError: if `source` is not a file.
    """
    if not Path(source).is_file():
        raise InputError(f"{source} must be a file; it is missing")
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
