"""Functions compiled by numba, also where tests check array annotations."""

from collections.abc import Callable
from inspect import unwrap
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[_Function], _Function]:
    """Decorator that compiles a function with `numba.njit(**options)` and caches its machine code on disk.

    While tests run, a wrapper checks a function's array annotations. numba cannot compile the wrapper, so it gets the
    function inside.
    """

    def compile_function(function: _Function) -> _Function:
        return njit(cache=True, **options)(unwrap(function))

    return compile_function
