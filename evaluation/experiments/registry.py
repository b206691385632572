"""MLflow's registry: for each district and task a model whose versions hold the engines that may be served.

A version holds what serving needs and what a comparison needs: `engine/` (engines, card, calibration, parity),
`transits/` and `predictions/` on the test data. Aliases say which is the `champion`, the one in use; the `challenger`;
and the `previous` champion, to which a rollback returns. All of it lies in the run of the training, or in a run of its
own for a model that was not trained here.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from domain.errors import ArtifactError, InputError
from domain.model_card import ModelCard, Task, read_card
from domain.paths import DATA, ENGINES, PREDICTIONS, TRANSITS
from evaluation.comparison.sides import ENGINE_PART, PREDICTIONS_PART, TRANSITS_PART, Alias
from evaluation.experiments import runs
from evaluation.experiments.beginnings import begin_run
from evaluation.experiments.connection import AWAY, AwayError, connect, place, reason
from evaluation.experiments.datasets import DistrictData
from evaluation.experiments.provenance import Provenance

TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True)
class Registered:
    """A version of a registered model."""

    model: str  # such as demo-reid
    number: str  # of the version
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    run: str  # id of the run whose artifacts hold it
    path: str  # of the artifacts in the run

    @property
    def title(self) -> str:
        """Model and version in words."""
        return f"{self.model} version {self.number}"

    @property
    def name(self) -> str:
        """Name of the engine, such as reid-osnet."""
        return self.tags["engine"]

    def data_counts(self) -> dict[str, int]:
        """Pictures by part, people and the like in the training data, as its run has them; empty if it has none."""
        run = runs.find(self.run)
        used = run.inputs.dataset_inputs if run is not None and run.inputs else ()
        trained_on = [one.dataset for one in used if "training" in (tag.value for tag in one.tags)]
        profiles = [json.loads(data.profile or "{}") for data in trained_on]
        return {name: each for profile in profiles for name, each in profile.items() if isinstance(each, int)}

    @contextmanager
    def files(self) -> Iterator[Path]:
        """A folder of the version's name with its files, for the time of the block.

        Raises:
            ArtifactError: if the log does not have them.
        """
        with TemporaryDirectory() as folder:
            try:
                here = download_artifacts(run_id=self.run, artifact_path=self.path, dst_path=folder)
            except (MlflowException, OSError) as error:
                raise ArtifactError(f"{place()} must hold the files of {self.title}: {reason(error)}") from error
            named = Path(folder) / self.name
            Path(here).rename(named)
            yield named


def register(district: str, name: str, *, is_scored: bool) -> Registered:
    """Register the engine `name` of a district as the challenger for its task; one that is registered stays as it is.

    Args:
        district: name.
        name: of the engine, such as reid-osnet.
        is_scored: whether there are predictions on test data, without which it cannot be compared.

    Raises:
        ArtifactError: if the engine, or its predictions on the test data, are missing or of another model.
        AwayError: if the log does not answer.
    """
    engine, predictions = ENGINES.of(district) / name, PREDICTIONS.of(district) / name
    card = read_card(engine)
    if not card.engines:
        raise ArtifactError(f"{engine} must be an engine, its card lists no file; rerun export")
    parts = {ENGINE_PART: engine}
    if is_scored:
        if read_card(predictions).version != card.version:
            raise ArtifactError(f"{predictions} must be of the engine in {engine}; rerun predict")
        parts |= {PREDICTIONS_PART: predictions}
    if card.task == "reid" and TRANSITS.of(district).is_dir():
        parts |= {TRANSITS_PART: TRANSITS.of(district)}
    with answering():
        experiment = connect()
        model, digest = model_name(district, card.task), _digest(parts)
        known = next((each for each in versions(model) if each.tags.get("content") == digest), None)
        if known is None:
            known = _create(district, name, card, parts, digest, experiment)
        MlflowClient().set_registered_model_alias(model, "challenger", known.number)
        return _registered(MlflowClient().get_model_version(model, known.number))


def versions(model: str) -> list[Registered]:
    """All versions of a registered model, the newest first; none if it is not registered."""
    found = MlflowClient().search_model_versions(f"name = '{model}'")
    numbers = sorted((int(version.version) for version in found), reverse=True)
    return [_registered(MlflowClient().get_model_version(model, str(number))) for number in numbers]  # with its aliases


def aliased(district: str, alias: Alias) -> dict[Task, Registered]:
    """The version with an alias for each task of the district that has one."""
    found: dict[Task, Registered] = {}
    for task in TASKS:
        for version in versions(model_name(district, task)):
            if alias in version.aliases:
                found[task] = version
    return found


def move_alias(version: Registered, alias: Alias) -> None:
    """Let `alias` name this version of its model, and no other."""
    MlflowClient().set_registered_model_alias(version.model, alias, version.number)


def drop_alias(model: str, alias: Alias) -> None:
    """Let `alias` name no version of the model."""
    MlflowClient().delete_registered_model_alias(model, alias)


def add_tags(version: Registered, tags: Mapping[str, str]) -> None:
    """Add tags to a version, or change them."""
    for key, value in tags.items():
        MlflowClient().set_model_version_tag(version.model, version.number, key, value)


def add_files(version: Registered, folder: Path, into: str) -> None:
    """Keep the files of a folder beside those of the version."""
    MlflowClient().log_artifacts(version.run, str(folder), f"{version.path}-{into}")


def model_name(district: str, task: str) -> str:
    """Name of the registered model of a district and a task."""
    return f"{district}-{task}"


@contextmanager
def answering() -> Iterator[None]:
    """Turn what a log that does not answer raises into one line.

    Raises:
        AwayError: if it does not answer.
    """
    try:
        yield
    except (ArtifactError, InputError):
        raise
    except AWAY as error:
        raise AwayError(f"the registry in {place()} must answer, got {reason(error)}") from error


def _create(
    district: str, name: str, card: ModelCard, parts: Mapping[str, Path], digest: str, experiment: str
) -> Registered:
    client, model, path = MlflowClient(), model_name(district, card.task), f"registered/{digest[:12]}"
    run = runs.find(card.mlflow_run_id)
    run_id = run.info.run_id if run else _own_run(district, name, card, experiment)
    with TemporaryDirectory() as folder:
        for part, source in parts.items():
            shutil.copytree(source, Path(folder) / part)
        client.log_artifacts(run_id, folder, path)
    try:
        client.create_registered_model(model, {"district": district, "task": card.task})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {
        "engine": name,
        "content": digest,
        "path": path,
        "model_version": card.version,
        "weights_sha256": card.weights_sha256,
        "trained_on": card.source or card.district,
        "data_hash": card.data_hash,
        "git_revision": card.git_revision,
    }
    said = f"{card.version}, trained on {tags['trained_on'] or 'unknown data'}"
    made = client.create_model_version(model, f"runs:/{run_id}/{path}", run_id, tags, description=said)
    return _registered(made)


def _own_run(district: str, name: str, card: ModelCard, experiment: str) -> str:
    """A run for a model that was not trained in this log."""
    provenance = Provenance.of(DATA.of(district))
    data = DistrictData(DATA.of(district), "", provenance.data_hash, "evaluation")
    title = f"register_{name}"
    beginning = begin_run("registration", title, district, provenance, data, model=name, model_version=card.version)
    run_id = runs.again_or_new(beginning, experiment).info.run_id
    runs.end(run_id, "FINISHED")
    return str(run_id)


def _registered(version: ModelVersion) -> Registered:
    tags = dict(version.tags)
    return Registered(
        version.name, str(version.version), tags, tuple(version.aliases), version.run_id or "", tags.get("path", "")
    )


def _digest(parts: Mapping[str, Path]) -> str:
    """Equal for equal engines and transits; predictions follow from these."""
    summary = hashlib.sha256()
    for part in (ENGINE_PART, TRANSITS_PART):
        files = sorted(parts[part].rglob("*")) if part in parts else []
        for file in (file for file in files if file.is_file()):
            summary.update(f"{part}/{file.relative_to(parts[part])}\0".encode() + file.read_bytes())
    return summary.hexdigest()
