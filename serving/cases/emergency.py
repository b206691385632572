"""Cases that an operator opens in an emergency: a reviewer must agree in time, or the case is closed."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from domain.errors import InputError
from serving.access.accounts import Account
from serving.cases.cases import open_case
from serving.cases.settings import CasesSettings
from serving.cases.visible import CaseAnswer, case_of, open_case_of, visible_cases
from serving.database import audit, tables
from serving.database.audit import Action
from serving.database.open_cases import closed_at, has_lapsed


class AwaitedCase(BaseModel):
    """A case that was opened in an emergency, to which nobody has agreed yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case_id: int
    title: str
    account: str  # who opened it
    reason: str
    at: datetime
    agree_by: datetime


def open_in_emergency(
    connection: sa.Connection, account: Account, rules: CasesSettings, title: str, reason: str
) -> CaseAnswer:
    """Open a case of one's own, to which a reviewer must agree within `rules.emergency_hours`.

    Raises:
        InputError: if the settings allow none, or nobody has agreed to the account's last one yet.
    """
    if rules.emergency_hours is None:
        raise InputError(
            "cases are opened by reviewers alone (serving.cases.emergency_hours is null); ask one", code="no_emergency"
        )
    connection.execute(sa.text("LOCK TABLE emergencies IN SHARE ROW EXCLUSIVE MODE"))  # one of an account at a time
    own = [one.case_id for one in awaited(connection) if one.account == account.name]
    if own:
        raise InputError(
            f"an account may have one case that awaits a reviewer, {account.name} has {own[0]}; work on that case, or "
            "ask a reviewer",
            code="emergency_awaited",
        )
    case = open_case(connection, account, title, [account.name], second_person=rules.second_person)
    agree_by = sa.func.now() + timedelta(hours=rules.emergency_hours)
    row = {"case_id": case.id, "account": account.name, "reason": reason, "agree_by": agree_by}
    connection.execute(sa.insert(tables.emergencies).values(row))
    opened = case_of(connection, account, case.id)
    assert opened.emergency is not None, "it was inserted"
    details = {"case_id": case.id, "emergency": reason, "agree_by": opened.emergency.agree_by.isoformat()}
    audit.append(connection, account.name, Action.CASE, details)
    return opened


def agree(connection: sa.Connection, account: Account, case_id: int) -> CaseAnswer:
    """Agree to a case that was opened in an emergency: it stays open. Idempotent.

    Raises:
        UnknownCaseError: if there is no such case.
        InputError: if it is closed, or was not opened in an emergency.
    """
    case = open_case_of(connection, account, case_id, locked=True)
    if case.emergency is None:
        raise InputError(f"the case must have been opened in an emergency, {case_id} was not")
    if case.emergency.agreed_by is None:
        table = tables.emergencies
        values = {"agreed": sa.func.now(), "agreed_by": account.name}
        connection.execute(sa.update(table).where(table.c.case_id == case_id).values(values))
        audit.append(connection, account.name, Action.CASE, {"case_id": case_id, "agreed": True})
    return case_of(connection, account, case_id)


def awaited(connection: sa.Connection) -> list[AwaitedCase]:
    """Open cases that await a reviewer, the most urgent first."""
    table, cases = tables.emergencies, tables.cases
    query = sa.select(table, cases.c.title).join(cases).where(table.c.agreed.is_(None), closed_at().is_(None))
    rows = connection.execute(query.order_by(table.c.agree_by)).mappings()
    return [AwaitedCase(**{name: row[name] for name in AwaitedCase.model_fields}) for row in rows]


def tell_reviewer(connection: sa.Connection, account: Account) -> list[AwaitedCase]:
    """As `awaited`, of the cases that the reviewer may see; the audit records the first whom each is told."""
    visible = set(connection.execute(visible_cases(account)).scalars())
    cases, table = [case for case in awaited(connection) if case.case_id in visible], tables.emergencies
    is_new = table.c.told.is_(None) & table.c.case_id.in_([case.case_id for case in cases])
    telling = sa.update(table).where(is_new).values(told=sa.func.now()).returning(table.c.case_id)
    for case_id in sorted(connection.execute(telling).scalars()) if cases else []:
        audit.append(connection, account.name, Action.CASE, {"case_id": case_id, "told_of_emergency": True})
    return cases


def close_lapsed(connection: sa.Connection) -> list[int]:
    """Close the cases to which nobody agreed in time; returns their numbers."""
    cases, table = tables.cases, tables.emergencies
    closing = (
        sa.update(cases)
        .where(cases.c.id == table.c.case_id, cases.c.closed.is_(None), has_lapsed())
        .values(closed=table.c.agree_by)
        .returning(cases.c.id)
    )
    closed = sorted(connection.execute(closing).scalars())
    for case_id in closed:
        details = {"case_id": case_id, "closed": True, "why": "no reviewer agreed in time"}
        audit.append(connection, audit.command_account(), Action.CASE, details)
    return closed
