"""The exported engines of a district: speed and differences from torch, as `export` measured them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.errors import ArtifactError
from evaluation.reporting.parts import Section, Table
from evaluation.reporting.rows import NOTHING

_PARITY = "parity.json"
_COLUMNS = (
    "engine", "precision", "ms a picture", "ms alone", "metric of torch", "change of the metric", "largest difference",
    "at it",
)  # fmt: skip


def read_parities(engines: Path) -> dict[str, dict[str, Any]]:
    """What export measured of each model in the folder, by name.

    Raises:
        ArtifactError: if a file is not JSON.
    """
    return {file.parent.name: read_parity(file.parent) for file in sorted(engines.glob(f"*/{_PARITY}"))}


def read_parity(engine: Path) -> dict[str, Any]:
    """What export measured of the model in the folder `engine`; nothing of one that it did not export.

    Raises:
        ArtifactError: if the file is not JSON.
    """
    file = engine / _PARITY
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    except ValueError as error:
        raise ArtifactError(f"{file} must be JSON; rerun export@{engine.name} ({error})") from error


def engines_section(parities: Mapping[str, Mapping[str, Any]]) -> Section:
    """Speed and parity of each engine."""
    title, stage = "Engines", "export"
    if not parities:
        return Section(title, stage, is_run=False)
    tables = tuple(_table(model, parity) for model, parity in parities.items())
    machines = sorted({parity["machine"] for parity in parities.values() if parity.get("machine")})
    text = (
        "Each engine file beside the torch network that it was made from, over some validation pictures: milliseconds "
        "a picture in batches and one by one (median), the metric of these few pictures and how much the engine "
        "changes it, in points of percent, and the largest difference of an output (of a probability, of a unit-length "
        "embedding, of a box as a part of the input)."
    )
    measured = f" Measured on: {'; '.join(machines)}." if machines else ""
    return Section(title, stage, True, text + measured, tables)


def _table(model: str, parity: Mapping[str, Any]) -> Table:
    rows, reasons = [], []
    for file, engine in parity["engines"].items():
        if not engine["checked"]:
            reasons.append(f"{file} was not run here: {engine['reason']}.")
            rows.append((file, engine["precision"], *["not run here"] * 2, *[NOTHING] * 4))
            continue
        worst, difference = max(engine["outputs"].items(), key=lambda pair: pair[1]["largest"])
        rows.append(
            (
                file,
                engine["precision"],
                _milliseconds(engine.get("ms_per_picture")),
                _milliseconds(engine.get("ms_alone")),
                f"{parity['metric_name']} {100 * parity['torch_metric']:.1f}",
                f"{100 * engine['metric_difference']:+.2f}",
                f"{difference['largest']:.2g}",
                worst,
            )
        )
    return Table(_COLUMNS, rows, f"{model}, {parity['num_images']} pictures:", " ".join(reasons))


def _milliseconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
