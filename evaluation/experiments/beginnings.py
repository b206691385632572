"""What a run of the log begins with."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from evaluation.experiments.datasets import DistrictData
from evaluation.experiments.provenance import Provenance

_MAX_PARAM = 6000  # MLflow's limit


@dataclass(frozen=True)
class Beginning:
    """What a run has from its start; plain values, so that it can wait in a file for a log that is away."""

    title: str  # such as train_reid-osnet
    start_ms: int
    params: dict[str, str]
    tags: dict[str, str]  # "kind", "district", "config" and "pipeline" among them
    settings: str  # text of params.yaml
    changes: str  # of tracked code since the commit, as a patch
    dataset: dict[str, str]  # fields of MLflow's entity
    context: str  # use of the data set, such as "training"

    def entity(self) -> DatasetInput:
        """The data set with its use."""
        return DatasetInput(Dataset(**self.dataset), [InputTag(MLFLOW_DATASET_CONTEXT, self.context)])


def begin_run(
    kind: str,
    title: str,
    district: str,
    provenance: Provenance,
    data: DistrictData,
    params: Mapping[str, Any] | None = None,
    **tags: str,
) -> Beginning:
    """What a run begins with now.

    Args:
        kind: `training`, `evaluation`, `tracking` or `report`.
        title: its name, as far as it does not depend on other runs.
        district: whose data it uses.
        provenance: of code, settings and data.
        data: that it uses.
        params: settings to compare with those of other runs; nested.
        tags: more of them, such as `model`; empty ones are left out.
    """
    tags |= {
        "kind": kind,
        "district": district,
        "config": provenance.config.replace("'", ""),  # which would end it in a search
        "git_revision": provenance.git_revision,
        "dvc_data_hash": provenance.data_hash,
        "dvc_experiment": provenance.dvc_experiment,
        "pipeline": provenance.digest(district),
    }
    return Beginning(
        title=title,
        start_ms=int(time.time() * 1000),
        params=as_params(params or {}),
        tags={key: value for key, value in tags.items() if value},
        settings=provenance.settings,
        changes=provenance.changes,
        dataset=data.to_dict(),
        context=data.use,
    )


def flatten(tree: Mapping[str, Any], separator: str, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by their joined keys.

    Example:
        >>> flatten({"plain": {"map": 0.5}}, "/")
        {'plain/map': 0.5}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, separator, f"{prefix}{key}{separator}")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def as_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as MLflow takes them; those that are not set are left out."""
    return {key: str(value)[:_MAX_PARAM] for key, value in flatten(settings, ".").items() if value is not None}
