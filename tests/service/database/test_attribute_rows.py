"""The narrow rows that a search by description reads, on a real database."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from domain.attribute_query import GroupQuery
from serving.database import queries, segments, tables
from serving.database.districts import add_cameras
from serving.database.partitions import drop_partition
from serving.database.store import Store
from serving.database.tracklet_filter import ALL_TRACKLETS, TrackletFilter
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, tracklet, unit_vectors

BAGS, HATS = ("none", "backpack"), ("none", "cap")
BACKPACK, CAP = {"bag": GroupQuery(BAGS[1:], BAGS)}, {"hat": GroupQuery(HATS[1:], HATS)}
LOOKS = unit_vectors(seed=0, number=8, feature=16)


def bag(backpack: float) -> dict[str, dict[str, float]]:
    return {"bag": {"none": 1 - backpack, "backpack": backpack}}


def add(store: Store, camera: int, day: int, *described: dict[str, dict[str, float]], model: str = "net-1") -> None:
    """A segment in which these were seen, a minute apart."""
    seconds = [86400 * day + 60 * number for number in range(len(described))]
    seen = [
        tracklet(number + 1, LOOKS[number], camera=camera, after_s=after_s, attributes=attributes)
        for number, (after_s, attributes) in enumerate(zip(seconds, described, strict=True))
    ]
    start = NOON + timedelta(days=day)
    segment = in_transaction(
        store, segments.register, "demo", CAMERAS[camera].id, "a.mp4", f"{camera}-{day}-{model}", start
    )
    store.add_segment(segment.id, seen, model, frames=9, end=start + timedelta(hours=1))


@pytest.fixture
def filled(store: Store) -> Store:
    """Cameras 0 and 1 on two days; hats are looked for on the second day only."""
    in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
    add(store, 0, 0, bag(0.9), bag(0.2))
    add(store, 1, 1, bag(0.7) | {"hat": {"none": 0.4, "cap": 0.6}}, {})
    return store


def found(
    store: Store, description: dict[str, GroupQuery], where: TrackletFilter = ALL_TRACKLETS
) -> list[tuple[str, int]]:
    """Camera and day of each, the best first."""
    ranked = in_transaction(store, queries.described, description, 9, where)
    return [(one.camera.id, (one.first_seen - NOON).days) for one in ranked]


def arrays(store: Store) -> list[list[int]]:
    table = tables.tracklet_attributes
    query = sa.select(table.c.probabilities).order_by(table.c.first_seen, table.c.camera_id)
    with store.begin() as connection:
        return list(connection.execute(query).scalars())


def test_labels_get_places_as_they_come_and_rows_are_as_long_as_their_own(filled: Store) -> None:
    table = tables.attribute_labels
    with filled.begin() as connection:
        rows = connection.execute(sa.select(table.c.group_name, table.c.label).order_by(table.c.place)).all()
    assert [tuple(row) for row in rows] == [
        ("bag", ""), ("bag", "backpack"), ("bag", "none"), ("hat", ""), ("hat", "cap"), ("hat", "none"),
    ]  # fmt: skip
    assert arrays(filled) == [
        [900_000, 900_000, 100_000],
        [800_000, 200_000, 800_000],
        [700_000, 700_000, 300_000, 600_000, 600_000, 400_000],
        [],
    ]


def test_rows_from_before_a_label_fit_it_least(filled: Store) -> None:
    ranked = in_transaction(filled, queries.described, CAP, 9)
    assert [each.get("hat", {}).get("cap") for each in in_transaction(filled, queries.attributes, ranked)] == [
        0.6,
        None,
        None,
        None,
    ]
    either = {"hat": GroupQuery(HATS[1:], HATS, or_unknown=True)}
    ranked = in_transaction(filled, queries.described, either, 9)
    assert [bool(each.get("hat")) for each in in_transaction(filled, queries.attributes, ranked)] == [
        True,
        False,
        False,
        False,
    ]


def test_a_label_is_sure_from_one_half_on(store: Store) -> None:
    in_transaction(store, add_cameras, "demo", CAMERAS, time_zone="UTC")
    three = ("none", "backpack", "handbag")
    sure = {"bag": {"none": 0.5, "backpack": 0.25, "handbag": 0.25}}
    unsure = {"bag": {"none": 0.499999, "backpack": 0.25, "handbag": 0.250001}}
    add(store, 0, 0, sure)
    add(store, 1, 0, unsure)
    asked = {"bag": GroupQuery(("backpack",), three, or_unknown=True)}
    assert [one.camera.id for one in in_transaction(store, queries.described, asked, 9)] == [
        "cam1",
        "cam0",
    ]  # of equal fit the first comes first
    assert [
        one.camera.id for one in in_transaction(store, queries.described, {"bag": GroupQuery(("backpack",), three)}, 9)
    ] == ["cam0", "cam1"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ALL_TRACKLETS, [("cam0", 0), ("cam1", 1), ("cam0", 0), ("cam1", 1)]),
        (TrackletFilter(cameras=[("demo", "cam1")]), [("cam1", 1), ("cam1", 1)]),
        (TrackletFilter(cameras=[("other", "cam1")]), []),
        (TrackletFilter(since=NOON + timedelta(hours=3)), [("cam1", 1), ("cam1", 1)]),
        (TrackletFilter(until=NOON + timedelta(seconds=30)), [("cam0", 0)]),
    ],
)
def test_filters_hold_for_descriptions_too(
    filled: Store, where: TrackletFilter, expected: list[tuple[str, int]]
) -> None:
    assert found(filled, BACKPACK, where) == expected


def test_what_is_removed_takes_its_row_with_it(filled: Store) -> None:
    with filled.begin() as connection:
        drop_partition(connection, NOON.date())
    assert found(filled, BACKPACK) == [("cam1", 1), ("cam1", 1)]
    assert len(arrays(filled)) == 2
    with filled.begin() as connection:
        connection.execute(sa.delete(tables.segments))
    assert arrays(filled) == []
