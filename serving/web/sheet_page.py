"""What the link of a sheet opens on a telephone: /sheet, without an account.

The link's token is behind a `#`, so that no address and no log has it: a script sends it in a form.
"""

from base64 import b64encode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.database.store import Store
from serving.sheets.links import MOST_TOKEN, open_link
from serving.sheets.sheet import Sheet
from serving.sheets.texts import certainty, heading, span, validity
from serving.web.gate import Gate, RefusedError
from serving.web.page_files import render, send_file, sheet_words


def _show_shell(request: Request) -> Response:
    """GET /sheet."""
    return render(request, "sheet-link.html")


async def _open(request: Request) -> Response:
    """POST /sheet, a form with `token`."""
    gate: Gate = request.app.state.gate
    token = str((await request.form(max_files=0, max_fields=1)).get("token", ""))

    def open_with(store: Store) -> Sheet | None:
        with store.begin() as connection:
            return open_link(connection, store.crops, token[:MOST_TOKEN])

    try:
        sheet = await gate.open_link(request, open_with)
    except RefusedError as refusal:
        answer = render(request, "sheet-gone.html", refusal.status, is_gone=False)
        answer.headers.update(refusal.headers)
        return answer
    if sheet is None:
        return render(request, "sheet-gone.html", 404, is_gone=True)
    words = sheet_words(sheet.language)
    return render(
        request,
        "sheet.html",
        language=sheet.language,
        sheet=sheet,
        heading=heading(sheet, words),
        validity=validity(sheet, words),
        map=_as_address(sheet.map),
        stops=[
            {
                "stop": stop,
                "span": span(stop),
                "certainty": certainty(stop, sheet, words),
                "frame": _as_address(stop.frame),
                "person": _as_address(stop.person),
            }
            for stop in sheet.stops
        ],
    )


def _as_address(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"


SHEET_ROUTES = [
    Route("/sheet", _show_shell),
    Route("/sheet", _open, methods=["POST"]),
    Route("/sheet.css", send_file),
    Route("/sheet.js", send_file),
]
