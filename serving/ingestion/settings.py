"""Settings of the ingest of videos and live cameras."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from domain.settings import Settings
from serving.ingestion.recorder import RingSettings
from serving.video.live_stream import ConnectionSettings


class IngestSettings(Settings):
    """Settings of the ingest of video files."""

    file_name: str
    cameras_at_once: PositiveInt
    batch_wait_s: NonNegativeFloat
    batches_at_once: PositiveInt
    heartbeat_s: PositiveFloat
    dead_after_s: PositiveFloat
    max_attempts: PositiveInt
    patience_s: NonNegativeFloat
    keep_up_s: PositiveFloat | None

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
    """Settings of live cameras."""

    file: Path | None
    connection: ConnectionSettings
    shared: bool
    segment_s: PositiveFloat
    max_lost_s: PositiveFloat
    max_tracklet_s: PositiveFloat
    ring: RingSettings
    max_waiting_bytes: PositiveInt
    metrics_host: str
    metrics_port: int | None = Field(ge=1, le=65535)
