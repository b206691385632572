"""The address of a moment in the district's own video management system, by a template."""

from datetime import UTC, datetime, timedelta
from string import Formatter
from urllib.parse import quote, urlsplit

from pydantic import field_validator

from domain.settings import Settings

_FIELDS = frozenset({"district", "camera", "time", "unix"})
_BEFORE = timedelta(seconds=5)  # of a sighting


class FootageSettings(Settings):
    """Settings of footage."""

    vms_url: str | None

    @field_validator("vms_url")
    @classmethod
    def _is_template(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            fields = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
        except ValueError as error:
            raise ValueError(f"must have pairs of braces ({error})") from error
        if urlsplit(value).scheme not in ("http", "https") or not fields <= _FIELDS:
            raise ValueError(
                "must be an address with {district}, {camera}, {time} or {unix}, such as "
                "https://vms.example/play?camera={camera}&at={time}"
            )
        return value

    def link(self, district: str, camera_id: str, first_seen: datetime) -> str | None:
        """The address some seconds before a sighting; None without a template.

        Example:
            >>> settings = FootageSettings(vms_url="https://vms.example/{camera}?at={time}")
            >>> settings.link("suseong", "gate 1", datetime(2026, 5, 1, 9, 0, 5, tzinfo=UTC))
            'https://vms.example/gate%201?at=2026-05-01T09%3A00%3A00Z'
        """
        if self.vms_url is None:
            return None
        moment = (first_seen - _BEFORE).astimezone(UTC)
        values = {
            "district": district,
            "camera": camera_id,
            "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "unix": str(int(moment.timestamp())),
        }
        return self.vms_url.format(**{name: quote(value, safe="") for name, value in values.items()})
