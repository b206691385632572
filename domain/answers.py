"""What `serving.track` answered: `tracks/answers.json`."""

from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from domain.errors import ArtifactError


class RankedTracklet(BaseModel):
    """A tracklet in the order of the answer to a problem."""

    model_config = ConfigDict(frozen=True)

    tracklet: int
    camera: str
    distance: float
    probability: float
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    first_frame: int  # from 1, of the camera's video
    last_frame: int
    crop: str  # relative to tracks/
    attributes: dict[str, dict[str, float]]  # group -> label -> probability


class RouteStop(BaseModel):
    """A sighting of the answered route."""

    model_config = ConfigDict(frozen=True)

    tracklet: int
    camera: str
    time: AwareDatetime


class Answer(BaseModel):
    """All tracklets, the likeliest first, and the route of one problem's person."""

    model_config = ConfigDict(frozen=True)

    id: str  # of the problem
    ranked: tuple[RankedTracklet, ...]
    route: tuple[RouteStop, ...]


class Answers(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True)

    fps: dict[str, float]  # of each camera's video
    problems: tuple[Answer, ...]


def read_answers(tracks: Path) -> Answers:
    """`answers.json` in the folder `tracks`.

    Raises:
        ArtifactError: if it is missing or not what `serving.track` writes.
    """
    file = tracks / "answers.json"
    try:
        return Answers.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{file} must hold the answers to the problems; rerun track ({error})") from error
