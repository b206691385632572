"""One sentence about a person, read into conditions of a search."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

from domain.attributes import AttributeSchema
from serving.search.words.numbers import Age, ages
from serving.search.words.persons import Span, spans_of_others, spans_of_slips
from serving.search.words.places import Place, read_place
from serving.search.words.schema_words import LabelKey, age_labels, labels_of, words_of
from serving.search.words.times import Time, read_time
from serving.search.words.vocabulary import Mention, Scanner, read_vocabulary

_BLANKS = re.compile(r"\s+")  # of which many would take minutes: most expressions begin with any number
_STOP = re.compile(
    r"[,.;/·()!?\n…]|(?<=[가-힣])\s*[-–]\s*(?=[가-힣])|\bbut\b|(?<!하)고(?:요)?\s|는데(?:요)?\s|인데(?:요)?\s|지만\s|[으이]며\s",
    re.IGNORECASE,
)
_PREDICATE = re.compile(r"(?:이고|이에|예요|입니|였|이었|인데|임|이며|이구|이라|이던|이셨|이신|이요|이네)")
_ALIKE = re.compile(r"\s*(?:계통|계열|톤)(?:이|인\s*것|인\s*듯|인데)|\s*(?:인\s*것|같)")
_IS_BEFORE = re.compile(
    r"(?:\b(?:is|was|were|are)|'s|:)\s+(?:definitely |probably |maybe |mostly |all |really |"
    r"bright |dark |light |pale )*$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\s*(?:or|nor|/|나|이나|하고|랑|이랑|도|,?\s*(?:and|or)(?!\s+an?\b))\s*(?:any |a |an |the )?", re.IGNORECASE
)
_DOUBT_AHEAD = re.compile(
    r"(?:maybe|possibly|perhaps|might)|.{4,40}?\b(?:if|whether|about|any|a|the|his|her)\b", re.IGNORECASE
)
_OR = re.compile(r"\bor\b|인지|아니면|또는|혹은|거나|나\s", re.IGNORECASE)
_NAMES = re.compile(r"[A-Za-z0-9가-힣○]+")
_SCENE = "scene"
_WORN_ONE = "worn_one"
_THINGS = (
    "upper_garment",
    "lower_garment",
    "clothes",
    "all_clothes",
    "shoes",
    "headwear",
    "eyewear",
    "bag",
    "hair",
    "other_thing",
)


@dataclass(frozen=True)
class Condition:
    """Labels of a group that the sentence says, and the words that say them."""

    group: str
    is_: tuple[str, ...]
    is_not: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """What a sentence says."""

    conditions: tuple[Condition, ...]  # in the order of the schema
    place: str | None  # words of the place
    time: str | None  # words of the time
    since: datetime | None  # the window that the time means
    until: datetime | None
    unused: tuple[str, ...]  # words that say something that no condition says


@dataclass
class _Said:
    """A label that a part of the sentence says."""

    key: LabelKey
    start: int
    end: int
    weight: int  # of two that contradict, the heavier counts
    denied: bool = False


@dataclass
class _Thing:
    """A thing of the person in a clause, with the colours said of it."""

    mention: Mention
    denied: bool = False
    doubted: bool = False
    colours: list[tuple[Mention, bool]] = field(default_factory=list)  # and whether the colour is denied


class Reader:
    """Reads sentences for one attribute schema.

    Args:
        schema: the schema.
    """

    def __init__(self, schema: AttributeSchema) -> None:
        self._schema = schema
        self._vocabulary = read_vocabulary()
        self._words = words_of(schema, self._vocabulary)
        self._scanner = Scanner(self._vocabulary, self._words.names)

    def read(self, sentence: str, now: datetime, names: Iterable[str] = ()) -> Reading:
        """What the sentence says; words that say nothing of the schema's attributes come back as unused.

        Args:
            sentence: Korean or English.
            now: the moment at the clocks of the cameras.
            names: known names of places.
        """
        sentence = _BLANKS.sub(lambda blanks: "\n" if "\n" in blanks[0] else " ", sentence)
        time = read_time(sentence, now)
        found = self._scanner.scan(sentence)
        taken = [(each.start, each.end) for each in found if self._is_of_person(each)]
        place = read_place(sentence, [*taken, *_span(time)], names)
        apart = [*_span(time), *_span(place)]
        mentions = [each for each in found if self._is_scene(each) or not _touches(each, apart)]
        others = spans_of_others(sentence, mentions, self._vocabulary)
        mine = [each for each in mentions if self._is_scene(each) or not _touches(each, others)]
        slips = list(spans_of_slips(sentence, mine, self._vocabulary))
        mine = [each for each in mine if not _touches(each, [span for span, _ in slips])]
        said = self._said(sentence, mine, [*apart, *others])
        if time is not None and time.light is not None:
            said += self._meant(time.light, time.start, time.end, weight=1)
        conditions = self._conditions(sentence, said)
        used = [*apart, *((one.start, one.end) for one in said), *(span for span, _ in slips)]
        return Reading(
            conditions,
            _words(sentence, place),
            _words(sentence, time),
            time.since if time is not None else None,
            time.until if time is not None else None,
            self._unused(sentence, mine, used, others),
        )

    # --- what is said ---

    def _said(self, sentence: str, mentions: Sequence[Mention], apart: Iterable[Span]) -> list[_Said]:
        said: list[_Said] = []
        things: list[_Thing] = []
        for clause in self._clauses(sentence, mentions):
            in_clause = self._things(sentence, clause)
            if things and not in_clause:
                self._colour_later(sentence, clause, things[-1])
            self._deny(sentence, clause, in_clause)
            things += in_clause
            said += self._traits(sentence, clause)
        self._doubt(sentence, mentions, things)
        for thing in self._worn(sentence, things):
            said += self._of_thing(thing)
        covered = [*apart, *((each.start, each.end) for each in mentions if "=" in each.concept)]
        for age in ages(sentence):
            if not _touches(age, covered):
                said += [_Said(key, age.start, age.end, 3) for key in age_labels(self._words, age.lowest, age.above)]
        return said

    def _clauses(self, sentence: str, mentions: Sequence[Mention]) -> list[list[Mention]]:
        """Mentions between stops and verbs of wearing."""
        clauses: list[list[Mention]] = [[]]
        for mention in mentions:
            last = clauses[-1][-1] if clauses[-1] else None
            if last is not None and self._is_stop(sentence, clauses[-1], mention):
                clauses.append([])
            clauses[-1].append(mention)
            if mention.kind == "wearing" and _is_korean_verb(sentence, mention):
                clauses.append([])
        return [clause for clause in clauses if clause]

    def _is_stop(self, sentence: str, clause: Sequence[Mention], mention: Mention) -> bool:
        between = sentence[clause[-1].end - 1 : mention.start]  # with the ending of an adjective, such as 하얗고
        if not _STOP.search(between):
            return False
        is_list = self._is(clause[-1], "colour") and self._is(mention, "colour") and between[1:].strip() in (",", "/")
        return not (is_list and not any(self._is_thing(each) for each in clause))

    def _things(self, sentence: str, clause: Sequence[Mention]) -> list[_Thing]:
        """Things of a clause with their colours."""
        things: list[_Thing] = []
        pending: list[tuple[Mention, bool]] = []
        colourless = {id(each) for each, after in pairwise(clause) if self._is_of_skin(sentence, each, after)}
        items = [
            each
            for each in clause
            if self._is_thing(each) or (self._is_colour_word(each) and id(each) not in colourless)
        ]
        if any(self._is_thing(each) and each.concept != _WORN_ONE for each in items):
            items = [each for each in items if each.concept != _WORN_ONE]
        is_reversed = bool(items) and self._is_thing(items[0]) and self._is_colour_word(items[-1])
        for item in items:
            if self._is_thing(item):
                things.append(_Thing(item, colours=[] if is_reversed else pending))
                pending = [] if not is_reversed else pending
                continue
            colour = (item, self._is_denied_colour(sentence, item, clause))
            if things and (is_reversed or self._is_predicate(sentence, item)) and not pending:
                things[-1].colours.append(colour)
            else:
                pending.append(colour)
        bare = [thing for thing in things if not thing.colours]
        if pending and bare:
            bare[-1].colours += pending
        return things

    def _colour_later(self, sentence: str, clause: Sequence[Mention], thing: _Thing) -> None:
        """Give a thing the colours of the clause after it, which names nothing: a skirt, either grey or black."""
        colours = [each for each in clause if self._is_colour_word(each)]
        if colours and (not thing.colours or any(each.kind in ("or", "doubt") for each in clause)):
            thing.colours += [(colour, self._is_denied_colour(sentence, colour, clause)) for colour in colours]

    def _is_of_skin(self, sentence: str, colour: Mention, after: Mention) -> bool:
        """Whether a colour stands before an English word for a person: a black man."""
        return self._is_colour_word(colour) and self._is(after, "person") and not _is_hangul_text(sentence, after)

    def _is_predicate(self, sentence: str, colour: Mention) -> bool:
        text = sentence[colour.start : colour.end]
        return bool(
            _PREDICATE.match(colour.tail)
            or text.endswith(("고", "습니다", "아요", "어요"))
            or _ALIKE.match(sentence, colour.end)
            or _IS_BEFORE.search(sentence[: colour.start])
        )

    def _is_denied_colour(self, sentence: str, colour: Mention, clause: Sequence[Mention]) -> bool:
        after = [each for each in clause if each.kind == "not" and each.start >= colour.end]
        before = [each for each in clause if each.kind == "not" and each.end <= colour.start]
        korean = after and _is_hangul_text(sentence, after[0]) and after[0].start - colour.end <= 3 + len(colour.tail)
        english = before and not _is_hangul_text(sentence, before[-1]) and colour.start - before[-1].end <= 2
        return bool(korean or english) and "말고" not in sentence[colour.end : colour.end + 1]

    def _deny(self, sentence: str, clause: Sequence[Mention], things: Sequence[_Thing]) -> None:
        """Mark the things that a word of denial in the clause denies."""
        for denial in (each for each in clause if each.kind == "not"):
            if _is_hangul_text(sentence, denial) or sentence[denial.start] in "xX×":
                before = [thing for thing in things if thing.mention.end <= denial.start]
                nearest = before[-1:] if not self._denies_colour(sentence, clause, denial) else []
                for thing in nearest:
                    thing.denied = True
                while len(before) > 1 and self._goes_on(sentence, before[-2], before[-1]):
                    before.pop()
                    before[-1].denied = bool(nearest)
            else:
                after = [thing for thing in things if thing.mention.start >= denial.end]
                if after and not any(denied for _, denied in after[0].colours):
                    after[0].denied = True
                    for thing, following in pairwise(after):
                        if not self._goes_on(sentence, thing, following):
                            break
                        following.denied = True

    def _denies_colour(self, sentence: str, clause: Sequence[Mention], denial: Mention) -> bool:
        last = [each for each in clause if each.end <= denial.start and each.kind == "concept"][-1:]
        return bool(last) and self._is_colour_word(last[0])

    def _goes_on(self, sentence: str, thing: _Thing, following: _Thing) -> bool:
        between = sentence[thing.mention.end : following.mention.start]
        return not following.colours and (_GOES_ON.fullmatch(between) is not None or not between.strip())

    def _doubt(self, sentence: str, mentions: Sequence[Mention], things: Sequence[_Thing]) -> None:
        """Mark what a doubt speaks of: the nearest thing before it that may be missing, else the first after it."""
        for doubt in (each for each in mentions if each.kind == "doubt"):
            before = [thing for thing in things if thing.mention.end <= doubt.start][-1:]
            after = [thing for thing in things if thing.mention.start >= doubt.end][:1]
            near_after = [thing for thing in after if thing.mention.start - doubt.end <= 24]
            is_before = before and not self._is_doubt_ahead(sentence, doubt)
            for thing in before if is_before else near_after:
                thing.doubted = not self._is_of_colour(mentions, thing.mention, doubt)

    def _is_of_colour(self, mentions: Sequence[Mention], thing: Mention, doubt: Mention) -> bool:
        """Whether a doubt is about the colour of a thing and not about the thing."""
        return any(self._is(each, "colour") and thing.end <= each.start < doubt.start for each in mentions)

    def _is_doubt_ahead(self, sentence: str, doubt: Mention) -> bool:
        return _DOUBT_AHEAD.match(sentence, doubt.start) is not None

    def _worn(self, sentence: str, things: Sequence[_Thing]) -> list[_Thing]:
        """Things without what a coat hides, unless the sentence doubts which of them it was."""
        coats = [thing for thing in things if self._is(thing.mention, "coat") and not thing.denied]
        hidden = [
            thing
            for thing in things
            if coats
            and self._is(thing.mention, "upper_garment")
            and thing not in coats
            and not thing.denied
            and not _OR.search(sentence, *sorted((thing.mention.end, coats[0].mention.end)))
        ]
        return [thing for thing in things if thing not in hidden]

    def _of_thing(self, thing: _Thing) -> list[_Said]:
        mention = thing.mention
        said = self._meant(mention.concept, mention.start, mention.end, weight=2)
        nothing = self._nothing_of(mention.concept)
        if thing.doubted and nothing:
            return said + [_Said(key, mention.start, mention.end, 2) for key in nothing] if said else []
        if thing.denied:
            is_whole = any(
                self._vocabulary.concepts[each].whole
                for each in self._vocabulary.ancestry(mention.concept)
                if each in self._vocabulary.concepts
            )
            if nothing and (is_whole or not said):
                return [_Said(key, mention.start, mention.end, 1) for key in nothing]
            return [self._denied(one) for one in said]
        if not said and nothing:
            said = [_Said(key, mention.start, mention.end, 1, denied=True) for key in nothing]
        return said + self._colours_of(thing)

    def _denied(self, said: _Said) -> _Said:
        """The denial of a label: of a group that has but one, the label for nothing."""
        group = said.key[0]
        nothing = self._words.nothing_of(group)
        if nothing and len(self._schema.group(group).labels) == len(nothing) + 1:
            return replace(said, key=(group, nothing[0]))
        return replace(said, denied=True)

    def _colours_of(self, thing: _Thing) -> list[_Said]:
        groups = self._colour_groups(thing.mention.concept)
        return [
            _Said(key, colour.start, colour.end, 2, denied=denied)
            for colour, denied in thing.colours
            for key in self._words.labels.get(colour.concept, ())
            if key[0] in groups
        ]

    def _colour_groups(self, concept: str) -> list[str]:
        if concept in ("clothes", _WORN_ONE, "all_clothes"):
            roots = ("upper_garment",) if concept != "all_clothes" else ("upper_garment", "lower_garment")
            return [self._words.colours[root] for root in roots if root in self._words.colours]
        known = [each for each in self._vocabulary.ancestry(concept) if each in self._words.colours]
        return [self._words.colours[known[0]]] if known else []

    def _nothing_of(self, concept: str) -> list[LabelKey]:
        """Labels that say that there is no such thing."""
        own = [key for each in self._vocabulary.ancestry(concept) for key in self._words.labels.get(each, ())]
        groups = dict.fromkeys(group for group, _ in own)
        groups |= dict.fromkeys(
            self._words.groups[each] for each in self._vocabulary.ancestry(concept) if each in self._words.groups
        )
        return [(group, label) for group in groups for label in self._words.nothing_of(group)][:1]

    def _traits(self, sentence: str, clause: Sequence[Mention]) -> list[_Said]:
        """Labels of a clause that no thing has: of the person and the scene."""
        said = []
        for mention in clause:
            if mention.kind != "concept" or self._is_thing(mention) or self._is_colour_word(mention):
                continue
            weight = (
                1 if sentence[mention.start : mention.end].lower() in {"he", "she", "his", "her", "him", "hers"} else 2
            )
            denied = self._is_denied_trait(sentence, mention, clause)
            said += [
                replace(one, denied=denied) for one in self._meant(mention.concept, mention.start, mention.end, weight)
            ]
        return said

    def _is_denied_trait(self, sentence: str, mention: Mention, clause: Sequence[Mention]) -> bool:
        following = [
            each for each in clause if each.kind == "not" and 0 <= each.start - mention.end <= 2 + len(mention.tail)
        ]
        before = [each for each in clause if each.kind == "not" and 0 <= mention.start - each.end <= 8]
        return any(_is_hangul_text(sentence, each) for each in following) or any(
            not _is_hangul_text(sentence, each) for each in before
        )

    def _meant(self, concept: str, start: int, end: int, weight: int) -> list[_Said]:
        labels = labels_of(self._words, self._vocabulary, concept)
        return [_Said(key, start, end, weight - is_weak) for key, is_weak in labels]

    # --- conditions ---

    def _conditions(self, sentence: str, said: Sequence[_Said]) -> tuple[Condition, ...]:
        conditions = []
        for group in self._schema.groups:
            of_group = [one for one in said if one.key[0] == group.name]
            denied = [one for one in of_group if one.denied]
            meant = self._agreeing(sentence, [one for one in of_group if not one.denied], group.colour)
            is_ = tuple(name for name in group.label_names if any(one.key[1] == name for one in meant))
            not_ = tuple(
                name for name in group.label_names if any(one.key[1] == name for one in denied) and name not in is_
            )
            if set(not_) <= set(self._words.nothing_of(group.name)) and is_:
                not_ = ()  # what is there is not missing
            if len(is_) == len(group.labels) or len(not_) == len(group.labels) or not (is_ or not_):
                continue
            words = dict.fromkeys(sentence[one.start : one.end] for one in (*meant, *denied))
            conditions.append(Condition(group.name, is_, not_, tuple(words)))
        return tuple(conditions)

    def _agreeing(self, sentence: str, said: list[_Said], is_colour: bool) -> list[_Said]:
        """Of labels of one group, the heaviest; of several people or garments, what is worn outside or said best."""
        if not said:
            return []
        heaviest = max(one.weight for one in said)
        best = [one for one in said if one.weight == heaviest]
        group = best[0].key[0]
        if group == "gender" or any("male" in one.key for one in best):
            chosen = best[-1] if _is_hangul_text(sentence, best[-1]) else best[0]
            return [one for one in best if one.key == chosen.key]
        return best

    # --- kinds of mentions ---

    def _is(self, mention: Mention, kind: str) -> bool:
        return mention.kind == "concept" and self._vocabulary.is_a(mention.concept, kind)

    def _is_thing(self, mention: Mention) -> bool:
        return any(self._is(mention, root) for root in _THINGS)

    def _is_colour_word(self, mention: Mention) -> bool:
        return self._is(mention, "colour") and mention.concept != "colour"

    def _is_scene(self, mention: Mention) -> bool:
        keys = self._words.labels.get(mention.concept, ()) if mention.kind == "concept" else ()
        return bool(keys) and all(self._schema.group(group).of == _SCENE for group, _ in keys)

    def _is_of_person(self, mention: Mention) -> bool:
        return mention.kind == "concept" and not self._is_scene(mention) and mention.concept != "other_thing"

    # --- what no condition says ---

    def _unused(
        self, sentence: str, mentions: Sequence[Mention], used: Sequence[Span], others: Sequence[Span]
    ) -> tuple[str, ...]:
        """Words that no condition, time or place comes from, without words that say nothing."""
        silent = [
            (each.start, each.end + len(each.tail))
            for each in mentions
            if each.kind != "concept" or not (self._is_said(each) or self._is_colour_word(each))
        ]
        phrases: list[list[re.Match[str]]] = [[]]
        for word in re.finditer(r"[^\s,;!?…/]+", sentence):
            span = word.span()
            if sentence[: span[0]].rstrip(" ")[-1:] in ",;!?…/":
                phrases.append([])
            if not _inside(span, others) and any(start < span[1] and span[0] < end for start, end in used):
                phrases.append([])
            elif _inside(span, others) or not any(start < span[1] and span[0] < end for start, end in silent):
                phrases[-1].append(word)
        said = [sentence[phrase[0].start() : phrase[-1].end()].strip(".") for phrase in phrases if phrase]
        return tuple(dict.fromkeys(text for text in said if _NAMES.search(text)))

    def _is_said(self, mention: Mention) -> bool:
        """Whether a word says something that no label says; plain names of clothes say nothing more."""
        known = self._vocabulary.concepts.get(mention.concept)
        if known is None or known.said:
            return known is not None
        is_meant = self._nothing_of(mention.concept) or self._colour_groups(mention.concept)
        is_plain = not known.kind_of or self._is(mention, "person") or mention.concept == "colour"
        return not (is_meant or is_plain or list(labels_of(self._words, self._vocabulary, mention.concept)))


@lru_cache(maxsize=8)
def reader_of(schema: AttributeSchema) -> Reader:
    """The reader of a schema, which is made once."""
    return Reader(schema)


def _span(found: Time | Place | None) -> list[Span]:
    return [(found.start, found.end)] if found is not None else []


def _words(sentence: str, found: Time | Place | None) -> str | None:
    return sentence[found.start : found.end] if found is not None else None


def _touches(found: Mention | Age, spans: Iterable[Span]) -> bool:
    start, end = found.start, found.end
    return any(start < last and first < end for first, last in spans)


def _inside(span: Span, spans: Iterable[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end + 1 for start, end in spans)


def _is_hangul_text(sentence: str, found: Mention | _Said) -> bool:
    return any("가" <= letter <= "힣" for letter in sentence[found.start : found.end])


def _is_korean_verb(sentence: str, mention: Mention) -> bool:
    text = sentence[mention.start : mention.end]
    return "가" <= text[0] <= "힣" and re.search(r"(?:은|는|던|쓴|멘|낀|한|맨|찬|든|신)$", text) is None
