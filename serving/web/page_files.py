"""The files of the pages: templates, scripts and words in `page/`, and the headers that keep a browser to this host."""

from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from types import SimpleNamespace
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response

from domain.errors import InputError
from serving.web.scripts import script_of

_DEFAULT_LANGUAGE = "ko"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src blob:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # by no-referrer, browsers hide the origin of a form, which the gate asks for
}


class Words(BaseModel):
    """Words of the pages in one language, by key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: dict[str, str]  # used by the templates
    scripts: dict[str, str]  # used by the scripts
    sheet: dict[str, str] = {}  # used by the sheets for officers on foot

    def names(self) -> dict[str, frozenset[str]]:
        """Names in braces of each word, by section and key."""
        return {
            f"{section}.{key}": frozenset(name for _, name, _, _ in Formatter().parse(text) if name)
            for section, words in self
            for key, text in words.items()
        }


def read_words(folder: Path) -> Mapping[str, Words]:
    """Words by language, from the files `words.<language>.yaml` of `folder`.

    Raises:
        InputError: if the files differ in their keys or in the names in braces.
    """
    files = sorted(folder.glob("words.*.yaml"))
    languages = {file.suffixes[0][1:]: Words(**yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files}
    first, *others = [words.names().items() for words in languages.values()]
    differing = sorted({key for each in others for key, _ in first ^ each})
    if differing:
        raise InputError(
            f"{' and '.join(file.name for file in files)} must have the same keys and the same names in braces, "
            f"they differ in {', '.join(differing)}"
        )
    return languages


_FILES = Path(__file__).parent / "page"
_SENT = {file.name: file.read_text(encoding="utf-8") for file in _FILES.iterdir() if file.suffix in {".js", ".css"}}
# The operators' page asks for one script and one style sheet.
_STYLES = ("page", "footage", "watch", "handover", "emergencies", "sheets", "corrections", "trail")
_SENT |= {"page.js": script_of(_FILES, "page"), "page.css": "".join(_SENT[f"{name}.css"] for name in _STYLES)}
_TYPES = {".js": "text/javascript", ".css": "text/css"}
_WORDS = read_words(_FILES)
_PAGES = Environment(loader=FileSystemLoader(_FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
_PAGES.policies["json.dumps_kwargs"] = {"ensure_ascii": False}


def language_query(conn: HTTPConnection) -> str:
    """Query string that keeps the language of the request on the next page; empty for Korean, the default."""
    language = _language(conn)
    return "" if language == _DEFAULT_LANGUAGE else f"?lang={language}"


def sheet_words(language: str) -> Mapping[str, str]:
    """Words of a sheet in one of the languages."""
    return _WORDS[language].sheet


def render(
    conn: HTTPConnection, template: str, status: int = 200, language: str | None = None, **values: Any
) -> HTMLResponse:
    """The page that `template` makes of `values`, in `language`; without it, in that of the request (else Korean)."""
    language = language or _language(conn)
    html = _PAGES.get_template(template).render(
        language=language,
        language_query=language_query(conn),
        words=SimpleNamespace(**_WORDS[language].page),
        script_words=_WORDS[language].scripts,
        said=SimpleNamespace(**_WORDS[language].sheet),
        **values,
    )
    return HTMLResponse(html, status, headers=_HEADERS)


def send_file(request: Request) -> Response:
    """The script or style sheet at the end of the address; 404 if there is none."""
    name = Path(request.url.path).name
    if name not in _SENT:
        return Response(status_code=404)
    return Response(_SENT[name], headers=_HEADERS, media_type=_TYPES[Path(name).suffix])


def _language(conn: HTTPConnection) -> str:
    language = conn.query_params.get("lang", _DEFAULT_LANGUAGE)
    return language if language in _WORDS else _DEFAULT_LANGUAGE
