"""Which modules of the project a module needs, read from its text: nothing is imported."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def imported_modules(entry: str, root: Path) -> list[Path]:
    """Files below `root` of the module `entry` and of all modules that it imports from there, in name order.

    Their packages are included. Imports inside functions count as well.
    """
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        parts = waiting.pop().split(".")
        packages = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
        module = root.joinpath(*parts[:-1], f"{parts[-1]}.py")
        new = {file for file in (*packages, module) if file.is_file()} - found
        found |= new
        for file in new:
            waiting += _imports(file)
    return sorted(found)


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of the syntax tree of `file`, the module itself first."""
    return tuple(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def _imports(file: Path) -> Iterator[str]:
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
