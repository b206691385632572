"""Unusual viewing of crops, from the audit: what auditors should ask about.

An account that views very many crops in a day, at many without giving a verdict, or that is refused often, may be
working; but one that browses people looks like this.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from pydantic import PositiveInt

from domain.settings import Settings
from serving.database.audit import Action
from serving.database.tables import audit


class ViewingSettings(Settings):
    """What an account may do in a day of UTC before auditors are told."""

    crops_a_day: PositiveInt
    crops_without_verdict: PositiveInt
    refusals_a_day: PositiveInt


@dataclass(frozen=True)
class UnusualDay:
    """An account's day, and why it is unusual."""

    day: date  # UTC
    account: str
    crops: int
    cases: int  # for which crops were viewed
    verdicts: int
    refusals: int  # recorded; above them stand more, see serving.web.middleware.refusals
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.day} {self.account}: {', '.join(self.reasons)} ({self.crops} crops for {self.cases} cases, "
            f"{self.verdicts} verdicts, {self.refusals} recorded refusals)"
        )


def unusual_days(connection: sa.Connection, settings: ViewingSettings, days: int) -> list[UnusualDay]:
    """Accounts' unusual days among the last `days`, today included; the latest first."""
    since = datetime.combine(datetime.now(UTC).date() - timedelta(days=days - 1), datetime.min.time(), UTC)
    day = sa.cast(sa.func.timezone("UTC", audit.c.at), sa.Date).label("day")
    cases = sa.func.count(sa.distinct(audit.c.details["case_id"])).filter(audit.c.action == Action.VIEW)
    query = (
        sa.select(
            day,
            audit.c.account,
            _count(Action.VIEW).label("crops"),
            cases.label("cases"),
            _count(Action.VERDICT).label("verdicts"),
            _count(Action.REFUSED_ACCESS).label("refusals"),
        )
        .where(audit.c.at >= since, audit.c.action.in_([Action.VIEW, Action.VERDICT, Action.REFUSED_ACCESS]))
        .group_by(day, audit.c.account)
        .order_by(day.desc(), audit.c.account)
    )
    found = (
        UnusualDay(**row, reasons=tuple(_reasons(row["crops"], row["verdicts"], row["refusals"], settings)))
        for row in connection.execute(query).mappings()
    )
    return [each for each in found if each.reasons]


def _count(action: Action) -> sa.FunctionFilter[int]:
    return sa.func.count().filter(audit.c.action == action)


def _reasons(crops: int, verdicts: int, refusals: int, settings: ViewingSettings) -> Iterable[str]:
    if crops > settings.crops_a_day:
        yield f"more than {settings.crops_a_day} crops"
    if crops > settings.crops_without_verdict and not verdicts:
        yield f"more than {settings.crops_without_verdict} crops without a verdict"
    if refusals > settings.refusals_a_day:
        yield f"more than {settings.refusals_a_day} recorded refusals"
