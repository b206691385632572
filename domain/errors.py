"""Expected errors: the caller's data, or a file of an earlier stage. Any other error is a bug.

Error classes take only a message, and by keyword what has a default: other constructor arguments do not survive
pickling between data-loader workers.
"""

import reprlib
from collections.abc import Iterable

import numpy as np

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 120, 120


class DongseonError(Exception):
    """Base of all expected errors of this project."""


class InputError(DongseonError, ValueError):
    """The caller's data is unusable; the same data will fail again.

    `code` names the reason for callers that explain it in another language, and `number` which of several items, from
    1, has it.
    """

    def __init__(self, message: str, *, code: str = "invalid", number: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.number = number


class ArtifactError(DongseonError):
    """A file of an earlier stage is missing or unusable; the message names the stage to rerun."""


def shown(value: object) -> str:
    """`value` as an error message repeats it: what came from outside may be too long, or take minutes to write out.

    Example:
        >>> len(shown("x" * 1_000_000)) < 200
        True
    """
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes out no whole number of more than 4300 digits
        return f"a value of the type {type(value).__name__} that is too long to repeat"


def place_of(location: Iterable[object]) -> str:
    """The keys that lead to a wrong value, as pydantic lists them; they too come from outside.

    Example:
        >>> place_of(("cameras", 0, "id"))
        'cameras.0.id'
    """
    return ".".join(map(str, location))[:80]


def require_shape(name: str, array: np.ndarray, sizes: tuple[int | None, ...]) -> None:
    """Raise `InputError` unless `array` has these sizes; `None` accepts any size.

    Example:
        >>> require_shape("boxes", np.zeros((3, 5)), (None, 4))
        Traceback (most recent call last):
        domain.errors.InputError: boxes must have shape (any, 4), got (3, 5)
    """
    fits = array.ndim == len(sizes) and all(
        size in (None, actual) for size, actual in zip(sizes, array.shape, strict=True)
    )
    if not fits:
        expected = ", ".join("any" if size is None else str(size) for size in sizes)
        raise InputError(f"{name} must have shape ({expected}), got {array.shape}")
