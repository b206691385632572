"""The place that a sentence says."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from domain.foreign_files import read_yaml

_FILE = Path(__file__).parent / "places.yaml"
_ENDS, _ENGLISH_PLACES = ("|".join(read_yaml(_FILE, texts=True)[language]) for language in ("ko", "en"))
_SIDES = "앞|옆|뒤|근처|부근|주변|인근|맞은편|건너편|입구|출구|쪽|방향|골목|사거리"
_PREFIX = r"[가-힣A-Za-z0-9]*?"
_NOUN = r"[가-힣A-Za-z0-9]+"
_KOREAN = re.compile(
    rf"(?<![가-힣A-Za-z0-9])(?P<place>(?P<noun>(?:(?:시|{_PREFIX}(?:{_ENDS}))\s+){{0,3}}(?:{_PREFIX}(?:{_ENDS}|동\s\d*단지)|{_NOUN}))\s*(?P<side>{_SIDES}|안|위)"
    rf"(?:\s+(?P<more>{_PREFIX}(?:{_ENDS})))?)(?P<tail>에서|에서는|에|으로|로|까지|쪽으로|쪽에서|인데요?|이었|이고|$|(?=\s|[.,]))|"
    rf"(?<![가-힣A-Za-z0-9])(?P<bare>(?:(?:시|{_PREFIX}(?:{_ENDS}))\s+){{0,3}}{_PREFIX}(?:{_ENDS}))(?:에서|에서는|에|으로|로|까지)(?![가-힣])"
)
_ENGLISH = re.compile(
    rf"\b(?:(?P<sure>outside|in front of|opposite|across from|close to|in the direction of|inside)|"
    rf"(?P<maybe>near|at|by|behind|next to|around|beside|along|on|in|towards?|to|past|from))\s+"
    rf"(?:the\s+|a\s+|an\s+|our\s+|my\s+)?(?P<noun>(?:[\w'’-]+\s+){{0,2}}?(?:{_ENGLISH_PLACES})\b|[\w'’-]+)",
    re.IGNORECASE,
)
_NO_NOUNS = {
    "그",
    "이",
    "저",
    "바로",
    "제",
    "내",
    "우리",
    "집",
    "몸",
    "손",
    "맨",
    "사진",
    "머리",
    "가슴",
    "어깨",
    "등",
    "허리",
    "목",
    "발",
    "하나",
    "앞",
    "뒤",
    "옆",
    "오른",
    "왼",
    "양",
    "반대",
    "한",
    "아래",
    "위",
}


class Place(NamedTuple):
    """A place in a sentence, `sentence[start:end]`."""

    start: int
    end: int


def read_place(sentence: str, taken: Iterable[tuple[int, int]], names: Iterable[str] = ()) -> Place | None:
    """The first place that the sentence says, a known name before others.

    Args:
        sentence: Korean or English.
        taken: spans of words that name a person, a thing or a time: what ends in one is no place.
        names: known names of places, such as cameras.
    """
    said = sentence.lower()
    for name in sorted((name for name in names if name.lower() in said), key=len, reverse=True):
        named = re.search(rf"(?<!\w){re.escape(name)}(?![A-Za-z0-9])(?:\s*(?:{_SIDES}))*", sentence, re.IGNORECASE)
        if name and named:
            return Place(named.start(), named.end())
    spans = tuple(taken)
    for match in (*_KOREAN.finditer(sentence), *_ENGLISH.finditer(sentence)):
        if place := _place_of(match, spans):
            return place
    return None


def camera_words(place: str) -> list[str]:
    """The words of a place that a camera's name may have: 시장 of 시장 근처.

    Example:
        >>> camera_words("시장 근처"), camera_words("near the old market")
        (['시장'], ['old', 'market'])
    """
    said = re.findall(r"[\w가-힣]+", place.lower())
    nothing = set(_SIDES.split("|")) | {"안", "위", "시", "the", "a", "an", "of", "in", "at", "on", "by", "to"}
    nothing |= {"near", "outside", "front", "opposite", "close", "behind", "next", "around", "beside", "along", "from"}
    return [word for word in said if word not in nothing]


def _place_of(match: re.Match[str], taken: tuple[tuple[int, int], ...]) -> Place | None:
    said = match.groupdict()
    if "bare" in said:
        name = "noun" if said["noun"] else "bare"
        if said["side"] in ("안", "위") and not said["tail"]:
            return None
        if not said["more"] and said[name].split()[-1] in _NO_NOUNS:
            return None
        end = match.end("place") if said["noun"] else match.end("bare")
        if _is_taken(*match.span("more" if said["more"] else name), taken):
            return None
        return Place(match.start("place") if said["noun"] else match.start("bare"), end)
    is_place = re.search(rf"(?:{_ENGLISH_PLACES})$", said["noun"], re.IGNORECASE)
    if _is_taken(*match.span("noun"), taken) or not (is_place or said["sure"]):
        return None
    return Place(match.start(), match.end())


def _is_taken(start: int, end: int, taken: tuple[tuple[int, int], ...]) -> bool:
    return any(begin < end and start < last and last >= end for begin, last in taken)
