"""Names and relative paths that come from outside and become parts of paths.

`Name` is for districts, cameras, models, engines and attribute schemas, wherever a name enters: configuration, YAML,
CSV, sidecars, command lines and the API. No such name leads out of its folder.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from domain.errors import InputError, shown

_LONGEST = 64  # 192 bytes of Hangul: a file's name may have 255, and temporary names add about thirty
_PATTERN = r"^[A-Za-z0-9가-힣_](\.?[A-Za-z0-9가-힣_-])*$"  # a point neither begins nor ends, nor follows a point
_RULE = (
    f"a name must have 1 to {_LONGEST} letters (Latin or Hangul), digits, _, - and single points, and begin with a "
    "letter, a digit or _"
)
_OF_FILE_BROWSERS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"}
_INNER_RULE = "a path must lead into its folder: relative, with / and without .."


def require_name(text: str) -> str:
    """`text` in Unicode's composed form (NFC), whichever form it has; macOS writes Korean file names in the other.

    Raises:
        InputError: unless it has 1 to 64 letters (Latin or Hangul), digits, `_`, `-` and single points, and begins
            with a letter, a digit or `_`.

    Example:
        >>> require_name("수성구-2.east")
        '수성구-2.east'
        >>> require_name("../c1")
        Traceback (most recent call last):
        domain.errors.InputError: a name must have 1 to 64 letters (Latin or Hangul), digits, _, - and single points, \
and begin with a letter, a digit or _, got '../c1'
    """
    name = _composed(text)
    if name is None:
        raise InputError(f"{_RULE}, got {shown(text)}")
    return name


def is_hidden(name: str) -> bool:
    """Whether no file browser shows a file or folder called `name`: macOS, Windows and network drives leave such files.

    Example:
        >>> [is_hidden(name) for name in ("._0001.jpg", "Thumbs.db", "__MACOSX", "0001.jpg")]
        [True, True, True, False]
    """
    return name.startswith(".") or name.casefold() in _OF_FILE_BROWSERS


def is_inner_path(text: str) -> bool:
    """Whether `text` is the path of something in a folder, relative to it.

    Example:
        >>> [is_inner_path(path) for path in ("problems/7_0.jpg", "../store.key", "/etc/passwd", "a//b")]
        [True, False, False, False]
    """
    return not re.search(r"[\\\0]", text) and all(part not in ("", ".", "..") for part in text.split("/"))


def _composed(text: str) -> str | None:
    if len(text) > 3 * _LONGEST:  # the other form of Hangul has up to three letters a syllable
        return None
    name = unicodedata.normalize("NFC", text)
    return name if len(name) <= _LONGEST and re.fullmatch(_PATTERN, name) else None


def _validated_name(text: str) -> str:
    name = _composed(text)
    if name is None:
        raise PydanticCustomError("name", _RULE)
    return name


def _validated_path(text: str) -> str:
    if not is_inner_path(text):
        raise PydanticCustomError("inner_path", _INNER_RULE)
    return unicodedata.normalize("NFC", text)


Name = Annotated[
    str,
    AfterValidator(_validated_name),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "minLength": 1, "maxLength": _LONGEST}),
]
InnerPath = Annotated[str, AfterValidator(_validated_path)]
