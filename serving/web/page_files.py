"""What the pages are made of: templates and files in `page/`, and the headers that keep a browser to this host."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, HTMLResponse, Response

_FILES = Path(__file__).parent / "page"
_SENT = {file.name: file for file in _FILES.iterdir() if file.suffix in {".js", ".css"}}
_PAGES = Environment(loader=FileSystemLoader(_FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


def is_english(conn: HTTPConnection) -> bool:
    """Whether the page is asked for in English (`?lang=en`) instead of Korean."""
    return conn.query_params.get("lang") == "en"


def render(conn: HTTPConnection, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page that `template` makes of `values`, in the language that was asked for."""
    english = is_english(conn)
    html = _PAGES.get_template(template).render(
        english=english, say=lambda korean, english_words: english_words if english else korean, **values
    )
    return HTMLResponse(html, status, headers=_HEADERS)


def send_file(request: Request) -> Response:
    """The script or style sheet at the end of the address; 404 if there is none."""
    file = _SENT.get(Path(request.url.path).name)
    return FileResponse(file, headers=_HEADERS) if file is not None else Response(status_code=404)
