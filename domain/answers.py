"""What `serving.track` writes for evaluation, besides the tables of tracks: `answers.json` and `identities.csv`."""

import csv
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer, ValidationError

from domain.errors import ArtifactError, InputError
from domain.foreign_files import read_rows

ANSWERS = "answers.json"
IDENTITIES = "identities.csv"

Time = Annotated[AwareDatetime, PlainSerializer(datetime.isoformat, when_used="json")]


class RankedTracklet(BaseModel):
    """A tracklet, ranked by the probability that it shows the person of a problem."""

    model_config = ConfigDict(frozen=True)

    tracklet: int
    camera: str
    distance: float
    probability: float
    first_seen: Time
    last_seen: Time
    first_frame: int  # of the camera's video, counted from 1
    last_frame: int
    crop: str  # relative to tracks/<district>
    attributes: dict[str, dict[str, float]]  # group -> label -> probability


class RouteStop(BaseModel):
    """A tracklet on the predicted route."""

    model_config = ConfigDict(frozen=True)

    tracklet: int
    camera: str
    time: Time


class Answer(BaseModel):
    """All tracklets, most probable first, and the predicted route for one problem."""

    model_config = ConfigDict(frozen=True)

    id: str  # of the problem
    ranked: tuple[RankedTracklet, ...]
    route: tuple[RouteStop, ...]


class Answers(BaseModel):
    """The content of `answers.json`."""

    model_config = ConfigDict(frozen=True)

    deployment_version: str  # one id of the models that answered
    frame_times_s: dict[str, tuple[float, ...]]  # of each camera's video: time of each frame since the first
    problems: tuple[Answer, ...]


class PersonOfTracklet(BaseModel):
    """A row of `identities.csv`."""

    model_config = ConfigDict(frozen=True)

    tracklet: int
    person: int


def read_answers(tracks: Path) -> Answers:
    """`answers.json` in the folder `tracks`.

    Raises:
        ArtifactError: if the file is missing or invalid.
    """
    file = tracks / ANSWERS
    try:
        return Answers.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{file} must hold the answers to the problems; rerun track ({error})") from error


def write_answers(tracks: Path, answers: Answers) -> None:
    """Write `answers.json` into the folder `tracks`."""
    text = json.dumps(answers.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (tracks / ANSWERS).write_text(text + "\n", encoding="utf-8")


def read_people(tracks: Path) -> dict[int, int]:
    """The person of each tracklet, from `identities.csv` in the folder `tracks`.

    Raises:
        ArtifactError: if the file is missing, or a row is not two whole numbers.
    """
    file = tracks / IDENTITIES
    try:
        rows = [PersonOfTracklet.model_validate(row) for row in read_rows(file, PersonOfTracklet.model_fields).values()]
    except (InputError, ValidationError) as error:
        raise ArtifactError(
            f"{file} must hold the person of each tracklet, whole numbers; rerun track ({error})"
        ) from error
    return {row.tracklet: row.person for row in rows}


def write_people(tracks: Path, people: Mapping[int, int]) -> None:
    """Write `identities.csv`, the person of each tracklet in the order of tracklets, into the folder `tracks`."""
    with (tracks / IDENTITIES).open("w", newline="", encoding="utf-8") as lines:
        table = csv.DictWriter(lines, list(PersonOfTracklet.model_fields), lineterminator="\n")
        table.writeheader()
        for tracklet, person in sorted(people.items()):
            table.writerow(PersonOfTracklet(tracklet=tracklet, person=person).model_dump())
