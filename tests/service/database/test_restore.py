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
from serving.database import audit
from serving.database.holds import require_no_hold
from serving.database.store import open_store
from serving.matching.match_curve import MatchCurve
from serving.search.messages import SightingId
from serving.search.search import Hit, Searcher, SearchSettings
from tests.helpers.deployments import REVIEWER, write_deployment
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, in_transaction, tracklet, unit_vectors

SEARCH = SearchSettings(candidates=50, k1=20, k2=6, lambda_value=0.3, attribute_trust=0.7, probability_softness=0.05)
EMBEDDINGS = unit_vectors(seed=0, number=30, feature=16)
QUERY = unit_vectors(seed=1, number=1, feature=16)[0]


def run_documented(folder: Path, program: str) -> None:
    """Run the manual's one block of shell commands that calls `program` in `folder`."""
    manual = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```bash\n(.*?)```", manual, re.DOTALL) if program in one]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-eu", "-c", block]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
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
        run_documented(old, "pg_dump")
    before, known = search(old), kept(old)
    assert len(before[0]) == 30
    assert [(one.tracklet_id, one.verdict) for one in known[0].verdicts] == [(3, "confirmed"), (4, "rejected")]
    for name in ("sightings.dump", "crops.tar", "store.key"):
        shutil.move(old / name, new / name)
    shutil.rmtree(old)  # nothing is answered from there
    run_documented(new, "pg_restore")
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
