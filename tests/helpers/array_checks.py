"""Array shapes in annotations, checked at each call while tests run; `conftest.py` says in which packages."""

import typing
from collections.abc import Callable
from typing import Any

from beartype import beartype
from jaxtyping import AbstractArray


def check_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """Checks all annotations of `function` if one of them is of an array; otherwise `function` itself."""
    return beartype(function) if any(map(_has_array, function.__annotations__.values())) else function


def _has_array(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(map(_has_array, typing.get_args(annotation)))
