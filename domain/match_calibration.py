"""`calibration.json` beside a re-ID engine's card: the probability of a match by cosine distance."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64
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

    def probabilities(self, distances: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
        """Match probability at each cosine distance, 0..1.

        Example:
            >>> counts = {"num_identities": 5, "num_same": 9, "num_different": 9}
            >>> Calibration(half_distance=0.3, softness=0.05, prior=0.5, **counts).probabilities(np.array([0.3]))
            array([0.5])
        """
        return 1 / (1 + np.exp(np.clip((distances - self.half_distance) / self.softness, -700.0, 700.0)))


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
