"""A sentence as conditions of a search: its attributes, the cameras near its place, and its time."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.attributes import AttributeSchema
from serving.database.districts import StoredDistrict
from serving.matching.description import LabelQuestion
from serving.search.messages import SentenceAnswer, WordsRead
from serving.search.words.places import camera_words
from serving.search.words.reader import Reading, reader_of


def read_sentence(
    text: str, schema: AttributeSchema, districts: Sequence[StoredDistrict], now: datetime
) -> SentenceAnswer:
    """Conditions that `text` says. A place without a camera of its name, and a time without a window, are unused.

    Args:
        text: one Korean or English sentence.
        schema: attributes that describe people.
        districts: with the cameras whose names may say the place; the first one's clocks say the time.
        now: the moment to which "yesterday" and clock times without a day refer.
    """
    zone = ZoneInfo(districts[0].time_zone) if districts else now.tzinfo
    names = [camera.name for district in districts for camera in district.cameras]
    reading = reader_of(schema).read(text, now.astimezone(zone), names)
    cameras = _cameras(reading, districts)
    parts = [WordsRead(condition="attribute", group=one.group, words=list(one.words)) for one in reading.conditions]
    unused = list(reading.unused)
    for condition, words, is_used in (
        ("place", reading.place, bool(cameras)),
        ("time", reading.time, reading.since is not None or reading.until is not None),
    ):
        if words is not None and is_used:
            parts.append(WordsRead.model_validate({"condition": condition, "words": [words]}))
        elif words is not None:
            unused.append(words)
    return SentenceAnswer(
        attributes={
            one.group: LabelQuestion.model_validate({"is": one.is_, "is_not": one.is_not}) for one in reading.conditions
        },
        cameras=cameras or None,
        since=reading.since,
        until=reading.until,
        parts=parts,
        unused=unused,
    )


def _cameras(reading: Reading, districts: Sequence[StoredDistrict]) -> list[str]:
    """Cameras, as district/id, whose whole name the place has; else those that share a word with it."""
    if reading.place is None:
        return []
    place, words = reading.place.lower(), [word for word in camera_words(reading.place) if len(word) > 1]
    named = {f"{each.name}/{camera.id}": camera.name.lower() for each in districts for camera in each.cameras}
    whole = [key for key, name in named.items() if place.startswith(name)]
    return whole or [key for key, name in named.items() if any(word in name for word in words)]
