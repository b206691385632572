import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from domain.errors import ArtifactError, InputError
from domain.model_card import read_card, write_card
from domain.paths import PREVIOUS
from domain.privacy import TELEMETRY_OFF
from serving import package
from serving.access.roles import Role
from serving.deployment import Deployment
from serving.locked_packages import LockedPackage, canonical
from tests.helpers.deployments import (
    BLUE,
    FOR_CASE,
    fill_store,
    picture,
    token_of,
    write_deployment,
    write_learnt_times,
)
from tests.helpers.image import run_image
from tests.helpers.imports import imported_modules
from tests.helpers.other_user import require_root
from tests.helpers.project import ROOT
from tests.helpers.tiny_engines import write_engines

LOCK = ROOT / "requirements.lock"
# Run beside the service, on a machine that has nothing but the Bento.
COMMANDS = [
    "serving.accounts",
    "serving.audit",
    "serving.cameras",
    "serving.doctor",
    "serving.ingest",
    "serving.labels",
    "serving.retention",
    "serving.streams",
    "serving.transits",
    "serving.worker",
]


@pytest.mark.parametrize("entry", ["serving.service", *COMMANDS])
def test_the_bento_holds_all_that_it_imports(tmp_path: Path, entry: str) -> None:
    package._stage_code(tmp_path)
    needed = imported_modules(entry, ROOT)
    assert ROOT / "serving" / "deployment.py" in needed
    assert not [file for file in needed if not (tmp_path / file.relative_to(ROOT)).is_file()]


def test_the_bento_holds_no_training_and_what_its_modules_read(tmp_path: Path) -> None:
    package._stage_code(tmp_path)
    names = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert {"serving/web/page/page.html", "serving/web/page/page.js", "serving/web/page/page.css"} <= names
    assert "domain/schemas/suseong.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "training/", "conf/")) or name.endswith(".pyc")]


def test_the_bento_can_change_the_schema_and_remove_what_is_old(tmp_path: Path) -> None:
    package._stage_code(tmp_path)
    code = (
        "import serving.retention; from alembic.config import Config; from alembic.script import ScriptDirectory as S; "
        "config = Config(); config.set_main_option('script_location', 'serving.database:migrations'); "
        "print([each.path for each in S.from_config(config).walk_revisions()], S.from_config(config).env_py_location)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    for file in (ROOT / "serving" / "database" / "migrations").rglob("*.py"):
        assert str(tmp_path / file.relative_to(ROOT)) in ended.stdout


def packages() -> list[LockedPackage]:
    return package.service_packages(ROOT / "pyproject.toml", ROOT / "requirements.lock")


def test_the_service_needs_no_package_that_trains_composes_or_logs() -> None:
    names = {each.name for each in packages()}
    assert {"bentoml", "psycopg", "psycopg-binary", "alembic", "starlette"} <= names
    assert not {
        name for name in names if name.startswith(("torch", "mlflow", "dvc", "hydra", "ultralytics", "pytorch"))
    }


def test_the_packages_of_the_service_need_no_other() -> None:
    names = {each.name for each in packages()}
    for name in names:
        try:
            needed = map(Requirement, metadata.requires(name) or [])
        except metadata.PackageNotFoundError:
            continue  # of another platform
        for other in needed:
            if other.marker is None or other.marker.evaluate({"extra": ""}):
                assert canonical(other.name) in names, f"{name} needs {other}"


def test_a_lock_that_lacks_a_dependency(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"numpy==2.4.6 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ArtifactError, match=r"must pin aiohttp, alembic, .* depends on; run make lock"):
        package.service_packages(ROOT / "pyproject.toml", tmp_path / "lock")


def test_locks_with_different_versions_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"numpy==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ArtifactError, match=r"must have the same numpy, got 2\S+ and 1.0; run make lock"):
        package.gpu_packages(packages(), tmp_path / "lock")


def test_a_bento_without_a_named_store_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DONGSEON_STORE", raising=False)
    write_deployment(tmp_path)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["serving"]["store"] = None
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(InputError, match="DONGSEON_STORE must name the folder of the store, it is not set"):
        _ = Deployment.read(tmp_path).store
    monkeypatch.setenv("DONGSEON_STORE", "/srv/store")
    assert Deployment.read(tmp_path).store == Path("/srv/store")


def test_a_lock_without_the_hashes_of_a_package(tmp_path: Path) -> None:
    lock = re.sub(r"^(bentoml==\S+) .*?# via", r"\1\n    # via", LOCK.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "lock").write_text(lock)
    with pytest.raises(ArtifactError, match="must hold hashes of bentoml; run make lock"):
        package.service_packages(ROOT / "pyproject.toml", tmp_path / "lock")


def test_weights_without_an_engine_are_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deployment(tmp_path)
    card = tmp_path / "engines/demo/detector" / "card.json"
    content = json.loads(card.read_text())
    del content["engines"]
    card.write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match="must be an engine, its card lists no file"):
        package.main()
    assert not (tmp_path / "bento").exists()


def test_an_engine_of_another_district_is_refused_unless_it_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deployment(tmp_path)
    folder = tmp_path / "engines/demo/detector"
    card = read_card(folder).model_copy(update={"district": "gate"})
    write_card(card, folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ArtifactError, match=rf"^the models of demo must be .*, but detector \({card.version}\) is of gate;"
    ):
        package.main()
    monkeypatch.setattr(package, "_build", lambda *_, **__: pytest.fail("reached"))
    write_card(card.model_copy(update={"taken": True}), folder)
    with pytest.raises(pytest.fail.Exception, match="reached"):
        package.main()


def test_embeddings_that_the_store_cannot_search_are_refused_before_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deployment(tmp_path)
    folder = next((tmp_path / "engines/demo").glob("reid-*"))
    card = read_card(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(package, "_build", lambda *_, **__: pytest.fail("reached"))
    for feature in (4000, 6144):
        write_card(card.model_copy(update={"feature": feature, "stripes": 3}), folder)
        told = pytest.raises(pytest.fail.Exception, match="reached")
        if feature > 4000:
            told = pytest.raises(ArtifactError, match=r"at most 4000 numbers, .* have 6144, 2048 for each of 3 stripes")
        with told:
            package.main()


def test_the_transit_times_of_the_district_are_packed_and_are_part_of_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_deployment(tmp_path)

    def staged(name: str) -> package.Versions:
        (tmp_path / name).mkdir()
        shutil.copyfile("params.yaml", tmp_path / name / "params.yaml")
        return package._stage_learnt(Deployment.read(tmp_path / name), None)

    without = staged("without")
    version = write_learnt_times(tmp_path)
    packed = staged("with")
    assert packed.reid == without.reid
    assert packed.deployment != without.deployment
    assert Deployment.read(tmp_path / "with").transits().version == version
    Path("transits/demo/transits.npz").write_bytes(b"half")
    with pytest.raises(ArtifactError, match="rerun fit_transits"):
        staged("half")


def test_models_of_different_training_data_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_deployment(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(package, "_build", lambda *_, **__: pytest.fail("reached"))
    for name, of in (("detector", {"data_hash": "1f" * 16}), ("attributes", {"district": "", "source": "zoo.onnx"})):
        folder = tmp_path / "engines/demo" / name
        write_card(read_card(folder).model_copy(update=of | {"taken": name == "attributes"}), folder)
    with pytest.raises(pytest.fail.Exception, match="reached"):
        package.main()
    told = "detector on demo, data 1f1f1f1f1f1f; attributes on zoo.onnx; reid-osnet on demo, data without a hash"
    assert f"note: the models were not trained on the same data: {told}\n" in capsys.readouterr().out


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "bentofile.yaml").write_text("service: nowhere:Service\n")
    with pytest.raises(ArtifactError, match="bentoml build must end with a Bento"):
        package._build(tmp_path / "source", tmp_path / "home")


@contextmanager
def served(bento: Path, clean: Path, store: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    unset = {"PYTHONPATH", *TELEMETRY_OFF}  # as in the shell of somebody who knows nothing of all this
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"BENTOML_HOME": str(clean / "home"), "HOME": str(clean / "home"), "__BENTOML_DEBUG_USAGE": "True"}
    environment["DONGSEON_STORE"] = str(store)
    log = clean.parent / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", str(bento), "--port", str(port)],
            cwd=clean,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _await(process, f"http://127.0.0.1:{port}/livez", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _await(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(address, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(f"the service did not answer in two minutes:\n{log.read_text()}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment's folder with a built Bento."""
    folder = tmp_path_factory.mktemp("project")
    write_deployment(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        package.main()
    return folder


@pytest.mark.slow
def test_the_image_installs_the_locked_packages_and_checks_their_hashes(project: Path) -> None:
    lock = LOCK.read_text()
    folder = project / "bento" / "demo" / "env" / "python"
    installed = re.split(r"\n(?=\S)", (folder / "requirements.lock.txt").read_text().rstrip())
    assert len(installed) == len(packages()) > 100
    for entry in installed:
        assert "--hash=sha256:" in entry
        assert f"{entry}\n" in lock
    script = (folder / "install.sh").read_text()
    assert "PIP_ARGS=(--require-hashes)" in script
    assert 'pip_install "${PIP_ARGS[@]}" -r "$REQUIREMENTS_LOCK"' in script


@pytest.mark.slow
def test_the_sbom_lists_what_the_image_installs(project: Path) -> None:
    bill = json.loads((project / "bento" / "demo" / "src" / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "1.5",
        "dongseon",
    )
    listed = {
        f"{each['name']}=={each['version']}": {f"--hash=sha256:{value['content']}" for value in each["hashes"]}
        for each in bill["components"]
    }
    locked = (project / "bento" / "demo" / "env" / "python" / "requirements.lock.txt").read_text()
    entries = [re.sub(r"[\\\s]+", " ", entry).split() for entry in re.split(r"\n(?=\S)", locked)]
    assert listed == {name: set(hashes) for name, *hashes in entries}
    assert {each["purl"] for each in bill["components"]} == {each["ref"] for each in bill["dependencies"]}
    (bentoml,) = (each for each in bill["dependencies"] if each["ref"].startswith("pkg:pypi/bentoml@"))
    assert any(ref.startswith("pkg:pypi/starlette@") for ref in bentoml["dependsOn"])


@pytest.mark.slow
def test_the_image_for_a_gpu_has_another_onnx_runtime_and_else_the_same(project: Path) -> None:
    folder = project / "bento" / "demo"
    for_cpu, for_gpu = (
        {
            canonical(match[1]): match[2]
            for match in re.finditer(r"^(\S+)==(\S+) \\\n    --hash=sha256:", text, re.MULTILINE)
        }
        for text in (
            (folder / "env" / "python" / name).read_text()
            for name in ("requirements.lock.txt", "requirements-gpu.lock.txt")
        )
    )
    assert {"onnxruntime"} == for_cpu.keys() - for_gpu.keys()
    assert {"onnxruntime-gpu", "tensorrt-rtx", "nvidia-cudnn-cu13"} <= for_gpu.keys() - for_cpu.keys()
    assert [for_gpu[name] for name in for_cpu if name != "onnxruntime"] == [
        version for name, version in for_cpu.items() if name != "onnxruntime"
    ]
    bill = json.loads((folder / "src" / "sbom-gpu.cdx.json").read_text())
    assert {each["name"]: each["version"] for each in bill["components"]} == for_gpu


@pytest.mark.slow
def test_a_container_serves_as_its_own_user_what_lies_in_its_volume(
    project: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    require_root()
    volume = tmp_path_factory.mktemp("volume")
    check = """
entry 2>&1 || echo "refused: $?"
SET=DONGSEON_STORE=/var/lib/dongseon/store
entry > "$VOLUME.log" 2>&1 &
for try in $(seq 120); do health 2> /dev/null && break; sleep 1; done
chroot . python3 -c 'import urllib.request as r; print(r.urlopen("http://10.0.0.9:3000/livez").status)'
entry python -m serving.accounts first
echo "users: $(chroot . ps -C bentoml,postgres,python,python3.11 -o uid= | sort -u | xargs)"
"""
    said = run_image(project / "bento" / "demo", volume, tmp_path, check)
    assert said[0].startswith("error: the environment variable DONGSEON_STORE must name the folder of the store")
    assert said[1:3] == ["refused: 1", "200"]
    assert any(line.startswith("token of reviewer") for line in said)
    assert said[-1] == "users: 1034"
    assert (volume / "store" / "postgres" / "PG_VERSION").is_file()


@pytest.mark.slow
def test_the_bento_is_served_from_a_clean_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, clean = tmp_path / "project", tmp_path / "clean"
    deployment = write_deployment(project)
    times = write_learnt_times(project)
    write_engines(tmp_path / "before", reid=1)  # and every photo is embedded by both
    shutil.copytree(tmp_path / "before" / "reid-osnet", project / "engines" / "demo" / PREVIOUS / "reid-osnet")
    (clean / "home").mkdir(parents=True)
    monkeypatch.chdir(project)
    package.main()
    assert f"bentoml serve {project / 'bento' / 'demo'}" in capsys.readouterr().out
    assert sorted(path.name for path in project.iterdir()) == ["bento", "engines", "params.yaml", "transits"]
    photo = BytesIO()
    Image.fromarray(picture(BLUE, seed=50)).save(photo, "JPEG")
    monkeypatch.setenv("DONGSEON_STORE", str(deployment.store))
    with served(project / "bento" / "demo", clean, deployment.store) as address:
        assert httpx.get(f"{address}/readyz", timeout=20).status_code == 200
        headers = {"Authorization": f"Bearer {token_of(deployment, 'reviewer', Role.REVIEWER)}"}
        status = httpx.get(f"{address}/v1/status", headers=headers, timeout=20).json()
        assert "run serving.worker" in status["warnings"][-1]
        assert status["transits_version"] == times
        fill_store(deployment)
        assert httpx.get(f"{address}/readyz", timeout=20).status_code == 200
        search = partial(httpx.post, f"{address}/v1/search", data=FOR_CASE, headers=headers, timeout=20)
        found = search(files={"photo": photo.getvalue()})
        assert found.status_code == 200, found.text
        assert found.json()["sightings"][0]["tracklet_id"] in {3, 6, 9, 12}
        assert Deployment.read(project / "bento" / "demo" / "src").previous_reid is not None
        page = httpx.get(f"{address}/", headers=headers, timeout=20)
        assert (page.status_code, "사람 찾기" in page.text) == (200, True)
        text = search(files={"photo": ("a.jpg", b"I am a text file")})
        assert (text.status_code, "photo must be a picture" in text.text) == (400, True)
    for command, said in (
        (["serving.retention"], r"removed \d+ tracklets"),
        (["serving.accounts", "list"], r"reviewer\treviewer"),
        (["serving.audit", "verify"], r"\d+ records, none changed"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=project / "bento" / "demo" / "src",
            capture_output=True,
            text=True,
            check=False,
        )
        assert re.match(said, ended.stdout), ended.stderr
    assert "tracking payload" not in (tmp_path / "service.log").read_text().lower()  # what BentoML would have sent
    assert not list(clean.rglob("onnxruntime.db"))  # where ONNX Runtime keeps what it would send
