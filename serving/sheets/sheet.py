"""What a sheet for an officer on foot says and shows."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Stop(BaseModel):
    """A match of the case; all pictures are JPEG files, with other people covered."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    number: int  # from 1, by time
    district: str
    tracklet_id: int
    camera: str  # its name
    latitude: float
    longitude: float
    first_seen: datetime  # as clocks at the camera show it
    last_seen: datetime
    time_zone: str
    judges: list[str]  # accounts that confirmed it
    frame: bytes | None  # with a frame round the person; None: none was kept
    person: bytes | None  # the part of it that shows the person


class Listed(BaseModel):
    """A picture of a sheet, in its manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str


class Sheet(BaseModel):
    """A sheet; everything that leaves is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    case_id: int
    title: str
    note: str
    language: str
    account: str
    made: datetime  # as clocks of the first stop's camera show it, as the next
    expires: datetime
    second_person: bool  # two people confirmed each match
    stops: list[Stop]  # by time
    map: bytes
    manifest: list[Listed]  # of all pictures
