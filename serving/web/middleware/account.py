"""The account of a request."""

from starlette.types import Scope


def account_name(scope: Scope) -> str | None:
    """Name of the account that Starlette's authentication found; None without an account."""
    user = scope.get("user")
    return user.display_name if user is not None and user.is_authenticated else None
