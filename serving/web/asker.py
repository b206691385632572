"""Who asks: the account of a request, or the address it comes from."""

from starlette.types import Scope


def account_name(scope: Scope) -> str | None:
    """Name of the account that Starlette's authentication found; None where nobody is known."""
    user = scope.get("user")
    return user.display_name if user is not None and user.is_authenticated else None


def asker(scope: Scope) -> str:
    """The account, else the address of the client: whose requests are counted together."""
    name, client = account_name(scope), scope.get("client")
    return f"account {name}" if name is not None else f"address {client[0] if client else 'unknown'}"
