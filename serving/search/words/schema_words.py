"""What concepts mean in an attribute schema: the labels, colour groups and ages of its own names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from domain.attributes import AttributeSchema, Group, Label
from serving.search.words.vocabulary import Vocabulary, plain

LabelKey = tuple[str, str]  # group and label
_YES = {"present"}
_SAY_NOTHING = {
    plain(word) for word in ("none", "absent", "present", "예", "아니오", "없음", "long", "short", "김", "짧음")
} | {plain(word) for word in ("medium", "보통", "큼", "작음", "side", "back", "front", "old", "clear", "day", "none")}
_OLDEST = 150
_MOST_OF_AGES = 0.8  # share of a concept's years that a label must cover to stand for it


@dataclass(frozen=True)
class SchemaWords:
    """An attribute schema as words see it."""

    schema: AttributeSchema
    labels: Mapping[str, tuple[LabelKey, ...]]  # concept -> labels that have its name
    names: Mapping[str, str]  # plain word -> concept, of names that the vocabulary lacks
    groups: Mapping[str, str]  # concept -> group with a label for nothing, such as `bag` of no bag
    colours: Mapping[str, str]  # concept -> group of its colours
    ages: Mapping[LabelKey, tuple[int, int]]  # from and below

    def nothing_of(self, group: str) -> tuple[str, ...]:
        """Labels of the group that say that there is nothing, such as no bag."""
        return tuple(label.name for label in self.schema.group(group).labels if label.absent)


def words_of(schema: AttributeSchema, vocabulary: Vocabulary) -> SchemaWords:
    """What the concepts of `vocabulary` mean in `schema`."""
    concept_of = {word: concept for concept, words in vocabulary.words.items() for word in words}
    concept_of |= {plain(concept): concept for concept in vocabulary.concepts}
    labels: dict[str, list[LabelKey]] = {}
    names: dict[str, str] = {}
    for group, label in _all_labels(schema):
        key, own = (group.name, label.name), f"{group.name}={label.name}"
        for name in _names(group, label):
            concept = concept_of.get(plain(name))
            if concept and (group.colour or not vocabulary.is_a(concept, "colour")):
                if key not in labels.setdefault(concept, []):
                    labels[concept].append(key)
            elif not concept and not group.colour and len(name) > 1:
                names[plain(name)] = own
                labels[own] = [key]
        for phrase in _phrases(group, label):
            concept = concept_of.get(plain(phrase))
            if concept is None:
                names[plain(phrase)] = concept = own
            if key not in labels.setdefault(concept, []):
                labels[concept].append(key)
    return SchemaWords(
        schema,
        {concept: tuple(keys) for concept, keys in labels.items()},
        names,
        _groups(schema, concept_of),
        _colours(schema, vocabulary),
        _ages(schema, labels, vocabulary),
    )


def age_labels(words: SchemaWords, lowest: int, above: int) -> tuple[LabelKey, ...]:
    """The label that covers most of the years from `lowest` to below `above`."""
    shared = {key: min(above, below) - max(lowest, least) for key, (least, below) in words.ages.items()}
    best = max(shared, key=lambda key: shared[key], default=None)
    return (best,) if best is not None and shared[best] > 0 else ()


def labels_of(words: SchemaWords, vocabulary: Vocabulary, concept: str) -> Iterator[tuple[LabelKey, bool]]:
    """Labels that a concept means, nearest first, at most one level for each group, and whether that is weak."""
    seen: set[str] = set()
    weak = False
    for each in vocabulary.ancestry(concept):
        known = vocabulary.concepts.get(each)
        weak = weak or (known is not None and known.weak)
        found = words.labels.get(each, ())
        if not found and known is not None and known.ages is not None:
            found = _covering(words, known.ages)
        if not found and known is not None and known.opposite:
            found = _denied(words, words.labels.get(known.opposite, ()))
        yield from ((key, weak) for key in found if key[0] not in seen)
        seen |= {group for group, _ in found}


def _all_labels(schema: AttributeSchema) -> Iterator[tuple[Group, Label]]:
    return ((group, label) for group in schema.groups for label in group.labels)


def _is_binary(group: Group) -> bool:
    return len(group.labels) == 2 and any(label.absent for label in group.labels)


def _names(group: Group, label: Label) -> Iterator[str]:
    """Names that say the label without its group's name."""
    if _is_binary(group):
        if not label.absent:
            yield from (group.name, group.english, group.korean)
            yield from (name for name in (label.name, label.korean) if plain(name) not in _SAY_NOTHING)
    elif not label.absent:
        yield from (name for name in (label.name, label.korean) if plain(name) not in _SAY_NOTHING)


def _phrases(group: Group, label: Label) -> Iterator[str]:
    """The group's name with the label's, and the other way round, which say the label whatever else the words mean."""
    for of_group, of_label in ((group.english, label.name), (group.name, label.name), (group.korean, label.korean)):
        yield f"{of_group} {of_label}"
        if plain(of_label) not in _YES:
            yield f"{of_label} {of_group}"


def _groups(schema: AttributeSchema, concept_of: Mapping[str, str]) -> dict[str, str]:
    with_nothing = [group for group in schema.groups if any(label.absent for label in group.labels)]
    named = [(concept_of.get(plain(name)), group) for group in with_nothing for name in (group.name, group.english)]
    return {concept: group.name for concept, group in named if concept is not None}


def _colours(schema: AttributeSchema, vocabulary: Vocabulary) -> dict[str, str]:
    """Colour group of each thing that a group's name says, by the longest of the thing's words in it."""
    colours = {}
    for group in schema.groups:
        text = plain(f"{group.english} {group.name} {group.korean}")
        said = [
            (len(word), concept)
            for concept, words in vocabulary.words.items()
            if not any(vocabulary.is_a(concept, other) for other in ("colour", "person"))
            for word in words
            if len(word) > 1 and word in text
        ]
        if group.colour and said:
            colours[max(said)[1]] = group.name
    return colours


def _ages(
    schema: AttributeSchema, labels: Mapping[str, list[LabelKey]], vocabulary: Vocabulary
) -> dict[LabelKey, tuple[int, int]]:
    ages = {
        key: known.ages
        for concept, keys in labels.items()
        if (known := vocabulary.concepts.get(concept)) is not None and known.ages is not None
        for key in keys
    }
    for group, label in _all_labels(schema):
        said = _years(plain(label.name), label.korean)
        if said:
            ages[group.name, label.name] = said
    return ages


def _years(name: str, korean: str) -> tuple[int, int] | None:
    """Years that a label's names say, from and below: 31~45세, over_60, 18세 미만."""
    numbers = [int(digits) for digits in re.findall(r"\d+", korean if "세" in korean else "")]
    if len(numbers) == 2:
        return numbers[0], numbers[1] + 1
    if len(numbers) != 1:
        return None
    is_lower = name.startswith("over") or "초과" in korean or "이상" in korean
    return (numbers[0], _OLDEST) if is_lower else (0, numbers[0] + ("이하" in korean))


def _covering(words: SchemaWords, ages: tuple[int, int]) -> tuple[LabelKey, ...]:
    lowest, above = ages
    least = _MOST_OF_AGES * (above - lowest)
    return tuple(key for key, (low, below) in words.ages.items() if min(above, below) - max(lowest, low) >= least)


def _denied(words: SchemaWords, keys: tuple[LabelKey, ...]) -> tuple[LabelKey, ...]:
    return tuple((group, name) for group, _ in keys for name in words.nothing_of(group))
