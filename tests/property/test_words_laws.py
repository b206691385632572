"""Laws of reading a sentence, for every attribute schema of the project and for one that it does not know."""

import re
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attributes import AttributeSchema, Group, Label
from domain.schemas import read_schema
from serving.search.words.reader import Reading, reader_of

BLANKS = re.compile(r"\s+")  # are read as one
NOW = datetime(2026, 5, 1, 18, 0, tzinfo=UTC)
SCHEMAS = {name: read_schema(name) for name in ("suseong", "suseong_no_colour", "market1501", "pa100k", "peta")}
SCHEMAS["own"] = AttributeSchema(
    name="own",
    groups=(
        Group(
            name="neckwear",
            english="neckwear",
            korean="목 착용물",
            labels=(
                Label(name="necktie", korean="넥타이"),
                Label(name="shawl", korean="숄두름"),
                Label(name="none", korean="없음", absent=True),
            ),
        ),
        Group(
            name="hat_colour",
            english="colour of the hat",
            korean="모자 색상",
            colour=True,
            labels=(Label(name="red", korean="빨강"), Label(name="teal", korean="청록")),
        ),
    ),
)
LABELS = [(name, group, label) for name, schema in SCHEMAS.items() for group in schema.groups for label in group.labels]
DESCRIPTIONS = [
    ("빨간 점퍼", "upper_colour", "red"),
    ("검은 치마", "lower_type", "skirt"),
    ("흰 운동화", "shoe_colour", "white"),
    ("a green coat", "upper_type", "coat"),
    ("blue trousers", "lower_colour", "blue"),
    ("a backpack", "bag", "backpack"),
    ("80대", "age", "elderly"),
]


def read(sentence: str, schema: str = "suseong") -> Reading:
    return reader_of(SCHEMAS[schema]).read(sentence, NOW)


def said(reading: Reading) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {one.group: (one.is_, one.is_not) for one in reading.conditions}


@pytest.mark.parametrize(
    ("schema", "group", "label"), [pytest.param(*one, id=f"{one[0]}-{one[1].name}-{one[2].name}") for one in LABELS]
)
def test_each_label_is_found_by_its_own_name_in_both_languages(schema: str, group: Group, label: Label) -> None:
    for sentence in (f"{group.english} {label.name.replace('_', ' ')}", f"{group.korean} {label.korean}"):
        assert said(read(sentence, schema)).get(group.name) == ((label.name,), ()), sentence


@given(st.lists(st.sampled_from(DESCRIPTIONS), min_size=1, max_size=5, unique_by=lambda one: one[1]), st.randoms())
def test_the_order_of_the_parts_does_not_matter(parts: list[tuple[str, str, str]], random: Random) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)
    conditions = said(read(", ".join(text for text, _, _ in parts)))
    assert said(read(", ".join(text for text, _, _ in shuffled))) == conditions


@given(
    st.lists(st.sampled_from(DESCRIPTIONS), min_size=1, max_size=4, unique_by=lambda one: one[1]),
    st.sampled_from(["  ", "   ", "\t"]),
)
def test_more_blanks_change_nothing(parts: list[tuple[str, str, str]], blank: str) -> None:
    sentence = ", ".join(text for text, _, _ in parts)
    assert said(read(sentence.replace(" ", blank))) == said(read(sentence))
    assert said(read(f"{blank}{sentence}{blank}")) == said(read(sentence))


@given(st.text(max_size=200))
def test_any_text_is_read_and_what_is_said_stands_in_it(text: str) -> None:
    reading, text = read(text), BLANKS.sub(lambda blanks: "\n" if "\n" in blanks[0] else " ", text)
    for condition in reading.conditions:
        assert condition.is_ or condition.is_not
        assert all(words in text for words in condition.words)
    assert all(words in text for words in reading.unused)
    assert reading.time is None or reading.time in text
    assert reading.place is None or reading.place in text


@given(st.text(alphabet="0123456789 .,!?-+=/()[]{}<>#%&", max_size=60))
def test_nothing_is_invented_of_signs(text: str) -> None:
    assert set(said(read(text))) <= {"age", "time"}
