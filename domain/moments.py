"""Times that come from outside: with a time zone, written as ISO 8601, and within the calendar."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError


def _not_a_number(moment: Any) -> Any:
    """Refuse a number of seconds, which pydantic would accept as a time."""
    if isinstance(moment, str) and moment[4:5] != "-":
        raise PydanticCustomError("datetime_parsing", "Input should be a valid datetime or date")
    return moment


def _within_calendar(moment: datetime) -> datetime:
    """Refuse the ends of the calendar, near which arithmetic with days overflows."""
    if not 1900 <= moment.year < 2200:
        raise PydanticCustomError("datetime_parsing", "Input should be a time between 1900 and 2200")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_not_a_number), AfterValidator(_within_calendar)]
