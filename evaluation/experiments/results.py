"""Results of the evaluation stages: metrics and plots in the district's folders, and both in the experiment log."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.atomic import atomic_file
from domain.errors import ArtifactError
from domain.model_card import ModelCard
from domain.paths import ENGINES, METRICS, PLOTS
from evaluation.origin import origin_of


def keep_results(
    district: str, name: str, card: ModelCard, metrics: Mapping[str, Any], version: str | None = None
) -> None:
    """Write `metrics/<district>/<name>.json`, and log it with the plots of that name.

    Args:
        district: district whose test data was evaluated.
        name: name of the evaluated model, or `tracking`.
        card: card of the model; of tracking: of its re-ID model.
        metrics: nested plain values.
        version: of what was evaluated; default: that of `card`.
    """
    from evaluation.experiments.outcomes import (
        log_evaluation,
    )  # here, as its import takes seconds and readers of metrics do not need it

    origin = origin_of(district, version or card.version, card)
    with atomic_file(METRICS.of(district) / f"{name}.json") as aside:
        aside.write_text(json.dumps(origin | dict(metrics), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    METRICS.of(district).chmod(0o700)  # DVC has made it, and copies the file back into it, by the umask of its user
    figures = sorted((PLOTS.of(district) / name).iterdir())
    imported = not card.mlflow_run_id and (ENGINES.of(district) / name).is_dir()  # no training's run has its engine
    engine = sorted((ENGINES.of(district) / name).iterdir()) if imported else []
    log_evaluation(name, card, district, metrics, figures, engine)


def read_all_metrics(folder: Path) -> dict[str, dict[str, Any]]:
    """Metrics in `folder` of every evaluation stage that has run, by name, in the order of names.

    Raises:
        ArtifactError: if a file is not JSON.
    """
    return {file.stem: _read(file) for file in sorted(folder.glob("*.json"))}


def require_same_images(predicted: list[str], expected: list[str], predictions: Path) -> None:
    """Raise `ArtifactError` unless those in the folder `predictions` are for the evaluated pictures, in their order."""
    if predicted != expected:
        raise ArtifactError(
            f"{predictions} must be of the {len(expected)} pictures of the district, got {len(predicted)} "
            f"others; rerun predict@{predictions.name}"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        stage = "evaluate_reid" if file.stem.startswith("reid") else f"evaluate_{file.stem}"
        raise ArtifactError(f"{file} must be JSON; rerun {stage} ({error})") from error
