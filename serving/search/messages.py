"""Requests to the search service, and its answers, as the API has them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.cameras import Camera
from domain.names import Name
from serving.matching.description import LabelQuestion
from serving.perception.engine_calls import EngineStatus
from serving.search.camera_filter import Area
from serving.search.coverage import Coverage
from serving.search.person_selection import Box
from serving.search.search import Hit
from serving.search.seen_at import SeenAt

MOST_ITEMS = 5000  # of a list in a request; the settings' own limits are lower
_BoxList = Annotated[list[float], Field(min_length=4, max_length=4)]  # left, top, right, bottom
TrackletId = Annotated[int, Field(ge=0, le=2**63 - 1)]


class StoredCamera(Camera):
    """A camera and its district; `<district>/<id>` names it in a search."""

    district: str
    away_since: datetime | None = None  # since when it sends no pictures; None: it sends some, or is no live camera


class SightingId(BaseModel):
    """Key of a stored sighting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: Name
    tracklet_id: TrackletId


class SearchScope(BaseModel):
    """Cameras and times to search."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cameras: list[str] | None = None  # district/camera; None: all
    area: Area | None = None  # cameras in this circle only
    since: AwareDatetime | None = None  # without sightings that ended before
    until: AwareDatetime | None = None  # without sightings that began after


class SearchRequest(SearchScope):
    """A search for one person: by photos, attributes, confirmed sightings, or all of them."""

    photos: list[bytes] = []  # picture files, each a crop of the person or a scene with the person
    people_xyxy: list[Box | None] | None = None  # the person in each photo, pixels; None where not marked
    attributes: dict[str, LabelQuestion] = {}  # by group
    confirmed: list[SightingId] = []  # sightings of the person, searched for like the photos
    rejected: list[SightingId] = []  # sightings of other people: left out, and similar sightings rank lower
    like: list[SightingId] = []  # sightings that are searched for like the photos, without a verdict
    seen_at: list[SeenAt] = []  # where the person was seen, besides the confirmed sightings
    top_k: int | None = None  # sightings to answer; None: as many as the settings say


class QuestionToAsk(BaseModel):
    """Attribute group about which to ask whoever knows the person, to narrow the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str
    bits: float  # expected information of the answer about which sighting shows the person


class SearchAnswer(BaseModel):
    """Sightings that a search found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_version: str  # re-ID model
    deployment_version: str  # one id of detector, attribute and re-ID model, and transit times
    people_xyxy: list[Box | None]  # the person searched for in each photo, pixels; None: the whole photo
    detected_xyxy: list[list[Box]] = []  # everybody detected in each photo, pixels; none: nobody was found in it
    sightings: list[Hit]  # likeliest first
    coverage: Coverage  # searched and missing times of the cameras in the request's scope
    next_question: QuestionToAsk | None = None  # None: no attribute tells these sightings apart


class PhotoAnswer(BaseModel):
    """People in a photo, to choose the person to search for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width_px: int  # of the photo, upright
    height_px: int
    detected_xyxy: list[_BoxList]  # everybody detected, pixels, the likeliest to be meant first
    selected_xyxy: _BoxList | None  # the person of a search unless another is marked; None: the whole photo


class WordsRead(BaseModel):
    """Words of a sentence, and the condition that they mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    condition: Literal["attribute", "place", "time"]
    group: str | None = None  # of an attribute
    words: list[str]


class SentenceAnswer(SearchScope):
    """Conditions of a search that a sentence says, as a search takes them."""

    attributes: dict[str, LabelQuestion]  # by group
    parts: list[WordsRead]  # which words say which condition
    unused: list[str]  # words that say no condition


class RouteRequest(SearchScope):
    """A route through confirmed sightings; its scope limits the likely sightings that fill it."""

    sightings: list[SightingId]  # confirmed
    rejected: list[SightingId] = []  # sightings of other people
    fill: bool = False  # add likely sightings, found by a search with the confirmed sightings
    seen_at: list[SeenAt] = []  # stops that no camera saw; they move the likely sightings


class RouteFound(BaseModel):
    """One route."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: list[Hit]  # in order of time
    log_odds: float  # that all its stops show the person, by appearance, time and place
    relative_probability: float  # given that one of the answered routes is right; these add up to 1


class ToldStop(SeenAt):
    """A stop that no camera saw."""

    latitude: float
    longitude: float


class RouteAnswer(RouteFound):
    """The likeliest route, and alternatives."""

    model_version: str  # re-ID model
    deployment_version: str  # one id of detector, attribute and re-ID model, and transit times
    told: list[ToldStop] = []  # in order of time
    left_out: list[Hit]  # confirmed sightings that cannot be reached on foot in time
    alternatives: list[RouteFound]  # likeliest first; each has a stop that no route before it has
    coverage: Coverage | None  # of the search for likely sightings; None without that search


class WhereNextRequest(BaseModel):
    """Where the person of a case is next, from the last of where they surely were."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sightings: list[SightingId] = []  # confirmed
    rejected: list[SightingId] = []  # of other people
    seen_at: list[SeenAt] = []  # by witnesses
    until: AwareDatetime | None = None  # end of the minutes; None: half an hour after the last
    cameras: list[str] | None = None  # district/camera; None: all near enough


class LastSeen(BaseModel):
    """The last place and time at which the person surely was."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latitude: float
    longitude: float
    radius_m: float  # of the circle in which they were; 0 of a camera
    time: datetime
    camera: str | None  # district/camera


class NextCamera(BaseModel):
    """A camera to which the person may come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: str
    camera_id: str
    latitude: float
    longitude: float
    probability: float  # that they are seen there next, within the minutes
    minutes: list[float]  # the same in each minute after the last time
    searched: float  # share of the minutes whose video was searched


class SearchArea(BaseModel):
    """Places that hold nine tenths of the probability of where the person is, on foot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: datetime
    area_m2: float
    places: list[tuple[float, float]]  # latitude, longitude


class WhereNextAnswer(BaseModel):
    """Where the person is next."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_version: str  # re-ID model
    deployment_version: str  # one id of detector, attribute and re-ID model, and transit times
    last: LastSeen
    cameras: list[NextCamera]  # likeliest first
    unseen: float  # probability that they come to none of these within the minutes
    areas: list[SearchArea]  # growing on foot, and shrinking where cameras have looked
    sightings: list[Hit]  # later ones that may be the person: no absence where they are
    coverage: Coverage | None  # of the minutes; None without cameras


class Status(BaseModel):
    """State of the service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ready: bool
    reason: str | None  # why it is not ready
    model_version: str | None  # re-ID model
    deployment_version: str | None  # one id of detector, attribute and re-ID model, and transit times
    engines: dict[str, EngineStatus]
    transits_version: str | None = None  # of the learnt transit times; None: places and times weigh as on foot
    warnings: list[str] = []  # what works but should be changed
