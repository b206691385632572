"""The two models of a comparison: predictions on the test data, and the engine that made them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from domain.errors import InputError
from domain.match_calibration import Calibration, read_calibration
from domain.model_card import CARD, ModelCard, read_card
from domain.paths import ENGINES, TRANSITS
from evaluation.reporting.engine_facts import read_parity

Alias = Literal["challenger", "champion", "previous"]  # names of versions in the registry
ALIASES: tuple[Alias, ...] = get_args(Alias)
PREDICTIONS_PART, ENGINE_PART, TRANSITS_PART = "predictions", "engine", "transits"  # folders of a registered version


@dataclass(frozen=True)
class Side:
    """A model that is compared."""

    name: str  # of its folder, such as reid-osnet
    card: ModelCard
    predictions: Path
    engine: Path | None  # its folder; None if it is not here
    transits: Path

    @property
    def calibration(self) -> Calibration | None:
        """Of a re-ID engine; None if it has none, or is not here."""
        return read_calibration(self.engine) if self.engine else None

    def facts(self) -> dict[str, Any]:
        """Version, origin, size and speed, as far as they are known."""
        card, parity = self.card, read_parity(self.engine) if self.engine else {}
        return {
            "version": card.version,
            "trained_on": card.source or card.district,
            "data_hash": card.data_hash,
            "commit": card.git_revision,
            "mlflow_run": card.mlflow_run_id,
            "machine": parity.get("machine", ""),
            "engines": {
                each.file: {
                    "bytes": (self.engine / each.file).stat().st_size,
                    "ms_per_picture": parity.get("engines", {}).get(each.file, {}).get("ms_per_picture"),
                }
                for each in card.engines
                if self.engine is not None and (self.engine / each.file).is_file()
            },
        }


def sides_in(folder: Path, district: str) -> dict[str, Side]:
    """The models in `folder` by name: predictions of one model, a registered version, or a folder of some of these.

    Args:
        folder: such as predictions/demo/reid-osnet, or predictions/demo.
        district: whose engines the predictions are of.

    Raises:
        InputError: if it holds none.
        ArtifactError: if a card cannot be used.
    """
    if (side := _side(folder, district)) is not None:
        return {side.name: side}
    inner = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    sides = {each.name: side for each in inner if (side := _side(each, district)) is not None}
    if not sides:
        raise InputError(
            f"{folder} must be the predictions of a model, such as predictions/{district}/detector, or a folder of "
            "several; run dvc repro, or export.predict"
        )
    return sides


def opponent(challenger: Side, champions: Mapping[str, Side]) -> Side | None:
    """The champion of the challenger's name, else the only one for its task; None if there is none.

    Raises:
        InputError: if several are for its task.
    """
    of_task = [side for side in champions.values() if side.card.task == challenger.card.task]
    if challenger.name in champions or not of_task:
        return champions.get(challenger.name)
    if len(of_task) > 1:
        names = ", ".join(side.name for side in of_task)
        raise InputError(f"{challenger.name} must have one champion, got {names}; name the folder of one of them")
    return of_task[0]


def _side(folder: Path, district: str) -> Side | None:
    registered = folder / PREDICTIONS_PART
    if (registered / CARD).is_file():
        return Side(folder.name, read_card(registered), registered, folder / ENGINE_PART, folder / TRANSITS_PART)
    if not (folder / CARD).is_file():
        return None
    card, engine = read_card(folder), ENGINES.of(district) / folder.name
    is_its_own = (engine / CARD).is_file() and read_card(engine).version == card.version
    return Side(folder.name, card, folder, engine if is_its_own else None, TRANSITS.of(district))
