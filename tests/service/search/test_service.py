import json
import re
import shutil
import weakref
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from httpx import Response
from PIL import Image
from starlette.testclient import TestClient

from domain.errors import InputError
from serving.cases.visible import show_in_case
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.search.photo import DecodedPhoto, PhotoDecoders
from tests.helpers.deployments import (
    BLUE,
    FOR_CASE,
    GREEN,
    MAX_UPLOAD_BYTES,
    RED,
    api_client_of,
    fill_store,
    picture,
    write_deployment,
)
from tests.helpers.sightings import CAMERAS


def png(image: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def search(client: TestClient, photo: bytes, **fields: str) -> Any:
    answer = client.post("/search", files={"photo": ("photo.png", photo)}, data=FOR_CASE | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("colour", "first"), [(RED, {1, 4, 7, 10}), (GREEN, {2, 5, 8, 11}), (BLUE, {3, 6, 9, 12})])
def test_a_photo_finds_the_sightings_of_that_person_first(
    client: TestClient, colour: tuple[int, int, int], first: set[int]
) -> None:
    answer = search(client, png(picture(colour, seed=99)))
    ranked = [sighting["tracklet_id"] for sighting in answer["sightings"]]
    assert set(ranked[:4]) == first
    distances = [sighting["distance"] for sighting in answer["sightings"]]
    assert distances == sorted(distances)
    best = answer["sightings"][0]
    assert best["match_probability"] > 0.5 > answer["sightings"][-1]["match_probability"]
    assert best["camera_id"] in {camera.id for camera in CAMERAS}
    assert best["first_seen"] < best["last_seen"]
    assert answer["model_version"].startswith("mean-colour-")


def test_sightings_like_one_are_found_without_a_verdict_on_it(client: TestClient) -> None:
    like = json.dumps([{"district": "demo", "tracklet_id": 2}])
    answer = client.post("/search", data=FOR_CASE | {"like": like}).json()
    assert {each["tracklet_id"] for each in answer["sightings"][:4]} == {2, 5, 8, 11}
    assert not any(each["confirmed"] for each in answer["sightings"])
    unknown = client.post("/search", data=FOR_CASE | {"like": like.replace("2", "999")})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "sighting_unknown")


def test_people_in_a_photo_are_told_before_the_search(client: TestClient) -> None:
    scene = np.full((60, 80, 3), RED, np.uint8)
    scene[:, :40] = GREEN
    before = len(client.get("/cases/1/export").json()["searches"])
    told = client.post("/photo", files={"photo": png(scene)}).json()
    person = [0, 0, 40, 60]
    assert told == {"width_px": 80, "height_px": 60, "detected_xyxy": [person], "selected_xyxy": person}
    assert len(client.get("/cases/1/export").json()["searches"]) == before  # it is no search
    two = client.post("/photo", files=[("photo", png(scene)), ("photo", png(scene))])
    assert (two.status_code, "at most 1 item" in two.json()["error"]) == (400, True)
    refused = client.post("/photo", files={"photo": b"I am a text file"}).json()
    assert (refused["code"], refused["number"]) == ("photo_format", 1)


def test_a_refusal_has_a_code_and_tells_which_photo(client: TestClient) -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    refused = client.post("/search", data=FOR_CASE, files=[("photo", png(picture(RED))), ("photo", heic)])
    answer = refused.json()
    assert (refused.status_code, answer["code"], answer["number"]) == (400, "photo_heic", 2)
    assert answer["error"].startswith("photo 2: the photo must be a JPEG, got HEIC")
    for fields, code in [
        ({"since": "2026-05-02T00:00:00Z", "until": "2026-05-01T00:00:00Z"}, "time_order"),
        ({"since": "1600-05-02T00:00:00Z"}, "field_since"),
        ({"cameras": "demo/none"}, "cameras_unknown"),
        ({"area": json.dumps({"latitude": 0, "longitude": 0, "radius_m": 1})}, "area_empty"),
        ({"case": "99"}, "case_unknown"),
        ({"reason": "x" * 501}, "field_reason"),
    ]:
        asked = client.post("/search", data=FOR_CASE | fields, files={"photo": png(picture(RED))})
        assert asked.json()["code"] == code, asked.text
        assert "number" not in asked.json()


def test_in_a_scene_the_person_is_searched_not_the_street(client: TestClient) -> None:
    scene = np.full((60, 80, 3), RED, np.uint8)
    scene[:, :40] = GREEN  # the tiny detector finds people in the left half
    answer = search(client, png(scene))
    assert answer["people_xyxy"] == [[0, 0, 40, 60]]
    assert answer["detected_xyxy"] == [[[0, 0, 40, 60]]]
    assert answer["sightings"][0]["tracklet_id"] in {2, 5, 8, 11}


def test_people_in_a_jpeg_that_is_decoded_smaller_have_boxes_in_its_own_pixels(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoders = client.app.state.search_service._photos._decoders  # type: ignore[attr-defined]
    monkeypatch.setattr(decoders, "_most_pixels", 160 * 120)
    scene = np.full((480, 640, 3), RED, np.uint8)
    scene[:, :320] = GREEN
    file = BytesIO()
    Image.fromarray(scene).save(file, "JPEG", quality=95)
    answer = search(client, file.getvalue())
    assert answer["people_xyxy"] == [[0, 0, 320, 480]]
    assert answer["sightings"][0]["tracklet_id"] in {2, 5, 8, 11}
    marked = search(client, file.getvalue(), people_xyxy="[[400, 80, 560, 400]]")
    assert marked["people_xyxy"] == [[400, 80, 560, 400]]
    assert marked["sightings"][0]["tracklet_id"] in {1, 4, 7, 10}


def test_where_nobody_is_found_the_whole_photo_is_the_person(client: TestClient) -> None:
    assert search(client, png(np.full((60, 80, 3), (90, 10, 10), np.uint8)))["people_xyxy"] == [None]


def test_fields_narrow_the_search(client: TestClient) -> None:
    answer = search(
        client,
        png(picture(RED)),
        cameras="demo/cam1",
        top_k="2",
        attributes=json.dumps({"bag": "backpack"}),
        since="2026-05-01T12:05:00+00:00",
        until="2026-05-01T21:20:00+09:00",
    )
    assert len(answer["sightings"]) == 2
    assert {sighting["camera_id"] for sighting in answer["sightings"]} == {"cam1"}


def test_a_search_by_attributes_alone(client: TestClient) -> None:
    answer = client.post("/search", data=FOR_CASE | {"attributes": '{"bag": "backpack"}', "top_k": "4"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["people_xyxy"] == []
    found = answer.json()["sightings"]
    assert {sighting["tracklet_id"] for sighting in found} == {1, 4, 7, 10}  # the red ones carry it
    assert all(sighting["match_probability"] > 0.5 for sighting in found)


def test_where_the_person_was_seen_moves_each_sighting_and_says_how_much(client: TestClient) -> None:
    seen = [{"camera": "demo/cam0", "time": "2026-05-01T12:00:00Z", "within_s": 30}]
    plain = search(client, png(picture(RED)))["sightings"]
    moved = search(client, png(picture(RED)), seen_at=json.dumps(seen))["sightings"]
    assert {hit["evidence"]["place_and_time"] for hit in plain} == {0}
    by_id = {hit["tracklet_id"]: hit for hit in moved}
    assert by_id[2]["evidence"]["place_and_time"] > 1  # Gate 1 a minute later
    assert by_id[12]["evidence"]["place_and_time"] < 0  # and eleven minutes later
    near = [{"area": {"latitude": 35.85, "longitude": 128.6, "radius_m": 50}, "time": "2026-05-01T21:00:00+09:00"}]
    moved = search(client, png(picture(RED)), seen_at=json.dumps(near))["sightings"]
    assert any(hit["evidence"]["place_and_time"] > 0 for hit in moved)
    with client.app.state.search_service.store().begin() as connection:  # type: ignore[attr-defined]
        question = connection.exec_driver_sql("SELECT question FROM searches ORDER BY id DESC LIMIT 1").scalar()
    assert question["seen_at"][0]["area"]["radius_m"] == 50


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"time": "2026-05-01T12:00:00Z"}, "must have either a camera or an area"),
        ({"camera": "demo/cam9", "time": "2026-05-01T12:00:00Z"}, "such as demo/cam2, .*got 'demo/cam9'"),
        ({"camera": "demo/cam0", "time": "2026-05-01T12:00:00"}, "timezone"),
        ({"camera": "demo/cam0", "time": "2026-05-01T12:00:00Z", "within_s": 1e6}, "less than or equal to 86400"),
    ],
)
def test_a_place_and_time_that_cannot_be_used(client: TestClient, seen: dict[str, Any], said: str) -> None:
    fields = FOR_CASE | {"attributes": '{"bag": "backpack"}', "seen_at": json.dumps([seen])}
    answer = client.post("/search", data=fields)
    assert answer.status_code == 400
    assert re.search(said, answer.json()["error"])


def where_next(client: TestClient, **fields: Any) -> Response:
    return client.post("/where-next", json=FOR_CASE | fields)


def test_where_next_tells_cameras_and_minutes_from_the_last_that_is_known(client: TestClient) -> None:
    known = [{"district": "demo", "tracklet_id": number} for number in (1, 4)]  # at noon and three minutes later
    answer = where_next(client, sightings=known)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["last"]["camera"], found["last"]["time"][:19]) == ("demo/cam1", "2026-05-01T12:03:02")
    assert {camera["camera_id"] for camera in found["cameras"]} == {"cam0", "cam2"}
    total = sum(camera["probability"] for camera in found["cameras"]) + found["unseen"]
    assert total == pytest.approx(1, abs=1e-3)
    for camera in found["cameras"]:
        assert sum(camera["minutes"]) == pytest.approx(camera["probability"], abs=1e-3)
        assert len(camera["minutes"]) == 30
    searched = {camera["camera_id"]: camera["searched"] for camera in found["cameras"]}
    assert searched == {"cam0": pytest.approx(7 / 30, abs=0.01), "cam2": 0}  # until the last sighting, at 12:10
    assert found["areas"][-1]["area_m2"] > found["areas"][0]["area_m2"]
    assert {hit["tracklet_id"] for hit in found["sightings"]} >= {7}  # of the same person, four minutes later
    witnessed = [{"area": {"latitude": 35.85, "longitude": 128.6, "radius_m": 80}, "time": "2026-05-01T21:10:00+09:00"}]
    later = where_next(client, sightings=known, seen_at=witnessed, until="2026-05-01T21:20:00+09:00").json()
    assert (later["last"]["camera"], later["last"]["radius_m"], len(later["cameras"])) == (None, 80, 3)
    assert len(later["cameras"][0]["minutes"]) == 10


def test_what_a_witness_says_is_a_stop_and_moves_the_likely_sightings(client: TestClient) -> None:
    told = {"camera": "demo/cam1", "time": "2026-05-01T12:05:00Z", "within_s": 60, "source": "a shopkeeper"}
    asked = FOR_CASE | {"sightings": [{"district": "demo", "tracklet_id": 1}], "fill": True}
    plain, moved = (client.post("/route", json=asked | more).json() for more in ({}, {"seen_at": [told]}))
    assert (plain["told"], moved["told"][0]["source"]) == ([], "a shopkeeper")
    assert moved["told"][0]["latitude"] == CAMERAS[1].latitude
    odds = [
        {
            hit["tracklet_id"]: hit["match_probability"]
            for each in (answer, *answer["alternatives"])
            for hit in each["route"]
        }
        for answer in (plain, moved)
    ]
    assert any(odds[0][number] != odds[1][number] for number in odds[0].keys() & odds[1].keys())
    exported = client.post("/route?format=geojson", json=asked | {"seen_at": [told]}).json()["features"][-1]
    assert exported["geometry"]["coordinates"] == [CAMERAS[1].longitude, CAMERAS[1].latitude]
    assert exported["properties"]["source"] == "a shopkeeper"
    records = client.get("/audit", params={"limit": 1000}).json()["records"]
    assert any("a shopkeeper" in json.dumps(record["details"]) for record in records)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "must have a confirmed sighting or seen_at, got none"),
        ({"until": "2026-05-01T12:00:00Z"}, "until must be within 3 hours after the person was last seen"),
        ({"until": "2026-05-02T12:00:00Z"}, "until must be within 3 hours after the person was last seen"),
        ({"cameras": ["demo/cam9"]}, "cameras must be named by district and id"),
    ],
)
def test_a_where_next_that_cannot_be_told(client: TestClient, fields: dict[str, Any], said: str) -> None:
    known = {"sightings": [{"district": "demo", "tracklet_id": 4}]} if fields else {}
    answer = where_next(client, **known, **fields)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize("attributes", [pytest.param({}, id="no field"), pytest.param({"attributes": "{}"}, id="none")])
def test_a_search_for_nothing_gets_400_with_a_message(client: TestClient, attributes: dict[str, str]) -> None:
    answer = client.post("/search", data=FOR_CASE | {"top_k": "4", **attributes})
    assert answer.status_code == 400
    assert "a file photo, attributes or confirmed sightings, got none" in answer.json()["error"]


def test_a_crop_is_that_of_the_sighting_and_stays_in_no_cache(client: TestClient) -> None:
    answer = client.get("/crops/demo/3?case=1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.headers["cache-control"] == "private, no-store"
    red, _, blue = np.asarray(Image.open(BytesIO(answer.content))).mean(axis=(0, 1))
    assert blue > 2 * red  # tracklet 3 is a blue person


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("demo/99", id="unknown number"),
        pytest.param("elsewhere/1", id="unknown district"),
        pytest.param("demo/1.jpg", id="no number"),
        pytest.param(f"demo/{10**30}", id="a number that no column holds"),
        pytest.param("%00/1", id="a district that no column holds"),
        pytest.param("..%2F..%2Fparams.yaml/1", id="a path as the district"),
        pytest.param("demo/..%2F..%2F..%2Fparams.yaml", id="a path as the number"),
    ],
)
def test_a_crop_that_is_not_stored_gets_404(client: TestClient, address: str) -> None:
    answer = client.get(f"/crops/{address}", params={"case": 1})
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_a_crop_whose_file_is_gone_gets_404(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    next((deployment.store / "crops").rglob("000001.jpg")).unlink()
    with api_client_of(deployment) as client:
        assert "must be of a stored sighting, got demo/1" in client.get("/crops/demo/1?case=1").json()["error"]
        assert client.get("/crops/demo/2?case=1").status_code == 200


def ask_route(client: TestClient, *numbers: int) -> Response:
    sightings = [{"district": "demo", "tracklet_id": number} for number in numbers]
    return client.post("/route", json=FOR_CASE | {"sightings": sightings})


def test_confirmed_sightings_become_a_route_in_order_of_time(client: TestClient) -> None:
    answer = ask_route(client, 7, 1, 4, 1).json()
    assert [sighting["tracklet_id"] for sighting in answer["route"]] == [1, 4, 7]
    assert [sighting["camera_id"] for sighting in answer["route"]] == ["cam0", "cam1", "cam0"]
    assert answer["left_out"] == []


def test_a_confirmed_sighting_that_nobody_can_walk_to_is_left_out(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    params["serving"]["route"]["max_walking_speed_m_s"] = 1.0  # 111 metres to the other camera in 55 seconds
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    fill_store(deployment)
    with api_client_of(Deployment.read(tmp_path)) as client:
        answer = ask_route(client, 1, 2, 3).json()
        assert [sighting["tracklet_id"] for sighting in answer["route"]] == [1, 3]
        assert [sighting["tracklet_id"] for sighting in answer["left_out"]] == [2]


def through(district: str, tracklet_id: int, **more: Any) -> str:
    return json.dumps(FOR_CASE | {"sightings": [{"district": district, "tracklet_id": tracklet_id}]} | more)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("nothing", "the request must be JSON", id="no JSON"),
        pytest.param("", "must be a JSON object with the header Content-Type", id="nothing"),
        pytest.param("{}", "the request must have sightings", id="no sightings"),
        pytest.param('{"sightings": []}', "the request must have case", id="no case"),
        pytest.param('{"sightings": [], "case": 1}', "the request must have reason", id="no reason"),
        pytest.param(through("demo", 9223372036854775808), "less than or equal", id="big"),
        pytest.param(through("", 1), "must have 1 to 64 letters", id="no district"),
        pytest.param(through("demo", 1, reason=" "), "reason must match pattern", id="an empty reason"),
        pytest.param(
            json.dumps(FOR_CASE | {"sightings": []}), "a route must have a confirmed sighting, got none", id="none"
        ),
        pytest.param(
            through("demo", 1, fill=True, since="0001-01-01T00:00:00+14:00"), "since must be a time", id="long ago"
        ),
    ],
)
def test_a_route_of_what_is_no_sighting_gets_400_with_a_message(client: TestClient, body: str, message: str) -> None:
    answer = client.post("/route", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"I am a text file", "the photo must be a picture", id="text"),
        pytest.param(png(picture(RED))[:200], "the photo must be undamaged", id="cut"),
        pytest.param(b"", "the photo must be a picture, got an empty file", id="empty"),
    ],
)
def test_a_file_that_is_no_photo_gets_400_with_a_message(client: TestClient, content: bytes, message: str) -> None:
    answer = client.post("/search", data=FOR_CASE, files={"photo": ("photo.jpg", content, "image/jpeg")})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize("address", ["/search", "/route"])
def test_a_request_that_is_too_long_gets_413_with_a_message(client: TestClient, address: str) -> None:
    answer = client.post(address, files={"photo": b"x" * (MAX_UPLOAD_BYTES + 1)})
    assert answer.status_code == 413
    assert "must have at most 300000 bytes" in answer.json()["error"]


def test_a_field_that_comes_twice_gets_400(client: TestClient) -> None:
    answer = client.post("/search", data=FOR_CASE, files=[("top_k", (None, b"1"))] * 2)
    assert answer.status_code == 400
    assert answer.json()["error"] == "a form must have each field except photo only once, got several of top_k"


def test_several_photos_of_one_person_ask_together(client: TestClient) -> None:
    scene = np.full((60, 80, 3), BLUE, np.uint8)
    scene[:, :40] = GREEN
    photos = [("photo", ("a.png", png(picture(GREEN, seed=50)))), ("photo", ("b.png", png(scene)))]
    answer = client.post("/search", data=FOR_CASE, files=photos).json()
    assert answer["people_xyxy"] == [None, [0, 0, 40, 60]]  # one fills the crop
    assert {sighting["tracklet_id"] for sighting in answer["sightings"][:4]} == {2, 5, 8, 11}


def test_at_any_time_the_pixels_of_one_photo_are_in_memory(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, decoded = PhotoDecoders.decode, list[weakref.ref[np.ndarray]]()

    def decode_alone(decoders: PhotoDecoders, content: bytes, cpu_s: float) -> DecodedPhoto:
        assert not [earlier for earlier in decoded if earlier() is not None]
        photo = decode(decoders, content, cpu_s)
        decoded.append(weakref.ref(photo.image))
        return photo

    monkeypatch.setattr(PhotoDecoders, "decode", decode_alone)
    photos = [("photo", ("a.png", png(picture(GREEN, seed=seed)))) for seed in range(4)]
    assert client.post("/search", data=FOR_CASE, files=photos).status_code == 200
    assert len(decoded) == 4


@pytest.mark.parametrize(
    ("pointed", "box", "first"),
    [
        pytest.param([2, 3, 38, 60], [0, 0, 40, 60], {2, 5, 8, 11}, id="at whom the detector finds"),
        pytest.param([9, 9, 13, 13], [0, 0, 40, 60], {2, 5, 8, 11}, id="at a point of whom the detector finds"),
        pytest.param([50, 0, 80, 60], [50, 0, 80, 60], {1, 4, 7, 10}, id="at whom it does not find"),
    ],
)
def test_a_scene_may_point_at_the_person(
    client: TestClient, pointed: list[int], box: list[int], first: set[int]
) -> None:
    scene = np.full((60, 80, 3), RED, np.uint8)
    scene[:, :40] = GREEN
    answer = search(client, png(scene), people_xyxy=json.dumps([pointed]))
    assert answer["people_xyxy"] == [box]
    assert answer["sightings"][0]["tracklet_id"] in first


def judged(*numbers: int) -> str:
    return json.dumps([{"district": "demo", "tracklet_id": number} for number in numbers])


def test_confirmed_sightings_ask_and_rejected_ones_are_left_out(client: TestClient) -> None:
    answer = client.post("/search", data=FOR_CASE | {"confirmed": judged(2), "rejected": judged(5)})
    assert answer.status_code == 200, answer.text
    found = answer.json()["sightings"]
    assert {sighting["tracklet_id"] for sighting in found[:3]} == {2, 8, 11}
    assert {sighting["tracklet_id"] for sighting in found if sighting["confirmed"]} == {2}
    assert 5 not in {sighting["tracklet_id"] for sighting in found}
    assert {sighting["model_version"] for sighting in found} == {answer.json()["model_version"]}


@pytest.mark.parametrize(
    ("question", "found"),
    [
        pytest.param({"is": ["backpack"]}, {1, 4, 7, 10}, id="is"),
        pytest.param({"is_not": ["none"], "or_unknown": True}, {1, 4, 7, 10}, id="is not, or unknown"),
    ],
)
def test_attributes_may_be_questions(client: TestClient, question: dict[str, Any], found: set[int]) -> None:
    answer = client.post("/search", data=FOR_CASE | {"attributes": json.dumps({"bag": question}), "top_k": "4"})
    assert {sighting["tracklet_id"] for sighting in answer.json()["sightings"]} == found


def test_likely_sightings_fill_a_route(client: TestClient) -> None:
    asked = FOR_CASE | {"sightings": json.loads(judged(4)), "rejected": json.loads(judged(5)), "fill": True}
    answer = client.post("/route", json=asked).json()
    assert [sighting["tracklet_id"] for sighting in answer["route"]] == [1, 4, 7, 10]
    assert [sighting["confirmed"] for sighting in answer["route"]] == [False, True, False, False]
    assert answer["left_out"] == []
    assert sum(each["relative_probability"] for each in [answer, *answer["alternatives"]]) == pytest.approx(1)
    filters = {"until": "2026-05-01T12:05:00Z", "cameras": ["demo/cam0", "demo/cam1"]}
    before = client.post("/route", json=asked | filters).json()
    assert [sighting["tracklet_id"] for sighting in before["route"]] == [1, 4]


def test_a_route_comes_as_geojson_and_as_a_table(client: TestClient) -> None:
    asked = FOR_CASE | {"sightings": json.loads(judged(1, 4))}
    geojson = client.post("/route?format=geojson", json=asked)
    assert geojson.headers["content-type"] == "application/geo+json"
    kinds = [feature["geometry"]["type"] for feature in geojson.json()["features"]]
    assert kinds == ["LineString", "Point", "Point"]
    table = client.post("/route?format=csv", json=asked)
    assert table.headers["content-type"].startswith("text/csv")
    assert [line.split(",")[:4] for line in table.text.splitlines()[1:]] == [
        ["1", "1", "demo", "1"],
        ["1", "2", "demo", "4"],
    ]
    assert client.post("/route?format=kml", json=asked).status_code == 400


def test_the_openapi_document_declares_every_answer(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    declared = {
        f"{method} {path}": set(operation["responses"])
        for path, at in paths.items()
        for method, operation in at.items()
    }
    refused = {"401", "403", "429", "503"}
    assert declared == {
        "post /search": {"200", "400", "404", "408", "413"} | refused,
        "post /sentence": {"200", "400", "408", "413"} | refused,
        "post /photo": {"200", "400", "408", "413"} | refused,
        "post /route": {"200", "400", "404", "408", "413"} | refused,
        "post /where-next": {"200", "400", "404", "408", "413"} | refused,
        "get /crops/{district}/{tracklet_id}": {"200", "400", "404"} | refused,
        "get /cameras": {"200"} | refused,
        "get /map": {"200"} | refused,
        "get /status": {"200"} | refused,
        "get /cases": {"200"} | refused,
        "post /cases": {"201", "400", "408", "413"} | refused,
        "post /emergencies": {"201", "400", "408", "413"} | refused,
        "post /cases/{case_id}/agree": {"200", "400", "404"} | refused,
        "get /cases/{case_id}": {"200", "404"} | refused,
        "post /cases/{case_id}/close": {"200", "400", "404"} | refused,
        "put /cases/{case_id}/legal-hold": {"200", "400", "404", "408", "413"} | refused,
        "put /cases/{case_id}/operators": {"200", "400", "404", "408", "413"} | refused,
        "post /cases/{case_id}/verdicts": {"200", "400", "404", "408", "413"} | refused,
        "get /cases/{case_id}/export": {"200", "404"} | refused,
        "get /audit": {"200", "400"} | refused,
        "get /audit/unusual": {"200", "400"} | refused,
        "get /coverage": {"200", "400"} | refused,
        "post /watches": {"201", "400", "404", "408", "413"} | refused,
        "get /watches": {"200", "400", "404"} | refused,
        "post /watches/estimate": {"200", "400", "404", "408", "413"} | refused,
        "post /trail/{district}/{tracklet_id}": {"200", "400", "404", "408", "413"} | refused,
        "get /footage/{district}/{tracklet_id}": {"200", "400", "404"} | refused,
        "post /footage/{district}/{tracklet_id}/frame": {"200", "400", "404", "408", "413"} | refused,
        "post /footage/{district}/{tracklet_id}/clip": {"200", "400", "404", "408", "413"} | refused,
        "post /watches/{watch_id}/end": {"200", "400", "404"} | refused,
        "get /alerts": {"200", "400", "404"} | refused,
        "get /alerts/events": {"200", "400"} | refused,
        "get /cases/{case_id}/question": {"200", "404"} | refused,
        "post /cases/{case_id}/notes": {"201", "400", "404", "408", "413"} | refused,
        "get /cases/{case_id}/photos/{photo_id}": {"200", "404"} | refused,
        "post /cases/{case_id}/photos/{photo_id}/remove": {"204", "400", "404"} | refused,
        "post /cases/{case_id}/corrections": {"200", "400", "404", "408", "413"} | refused,
        "post /cases/{case_id}/boxes": {"200", "400", "404", "408", "413"} | refused,
        "post /cases/{case_id}/sheets": {"201", "400", "404", "408", "413"} | refused,
        "get /cases/{case_id}/sheets": {"200", "404"} | refused,
        "get /cases/{case_id}/sheets/{sheet_id}/pdf": {"200", "404"} | refused,
        "post /cases/{case_id}/sheets/{sheet_id}/revoke": {"200", "404"} | refused,
    }


@pytest.mark.parametrize("address", ["/docs", "/redoc"])
def test_no_page_of_documentation_asks_the_network(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_k": "many"}, "top_k must be a valid integer, unable to parse string as an integer, got 'many'"),
        ({"top_k": "0"}, "top_k must be 1 to 500, got 0"),
        ({"top_k": "501"}, "top_k must be 1 to 500, got 501"),
        ({"attributes": "backpack"}, "attributes must be JSON"),
        ({"attributes": "[1]"}, "attributes must be a valid dictionary, got [1]"),
        ({"attributes": '{"bag": "rocket"}'}, "the attribute bag must be one of none, backpack, got 'rocket'"),
        ({"attributes": '{"hat": "none"}'}, "an attribute group of the schema bags must be one of bag, got 'hat'"),
        ({"cameras": "demo/cam1,cam2"}, "by district and id, such as demo/cam2, demo/cam1, demo/cam0, got 'cam2'"),
        ({"cameras": "demo/cam9"}, "got 'demo/cam9'"),
        (
            {"area": '{"latitude": 35.95, "longitude": 128.6, "radius_m": 200}'},
            "got a radius of 200 m; the nearest camera, demo/cam2, is 10897 m from the centre",
        ),
        ({"area": '{"latitude": 91, "longitude": 128.6, "radius_m": 200}'}, "area.latitude must be less than or equal"),
        ({"area": '{"latitude": 35, "longitude": 128.6}'}, "the request must have area.radius_m"),
        ({"area": '{"latitude": 35, "longitude": 128.6, "radius_m": 1e999}'}, "area.radius_m must be a finite number"),
        ({"area": "here"}, "area must be JSON"),
        (
            {"since": "yesterday"},
            "since must be a valid datetime or date, such as 2026-05-01T09:00:00+09:00",
        ),
        (
            {"until": "2026-05-01T09:00:00"},
            "until must have timezone info, such as 2026-05-01T09:00:00+09:00, got '2026-05-01T09:00:00'",
        ),
        ({"attributes": '{"bag": {"isnt": ["none"]}}'}, "documented fields only, got attributes.bag.isnt"),
        (
            {"attributes": '{"bag": {"is_not": ["none", "backpack"]}}'},
            "the attribute bag must allow at least one label",
        ),
        ({"people_xyxy": "[[1, 2, 3]]"}, "people_xyxy.0.3"),
        ({"people_xyxy": "[null, null]"}, "people_xyxy must have one box or null per photo, got 2 for 1"),
        ({"people_xyxy": "[[40, 0, 20, 9]]"}, "people_xyxy must contain boxes [left, top, right, bottom] in an image"),
        (
            {"people_xyxy": "[[20, 9, 24, 13]]"},
            "people_xyxy must point at a person, got [20.0, 9.0, 24.0, 13.0] without a person there",
        ),
        ({"people_xyxy": "[[NaN, 0, 20, 9]]"}, "people_xyxy"),
        ({"confirmed": "7"}, "confirmed must be a valid"),
        ({"confirmed": judged(1), "rejected": judged(1)}, "must be confirmed or rejected, got demo/1 as both"),
        ({"rejected": judged(*[1] * 501)}, "at most 500 confirmed and rejected sightings, got 501"),
        ({"kamera": "cam1"}, "must have documented fields only, got kamera"),
    ],
)
def test_a_wrong_field_gets_400_with_a_message(client: TestClient, fields: dict[str, str], message: str) -> None:
    answer = client.post("/search", files={"photo": ("photo.png", png(picture(RED)))}, data=FOR_CASE | fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    "request_body",
    [
        pytest.param({"json": {"photo": "http://127.0.0.1:9/x.jpg"}}, id="JSON"),
        pytest.param({"data": FOR_CASE | {"photo": "http://127.0.0.1:9/x.jpg"}}, id="an address is not fetched"),
        pytest.param({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, id="no boundary"),
        pytest.param({"data": FOR_CASE, "files": {"photo": b"1", "top_k": ("k", b"\xff\xfe")}}, id="two files"),
        pytest.param({}, id="nothing"),
    ],
)
def test_a_request_that_is_no_upload_gets_400(client: TestClient, request_body: dict[str, Any]) -> None:
    answer = client.post("/search", **request_body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_too_many_photos_get_400_with_a_message(client: TestClient) -> None:
    answer = client.post("/search", data=FOR_CASE, files=[("photo", ("photo.png", png(picture(RED))))] * 9)
    assert answer.status_code == 400
    assert answer.json()["error"] == "a search must have at most 8 photos, got 9"


def test_other_methods_and_paths(client: TestClient) -> None:
    assert client.get("/search").status_code == 405
    assert client.get("/nothing").status_code == 404


def test_a_search_says_which_cameras_and_times_it_could_see_and_that_is_kept_with_it(client: TestClient) -> None:
    answer = search(client, png(picture(RED)), cameras="demo/cam0,demo/cam2")["coverage"]
    assert [(one["camera_id"], one["share"] > 0) for one in answer["cameras"]] == [("cam0", True), ("cam2", False)]
    assert [len(one["searched"]) for one in answer["cameras"]] == [1, 0]
    assert answer["cameras"][0]["searched"][0]["since"] == answer["since"] == "2026-05-01T12:00:00Z"
    assert client.get("/cases/1/export").json()["searches"][-1]["coverage"] == answer


AT_GATE_1 = {"latitude": 35.851, "longitude": 128.6, "radius_m": 100}


def test_an_area_narrows_search_coverage_and_what_fills_a_route(client: TestClient) -> None:
    area = json.dumps(AT_GATE_1)
    found = search(client, png(picture(RED)), area=area)
    assert {one["camera_id"] for one in found["sightings"]} == {"cam1"}
    assert [one["camera_id"] for one in found["coverage"]["cameras"]] == ["cam1"]
    covered = client.get("/coverage", params={"area": area}).json()["cameras"]
    assert [one["camera_id"] for one in covered] == ["cam1"]
    asked = FOR_CASE | {"sightings": json.loads(judged(4)), "fill": True, "area": AT_GATE_1}
    filled = client.post("/route", json=asked).json()
    assert {one["camera_id"] for one in filled["route"]} == {"cam1"}
    assert [one["camera_id"] for one in filled["coverage"]["cameras"]] == ["cam1"]
    kept = client.get("/cases/1/export").json()["searches"]
    assert [one["question"]["area"] for one in kept[-2:]] == [AT_GATE_1, AT_GATE_1]


@pytest.mark.parametrize("path", ["/coverage", "/search", "/route"])
def test_an_area_without_a_camera_says_how_far_the_nearest_is(client: TestClient, path: str) -> None:
    area = AT_GATE_1 | {"latitude": 35.854}
    if path == "/coverage":
        answer = client.get(path, params={"area": json.dumps(area)})
    elif path == "/search":
        answer = client.post(path, data=FOR_CASE | {"attributes": '{"bag": "backpack"}', "area": json.dumps(area)})
    else:
        asked = FOR_CASE | {"sightings": json.loads(judged(4)), "fill": True, "area": area}
        answer = client.post(path, json=asked)
    assert answer.status_code == 400
    assert "the nearest camera, demo/cam2, is 222 m from the centre" in answer.json()["error"]


def test_coverage_is_asked_for_by_itself_too(client: TestClient) -> None:
    asked = {"cameras": "demo/cam0", "since": "2026-05-01T12:00:00Z", "until": "2026-05-02T12:00:00Z"}
    (camera,) = client.get("/coverage", params=asked).json()["cameras"]
    assert camera["searched"][0]["since"] == "2026-05-01T12:00:00Z"
    assert 0 < camera["share"] < 0.01
    assert client.get("/coverage", params={"cameras": "cam9"}).status_code == 400
    turned = client.get("/coverage", params={"since": asked["until"], "until": asked["since"]})
    assert (turned.status_code, "until must not be before since" in turned.json()["error"]) == (400, True)


def test_cameras_and_status(client: TestClient) -> None:
    cameras = client.get("/cameras").json()["cameras"]
    assert [(one["district"], one["id"]) for one in cameras] == [("demo", "cam0"), ("demo", "cam1"), ("demo", "cam2")]
    status = client.get("/status").json()
    assert status["ready"] is True
    assert status["reason"] is None
    assert status["engines"]["reid-osnet"]["runtime"] == "onnxruntime"


def test_a_store_without_sightings_is_ready_finds_nobody_and_says_so(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    with api_client_of(deployment) as client:
        assert client.post("/cases", json={"title": "A missing child"}).json()["id"] == 1
        status = client.get("/status").json()
        assert (status["ready"], status["reason"]) == (True, None)
        assert "it is processed by none" in status["warnings"][-1]
        for question in ({"photo": png(picture(RED))}, {"attributes": (None, '{"bag": "none"}')}):
            answer = client.post("/search", files=question, data=FOR_CASE)
            assert (answer.status_code, answer.json()["sightings"]) == (200, [])
            assert answer.json()["coverage"]["share"] == 0
        assert client.get("/cameras").json()["cameras"] == []
        with open_store(deployment.store) as store, store.begin() as connection:
            show_in_case(connection, 1, [("demo", 1)])  # it was found before the store was lost
        assert client.get("/crops/demo/1?case=1").status_code == 404
        assert ask_route(client, 1).status_code == 400
        fill_store(deployment)
        assert client.get("/status").json()["warnings"] == []
        assert search(client, png(picture(RED)))["sightings"]


def test_an_engine_that_does_not_load_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    (deployment.engine("detector") / "model.onnx").write_bytes(b"broken")
    with api_client_of(deployment) as client:
        status = client.get("/status").json()
        assert not status["ready"]
        assert "model.onnx does not fit its card" in status["reason"]
        described = client.post("/search", files={"attributes": (None, '{"bag": "none"}')}, data=FOR_CASE)
        assert (described.status_code, described.json()["error"]) == (503, status["reason"])


def with_a_gpu(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **perception: str
) -> Deployment:
    """The same store, on a machine with a GPU for which the engines have no plan."""
    copy = shutil.copytree(deployment.root, tmp_path / "copy", ignore=shutil.ignore_patterns("store"))
    monkeypatch.setenv("DONGSEON_STORE", str(deployment.store))
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: "8.6")
    params = yaml.safe_load((copy / "params.yaml").read_text())
    params["tracking"]["perception"] |= perception
    (copy / "params.yaml").write_text(yaml.safe_dump(params))
    return Deployment.read(copy)


def test_a_gpu_without_a_plan_is_served_by_the_cpu_and_said(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with api_client_of(with_a_gpu(deployment, tmp_path, monkeypatch)) as client:
        status = client.get("/status").json()
        assert status["ready"], status["reason"]
        notice = "ONNX Runtime on the CPU runs instead of a plan"
        assert all(engine["notice"].startswith(notice) for engine in status["engines"].values())
        assert "(8.6)" in status["engines"]["detector"]["notice"]
        assert notice in caplog.text
        assert search(client, png(picture(RED)))["sightings"]


def test_a_gpu_without_a_plan_is_not_ready_where_that_must_not_be_replaced(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_client_of(with_a_gpu(deployment, tmp_path, monkeypatch, without_plan="stop")) as client:
        status = client.get("/status").json()
        assert not status["ready"]
        assert "holds no plan for this machine's GPU (8.6)" in status["reason"]
        assert (
            client.post("/search", files={"photo": ("photo.png", png(picture(RED)))}, data=FOR_CASE).status_code == 503
        )


def test_a_plan_that_cannot_be_rebuilt_is_a_reason_not_a_crash(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_client_of(with_a_gpu(deployment, tmp_path, monkeypatch, without_plan="rebuild")) as client:
        reason = client.get("/status").json()["reason"]
        assert "must hold model.fp16.onnx for a plan in fp16, its card lists model.onnx" in reason


def test_a_database_that_is_away_is_a_reason_not_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/none")
    with api_client_of(write_deployment(tmp_path)) as client:
        assert "must answer at" in client.get("/status").json()["reason"]


def test_attributes_need_an_engine(tmp_path: Path) -> None:
    params = yaml.safe_load((write_deployment(tmp_path).root / "params.yaml").read_text())
    params["tracking"]["attributes"] = None
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    deployment = Deployment.read(tmp_path)
    fill_store(deployment)
    with api_client_of(deployment) as client:
        fields = {"attributes": '{"bag": "none"}'}
        answer = client.post("/search", files={"photo": png(picture(RED))}, data=FOR_CASE | fields)
        assert (answer.status_code, "has no attribute engine" in answer.text) == (400, True)


def test_the_store_may_be_elsewhere(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deployment.store == deployment.root / "store"
    monkeypatch.setenv("DONGSEON_STORE", str(tmp_path))
    assert deployment.store == tmp_path


def test_params_without_a_backbone(tmp_path: Path) -> None:
    params = yaml.safe_load((write_deployment(tmp_path).root / "params.yaml").read_text())
    del params["reid"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(InputError, match=r"must name reid\.backbone"):
        Deployment.read(tmp_path)


def test_a_sentence_becomes_conditions_that_the_search_takes(client: TestClient) -> None:
    read = client.post("/sentence", json={"text": "배낭 멘 사람, Gate 2 근처, 2026년 말고 5월 1일 21시쯤, 절뚝거림"})
    assert read.status_code == 200, read.text
    answer = read.json()
    assert answer["attributes"] == {"bag": {"is": ["backpack"], "is_not": [], "or_unknown": False}}
    assert answer["parts"][0] == {"condition": "attribute", "group": "bag", "words": ["배낭"]}
    assert (answer["since"][11:], answer["until"][11:]) == ("20:30:00+09:00", "21:30:00+09:00")
    assert "절뚝거림" in answer["unused"]
    found = client.post("/search", data=FOR_CASE | {"attributes": json.dumps(answer["attributes"])})
    assert found.status_code == 200, found.text
    assert found.json()["sightings"]


def test_a_place_chooses_the_cameras_of_its_name(client: TestClient) -> None:
    named = client.post("/sentence", json={"text": "a backpack, at the gate"}).json()
    assert named["cameras"] == [f"demo/{camera.id}" for camera in CAMERAS]
    one = client.post("/sentence", json={"text": "배낭, gate 1 입구 쪽에서"}).json()
    assert (one["cameras"], one["unused"]) == (["demo/cam1"], [])
    unknown = client.post("/sentence", json={"text": "배낭, 시장 근처"}).json()
    assert (unknown["cameras"], unknown["unused"]) == (None, ["시장 근처"])


def test_a_long_sentence_is_refused(client: TestClient) -> None:
    assert client.post("/sentence", json={"text": "가" * 501}).status_code == 400


def test_a_search_asks_nothing_when_its_likely_sightings_are_alike(client: TestClient) -> None:
    assert search(client, png(picture(RED, seed=99)))["next_question"] is None
