"""JSON and XML that others wrote: bounded, without document types and entities, numbers within limits."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from domain.errors import InputError, shown
from domain.foreign_files import read_text

ANNOTATION_BYTES = 600_000_000  # COCO's own instances_train2017.json has 470 MB
_LARGEST = 2**31
_DEEPEST = 20
_CHUNK_BYTES = 1 << 20


def read_json(file: Path) -> Any:
    """The content of a JSON `file`.

    Raises:
        InputError: as `read_text` does, or if it is not JSON.
    """
    try:
        return json.loads(read_text(file, ANNOTATION_BYTES))
    except RecursionError as error:
        raise InputError(f"{file} must be JSON with few levels, got very many") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} must be JSON: {str(error)[:200]}") from error


def read_elements(file: Path) -> Iterator[Element]:
    """The elements below the root of an XML `file`, one at a time; the root comes last, without them.

    Raises:
        InputError: if it is no regular file, too large, no XML, has a document type (and so maybe entities) or more
            than twenty levels.
    """
    if not file.is_file():
        raise InputError(f"{file} must be a file; it is missing")
    if file.stat().st_size > ANNOTATION_BYTES:
        raise InputError(f"{file} must have at most {ANNOTATION_BYTES} bytes, got more")
    builder = _Builder(file)
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield from builder.feed(chunk, is_last=False)
    yield from builder.feed(b"", is_last=True)


class _Builder:
    """Builds each child of the root from the parser's events, and forgets it when it was taken."""

    def __init__(self, file: Path) -> None:
        self._file, self._depth = file, 0
        self._tree, self._done = TreeBuilder(), list[Element]()
        self._root: Element | None = None
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse_document_type

    def feed(self, chunk: bytes, *, is_last: bool) -> list[Element]:
        try:
            self._parser.Parse(chunk, is_last)
        except expat.ExpatError as error:
            raise InputError(f"{self._file} must be XML: {error}") from error
        except (LookupError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self._file} must be XML in a known encoding: {str(error)[:200]}") from error
        done, self._done = self._done, []
        return done

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InputError(f"{self._file} must have at most {_DEEPEST} levels, got more")
        if self._depth == 1:
            self._root = Element(tag, attributes)
            return
        if self._depth == 2:
            self._tree = TreeBuilder()
        self._tree.start(tag, attributes)

    def _end(self, tag: str) -> None:
        if self._depth > 1:
            self._tree.end(tag)
        if self._depth == 2:
            self._done.append(self._tree.close())
        elif self._depth == 1 and self._root is not None:
            self._done.append(self._root)
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self._depth > 1:
            self._tree.data(text)

    def _refuse_document_type(self, *_: object) -> None:
        raise InputError(f"{self._file} must be XML without a document type and entities")


def number(value: Any, place: object, what: str) -> float:
    """`value` as a number.

    Raises:
        InputError: unless it is a finite number below 2³¹, or a text of one; names `place` and `what`.
    """
    try:
        read = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        read = math.nan
    if not abs(read) < _LARGEST:  # not a number is not below either
        raise InputError(f"{place}: {what} must be a number below {_LARGEST}, got {shown(value)}")
    return read


def whole(value: Any, place: object, what: str, least: int = 0) -> int:
    """`value` as a whole number of at least `least`; raises as `number` does."""
    read = number(value, place, what)
    if read != int(read) or read < least:
        raise InputError(f"{place}: {what} must be a whole number from {least}, got {shown(value)}")
    return int(read)


def numbers(values: Any, place: object, what: str, count: int | None = None) -> list[float]:
    """`values` as a list of numbers, of length `count` if given; raises as `number` does."""
    if not isinstance(values, list | tuple) or (count is not None and len(values) != count):
        raise InputError(f"{place}: {what} must be a list of {count or ''} numbers, got {shown(values)}")
    return [number(value, place, what) for value in values]
