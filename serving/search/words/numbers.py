"""Numbers in words, Korean and English, and the ages that a sentence says."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TENS = dict(zip(("열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔"), range(10, 100, 10), strict=True))
_ONES = {
    "하나": 1, "한": 1, "둘": 2, "두": 2, "셋": 3, "세": 3, "넷": 4, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7,
    "여덟": 8, "여덜": 8, "아홉": 9,
}  # fmt: skip
_SINO = {"일": 1, "이": 2, "삼": 3, "사": 4, "오": 5, "육": 6, "칠": 7, "팔": 8, "구": 9}
_ENGLISH_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_ENGLISH_ONES = {
    word: number
    for number, word in enumerate(f"one two three four five six seven eight nine {_ENGLISH_TEENS}".split(), start=1)
}
_ENGLISH_TENS = {
    word: number
    for number, word in zip(
        range(20, 100, 10), ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], strict=True
    )
}
NATIVE = rf"(?:(?:{'|'.join(_TENS)}|스무)?(?:{'|'.join(sorted(_ONES, key=len, reverse=True))})?)"
ENGLISH = (
    rf"(?:(?:{'|'.join(_ENGLISH_TENS)})(?:[\s-]*(?:{'|'.join(list(_ENGLISH_ONES)[:9])}))?|"
    rf"(?:{'|'.join(sorted(_ENGLISH_ONES, key=len, reverse=True))}))"
)
_DECADES = "|".join(word.removesuffix("y") + "ies" for word in _ENGLISH_TENS)
_PART = {"초반": (0, 4), "중반": (3, 7), "후반": (6, 10), "early": (0, 4), "mid": (3, 7), "late": (6, 10)}
_AGES = re.compile(
    rf"(?P<decade>(?P<from>\d0)\s*[~∼～\-]\s*\d0|\d0|[이삼사오육칠팔구]?십)\s*(?P<of>대)(?P<part>\s*(?:초반|중반|후반))?|"
    rf"(?P<years>\d{{1,3}})\s*(?:세|살)|(?P<native>{NATIVE})\s*살(?!구|색|림)|"
    rf"(?:연세|나이|올해)(?:는|가|이|도)?\s*(?:만\s*)?(?P<age>\d{{1,3}}|{NATIVE})|(?P<honorific>(?:일흔|여든|아흔|예순|쉰|마흔){NATIVE}?)(?=이|세|다|에|이시|인|$|\s|,)|"
    rf"(?P<sino>[이삼사오육칠팔구]?십[일이삼사오육칠팔구]?)\s*세(?!대)|"
    rf"(?P<when>early|mid|late)?[\s-]*+(?:in\s+)?(?:(?:his|her|their|the)\s+)?(?P<when2>early|mid|late)?[\s-]*+"
    rf"(?:(?P<s>[1-9]0)(?:'?s|ish\b)|(?P<decades>\b(?:{_DECADES})))\b|"
    rf"\b(?P<old>\d{{1,3}}|{ENGLISH})[\s-]*(?:years?|yrs?)[\s-]*olds?\b|\b(?P<short>\d{{1,3}})\s*(?:yo|y/o|yrs?)\b|"
    rf"\b(?:aged?|age of)\s*:?\s*(?:about\s+|around\s+)?(?P<aged>\d{{1,3}}|{ENGLISH})\b|"
    rf"(?:,|/|\b[mf])\s*(?P<listed>\d{{1,2}})(?=\s*(?:,|/|\.|$))|"
    rf"\b(?:approx\.?|approximately|(?:kid|boy|girl|child|man|woman|male|female|lady)(?: of)? about)\s+"
    rf"(?P<about>\d{{1,2}})\b|"
    rf"\b(?:maybe|roughly|approximately|looks?|looked|perhaps)\s+(?P<maybe>\d{{1,2}})(?=\s*(?:,|\.|$|or\b|and\b))|"
    rf"\b(?:he's|she's|he is|she is|is|was|he’s|she’s|about|around|turned|they're)\s+"
    rf"(?:about\s+|around\s+|only\s+|just\s+|nearly\s+|almost\s+)?"
    rf"(?P<is>\d{{1,2}}|{ENGLISH})(?=\s*(?:,|\.|$|and\b|but\b|now\b))",
    re.IGNORECASE,
)


class Age(NamedTuple):
    """An age in a sentence, `sentence[start:end]`: from `lowest` years to below `above`."""

    start: int
    end: int
    lowest: int
    above: int


def number_of(text: str) -> int | None:
    """Whole number in digits or in words; None if it is none.

    Example:
        >>> number_of("일흔여덟"), number_of("eighty-one"), number_of("칠십"), number_of("팔")
        (78, 81, 70, 8)
    """
    text = text.strip().lower()
    if text.isdecimal():
        return int(text)
    for tens, ones in ((_TENS | {"스무": 20}, _ONES), (_ENGLISH_TENS, _ENGLISH_ONES)):
        total = next((number for word, number in tens.items() if text.startswith(word)), 0)
        rest = next((text[len(word) :] for word in tens if text.startswith(word)), text).strip(" -")
        if rest in ones or (total and not rest):
            return total + ones.get(rest, 0)
    sino = re.fullmatch("([이삼사오육칠팔구]?)(십)?([일이삼사오육칠팔구]?)", text)
    if sino is None or not text:
        return None
    tens_word, ten, one = sino.groups()
    return (_SINO.get(tens_word, 1) * 10 if ten else _SINO.get(tens_word, 0)) + _SINO.get(one, 0)


def ages(sentence: str) -> Iterator[Age]:
    """Ages that the sentence says, in order.

    Example:
        >>> [(age.lowest, age.above) for age in ages("80대 후반 할머니, a boy aged nine")]
        [(86, 90), (9, 10)]
    """
    for match in _AGES.finditer(sentence):
        said = match.groupdict()
        years = next(
            (
                said[name]
                for name in (
                    "years",
                    "native",
                    "age",
                    "honorific",
                    "sino",
                    "old",
                    "short",
                    "aged",
                    "is",
                    "listed",
                    "maybe",
                    "about",
                )
                if said[name]
            ),
            None,
        )
        if years is not None:
            number = number_of(years)
            if number:
                yield Age(match.start(), match.end(), number, number + 1)
            continue
        decade = _decade(said)
        if decade is not None:
            part = (said["part"] or said["when"] or said["when2"] or "").strip().lower()
            first, last = _PART.get(part, (0, 10))
            lowest = number_of(said["from"]) if said["from"] else decade
            yield Age(match.start(), match.end(), (lowest or decade) + first, decade + last)


def _decade(said: dict[str, str | None]) -> int | None:
    if said["s"]:
        return int(said["s"])
    if said["decades"]:
        return number_of(said["decades"].lower().removesuffix("ies") + "y")
    text = said["decade"]
    return number_of(re.split(r"[~∼～\-]", text)[-1]) if text else None
