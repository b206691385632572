"""The operators' page at /: search by photos or attributes, judge the sightings, see the route and the case.

It is rendered in Korean or English for the signed-in account; the scripts in `page/` send requests to /v1 and fill the
page's templates. Headers forbid the browser requests to any other host.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.access.roles import Permission
from serving.cases.settings import CasesSettings
from serving.cases.visible import CaseAnswer, cases_of
from serving.search.connected import NotReadyError
from serving.web.administration import ADMIN_ROUTES
from serving.web.middleware.upload_limit import UploadLimit
from serving.web.page_files import render, send_file
from serving.web.sheet_page import SHEET_ROUTES
from serving.web.sign_in import SIGN_IN_ROUTES

_RARE_GROUPS = {"view", "height"}  # witnesses say little about them
_SHEET_HOURS = (1, 4, 12, 24, 72)
_MAX_FORM_BYTES = 4096  # of the forms for signing in and for administrators


def build_page() -> Starlette:
    """The application.

    Set its `state.search_service` (a `SearchService`), `state.gate` (a `Gate`) and `state.cases` (`CasesSettings`).
    """
    page = Starlette(
        routes=[Route("/", _page), Route("/page/{file}", send_file), *ADMIN_ROUTES, *SIGN_IN_ROUTES, *SHEET_ROUTES]
    )
    page.add_middleware(UploadLimit)
    page.state.max_upload_bytes = _MAX_FORM_BYTES
    return page


def _hours(rules: CasesSettings) -> str | None:
    """Hours in which a reviewer must agree, such as 0.5 or 2; None where operators open no case."""
    return None if rules.emergency_hours is None else f"{rules.emergency_hours:g}"


def _sheet_hours(rules: CasesSettings) -> list[str]:
    """For how long a sheet can be asked for, up to the longest that the settings allow."""
    return [f"{hours:g}" for hours in (*(each for each in _SHEET_HOURS if each < rules.sheet_hours), rules.sheet_hours)]


def _page(request: Request) -> Response:
    """GET /, in Korean; `?lang=en` in English."""
    service, account = request.app.state.search_service, request.user.account
    cases: list[CaseAnswer] = []
    try:
        if account.may(Permission.SEARCH):
            with service.store().begin() as connection:
                cases = cases_of(connection, account)
        districts, reason = service.districts(account.districts), None
    except NotReadyError as error:
        districts, reason = [], str(error)
    schema = service.attribute_schema()
    groups = schema.groups if schema is not None else ()
    rare = [group for group in groups if group.of == "scene" or group.name in _RARE_GROUPS]
    return render(
        request,
        "page.html",
        account=account,
        may_search=account.may(Permission.SEARCH),
        may_review=account.may(Permission.REVIEW),
        sheet_hours=_sheet_hours(request.app.state.cases),
        emergency_hours=_hours(request.app.state.cases) if account.may(Permission.EMERGENCY) else None,
        may_audit=account.may(Permission.AUDIT),
        may_administer=account.may(Permission.OPERATE),
        cases=cases,
        common_groups=[group for group in groups if group not in rare],
        rare_groups=rare,
        limits=service.limits,
        districts=districts,
        reason=reason,
        warnings=service.warnings(),
    )
