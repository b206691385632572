"""DVC stage `take`: an engine that was not trained here, or weights to import -> engines/<district>/<model>.

The engine stays as it is; the match probability of a re-ID engine is fitted to this district's validation people.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from domain.atomic import atomic_folder
from domain.errors import ArtifactError, InputError
from domain.model_card import ModelCard, read_card, write_card
from domain.paths import DATA, ENGINES, configured_district, users_file
from domain.settings import read_params
from domain.stage import run_stage
from export.import_weights import ImportArguments, write_engine
from export.match_calibration import calibrate_folder
from export.settings import ExportSettings

_SCHEMA_FILES = {".yaml", ".yml"}
_FILES = ("weights", "cfg", "names", "pictures")  # of the arguments of export.import_weights


def main(argv: Sequence[str] = ()) -> None:
    """Copy or import the engine that `take` names for one model.

    Raises:
        InputError: if `take` does not name the model, or its arguments are wrong.
        ArtifactError: if what it names is no engine for the model's task.
    """
    settings = ExportSettings.from_params("export", argv)
    district, taken = configured_district(argv), read_params(argv)["take"]
    if settings.model not in taken:
        raise InputError(f"take must name {settings.model}, got {', '.join(taken) or 'nothing'}")
    source, task = taken[settings.model], settings.model.partition("-")[0]
    target = ENGINES.of(district) / settings.model
    with atomic_folder(target) as folder:
        if isinstance(source, str):
            card = _copy(users_file(Path(source)), folder, task)
        else:
            card = write_engine(_arguments(source, task, target), folder)
        write_card(card.model_copy(update={"taken": True}), folder)
        if task == "reid":
            calibrate_folder(folder, card, DATA.of(district), settings)
    print(f"{target}: {card.version}, of {card.district or card.source}, not trained here")


def _copy(source: Path, folder: Path, task: str) -> ModelCard:
    card = read_card(source)
    if card.task != task or not card.engines:
        what = f"a model for {card.task}" if card.task != task else "weights without an engine"
        raise ArtifactError(f"{source} must be an engine for {task}, got {what}; take another, or rerun export")
    shutil.copytree(source, folder, dirs_exist_ok=True)
    return card


def _arguments(given: Mapping[str, Any], task: str, out: Path) -> ImportArguments:
    """The arguments of `export.import_weights`; files are relative to the project."""
    values = {
        key: str(users_file(Path(value))) if key in _FILES or Path(str(value)).suffix in _SCHEMA_FILES else value
        for key, value in given.items()
    }
    stated = {"task": task, "out": str(out)}
    return ImportArguments.from_arguments([f"{key}={json.dumps(value)}" for key, value in (values | stated).items()])


if __name__ == "__main__":
    run_stage(main)
