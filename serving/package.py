"""DVC stage `package`: engines, transit times and the service's code -> a Bento in `bento/<district>`, all it needs.

    python -m serving.package [--from champions/DISTRICT] [key=value …]

The engines are those of the pipeline, to try them out; with --from those that are in use by the model registry, which
`evaluation.promote` wrote, and the Bento carries their registered versions.

The Bento holds the folders of code that the service and its commands import, `params.yaml` with the sections they read
(without a store: who serves it names one by `DONGSEON_STORE`), the engines, the transit times of a district that has
crops of people, and the packages of the locks that they need, on a CPU and on a GPU, with hashes, and as SBOMs
(`src/sbom.cdx.json`). It is built in a temporary folder below the project, with BentoML's own store there too, so
nothing is written to a user's home. (BentoML refuses to build in a hidden folder.)
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from domain.atomic import atomic_folder
from domain.errors import ArtifactError
from domain.model_card import ModelCard, read_card, require_of_district, require_searchable
from domain.paths import BENTO, ENGINES, PREVIOUS, STORE, TRANSITS, configured_district
from domain.registered import RegisteredModel, read_registered, write_registered
from domain.settings import PARAMS, read_params
from domain.stage import run_stage
from serving.deployment import Deployment
from serving.locked_packages import LockedPackage, name_of, needed_for, read_lock, sbom, together

_CODE = Path(__file__).resolve().parent.parent
# What the service and the commands beside it import, with what they read there: schemas, the page, migrations.
PARTS = (
    "domain",
    "districts/layout.py",
    "evaluation/neighbours",
    "evaluation/reranking.py",
    "evaluation/transit",
    "export/engines",
    "serving",
)
_SECTIONS = ("serving", "tracking", "reid")  # of params.yaml: with the district's name, what `Deployment.read` looks at
_DOCKERFILE = "serving/Dockerfile.template"
# BentoML's script of installation prefers `requirements.lock.txt`, which BentoML itself would write without hashes.
_INSTALLED = Path("env") / "python"
_SHOWN = 12  # characters of a hash
_FOR_CPU, _FOR_GPU = ("requirements.lock.txt", "sbom.cdx.json"), ("requirements-gpu.lock.txt", "sbom-gpu.cdx.json")


class Versions(NamedTuple):
    """Ids of what the Bento holds."""

    reid: str  # sightings of other re-ID models are not searched
    deployment: str  # all its models and the transit times together


def main(argv: Sequence[str] = ()) -> None:
    """Build the Bento and say how to serve it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--from", dest="folder", type=Path)
    given, overrides = parser.parse_known_args(argv)
    params, district = read_params(overrides), configured_district(overrides)
    kept = {section: params[section] for section in _SECTIONS}
    kept["district"] = {"name": district}
    registered = _registered(given.folder) if given.folder else ()
    for model in registered:
        section, key = ("reid", "backbone") if model.task == "reid" else ("tracking", model.task)
        kept[section] |= {key: model.engine.removeprefix("reid-")}
    if registered and not any(model.task == "attributes" for model in registered):
        kept["tracking"] |= {"attributes": None}
    kept["serving"] |= {"store": None}
    with tempfile.TemporaryDirectory(prefix="bento-build-", dir=Path.cwd()) as temporary:
        staged = Path(temporary) / "source"
        staged.mkdir()
        (staged / PARAMS).write_text(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
        deployment = Deployment.read(staged)
        versions = _stage_learnt(deployment, given.folder)
        if registered:
            write_registered(registered, staged / ENGINES.of(district))
        _stage_code(staged)
        packages = service_packages(_CODE / "pyproject.toml", _CODE / "requirements.lock")
        variants = {_FOR_CPU: packages, _FOR_GPU: gpu_packages(packages, _CODE / "requirements-gpu.lock")}
        for (_, bill), needed in variants.items():
            (staged / bill).write_text(json.dumps(sbom(needed, "dongseon", versions.deployment), indent=1))
        _write_bentofile(staged, versions, packages, registered)
        built = _build(staged, home=Path(temporary) / "bentoml")
        for (lock, _), needed in variants.items():
            (built / _INSTALLED / lock).write_text("\n".join(package.requirement for package in needed) + "\n")
        bento = BENTO.of(deployment.district)
        with atomic_folder(bento) as aside:
            shutil.copytree(built, aside, dirs_exist_ok=True)
    http = deployment.settings.service
    print(f"{bento} holds the models {versions.deployment} of {deployment.district}; serve it from any folder:")
    print(f"  DONGSEON_STORE={STORE.resolve()} BENTOML_DO_NOT_TRACK=True bentoml serve {bento.resolve()}")
    address = f"{'https' if http.tls is not None else 'http'}://{http.host}:{http.port}"
    print("make accounts in this folder: python -m serving.accounts create NAME --role reviewer")
    print(f"then sign in at {address}/, or ask with the token:")
    print(f'  curl -H "Authorization: Bearer $TOKEN" {address}/v1/status')


def service_packages(pyproject: Path, lock: Path) -> list[LockedPackage]:
    """The packages of `lock` that `[project] dependencies` of `pyproject` need, directly or indirectly.

    Raises:
        ArtifactError: if the lock lacks a dependency, or the hashes of a package.
    """
    locked = read_lock(lock)
    dependencies = tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    missing = {name_of(each) for each in dependencies} - {package.name for package in locked}
    if missing:
        raise ArtifactError(
            f"{lock} must pin {', '.join(sorted(missing))}, which {pyproject} depends on; run make lock"
        )
    needed = needed_for(dependencies, locked)
    if unhashed := [package.name for package in needed if not package.sha256]:
        raise ArtifactError(f"{lock} must hold hashes of {', '.join(unhashed)}; run make lock")
    return needed


def gpu_packages(packages: Sequence[LockedPackage], lock: Path) -> list[LockedPackage]:
    """What a machine with a GPU needs instead of `packages`: those of `lock` in place of the ONNX Runtime of CPUs.

    Raises:
        ArtifactError: if `lock` has another version of one of `packages`.
    """
    return together([package for package in packages if package.name != "onnxruntime"], read_lock(lock))


def _registered(champions: Path) -> tuple[RegisteredModel, ...]:
    """What the registry says of the engines in a folder.

    Raises:
        ArtifactError: if it names no detector or re-ID model, or an engine is not the one that it names.
    """
    models = read_registered(champions)
    missing = [task for task in ("detector", "reid") if task not in {model.task for model in models}]
    if missing:
        raise ArtifactError(
            f"{champions} must hold a registered champion for {' and '.join(missing)}; register and promote one"
        )
    for model in models:
        if (version := read_card(champions / model.engine).version) != model.model_version:
            raise ArtifactError(
                f"{champions / model.engine} must be {model.model_version}, as the registry says, it is {version}; run "
                "evaluation.promote again"
            )
    return models


def _stage_learnt(deployment: Deployment, champions: Path | None) -> Versions:
    """Copy the engines and the transit times beside the code; their versions.

    Args:
        deployment: in the folder of the code.
        champions: folder of registered champions; None: the pipeline's.

    Raises:
        ArtifactError: if an engine is missing, they do not belong together, embeddings are too long for the store,
            or the transit times are not whole.
    """
    exported = champions or ENGINES.of(deployment.district)
    learnt = champions / TRANSITS.name if champions else TRANSITS.of(deployment.district)
    cards = {name: read_card(exported / name) for name in deployment.engines}
    for name, card in cards.items():
        if not card.engines:
            raise ArtifactError(f"{exported / name} must be an engine, its card lists no file; rerun export")
    require_of_district(deployment.district, cards)
    require_searchable(cards.values())
    if len(set(map(_training_data, cards.values()))) > 1:
        told = "; ".join(f"{name} on {_training_data(card)}" for name, card in cards.items())
        print(f"note: the models were not trained on the same data: {told}")
    for name in cards:
        shutil.copytree(exported / name, deployment.engine(name))
    if (before := exported / PREVIOUS).is_dir():
        shutil.copytree(before, deployment.engine(PREVIOUS))
    if learnt.is_dir():
        shutil.copytree(learnt, deployment.root / TRANSITS.of(deployment.district))
    return Versions(cards[deployment.reid].version, deployment.version())


def _training_data(card: ModelCard) -> str:
    known = f"data {card.data_hash[:_SHOWN]}" if card.data_hash else "data without a hash"
    return f"{card.district}, {known}" if card.district else card.source or "unknown data"


def _stage_code(staged: Path) -> None:
    for part in map(Path, PARTS):
        (staged / part.parent).mkdir(parents=True, exist_ok=True)
        if (_CODE / part).is_dir():
            shutil.copytree(_CODE / part, staged / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(_CODE / part, staged / part)
        if part.parent != Path():
            shutil.copyfile(_CODE / part.parent / "__init__.py", staged / part.parent / "__init__.py")


def _write_bentofile(
    staged: Path, versions: Versions, packages: Sequence[LockedPackage], registered: Sequence[RegisteredModel]
) -> None:
    of_registry = {model.registered_model: model.registered_version for model in registered}
    bentofile = {
        "service": "serving.service:PersonSearch",
        "name": "person_search",
        "description": f"Dongseon: search by photo over the sightings of the re-ID model {versions.reid}.",
        "labels": {"model_version": versions.reid, "deployment_version": versions.deployment} | of_registry,
        "include": ["*"],
        "python": {
            "packages": [f"{package.name}=={package.version}" for package in packages],
            "pip_args": "--require-hashes",  # of `requirements.lock.txt`
            "lock_packages": False,  # they are pinned already, and locking asks the network
        },
        "docker": {"python_version": "3.11", "dockerfile_template": _DOCKERFILE},
    }
    (staged / "bentofile.yaml").write_text(yaml.safe_dump(bentofile, sort_keys=False))


def _build(staged: Path, home: Path) -> Path:
    """Build in an own process, which imports the staged code as a serving process will; the Bento's folder."""
    home.mkdir()
    environment = os.environ | {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "DONGSEON_STORE": str(home / "store"),  # what imports the service must name one; nothing opens it
        "BENTOML_ENABLE_FEATURES": "no_image",  # the newer way installs uv from the network even when nothing is locked
    }
    ended = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "."],
        cwd=staged,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    bentos = sorted(home.glob("bentos/person_search/*/bento.yaml"))
    if ended.returncode != 0 or not bentos:
        said = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-5:])
        raise ArtifactError(f"bentoml build must end with a Bento, it ended with {ended.returncode}:\n{said}")
    return bentos[0].parent


if __name__ == "__main__":
    run_stage(main)
