"""Sheets for officers on foot: what they show, whom they cover, and when they and their links are dead."""

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pypdfium2 as pdfium
import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.testclient import TestClient

from domain.images import encode_jpeg
from serving.cases.cases import open_case
from serving.cases.visible import show_in_case
from serving.database import audit, tables
from serving.database.sheet_files import delete_sheets_out_of_use
from serving.database.store import Store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from serving.sheets.making import pictures_of
from serving.web.gate import Gate
from serving.web.operator_page import build_page
from tests.helpers.clips import box_of
from tests.helpers.deployments import BLUE, GREEN, RED, REVIEWER, client_of
from tests.helpers.full_frames import add_full_frame, scene
from tests.helpers.sightings import in_transaction

ASKED = {"reason": "an officer looks for the child", "note": "빨간 외투를 입었음", "hours": 2}


@pytest.fixture(scope="module")
def store(people: dict[str, TestClient]) -> Store:
    """In it the sightings 1 and 3, of one camera, are of one moment, with a full frame of 1."""
    opened: Store = people["lee"].app.state.search_service.store()  # type: ignore[attr-defined]
    add_full_frame(opened)
    return opened


@pytest.fixture
def case(people: dict[str, TestClient], store: Store) -> int:
    """A case of kim's with the matches 1 and 2, and a sighting 3 of somebody else."""
    number = in_transaction(store, open_case, REVIEWER, "빨간 외투의 아이", ["kim"]).id
    in_transaction(store, show_in_case, number, [("demo", one) for one in range(1, 5)])
    for sighting, verdict in ((1, "confirmed"), (2, "confirmed"), (3, "rejected")):
        given = {"district": "demo", "tracklet_id": sighting, "verdict": verdict}
        assert people["kim"].post(f"/cases/{number}/verdicts", json=given).status_code == 200
    return number


@pytest.fixture
def link(deployment: Deployment) -> Iterator[TestClient]:
    """A telephone, without an account."""
    page = build_page()
    gate = page.state.gate = Gate(deployment.settings.access)
    with client_of(page, deployment) as client:
        gate.store = page.state.search_service.store
        yield client


def make(client: TestClient, case: int, **more: Any) -> dict[str, Any]:
    made = client.post(f"/cases/{case}/sheets", json=ASKED | more)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def opened(link: TestClient, token: str) -> int:
    return link.post("/sheet", data={"token": token}).status_code


def recorded(store: Store, case: int) -> list[tuple[str, dict[str, Any]]]:
    with store.begin() as connection:
        found = [one for one in audit.records(connection) if one.action == "sheet" and one.details["case_id"] == case]
    return [(one.account, one.details) for one in found]


def jpegs_in(pdf: pdfium.PdfDocument) -> list[bytes]:
    """The JPEG files in it, as they were put there."""
    images = [each for page in pdf for each in page.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE])]
    return [bytes(image.get_data(decode_simple=True)) for image in images]


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(jpeg)).convert("RGB"))


def test_the_pdf_says_and_shows_what_an_officer_needs_and_nobody_else(
    people: dict[str, TestClient], store: Store, case: int
) -> None:
    made = make(people["kim"], case)
    answer = people["kim"].get(f"/cases/{case}/sheets/{made['id']}/pdf")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/pdf", "private, no-store")
    assert hashlib.sha256(answer.content).hexdigest() == made["pdf_sha256"]
    pdf = pdfium.PdfDocument(answer.content)
    text = " ".join(page.get_textpage().get_text_range() for page in pdf).replace("\r\n", " ")
    for said in (
        f"사건 {case} · 빨간 외투의 아이",
        ASKED["note"],
        "1. Gate 0",
        "2026-05-01 21:00:00 – 21:00:05 (Asia/Seoul)",
        "한 사람이 확인: kim",
        "2. Gate 1",
        "사진이 보관되지 않았습니다",
        "까지 사용",
    ):
        assert said in text
    listed = json.loads(bytes(pdf.get_attachment(0).get_data()))
    assert [one["name"] for one in listed["files"]] == ["map.jpg", "1-frame.jpg", "1-person.jpg"]
    jpegs = jpegs_in(pdf)
    assert {hashlib.sha256(each).hexdigest() for each in jpegs} == {one["sha256"] for one in listed["files"]}
    assert all(one["sha256"] in text for one in listed["files"])
    of_people = [pixels(each) for each in jpegs if pixels(each).shape != (720, 1200, 3)]
    assert len(of_people) == 2
    for picture in of_people:
        assert box_of(picture, RED) is not None
        assert box_of(picture, BLUE) is None, "another track"
        assert box_of(picture, GREEN) is None, "detected only"
    [(account, details)] = [one for one in recorded(store, case) if "manifest" in one[1]]
    assert (account, details["reason"], details["shown"]) == ("kim", ASKED["reason"], [["demo", 1], ["demo", 2]])
    assert details["pdf_sha256"] == made["pdf_sha256"]
    assert set(details["manifest"].values()) == {one["sha256"] for one in listed["files"]}


def test_the_link_opens_on_a_telephone_without_an_account(
    people: dict[str, TestClient], store: Store, case: int, link: TestClient
) -> None:
    made = make(people["kim"], case, language="en")
    shown = link.post("/sheet", data={"token": made["token"]})
    assert shown.status_code == 200
    for said in ("1. Gate 0", "2026-05-01 21:00:00", "Confirmed by one person: kim", ASKED["note"], 'lang="en"'):
        assert said in shown.text
    sent = [b64decode(each) for each in re.findall(r"data:image/jpeg;base64,([^\"]+)", shown.text)]
    for jpeg in sent:
        assert hashlib.sha256(jpeg).hexdigest() in shown.text
        assert box_of(pixels(jpeg), GREEN) is None
    assert len(sent) == 3
    assert recorded(store, case)[-1] == (f"link:{made['id']}", {"case_id": case, "sheet": made["id"], "what": "link"})
    [told] = people["kim"].get(f"/cases/{case}/sheets").json()["sheets"]
    assert (told["opened"], told["is_in_use"], told["account"]) == (1, True, "kim")
    assert "token" not in told


def test_a_sheet_is_dead_after_its_time_after_revocation_and_with_its_case(
    people: dict[str, TestClient], store: Store, case: int, link: TestClient
) -> None:
    kim = people["kim"]
    late, revoked, closed = (make(kim, case) for _ in range(3))
    assert {opened(link, one["token"]) for one in (late, revoked, closed)} == {200}
    table = tables.sheets
    with store.begin() as connection:
        is_late = table.c.id == late["id"]
        connection.execute(sa.update(table).where(is_late).values(expires=sa.func.now() - timedelta(seconds=1)))
    assert opened(link, late["token"]) == 404
    for _ in range(2):
        assert kim.post(f"/cases/{case}/sheets/{revoked['id']}/revoke").json()["is_in_use"] is False
    assert opened(link, revoked["token"]) == 404
    assert opened(link, closed["token"]) == 200
    left = {path.rsplit("/", 1)[1].split(".")[0] for path in store.crops.sizes(f"sheets/{case}")}
    assert left == {str(late["id"]), str(closed["id"])}, "what is revoked is deleted at once"
    for path in store.crops.sizes(f"sheets/{case}"):
        stored = (store.folder / path).read_bytes()
        assert b"PDF" not in stored[:20]
        assert b"case_id" not in stored
    in_transaction(store, delete_sheets_out_of_use, store.crops)
    left = {path.rsplit("/", 1)[1].split(".")[0] for path in store.crops.sizes(f"sheets/{case}")}
    assert left == {str(closed["id"])}
    assert people["lee"].post(f"/cases/{case}/close").status_code == 200
    assert opened(link, closed["token"]) == 404
    for one in (late, revoked, closed):
        refused = kim.get(f"/cases/{case}/sheets/{one['id']}/pdf")
        assert (refused.status_code, refused.json()["code"]) == (404, "sheet_unknown")
    in_transaction(store, delete_sheets_out_of_use, store.crops)
    assert store.crops.sizes(f"sheets/{case}") == {}


def test_tokens_cannot_be_tried(link: TestClient) -> None:
    statuses = [opened(link, f"guess {number}") for number in range(12)]
    assert (statuses[0], statuses[-1]) == (404, 429)


def test_another_operator_and_another_case_get_nothing(people: dict[str, TestClient], store: Store, case: int) -> None:
    made = make(people["kim"], case)
    other = in_transaction(store, open_case, REVIEWER, "another", ["kim", "park"]).id
    for client, number in ((people["park"], case), (people["kim"], other)):
        assert client.get(f"/cases/{number}/sheets/{made['id']}/pdf").status_code == 404
        assert client.post(f"/cases/{number}/sheets/{made['id']}/revoke").status_code == 404
    assert people["park"].get(f"/cases/{case}/sheets").status_code == 404
    assert people["park"].post(f"/cases/{case}/sheets", json=ASKED).status_code == 404
    refused = people["kim"].post(f"/cases/{other}/sheets", json=ASKED)
    assert (refused.status_code, refused.json()["code"]) == (400, "no_confirmed")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"hours": 25}, "sheet_hours"),
        ({"hours": 0}, "field_hours"),
        ({"note": "x" * 1001}, "field_note"),
        ({"reason": " "}, "field_reason"),
    ],
)
def test_a_sheet_has_a_reason_and_bounds(
    people: dict[str, TestClient], case: int, asked: dict[str, Any], code: str
) -> None:
    refused = people["kim"].post(f"/cases/{case}/sheets", json=ASKED | asked)
    assert (refused.status_code, refused.json()["code"]) == (400, code)


def test_where_two_must_agree_a_match_of_one_is_not_on_a_sheet(people: dict[str, TestClient], store: Store) -> None:
    number = in_transaction(store, open_case, REVIEWER, "two", ["kim", "park"], second_person=True).id
    in_transaction(store, show_in_case, number, [("demo", one) for one in range(1, 5)])
    for name, sightings in (("kim", (1, 2)), ("park", (1,))):
        for sighting in sightings:
            given = {"district": "demo", "tracklet_id": sighting, "verdict": "confirmed"}
            assert people[name].post(f"/cases/{number}/verdicts", json=given).status_code == 200
    made = make(people["kim"], number, language="en")
    pdf = pdfium.PdfDocument(people["kim"].get(f"/cases/{number}/sheets/{made['id']}/pdf").content)
    text = " ".join(page.get_textpage().get_text_range() for page in pdf).replace("\r\n", " ")
    assert "Confirmed by two people, each without knowing what the other said: kim, park" in text
    assert "2. Gate" not in text


COLOURS = {"a": RED, "b": GREEN, "c": BLUE, "d": (230, 200, 20), "e": (20, 200, 220), "f": (200, 30, 200)}
PLACES = [(20 + 50 * column, 60, 50 + 50 * column, 220) for column in range(6)]


def rank_1(perception: Perception, pictures: dict[str, np.ndarray]) -> float:
    """Share of people in `pictures` whom our re-ID finds in the gallery of the people uncovered."""
    gallery = perception.embed([scene((PLACES[0], colour))[60:220, 20:50] for colour in COLOURS.values()])
    queries = perception.embed(list(pictures.values()))
    nearest = (queries @ gallery.T).argmax(axis=1)
    return float(np.mean([list(COLOURS)[at] == name for at, name in zip(nearest, pictures, strict=True)]))


def test_our_re_identification_knows_nobody_who_is_covered_and_still_the_person(deployment: Deployment) -> None:
    perception = Perception(*deployment.open_engines(), deployment.perception)
    street = scene(*zip(PLACES, COLOURS.values(), strict=True))
    blurred = cv2.GaussianBlur(street, (0, 0), 6)
    covered, only_blurred, sought = [], [], []
    for own, name in enumerate(COLOURS):
        boxes = [np.array(place, float) for place in PLACES]
        whole, part = pictures_of(street, boxes[own], boxes[:own] + boxes[own + 1 :], perception)
        covered.append(rank_1(perception, others_in(pixels(encode_jpeg(whole)), name)))
        only_blurred.append(rank_1(perception, others_in(blurred, name)))
        sought.append(rank_1(perception, {name: pixels(encode_jpeg(part))}))
    assert np.mean(covered) <= 1 / len(COLOURS) + 1e-9, "at chance"
    assert np.mean(sought) == 1
    assert np.mean(only_blurred) > 0.9, "the comparison notices: a blur would not do"


def others_in(picture: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Everybody but one person, cut from a picture of the street."""
    return {
        other: picture[top:bottom, left:right]
        for other, (left, top, right, bottom) in zip(COLOURS, PLACES, strict=True)
        if other != name
    }
