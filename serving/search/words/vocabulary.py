"""Words of the concepts that a sentence about a person may name, and where a sentence has them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from domain.foreign_files import read_yaml

_FOLDER = Path(__file__).parent
_LANGUAGES = ("ko", "en")
_PATTERN = "~"  # begins an entry that is a regular expression
_LONGEST_PREFIX = 4  # syllables before a noun that ends a compound
_MOST_PARTS = 4  # words in one Korean compound
_MOST_TOKENS = 6  # tokens in one English word of the vocabulary
_ENGLISH_TOKEN = re.compile(r"[A-Za-z0-9]+(?:['’][A-Za-z]+)?")
_PARTICLES = re.compile(
    "은|는|이|가|을|를|에|에다|에다가|에서|의|도|만|이랑|랑|하고|과|와|으로|로|까지|부터|처럼|같은|이나|나|인지|인지는|요|이요|"
    "에는|에도|들|들이|들은|씩|위에|속에|에게|한테|이랑은|이고요|에요"
)
_ENDINGS = re.compile(
    "이고|고|이며|며|인데|이에|예요|에요|이었|였|입|인|임|이신|신|셨|시|이시|이세|세요|이구|구|이라|이랍|이야|야|던|든|랬|네|이네|죠|이죠|"
    "지|이지|거든|이거|같|께|했|한|하|밖|뿐|짜리|쯤|정도|님|분|때문|로|계열|계통|차림|비슷|처럼"
)


@dataclass(frozen=True)
class Concept:
    """Meaning of words; see `concepts.yaml` for the fields."""

    name: str
    kind_of: tuple[str, ...] = ()
    weak: bool = False
    whole: bool = False
    said: bool = False
    opposite: str | None = None
    ages: tuple[int, int] | None = None


@dataclass(frozen=True)
class Mention:
    """Place of a word in a sentence, `sentence[start:end]`."""

    start: int
    end: int
    kind: str  # concept, or a marker such as `not`
    concept: str = ""
    tail: str = ""  # particle or ending that follows, up to the next space


@dataclass(frozen=True)
class Vocabulary:
    """Concepts and their words in all languages, with the words that steer a sentence."""

    concepts: Mapping[str, Concept]
    words: Mapping[str, tuple[str, ...]]  # concept -> words without spaces and hyphens, lower case
    patterns: tuple[tuple[str, str, re.Pattern[str]], ...]  # kind, concept, expression
    markers: Mapping[str, tuple[str, ...]]  # kind -> words
    after_person: re.Pattern[str]  # Korean, begins where the word for another person ends
    before_person: re.Pattern[str]  # English, ends where the word for another person begins

    def ancestry(self, concept: str) -> Iterator[str]:
        """The concept and all that it is a kind of, nearest first."""
        level = [concept]
        while level:
            yield from level
            level = [parent for each in level if each in self.concepts for parent in self.concepts[each].kind_of]

    def is_a(self, concept: str, kind: str) -> bool:
        """Whether a concept is a kind of another or the same."""
        return kind in self.ancestry(concept)


def plain(word: str) -> str:
    """`word` in lower case without spaces, hyphens and underscores, as vocabularies compare words.

    Example:
        >>> plain("T-shirt"), plain("one_piece")
        ('tshirt', 'onepiece')
    """
    return re.sub(r"[\s_-]+", "", word).lower()


@cache
def read_vocabulary() -> Vocabulary:
    """The vocabulary of the files beside this module."""
    concepts = {name: _concept(name, fields or {}) for name, fields in _file("concepts").items()}
    words: dict[str, tuple[str, ...]] = {}
    markers: dict[str, tuple[str, ...]] = {}
    patterns = []
    others = {}
    for language in _LANGUAGES:
        file = _file(f"words.{language}")
        others[language] = "|".join(f"(?:{entry.removeprefix(_PATTERN)})" for entry in file.pop("other_person"))
        for name, entries in file.pop("concepts").items():
            words[name] = words.get(name, ()) + _plain_words(entries)
            patterns += [("concept", name, each) for each in _expressions(entries)]
        for kind, entries in file.items():
            markers[kind] = markers.get(kind, ()) + _plain_words(entries)
            patterns += [(kind, "", each) for each in _expressions(entries)]
    return Vocabulary(
        concepts,
        words,
        tuple(patterns),
        markers,
        re.compile(rf"\s*(?:{others['ko']})"),
        re.compile(others["en"], re.IGNORECASE),
    )


class Scanner:
    """Finds the words of a vocabulary in sentences.

    Args:
        vocabulary: the vocabulary.
        names: further words: plain word -> concept; they go before the vocabulary's.
    """

    def __init__(self, vocabulary: Vocabulary, names: Mapping[str, str]) -> None:
        self._vocabulary = vocabulary
        marked = {word: (kind, "") for kind, words in vocabulary.markers.items() for word in words}
        meant = {word: ("concept", concept) for concept, words in vocabulary.words.items() for word in words}
        self._meanings = marked | meant | {word: ("concept", concept) for word, concept in names.items()}
        self._longest = max(map(len, self._meanings))

    def scan(self, sentence: str) -> list[Mention]:
        """Mentions in `sentence` in order, without overlaps: of two that overlap, the longer."""
        found = [*self._korean_words(sentence), *self._english_words(sentence)]
        for kind, concept, expression in self._vocabulary.patterns:
            found += [
                Mention(match.start(), match.end(), kind, concept)
                for match in expression.finditer(sentence)
                if match.end() > match.start()
            ]
        taken: list[Mention] = []
        for mention in sorted(found, key=lambda each: (each.start - each.end, each.kind == "filler")):
            if all(mention.end <= other.start or other.end <= mention.start for other in taken):
                taken.append(mention)
        return sorted(taken, key=lambda each: each.start)

    def _english_words(self, sentence: str) -> Iterator[Mention]:
        tokens = list(_ENGLISH_TOKEN.finditer(sentence))
        first = 0
        while first < len(tokens):
            for last in range(min(first + _MOST_TOKENS, len(tokens)), first, -1):
                start, end = tokens[first].start(), tokens[last - 1].end()
                gaps = re.sub(_ENGLISH_TOKEN, "", sentence[start:end])
                meaning = self._meaning(sentence[start:end]) if not gaps.strip(" -\t") else None
                if meaning:
                    yield Mention(start, end, *meaning)
                    first = last - 1
                    break
            first += 1

    def _meaning(self, text: str) -> tuple[str, str] | None:
        word = plain(text).replace("’", "'")
        for ending in ("", "s", "es", "'s"):
            shorter = word.removesuffix(ending)
            if shorter in self._meanings:
                return self._meanings[shorter]
        return None

    def _korean_words(self, sentence: str) -> Iterator[Mention]:
        end = 0
        for start in range(len(sentence)):
            if start < end or not _is_word_start(sentence, start, end):
                continue
            for match in self._at(sentence, start):
                word = plain(match)
                kind, concept = self._meanings[word]
                end_of_word = start + len(match)
                is_compound = start > 0 and _is_hangul(sentence[start - 1]) and start != end
                if is_compound and not self._may_end_compound(sentence, start, word, concept):
                    continue
                if self._fits(sentence, end_of_word, word, concept):
                    end = end_of_word
                    yield Mention(start, end, kind, concept, _rest(sentence, end))
                    break

    def _at(self, sentence: str, start: int) -> Iterator[str]:
        """Words that begin at `start`, longest first, as the sentence spells them."""
        if sentence[start : start + 1].isspace():
            return
        ends = [end for end in range(start, len(sentence)) if not sentence[end].isspace()][: self._longest]
        for end in reversed(ends):
            word = sentence[start : end + 1]
            if any(map(_is_hangul, word)) and plain(word) in self._meanings:
                yield word

    def _may_end_compound(self, sentence: str, start: int, word: str, concept: str) -> bool:
        prefix = re.search(r"[가-힣]+$", sentence[:start])
        roots = ("upper_garment", "lower_garment", "shoes", "headwear", "eyewear", "bag")
        is_noun = any(self._vocabulary.is_a(concept, root) for root in roots)
        return is_noun and len(word) > 1 and prefix is not None and len(prefix.group()) <= _LONGEST_PREFIX

    def _fits(self, sentence: str, end: int, word: str, concept: str, most: int = _MOST_PARTS) -> bool:
        """Whether what follows the word up to the next space is a particle, an ending or another word."""
        rest = _rest(sentence, end)
        if not rest or _PARTICLES.fullmatch(rest):
            return True
        is_colour = self._vocabulary.is_a(concept, "colour")
        if len(word) == 1 and not is_colour:
            return re.match("이고|고|이에요|인데|임|입니다|짜리|예요", rest) is not None
        if _ENDINGS.match(rest) and not is_colour:
            return True
        if is_colour and re.match("이|였|예|입|인|임|계|바탕|빛|톤", rest):
            return True
        inflected = re.match("에|이|은|는|의|도|랑", rest)
        starts = {end, end + len(inflected.group())} if inflected and len(word) > 1 else {end}
        return most > 1 and any(self._goes_on(sentence, each, most - 1) for each in starts)

    def _goes_on(self, sentence: str, start: int, most: int) -> bool:
        """Whether a word, or a compound of at most `most` words, begins at `start`."""
        if any(expression.match(sentence, start) for kind, _, expression in self._vocabulary.patterns if kind != "or"):
            return True
        return any(
            self._fits(sentence, start + len(each), plain(each), self._meanings[plain(each)][1], most)
            for each in self._at(sentence, start)
        )


def _concept(name: str, fields: Mapping[str, Any]) -> Concept:
    """A concept of texts, as `read_yaml` gives them."""
    flags = {flag: fields.get(flag) == "true" for flag in ("weak", "whole", "said")}
    ages = fields.get("ages")
    return Concept(
        name,
        tuple(fields.get("kind_of", ())),
        **flags,
        opposite=fields.get("opposite"),
        ages=(int(ages[0]), int(ages[1])) if ages else None,
    )


def _file(name: str) -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(_FOLDER / f"{name}.yaml", texts=True)
    return content


def _plain_words(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(plain(entry) for entry in entries if not entry.startswith(_PATTERN))


def _expressions(entries: Iterable[str]) -> list[re.Pattern[str]]:
    return [re.compile(entry[1:], re.IGNORECASE) for entry in entries if entry.startswith(_PATTERN)]


def _is_hangul(letter: str) -> bool:
    return "가" <= letter <= "힣"


def _is_word_start(sentence: str, start: int, end: int) -> bool:
    """Whether a Korean word may begin at `start`: not after a digit if it is one syllable, which counts something."""
    return bool(sentence[start].strip()) and not (
        start > 0 and sentence[start - 1].isdigit() and not _rest(sentence, start)[1:] and start != end
    )


def _rest(sentence: str, start: int) -> str:
    match = re.compile("[가-힣]*").match(sentence, start)
    assert match is not None, "it matches nothing at least"
    return match.group()
