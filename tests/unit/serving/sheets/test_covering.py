"""Others are covered, and the person is not."""

import numpy as np
import pytest

from serving.sheets.covering import GREY, cover_others, overlap

PICTURE = np.random.default_rng(0).integers(0, 100, (100, 200, 3)).astype(np.uint8)  # nowhere grey
PERSON = np.array([60.0, 20, 90, 80])
BESIDE = np.array([120.0, 20, 150, 80])


def covered_at(picture: np.ndarray) -> np.ndarray:
    return (picture == GREY).all(axis=2)


def test_others_are_covered_with_room_and_the_rest_is_as_it_was() -> None:
    covered = cover_others(PICTURE, PERSON, [BESIDE], [np.array([10.0, 10, 20, 40])])
    grey = covered_at(covered)
    assert grey[20:80, 120:150].all()
    assert grey[10:40, 10:20].all()
    assert grey[50, 117], "a box is widened, for it may be off"
    assert not grey[20:80, 60:90].any()
    assert (covered[~grey] == PICTURE[~grey]).all()
    assert grey.mean() < 0.2
    assert not covered_at(PICTURE).any(), "the picture itself is left alone"


@pytest.mark.parametrize(
    ("lower_px", "is_tracked", "is_kept"),
    [
        pytest.param(-5, True, True, id="stands behind"),
        pytest.param(0, True, True, id="stands beside"),
        pytest.param(10, True, False, id="stands in front"),
        pytest.param(10, False, True, id="a detector says so alone"),
    ],
)
def test_who_stands_in_front_is_covered_where_both_overlap(lower_px: float, is_tracked: bool, is_kept: bool) -> None:
    other = PERSON + np.array([15, lower_px, 15, lower_px])
    grey = covered_at(cover_others(PICTURE, PERSON, *([[other], []] if is_tracked else [[], [other]])))
    assert grey[40, 95]
    assert grey[40, 80] != is_kept
    assert not grey[40, 65]


def test_of_a_person_beside_them_who_is_tracked_the_half_that_is_nearer_is_covered() -> None:
    for aside, theirs, own in ((20, 88, 82), (-20, 61, 68)):
        beside = PERSON + np.array([aside, 0, aside, 0])
        grey = covered_at(cover_others(PICTURE, PERSON, [beside], []))
        assert grey[40, theirs]
        assert not grey[40, own], "nearer to the middle of the person"
        assert not covered_at(cover_others(PICTURE, PERSON, [], [beside]))[40, theirs], "a detector may be wrong"


def test_a_second_box_round_the_person_covers_nothing() -> None:
    twice = PERSON + np.array([-2, -1, 3, 4])
    assert overlap(twice, PERSON) > 0.7
    assert not covered_at(cover_others(PICTURE, PERSON, [twice], [twice])).any()


def test_boxes_that_leave_the_picture_are_cut() -> None:
    grey = covered_at(
        cover_others(PICTURE, PERSON, [np.array([-50.0, -50, 10, 300]), np.array([195.0, 90, 400, 400])], [])
    )
    assert grey[:, :10].all()
    assert grey[90:, 195:].all()
