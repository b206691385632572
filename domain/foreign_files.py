"""Text that others wrote: bounded, in Unicode, of regular files only; YAML no longer than it looks, whole tables.

A YAML file of 479 bytes can hold, by aliases, a list of more things than memory has room for. So what came is never
repeated whole in a message: see `domain.errors.shown`.
"""

import codecs
import csv
import io
import logging
import os
import re
import stat
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.parser import Parser

from domain.errors import InputError, shown

_log = logging.getLogger(__name__)
SMALL_BYTES = 64_000  # a sidecar, the labels of a picture
DESCRIPTION_BYTES = 2_000_000  # of a district, a model or a schema; a camera takes about 200 bytes
TABLE_BYTES = 256_000_000  # a million rows
_MARKS = {  # byte order marks, longer ones first
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
HOW_TO_SAVE = "save it as UTF-8 (in Excel as “CSV UTF-8”, in Notepad with the encoding UTF-8)"
_HANGUL = re.compile("[가-힣]")
_KOREAN = re.compile("[\\x00-\\x7f가-힣ㄱ-ㆎ\u3000-\u303f\uff00-\uffef·…‘’“”]*")
_DELIMITERS = ",;\t"  # a spreadsheet writes the second where the decimal mark is a comma
_DEEPEST = 20
_MOST_NODES = 1_000_000


def read_text(file: Path, max_bytes: int) -> str:
    """The text in `file`: UTF-8, with or without a byte order mark, UTF-16 or UTF-32 with one, or Korean in cp949.

    That it is cp949 is guessed, since such text has no mark, and logged.

    Raises:
        InputError: if it is missing, unreadable, no regular file, longer than `max_bytes`, or in another encoding.
    """
    text, guessed = decoded(file, max_bytes)
    if guessed:
        _tell_guess(file, guessed)
    return text


def is_plain(file: Path, max_bytes: int) -> bool:
    """Whether `file` is UTF-8 without a byte order mark, as programs read it that do not ask.

    Raises:
        InputError: as `read_text` does, but for the encoding.
    """
    content = _content(file, max_bytes)
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return not content.startswith(tuple(_MARKS)) and b"\0" not in content


def decoded(file: Path, max_bytes: int) -> tuple[str, str]:
    """The text as `read_text` gives it, and its encoding if that is guessed, else an empty text."""
    content = _content(file, max_bytes)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and (korean := _korean(content)):
            return korean, "cp949"
        raise InputError(f"{file} must be text in UTF-8, byte {error.start} is not{_likely(content)}") from error
    if _is_utf16(content) and "\0" in text:
        raise InputError(f"{file} must be text in UTF-8{_likely(content)}")
    return text, ""


def _content(file: Path, max_bytes: int) -> bytes:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{file} must be a regular file")
            content = stream.read(max_bytes + 1)
    except OSError as error:
        why = "it is missing" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{file} must be a readable file: {why}") from error
    if len(content) > max_bytes:
        raise InputError(f"{file} must have at most {max_bytes} bytes, got more")
    return content


def _korean(content: bytes) -> str:
    """The text if it is Korean in cp949, as Korean Windows writes it: beside ASCII, only Hangul and punctuation."""
    try:
        text = content.decode("cp949")
    except UnicodeDecodeError:
        return ""
    hangul = _HANGUL.findall(text)
    usual = sum(min(syllable.encode("cp949")) > 0xA0 for syllable in hangul)  # Japanese would be the rare others
    return text if _KOREAN.fullmatch(text) and "\0" not in text and 2 * usual >= len(hangul) else ""


@lru_cache
def _tell_guess(file: Path, encoding: str) -> None:
    _log.warning("%s is not in UTF-8 and is read as %s; to be sure, %s", file, encoding, HOW_TO_SAVE)


def _is_utf16(content: bytes) -> bool:
    """Whether `content` has the zeros of Latin letters in UTF-16."""
    return max(content[::2].count(0), content[1::2].count(0)) > max(1, len(content) // 8)


def _likely(content: bytes) -> str:
    """What `content`, which is not UTF-8, looks like, and what to do."""
    if content.startswith(b"PK\x03\x04"):
        return "; it looks like an Excel workbook: save it as “CSV UTF-8”"
    if _is_utf16(content):
        return f"; it looks like UTF-16 without a byte order mark: {HOW_TO_SAVE}"
    return f"; it may be in an encoding of Windows: {HOW_TO_SAVE}"


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


def read_rows(file: Path, columns: Collection[str]) -> dict[int, dict[str, str]]:
    """The rows of the table in `file` by line number; its first row names the columns; a cell that is missing is empty.

    Cells are separated by commas, semicolons or tabs, whichever gives `columns`. Names of columns may differ in case.
    Cells come without blanks around them and in Unicode's composed form (NFC); rows without content are left out.

    Raises:
        InputError: as `read_text` does, or if a column of `columns` is missing or there twice, a row has more cells
            than there are columns, or it is no CSV.
    """
    text = read_text(file, TABLE_BYTES)
    wrong = ""
    for delimiter in _DELIMITERS:
        rows = _cells(file, text, delimiter)
        line, header = next(rows, (1, []))
        names = [next((name for name in columns if name.casefold() == cell.casefold()), cell) for cell in header]
        missing = [name for name in columns if name not in names]
        repeated = [name for name in columns if names.count(name) > 1]
        if not missing and not repeated:
            return dict(_named(file, names, rows))
        if repeated:
            raise InputError(f"{file}, line {line}: must have each column once, got {', '.join(repeated)} repeatedly")
        wrong = wrong or (
            f"{file}, line {line}: must also have the columns {', '.join(missing)}, got {shown(', '.join(header))}"
        )
    raise InputError(wrong)


def _cells(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row with content, and the row's first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            cells = [unicodedata.normalize("NFC", cell.strip()) for cell in row]
            if any(cells) and not (line == 1 and cells[0].casefold().startswith("sep=")):  # a note to Excel
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: must be CSV: {error}") from error


def _named(
    file: Path, names: Sequence[str], rows: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with its cells by the `names` of the columns, and its line."""
    for line, cells in rows:
        if any(cells[len(names) :]):
            raise InputError(
                f"{file}, line {line}: must have at most {len(names)} cells, as the first line has, got {len(cells)}; "
                'a cell with a separator in it must stand in "…"'
            )
        padded = cells + [""] * (len(names) - len(cells))
        yield line, {name: cell for name, cell in zip(names, padded, strict=False) if name}


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
