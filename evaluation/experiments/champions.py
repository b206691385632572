"""The engines in use, as files: `champions/<district>`, which `serving.package --from` makes a Bento of."""

import shutil
from collections.abc import Mapping

from domain.atomic import atomic_folder
from domain.model_card import Task
from domain.paths import CHAMPIONS, PREVIOUS
from domain.registered import CHANGE, RegisteredModel, write_registered
from evaluation.comparison.sides import ENGINE_PART, TRANSITS_PART
from evaluation.experiments.registry import Registered

_SHOWN = (
    "promoted_by", "promoted_because", "promoted_at", "gate", "override", "verdict_reason", "compared_with",
)  # fmt: skip


def write_champions(district: str, champions: Mapping[Task, Registered], previous: Mapping[Task, Registered]) -> None:
    """Replace `champions/<district>` by the engines of these versions, by task, and what the registry says of each.

    The re-ID engine of `previous` goes along: the service searches with it until stored sightings have embeddings by
    the champion.

    Raises:
        ArtifactError: if the log does not have the files of a version.
    """
    with atomic_folder(CHAMPIONS.of(district)) as folder:
        listed = []
        if (before := previous.get("reid")) is not None:
            with before.files() as files:
                shutil.copytree(files / ENGINE_PART, folder / PREVIOUS / before.name)
        for task, version in champions.items():
            with version.files() as files:
                shutil.copytree(files / ENGINE_PART, folder / version.name)
                if (files / TRANSITS_PART).is_dir():
                    shutil.copytree(files / TRANSITS_PART, folder / TRANSITS_PART)
            changes = sorted(name for name in version.tags if name.startswith(CHANGE))
            promotion = {name: version.tags[name] for name in (*_SHOWN, *changes) if name in version.tags}
            listed.append(
                RegisteredModel(
                    task=task,
                    engine=version.name,
                    registered_model=version.model,
                    registered_version=version.number,
                    model_version=version.tags["model_version"],
                    mlflow_run=version.run,
                    data_hash=version.tags.get("data_hash", ""),
                    git_revision=version.tags.get("git_revision", ""),
                    data_counts=version.data_counts(),
                    promotion=promotion,
                )
            )
        write_registered(listed, folder)
