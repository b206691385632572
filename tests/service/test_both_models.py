"""Workers and live cameras of a Bento with two re-ID models store embeddings by both, whatever ends them."""

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from domain.paths import PREVIOUS
from serving import ingest, rollout, worker
from serving.database import reembedding, tables
from serving.database import rollout as models_in_use
from serving.database.reembedding import Models
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from tests.helpers.deployments import search_service
from tests.helpers.killed import Worker
from tests.helpers.project import ROOT
from tests.helpers.recordings import START, segment_states, write_district
from tests.helpers.rtsp import Server, require_server, until
from tests.helpers.sightings import CAMERAS, in_transaction
from tests.helpers.walkers import Walker
from tests.service.test_reembed import NEVER, by_model, work_of
from tests.service.test_rollout import red, versions, with_two_models

OF_ALL_RED = 3  # people in the recordings of `write_district` with six cameras


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return with_two_models(tmp_path, monkeypatch)


@pytest.fixture
def store(new: Deployment) -> Iterator[Store]:
    with open_store(new.store) as opened:
        yield opened


def seen_by(store: Store, model: str) -> set[int]:
    """Numbers of the sightings in recordings and streams that have an embedding by the model."""
    return {number for number in by_model(store, model) if number > 1_000_000}  # those of `fill_store` have less


def stored(store: Store) -> set[int]:
    """Numbers of all sightings in recordings and streams."""
    table = tables.tracklets
    with store.begin() as connection:
        return set(connection.execute(sa.select(table.c.id).where(table.c.id > 1_000_000)).scalars())


def pending(store: Store, model: str, sources: str) -> list[int]:
    """Segments of sources like this that lack something by the re-ID model."""
    segments = tables.segments
    with store.begin() as connection:
        of_model = reembedding.pending_segments(connection, Models(model, ""), 99)
        query = sa.select(segments.c.id).where(segments.c.id.in_(of_model), segments.c.source.like(sources))
        return list(connection.execute(query).scalars())


def test_a_worker_stores_embeddings_by_both_models_and_each_finds_what_it_saw(
    new: Deployment, store: Store, tmp_path: Path
) -> None:
    newest, before = versions(new)
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=6)), "--district", "demo"])
    worker.main(["--until-empty"])
    assert segment_states(store) == {"unknown": "done"} | {f"c{number}.mp4": "done" for number in range(1, 7)}
    assert stored(store) == seen_by(store, newest) == seen_by(store, before)
    assert len(stored(store)) == 9
    assert pending(store, newest, "%.mp4") == pending(store, before, "%.mp4") == []
    assert pending(store, newest, "unknown") != []  # what only the model before has seen
    found, service = [], search_service(new)
    try:
        for chosen in (before, newest, before):
            rollout.main(["use", chosen, "--by", "Kim", "--reason", "fewer people are found"])
            answer = service.search(red(until=START.replace(hour=10), top_k=OF_ALL_RED))  # the recordings alone
            assert {hit.model_version for hit in answer.sightings} == {chosen}
            assert answer.coverage.also_by == []
            assert all(hit.match_probability > 0.5 for hit in answer.sightings)
            found.append({hit.tracklet_id for hit in answer.sightings})
    finally:
        service.close()
    assert found[0] == found[1] == found[2] <= stored(store)
    assert len(found[0]) == OF_ALL_RED


def test_both_embeddings_are_those_of_re_embedding(new: Deployment, store: Store, tmp_path: Path) -> None:
    _, before = versions(new)
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=2)), "--district", "demo"])
    worker.main(["--until-empty"])
    written = by_model(store, before)
    table = tables.tracklet_embeddings
    with store.begin() as connection:
        connection.execute(sa.delete(table).where(table.c.model_version == before))
        connection.execute(sa.delete(tables.segment_models).where(tables.segment_models.c.model_version == before))
    assert new.previous_reid is not None
    shutil.copytree(new.previous_reid, (other := tmp_path / "other") / "engines" / "demo" / "reid-osnet")
    for name in ("detector", "attributes"):
        shutil.copytree(new.engine(name), other / "engines" / "demo" / name)
    shutil.copy(new.root / "params.yaml", other)
    work_of(Deployment.read(other), store).run(NEVER)
    again = by_model(store, before)
    assert again.keys() == written.keys()
    for number in stored(store):
        np.testing.assert_allclose(again[number], written[number], atol=0.02)  # JPEG, and half precision
        assert not np.allclose(again[number], by_model(store, versions(new)[0])[number], atol=0.1)


@pytest.mark.slow
def test_workers_that_are_killed_at_any_moment_leave_no_sighting_with_one_embedding(
    new: Deployment, store: Store, tmp_path: Path
) -> None:
    newest, before = versions(new)
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=6)), "--district", "demo"])
    moments, killed = random.Random(0), 0
    for _ in range(4):  # a segment on which five workers died is given up
        process, known = Worker(new.root), stored(store)
        while process.process.poll() is None and stored(store) == known:
            time.sleep(0.05)
        time.sleep(moments.random() / 2)
        killed += process.kill()
        assert stored(store) == seen_by(store, newest) == seen_by(store, before)
        if "waiting" not in segment_states(store).values():
            break
    last = Worker(new.root)
    assert last.process.wait(timeout=600) == 0, last.log.read_text()
    assert killed > 1
    assert set(segment_states(store).values()) == {"done"}
    assert stored(store) == seen_by(store, newest) == seen_by(store, before)
    assert len(stored(store)) == 9
    assert pending(store, newest, "%.mp4") == pending(store, before, "%.mp4") == []


@pytest.mark.slow
def test_live_cameras_store_both_also_what_a_killed_process_stored_of_a_segment_that_went_on(
    new: Deployment, store: Store, tmp_path: Path
) -> None:
    require_server()
    newest, before = versions(new)
    server = Server(tmp_path / "pictures", (Walker("red", 20, 40), Walker("blue", 280, -40, top=10))).start()
    (new.root / "cameras.yaml").write_text(
        yaml.safe_dump({"district": "demo", "cameras": {CAMERAS[2].id: server.address()}})
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    options = [f"serving.streams.{one}" for one in ("file=cameras.yaml", "segment_s=1.5", "max_tracklet_s=0.7")]
    log = (tmp_path / "log").open("w+")

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "serving.streams", *options]
        return subprocess.Popen(command, cwd=new.root, env=environment, stdout=log, stderr=log)

    def states() -> Sequence[str]:
        with store.begin() as connection:
            of_stream = sa.select(tables.segments.c.state).where(tables.segments.c.source.like("stream %"))
            return connection.execute(of_stream).scalars().all()

    process = start()
    try:
        until(lambda: "done" in states() and "waiting" in states(), 90)
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen = stored(store)
        process = start()
        until(lambda: len(stored(store)) > len(seen) + 2 and states().count("done") > 2, 90)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        server.kill()
    log.seek(0)
    said = log.read()
    assert said.count(f"new sightings get embeddings by {newest} and {before}") == 2, said
    assert seen < stored(store) == seen_by(store, newest) == seen_by(store, before)
    with store.begin() as connection:
        of_stream = tables.segments.c.source.like("stream %") & (tables.segments.c.state == "done")
        done = set(connection.execute(sa.select(tables.segments.c.id).where(of_stream)).scalars())
    assert done
    assert not done & set(pending(store, before, "stream %"))
    assert not done & set(pending(store, newest, "stream %"))


def test_a_model_that_is_not_there_is_said_and_new_sightings_are_stored(
    new: Deployment, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newest, before = versions(new)
    caplog.set_level(logging.INFO, "serving")
    assert new.previous_reid is not None
    (new.previous_reid / "model.onnx").write_bytes(b"damaged")
    in_transaction(store, models_in_use.use, before, "Kim", "fewer people are found")
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=1)), "--district", "demo"])
    worker.main(["--until-empty"])
    said = [record.getMessage() for record in caplog.records]
    [unusable] = [one for one in said if one.startswith("new sightings get no embeddings by the model that was in use")]
    assert "model.onnx" in unusable
    [lacking] = [one for one in said if one.startswith(f"searches compare with {before}, which must see new sightings")]
    assert f"this deployment has {newest}; deploy one with both" in lacking
    assert segment_states(store)["c1.mp4"] == "done"
    assert stored(store) == seen_by(store, newest)
    assert seen_by(store, before) == set()
    assert len(pending(store, before, "%.mp4")) == 1
    shutil.rmtree(new.engine(PREVIOUS))
    caplog.clear()
    in_transaction(store, models_in_use.use, newest, "Kim", "all have embeddings")
    assert new.open_previous_for(store) is None
    assert [record.getMessage() for record in caplog.records] == [f"new sightings get embeddings by {newest}"]


def test_the_same_model_twice_counts_once(new: Deployment, store: Store, tmp_path: Path) -> None:
    shutil.rmtree(new.engine(PREVIOUS))
    shutil.copytree(new.engine(new.reid), new.engine(PREVIOUS) / new.reid)
    assert new.open_previous_for(store) is None
    ingest.main([str(write_district(tmp_path / "demo", num_cameras=1)), "--district", "demo"])
    worker.main(["--until-empty"])
    assert len(seen_by(store, versions(new)[0])) == 2
    described = Perception(*new.open_engines(), new.perception)
    assert described.previous_version == ""
