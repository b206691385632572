"""Roles of accounts, and the permissions of each."""

from collections.abc import Mapping
from enum import StrEnum, auto


class Role(StrEnum):
    """Role of an account."""

    OPERATOR = auto()
    REVIEWER = auto()
    AUDITOR = auto()
    ADMIN = auto()
    MONITOR = auto()


class Permission(StrEnum):
    """Permission that an endpoint requires."""

    ENTER = auto()  # the page, sign-in and sign-out, cameras, status
    SEARCH = auto()  # searches, crops, routes, verdicts, the assigned cases
    EMERGENCY = auto()  # open a case, to which a reviewer must agree
    REVIEW = auto()  # open, close, hold and export cases, assign their operators
    AUDIT = auto()  # read the audit
    MONITOR = auto()  # metrics
    OPERATE = auto()  # documentation, every endpoint without another permission


BOUND_ROLES = frozenset({Role.OPERATOR, Role.REVIEWER})  # whose accounts may be bound to districts

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.OPERATOR: frozenset({Permission.ENTER, Permission.SEARCH, Permission.EMERGENCY}),
    Role.REVIEWER: frozenset({Permission.ENTER, Permission.SEARCH, Permission.REVIEW}),
    Role.AUDITOR: frozenset({Permission.ENTER, Permission.AUDIT}),
    Role.ADMIN: frozenset({Permission.ENTER, Permission.MONITOR, Permission.OPERATE}),
    Role.MONITOR: frozenset({Permission.MONITOR}),
}
