"""Parts of a sentence that speak of somebody else, and what was said by a slip of the tongue."""

import re
from collections.abc import Iterator, Sequence

from serving.search.words.vocabulary import Mention, Vocabulary

Span = tuple[int, int]
_STOP = re.compile(r"[,.;!?\n…/]")
_SUBJECT = re.compile(r"이|가|은|는|분이|분은|분께서|께서|인데|인데요|이고|고|아이가|들이")
_COPULA = re.compile(r"인데|예요|이에요|입니다|고요|이고요|에요|이고|구요|이구요|거든요|이거든요|라서|이라서")
_ATTRIBUTIVE = re.compile(r"(?:은|는|던|쓴|멘|낀|한|맨|찬|든|신)$")
_IM = re.compile(r"(?:i'm|i am|this is|저는|제가|나는)\s*(?:the |his |her |their )?[\w가-힣' ]{0,16}$", re.IGNORECASE)


def spans_of_others(sentence: str, mentions: Sequence[Mention], vocabulary: Vocabulary) -> list[Span]:
    """Spans that speak of other people than the one who is sought."""
    people = [each for each in mentions if each.kind == "concept" and vocabulary.is_a(each.concept, "person")]
    spans: list[Span] = []
    for person in people:
        spans += _after(sentence, person, people, mentions, vocabulary)
        spans += _before(sentence, person, mentions, vocabulary)
    for mention in mentions:
        if mention.kind == "sought":
            spans += _unsought(sentence, mention, people)
    return spans


def spans_of_slips(sentence: str, mentions: Sequence[Mention], vocabulary: Vocabulary) -> Iterator[tuple[Span, bool]]:
    """Spans that a correction takes back, and whether only the colour is corrected."""
    for slip in mentions:
        if slip.kind != "slip":
            continue
        before = [each for each in mentions if each.end <= slip.start and each.kind == "concept"]
        after = [each for each in mentions if each.start >= slip.end and each.kind == "concept"]
        if not before or not after:
            continue
        last = len(before) - 1
        is_colour = [vocabulary.is_a(each.concept, "colour") for each in before]
        next_things = [each for each in after if not vocabulary.is_a(each.concept, "colour")]
        only_colour = vocabulary.is_a(after[0].concept, "colour") and (
            not next_things or _STOP.search(sentence[after[0].end : next_things[0].start]) is not None
        )
        first = last
        while (
            first > 0
            and is_colour[first - 1]
            and not _STOP.search(sentence[before[first - 1].end : before[first].start])
        ):
            first -= 1
        if only_colour and not is_colour[last]:
            colours = [index for index in range(first, last) if is_colour[index]]
            if colours:
                yield (before[colours[0]].start, before[colours[-1]].end), True
        else:
            yield (before[first].start, slip.end), only_colour


def _after(
    sentence: str, person: Mention, people: Sequence[Mention], mentions: Sequence[Mention], vocabulary: Vocabulary
) -> Iterator[Span]:
    """A Korean person that a particle makes another: 아저씨랑 같이 있던."""
    marker = vocabulary.after_person.match(sentence, person.end)
    is_parent = vocabulary.is_a(person.concept, "parent_male") or vocabulary.is_a(person.concept, "parent_female")
    is_speaker = is_parent and _COPULA.match(person.tail) and any(other.start > person.end for other in people)
    if marker or is_speaker:
        yield _begin(sentence, person, people, mentions), marker.end() if marker else person.end


def _begin(sentence: str, person: Mention, people: Sequence[Mention], mentions: Sequence[Mention]) -> int:
    """Where the words about a person begin: after a stop, a clause or the subject before."""
    begins = [0]
    begins += [match.end() for match in _STOP.finditer(sentence, 0, person.start)]
    begins += [other.end for other in people if other.end <= person.start and _SUBJECT.fullmatch(other.tail)]
    begins += [
        each.end
        for each in mentions
        if each.kind == "wearing" and each.end <= person.start and not _is_attributive(sentence, each)
    ]
    return max(begins)


def _is_attributive(sentence: str, mention: Mention) -> bool:
    return _ATTRIBUTIVE.search(sentence[mention.start : mention.end]) is not None


def _before(sentence: str, person: Mention, mentions: Sequence[Mention], vocabulary: Vocabulary) -> Iterator[Span]:
    """An English person that words before make another: next to the woman …, to the end of the clause."""
    said = vocabulary.before_person.finditer(sentence[: person.start])
    ends = [match for match in said if match.end() == person.start]
    is_parent = vocabulary.is_a(person.concept, "parent_male") or vocabulary.is_a(person.concept, "parent_female")
    is_speaker = _IM.search(sentence[: person.start]) is not None
    is_theirs = is_parent and re.search(r"(?:\bhis|\bher|\btheir|애|아이)\s$", sentence[: person.start], re.IGNORECASE)
    if is_speaker or is_theirs:
        yield person.start, person.end
    elif ends:
        stop = re.compile(r"[,.;!?\n]|\b(?:he|she|who|but)\b", re.IGNORECASE).search(sentence, person.end)
        yield ends[0].start(), stop.start() if stop else len(sentence)


def _unsought(sentence: str, sought: Mention, people: Sequence[Mention]) -> Iterator[Span]:
    """Clauses before the person who is sought, where they speak of others."""
    before = [person for person in people if person.end <= sought.start]
    stops = [match.end() for match in _STOP.finditer(sentence, 0, sought.start)]
    if before and stops:
        yield 0, stops[-1]
