"""Settings of the service's address, its TLS and the limits of a request."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt

from domain.settings import Settings
from serving.search.limits import SearchLimits


class TlsSettings(Settings):
    """Settings of https."""

    certificate: Path
    key: Path


class HttpSettings(SearchLimits):
    """Address and limits of the service."""

    host: str
    port: int = Field(ge=1, le=65535)
    timeout_s: PositiveFloat
    max_concurrent: PositiveInt
    requests_per_minute: PositiveInt
    searches_per_minute: PositiveInt
    crops_per_minute: PositiveInt
    max_upload_bytes: PositiveInt
    tls: TlsSettings | None
