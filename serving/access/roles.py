"""Roles of accounts, and the permissions of each."""

from collections.abc import Mapping
from enum import StrEnum, auto


class Role(StrEnum):
    """Of an account."""

    OPERATOR = auto()
    REVIEWER = auto()
    AUDITOR = auto()
    ADMIN = auto()


class Permission(StrEnum):
    """What an endpoint asks for."""

    ENTER = auto()  # the page, the own session, cameras, how the service is
    SEARCH = auto()  # and all that shows people: crops, routes, verdicts, the cases one works on
    REVIEW = auto()  # open, close, hold and export cases, name their operators
    AUDIT = auto()  # read the audit
    OPERATE = auto()  # metrics, documentation, whatever no other permission names


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.OPERATOR: frozenset({Permission.ENTER, Permission.SEARCH}),
    Role.REVIEWER: frozenset({Permission.ENTER, Permission.SEARCH, Permission.REVIEW}),
    Role.AUDITOR: frozenset({Permission.ENTER, Permission.AUDIT}),
    Role.ADMIN: frozenset({Permission.ENTER, Permission.OPERATE}),
}
