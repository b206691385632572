"""Where figures come from: each metrics file says it, and the report refuses files that do not fit together."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain.errors import ArtifactError
from domain.model_card import ModelCard
from domain.paths import DATA
from evaluation.experiments.provenance import Provenance

_SHOWN = 12


def origin_of(district: str, version: str, card: ModelCard) -> dict[str, str]:
    """The keys with which a metrics file begins: district, model_version, data_hash, commit, mlflow_run, date.

    Args:
        district: district whose test data was evaluated.
        version: `ModelCard.version`, or of tracking that of the deployment.
        card: card of the evaluated model; of tracking: of its re-ID model.
    """
    source = Provenance.of(DATA.of(district))
    return {
        "district": district,
        "model_version": version,
        "data_hash": source.data_hash,
        "commit": source.git_revision,
        "mlflow_run": card.mlflow_run_id,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def require_fitting(
    district: str, data_hash: str, versions: Mapping[str, str], metrics: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse metrics of another district, of other data, or of other models than the engines are.

    Args:
        district: name.
        data_hash: of its data now; empty outside a pipeline.
        versions: version of each engine, and of their deployment as `tracking`, by the name of its metrics.
        metrics: content of the metrics files, by name.

    Raises:
        ArtifactError: names what differs.
    """
    differing = []
    for name, values in metrics.items():
        wanted = {"district": district, "model_version": versions.get(name), "data_hash": data_hash}
        differing += [
            f"{name}.json is of {key} {str(values.get(key))[:_SHOWN] if key == 'data_hash' else values.get(key)}, "
            f"not {value[:_SHOWN] if key == 'data_hash' else value}"
            for key, value in wanted.items()
            if value and values.get(key) and values[key] != value
        ]
    if differing:
        raise ArtifactError(f"metrics of {district} must fit its data and engines: {'; '.join(differing)}; rerun them")
