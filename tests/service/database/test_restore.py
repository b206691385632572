import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.attribute_query import GroupQuery
from domain.errors import InputError
from serving import audit as command
from serving.cases.cases import CaseExport, export_case, give_verdict, hold_case, open_case
from serving.cases.verdict import Verdict
from serving.cases.visible import show_in_case
from serving.database import audit, queries
from serving.database.embedded import TOOLS, EmbeddedServer
from serving.database.holds import require_no_hold
from serving.database.store import open_store
from serving.matching.match_curve import MatchCurve
from serving.search.messages import SightingId
from serving.search.search import Hit, Searcher, SearchSettings
from tests.helpers.deployments import REVIEWER, write_deployment
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, in_transaction, tracklet, unit_vectors

SEARCH = SearchSettings(
    candidates=50, k1=20, k2=6, lambda_value=0.3, attribute_trust=0.7, time_trust=0.8, probability_softness=0.05
)
EMBEDDINGS = unit_vectors(seed=0, number=30, feature=16)
QUERY = unit_vectors(seed=1, number=1, feature=16)[0]


def run_documented(folder: Path, program: str, **variables: str) -> None:
    """Run the manual's one block of shell commands that calls `program` in `folder`, with these variables."""
    manual = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```bash\n(.*?)```", manual, re.DOTALL) if program in one]
    path = os.pathsep.join([str(Path(sys.executable).parent), str(TOOLS), os.environ["PATH"]])
    command = ["bash", "-eu", "-c", block]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def search(folder: Path) -> tuple[list[Hit], list[bytes]]:
    """What a search answers, and the crops it names."""
    with open_store(folder / "store") as store:
        with_backpack = {"bag": GroupQuery(("backpack",), ("none", "backpack"))}
        found = Searcher(store, MatchCurve(0.3, 0.05), SEARCH, "net-1").search(QUERY, with_backpack)
        return found, [store.crops.read(one.crop) for one in found]


def kept(folder: Path) -> tuple[CaseExport, str]:
    """All of the case, and the audit's head once every record is verified."""
    with open_store(folder / "store") as store:
        with store.begin() as connection:
            exported = export_case(connection, REVIEWER, 1)
            connection.rollback()  # without a record of this
        with store.begin() as connection:
            return exported, str(audit.verify(connection))


def test_a_restored_backup_answers_as_before_and_keeps_cases_and_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    people = [tracklet(i + 1, EMBEDDINGS[i], after_s=i, attributes={"bag": {"backpack": i / 30}}) for i in range(30)]
    with open_store(old / "store") as store:
        store.replace_sightings("demo", CAMERAS, "net-1", people)
        with store.begin() as connection:
            case = open_case(connection, REVIEWER, "A missing child", operators=[])
            show_in_case(connection, case.id, [("demo", 3), ("demo", 4)])
            for number, verdict in ((3, Verdict.CONFIRMED), (4, Verdict.REJECTED)):
                sighting = SightingId(district="demo", tracklet_id=number)
                give_verdict(connection, REVIEWER, case.id, sighting, verdict)
            hold_case(connection, REVIEWER, case.id, held=True)
        run_documented(old, "store pg_dump")
    before, known = search(old), kept(old)
    assert len(before[0]) == 30
    assert [(one.tracklet_id, one.verdict) for one in known[0].verdicts] == [(3, "confirmed"), (4, "rejected")]
    for name in ("sightings.dump", "crops.tar", "store.key"):
        shutil.move(old / name, new / name)
    shutil.rmtree(old)  # nothing is answered from there
    run_documented(new, "store pg_restore")
    assert search(new) == before
    assert kept(new) == known
    write_deployment(new)
    monkeypatch.chdir(new)
    command.main(["verify", "--head", known[1]])
    assert known[1] in capsys.readouterr().out
    with open_store(new / "store") as store:
        with pytest.raises(InputError, match="A missing child"):
            in_transaction(store, require_no_hold, "demo")
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), store.begin() as connection:
            connection.execute(sa.text("DELETE FROM audit"))


def test_a_role_that_is_no_superuser_restores_into_a_postgresql_of_its_own(
    postgres: EmbeddedServer, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    script = ROOT / "deploy" / "compose" / "database.sh"
    asked = {"POSTGRES_USER": postgres.environment["PGUSER"], "DATABASE_PASSWORD": "it's $HOME"}
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([script], env={**os.environ, "PATH": path, **postgres.environment, **asked}, check=True)
    server = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE restored TEMPLATE dongseon OWNER dongseon")
        for name in ("dongseon", "restored"):  # who connects here has the rights of the service's role, no more
            who = f'ALTER ROLE "{postgres.environment["PGUSER"]}" IN DATABASE {name} SET role = dongseon'
            connection.exec_driver_sql(who)
        stored = connection.exec_driver_sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'dongseon'").scalar_one()
    server.dispose()
    assert stored.startswith("SCRAM-SHA-256$")
    url, restored = (
        postgres.url.set(drivername="postgresql", database=name).render_as_string() for name in ("dongseon", "restored")
    )
    people = [tracklet(i + 1, EMBEDDINGS[i], after_s=i) for i in range(3)]
    with open_store(tmp_path / "own" / "store", url) as store:
        with store.begin() as connection:
            assert connection.exec_driver_sql("SELECT current_user, current_setting('is_superuser')").one() == (
                "dongseon",
                "off",
            )
        store.replace_sightings("demo", CAMERAS, "net-1", people)
        before = sorted(one.id for one in queries.nearest(store.engine, QUERY, "net-1", 5))
    run_documented(tmp_path, "--no-comments", DATABASE_URL=url, RESTORED_URL=restored)
    with open_store(tmp_path / "own" / "store", restored) as store:
        assert sorted(one.id for one in queries.nearest(store.engine, QUERY, "net-1", 5)) == before == [1, 2, 3]
