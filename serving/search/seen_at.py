"""Where and when the person was seen, as a request says it: by a camera or in a circle on the map, at about a time."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.cameras import Camera, CameraKey
from domain.errors import InputError, shown
from domain.moments import Moment
from domain.texts import AtMost
from serving.matching.transits import Seen
from serving.search.camera_filter import Area

MOST_SEEN_AT = 20  # in a request


class SeenAt(BaseModel):
    """Where and when the person was seen: at one camera, or in a circle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera: Annotated[str, AtMost(129)] | None = None  # district/camera
    area: Area | None = None
    time: Moment
    within_s: float = Field(default=300, ge=0, le=86_400, allow_inf_nan=False)  # the time is right up to so much
    source: Annotated[str, AtMost(200)] | None = None  # who or what says so, such as a witness, a card or a telephone

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.camera is None) == (self.area is None):
            raise ValueError("seen_at must have either a camera or an area")
        return self


def seen_of(told: SeenAt, cameras: Mapping[CameraKey, Camera]) -> Seen:
    """`told` with its place on the map.

    Raises:
        InputError: if its camera is none of `cameras`.
    """
    time_s = told.time.timestamp()
    if told.area is not None:
        area = told.area
        return Seen(area.latitude, area.longitude, time_s, radius_m=area.radius_m, within_s=told.within_s)
    known = {f"{district}/{camera}": (district, camera) for district, camera in cameras}
    key = known.get(told.camera or "")
    if key is None:
        similar = get_close_matches((told.camera or "")[:200], known, n=5, cutoff=0)
        raise InputError(
            f"the camera of seen_at must be one of district and id, such as {', '.join(similar)}, "
            f"got {shown(told.camera)}"
        )
    return Seen(cameras[key].latitude, cameras[key].longitude, time_s, camera=key, within_s=told.within_s)
