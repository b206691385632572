"""When a case was closed: by a reviewer, or because nobody agreed in time to its opening in an emergency."""

import sqlalchemy as sa

from serving.database import tables

_EMERGENCIES = tables.emergencies.alias()  # once: an alias takes a millisecond, which each list of cases would pay


def closed_at() -> sa.ColumnElement[object]:
    """When the case of `tables.cases` was closed; NULL of an open case."""
    cases, emergency = tables.cases, _EMERGENCIES
    lapsed = sa.select(emergency.c.agree_by).where(emergency.c.case_id == cases.c.id, has_lapsed(emergency))
    return sa.func.coalesce(cases.c.closed, lapsed.scalar_subquery())


def has_lapsed(emergencies: sa.FromClause = tables.emergencies) -> sa.ColumnElement[bool]:
    """Condition of an emergency to which nobody agreed in time."""
    return emergencies.c.agreed.is_(None) & (emergencies.c.agree_by <= sa.func.now())
