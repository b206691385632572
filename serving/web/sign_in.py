"""Signing in on the page: /sign-in exchanges a token for a session cookie, /sign-out ends the session.

Where an OpenID provider is set, /sign-in/begin sends the browser there, and it comes back to /sign-in/done.
"""

import logging

from starlette.authentication import AuthenticationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from serving.web.gate import COOKIE, Gate, RefusedError
from serving.web.page_files import language_query, render, send_file
from serving.web.single_sign_on import DONE, KEPT_S, ProviderError

_KEPT = "dongseon_sign_in"  # cookie of a sign-in that has begun at the provider
_log = logging.getLogger(__name__)


def refuse(conn: HTTPConnection, error: AuthenticationError) -> Response:
    """The answer to a request that `serving.web.gate` refuses; the sign-in page in place of the operators' page."""
    assert isinstance(error, RefusedError), "the gate raises no other kind"
    if error.status == 401 and conn.scope["path"] == "/":
        return _page(conn, error)
    return JSONResponse({"error": str(error)}, error.status, error.headers)


def _show(request: Request) -> Response:
    """GET /sign-in."""
    return _page(request)


async def _sign_in(request: Request) -> Response:
    """POST /sign-in, a form with `token`."""
    gate: Gate = request.app.state.gate
    token = (await request.form(max_files=0, max_fields=1)).get("token", "")
    try:
        session_id = await gate.sign_in(request, str(token).strip())
    except RefusedError as refusal:
        return _page(request, refusal, was_tried=True)
    answer = RedirectResponse(f"./{language_query(request)}", status_code=303)
    lasts_s = int(gate.session_hours * 3600)
    answer.set_cookie(COOKIE, session_id, lasts_s, httponly=True, samesite="strict", secure=_came_by_https(request))
    return answer


async def _begin(request: Request) -> Response:
    """GET /sign-in/begin."""
    gate: Gate = request.app.state.gate
    if gate.provider is None:
        return Response(status_code=404)
    try:
        address, kept = await gate.provider.begin()
    except ProviderError as error:
        return _refuse_person(request, RefusedError(503, str(error)))
    answer = RedirectResponse(address, status_code=303)
    # Lax: the browser comes back from another site.
    answer.set_cookie(
        _KEPT,
        f"{language_query(request)}|{kept}",
        KEPT_S,
        httponly=True,
        samesite="lax",
        secure=gate.provider.is_secure,
    )
    return answer


async def _done(request: Request) -> Response:
    """GET /sign-in/done, from the provider."""
    gate: Gate = request.app.state.gate
    if gate.provider is None:
        return Response(status_code=404)
    query, _, kept = request.cookies.get(_KEPT, "").partition("|")
    try:
        session_id = await gate.sign_on(request, gate.provider, kept)
    except RefusedError as refusal:
        return _refuse_person(request, refusal)
    # No redirection: browsers send a strict cookie only with a request that began on a page of ours.
    answer = render(request, "signed-in.html", address=f"../{query}")
    lasts_s, is_secure = int(gate.session_hours * 3600), gate.provider.is_secure
    answer.set_cookie(COOKIE, session_id, lasts_s, httponly=True, samesite="strict", secure=is_secure)
    answer.delete_cookie(_KEPT, httponly=True, samesite="lax", secure=is_secure)
    return answer


def _refuse_person(request: Request, refusal: RefusedError) -> Response:
    _log.warning("%s", refusal)
    return _page(request, refusal, was_tried=True, above="../")


async def _sign_out(request: Request) -> Response:
    """POST /sign-out, a form that may have the field `everywhere`."""
    everywhere = "everywhere" in await request.form(max_files=0, max_fields=1)
    await request.app.state.gate.sign_out(request, request.user.account, everywhere=everywhere)
    answer = RedirectResponse(f"sign-in{language_query(request)}", status_code=303)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_came_by_https(request))
    return answer


def _page(
    conn: HTTPConnection, refusal: RefusedError | None = None, *, was_tried: bool = False, above: str = ""
) -> Response:
    status = 200 if refusal is None else refusal.status
    answer = render(
        conn,
        "sign-in.html",
        status,
        above=above,
        failed=status if was_tried else None,
        has_provider=conn.scope.get("has_provider", False),
    )
    answer.headers.update(refusal.headers if refusal is not None else {})
    return answer


def _came_by_https(request: Request) -> bool:
    """Whether the browser connected by https, even if a proxy passes the request on by http."""
    return request.headers.get("origin", "").startswith("https:")  # the gate has checked the origin


SIGN_IN_ROUTES = [
    Route("/sign-in", _show),
    Route("/sign-in", _sign_in, methods=["POST"]),
    Route("/sign-in/begin", _begin),
    Route(f"/{DONE}", _done),
    Route("/sign-in.css", send_file),
    Route("/sign-out", _sign_out, methods=["POST"]),
]
