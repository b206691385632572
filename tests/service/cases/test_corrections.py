"""A wrong attribute is corrected where it is seen, and becomes a label."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from districts.layout import read_attribute_split
from serving.access.roles import Role
from serving.cases.cases import open_case
from serving.cases.labels import export_labels
from serving.cases.visible import show_in_case
from serving.database import audit
from serving.database.store import Store
from serving.deployment import Deployment
from tests.helpers.deployments import REVIEWER, api_client_of, token_of
from tests.helpers.sightings import CAMERAS, in_transaction
from tests.helpers.tiny_engines import BAGS

KIM, PARK = (replace(REVIEWER, name=name, role=Role.OPERATOR) for name in ("kim", "park"))


@pytest.fixture(scope="module")
def kim(deployment: Deployment) -> Iterator[TestClient]:
    """An operator's requests."""
    token_of(deployment, "kim", Role.OPERATOR)
    with api_client_of(deployment, account=KIM) as client:
        assert client.get("/status").json()["ready"]
        yield client


@pytest.fixture
def store(kim: TestClient) -> Store:
    opened: Store = kim.app.state.search_service.store()  # type: ignore[attr-defined]
    return opened


@pytest.fixture
def case(store: Store) -> int:
    """A case of kim's, which has found the sightings 1 to 3."""
    number = in_transaction(store, open_case, REVIEWER, "빨간 외투", ["kim"]).id
    in_transaction(store, show_in_case, number, [("demo", one) for one in range(1, 4)])
    return number


def correct(kim: TestClient, case: int, number: int, label: str | None, group: str = "bag") -> Any:
    right = {"district": "demo", "tracklet_id": number, "group": group, "label": label}
    return kim.post(f"/cases/{case}/corrections", json=right)


def told(kim: TestClient, case: int) -> dict[int, str]:
    corrections = kim.get(f"/cases/{case}").json()["corrections"]
    return {
        one["tracklet_id"]: one["label"] for one in corrections if one["account"] == "kim" and one["group"] == "bag"
    }


def test_the_last_correction_counts_and_can_be_taken_back(kim: TestClient, store: Store, case: int) -> None:
    answer = correct(kim, case, 1, "none")
    assert [(one["tracklet_id"], one["label"]) for one in answer.json()["corrections"]] == [(1, "none")]
    correct(kim, case, 2, "none")
    correct(kim, case, 2, "backpack")
    assert told(kim, case) == {1: "none", 2: "backpack"}
    assert correct(kim, case, 1, None).json()["corrections"][0]["tracklet_id"] == 2
    assert told(kim, case) == {2: "backpack"}
    with store.begin() as connection:
        recorded = [one for one in audit.records(connection) if one.action == "correction"]
    given = {"case_id": case, "district": "demo", "tracklet_id": 1, "group_name": "bag", "label": "none"}
    assert (recorded[0].account, recorded[0].details) == ("kim", given)


@pytest.mark.parametrize(
    ("number", "group", "label", "status", "code"),
    [
        (1, "hat", "none", 400, "attributes_changed"),
        (1, "bag", "suitcase", 400, "attributes_changed"),
        (1, "bag", "x" * 5000, 400, "field_label"),
        (9, "bag", "none", 404, "sighting_unknown"),
    ],
)
def test_what_there_is_not_cannot_be_said(
    kim: TestClient, case: int, number: int, group: str, label: str, status: int, code: str
) -> None:
    refused = correct(kim, case, number, label, group)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert told(kim, case) == {}


def test_others_and_closed_cases_correct_nothing(
    kim: TestClient, deployment: Deployment, store: Store, case: int
) -> None:
    with api_client_of(deployment, account=PARK) as park, api_client_of(deployment) as lee:
        assert correct(park, case, 1, "none").status_code == 404
        assert lee.post(f"/cases/{case}/close").status_code == 200
    assert correct(kim, case, 1, "none").json()["code"] == "case_closed"


def test_corrections_are_exported_as_labels_that_training_reads(
    kim: TestClient, store: Store, case: int, tmp_path: Path
) -> None:
    assert correct(kim, case, 1, "none").status_code == 200
    assert correct(kim, case, 3, "backpack").status_code == 200
    confirmed = {"district": "demo", "tracklet_id": 1, "verdict": "confirmed"}
    assert kim.post(f"/cases/{case}/verdicts", json=confirmed).status_code == 200
    exported = export_labels(store, tmp_path / "labels")
    with (tmp_path / "labels" / "attributes" / "train.csv").open(encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert exported.corrected == len(rows)
    table = read_attribute_split(tmp_path / "labels", "train", BAGS)
    assert set(rows) == set(table.images)
    of_case = [row for row in rows.values() if row["camera"] == CAMERAS[0].id]
    assert {row["bag"] for row in of_case} == {"none", "backpack"}
    identities = [row["identity"] for row in rows.values()]
    assert len(set(identities)) == len(identities)
    with (tmp_path / "labels" / "labels.csv").open(encoding="utf-8") as file:
        [judged] = [row for row in csv.DictReader(file) if row["case"] == str(case)]
    [own] = [row for row in of_case if row["bag"] == "none"]
    assert own["identity"] == judged["identity"]
    for name in rows:
        assert (tmp_path / "labels" / "attributes" / "images" / name).read_bytes()[:2] == b"\xff\xd8"


def test_a_replaced_district_keeps_no_correction(kim: TestClient, store: Store, case: int) -> None:
    assert correct(kim, case, 1, "none").status_code == 200
    store.replace_sightings("demo", CAMERAS, "net-1", [])
    assert told(kim, case) == {}
