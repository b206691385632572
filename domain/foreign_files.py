"""Text that others wrote: bounded, in UTF-8, of regular files only; YAML that is no longer than it looks, whole tables.

A YAML file of 479 bytes can hold, by aliases, a list of more things than memory has room for. So what came is never
repeated whole in a message: see `domain.errors.shown`.
"""

import csv
import io
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.parser import Parser

from domain.errors import InputError

SMALL_BYTES = 64_000  # a sidecar, the labels of a picture
DESCRIPTION_BYTES = 2_000_000  # of a district, a model or a schema; a camera takes about 200 bytes
TABLE_BYTES = 256_000_000  # a million rows
_DEEPEST = 20
_MOST_NODES = 1_000_000


def read_text(file: Path, max_bytes: int) -> str:
    """The text in `file`, UTF-8.

    Raises:
        InputError: if it is missing, unreadable, no regular file, longer than `max_bytes`, or not UTF-8.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as content:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{file} must be a regular file")
            text = content.read(max_bytes + 1)
    except OSError as error:
        why = "it is missing" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{file} must be a readable file: {why}") from error
    if len(text) > max_bytes:
        raise InputError(f"{file} must have at most {max_bytes} bytes, got more")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} must be text in UTF-8, byte {error.start} is not") from error


def read_yaml(file: Path, max_bytes: int = DESCRIPTION_BYTES, *, texts: bool = False) -> Any:
    """The content of the YAML in `file`; with `texts`, each value is the text that stands there, and no alias is taken.

    Raises:
        InputError: as `read_text` does, or if it is not YAML, has tags, aliases for very much, or too many levels.
    """
    text = read_text(file, max_bytes)
    loader: type[_Texts] | type[_Values] = _Texts if texts else _Values
    try:
        return yaml.load(text, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{file} must be YAML: {error.problem or error.context}{place}") from error
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:  # also of dates and numbers that are none
        raise InputError(f"{file} must be YAML; it has a character, a date or a number that is none") from error


def read_rows(file: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """The rows of the CSV table in `file`, whose first line names the columns; a cell that is missing is empty.

    Raises:
        InputError: as `read_text` does, or if a column of `columns` is missing or it is not CSV.
    """
    reader = csv.DictReader(io.StringIO(read_text(file, TABLE_BYTES), newline=""), restval="")
    try:
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{file}, line 1: must also have the columns {', '.join(missing)}")
        return [{name: value for name, value in row.items() if name is not None} for row in reader]
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: must be CSV: {error}") from error


class _Bounded(Parser, Composer):
    """Refuses tags, deep nesting, and more content than the file is long, before anything is built."""

    takes_aliases = True
    _depth = _num_nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event, sizes = self.peek_event(), self.__dict__.setdefault("_sizes", {})  # nodes below each anchor
        anchor, refused = getattr(event, "anchor", None), None
        if isinstance(event, yaml.AliasEvent) and anchor in sizes:
            self._num_nodes += sizes[anchor]
        elif isinstance(event, yaml.AliasEvent):
            refused = "an alias must be of something that is complete"
        if anchor is not None and not self.takes_aliases:
            refused = "anchors and aliases are not taken"
        elif getattr(event, "tag", None) is not None:
            refused = "tags are not taken"
        elif self._depth >= _DEEPEST:
            refused = f"more than {_DEEPEST} levels are not taken"
        elif self._num_nodes > _MOST_NODES:
            refused = f"aliases that stand for more than {_MOST_NODES} entries are not taken"
        if refused is not None:
            raise ComposerError(None, None, refused, event.start_mark)
        before = self._num_nodes
        self._num_nodes += 1
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            sizes[anchor] = self._num_nodes - before
        return node


class _Values(_Bounded, yaml.SafeLoader):
    pass


class _Texts(_Bounded, yaml.BaseLoader):
    takes_aliases = False
