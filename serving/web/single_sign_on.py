"""Signing in by OpenID Connect: a provider of the city's own says who the person is, and in which groups.

The code flow with PKCE, a nonce and a state, which the browser keeps in a cookie until it comes back. The service asks
no other host than the provider.
"""

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import Field, field_validator

from domain.errors import InputError
from domain.names import Name
from domain.settings import Settings
from serving.access.accounts import Person
from serving.access.roles import BOUND_ROLES, Role

KEPT_S = 600  # how long a person may take at the provider
DONE = "sign-in/done"  # path to which the provider sends the browser back
_SECRET = "DONGSEON_OIDC_SECRET"
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_LASTS_S = 600  # what the provider publishes; whoever begins to sign in costs it nothing
_LEEWAY_S = 60  # between the clocks of provider and service
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# Of a provider that does not answer, or answers something else than a provider does.
_FAILURES = (aiohttp.ClientError, TimeoutError, JoseError, KeyError, TypeError, ValueError)


class BoundRole(Settings):
    """A role in some districts alone."""

    role: Role
    districts: tuple[Name, ...] = Field(min_length=1)

    @field_validator("role")
    @classmethod
    def _may_be_bound(cls, role: Role) -> Role:
        if role not in BOUND_ROLES:
            raise ValueError(f"must be {' or '.join(sorted(BOUND_ROLES))}, for no other role has districts")
        return role


class OidcSettings(Settings):
    """The OpenID provider and the roles of its groups."""

    issuer: str = Field(pattern="^https?://")
    client_id: str
    address: str = Field(pattern="^https?://.*/$")  # of the page, as browsers see it
    scopes: str
    name_claim: str
    groups_claim: str
    roles: dict[str, Role | BoundRole]  # by group; of a person in several, the first counts


class ProviderError(Exception):
    """The provider does not answer, or answers something else than it must."""


class SignOnError(Exception):
    """The person may not sign in; the message says why."""


class Provider:
    """The provider of the settings.

    Raises:
        InputError: if the environment variable with the client's secret is not set.
    """

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._found: tuple[float, dict[str, Any]] | None = None  # when, and what the provider publishes
        self._secret = os.environ.get(_SECRET, "")
        if not self._secret:
            raise InputError(f"the environment variable {_SECRET} must be the secret of serving.access.oidc.client_id")

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the page by https."""
        return self._settings.address.startswith("https:")

    async def begin(self) -> tuple[str, str]:
        """The provider's address for a new sign-in, and what the browser keeps for `finish`.

        Raises:
            ProviderError: if the provider does not answer.
        """
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        try:
            async with aiohttp.ClientSession(timeout=_TIMEOUT) as client:
                where = (await self._configuration(client))["authorization_endpoint"]
        except _FAILURES as error:
            raise ProviderError(f"{self._settings.issuer} must answer as an OpenID provider: {error!r}") from error
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._back,
            "scope": self._settings.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": _base64(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        return f"{where}{'&' if urlsplit(where).query else '?'}{urlencode(asked)}", f"{state}.{nonce}.{verifier}"

    async def finish(self, kept: str, answered: Mapping[str, str]) -> Person:
        """The person who signed in, by the query that the provider sent the browser back with.

        Raises:
            SignOnError: if the sign-in was not begun in this browser or not finished, or no group has a role.
            ProviderError: if the provider does not answer, or its token does not hold.
        """
        state, _, rest = kept.partition(".")
        nonce, _, verifier = rest.partition(".")
        if not state or not hmac.compare_digest(state, answered.get("state", "")):
            raise SignOnError("the sign-in must be finished in the browser that began it, within ten minutes")
        if "code" not in answered:
            raise SignOnError(f"the provider must send a code, it sent the error {answered.get('error', '')[:100]!r}")
        try:
            async with aiohttp.ClientSession(timeout=_TIMEOUT) as client:
                claims = await self._claims(client, answered["code"], nonce, verifier)
        except _FAILURES as error:
            raise ProviderError(f"{self._settings.issuer} must answer as an OpenID provider: {error!r}") from error
        return self._person(claims)

    @property
    def _back(self) -> str:
        return f"{self._settings.address}{DONE}"

    async def _configuration(self, client: aiohttp.ClientSession) -> dict[str, Any]:
        issuer = self._settings.issuer
        if self._found is not None and time.monotonic() - self._found[0] < _LASTS_S:
            return self._found[1]
        found: dict[str, Any] = await _json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ValueError(f"the issuer must be {issuer}, it says that it is {found.get('issuer')!r}")
        self._found = time.monotonic(), found
        return found

    async def _claims(self, client: aiohttp.ClientSession, code: str, nonce: str, verifier: str) -> dict[str, Any]:
        """What the provider claims of the person: its signed token, and its page of the user where groups are there."""
        configuration = await self._configuration(client)
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._back, "code_verifier": verifier,
        }  # fmt: skip
        us = f"{quote_plus(self._settings.client_id)}:{quote_plus(self._secret)}"
        headers = {"Authorization": f"Basic {base64.b64encode(us.encode()).decode()}"}
        async with client.post(configuration["token_endpoint"], data=form, headers=headers) as answer:
            answer.raise_for_status()
            token = await answer.json()
        keys = KeySet.import_key_set(await _json(client, configuration["jwks_uri"]))
        claims = jwt.decode(token["id_token"], keys, algorithms=_ALGORITHMS).claims
        expected = {"iss": configuration["issuer"], "aud": self._settings.client_id, "nonce": nonce}
        required: dict[str, Any] = {name: {"essential": True, "value": value} for name, value in expected.items()}
        required |= {name: {"essential": True} for name in ("sub", "exp")}
        jwt.JWTClaimsRegistry(leeway=_LEEWAY_S, **required).validate(claims)
        if "userinfo_endpoint" in configuration and self._settings.groups_claim not in claims:
            about = await _json(client, configuration["userinfo_endpoint"], token["access_token"])
            if about["sub"] != claims["sub"]:
                raise ValueError("userinfo must be of the person of the token")
            claims = {**about, **claims}
        return claims

    def _person(self, claims: Mapping[str, Any]) -> Person:
        chosen = self._settings
        groups = claims.get(chosen.groups_claim, [])
        roles = [role for group, role in chosen.roles.items() if group in groups]
        name = claims.get(chosen.name_claim)
        if not roles or not isinstance(name, str):
            raise SignOnError(
                f"the person must have a {chosen.name_claim} and be in one of the groups of serving.access.oidc.roles"
            )
        first = roles[0]
        subject = f"{chosen.issuer} {claims['sub']}"
        if isinstance(first, BoundRole):
            return Person(subject, name, first.role, frozenset(first.districts))
        return Person(subject, name, first)


async def _json(client: aiohttp.ClientSession, address: str, token: str | None = None) -> Any:
    """The JSON at an address, asked with a person's token."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with client.get(address, headers=headers) as answer:
        answer.raise_for_status()
        return await answer.json()


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
