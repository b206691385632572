"""Authentication and authorization of every request to the service, before any application answers it.

A request must have a token (`Authorization: Bearer dongseon_…`) or the cookie of a session, except on the paths in the
setting `serving.access.open_paths`. Failed tokens are counted per address; above the limit, unknown tokens from the
address are refused without a look into the database.
"""

import logging
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import anyio.to_thread
import sqlalchemy as sa
from anyio import CapacityLimiter
from limits import RateLimitItemPerMinute
from pydantic import PositiveFloat, PositiveInt
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection
from starlette.types import Scope

from domain.errors import DongseonError
from domain.settings import Settings
from serving.access.accounts import Account, NotAdmittedError, Person, TokenCheck, admit
from serving.access.roles import PERMISSIONS
from serving.access.sessions import account_of_session, begin_session, end_sessions
from serving.database import audit
from serving.database.audit import Action
from serving.database.store import Store
from serving.web.addresses import counted_address
from serving.web.middleware.refusals import mark_refused
from serving.web.permissions import permission_for
from serving.web.request_counts import RequestCounts
from serving.web.single_sign_on import OidcSettings, Provider, ProviderError, SignOnError

COOKIE = "dongseon_session"
_BEARER = "bearer "
_NO_ACCOUNT = "-"  # in the audit; no account can have this name
_SAFE = ("GET", "HEAD", "OPTIONS")
_THREADS = 4  # look-ups of accounts at the same time
_AWAY_S = 5  # after which a client may try again
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class AccessSettings(Settings):
    """Settings of the gate."""

    open_paths: tuple[str, ...]
    session_hours: PositiveFloat
    failures_per_minute: PositiveInt
    oidc: OidcSettings | None


class RefusedError(AuthenticationError):
    """The request is refused; the message says why."""

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"


class AuthenticatedAccount(BaseUser):
    """The account of a request, in the form of Starlette's users: `request.user.account`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    @property
    def is_authenticated(self) -> bool:
        """Always true: other requests are refused."""
        return True

    @property
    def display_name(self) -> str:
        """Name of the account."""
        return self.account.name


class Gate(AuthenticationBackend):
    """Starlette's authentication backend; set its `store`, which opens the store or raises `DongseonError`."""

    store: Callable[[], Store]

    def __init__(self, settings: AccessSettings) -> None:
        self.session_hours = settings.session_hours
        self.provider = Provider(settings.oidc) if settings.oidc is not None else None
        self._open_paths = frozenset(settings.open_paths)
        self._tokens = TokenCheck()
        self._failures = RequestCounts()
        self._most_failures = RateLimitItemPerMinute(settings.failures_per_minute)
        self._limiter: CapacityLimiter | None = None
        self._limiter_of_new: CapacityLimiter | None = None

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """The account of the request, and its permissions; None on an open path.

        Raises:
            RefusedError: if there is no valid token or session, or the role lacks the permission.
        """
        conn.scope["has_provider"] = self.provider is not None
        if conn.scope["path"] in self._open_paths:
            return None
        account = await self._account(conn)
        permission = permission_for(conn.scope.get("method", ""), conn.scope["path"])
        if not account.may(permission):
            reason = f"the request needs the permission {permission}, which the role {account.role} does not have"
            mark_refused(conn.scope, account.name, reason)
            raise RefusedError(403, reason)
        return AuthCredentials(sorted(PERMISSIONS[account.role])), AuthenticatedAccount(account)

    async def sign_in(self, conn: HTTPConnection, token: str) -> str:
        """Begin a session for the account of `token` in place of the browser's earlier one, and return its id.

        Raises:
            RefusedError: if the token belongs to no account, or the form came from another site.
        """
        require_own_origin(conn)
        account = await self._account_of_token(conn, token)
        earlier = conn.cookies.get(COOKIE, "")
        return await self._in_thread(lambda store: _begin(store, account, self.session_hours, earlier))

    async def sign_on(self, conn: HTTPConnection, provider: Provider, kept: str) -> str:
        """As `sign_in`, for a person whom the provider vouches for in the query of `conn`; `kept` is from `begin`.

        Raises:
            RefusedError: if the person may not sign in, or the provider does not answer.
        """
        address = _address_of(conn)
        self._require_few_failures(address)
        try:
            person = await provider.finish(kept, conn.query_params)
        except (SignOnError, ProviderError) as error:
            self._failures.hit(self._most_failures, address)
            raise RefusedError(403 if isinstance(error, SignOnError) else 503, str(error)) from error
        earlier = conn.cookies.get(COOKIE, "")
        return await self._in_thread(lambda store: _admit(store, person, self.session_hours, earlier))

    async def open_link(self, conn: HTTPConnection, open_with: Callable[[Store], _T | None]) -> _T | None:
        """What `open_with` finds for a link, which needs no account; None is counted like a wrong token.

        Raises:
            RefusedError: if too many wrong tokens came from the address, or the database does not answer.
        """
        address = _address_of(conn)
        self._require_few_failures(address)
        found = await self._in_thread(open_with)
        if found is None:
            self._failures.hit(self._most_failures, address)
        return found

    async def sign_out(self, conn: HTTPConnection, account: Account, *, everywhere: bool) -> None:
        """End the session of the request, if it has one; or all sessions of the account."""
        session_id = None if everywhere else conn.cookies.get(COOKIE, "")
        await self._in_thread(lambda store: _end(store, account, session_id))

    async def _account(self, conn: HTTPConnection) -> Account:
        if token := _bearer(conn):
            return await self._account_of_token(conn, token)
        session_id = conn.cookies.get(COOKIE)
        account = await self._in_thread(lambda store: _of_session(store, session_id)) if session_id else None
        if account is None:
            raise RefusedError(401, "the request must have a token in the header Authorization: Bearer …; or sign in")
        if conn.scope.get("method") not in _SAFE:
            require_own_origin(conn)
        return account

    async def _account_of_token(self, conn: HTTPConnection, token: str) -> Account:
        address = _address_of(conn)
        is_new = not self._tokens.is_known(token)
        return await self._in_thread(lambda store: self._look_up(store, token, address), is_new=is_new)

    def _look_up(self, store: Store, token: str, address: str) -> Account:
        if not self._tokens.is_known(token):
            self._require_few_failures(address)
        with store.begin() as connection:
            account = self._tokens.account_of(connection, token)
            if account is None:
                audit.append(connection, _NO_ACCOUNT, Action.REFUSED, {"address": address})
        if account is None:
            self._failures.hit(self._most_failures, address)
            raise RefusedError(401, "the token must belong to an account that is neither disabled nor expired")
        return account

    def _require_few_failures(self, address: str) -> None:
        wait_s = self._failures.wait_s(self._most_failures, address)
        if wait_s is not None:
            raise RefusedError(429, f"too many wrong tokens came from this address; try again in {wait_s} s", wait_s)

    async def _in_thread(self, work: Callable[[Store], _T], *, is_new: bool = False) -> _T:
        """Value of `work`; a token that `is_new` takes long to check, one after the other, and delays no other work."""
        self._limiter = self._limiter or CapacityLimiter(_THREADS)
        self._limiter_of_new = self._limiter_of_new or CapacityLimiter(1)
        limiter = self._limiter_of_new if is_new else self._limiter
        try:
            return await anyio.to_thread.run_sync(lambda: work(self.store()), limiter=limiter)
        except (DongseonError, sa.exc.OperationalError) as error:
            reason = error.orig if isinstance(error, sa.exc.OperationalError) else error
            _log.warning("signing in needs the database, which does not answer: %s", reason)  # it names where that is
            message = f"signing in needs the database, which does not answer; try again in {_AWAY_S} s"
            raise RefusedError(503, message, _AWAY_S) from error


def credential(scope: Scope) -> str | None:
    """What an HTTP request is signed in by, unchecked: its token, else the id of its session; None without."""
    conn = HTTPConnection(scope)
    return _bearer(conn) or conn.cookies.get(COOKIE)


def require_own_origin(conn: HTTPConnection) -> None:
    """Raise `RefusedError` unless the browser says that the request comes from a page of this service."""
    origin = conn.headers.get("origin", "")
    if not origin or urlsplit(origin).netloc != conn.headers.get("host"):
        raise RefusedError(
            403, f"the request must come from a page of this service, its header Origin is {origin or 'missing'}"
        )


def _address_of(conn: HTTPConnection) -> str:
    return counted_address(conn.client.host if conn.client is not None else "")


def _bearer(conn: HTTPConnection) -> str:
    header = conn.headers.get("authorization", "")
    return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""


def _of_session(store: Store, session_id: str) -> Account | None:
    with store.begin() as connection:
        return account_of_session(connection, session_id)


def _begin(store: Store, account: Account, hours: float, earlier: str) -> str:
    with store.begin() as connection:
        return begin_session(connection, account, hours, earlier)


def _admit(store: Store, person: Person, hours: float, earlier: str) -> str:
    try:
        with store.begin() as connection:
            return begin_session(connection, admit(connection, person), hours, earlier)
    except NotAdmittedError as error:
        with store.begin() as connection:
            audit.append(connection, _NO_ACCOUNT, Action.REFUSED, {"subject": person.subject, "name": person.name})
        raise RefusedError(403, str(error)) from error


def _end(store: Store, account: Account, session_id: str | None) -> None:
    with store.begin() as connection:
        end_sessions(connection, account, session_id)
