"""Settings of the service's address, its TLS and the limits of a request."""

from pathlib import Path

from pydantic import Field, IPvAnyNetwork, PositiveFloat, PositiveInt

from domain.errors import InputError
from domain.settings import Settings
from serving.search.limits import SearchLimits

# Ciphers of TLS 1.2: new keys for each connection, authenticated encryption; TLS 1.3 has no others.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsSettings(Settings):
    """Settings of https."""

    certificate: Path
    key: Path

    def require_private_key(self) -> None:
        """Raise `InputError` if users other than the key's owner and group may read or change it."""
        mode = self.key.stat().st_mode & 0o777 if self.key.exists() else 0  # a missing file is reported when it is read
        if mode & 0o007:
            raise InputError(
                f"serving.service.tls.key must be closed to other users of the machine, {self.key} has the mode "
                f"{mode:04o}; chmod 600 it, and renew the key if others may have read it"
            )


class HttpSettings(SearchLimits):
    """Address and limits of the service."""

    host: str
    port: int = Field(ge=1, le=65535)
    timeout_s: PositiveFloat
    max_concurrent: PositiveInt
    max_concurrent_per_account: PositiveInt
    max_connections: PositiveInt
    max_connections_per_address: PositiveInt
    head_timeout_s: PositiveFloat
    grace_s: PositiveFloat
    min_bytes_s: PositiveFloat
    requests_per_minute: PositiveInt
    searches_per_minute: PositiveInt
    crops_per_minute: PositiveInt
    max_upload_bytes: PositiveInt
    upload_bytes_s: PositiveFloat
    tls: TlsSettings | None
    trusted_proxies: tuple[IPvAnyNetwork, ...]

    @property
    def longest_request_s(self) -> float:
        """Seconds in which any request has been answered or given up."""
        return self.grace_s + self.max_upload_bytes / self.min_bytes_s + 2 * self.timeout_s
