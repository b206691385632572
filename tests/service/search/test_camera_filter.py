"""Selection of cameras by name and area, on a real database."""

from collections.abc import Iterator

import pytest

from domain.errors import InputError
from serving.database import queries
from serving.database.store import Store, open_store
from serving.database.tracklet_filter import TrackletFilter
from serving.search.camera_filter import Area, select_cameras
from serving.search.coverage import coverage_of
from tests.helpers.sightings import CAMERAS, NOON, tracklet, unit_vectors

AROUND_GATE_1 = {"latitude": 35.851, "longitude": 128.6}  # cameras stand 111.19 m apart


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two districts whose cameras have the same ids; those of `park` are 11 km further east. Each saw one person."""
    [look] = unit_vectors(seed=0, number=1, feature=16)
    in_park = [camera.model_copy(update={"longitude": 128.72}) for camera in CAMERAS[:2]]
    with open_store(tmp_path_factory.mktemp("places") / "store") as opened:
        opened.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, look)])
        opened.replace_sightings("park", in_park, "net-1", [tracklet(1, look)])
        yield opened


@pytest.mark.parametrize(
    ("names", "area", "expected"),
    [
        pytest.param(None, None, None, id="all"),
        pytest.param(["park/cam0"], None, [("park", "cam0")], id="one of two with the same id"),
        pytest.param(["park/cam0", "demo/cam2"], None, [("demo", "cam2"), ("park", "cam0")], id="of two districts"),
        pytest.param(None, Area(**AROUND_GATE_1, radius_m=50), [("demo", "cam1")], id="around one"),
        pytest.param(None, Area(**AROUND_GATE_1, radius_m=111), [("demo", "cam1")], id="just not the next"),
        pytest.param(
            None,
            Area(**AROUND_GATE_1, radius_m=111.2),
            [("demo", "cam0"), ("demo", "cam1"), ("demo", "cam2")],
            id="just the next",
        ),
        pytest.param(["demo/cam2", "park/cam1"], Area(**AROUND_GATE_1, radius_m=200), [("demo", "cam2")], id="both"),
    ],
)
def test_cameras_are_selected_by_name_and_area(
    store: Store, names: list[str] | None, area: Area | None, expected: list[tuple[str, str]] | None
) -> None:
    assert select_cameras(store, names, area) == expected


@pytest.mark.parametrize(
    ("names", "area", "message"),
    [
        (["cam1"], None, r"by district and id, such as (demo|park)/cam1, (demo|park)/cam1, .*, got 'cam1'"),
        (["demo/cam1", "prak/cam1", "x"], None, r"by district and id, such as park/cam1, .*, got 'prak/cam1', 'x'"),
        ([""], None, "got ''"),
        ([], None, "by district and id, such as .*, got none"),
        (["x" * 10**6], None, "by district and id"),
        (
            None,
            Area(latitude=35.86, longitude=128.6, radius_m=500),
            "a radius of 500 m; the nearest camera, demo/cam2, is 890 m",
        ),
        (
            ["park/cam1"],
            Area(**AROUND_GATE_1, radius_m=500),
            "the nearest camera, park/cam1, is 10815 m from the centre",
        ),
        (None, Area(latitude=-35.85, longitude=-51.4, radius_m=1), "is 200[0-9]{5} m"),
    ],
)
def test_without_a_camera_the_error_names_near_ones(
    store: Store, names: list[str] | None, area: Area | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        select_cameras(store, names, area)


def test_of_two_cameras_with_one_id_only_the_named_one_is_searched_and_covered(store: Store) -> None:
    [look] = unit_vectors(seed=0, number=1, feature=16)
    both = queries.nearest(store.engine, look, "net-1", 5, TrackletFilter([("demo", "cam0"), ("park", "cam0")]))
    assert sorted(one.district for one in both) == ["demo", "park"]
    assert [
        one.district for one in queries.nearest(store.engine, look, "net-1", 5, TrackletFilter([("park", "cam0")]))
    ] == ["park"]
    assert (
        queries.nearest(store.engine, look, "net-1", 5, TrackletFilter([("park", "cam1"), ("demo", "cam2")])) == []
    )  # no pair mixes the two lists
    found = coverage_of(store, "net-1", [("park", "cam0")], since=NOON)
    assert [(one.district, one.camera_id, len(one.searched)) for one in found.cameras] == [("park", "cam0", 1)]
