"""The transit model of a district as an artifact: `transits.npz`, and `card.json` that says of what it was learnt."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from domain.errors import ArtifactError
from domain.files import sha256_of
from evaluation.transit.model import NUM_STEPS, TransitModel

_ARRAYS, _CARD = "transits.npz", "card.json"
_REMEDY = "rerun fit_transits"


class TransitCard(BaseModel):
    """What a transit model was learnt from; without a model, why there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: str
    version: str = ""  # of the densities; empty without a model
    cameras: dict[int, str] = {}  # number, as in the model: id of the camera
    num_walks: float = 0.0  # pairs of visits of one person
    background: float | None = None
    left_out: str = ""


def write_transits(folder: Path, model: TransitModel | None, card: TransitCard) -> TransitCard:
    """Write the artifact into `folder`, with its version and what the model says of itself in the card."""
    if model is not None:
        np.savez_compressed(
            folder / _ARRAYS,
            cameras=model.cameras,
            row_of=model.row_of,
            one_person=model.one_person,
            strangers=model.strangers,
            num_walks=model.num_walks,
            background=np.float64(model.background),
            width=np.float64(model.width),
        )
        learnt = {"num_walks": float(model.num_walks.sum()), "background": model.background}
        card = card.model_copy(update=learnt | {"version": sha256_of(folder / _ARRAYS)[:12]})
    (folder / _CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return card


def read_transits(folder: Path) -> tuple[TransitModel | None, TransitCard]:
    """The model in `folder`, None if the district has none, and its card.

    Raises:
        ArtifactError: if a file is missing or is another's.
    """
    try:
        card = TransitCard.model_validate_json((folder / _CARD).read_text(encoding="utf-8"))
        if not card.version:
            return None, card
        if sha256_of(folder / _ARRAYS)[:12] != card.version:
            raise ArtifactError(f"{folder / _ARRAYS} must be of the version {card.version} of its card; {_REMEDY}")
        with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
            background, width = float(arrays["background"]), float(arrays["width"])
            named = {name: arrays[name] for name in arrays.files if name not in ("background", "width")}
        model = TransitModel(**named, background=background, width=width)
    except (OSError, ValueError, TypeError, KeyError, ValidationError) as error:
        raise ArtifactError(f"{folder} must hold a transit model; {_REMEDY} ({error})") from error
    if model.one_person.shape != (len(model.num_walks), NUM_STEPS):
        raise ArtifactError(f"{folder / _ARRAYS} must have {NUM_STEPS} steps of time; {_REMEDY}")
    return model, card
