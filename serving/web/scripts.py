"""The modules of a page as one script: a browser asks once instead of thirty times.

For each file that is asked for, the service looks at the session, which takes longer than sending it. The modules stay
files of their own in `page/`. In the script each of them is a function that returns what it exports. Of the language's
forms of import and export this reads those that the modules use, and refuses others.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from domain.errors import InputError

_IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:const|class|function|async function) )([\w$]+)", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export|await)\b.*", re.MULTILINE)


def script_of(folder: Path, name: str) -> str:
    """The module `name`.js of `folder` with all that it imports, in the order in which a browser would run them.

    Raises:
        InputError: if modules import each other, or use another form of import or export.
    """
    return "".join(_functions(folder, name, done=set(), within=()))


def _functions(folder: Path, name: str, done: set[str], within: tuple[str, ...]) -> Iterator[str]:
    if name in within:
        raise InputError(f"modules must not import each other, got {' → '.join((*within, name))}")
    if name in done:
        return
    done.add(name)
    source = (folder / f"{name}.js").read_text(encoding="utf-8")
    for imported in _IMPORT.finditer(source):
        yield from _functions(folder, imported[2], done, (*within, name))
    names = ", ".join(each[2] for each in _EXPORT.finditer(source))
    body = _EXPORT.sub(r"\1\2", _IMPORT.sub(_constants, source))
    if other := _OTHER.search(body):
        raise InputError(f'{name}.js must import as in: import {{ a, b as c }} from "./dom.js"; got {other[0]}')
    yield f"const from_{name} = (() => {{ // {name}.js\n{body}\nreturn {{ {names} }};\n}})();\n"


def _constants(imported: re.Match[str]) -> str:
    names = imported[1]
    return f"const {{{names.replace(' as ', ': ')}}} = from_{imported[2]};\n" if names else ""
