"""The administrators' page at /admin: cameras and accounts. Each change is a form, and a record of the audit."""

from collections.abc import Callable, Mapping
from itertools import groupby

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from domain.errors import InputError
from domain.names import require_name
from serving.access.accounts import accounts, bind_account, create_account, disable_account, renew_account
from serving.access.roles import BOUND_ROLES, Role
from serving.database import cameras
from serving.search.connected import NotReadyError
from serving.web.page_files import language_query, render

_MOST_FIELDS = 10
_Form = Mapping[str, str]


def _add_camera(connection: sa.Connection, form: _Form, by: str) -> None:
    district = require_name(form["district"])
    zone = cameras.zone_for(connection, district, form["time_zone"])
    camera = cameras.camera_of(form["id"], form["name"], form["latitude"], form["longitude"])
    cameras.add_camera(connection, district, camera, zone, cameras.now(), by)


def _change_camera(connection: sa.Connection, form: _Form, by: str) -> None:
    camera = cameras.camera_of(form["id"], form["name"], form["latitude"], form["longitude"])
    new = {name: getattr(camera, name) for name in ("name", "latitude", "longitude")}
    cameras.describe_camera(connection, form["district"], form["id"], by, **new)


def _retire_camera(connection: sa.Connection, form: _Form, by: str) -> None:
    cameras.retire_camera(connection, form["district"], form["id"], cameras.now(), by)


def _create_account(connection: sa.Connection, form: _Form, by: str) -> str:
    if form["role"] not in list(Role):
        raise InputError(f"the role must be one of {', '.join(Role)}, got {form['role']!r}")
    days, districts = _days(form["expires_days"]), _districts(form["districts"])
    return create_account(connection, form["name"], Role(form["role"]), by, days, districts)


def _bind_account(connection: sa.Connection, form: _Form, by: str) -> None:
    bind_account(connection, form["name"], _districts(form["districts"]), by)


def _renew_account(connection: sa.Connection, form: _Form, by: str) -> str:
    return renew_account(connection, form["name"], by, _days(form["expires_days"]))


def _disable_account(connection: sa.Connection, form: _Form, by: str) -> None:
    if form["name"] == by:
        raise InputError("administrators cannot disable their own accounts; another administrator can")
    disable_account(connection, form["name"], by)


# What a form may ask for, by its field `change`; what is returned is a token, for this one answer.
_CHANGES: Mapping[str, Callable[[sa.Connection, _Form, str], str | None]] = {
    "add-camera": _add_camera,
    "change-camera": _change_camera,
    "retire-camera": _retire_camera,
    "create-account": _create_account,
    "bind-account": _bind_account,
    "renew-account": _renew_account,
    "disable-account": _disable_account,
}


def _show(request: Request) -> Response:
    """GET /admin."""
    return _page(request)


async def _change(request: Request) -> Response:
    """POST /admin, a form with `change` and what that needs."""
    sent = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    form = {name: value.strip() for name, value in sent.items() if isinstance(value, str)}
    return await run_in_threadpool(_apply, request, form)


def _apply(request: Request, form: _Form) -> Response:
    try:
        change = _CHANGES[form["change"]]
        with request.app.state.search_service.store().begin() as connection:
            token = change(connection, form, request.user.account.name)
    except KeyError as error:
        return _page(request, 400, refusal=f"the form must have the field {error}")
    except InputError as error:
        return _page(request, 400, refusal=str(error), typed=form)
    except NotReadyError as error:
        return _page(request, 503, refusal=str(error), typed=form)
    if token is not None:
        return _page(request, token=(form["name"], token))
    return RedirectResponse(f"admin{language_query(request)}", status_code=303)


def _page(
    request: Request,
    status: int = 200,
    *,
    refusal: str = "",
    token: tuple[str, str] | None = None,
    typed: _Form | None = None,
) -> Response:
    """The page; with `typed`, what was refused stands in its form again."""
    try:
        with request.app.state.search_service.store().begin() as connection:
            states, people = cameras.camera_states(connection), accounts(connection)
    except NotReadyError as error:
        states, people, status, refusal = [], [], 503, str(error)
    districts = {name: list(of) for name, of in groupby(states, lambda state: state.district)}
    account = request.user.account
    return render(
        request, "admin.html", status, districts=districts, people=people, account=account, roles=list(Role),
        bound_roles=BOUND_ROLES, refusal=refusal, token=token, typed=typed or {},
    )  # fmt: skip


def _districts(text: str) -> list[str] | None:
    """Names, separated by commas; None if there is none."""
    return [name.strip() for name in text.split(",") if name.strip()] or None


def _days(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"the days until an account expires must be a whole number, got {text!r}")
    return int(text)


ADMIN_ROUTES = [Route("/admin", _show), Route("/admin", _change, methods=["POST"])]
