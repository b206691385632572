"""Sentences that are read into conditions, and their figures on the kept sentences."""

import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from domain.foreign_files import read_yaml
from domain.schemas import read_schema
from serving.search.words.reader import Reading, reader_of
from tests.helpers.project import ROOT

NOW = datetime(2026, 5, 1, 18, 0, tzinfo=ZoneInfo("Asia/Seoul"))
SENTENCES = ROOT.parent / "shared" / "words.yaml"
FIRST = 33  # of the sentences, from which the rules were made


def read(sentence: str, schema: str = "suseong") -> Reading:
    return reader_of(read_schema(schema)).read(sentence, NOW)


def said(sentence: str, schema: str = "suseong") -> dict[str, str]:
    """`group: is` and `group: !is_not`, labels in the order of the schema."""
    return {
        one.group: "|".join([*one.is_, *(f"!{label}" for label in one.is_not)])
        for one in read(sentence, schema).conditions
    }


@pytest.mark.parametrize(
    ("sentence", "conditions"),
    [
        pytest.param(
            "빨간 패딩 입은 남자아이, 배낭, 시장 근처 네 시쯤",
            {"gender": "male", "age": "child", "upper_type": "coat", "upper_colour": "red", "bag": "backpack"},
            id="the sentence of the page",
        ),
        pytest.param(
            "red coat, blue trousers",
            {"upper_type": "coat", "upper_colour": "red", "lower_type": "long_trousers", "lower_colour": "blue"},
            id="each colour with its garment",
        ),
        pytest.param(
            "상의 흰색 하의 검은색 신발 빨강",
            {"upper_colour": "white", "lower_colour": "black", "shoe_colour": "red"},
            id="colours after their garments",
        ),
        pytest.param("the coat was blue", {"upper_type": "coat", "upper_colour": "blue"}, id="colour as predicate"),
        pytest.param("모자 안 씀, 가방은 없었어요", {"headwear": "none", "bag": "none"}, id="nothing worn, Korean"),
        pytest.param("no hat, without glasses", {"headwear": "none", "eyewear": "none"}, id="nothing worn, English"),
        pytest.param("no helmet", {"headwear": "!helmet"}, id="a kind denied may be another kind"),
        pytest.param(
            "치마 아니고 검은 바지", {"lower_type": "long_trousers|!skirt", "lower_colour": "black"}, id="denied"
        ),
        pytest.param("가방을 하나 들었어요", {"bag": "!none"}, id="any bag"),
        pytest.param("maybe a hat, not sure", {"headwear": "hat|none"}, id="doubt"),
        pytest.param(
            "either a red or an orange dress", {"upper_type": "one_piece", "upper_colour": "red|orange"}, id="or"
        ),
        pytest.param("a blue coat, no wait, a black coat", {"upper_type": "coat", "upper_colour": "black"}, id="slip"),
        pytest.param(
            "빨간 모자 쓴 아저씨랑 같이 있던 여자아이", {"gender": "female", "age": "child"}, id="somebody else"
        ),
        pytest.param(
            "he's got a skirt, either grey or black",
            {"gender": "male", "lower_type": "skirt", "lower_colour": "black|grey"},
            id="colours later",
        ),
        pytest.param("가방을 멨는데 색은 모르겠어요", {"bag": "!none"}, id="doubt about a colour"),
        pytest.param("a man approx 40", {"gender": "male", "age": "middle_aged"}, id="age about"),
        pytest.param("80대", {"age": "elderly"}, id="decade"),
        pytest.param("일흔여덟 살", {"age": "elderly"}, id="age in words"),
        pytest.param("she's in her late thirties", {"gender": "female", "age": "young_adult"}, id="late thirties"),
        pytest.param(
            "검은 티 위에 회색 점퍼", {"upper_type": "coat", "upper_colour": "grey"}, id="the coat hides the rest"
        ),
        pytest.param("네 여보세요 거기 112죠?", {}, id="a greeting"),
        pytest.param("이름은 모르고 귀가 안 들려요", {}, id="nothing that a label says"),
        pytest.param("시간이 얼마 안 남았어요, 모자라지 않아요, 안경점이에요", {}, id="words within others"),
        pytest.param("", {}, id="empty"),
    ],
)
@pytest.mark.slow
def test_what_a_sentence_says(sentence: str, conditions: dict[str, str]) -> None:
    assert said(sentence) == conditions


@pytest.mark.parametrize(
    ("sentence", "colour"),
    [
        ("빨간 거 입었어요", "red"),
        ("파란색을 입고 있었어요", "blue"),
        ("옷이 까매요", "black"),
        ("윗도리가 하얘요", "white"),
        ("푸르스름한 점퍼", "blue"),
        ("불그스름한 잠바를 입었어요", "red"),
        ("티가 누르스름했어요", "yellow"),
        ("점퍼 색은 회색이었어요", "grey"),
        ("청자켓을 입은", "blue"),
        ("연핑크 니트", "pink"),
        ("초코색 코트", "brown"),
        ("바지는 검은 거 입고", None),
        ("빨간 거 신었어요", None),
        ("검은 것을 들고 있었어요", None),
        ("He was in black", "black"),
        ("wearing blue.", "blue"),
        ("a purplish jumper", "purple"),
        ("wearing blue jeans", None),
        ("in red shoes", None),
    ],
)
def test_the_colour_of_the_upper_garment(sentence: str, colour: str | None) -> None:
    assert said(sentence).get("upper_colour") == colour


@pytest.mark.parametrize(
    ("schema", "sentence", "conditions"),
    [
        ("pa100k", "남자, 백팩, 안경 없음", {"female": "absent", "backpack": "present", "glasses": "absent"}),
        ("pa100k", "no handbag", {"handbag": "absent"}),
        ("pa100k", "an old lady with a handbag", {"female": "present", "age": "over_60", "handbag": "present"}),
        ("peta", "a man in jeans and a T-shirt, no hat", {"male": "present", "jeans": "present", "hat": "absent"}),
        ("market1501", "긴 머리 여자, 반바지", {"gender": "female", "hair": "long"}),
    ],
)
def test_other_schemas_are_read_by_their_own_names(schema: str, sentence: str, conditions: dict[str, str]) -> None:
    assert conditions.items() <= said(sentence, schema).items()


@pytest.mark.parametrize(
    ("sentence", "words", "since", "until"),
    [
        ("네 시쯤", "네 시쯤", datetime(2026, 5, 1, 15, 30), datetime(2026, 5, 1, 16, 30)),
        ("about four, red coat", "about four", datetime(2026, 5, 1, 15, 30), datetime(2026, 5, 1, 16, 30)),
        ("어제 저녁에 봤어요", "어제 저녁에", datetime(2026, 4, 30, 17), datetime(2026, 4, 30, 21)),
        ("어제 밤 11시", "어제 밤 11시", datetime(2026, 4, 30, 22, 30), datetime(2026, 4, 30, 23, 30)),
        ("at half past three in the afternoon", None, datetime(2026, 5, 1, 15, 0), datetime(2026, 5, 1, 16, 0)),
        ("20분 전에", "20분 전에", datetime(2026, 5, 1, 17, 10), datetime(2026, 5, 1, 18, 0)),
        ("14:20", "14:20", datetime(2026, 5, 1, 13, 50), datetime(2026, 5, 1, 14, 50)),
        ("아까 봤어요", "아까", None, None),
    ],
)
def test_times_are_windows_at_the_clocks_of_the_cameras(
    sentence: str, words: str | None, since: datetime | None, until: datetime | None
) -> None:
    reading = read(sentence)
    assert words is None or reading.time == words
    assert reading.since == (since and since.replace(tzinfo=NOW.tzinfo))
    assert reading.until == (until and until.replace(tzinfo=NOW.tzinfo))


@pytest.mark.parametrize(
    ("sentence", "place"),
    [
        ("시장 근처에서 봤어요", "시장 근처"),
        ("초등학교 앞 문구점에서 놓쳤어요", "초등학교 앞 문구점"),
        ("outside the bakery", "outside the bakery"),
        ("할머니 옆에 있던 아이", None),
        ("오른쪽 볼에 점", None),
    ],
)
def test_places(sentence: str, place: str | None) -> None:
    assert read(sentence).place == place


@pytest.mark.parametrize(
    ("sentence", "unused"),
    [
        ("베이지 코트에 지팡이 짚은 할아버지", "베이지"),
        ("walks with a stick, grey coat", "walks with a stick"),
        ("빨강 모자", "빨강"),
    ],
)
def test_what_no_label_says_is_told_to_be_unused(sentence: str, unused: str) -> None:
    assert unused in " ".join(read(sentence).unused)


@pytest.mark.parametrize(
    "repeated", ["1", "시 ", "역 ", "빨간", "a ", "네", " ", "\n", "- ", "-", "x", ",red ", "정문a", "mid- "]
)
def test_no_sentence_takes_long(repeated: str) -> None:
    read("a red coat")
    began = time.process_time()
    read((repeated * 500)[:500])  # while an expression is matched, nothing else runs in the service
    assert time.process_time() - began < 2


def test_names_of_many_cameras_take_no_time() -> None:
    names = [f"Street {number} corner {7 * number}" for number in range(5000)]
    began = time.process_time()
    reading = reader_of(read_schema("suseong")).read("a red coat near street 77 corner 539", NOW, names)
    assert (reading.place, time.process_time() - began < 1) == ("street 77 corner 539", True)


@pytest.mark.slow
def test_the_first_sentences_are_read_as_their_callers_meant() -> None:
    if not SENTENCES.is_file():
        pytest.skip(f"the kept sentences are not here: {SENTENCES}")
    right = read_conditions = meant = 0
    for entry in read_yaml(Path(SENTENCES))[:FIRST]:
        got = {(one.group, frozenset(one.is_), frozenset(one.is_not)) for one in read(entry["text"]).conditions}
        want = {
            (group, frozenset(labels.get("is", ())), frozenset(labels.get("is_not", ())))
            for group, labels in entry["conditions"].items()
        }
        right, read_conditions, meant = right + len(got & want), read_conditions + len(got), meant + len(want)
    assert right / read_conditions >= 0.98
    assert right / meant >= 0.98
