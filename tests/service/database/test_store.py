import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from domain.attribute_query import GroupQuery
from domain.errors import ArtifactError, InputError
from domain.model_card import EngineFile, ModelCard
from serving.database import audit, queries, segments, tables
from serving.database.districts import StoredDistrict, stored_districts
from serving.database.holds import require_no_hold
from serving.database.store import Store, open_store
from serving.database.tracklet_filter import TrackletFilter
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, put_into_case, tracklet, unit_vectors


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("sightings") / "store") as opened:
        yield opened


@pytest.fixture
def filled(store: Store) -> tuple[Store, np.ndarray]:
    """Thirty tracklets, ten a camera, one every ten seconds."""
    embeddings = unit_vectors(seed=0, number=30, feature=16)
    found = [tracklet(i + 1, embeddings[i], camera=i % 3, after_s=10 * i) for i in range(30)]
    store.replace_sightings("demo", CAMERAS, "net-1", found)
    return store, embeddings


def rows(store: Store) -> list[tuple[object, ...]]:
    """All tracklets, but for the segment, which replaced ones get anew."""
    table = tables.tracklets
    columns = [column for column in table.c if column.name not in {"segment_id", "crop"}]
    with store.begin() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(table.c.district, table.c.id))]


def crops(store: Store) -> set[int]:
    """Tracklets of the demo whose crops there are."""
    return {int(file.stem) for file in (store.folder / "crops" / "demo").rglob("*.jpg")}


def test_districts_keep_their_tracklets_cameras_and_time_zone(tmp_path: Path) -> None:
    embeddings = unit_vectors(seed=0, number=4, feature=16)
    with open_store(tmp_path / "store") as store:
        found = [tracklet(i + 1, embeddings[i], after_s=10 * i) for i in range(4)]
        store.replace_sightings("demo", CAMERAS, "net-1", found, time_zone="Asia/Seoul")
        store.replace_sightings("other", CAMERAS[:1], "net-1", found[:1])
        ids = [("demo", 3), ("other", 1), ("other", 3), ("demo", 2)]
        assert [(one.district, one.id) for one in in_transaction(store, queries.tracklets, ids)] == [
            ("other", 1),
            ("demo", 2),
            ("demo", 3),
        ]
        assert in_transaction(store, queries.tracklets, []) == []
        assert in_transaction(store, stored_districts) == [
            StoredDistrict("demo", "Asia/Seoul", CAMERAS),
            StoredDistrict("other", "UTC", CAMERAS[:1]),
        ]


def test_nearest_equals_a_search_over_all(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    query = unit_vectors(seed=1, number=1, feature=16)[0]
    wanted = (np.argsort(1 - embeddings @ query, kind="stable") + 1)[:5].tolist()
    assert [one.id for one in queries.nearest(store.engine, query, "net-1", 5)] == wanted
    assert [one.id for one in queries.nearest(store.engine, -query, "net-1", 5)] != wanted  # the comparison can fail


def test_a_stored_tracklet_comes_back_as_it_was(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    found = queries.nearest(store.engine, embeddings[4], "net-1", 1)[0]
    assert (found.id, found.camera) == (5, CAMERAS[1])
    assert (found.first_seen, found.last_seen) == (NOON + timedelta(seconds=40), NOON + timedelta(seconds=45))
    np.testing.assert_allclose(found.embedding, embeddings[4], atol=1e-3)
    crop = np.asarray(Image.open(BytesIO(store.crops.read(found.crop))))
    assert abs(int(crop.mean()) - 5) <= 2


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        pytest.param(TrackletFilter(cameras=[("demo", "cam1")]), {2, 5, 8, 11, 14, 17, 20, 23, 26, 29}, id="camera"),
        pytest.param(TrackletFilter(cameras=[("other", "cam1")]), set(), id="camera of another district"),
        pytest.param(TrackletFilter(cameras=[]), set(), id="no camera"),
        pytest.param(TrackletFilter(until=NOON + timedelta(seconds=10)), {1, 2}, id="begins exactly at the end"),
        pytest.param(TrackletFilter(since=NOON + timedelta(seconds=285)), {29, 30}, id="ends exactly at the begin"),
    ],
)
def test_filters_of_the_search(filled: tuple[Store, np.ndarray], where: TrackletFilter, wanted: set[int]) -> None:
    store, embeddings = filled
    assert {one.id for one in queries.nearest(store.engine, embeddings[0], "net-1", 30, where)} == wanted


def test_replacing_twice_leaves_the_same(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    before = rows(store)
    store.replace_sightings(
        "demo", CAMERAS, "net-1", [tracklet(i + 1, embeddings[i], camera=i % 3, after_s=10 * i) for i in range(30)]
    )
    assert rows(store) == before
    store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, embeddings[0])])
    assert len(rows(store)) == 1
    assert crops(store) == {1}


def test_a_failed_replacement_changes_nothing(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    before = rows(store)
    broken = replace(tracklet(1, embeddings[0]), crops=[])  # comes to light when the old rows are deleted
    with pytest.raises(IndexError):
        store.replace_sightings("demo", CAMERAS, "net-2", [broken])
    assert rows(store) == before
    assert crops(store) == set(range(1, 31))


def test_sightings_under_a_legal_hold_are_not_replaced_until_it_is_lifted(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    put_into_case(store, "demo", [3], legal_hold=True)
    before = rows(store)
    with pytest.raises(InputError, match=r"got the cases \d+ \(Red coat\); lift the hold"):
        store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, embeddings[0])])
    with pytest.raises(InputError, match="lift the hold"):
        in_transaction(store, require_no_hold, "demo")
    in_transaction(store, require_no_hold, "other")
    assert rows(store) == before
    assert crops(store) == set(range(1, 31))
    with store.begin() as connection:
        connection.execute(sa.update(tables.cases).values(legal_hold=False))
    store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, embeddings[0])])
    assert len(rows(store)) == 1


def test_cases_without_a_hold_lose_the_sightings_that_are_replaced(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    put_into_case(store, "demo", [1, 3], legal_hold=False)
    with store.begin() as connection:
        given = {"case_id": 1, "district": "demo", "tracklet_id": 2, "verdict": "rejected", "account": "kim"}
        connection.execute(sa.insert(tables.verdicts), [given, given | {"district": "other"}])
    in_transaction(store, segments.open_gap, "demo", "cam0", NOON, "no answer")
    store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, embeddings[0])])
    removed = {"tracklets": 30, "verdicts": 1, "segments": 3, "gaps": 1}
    with store.begin() as connection:
        *_, record = audit.records(connection)
        assert record.action == "replacement"
        assert record.details.items() >= {"district": "demo", **removed}.items()
        assert len(record.details["cases"]) == 1
        assert "Red coat" in connection.execute(sa.select(tables.cases.c.title)).scalars().all()
        assert connection.execute(sa.select(tables.case_sightings)).all() == []  # tracklet 1 may be somebody else now
    with store.begin() as connection:
        assert connection.execute(sa.select(tables.verdicts.c.district)).scalars().all() == ["other"]


def test_a_model_with_another_length_of_embedding_replaces_the_first(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    longer = unit_vectors(seed=2, number=3, feature=24)
    store.replace_sightings("demo", CAMERAS, "net-2", [tracklet(i + 1, longer[i]) for i in range(3)])
    assert [one.id for one in queries.nearest(store.engine, longer[2], "net-2", 1)] == [3]
    assert queries.nearest(store.engine, embeddings[0], "net-1", 5) == []
    assert queries.reason_not_ready(store.engine, "net-2") is None
    assert queries.nothing_processed(store.engine, "net-2") is None
    assert queries.reason_not_ready(store.engine, "net-1") is None
    assert "by the model net-1 before a search finds anybody, it is processed only by net-2" in (
        queries.nothing_processed(store.engine, "net-1") or ""
    )


def test_districts_do_not_disturb_each_other(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    store.replace_sightings("other", CAMERAS[:1], "net-1", [tracklet(1, embeddings[7])])
    assert len(rows(store)) == 31
    assert [
        one.camera.id
        for one in queries.nearest(store.engine, embeddings[7], "net-1", 1, TrackletFilter([("other", "cam0")]))
    ] == ["cam0"]
    assert [len(district.cameras) for district in in_transaction(store, stored_districts)] == [3, 1]
    store.replace_sightings("other", CAMERAS[:1], "net-1", [])
    assert len(rows(store)) == 30


def test_words_find_whom_they_describe_best(store: Store) -> None:
    embeddings = unit_vectors(seed=3, number=3, feature=16)
    bags = [{"bag": {"none": 1 - p, "backpack": p}, "age": {"child": 0.5}} for p in (0.2, 0.9, 0.5)]
    store.replace_sightings(
        "demo", CAMERAS, "net-1", [tracklet(i + 1, embeddings[i], attributes=bags[i]) for i in range(3)]
    )
    bag, age = ("none", "backpack"), ("child", "adult")
    assert [one.id for one in in_transaction(store, queries.described, {"bag": GroupQuery(bag[1:], bag)}, 3)] == [
        2,
        3,
        1,
    ]
    both = {"bag": GroupQuery(bag[:1], bag), "age": GroupQuery(age[:1], age)}
    assert [one.id for one in in_transaction(store, queries.described, both, 2)] == [1, 3]
    hostile = "'; drop table tracklets; --"
    assert len(in_transaction(store, queries.described, {hostile: GroupQuery((hostile,), (hostile, "none"))}, 3)) == 3
    with pytest.raises(InputError, match="at least one attribute"):
        in_transaction(store, queries.described, {}, 3)


def test_attributes_come_in_the_order_asked_and_are_gone_with_their_tracklet(store: Store) -> None:
    embeddings = unit_vectors(seed=3, number=4, feature=16)
    bags = [{"bag": {"none": round(1 - p, 1), "backpack": p}} for p in (0.2, 0.9, 0.5, 0.7)]
    later = [0, 3600, 86_400, 5 * 86_400]  # three days, three partitions
    found = [tracklet(i + 1, embeddings[i], attributes=bags[i], after_s=later[i]) for i in range(4)]
    store.replace_sightings("demo", CAMERAS, "net-1", found)
    store.replace_sightings("other", CAMERAS, "net-1", [tracklet(1, embeddings[0])])
    (other,) = in_transaction(store, queries.tracklets, [("other", 1)])
    mixed = [*in_transaction(store, queries.tracklets, [("demo", number) for number in (1, 2, 3, 4)])[::-1], other]
    assert in_transaction(store, queries.attributes, mixed) == [*bags[::-1], {}]
    assert in_transaction(store, queries.attributes, []) == []
    store.replace_sightings("demo", CAMERAS, "net-1", found[:3])
    assert in_transaction(store, queries.attributes, mixed) == [{}, *bags[2::-1], {}]
    store.replace_sightings("other", CAMERAS, "net-1", [])


def test_the_index_over_embeddings_is_used(filled: tuple[Store, np.ndarray]) -> None:
    store, embeddings = filled
    plans: list[str] = []

    def explain(connection: sa.Connection, _: object, statement: str, parameters: Any, *__: object) -> None:
        if "<=>" in statement and not statement.startswith("EXPLAIN"):
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            plans.extend(str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))

    sa.event.listen(store.engine, "before_cursor_execute", explain)
    queries.nearest(store.engine, embeddings[0], "net-1", 5, TrackletFilter([("demo", "cam1")]))
    sa.event.remove(store.engine, "before_cursor_execute", explain)
    assert any("Order By: ((embedding)::halfvec(16) <=>" in line for line in plans), plans


def test_cameras_and_an_empty_store(store: Store) -> None:
    store.replace_sightings("demo", CAMERAS, "net-1", [])
    assert in_transaction(store, stored_districts)[0].cameras == CAMERAS
    assert queries.reason_not_ready(store.engine, "net-1") is None
    assert "it is processed by none; run serving.worker" in (queries.nothing_processed(store.engine, "net-1") or "")


def test_what_cannot_be_stored_is_refused(store: Store) -> None:
    short, long = unit_vectors(4, 1, 16)[0], unit_vectors(4, 1, 24)[0]
    with pytest.raises(InputError, match=r"must have one length, got \[16, 24\]"):
        store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, short), tracklet(2, long)])
    with pytest.raises(InputError, match="must have distinct ids"):
        store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, short), tracklet(1, short)])
    with pytest.raises(InputError, match=r"must come from the cameras \['cam0'\], got \['cam2'\]"):
        store.replace_sightings("demo", CAMERAS[:1], "net-1", [tracklet(1, short, camera=2)])


def test_two_openers_share_the_embedded_server(filled: tuple[Store, np.ndarray]) -> None:
    store, _ = filled
    with open_store(store.folder) as second:
        assert queries.reason_not_ready(second.engine, "net-1") is None
    assert queries.reason_not_ready(store.engine, "net-1") is None  # the first is still served after the second closed


def test_an_address_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:secret@127.0.0.1:9/none")
    with pytest.raises(InputError, match="must answer at") as caught:
        open_store(tmp_path)
    assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match="must look like postgresql://"):
        open_store(tmp_path, "not an address")


@pytest.mark.parametrize("password", ["some@secret", "so@me/secret", "a/b@secret#", "@secret@"])
def test_a_password_that_would_be_taken_for_the_host_is_refused_and_not_shown(tmp_path: Path, password: str) -> None:
    with pytest.raises(InputError, match=r"DATABASE_URL must look like .*%40") as caught:
        open_store(tmp_path, f"postgresql://someone:{password}@127.0.0.1:9/none")
    assert "secret" not in str(caught.value)


def test_a_database_that_does_not_exist(store: Store, tmp_path: Path) -> None:
    there = store.engine.url.set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(InputError, match=r'must answer at(?s:.*)database "nowhere" does not exist'):
        open_store(tmp_path, there)


def test_an_embedded_server_that_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ArtifactError, match="must be of PostgreSQL 18, it is of 9"):
        open_store(tmp_path)


def test_a_database_that_went_away_is_a_reason_not_an_error(tmp_path: Path) -> None:
    gone = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    assert "does not answer" in (queries.reason_not_ready(Store(tmp_path, gone).engine, "net-1") or "")


def test_the_version_of_a_model_is_that_of_its_weights() -> None:
    EngineFile(
        file="model.onnx",
        runtime="onnxruntime",
        precision="fp32",
        sha256="ab" * 32,
        min_batch=1,
        opt_batch=8,
        max_batch=8,
    )
    card = ModelCard(
        task="reid", architecture="osnet_x0_25", input_height_px=256, input_width_px=128, resize="stretch",
        output_names=("embeddings",), district="demo", weights_sha256="ab" * 32,
    )  # fmt: skip
    assert card.version == "osnet_x0_25-abababababab"
    with pytest.raises(ArtifactError, match="must have weights_sha256"):
        _ = card.model_copy(update={"weights_sha256": ""}).version


def test_the_embedded_server_caches_a_quarter_of_the_memory_from_its_second_start_on(tmp_path: Path) -> None:
    def cached() -> int:
        with open_store(tmp_path / "store") as store, store.begin() as connection:
            shown = "SELECT pg_size_bytes(current_setting('shared_buffers'))"
            return int(connection.exec_driver_sql(shown).scalar_one())

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert cached() == 128 * 2**20
    assert cached() == pytest.approx(memory / 4, rel=0.01)
