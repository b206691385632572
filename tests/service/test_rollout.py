"""A service with two re-ID models: it switches when the new one is complete, finds both meanwhile, and goes back."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from domain.images import encode_jpeg
from domain.model_card import read_card
from domain.paths import PREVIOUS
from serving import rollout
from serving.database import audit, segments, tables
from serving.database.store import Store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from serving.search import rollout as switching
from serving.search.messages import RouteRequest, SearchRequest, SightingId
from serving.search.service import SearchService
from tests.helpers.deployments import RED, fill_store, picture, search_service, write_deployment
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, tracklet
from tests.service.test_reembed import NEVER, work_of

OF_RED = {1, 4, 7, 10}  # by `fill_store`


def with_two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment with a new re-ID model, and the one that has seen the twelve sightings of its store."""
    old = write_deployment(tmp_path / "old")
    fill_store(old)
    monkeypatch.setenv("DONGSEON_STORE", str(old.store.resolve()))
    monkeypatch.setattr(switching, "_LOOK_EVERY_S", 0.0)
    deployment = write_deployment(tmp_path / "new", reid=1)
    shutil.copytree(old.engine(old.reid), deployment.engine(PREVIOUS) / old.reid)
    monkeypatch.chdir(deployment.root)
    return deployment


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return with_two_models(tmp_path, monkeypatch)


@pytest.fixture
def service(new: Deployment) -> Iterator[SearchService]:
    opened = search_service(new)
    yield opened
    opened.close()


@pytest.fixture
def store(service: SearchService) -> Store:
    return service.store()


def versions(deployment: Deployment) -> tuple[str, str]:
    """Of the new re-ID model, and of the one before."""
    assert deployment.previous_reid is not None
    return read_card(deployment.engine(deployment.reid)).version, read_card(deployment.previous_reid).version


def red(**more: object) -> SearchRequest:
    return SearchRequest.model_validate({"photos": [encode_jpeg(picture(RED, seed=77))], **more})


def seen_by_the_new_model(deployment: Deployment, store: Store) -> int:
    """The red person at Gate 2, as a worker with the new model alone stores it; returns its number."""
    perception = Perception(*deployment.open_engines(), deployment.perception)
    crop, start = picture(RED, seed=5), NOON + timedelta(seconds=630)
    segment = in_transaction(store, segments.register, "demo", CAMERAS[2].id, "new.mp4", "new", start)
    person = replace(tracklet(1, perception.embed([crop])[0], camera=2, after_s=630), crops=[crop])
    store.add_segment(
        segment.id, perception.described([person]), versions(deployment)[0], frames=9, end=start + timedelta(seconds=35)
    )
    with store.begin() as connection:
        return connection.execute(sa.select(sa.func.max(tables.tracklets.c.id))).scalar_one()


def test_it_switches_when_all_sightings_have_embeddings_and_back_and_forth_at_once(
    new: Deployment, service: SearchService, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    newest, before = versions(new)
    answer = service.search(red())
    assert (answer.model_version, service.status().model_version) == (before, before)
    assert {hit.tracklet_id for hit in answer.sightings[:4]} == OF_RED
    work_of(new, store, rate=100).run(NEVER)
    answer = service.search(red())
    assert (answer.model_version, service.status().model_version) == (newest, newest)
    assert {hit.tracklet_id for hit in answer.sightings[:4]} == OF_RED
    assert {hit.model_version for hit in answer.sightings} == {newest}
    assert answer.coverage.share > 0.9
    assert answer.coverage.also_by == []
    for chosen in (before, newest, before):
        rollout.main(["use", chosen, "--by", "Kim", "--reason", "fewer people are found"])
        answer = service.search(red())
        assert answer.model_version == chosen
        assert {hit.tracklet_id for hit in answer.sightings[:4]} == OF_RED
    said = capsys.readouterr().out
    assert f"{newest}: 12 of 12 sightings have an embedding" in said
    assert f"in use: {before}, since " in said
    with store.begin() as connection:
        chosen_by = [(one.account, one.details) for one in audit.records(connection) if one.action == "model in use"]
    assert chosen_by[0] == ("service", {"model_version": newest, "reason": "all stored sightings have an embedding"})
    assert [account for account, _ in chosen_by[1:]] == ["Kim"] * 3


def test_while_only_some_video_has_embeddings_by_each_both_are_searched_and_the_coverage_says_so(
    new: Deployment, service: SearchService, store: Store
) -> None:
    newest, before = versions(new)
    latest = seen_by_the_new_model(new, store)
    answer = service.search(red())
    assert answer.model_version == before
    found = {hit.tracklet_id: hit.model_version for hit in answer.sightings[:5]}
    assert found == dict.fromkeys(OF_RED, before) | {latest: newest}
    probabilities = [hit.match_probability for hit in answer.sightings]
    assert probabilities == sorted(probabilities, reverse=True)
    assert answer.coverage.share > 0.9
    assert answer.coverage.also_by == [newest]
    assert f"what only {newest} has seen was compared by that model" in answer.coverage.statement
    early = service.search(red(until=NOON + timedelta(seconds=620)))
    assert {hit.tracklet_id for hit in early.sightings[:4]} == OF_RED
    assert latest not in {hit.tracklet_id for hit in early.sightings}
    assert service.search(red(top_k=1)).sightings[0].tracklet_id in found


def test_verdicts_on_what_either_model_saw_are_searched_with(
    new: Deployment, service: SearchService, store: Store
) -> None:
    latest = seen_by_the_new_model(new, store)
    for confirmed in (1, latest):
        asked = SearchRequest(confirmed=[SightingId(district="demo", tracklet_id=confirmed)])
        hits = service.search(asked).sightings
        assert {hit.tracklet_id for hit in hits[:5]} == OF_RED | {latest}
        assert [hit.tracklet_id for hit in hits if hit.confirmed] == [confirmed]
        route = service.route(RouteRequest(sightings=asked.confirmed, fill=True))
        assert {stop.tracklet_id for stop in route.route} >= {confirmed}


def test_who_decides_must_say_why_and_name_a_model_of_the_store(
    new: Deployment, service: SearchService, store: Store
) -> None:
    with pytest.raises(InputError, match="--reason must say why, got nothing"):
        rollout.main(["use", versions(new)[1], "--by", "Kim", "--reason", " "])
    with pytest.raises(InputError, match="sightings must have embeddings by the model, got other; they have some by"):
        rollout.main(["use", "other", "--by", "Kim", "--reason", "x"])
    with store.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.models_in_use)).scalar_one() == 0
