"""Endpoints of /v1 for the sheets of a case; `serving.web.sheet_page` shows what their links open."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import InputError
from domain.texts import AtMost
from serving.access.accounts import Account
from serving.search import service as search
from serving.sheets import links
from serving.sheets.links import NewSheetAnswer, SheetAnswer
from serving.sheets.making import Plan, make_sheet, plan_sheet
from serving.sheets.pdf import write_pdf
from serving.sheets.sheet import Sheet
from serving.web.case_api import CaseInPath, Text
from serving.web.dependencies import (
    CaseRules,
    CurrentAccount,
    SearchService,
    Transaction,
    in_slow_thread,
    in_transaction,
)
from serving.web.errors import declared
from serving.web.map_layer import UnusableMapError, read_map_layer
from serving.web.page_files import sheet_words

SheetId = Annotated[int, Path(ge=1, lt=2**63)]
router = APIRouter()


class NewSheet(BaseModel):
    """A sheet to make."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Text
    note: Annotated[str, AtMost(1000)] = ""  # for the officer
    hours: Annotated[float, Field(gt=0, le=720, allow_inf_nan=False)]  # for which it can be used
    language: Literal["ko", "en"] = "ko"


class SheetsAnswer(BaseModel):
    """Sheets of a case, newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sheets: list[SheetAnswer]


@router.post("/cases/{case_id}/sheets", status_code=201, responses=declared(400, 404, 408, 413, 503))
async def make(
    request: Request,
    service: SearchService,
    account: CurrentAccount,
    rules: CaseRules,
    case_id: CaseInPath,
    new: NewSheet,
) -> NewSheetAnswer:
    """Make a sheet of the case's matches, with other people covered; the link that holds the token opens it."""
    if new.hours > rules.sheet_hours:
        raise InputError(
            f"hours must be at most {rules.sheet_hours:g} (serving.cases.sheet_hours), got {new.hours:g}",
            code="sheet_hours",
        )
    plan = await in_transaction(request, plan_sheet, account, case_id)
    sheet, pdf = await in_slow_thread(request, _make, service, plan, account, new)
    crops = service.store().crops
    return await in_transaction(request, links.keep_sheet, crops, account, new.reason, plan, sheet, pdf)


@router.get("/cases/{case_id}/sheets", responses=declared(404, 503))
def sheets(connection: Transaction, account: CurrentAccount, case_id: CaseInPath) -> SheetsAnswer:
    """Sheets of a case."""
    return SheetsAnswer(sheets=links.sheets_of(connection, account, case_id))


@router.get(
    "/cases/{case_id}/sheets/{sheet_id}/pdf",
    response_class=Response,
    responses=declared(404, 503)
    | {200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def pdf(
    request: Request, service: SearchService, account: CurrentAccount, case_id: CaseInPath, sheet_id: SheetId
) -> Response:
    """The sheet as a PDF; no cache may keep it."""
    content = await in_transaction(request, links.pdf_of, service.store().crops, account, case_id, sheet_id)
    name = f'attachment; filename="case-{case_id}-sheet-{sheet_id}.pdf"'
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": name}
    return Response(content, media_type="application/pdf", headers=headers)


@router.post("/cases/{case_id}/sheets/{sheet_id}/revoke", responses=declared(404, 503))
async def revoke(
    request: Request, service: SearchService, account: CurrentAccount, case_id: CaseInPath, sheet_id: SheetId
) -> SheetAnswer:
    """Take the sheet and its link out of use."""
    return await in_transaction(request, links.revoke, service.store().crops, account, case_id, sheet_id)


def _make(service: search.SearchService, plan: Plan, account: Account, new: NewSheet) -> tuple[Sheet, bytes]:
    store, made = service.store(), datetime.now(UTC)
    sheet = make_sheet(
        plan,
        store.crops,
        service.engines().perception,
        _layer(service),
        account=account.name,
        note=new.note.strip(),
        language=new.language,
        made=made,
        expires=made + timedelta(hours=new.hours),
    )
    return sheet, write_pdf(sheet, sheet_words(new.language))


def _layer(service: search.SearchService) -> dict[str, Any]:
    """The local map; nothing if it cannot be used, which the operators' page says."""
    try:
        layer: dict[str, Any] = json.loads(read_map_layer(service.store().folder))
    except UnusableMapError:
        return {"features": []}
    return layer
