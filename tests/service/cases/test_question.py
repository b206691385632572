"""A case holds its question: photos, notes and the last search, for whoever works on it next."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.testclient import TestClient

from serving.access.accounts import Account
from serving.access.roles import Role
from serving.cases.cases import open_case
from serving.database import audit, tables
from serving.database.case_photos import delete_photos_without_case
from serving.database.case_retention import remove_closed_cases
from serving.database.store import Store
from serving.deployment import Deployment
from tests.helpers.deployments import GREEN, RED, REVIEWER, api_client_of, picture
from tests.helpers.sightings import in_transaction

STRANGER = Account("kim", Role.OPERATOR, datetime.now(UTC), expires=None, disabled=None)


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def store(client: TestClient) -> Store:
    opened: Store = client.app.state.search_service.store()  # type: ignore[attr-defined]
    return opened


@pytest.fixture
def case(store: Store) -> int:
    return in_transaction(store, open_case, REVIEWER, "빨간 외투의 아이", operators=[]).id


def search(client: TestClient, case: int, *colours: tuple[int, int, int]) -> None:
    files = [("photo", png(picture(colour, seed=5))) for colour in colours]
    asked = {"case": str(case), "reason": "missing", "attributes": '{"bag": "backpack"}', "cameras": "demo/cam0"}
    answer = client.post("/search", files=files, data=asked)
    assert answer.status_code == 200, answer.text


def test_photos_are_kept_once_encrypted_and_as_they_were_sent(client: TestClient, store: Store, case: int) -> None:
    search(client, case, RED)
    search(client, case, RED, GREEN)
    route = {"case": case, "reason": "route", "sightings": [{"district": "demo", "tracklet_id": 1}], "fill": True}
    assert client.post("/route", json=route).status_code == 200
    question = client.get(f"/cases/{case}/question").json()
    assert len(question["photos"]) == 2
    answer = client.get(f"/cases/{case}/photos/{question['photos'][0]['id']}")
    assert answer.content == png(picture(RED, seed=5))
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/png", "private, no-store")
    [stored] = [
        path for path in store.crops.sizes(f"photos/{case}") if path.endswith(f"{question['photos'][0]['id']}.photo")
    ]
    assert b"PNG" not in (store.folder / stored).read_bytes()
    last = question["last_search"]
    assert (last["account"], last["reason"], last["question"]["cameras"]) == ("reviewer", "missing", "demo/cam0")
    with store.begin() as connection:
        viewed = [one.details for one in audit.records(connection) if one.action == audit.Action.VIEW]
    assert {"case_id": case, "photo": question["photos"][0]["id"]} in viewed


def test_a_photo_of_somebody_else_is_taken_out_for_good(client: TestClient, store: Store, case: int) -> None:
    search(client, case, RED)
    [photo] = client.get(f"/cases/{case}/question").json()["photos"]
    assert client.post(f"/cases/{case}/photos/{photo['id']}/remove").status_code == 204
    assert client.get(f"/cases/{case}/question").json()["photos"] == []
    assert client.get(f"/cases/{case}/photos/{photo['id']}").status_code == 404
    assert store.crops.sizes(f"photos/{case}") == {}


def test_notes_are_of_their_authors_and_the_newest_first(client: TestClient, case: int) -> None:
    for text in ("he has a red cap", "seen at the market\nby his aunt"):
        assert client.post(f"/cases/{case}/notes", json={"text": text}).status_code == 201
    notes = client.get(f"/cases/{case}/question").json()["notes"]
    assert [(note["text"], note["account"]) for note in notes] == [
        ("seen at the market\nby his aunt", "reviewer"),
        ("he has a red cap", "reviewer"),
    ]
    assert client.post(f"/cases/{case}/notes", json={"text": "  "}).status_code == 400


def test_strangers_and_other_cases_see_nothing(
    client: TestClient, deployment: Deployment, store: Store, case: int
) -> None:
    search(client, case, RED)
    [photo] = client.get(f"/cases/{case}/question").json()["photos"]
    other = in_transaction(store, open_case, REVIEWER, "another", operators=[]).id
    assert client.get(f"/cases/{other}/photos/{photo['id']}").status_code == 404
    with api_client_of(deployment, account=STRANGER) as stranger:
        for path in ("question", f"photos/{photo['id']}"):
            assert stranger.get(f"/cases/{case}/{path}").status_code == 404
        assert stranger.post(f"/cases/{case}/notes", json={"text": "x"}).status_code == 404


def test_a_closed_case_takes_no_note_and_its_photos_go_with_it(client: TestClient, store: Store, case: int) -> None:
    search(client, case, RED)
    client.post(f"/cases/{case}/close")
    assert client.post(f"/cases/{case}/notes", json={"text": "x"}).status_code == 400
    assert len(client.get(f"/cases/{case}/question").json()["photos"]) == 1
    cutoff = datetime.now(UTC) + timedelta(days=1)
    with store.begin() as connection:
        connection.execute(sa.update(tables.cases).where(tables.cases.c.id != case).values(closed=None))
        assert remove_closed_cases(connection, cutoff, "test", None) == 1
    assert len(store.crops.sizes(f"photos/{case}")) == 1
    assert in_transaction(store, delete_photos_without_case, store.crops) == 1
    assert store.crops.sizes(f"photos/{case}") == {}
