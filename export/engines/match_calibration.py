"""`calibration.json` beside a re-ID engine's card: the probability of a match by cosine distance."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from domain.atomic import atomic_file
from domain.errors import ArtifactError, InputError
from domain.foreign_files import SMALL_BYTES, read_text

CALIBRATION = "calibration.json"


class Calibration(BaseModel):
    """The match probability of a cosine distance d is 1 / (1 + exp((d - half_distance) / softness)).

    It holds where the share `prior` of all that is compared shows the person; see `export.match_calibration`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_distance: float
    softness: PositiveFloat
    prior: float = Field(gt=0, lt=1)
    num_identities: PositiveInt  # of the validation set
    num_same: PositiveInt  # pairs of a crop and a visit to another camera
    num_different: PositiveInt


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration of the engine in `folder`; None if it has none.

    Raises:
        ArtifactError: if the file cannot be used.
    """
    file = folder / CALIBRATION
    try:
        return Calibration.model_validate_json(read_text(file, SMALL_BYTES)) if file.exists() else None
    except (InputError, ValidationError) as error:
        raise ArtifactError(f"{file} must hold a calibration; export the model again ({error})") from error


def write_calibration(calibration: Calibration, folder: Path) -> None:
    """Write `calibration.json` into `folder`, whole or not at all."""
    with atomic_file(folder / CALIBRATION) as aside:
        aside.write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
