"""The operators' page at /: search by photo or attributes, judge the sightings, see the route.

Rendered here in Korean or English; `page/page.js` asks /v1 and fills the page's templates. It asks no other host, and
the browser is told to refuse if anything should.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from serving.photo_search import NotReadyError

_FILES = Path(__file__).parent / "page"
_PAGES = Environment(loader=FileSystemLoader(_FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


def build_page() -> Starlette:
    """The application; set its `state.photo_search` (a `PhotoSearch`)."""
    return Starlette(routes=[Route("/", _page), Route("/page.js", _file), Route("/page.css", _file)])


def _page(request: Request) -> Response:
    """GET /, in Korean; `?lang=en` in English."""
    found = request.app.state.photo_search
    try:
        districts, reason = found.districts(), None
    except NotReadyError as error:
        districts, reason = [], str(error)
    english = request.query_params.get("lang") == "en"
    schema = found.attribute_schema()
    html = _PAGES.get_template("page.html").render(
        english=english,
        say=lambda korean, english_words: english_words if english else korean,
        groups=schema.groups if schema is not None else (),
        districts=districts,
        reason=reason,
    )
    return HTMLResponse(html, headers=_HEADERS)


def _file(request: Request) -> Response:
    """GET /page.js and /page.css."""
    return FileResponse(_FILES / Path(request.url.path).name, headers=_HEADERS)
