"""Endpoints of /v1 for the recording behind a sighting. They are asked by POST, so that no address holds the reason."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from domain.names import Name
from serving.cases.footage_views import record_footage
from serving.cases.visible import require_in_view
from serving.footage.footage import MOST_AROUND_S, Footage, FootageAnswer
from serving.search.messages import SightingId, TrackletId
from serving.web.case_api import CaseId, Text
from serving.web.dependencies import CurrentAccount, in_thread, in_transaction, parts_in_clip_thread
from serving.web.errors import declared

_PRIVATE = {"Cache-Control": "private, no-store"}
_Around = Annotated[float, Field(ge=0, le=MOST_AROUND_S, allow_inf_nan=False)]
router = APIRouter()


def _footage(request: Request) -> Footage:
    footage = request.app.state.footage
    assert isinstance(footage, Footage), "serving.service sets it"
    return footage


def _sighting(district: Annotated[Name, Path()], tracklet_id: Annotated[TrackletId, Path()]) -> SightingId:
    return SightingId(district=district, tracklet_id=tracklet_id)


FootageOf = Annotated[Footage, Depends(_footage)]
SightingInPath = Annotated[SightingId, Depends(_sighting)]


class ViewRequest(BaseModel):
    """A view of what is kept behind a sighting, with its case and reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: CaseId
    reason: Text


class ClipRequest(ViewRequest):
    """A view of the recording around a sighting."""

    before_s: _Around = 4
    after_s: _Around = 4
    camera: Name | None = None  # another one of the district, at the same time


@router.get("/footage/{district}/{tracklet_id}", responses=declared(400, 404, 503))
async def about_footage(
    request: Request,
    footage: FootageOf,
    account: CurrentAccount,
    sighting: SightingInPath,
    case: Annotated[CaseId, Query()],
) -> FootageAnswer:
    """What there is to see of a sighting that the case shows: full frame, clip, cameras near it."""
    await in_transaction(request, require_in_view, account, case, sighting)
    return await in_thread(request, footage.about, sighting.district, sighting.tracklet_id)


@router.post(
    "/footage/{district}/{tracklet_id}/frame",
    response_class=Response,
    responses=declared(400, 404, 408, 413, 503)
    | {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def frame(
    request: Request, footage: FootageOf, account: CurrentAccount, sighting: SightingInPath, asked: ViewRequest
) -> Response:
    """The full frame in which the person is seen best."""
    await in_transaction(request, require_in_view, account, asked.case, sighting)
    picture = await in_thread(request, footage.frame, sighting.district, sighting.tracklet_id)
    await in_transaction(request, record_footage, account, asked.case, asked.reason, sighting)
    return Response(picture, media_type="image/jpeg", headers=_PRIVATE)


@router.post(
    "/footage/{district}/{tracklet_id}/clip",
    response_class=Response,
    responses=declared(400, 404, 408, 413, 503)
    | {200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def clip(
    request: Request, footage: FootageOf, account: CurrentAccount, sighting: SightingInPath, asked: ClipRequest
) -> Response:
    """The recording around a sighting, with a frame round the person; or that of a camera near it.

    It is an MP4 in fragments, which come as they are made. Times in it count from `before_s` before the person was seen
    first. If it cannot be made to its end, the connection is closed before the end of the answer.
    """
    await in_transaction(request, require_in_view, account, asked.case, sighting)
    key = (sighting.district, sighting.tracklet_id)
    window = await in_thread(request, footage.window, *key, asked.before_s, asked.after_s, asked.camera)
    parts = parts_in_clip_thread(request, footage.clip, *key, window)
    first = await anext(parts)  # what cannot be made at all is an answer with its own status
    await in_transaction(request, record_footage, account, asked.case, asked.reason, sighting, window)
    return StreamingResponse(_after(first, parts), media_type="video/mp4", headers=_PRIVATE)


async def _after(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part
