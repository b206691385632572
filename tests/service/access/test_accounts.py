import logging
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from domain.errors import InputError
from serving import accounts as command
from serving.access import accounts
from serving.access.accounts import Account, TokenCheck, create_account
from serving.access.roles import Role
from serving.database import audit, tables
from serving.database.embedded import TOOLS
from serving.database.store import Store
from tests.helpers.project import ROOT


@pytest.fixture
def token(store: Store) -> str:
    with store.begin() as connection:
        return create_account(connection, "kim", Role.OPERATOR, "admin")


def whose(store: Store, token: str, check: TokenCheck | None = None) -> Account | None:
    with store.begin() as connection:
        return (check or TokenCheck()).account_of(connection, token)


def test_a_token_identifies_its_account(store: Store, token: str) -> None:
    account = whose(store, token)
    assert account is not None
    assert (account.name, account.role) == ("kim", Role.OPERATOR)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"), id="another secret"),
        pytest.param(lambda token: token.replace(token[9:25], "0" * 16), id="another id"),
        pytest.param(lambda token: token + "x", id="longer"),
        pytest.param(lambda token: token + "\n", id="with a line end"),
        pytest.param(lambda token: token[9:], id="without its beginning"),
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: "x" * 100_000, id="huge"),
        pytest.param(lambda _: "dongseon_\x00_'; DROP TABLE accounts; --", id="SQL"),
    ],
)
def test_an_invalid_token_has_no_account(store: Store, token: str, change: object) -> None:
    check = TokenCheck()
    assert whose(store, token, check) is not None
    assert whose(store, change(token), check) is None
    assert not check.is_known(change(token))


def test_argon2_runs_once_for_a_token(store: Store, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hasher, runs = accounts._HASHER, []

    class Counted:
        def verify(self, *arguments: str) -> bool:
            runs.append(arguments)
            return hasher.verify(*arguments)

    monkeypatch.setattr(accounts, "_HASHER", Counted())
    check = TokenCheck()
    assert not check.is_known(token)
    for _ in range(5):
        assert whose(store, token, check) is not None
    assert check.is_known(token)
    assert len(runs) == 1
    whose(store, token[:-4] + "AAAA", check)
    assert len(runs) == 2


def test_a_disabled_account_is_out_at_once_and_its_sessions_end(store: Store, token: str) -> None:
    check = TokenCheck()
    assert whose(store, token, check) is not None
    with store.begin() as connection:
        soon = datetime.now(UTC) + timedelta(hours=1)
        connection.execute(sa.insert(tables.sessions).values(id_hash="x", account="kim", expires=soon))
        accounts.disable_account(connection, "kim", "admin")
        assert connection.execute(sa.select(tables.sessions)).all() == []
    assert whose(store, token, check) is None


def test_a_token_that_does_not_exist_takes_as_long_as_a_wrong_one(store: Store, token: str) -> None:
    def shortest_s(wrong: str) -> float:
        check, taken_s = TokenCheck(), []
        for _ in range(3):
            began = time.perf_counter()
            assert whose(store, wrong, check) is None
            taken_s.append(time.perf_counter() - began)
        return min(taken_s)

    _, token_id, secret = token.split("_", 2)
    wrong, unknown = f"dongseon_{token_id}_{secret[::-1]}", f"dongseon_{token_id[::-1]}_{secret}"
    assert 1 / 3 < shortest_s(unknown) / shortest_s(wrong) < 3  # without Argon2 it is a thirtieth


def test_a_renewed_account_has_another_token_only(store: Store, token: str) -> None:
    check = TokenCheck()
    assert whose(store, token, check) is not None
    with store.begin() as connection:
        accounts.disable_account(connection, "kim", "admin")
        renewed = accounts.renew_account(connection, "kim", "admin", expires_days=2)
    assert whose(store, token, check) is None
    account = whose(store, renewed, check)
    assert account is not None
    assert account.expires is not None
    assert timedelta(days=1.9) < account.expires - datetime.now(UTC) < timedelta(days=2)


def test_an_account_ends_when_it_expires(store: Store) -> None:
    check = TokenCheck()
    with store.begin() as connection:
        token = create_account(connection, "lee", Role.AUDITOR, "admin", expires_days=1)
    assert whose(store, token, check) is not None
    with store.begin() as connection:
        connection.execute(sa.update(tables.accounts).values(expires=datetime.now(UTC)))
    assert whose(store, token, check) is None


def test_a_database_dump_and_the_log_contain_no_token(
    store: Store, token: str, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert whose(store, token) is not None
    secret = token.split("_", 2)[2]
    dump = [TOOLS / "pg_dump", database]
    dumped = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    assert "$argon2id$" in dumped
    assert secret not in dumped
    assert secret not in caplog.text


@pytest.mark.parametrize("name", ["", "a b", "a/b", "command:x", "-x", "x" * 65, "kim\n"])
def test_an_invalid_name_is_refused(store: Store, name: str) -> None:
    with store.begin() as connection, pytest.raises(InputError, match="the name of an account must be"):
        create_account(connection, name, Role.OPERATOR, "admin")


def test_a_taken_name_and_an_unknown_one_are_refused(store: Store, token: str) -> None:
    with store.begin() as connection:
        with pytest.raises(InputError, match="must be new, kim is taken"):
            create_account(connection, "kim", Role.ADMIN, "admin")
        for change in (accounts.disable_account, accounts.renew_account):
            with pytest.raises(InputError, match="the account must exist, got 'nobody'"):
                change(connection, "nobody", "admin")
        with pytest.raises(InputError, match="expire after 1 to 36500 days, got 0"):
            create_account(connection, "lee", Role.ADMIN, "admin", expires_days=0)
        assert [account.name for account in accounts.accounts(connection)] == ["kim"]


def test_the_commands(
    store: Store,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    serving = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"serving": serving}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)

    def run(*arguments: str) -> str:
        command.main(arguments)
        return capsys.readouterr().out

    first = run("first").splitlines()
    assert first.pop() == "both expire in 365 days; python -m serving.accounts renew prolongs them"
    assert first.pop().startswith("sign in on the page with the reviewer's")
    assert [line.split(", ")[0] for line in first] == ["token of admin (admin)", "token of reviewer (reviewer)"]
    whose_first = [whose(store, line.split(": ")[1]) for line in first]
    assert [account.name for account in whose_first] == ["admin", "reviewer"]
    assert [(account.expires - account.created).days in (364, 365) for account in whose_first] == [True, True]
    assert run("first") == ""
    token = run("create", "lee", "--role", "operator", "--expires", "30").split(": ")[1].strip()
    assert whose(store, token).role is Role.OPERATOR
    assert "lee is disabled" in run("disable", "lee")
    assert whose(store, token) is None
    assert "lee\toperator" in (listed := run("list"))
    assert "\tdisabled " in listed.splitlines()[1]
    assert token.split("_", 2)[2] not in listed
    renewed = run("renew", "lee").split(": ")[1].strip()
    assert whose(store, renewed).name == "lee"
    with store.begin() as connection:
        recorded = [record.details for record in audit.records(connection) if record.action == "account"]
        audit.verify(connection)
    assert [next(key for key in ("created", "renewed", "disabled") if key in details) for details in recorded] == [
        "created",
        "created",
        "created",
        "disabled",
        "renewed",
    ]
    with pytest.raises(SystemExit):
        run("create", "park", "--role", "boss")
