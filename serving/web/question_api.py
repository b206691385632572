"""Endpoints of /v1 for the question of a case: its photos and notes, for the next shift."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.texts import AtMost
from serving.cases import question
from serving.cases.question import CaseNote, CaseQuestion
from serving.web.case_api import CaseInPath
from serving.web.dependencies import CurrentAccount, SearchService, Transaction, in_transaction
from serving.web.errors import declared

PhotoId = Annotated[int, Path(ge=1, lt=2**63)]
router = APIRouter()


class NewNote(BaseModel):
    """A note to add."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(pattern=r"\S"), AtMost(5000)]


@router.get("/cases/{case_id}/question", responses=declared(404, 503))
def question_of_case(connection: Transaction, account: CurrentAccount, case_id: CaseInPath) -> CaseQuestion:
    """Photos, notes and last search of a case."""
    return question.question_of(connection, account, case_id)


@router.post("/cases/{case_id}/notes", status_code=201, responses=declared(400, 404, 408, 413, 503))
def add_note(connection: Transaction, account: CurrentAccount, case_id: CaseInPath, note: NewNote) -> CaseNote:
    """Add a note for whoever works on the case next."""
    return question.add_note(connection, account, case_id, note.text)


@router.get(
    "/cases/{case_id}/photos/{photo_id}",
    response_class=Response,
    responses=declared(404, 503) | {200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def photo(
    request: Request, service: SearchService, account: CurrentAccount, case_id: CaseInPath, photo_id: PhotoId
) -> Response:
    """A photo of the person, as it was sent with a search; no cache may keep it."""
    content = await in_transaction(request, question.photo_of, service.store().crops, account, case_id, photo_id)
    headers = {"Cache-Control": "private, no-store"}
    return Response(content, media_type=question.kind_of_photo(content), headers=headers)


@router.post("/cases/{case_id}/photos/{photo_id}/remove", status_code=204, responses=declared(400, 404, 503))
async def remove_photo(
    request: Request, service: SearchService, account: CurrentAccount, case_id: CaseInPath, photo_id: PhotoId
) -> None:
    """Take a photo out of the case."""
    await in_transaction(request, question.remove_photo, service.store().crops, account, case_id, photo_id)
