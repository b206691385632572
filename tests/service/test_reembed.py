"""New models for stored sightings: found by the new and by the old model, whatever kills the command."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from domain.attribute_query import GroupQuery
from domain.errors import InputError
from domain.images import encode_jpeg
from domain.model_card import ModelCard, read_card
from serving import reembed
from serving.cases.cases import give_verdict
from serving.cases.verdict import Verdict
from serving.database import audit, queries, reembedding, removals, segments, tables
from serving.database.reembedding import Learnt, Models
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.matching.description import LabelQuestion
from serving.perception.perception import Perception
from serving.reembed import Reembedding
from serving.search.messages import SearchRequest, SightingId
from tests.helpers.deployments import PEOPLE, RED, REVIEWER, fill_store, picture, search_service, write_deployment
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, put_into_case, tracklet, unit_vectors

BACKPACK = {"bag": LabelQuestion.model_validate("backpack")}
NEVER = threading.Event()


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The deployment whose models have seen the twelve sightings."""
    deployment = write_deployment(tmp_path / "old")
    fill_store(deployment)
    monkeypatch.setenv("DONGSEON_STORE", str(deployment.store.resolve()))
    return deployment


@pytest.fixture
def new(old: Deployment, tmp_path: Path) -> Deployment:
    """A deployment over the same store, with another re-ID and another attribute model."""
    return write_deployment(tmp_path / "new", reid=1, attributes=1.0)


@pytest.fixture
def store(old: Deployment) -> Iterator[Store]:
    with open_store(old.store) as opened:
        yield opened


def models_of(deployment: Deployment) -> Models:
    return Models(
        read_card(deployment.engine(deployment.reid)).version, read_card(deployment.engine("attributes")).version
    )


def work_of(deployment: Deployment, store: Store, rate: float | None = None) -> Reembedding:
    perception = Perception(*deployment.open_engines(), deployment.perception)
    return Reembedding(store, perception, models_of(deployment), rate)


def see(deployment: Deployment, store: Store, number: int) -> None:
    """A worker of the deployment sees so many people in another recording."""
    perception = Perception(*deployment.open_engines(), deployment.perception)
    crops = [picture(PEOPLE[i % 3], seed=100 + i) for i in range(number)]
    embeddings, start = perception.embed(crops), NOON + timedelta(hours=1)
    seen = [
        replace(tracklet(i + 1, embeddings[i], camera=2, after_s=3600 + 10 * i), crops=[crop])
        for i, crop in enumerate(crops)
    ]
    segment = in_transaction(store, segments.register, "demo", CAMERAS[2].id, "later.mp4", "later", start)
    store.add_segment(
        segment.id, perception.described(seen), models_of(deployment).reid, frames=9, end=start + timedelta(minutes=9),
        attributes_version=perception.attributes_version,
    )  # fmt: skip


@contextmanager
def following(deployment: Deployment, *more: str) -> Iterator[subprocess.Popen[str]]:
    """`serving.reembed --follow` of the deployment, as a process of its own."""
    command = [sys.executable, "-m", "serving.reembed", "--follow", *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=deployment.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen[str], timeout_s: float = 120) -> None:
    """Return once `is_true`; fail if the process ends before, or after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.05)


def rows(store: Store, *names: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of these tables."""
    with store.begin() as connection:
        return {
            name: sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {name}").all()), key=str)
            for name in names
        }


def by_model(store: Store, model: str) -> dict[int, np.ndarray]:
    """Embedding of each sighting by the model."""
    table = tables.tracklet_embeddings
    query = sa.select(table.c.tracklet_id, table.c.embedding).where(table.c.model_version == model)
    with store.begin() as connection:
        return {row.tracklet_id: np.asarray(row.embedding, np.float32) for row in connection.execute(query)}


def red(**more: Any) -> SearchRequest:
    return SearchRequest(photos=[encode_jpeg(picture(RED, seed=77))], **more)


def test_sightings_are_found_by_both_models_and_nothing_else_changes(
    old: Deployment, new: Deployment, store: Store
) -> None:
    kept = ("tracklets", "cases", "case_sightings", "verdicts", "found_sightings", "segments")
    put_into_case(store, "demo", [1, 2], legal_hold=True)
    in_transaction(store, give_verdict, REVIEWER, 1, SightingId(district="demo", tracklet_id=4), Verdict.CONFIRMED)
    before = rows(store, *kept)
    services = [search_service(each) for each in (old, new)]
    try:
        old_hits = services[0].search(red()).sightings
        assert {hit.tracklet_id for hit in old_hits[:4]} == {1, 4, 7, 10}
        answer = services[1].search(red())
        assert (answer.sightings, answer.coverage.share) == ([], 0)
        assert {span.reason for span in answer.coverage.cameras[0].failed} == {
            f"processed by the model {models_of(old).reid} only"
        }
        work = work_of(new, store)
        work.run(NEVER)
        assert (work.num_done, in_transaction(store, reembedding.progress, models_of(new))) == (12, (12, 12))
        answer = services[1].search(red())
        assert {hit.tracklet_id for hit in answer.sightings[:4]} == {1, 4, 7, 10}
        assert {hit.model_version for hit in answer.sightings} == {models_of(new).reid}
        assert answer.coverage == services[0].search(red()).coverage
        assert answer.coverage.share > 0.9
        assert services[1].reason_not_ready() is None
        assert services[0].search(red()).sightings == old_hits
    finally:
        for service in services:
            service.close()
    assert rows(store, *kept) == before
    learnt = rows(store, "tracklet_embeddings", "tracklet_attributes", "segment_models")
    again = work_of(new, store)
    again.run(NEVER)
    assert again.num_done == 0
    assert rows(store, *learnt) == learnt


def test_a_verdict_on_what_the_old_model_saw_is_searched_with(new: Deployment, store: Store) -> None:
    service = search_service(new)
    confirmed = SearchRequest(confirmed=[SightingId(district="demo", tracklet_id=1)])
    try:
        assert service.search(confirmed).sightings == []  # its crop was embedded, the others were not
        work_of(new, store).run(NEVER)
        hits = service.search(confirmed).sightings
        assert {hit.tracklet_id for hit in hits[:4]} == {1, 4, 7, 10}
        assert [hit.tracklet_id for hit in hits if hit.confirmed] == [1]
    finally:
        service.close()


def test_words_find_what_another_re_id_model_saw(old: Deployment, store: Store, tmp_path: Path) -> None:
    """Also by another attribute model, which is asked where it has described a sighting."""
    same_words, always_wrong = (
        write_deployment(tmp_path / name, reid=1, attributes=sharpness)
        for name, sharpness in (("same", 3.0), ("wrong", -3.0))
    )
    for deployment in (same_words, always_wrong):
        service = search_service(deployment)
        try:
            answer = service.search(SearchRequest(attributes=BACKPACK))
            assert {hit.tracklet_id for hit in answer.sightings[:4]} == {1, 4, 7, 10}
            assert answer.sightings[0].attributes["bag"]["backpack"] > 0.5
            assert answer.coverage.share > 0.9
            assert answer.coverage.cameras[0].failed == []
            work_of(deployment, store).run(NEVER)
            answer = service.search(SearchRequest(attributes=BACKPACK))
            assert len(answer.sightings) == len({hit.tracklet_id for hit in answer.sightings}) == 12
            assert ({1, 4, 7, 10} == {hit.tracklet_id for hit in answer.sightings[:4]}) == (deployment is same_words)
        finally:
            service.close()


def test_where_some_sightings_are_described_by_one_model_and_others_by_another_each_counts_once(store: Store) -> None:
    bag = {"bag": GroupQuery(("backpack",), ("none", "backpack"))}
    found = [
        tracklet(number, unit_vectors(0, 40, 8)[number - 1], after_s=number,
                 attributes={"bag": {"none": 0.1, "backpack": 0.9}})
        for number in range(1, 41)
    ]  # fmt: skip
    store.replace_sightings("demo", CAMERAS, "net-1", found, attributes_version="words-1")
    models = Models("net-1", "words-2")
    with store.begin() as connection:
        todo = reembedding.lacking(connection, reembedding.pending_segments(connection, models, 9), models)
        assert {(one.needs_embedding, one.needs_attributes) for one in todo} == {(False, True)}
        none = {"bag": {"none": 0.9, "backpack": 0.1}}
        reembedding.add(connection, [Learnt(one, np.zeros(8), none) for one in todo[:36]], models)
    with store.begin() as connection:
        best = queries.described(connection, bag, 6, attributes_version="words-2")
    assert [one.id for one in best] == [37, 38, 39, 40, 1, 2]
    with store.begin() as connection:
        assert [one.id for one in queries.described(connection, bag, 6, attributes_version="words-1")] == [
            1, 2, 3, 4, 5, 6,
        ]  # fmt: skip


def test_a_model_that_has_described_all_sightings_does_not_run_again(
    old: Deployment, store: Store, tmp_path: Path
) -> None:
    class Engine:
        def __init__(self, card: ModelCard) -> None:
            self.card = card

        def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
            raise AssertionError("nothing lacks what this engine says")

    new = write_deployment(tmp_path / "new", reid=1)
    detector, reid, attributes = new.open_engines()
    assert attributes is not None
    work = Reembedding(store, Perception(detector, reid, Engine(attributes.card), new.perception), models_of(new))
    work.run(NEVER)
    assert len(by_model(store, models_of(new).reid)) == 12
    words = write_deployment(tmp_path / "words", attributes=1.0)
    detector, reid, attributes = words.open_engines()
    work = Reembedding(store, Perception(detector, Engine(reid.card), attributes, words.perception), models_of(words))
    work.run(NEVER)
    described = rows(store, "tracklet_attributes")["tracklet_attributes"]
    assert sum(models_of(words).attributes in row for row in described) == 12


@pytest.mark.slow
def test_a_command_that_is_killed_at_any_moment_goes_on_where_it_was(
    old: Deployment, new: Deployment, store: Store, tmp_path: Path
) -> None:
    whole = work_of(new, store)
    whole.run(NEVER)
    expected = by_model(store, models_of(new).reid)
    with store.begin() as connection:
        for table in (tables.tracklet_embeddings, tables.tracklet_attributes, tables.segment_models):
            connection.execute(sa.delete(table).where(table.c.model_version.in_(vars(models_of(new)).values())))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "serving.reembed"]
    counts, moments = [0], random.Random(0)
    while counts[-1] < 12 and len(counts) < 20:
        slow = [*command, "--rate", "3"]
        with subprocess.Popen(slow, cwd=new.root, env=environment, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and len(by_model(store, models_of(new).reid)) == counts[-1]:
                time.sleep(0.02)
            time.sleep(moments.random() / 2)
            process.send_signal(signal.SIGKILL)
        counts.append(len(by_model(store, models_of(new).reid)))
    assert len(counts) > 2, "it was killed before it had done all"
    ended = subprocess.run(command, cwd=new.root, env=environment, capture_output=True, text=True, check=True)
    assert f"12 of 12 sightings have an embedding by {models_of(new).reid}" in ended.stdout
    found = by_model(store, models_of(new).reid)
    assert set(found) == set(expected)
    for number, embedding in expected.items():
        np.testing.assert_allclose(found[number], embedding, atol=1e-3)  # half precision
    assert in_transaction(store, reembedding.pending_segments, models_of(new), 9) == []
    assert len(by_model(store, models_of(old).reid)) == 12


def test_the_rate_is_kept(new: Deployment, store: Store) -> None:
    began = time.monotonic()
    work_of(new, store, rate=8).run(NEVER)
    assert time.monotonic() - began >= 1.0  # eight at once, and the others a second later


def test_the_rate_is_kept_after_an_idle_time(old: Deployment, new: Deployment, store: Store) -> None:
    work = work_of(new, store, rate=8)
    work.run(NEVER)
    time.sleep(3)  # enough for 24 sightings, had there been any
    see(old, store, 16)
    began = time.monotonic()
    work.run(NEVER)
    assert work.num_done == 28
    assert time.monotonic() - began >= 1.0  # eight at once, and the others a second later


@pytest.mark.slow
def test_what_is_stored_while_it_follows_gets_the_new_models_too_until_sigterm_ends_it(
    old: Deployment, new: Deployment, store: Store
) -> None:
    models = models_of(new)
    with following(new, "--rate", "2") as process:
        wait_until(lambda: len(by_model(store, models.reid)) > 0, process)
        process.send_signal(signal.SIGTERM)  # in the midst of its work
        process.communicate(timeout=60)
    assert process.returncode == 0
    done = len(by_model(store, models.reid))
    assert 0 < done < 12
    with following(new) as process:
        wait_until(lambda: len(by_model(store, models.reid)) == 12, process)
        see(old, store, 3)
        wait_until(lambda: not in_transaction(store, reembedding.pending_segments, models, 9), process)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"15 of 15 sightings have an embedding by {models.reid}" in said
    described = [row for row in rows(store, "tracklet_attributes")["tracklet_attributes"] if models.attributes in row]
    assert (len(by_model(store, models.reid)), len(described)) == (15, 15)
    assert len(by_model(store, models_of(old).reid)) == 15
    with store.begin() as connection:
        records = [one.details for one in audit.records(connection) if one.action == audit.Action.REEMBEDDING]
    assert [(one["sightings"], one["is_whole"]) for one in records] == [(done, False), (15 - done, True)]


def test_a_sighting_without_its_crop_stays_with_the_old_model_and_is_named(
    old: Deployment, new: Deployment, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    [lost] = in_transaction(store, queries.tracklets, [("demo", 5)])
    store.crops.delete([lost.crop])
    work = work_of(new, store)
    work.run(NEVER)
    work.tell()
    work.record()
    assert set(by_model(store, models_of(new).reid)) == set(range(1, 13)) - {5}
    assert set(by_model(store, models_of(old).reid)) == set(range(1, 13))
    assert "11 of 12 sightings have an embedding" in (said := capsys.readouterr().out)
    assert "not found by the new model: demo/5: " in said
    with store.begin() as connection:
        assert reembedding.pending_segments(connection, models_of(new), 9) == []
        last = list(audit.records(connection))[-1]
    assert (last.action, last.details["sightings"], last.details["without_crop"]) == ("re-embedding", 11, 1)


def test_what_is_removed_meanwhile_gets_nothing_and_what_comes_meanwhile_stays_pending(
    new: Deployment, store: Store
) -> None:
    models = models_of(new)
    with store.begin() as connection:
        segments = reembedding.pending_segments(connection, models, 9)
        todo = reembedding.lacking(connection, segments, models)
        removals.remove_segment(connection, "demo", todo[0].row["segment_id"])
    left = [one for one in todo if one.row["segment_id"] != todo[0].row["segment_id"]]
    assert 0 < len(left) < len(todo)
    with store.begin() as connection:
        reembedding.add(connection, [Learnt(one, np.ones(8) / 8**0.5, {}) for one in todo if one != left[-1]], models)
        reembedding.finish(connection, segments, models, without=())
        assert reembedding.pending_segments(connection, models, 9) == [left[-1].row["segment_id"]]
    assert len(by_model(store, models.reid)) == len(left) - 1


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Gives this process its handlers back, which a command replaces."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_two_processes_do_not_do_the_same(new: Deployment, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(new.root)
    monkeypatch.setattr(os, "nice", lambda _: 0)  # of this process
    with (
        reembedding.hold_models(store.engine, models_of(new)),
        pytest.raises(InputError, match="from one process at a time, another does so"),
    ):
        reembed.main([])
    with pytest.raises(SystemExit):
        reembed.main(["--rate", "0"])


@pytest.mark.soak
def test_ten_thousand_sightings_get_a_new_model_while_the_old_one_is_searched_with_and_the_command_is_killed(
    old: Deployment, new: Deployment, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_with(store, old, 10_000)
    put_into_case(store, "demo", [1, 2, 9_999], legal_hold=True)
    kept = ("tracklets", "cases", "case_sightings", "verdicts", "segments")
    before, sizes = rows(store, *kept), num_bytes(store)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command, moments = [sys.executable, "-m", "serving.reembed"], random.Random(0)
    service = search_service(old)
    try:
        expected = service.search(red()).sightings
        for _ in range(20):
            with subprocess.Popen(command, cwd=new.root, env=environment, stdout=subprocess.DEVNULL) as process:
                time.sleep(2 + 3 * moments.random())
                assert service.search(red()).sightings == expected
                process.send_signal(signal.SIGKILL)
        ended = subprocess.run(command, cwd=new.root, env=environment, capture_output=True, text=True, check=True)
        assert service.search(red()).sightings == expected
    finally:
        service.close()
    assert set(by_model(store, models_of(new).reid)) == set(range(1, 10_001))
    assert rows(store, *kept) == before
    more = {name: (size - sizes[name]) / 10_000 for name, size in num_bytes(store).items()}
    with capsys.disabled():
        print(
            ended.stdout,
            "bytes a sighting before:",
            {name: size / 10_000 for name, size in sizes.items()},
            "more:",
            more,
        )


def fill_with(
    store: Store, deployment: Deployment, number: int, people: Sequence[tuple[int, int, int]] = PEOPLE
) -> None:
    """So many sightings of four crops, by the models of `deployment`, of these people in turn, who divide 300."""
    perception = Perception(*deployment.open_engines(), deployment.perception)
    crops = [picture(people[place % len(people)], seed=place) for place in range(300)]
    embeddings, jpegs = perception.embed(crops), [encode_jpeg(crop) for crop in crops]
    found = [
        replace(
            tracklet(place + 1, embeddings[place % 300], camera=place % 3, after_s=place),
            crops=[crops[place % 300]],
            more_crops=[jpegs[(place + len(people) * other) % 300] for other in (1, 2, 3)],
        )
        for place in range(number)
    ]
    models = models_of(deployment)
    described = perception.described(found)
    store.replace_sightings("demo", CAMERAS, models.reid, described, attributes_version=models.attributes)


def num_bytes(store: Store) -> dict[str, int]:
    """Bytes of the tables of sightings with their indexes, all partitions together, and of the crops."""
    with store.begin() as connection:
        sizes = {
            name: connection.execute(
                sa.text("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(:name)"), {"name": name}
            ).scalar_one()
            or connection.execute(sa.text("SELECT pg_total_relation_size(:name)"), {"name": name}).scalar_one()
            for name in ("tracklets", "tracklet_embeddings", "tracklet_attributes")
        }
    return {name: int(size) for name, size in sizes.items()} | {"crops": sum(store.crops.sizes("crops").values())}
