"""The doctor names each misconfiguration, and nothing else, of an installation that is sound without it."""

import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from serving import doctor
from serving.access.roles import Role
from serving.database import connection
from serving.database.embedded import EmbeddedServer
from serving.database.store import open_store
from serving.deployment import Deployment
from tests.helpers.certificates import write_certificate
from tests.helpers.deployments import fill_store, token_of, write_deployment
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MEASURED_S", 0.5)  # shorter, and a busy machine seems to carry no camera
    monkeypatch.setattr(doctor, "_LEAST_FREE_BYTES", 1)


@pytest.fixture
def sound(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("DATABASE_URL", database)
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    token_of(deployment, "kim", Role.OPERATOR)
    return deployment


def troubles(deployment: Deployment, **clock: Callable[[], datetime]) -> list[str]:
    return [f"{each.level}: {each.text}" for each in doctor.findings(deployment, **clock) if each.level != "ok"]


def in_database(deployment: Deployment, command: str) -> None:
    with open_store(deployment.store) as store, store.begin() as opened:
        opened.execute(sa.text(command))


def without_key(deployment: Deployment) -> None:
    deployment.store.with_name("store.key").unlink()


def with_another_key(deployment: Deployment) -> None:
    without_key(deployment)
    key = deployment.store.with_name("store.key")
    key.touch(0o600)
    key.write_bytes(b64encode(bytes(32)))


def with_a_key_for_all(deployment: Deployment) -> None:
    deployment.store.with_name("store.key").chmod(0o644)


def without_a_detector(deployment: Deployment) -> None:
    shutil.rmtree(deployment.engine("detector"))


def with_an_old_extension(deployment: Deployment) -> None:
    in_database(deployment, "UPDATE pg_extension SET extversion = '0.7.0' WHERE extname = 'vector'")


def of_a_newer_version(deployment: Deployment) -> None:
    in_database(deployment, "UPDATE alembic_version SET version_num = '99'")


def with_a_hundred_thousand_cameras(deployment: Deployment) -> None:
    columns = "district, name, latitude, longitude, fps, width_px, height_px"
    in_database(
        deployment,
        f"INSERT INTO cameras (id, {columns}) SELECT 'c' || n, {columns} "
        "FROM generate_series(1, 100000) AS n, (SELECT * FROM cameras LIMIT 1) AS one",
    )


def with_a_failed_segment(deployment: Deployment) -> None:
    in_database(deployment, "UPDATE segments SET state = 'failed' WHERE id = (SELECT min(id) FROM segments)")


def without_accounts(deployment: Deployment) -> None:
    in_database(deployment, "UPDATE accounts SET disabled = now()")


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (without_key, "error: .*store.key must hold the key of the crops in .*, it is missing"),
        (with_another_key, "error: the crop .* does not decrypt; the key file is .*store.key"),
        (with_a_key_for_all, "error: only its owner may read the key of the crops .*: chmod 600"),
        (without_a_detector, "error: .*detector.*"),
        (with_an_old_extension, "error: the database uses pgvector 0.7.0: ALTER EXTENSION vector UPDATE"),
        (of_a_newer_version, "error: the database must have a schema revision up to .*, it has 99"),
        (with_a_hundred_thousand_cameras, "error: 1000.. cameras are in service, this machine carries"),
        (with_a_failed_segment, "warning: 1 segments of video failed"),
        (without_accounts, "warning: nobody can sign in: python -m serving.accounts first"),
    ],
)
def test_a_planted_fault_is_the_only_one_named(
    sound: Deployment, plant: Callable[[Deployment], None], said: str
) -> None:
    assert troubles(sound) == []
    plant(sound)
    (trouble,) = troubles(sound)
    assert re.match(said, trouble)


def test_a_clock_that_is_wrong(sound: Deployment) -> None:
    (trouble,) = troubles(sound, now=lambda: datetime.now(UTC) + timedelta(minutes=2))
    assert "error: this machine's clock is 12" in trouble


def test_a_pgvector_with_known_faults(sound: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PGVECTOR", (99, 0, 0))
    (trouble,) = troubles(sound)
    assert re.match("error: the database's pgvector must be 99.0.0 or newer, it is .*update it", trouble)


def test_a_plan_of_another_gpu(sound: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: "8.6")
    found = troubles(sound)
    assert len(found) == 3
    assert all(line.startswith("warning: the engine") and "runs instead of a plan" in line for line in found)


def test_a_full_disk(sound: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LEAST_FREE_BYTES", 2**60)
    assert [line.partition(":")[0] for line in troubles(sound)] == ["error"]


def test_a_database_that_is_away_and_a_store_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = write_deployment(tmp_path)
    (trouble,) = troubles(deployment)
    assert f"error: the folder of the store {tmp_path}/store must be there" in trouble
    assert not deployment.store.exists()
    deployment.store.mkdir()
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/none")
    (trouble,) = troubles(deployment)
    assert "error: a PostgreSQL with pgvector must answer at" in trouble


def test_a_database_without_the_extension(
    postgres: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT")
    with server.connect() as opened:
        opened.exec_driver_sql("CREATE ROLE plain")
        opened.exec_driver_sql("CREATE DATABASE plain OWNER plain")
        who = postgres.environment["PGUSER"]
        opened.exec_driver_sql(f'ALTER ROLE "{who}" IN DATABASE plain SET role = plain')
    server.dispose()
    monkeypatch.setenv("DATABASE_URL", postgres.url.set(drivername="postgresql", database="plain").render_as_string())
    deployment = write_deployment(tmp_path)
    deployment.store.mkdir()
    (trouble,) = troubles(deployment)
    assert 'permission denied to create extension "vector"' in trouble


@pytest.mark.parametrize(
    ("mode", "later", "said"),
    [
        (0o604, timedelta(), "error: the certificate in serving.service.tls must be readable: .*chmod 600"),
        (0o600, timedelta(), "warning: the certificate .* is valid for 0 days"),
        (0o600, timedelta(days=3), "error: the certificate .* is valid for -3 days"),
    ],
)
def test_a_certificate_that_others_have_or_that_ends(tmp_path: Path, mode: int, later: timedelta, said: str) -> None:
    certificate = write_certificate(tmp_path)
    key = certificate.with_suffix(".key")
    key.chmod(mode)
    params = yaml.safe_load((write_deployment(tmp_path).root / "params.yaml").read_text())
    params["serving"]["service"]["tls"] = {"certificate": str(certificate), "key": str(key)}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    deployment = Deployment.read(tmp_path)
    first = next(iter(doctor._certificate(deployment, datetime.now(UTC) + later)))
    assert re.match(said, f"{first.level}: {first.text}")


def test_the_command_ends_with_an_error_where_a_process_may_open_few_files(tmp_path: Path) -> None:
    write_deployment(tmp_path)
    command = ["prlimit", "--nofile=1000", sys.executable, "-m", "serving.doctor"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout.startswith("error   a process may open 1000 files (ulimit -Hn, LimitNOFILE), it needs 2000")
    (said,) = ended.stderr.splitlines()  # and nothing of packages, such as that XDG_RUNTIME_DIR is not set
    assert said.endswith("an installation must be without errors, this one has 2")
