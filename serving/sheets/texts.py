"""Sentences of a sheet, in its language."""

from collections.abc import Mapping
from datetime import datetime

from serving.sheets.sheet import Sheet, Stop


def heading(sheet: Sheet, words: Mapping[str, str]) -> str:
    """Number and title of the case."""
    return f"{words['case'].format(number=sheet.case_id)} · {sheet.title}"


def validity(sheet: Sheet, words: Mapping[str, str]) -> str:
    """Who made the sheet, and until when it may be used."""
    made = words["made"].format(account=sheet.account, time=_time(sheet.made))
    return f"{made} · {words['until'].format(time=_time(sheet.expires))}"


def certainty(stop: Stop, sheet: Sheet, words: Mapping[str, str]) -> str:
    """How certain the match is, in words, and who judged it."""
    return words["two" if sheet.second_person else "one"].format(accounts=", ".join(stop.judges))


def span(stop: Stop) -> str:
    """When the person was seen, as clocks at the camera show it."""
    return f"{_time(stop.first_seen)} – {stop.last_seen:%H:%M:%S} ({stop.time_zone})"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
