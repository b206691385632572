"""What the service runs with: `params.yaml` and `engines/` in the folder of its code, here or inside a Bento."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from domain.errors import InputError
from domain.paths import ENGINES, STORE
from domain.settings import PARAMS, Settings, read_params
from serving.database.retention import RetentionSettings
from serving.matching.route import RouteSettings
from serving.perception.perception import Engines, PerceptionSettings, open_engines
from serving.search.search import SearchSettings
from serving.video.live_stream import ConnectionSettings


class TlsSettings(Settings):
    """What the service proves itself with."""

    certificate: Path  # PEM, with those that lead to a root
    key: Path  # PEM, without a password; readable by the service's user only


class HttpSettings(Settings):
    """Address and limits of the service."""

    host: str
    port: int = Field(ge=1, le=65535)
    timeout_s: PositiveFloat
    max_concurrent: PositiveInt
    requests_per_minute: PositiveInt
    searches_per_minute: PositiveInt
    threads: PositiveInt
    top_k: PositiveInt
    max_top_k: PositiveInt
    max_upload_bytes: PositiveInt
    max_photo_pixels: PositiveInt
    max_photos: PositiveInt
    tls: TlsSettings | None


class EnginesSettings(Settings):
    """How `serving.batched_engines` calls engines; `conf/serving/deployment.yaml` says what each value means."""

    workers: PositiveInt
    threads: PositiveInt
    max_batch_size: int = Field(ge=2)
    max_latency_ms: PositiveInt


class AccessSettings(Settings):
    """Who is let in, see `serving.web.gate`."""

    open_paths: tuple[str, ...]  # answered without a token
    session_hours: PositiveFloat
    failures_per_minute: PositiveInt  # wrong tokens from one address


class IngestSettings(Settings):
    """How video files come into the store; `conf/serving/deployment.yaml` says what each value means."""

    file_name: str
    cameras_at_once: PositiveInt
    gather_s: NonNegativeFloat
    batches_at_once: PositiveInt
    heartbeat_s: PositiveFloat
    dead_after_s: PositiveFloat
    max_attempts: PositiveInt
    patience_s: NonNegativeFloat

    @field_validator("file_name")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"must be a regular expression ({error})") from error
        return value

    @model_validator(mode="after")
    def _is_dead_after_heartbeats(self) -> Self:
        if self.dead_after_s <= self.heartbeat_s:
            raise ValueError("dead_after_s must be longer than heartbeat_s")
        return self


class StreamsSettings(Settings):
    """How live cameras are followed; `conf/serving/deployment.yaml` says what each value means."""

    file: Path | None
    connection: ConnectionSettings
    segment_s: PositiveFloat
    max_waiting_bytes: PositiveInt
    metrics_port: int | None = Field(ge=1, le=65535)


class ServingSettings(Settings):
    """The section `serving`."""

    store: Path = STORE  # a Bento has it absolute, for it may be served from anywhere
    search: SearchSettings
    route: RouteSettings
    service: HttpSettings
    engines: EnginesSettings
    access: AccessSettings
    retention: RetentionSettings
    ingest: IngestSettings
    streams: StreamsSettings

    @property
    def store_folder(self) -> Path:
        """Folder of the store: the environment's `DONGSEON_STORE`, else the setting."""
        return Path(os.environ.get("DONGSEON_STORE") or self.store)


@dataclass(frozen=True)
class Deployment:
    """A folder from which a service can run."""

    root: Path
    settings: ServingSettings
    perception: PerceptionSettings
    detector: str  # names of engines
    attributes: str | None
    reid: str

    @classmethod
    def read(cls, root: Path, overrides: Sequence[str] = ()) -> Self:
        """What `root/params.yaml` says after `overrides`, each `key=value`.

        Raises:
            InputError: if the file is missing or does not say it.
        """
        file = root / PARAMS
        params = read_params(overrides, file)
        return cls(
            root=root,
            settings=ServingSettings.from_params("serving", overrides, file),
            perception=PerceptionSettings.from_params("tracking.perception", overrides, file),
            detector=_value(params, file, "tracking", "detector"),
            attributes=_value(params, file, "tracking", "attributes"),
            reid=f"reid-{_value(params, file, 'reid', 'backbone')}",
        )

    def described(self) -> dict[str, Any]:
        """All of it as JSON, for the audit."""
        return {
            "serving": self.settings.model_dump(mode="json"),
            "perception": self.perception.model_dump(mode="json"),
            "engines": list(self.engines),
        }

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines it needs."""
        return tuple(name for name in (self.detector, self.attributes, self.reid) if name is not None)

    @property
    def store(self) -> Path:
        """Folder of the store, relative to `root`."""
        return self.root / self.settings.store_folder

    def engine(self, name: str) -> Path:
        """Folder of the engine `name`."""
        return self.root / ENGINES / name

    def open_engines(self, threads: int | None = None) -> Engines:
        """The engines, each on so many threads, or on what suits it.

        Raises:
            ArtifactError: if one is missing, unusable, or for another task.
        """
        attributes = self.engine(self.attributes) if self.attributes is not None else None
        without_plan = self.perception.without_plan
        return open_engines(self.engine(self.detector), self.engine(self.reid), attributes, without_plan, threads)


def _value(params: dict[str, Any], file: Path, section: str, key: str) -> Any:
    try:
        return params[section][key]
    except (KeyError, TypeError) as error:
        raise InputError(f"{file} must have the key {section}.{key}; compose it: make params") from error
