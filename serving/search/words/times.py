"""The time that a sentence says, and the window of a search that it means."""

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from serving.search.words.numbers import ENGLISH, NATIVE, number_of

_ABOUT = timedelta(minutes=30)  # on both sides of a clock time
_WEEKDAYS = "월화수목금토일"
_ENGLISH_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS_AGO = {
    "오늘": 0, "금일": 0, "어제": 1, "어저께": 1, "전날": 1, "어젯": 1, "작일": 1, "그제": 2, "그저께": 2,
    "엊그제": 2, "today": 0, "this": 0, "tonight": 0, "yesterday": 1,
    "last": 1, "day before yesterday": 2,
}  # fmt: skip
_PARTS = {  # hours of the day
    "새벽": (0, 6), "아침": (6, 10), "오전": (6, 12), "낮": (11, 16), "대낮": (11, 16), "한낮": (11, 16),
    "점심": (11, 14), "오후": (12, 18), "저녁": (17, 21), "밤": (20, 24),
    "젯밤": (20, 24), "morning": (6, 12), "afternoon": (12, 18), "evening": (17, 21), "night": (20, 24),
    "noon": (12, 12), "midday": (12, 12),
    "정오": (12, 12), "자정": (0, 0), "midnight": (0, 0), "lunchtime": (11, 14), "lunch": (11, 14),
}  # fmt: skip
_DAY_PARTS = {
    "아침",
    "오전",
    "낮",
    "대낮",
    "한낮",
    "점심",
    "오후",
    "morning",
    "afternoon",
    "noon",
    "midday",
    "정오",
    "lunchtime",
    "lunch",
}
_NIGHT_PARTS = {"밤", "젯밤", "night", "midnight", "자정"}
_DAY_HOURS, _NIGHT_HOURS = range(8, 17), {21, 22, 23, 0, 1, 2, 3, 4}  # surely light, surely dark, all year
_KOREAN = re.compile(
    rf"(?P<day>오늘|금일|어제|어저께|작일|그제|그저께|엊그제|전날|(?:지난\s*주?\s*)?(?P<weekday>[월화수목금토일])요일|(?P<month>\d{{1,2}})\s*월\s*(?P<date>\d{{1,2}})\s*일)?"
    rf"(?:에|\s)*(?P<part>어젯밤|오늘밤|새벽|아침|오전|대낮|한낮|낮|점심|오후|저녁|밤|정오|자정)?(?:때|에|\s)*"
    rf"(?P<clock>(?P<hour>\d{{1,2}}|{NATIVE})\s*시(?!내|장|민|청|외|계|작|간|\s*외곽|골|력|에서)\s*(?:(?P<minute>\d{{1,2}})\s*분|(?P<half>반))?|(?P<hour24>\d{{1,2}}):(?P<minute24>\d\d))?"
    rf"\s*(?P<about>쯤|경|정도|즈음|무렵|께|넘어서?|조금\s*(?:넘어|지나|전)서?|쯤에)?\s*(?P<bound>부터|이후|이전|까지)?"
)
_KOREAN_AGO = re.compile(
    rf"(?P<much>\d{{1,3}}|{NATIVE}|[일이삼사오육칠팔구]?십[일이삼사오육칠팔구]?)\s*(?P<unit>분|시간)\s*(?P<half>반)?\s*(?:쯤|정도)?\s*전(?:쯤|에|부터)?|"
    r"(?P<vague>아까|지금|방금|조금\s*전|좀\s*전)(?:에|쯤)?(?![가-힣])|"
    r"(?P<dusk>해\s*(?:질|지는|뜰|뜨는|떨어질|넘어갈)\s*(?:무렵|녘|때|즈음)|동틀\s*(?:무렵|때|녘))"
)
_CLOCK = rf"(?P<hour>\d{{1,2}}|{ENGLISH})(?:[:.](?P<minute>\d\d))?"
_ENGLISH = re.compile(
    rf"(?:(?P<first>yesterday|today|this|last)\s*(?P<firstpart>morning|afternoon|evening|night)?,?\s*)?"
    rf"(?P<about>at about|at around|around|about|at|by|since|from|after|before|just before|just after)?\s*"
    rf"(?:(?P<past>half|quarter|\d{{1,2}}|{ENGLISH})\s+(?:minutes\s+)?(?P<dir>past|to|after)\s+)?{_CLOCK}"
    rf"\s*(?P<ampm>a\.?m\.?|p\.?m\.?|o'?\s?clock)?(?:\s*(?:in the|at|on|this|yesterday|last|today)?\s*"
    rf"(?P<part>morning|afternoon|evening|night|noon)\b)?"
    rf"(?:,?\s*(?P<day>yesterday|today|on (?P<weekday>{'|'.join(_ENGLISH_WEEKDAYS)})))?",
    re.IGNORECASE,
)
_ENGLISH_PARTS = re.compile(
    rf"\b(?:(?P<day>yesterday|this|last|today|on (?P<weekday>{'|'.join(_ENGLISH_WEEKDAYS)})|"
    rf"(?P<weekday2>{'|'.join(_ENGLISH_WEEKDAYS)}))\s*)?"
    rf"(?:at |in the |around |about )?"
    rf"(?P<part>morning|afternoon|evening|night|noon|midday|midnight|lunchtime|tonight)\b|\b(?P<only>yesterday|today)\b|"
    rf"\b(?P<much>\d{{1,3}}|{ENGLISH}|an?|half an)\s+(?P<unit>minutes?|mins?|hours?|hrs?)\s+ago\b|"
    rf"\b(?P<vague>just now|right now|a (?:little|short) while ago|earlier)\b|"
    r"\b(?:at |around |about |before |after )(?P<dusk>sunset|sunrise|dusk|dawn)\b",
    re.IGNORECASE,
)


class Time(NamedTuple):
    """A time in a sentence, `sentence[start:end]`, and the window that it means; None where it means none."""

    start: int
    end: int
    since: datetime | None
    until: datetime | None
    light: str | None  # day or night, where it is surely one of them


def read_time(sentence: str, now: datetime) -> Time | None:
    """The first time that the sentence says.

    Args:
        sentence: Korean or English.
        now: the moment at the clocks of the cameras, to which "yesterday" and clock times without a day refer.
    """
    found = [*_clock_times(sentence, now), *_times_ago(sentence, now)]
    return min(found, key=lambda each: (-_precision(each), each.start), default=None)


def _precision(time: Time) -> int:
    return 0 if time.since is None else 1


def _clock_times(sentence: str, now: datetime) -> list[Time]:
    found = []
    for match in _KOREAN.finditer(sentence):
        said = match.groupdict()
        part = (said["part"] or "").removeprefix("어").removeprefix("오늘")
        if not (said["clock"] or said["part"] or said["day"]) or not _is_apart(sentence, match, bool(said["clock"])):
            continue
        hour = said["hour"] or said["hour24"]
        if said["clock"] and (not hour or number_of(hour) is None):
            continue
        minute = 30 if said["half"] else int(said["minute"] or said["minute24"] or 0)
        day = "어제" if said["part"] == "어젯밤" else said["day"]
        since, until, light = _window(now, _day(now, said, day), part, number_of(hour) if hour else None, minute)
        since = None if said["bound"] in ("이전", "까지") else since
        until = None if said["bound"] in ("부터", "이후") else until
        start, end = _trimmed(sentence, match)
        found.append(Time(start, end, since, until, light))
    return found + _english_clocks(sentence, now)


def _english_clocks(sentence: str, now: datetime) -> list[Time]:
    found = []
    for match in _ENGLISH.finditer(sentence):
        said = {name: (text or "").lower() for name, text in match.groupdict().items()}
        is_clear = said["ampm"] or said["part"] or said["minute"] or said["past"]
        is_bare = said["about"] in {
            "around",
            "about",
            "at",
            "at about",
            "at around",
            "since",
            "after",
            "before",
            "by",
        } and (
            re.match(r"\s*(?:,|\.|$|yesterday|today|on\b|this\b|in\b|and\b|wearing\b)", sentence[match.end() :])
            and not re.search(
                r"\b(?:he|she|is|was|aged?|he's|she's|kid|boy|girl|child|man|woman|male|female|lady)\s*$",
                sentence[: match.start()],
                re.IGNORECASE,
            )
        )
        if not (is_clear or is_bare) or re.search(r"[\w.:]$", sentence[: match.start()]):
            continue
        hour = number_of(said["hour"])
        if hour is None or hour > 24 or int(said["minute"] or 0) > 59:
            continue
        minute = int(said["minute"] or 0)
        if said["past"]:
            minutes = {"half": 30, "quarter": 15}.get(said["past"]) or number_of(said["past"]) or 0
            hour, minute = (hour - 1, 60 - minutes) if said["dir"] == "to" else (hour, minutes)
        part = said["part"] or said["firstpart"] or {"a": "morning", "p": "afternoon"}.get(said["ampm"][:1], "")
        day = said["day"] or said["first"]
        since, until, light = _window(now, _day(now, said, day), part, hour, minute % 60)
        since = None if said["about"] in ("by", "before") else since
        until = None if said["about"] in ("since", "from", "after") else until
        start, end = _trimmed(sentence, match)
        found.append(Time(start, end, since, until, light))
    return found


def _times_ago(sentence: str, now: datetime) -> list[Time]:
    found = []
    for match in (*_KOREAN_AGO.finditer(sentence), *_ENGLISH_PARTS.finditer(sentence)):
        said = {name: (text or "").lower() for name, text in match.groupdict().items()}
        since = until = light = None
        if said["much"]:
            number = 0.5 if said["much"] == "half an" else 1 if said["much"] in ("a", "an") else number_of(said["much"])
            if number is None:
                continue
            number += 0.5 if said.get("half") else 0
            is_minutes = said["unit"].startswith(("분", "min"))
            moment = now - (timedelta(minutes=number) if is_minutes else timedelta(hours=number))
            since, until = moment - _ABOUT, min(now, moment + _ABOUT)
        elif said.get("part") or said.get("only"):
            day = said.get("only") or said["day"] or ("today" if said["part"] == "tonight" else "")
            said["weekday"] = said.get("weekday") or said.get("weekday2", "")
            part = "night" if said["part"] == "tonight" else said["part"]
            since, until, light = _window(now, _day(now, said, day), part, None, 0)
        start, end = _trimmed(sentence, match)
        found.append(Time(start, end, since, until, light))
    return found


def _is_apart(sentence: str, match: re.Match[str], has_clock: bool) -> bool:
    """Whether the words of a time are not part of others, such as 밤 of 밤색."""
    before, after = sentence[: match.start()], sentence[match.end() :]
    text = match.group()
    starts = not re.search(r"[가-힣\d]$", before) or text[0].isspace()
    ends = (
        has_clock
        or not re.match(r"[가-힣]", after)
        or re.match(r"(에|에는|쯤|께|무렵|까지|부터|이|은|때|경)(?![가-힣])", after)
    )
    return bool(starts and (ends or text[-1].isspace()))


def _trimmed(sentence: str, match: re.Match[str]) -> tuple[int, int]:
    text = match.group()
    return match.start() + len(text) - len(text.lstrip(" ,")), match.start() + len(text.rstrip(" ,"))


def _day(now: datetime, said: dict[str, str | None] | dict[str, str], day: str | None) -> datetime | None:
    """Midnight of the day that is said; None if none is."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    weekday = said.get("weekday")
    if weekday:
        number = _WEEKDAYS.find(weekday) if len(weekday) == 1 else _ENGLISH_WEEKDAYS.index(weekday)
        return today - timedelta(days=(today.weekday() - number) % 7)
    month, date = said.get("month"), said.get("date")
    if month and date:
        try:
            that = today.replace(month=int(month), day=int(date))
        except ValueError:
            return None
        return that if that <= now else that.replace(year=that.year - 1)
    return today - timedelta(days=_DAYS_AGO[day]) if day in _DAYS_AGO else None


def _window(
    now: datetime, day: datetime | None, part: str, hour: int | None, minute: int
) -> tuple[datetime | None, datetime | None, str | None]:
    """Begin and end of the window and whether it is surely day or night."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    light = "day" if part in _DAY_PARTS else "night" if part in _NIGHT_PARTS else None
    if hour is None:
        if not part:
            return (day, day + timedelta(days=1), None) if day is not None else (None, None, None)
        first, last = _PARTS[part]
        begin = day or (today if today + timedelta(hours=first) <= now else today - timedelta(days=1))
        if first == last:
            return _around(begin + timedelta(hours=first), light)
        return begin + timedelta(hours=first), begin + timedelta(hours=last), light
    if hour > 24 or minute > 59:
        return None, None, None
    hours = _hours(part, hour)
    if len(hours) == 1 and light is None:
        light = "day" if hours[0] in _DAY_HOURS else "night" if hours[0] in _NIGHT_HOURS else None
    elif len(hours) == 1 and light == "day" and hours[0] not in _DAY_HOURS:
        light = None if hours[0] in (6, 7, 17, 18, 19) else light
    days = (day,) if day is not None else (today, today - timedelta(days=1))
    moments = [each + timedelta(hours=one, minutes=minute) for each in days for one in hours]
    past = [moment for moment in moments if moment <= now]
    return _around(max(past) if past else max(moments), light)


def _around(moment: datetime, light: str | None) -> tuple[datetime, datetime, str | None]:
    return moment - _ABOUT, moment + _ABOUT, light


def _hours(part: str, hour: int) -> tuple[int, ...]:
    """Hours of the day, of 24, that a clock hour may be."""
    if hour > 12 or hour == 0:
        return (hour % 24,)
    if not part:
        return (hour % 12, hour % 12 + 12)
    if part in {"새벽", "아침", "오전", "morning"}:
        return (hour % 12,)
    if part in {"밤", "젯밤", "night"} and (hour == 12 or hour < 6):
        return (hour % 12,)
    if part in {"낮", "대낮", "한낮", "점심"} and hour >= 10 and hour < 12:
        return (hour,)
    return (hour % 12 + 12,)
