"""Classes are chosen and renamed, and attributes come into the words of a schema."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from districts.importing.annotated import Annotated, Box, Crop, Picture
from districts.importing.choice import Choice, choose
from domain.errors import InputError
from domain.schemas import read_schema

PICTURE = Path("a.jpg")
BOX = (0.0, 0.0, 1.0, 1.0)


def labelled(*labels: str) -> Annotated:
    return Annotated([Picture(PICTURE, tuple(Box(label, BOX) for label in labels))])


@pytest.mark.parametrize("name", ["person", "Pedestrian", "PEOPLE", "보행자", "사람"])
def test_people_are_known_by_their_usual_names(name: str) -> None:
    chosen = choose(labelled(name, "car"), Choice(), read_schema("suseong"))
    assert len(chosen.pictures[0].boxes) == 1
    assert chosen.notes == ["left out classes: car (1)"]


def test_classes_can_be_merged() -> None:
    choice = Choice(("person",), {"rider": "person", "Fußgänger": "person"})
    chosen = choose(labelled("rider", "Fußgänger", "car"), choice, read_schema("suseong"))
    assert len(chosen.pictures[0].boxes) == 2


def test_a_source_without_a_person_asks_which_classes_are_people() -> None:
    with pytest.raises(InputError, match=r"must be chosen: --classes NAME,…; the source has car \(2\), bus \(1\)"):
        choose(labelled("car", "car", "bus"), Choice(), read_schema("suseong"))


def words(
    attributes: Mapping[str, str], choice: Choice, schema: str = "suseong"
) -> tuple[Mapping[str, str], list[str]]:
    chosen = choose(Annotated(crops=[Crop(PICTURE, 1, attributes=attributes)]), choice, read_schema(schema))
    return chosen.crops[0].attributes, list(chosen.notes)


@pytest.mark.parametrize(
    ("attributes", "renamed", "schema", "expected"),
    [
        ({"gender": "Female"}, {}, "suseong", {"gender": "female"}),
        ({"gender": " 여성 "}, {}, "suseong", {"gender": "female"}),
        ({"성별": "F"}, {"성별": "gender", "F": "female"}, "suseong", {"gender": "female"}),
        (
            {"sex": "1", "backpack": "1"},
            {"sex": "gender", "sex.1": "male"},
            "market1501",
            {"gender": "male", "backpack": "present"},
        ),
        ({"hat": "false", "bag": "TRUE"}, {}, "market1501", {"hat": "absent", "bag": "present"}),
        ({"gender": ""}, {}, "suseong", {}),
    ],
)
def test_attributes_take_the_words_of_the_schema(
    attributes: dict[str, str], renamed: dict[str, str], schema: str, expected: dict[str, str]
) -> None:
    assert words(attributes, Choice((), renamed), schema) == (expected, [])


def test_what_the_schema_does_not_have_is_counted() -> None:
    known, notes = words({"gender": "robot", "mood": "glad", "hat": "perhaps"}, Choice(), "market1501")
    assert known == {}
    assert notes == [
        "left out, for the schema market1501 does not have them: gender=robot (1), mood (1), hat=perhaps (1)"
    ]
