"""`registered.json`: which versions of the model registry the engines beside it are, and why they are in use.

Written on promotion, carried by the Bento, read by the service: it leads from a sighting to the run and the commit.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from domain.atomic import atomic_file
from domain.errors import ArtifactError, InputError
from domain.foreign_files import DESCRIPTION_BYTES, read_text
from domain.model_card import ModelCard, Task
from domain.names import Name

REGISTERED = "registered.json"
CHANGE = "change of "  # begins the name of a figure that a promotion changed


class RegisteredModel(BaseModel):
    """An engine and its version in the registry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task
    engine: Name  # folder of the engine beside the file
    registered_model: str  # such as demo-reid
    registered_version: str
    model_version: str  # see `domain.model_card.ModelCard.version`
    mlflow_run: str
    data_hash: str
    git_revision: str
    data_counts: dict[str, int] = {}  # of the training data: pictures by part, people, …
    promotion: dict[str, str] = {}  # who promoted it, when, why, what the comparison said, and the changes of figures


class ModelOrigin(BaseModel):
    """Where a deployed model comes from, by its card and, if it is registered, by the registry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task
    model_version: str
    district: str  # of the training data
    data_hash: str  # empty if unknown, as are the next two
    git_revision: str
    mlflow_run: str
    source: str  # of weights that were not trained here
    registered: RegisteredModel | None


def origins_of(cards: Iterable[ModelCard], registered: Iterable[RegisteredModel] = ()) -> list[ModelOrigin]:
    """Origin of each model."""
    known = {(one.task, one.model_version): one for one in registered}
    return [
        ModelOrigin(
            task=card.task,
            model_version=card.version,
            district=card.district,
            data_hash=card.data_hash,
            git_revision=card.git_revision,
            mlflow_run=card.mlflow_run_id,
            source=card.source,
            registered=known.get((card.task, card.version)),
        )
        for card in cards
    ]


_MODELS = TypeAdapter(tuple[RegisteredModel, ...])


def read_registered(folder: Path) -> tuple[RegisteredModel, ...]:
    """The registered models in `folder`; none without the file.

    Raises:
        ArtifactError: if the file cannot be used.
    """
    file = folder / REGISTERED
    try:
        return _MODELS.validate_json(read_text(file, DESCRIPTION_BYTES)) if file.exists() else ()
    except (InputError, ValidationError) as error:
        raise ArtifactError(f"{file} must hold registered models; run evaluation.promote again ({error})") from error


def write_registered(models: Sequence[RegisteredModel], folder: Path) -> None:
    """Write `registered.json` into `folder`."""
    text = json.dumps([model.model_dump(mode="json") for model in models], indent=2, ensure_ascii=False)
    with atomic_file(folder / REGISTERED) as aside:
        aside.write_text(text + "\n", encoding="utf-8")
