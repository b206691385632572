"""What may be asked of the service, and what it answers, as the API has them."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.cameras import Camera
from serving.perception.engine_calls import EngineStatus
from serving.search.camera_filter import Area
from serving.search.coverage import Coverage
from serving.search.person_selection import Box
from serving.search.search import Hit

District = Annotated[str, Field(pattern=r"^[^\x00]+$")]  # what a column of text can hold
TrackletId = Annotated[int, Field(ge=0, le=2**63 - 1)]


class SearchAnswer(BaseModel):
    """What a search answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_version: str
    people_xyxy: list[Box | None]  # who was searched in each photo, pixels; None: all of it
    sightings: list[Hit]  # nearest first
    coverage: Coverage  # of what was asked for: which cameras and times were searched, and which are missing


class StoredCamera(Camera):
    """A camera and its district; `<district>/<id>` names it in a search."""

    district: District


class SightingId(BaseModel):
    """Which sighting is meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: District
    tracklet_id: TrackletId


class RouteRequest(BaseModel):
    """Sightings that a person has confirmed, and whether likely ones may fill the way between them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sightings: list[SightingId]  # confirmed
    rejected: list[SightingId] = []  # show somebody else
    fill: bool = False  # search for more with the confirmed ones, in these cameras and times
    cameras: list[str] | None = None  # district/camera
    area: Area | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class RouteFound(BaseModel):
    """One way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: list[Hit]  # in order of time
    log_odds: float  # that all its stops show the person, by looks, time and place
    relative_probability: float  # if one of the answered ways is right; these add up to 1


class RouteAnswer(RouteFound):
    """The likeliest way."""

    model_version: str
    left_out: list[Hit]  # confirmed, but nobody on foot can have been there as well
    alternatives: list[RouteFound]  # each passes a sighting that no way before it does, the likeliest first
    coverage: Coverage | None  # as a search answers it, where likely sightings were searched for


class Status(BaseModel):
    """How the service is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ready: bool
    reason: str | None  # why it is not ready
    model_version: str | None
    engines: dict[str, EngineStatus]
