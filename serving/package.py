"""DVC stage `package`: engines and the service's code -> a Bento in `bento/` that needs nothing else of the project.

The Bento holds the folders of code that the service and its commands import, `params.yaml` with the sections they read
(the store as an absolute path), the engines, and pinned requirements. It is built in a temporary folder below the
project, with BentoML's own store there too, so nothing is written to a user's home. (BentoML refuses to build in a
hidden folder.)
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import yaml

from domain.atomic import atomic_folder
from domain.errors import ArtifactError
from domain.model_card import read_card
from domain.paths import BENTO, ENGINES, STORE
from domain.settings import PARAMS, read_params
from domain.stage import run_stage
from serving.database.store import version_of_model
from serving.deployment import Deployment

_CODE = Path(__file__).resolve().parent.parent
# What the service and the commands beside it import, with what they read there: schemas, the page, migrations.
PARTS = (
    "domain",
    "districts/layout.py",
    "evaluation/neighbours",
    "evaluation/reranking.py",
    "export/engines",
    "serving",
)
_SECTIONS = ("serving", "tracking", "reid")  # of params.yaml: what `Deployment.read` looks at
_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)
_NAME = re.compile(r"^[A-Za-z0-9._-]+(?:\[[^\]]*\])?")


def main(argv: Sequence[str] = ()) -> None:
    """Build the Bento and say how to serve it."""
    params = read_params(argv)
    kept = {section: params[section] for section in _SECTIONS}
    kept["serving"] |= {"store": str(STORE.resolve())}
    with tempfile.TemporaryDirectory(prefix="bento-build-", dir=Path.cwd()) as temporary:
        staged = Path(temporary) / "source"
        staged.mkdir()
        (staged / PARAMS).write_text(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
        deployment = Deployment.read(staged)
        model_version = _stage_engines(deployment)
        _stage_code(staged)
        _write_bentofile(staged, model_version)
        built = _build(staged, home=Path(temporary) / "bentoml")
        with atomic_folder(BENTO) as aside:
            shutil.copytree(built, aside, dirs_exist_ok=True)
    http = deployment.settings.service
    print(f"{BENTO} holds the service for the model {model_version}; serve it from any folder:")
    print(f"  BENTOML_DO_NOT_TRACK=True bentoml serve {BENTO.resolve()}")
    address = f"{'https' if http.tls is not None else 'http'}://{http.host}:{http.port}"
    print(f"make accounts in {BENTO.resolve() / 'src'}: python -m serving.accounts create NAME --role reviewer")
    print(f"then sign in at {address}/, or ask with the token:")
    print(f'  curl -H "Authorization: Bearer $TOKEN" {address}/v1/status')


def pinned_requirements(pyproject: Path, lock: Path) -> list[str]:
    """`[project] dependencies` of `pyproject`, each at the version that `lock` holds, extras kept.

    Raises:
        ArtifactError: if the lock lacks one.
    """
    versions = {_canonical(match["name"]): match["version"] for match in _PINNED.finditer(lock.read_text())}
    requirements = []
    for dependency in tomllib.loads(pyproject.read_text())["project"]["dependencies"]:
        name = _NAME.match(dependency)
        assert name is not None, "pyproject.toml names its dependencies"
        version = versions.get(_canonical(name[0].partition("[")[0]))
        if version is None:
            raise ArtifactError(f"{lock} must pin {name[0]}, a dependency of {pyproject}; run make lock")
        requirements.append(f"{name[0]}=={version}")
    return requirements


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _stage_engines(deployment: Deployment) -> str:
    """Copy the engines beside the code; the re-ID model's version."""
    for name in deployment.engines:
        card = read_card(ENGINES / name)
        if not card.engines:
            raise ArtifactError(f"{ENGINES / name} must be an engine, its card lists no file; rerun export")
        shutil.copytree(ENGINES / name, deployment.engine(name))
    return version_of_model(read_card(ENGINES / deployment.reid))


def _stage_code(staged: Path) -> None:
    for part in map(Path, PARTS):
        (staged / part.parent).mkdir(parents=True, exist_ok=True)
        if (_CODE / part).is_dir():
            shutil.copytree(_CODE / part, staged / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(_CODE / part, staged / part)
        if part.parent != Path():
            shutil.copyfile(_CODE / part.parent / "__init__.py", staged / part.parent / "__init__.py")


def _write_bentofile(staged: Path, model_version: str) -> None:
    bentofile = {
        "service": "serving.service:PersonSearch",
        "name": "person_search",
        "description": f"Dongseon: search by photo over the sightings of the re-ID model {model_version}.",
        "labels": {"model_version": model_version},
        "include": ["*"],
        "python": {
            "packages": pinned_requirements(_CODE / "pyproject.toml", _CODE / "requirements.lock"),
            "lock_packages": False,  # they are pinned already, and locking asks the network
        },
        "docker": {"python_version": "3.11"},
    }
    (staged / "bentofile.yaml").write_text(yaml.safe_dump(bentofile, sort_keys=False))


def _build(staged: Path, home: Path) -> Path:
    """Build in an own process, which imports the staged code as a serving process will; the Bento's folder."""
    home.mkdir()
    environment = os.environ | {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
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
