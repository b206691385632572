"""Auditors are told of accounts that look at more people than their work needs."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from serving.database import audit
from serving.database.audit import Action
from serving.database.store import Store
from serving.database.viewing import ViewingSettings, unusual_days
from tests.helpers.project import ROOT

SETTINGS = ViewingSettings(crops_a_day=10, crops_without_verdict=4, refusals_a_day=2)


@pytest.fixture
def looked_at(store: Store) -> Store:
    """kim works, lee looks at many, park judges nothing, choi tries what she may not."""
    done = {
        "kim": [Action.VIEW] * 8 + [Action.VERDICT],
        "lee": [Action.VIEW] * 11 + [Action.VERDICT],
        "park": [Action.VIEW] * 5,
        "choi": [Action.REFUSED_ACCESS] * 3,
        "hong": [Action.VIEW] * 4 + [Action.SEARCH] * 20,
    }
    with store.begin() as connection:
        for account, actions in done.items():
            for number, action in enumerate(actions):
                audit.append(connection, account, action, {"case_id": number % 2})
    return store


def test_many_crops_in_a_day_many_without_a_verdict_and_many_refusals_are_named(looked_at: Store) -> None:
    with looked_at.begin() as connection:
        found = {day.account: day for day in unusual_days(connection, SETTINGS, 1)}
        assert unusual_days(connection, SETTINGS.model_copy(update={"crops_a_day": 11}), 1) != list(found.values())
    assert {account: day.reasons for account, day in found.items()} == {
        "lee": ("more than 10 crops",),
        "park": ("more than 4 crops without a verdict",),
        "choi": ("more than 2 recorded refusals",),
    }
    assert (found["lee"].crops, found["lee"].cases, found["lee"].verdicts) == (11, 2, 1)


def test_what_was_long_ago_is_named_only_when_it_is_asked_for(looked_at: Store) -> None:
    with looked_at.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("UPDATE audit SET at = at - interval '10 days'")
    with looked_at.begin() as connection:
        assert unusual_days(connection, SETTINGS, 7) == []
        assert len(unusual_days(connection, SETTINGS, 30)) == 3


@pytest.mark.parametrize("command", [["unusual"], ["verify"]])
def test_the_commands_name_them(looked_at: Store, database: str, tmp_path: Path, command: list[str]) -> None:
    serving = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())
    serving["viewing"] = SETTINGS.model_dump()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"serving": serving}))
    ran = subprocess.run(
        [sys.executable, "-m", "serving.audit", *command],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=True,
    )
    said = ran.stdout if command == ["unusual"] else ran.stderr  # programs read what verify prints
    assert "unusual viewing in the last 7 days: 3" in said
    assert " lee: more than 10 crops (11 crops for 2 cases, 1 verdicts, 0 recorded refusals)" in said
