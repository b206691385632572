"""Data that is taken over without a second copy."""

import os
import shutil
from pathlib import Path

from domain.errors import InputError


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard-link the file, or copy it where the file system has no hard links.

    Raises:
        InputError: if there is no such file.
    """
    if not Path(source).is_file():
        raise InputError(f"{source} must be a file; it is missing")
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
