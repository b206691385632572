"""Splits are by time within a sequence and by identity, never across."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from districts.importing.annotated import Picture
from districts.importing.crop_sets import Sample, attribute_splits, place_people
from districts.importing.splits import Shares, split_people, split_pictures
from districts.layout import SPLITS, Split
from domain.errors import InputError


def frames(folder: str, count: int, split: Split | None = None, form: str = "f{}.jpg") -> list[Picture]:
    return [Picture(Path(folder, form.format(number)), (), split) for number in range(count)]


def numbers(pictures: list[Picture], folder: str) -> dict[Split, list[int]]:
    found: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for picture in pictures:
        if picture.file.parent.name == folder and picture.split is not None:
            found[picture.split].append(int("".join(filter(str.isdigit, picture.file.stem.split("-")[-1]))))
    return {split: sorted(each) for split, each in found.items()}


@given(st.integers(10, 400), st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.0, 0.5), (0.9, 0.05, 0.05), (0.1, 0.8, 0.1)]))
@pytest.mark.slow
def test_neighbouring_frames_are_never_in_two_splits(count: int, shares: tuple[float, float, float]) -> None:
    pictures, _ = split_pictures(frames("a", count), Shares(*shares))
    split_of = {int(picture.file.stem[1:]): picture.split for picture in pictures}
    for number, split in split_of.items():
        assert split_of.get(number + 1, split) == split
    found = numbers(pictures, "a")
    assert max(found["train"], default=-1) < min(found["val"] or found["test"])
    assert len(pictures) >= count - 2 * max(1, round(0.02 * count))


def test_each_sequence_is_cut_by_itself() -> None:
    several = frames("a", 20) + frames("b", 20) + frames("a", 20, form="other-{}.png")
    pictures, notes = split_pictures(several, Shares())
    assert all(numbers(pictures, "b")[split] for split in SPLITS)
    others = [picture.split for picture in pictures if picture.file.stem.startswith("other")]
    assert others.count("train") == 13
    assert [note.partition("; ")[2] for note in notes] == ["6 pictures beside the cuts are left out"]


def test_short_sequences_stay_whole() -> None:
    several = [picture for folder in "abcdefghij" for picture in frames(folder, 3)]
    pictures, _ = split_pictures(several, Shares())
    splits = {
        folder: {picture.split for picture in pictures if picture.file.parent.name == folder} for folder in "abcdefghij"
    }
    assert all(len(each) == 1 for each in splits.values())
    counts = [sum(picture.split == split for picture in pictures) for split in SPLITS]
    assert counts == [21, 6, 3] or counts == [21, 3, 6] or counts == [24, 3, 3]


@pytest.mark.parametrize("count", range(3, 10))
def test_few_pictures_are_in_every_split(count: int) -> None:
    several = [picture for number in range(count) for picture in frames(f"p{number}", 1)]
    assert {picture.split for picture in split_pictures(several, Shares())[0]} == set(SPLITS)


def test_missing_splits_are_cut_from_those_that_the_source_has() -> None:
    pictures, notes = split_pictures([*frames("a", 100, "train"), *frames("b", 10, "val")], Shares())
    assert len(numbers(pictures, "b")["val"]) == 10
    found = numbers(pictures, "a")
    assert (found["val"], len(found["test"])) == ([], 18)  # 15 of the 85 % that are not for validation
    assert notes == ["the source has no test: cut by time from its train; 2 pictures beside the cuts are left out"]
    only, _ = split_pictures(frames("a", 100, "test"), Shares())
    assert all(numbers(only, "a")[split] for split in SPLITS)


def test_splits_of_the_source_are_kept_and_what_is_in_none_is_left_out() -> None:
    three = [picture for split in SPLITS for picture in frames(split, 2, split)]
    pictures, notes = split_pictures([*three, *frames("none", 4)], Shares())
    assert pictures == three
    assert notes == ["4 pictures are in no split of the source; left out"]


def test_people_are_split_the_same_in_each_run_and_by_their_shares() -> None:
    splits = split_people(range(1, 101), Shares())
    assert [list(splits.values()).count(split) for split in SPLITS] == [70, 15, 15]
    assert splits == split_people(reversed(range(1, 101)), Shares())
    assert [number for number, split in splits.items() if split == "test"] != list(range(86, 101))


def sample(identity: int | None, camera: str = "c1", **more: object) -> Sample:
    return Sample(identity, camera, lambda _: None, **more)  # type: ignore[arg-type]


def test_a_query_leaves_a_crop_of_its_camera_where_there_is_one() -> None:
    crops = [sample(identity, camera) for identity in range(1, 11) for camera in ("c1", "c1", "c2")]
    placed, _ = place_people(crops, Shares(0.1, 0, 0.9))
    tested = {each.identity for each in placed if each.part == "query"}
    assert len(tested) == 9
    for identity in tested:
        parts = sorted((each.camera, str(each.part)) for each in placed if each.identity == identity)
        assert parts == [("c1", "bounding_box_test"), ("c1", "query"), ("c2", "bounding_box_test")]


def test_people_whom_one_camera_saw_are_no_queries() -> None:
    placed, _ = place_people([sample(identity, "c1") for identity in (1, 1, 2, 2, 3, 3)], Shares(0.3, 0, 0.7))
    assert {each.part for each in placed} == {"bounding_box_train", "bounding_box_test"}


def test_a_test_set_without_queries_gives_some_up_and_junk_stays() -> None:
    crops = [sample(number, "c1", part="bounding_box_train") for number in (1, 1, 2, 2)]
    crops += [
        sample(number, camera, part="bounding_box_test") for number in (-1, 0, 9) for camera in ("c1", "c1", "c2")
    ]
    placed, notes = place_people(crops, Shares())
    queries = [each.identity for each in placed if each.part == "query"]
    assert queries == [9]
    assert sum(each.part == "bounding_box_val" for each in placed) == 2
    assert any("the source has no queries: 1 test crops become queries" in note for note in notes)


def test_an_identity_in_two_splits_of_the_source_is_refused() -> None:
    crops = [sample(4, "c1", part="bounding_box_train"), sample(4, "c2", part="query")]
    with pytest.raises(InputError, match="identity 4 must be in one split of the source, got train and test"):
        place_people(crops, Shares())


def test_attributes_are_split_as_their_people_are() -> None:
    placed, _ = place_people([sample(n, attributes={"gender": "male"}) for n in range(1, 11) for _ in "ab"], Shares())
    unknown = [sample(None, attributes={"gender": "male"}) for _ in range(10)]
    splits = attribute_splits([*placed, *unknown, sample(0, attributes={"gender": "male"}), sample(3)], Shares())
    for split in SPLITS:
        parts = {str(each.part) for each in splits[split] if each.identity is not None}
        assert parts <= {"train": {"bounding_box_train"}, "val": {"bounding_box_val"}}.get(
            split, {"query", "bounding_box_test"}
        )
    assert [sum(each.identity is None for each in splits[split]) for split in SPLITS] == [6, 2, 2]
    assert sum(map(len, splits.values())) == 30
