"""Settings of cases."""

from pydantic import Field, PositiveFloat

from domain.settings import Settings


class CasesSettings(Settings):
    """Rules of the cases that are opened from now on."""

    second_person: bool
    emergency_hours: PositiveFloat | None
    sheet_hours: float = Field(gt=0, le=720)
