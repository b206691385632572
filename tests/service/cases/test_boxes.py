"""A wrong box is corrected in the full frame, and the sheet, the exported crop and the labeller get the right one."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from domain.images import read_image
from serving.cases.cases import open_case
from serving.cases.labels import export_labels
from serving.cases.visible import show_in_case
from serving.database import audit
from serving.database.store import Store
from serving.sheets.making import plan_sheet
from tests.helpers.deployments import GREEN, RED, REVIEWER
from tests.helpers.full_frames import PERSON, UNTRACKED, add_full_frame
from tests.helpers.sightings import CAMERAS, in_transaction

AROUND_GREEN = [float(side) for side in UNTRACKED]


@pytest.fixture
def store(people: dict[str, TestClient]) -> Store:
    """The sighting 1 has a full frame, in which the box is on a red person; a green one stands further left."""
    opened: Store = people["lee"].app.state.search_service.store()  # type: ignore[attr-defined]
    add_full_frame(opened)
    return opened


@pytest.fixture
def case(people: dict[str, TestClient], store: Store) -> int:
    """A case of kim's, with the match 1 and the sighting 2, which has no full frame."""
    number = in_transaction(store, open_case, REVIEWER, "초록 외투", ["kim"]).id
    in_transaction(store, show_in_case, number, [("demo", 1), ("demo", 2)])
    given = {"district": "demo", "tracklet_id": 1, "verdict": "confirmed"}
    assert people["kim"].post(f"/cases/{number}/verdicts", json=given).status_code == 200
    return number


def correct(client: TestClient, case: int, box: list[float] | None, number: int = 1) -> Any:
    return client.post(f"/cases/{case}/boxes", json={"district": "demo", "tracklet_id": number, "box_xyxy": box})


def told(client: TestClient, case: int) -> list[list[float]]:
    return [one["box_xyxy"] for one in client.get(f"/cases/{case}").json()["boxes"]]


def test_the_last_box_counts_and_can_be_taken_back(people: dict[str, TestClient], store: Store, case: int) -> None:
    kim = people["kim"]
    assert correct(kim, case, [1, 2, 30, 40]).json()["boxes"][0]["account"] == "kim"
    assert correct(kim, case, AROUND_GREEN).status_code == 200
    assert told(kim, case) == [AROUND_GREEN]
    assert correct(kim, case, None).json() == {"boxes": []}
    with store.begin() as connection:
        recorded = [one for one in audit.records(connection) if one.action == "correction"]
    given = {"case_id": case, "district": "demo", "tracklet_id": 1, "box_xyxy": [1, 2, 30, 40]}
    assert (recorded[0].account, recorded[0].details) == ("kim", given)


@pytest.mark.parametrize(
    ("box", "number", "status", "code"),
    [
        ([10, 10, 12, 90], 1, 400, "small_box"),
        ([90, 10, 10, 90], 1, 400, "small_box"),
        ([-1, 10, 90, 90], 1, 400, "field_box_xyxy"),
        ([10, 10, 90], 1, 400, "field_box_xyxy"),
        ([10, 10, 90, 90], 2, 400, "no_full_frame"),
        ([10, 10, 90, 90], 9, 404, "sighting_unknown"),
    ],
)
def test_what_is_no_box_is_refused(
    people: dict[str, TestClient], case: int, box: list[float], number: int, status: int, code: str
) -> None:
    refused = correct(people["kim"], case, box, number)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert told(people["kim"], case) == []


def test_others_and_closed_cases_correct_nothing(people: dict[str, TestClient], case: int) -> None:
    assert correct(people["park"], case, AROUND_GREEN).status_code == 404
    assert people["lee"].post(f"/cases/{case}/close").status_code == 200
    assert correct(people["kim"], case, AROUND_GREEN).json()["code"] == "case_closed"


def test_the_sheet_shows_who_stands_in_the_corrected_box(
    people: dict[str, TestClient], store: Store, case: int
) -> None:
    def box() -> list[float]:
        with store.begin() as connection:
            [match] = plan_sheet(connection, REVIEWER, case).matches
        assert match.person is not None
        return list(match.person)

    assert box() == [float(side) for side in PERSON]
    correct(people["kim"], case, AROUND_GREEN)
    assert box() == AROUND_GREEN


def test_corrected_boxes_are_exported(people: dict[str, TestClient], store: Store, case: int, tmp_path: Path) -> None:
    correct(people["kim"], case, AROUND_GREEN)
    exported = export_labels(store, tmp_path / "labels")
    assert exported.framed == 1
    with (tmp_path / "labels" / "detection" / "boxes.csv").open(encoding="utf-8") as file:
        [row] = list(csv.DictReader(file))
    assert [float(row[side]) for side in ("left", "top", "right", "bottom")] == AROUND_GREEN
    frame = read_image(tmp_path / "labels" / "detection" / "images" / row["image"])
    left, top, right, bottom = UNTRACKED
    assert np.abs(frame[top + 20 : bottom - 20, left + 10 : right - 10].mean((0, 1)) - GREEN).max() < 10
    with (tmp_path / "labels" / "labels.csv").open(encoding="utf-8") as file:
        [judged] = [one for one in csv.DictReader(file) if one["case"] == str(case)]
    crop = read_image(tmp_path / "labels" / "bounding_box_train" / judged["file"])
    assert crop.shape == (bottom - top, right - left, 3)
    assert np.abs(crop.mean((0, 1)) - GREEN).max() < 10
    assert np.abs(crop.mean((0, 1)) - RED).max() > 100


def test_a_replaced_district_keeps_no_box(people: dict[str, TestClient], store: Store, case: int) -> None:
    assert correct(people["kim"], case, AROUND_GREEN).status_code == 200
    store.replace_sightings("demo", CAMERAS, "net-1", [])
    assert told(people["kim"], case) == []
