import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from districts.box_files import read_tracks
from districts.layout import read_district
from domain.attribute_query import GroupQuery
from domain.errors import ArtifactError, InputError
from domain.files import sha256_of
from domain.images import write_image
from domain.model_card import EngineFile
from serving import track
from serving.database import audit, queries, rollout, segments, tables
from serving.database.store import open_store
from serving.perception import perception
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, in_transaction, put_into_case, tracklet, unit_vectors
from tests.helpers.walkers import (
    START,
    ColourReid,
    Walker,
    engines,
    picture,
    write_params,
    write_video,
)

RED, GREEN, BLUE = Walker("red", 20, 40), Walker("green", 280, -40), Walker("blue", 100, 5, top=70)


class ExportedReid(ColourReid):
    """With the entry of its file, from which sightings get their model version."""

    def __init__(self) -> None:
        super().__init__()
        file = EngineFile(
            file="model.onnx",
            runtime="onnxruntime",
            precision="fp32",
            sha256="ab" * 32,
            min_batch=1,
            opt_batch=1,
            max_batch=8,
        )
        self.card = self.card.model_copy(update={"engines": (file,), "weights_sha256": file.sha256})


def write_district(folder: Path) -> None:
    """Red walks through the first camera, then the second; green through the first; blue stays in the second."""
    cameras = [
        {
            "id": f"c{i}",
            "name": f"Gate {i}",
            "latitude": 35.85 + i / 2000,
            "longitude": 128.6,
            "fps": 10,
            "width_px": 320,
            "height_px": 120,
            "start": (START + timedelta(seconds=120 * i)).isoformat(),
        }
        for i in range(2)
    ]
    content = {
        "name": "toy",
        "time_zone": "Asia/Seoul",
        "attribute_schema": "suseong",
        "source": "-",
        "licence": "-",
        "cameras": cameras,
    }
    (folder / "videos").mkdir(parents=True)
    (folder / "district.yaml").write_text(yaml.safe_dump(content))
    write_video(folder / "videos" / "c0.mp4", [RED, GREEN], seconds=3)
    write_video(folder / "videos" / "c1.mp4", [RED, BLUE], seconds=3)
    problems = []
    for number, walker in enumerate((RED, BLUE), start=1):
        image = picture([walker], 1.0)
        left = walker.left(1.0) or 0
        write_image(
            folder / "videos" / "problems" / f"{number}.png", image[walker.top : walker.top + 48, left : left + 16]
        )
        problems.append(
            {
                "id": f"p0{number}",
                "identity": number,
                "crops": [f"problems/{number}.png"],
                "attributes": {"upper_colour": walker.colour},
                "camera": "c1",
                "frame": 11,
            }
        )
    (folder / "videos" / "problems.yaml").write_text(yaml.safe_dump({"problems": problems}))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place where the stage ran once."""
    with pytest.MonkeyPatch.context() as patch:
        place = prepare(tmp_path_factory.mktemp("track"), patch)
        track.main()
        yield place


def prepare(place: Path, patch: pytest.MonkeyPatch) -> Path:
    patch.chdir(place)
    patch.delenv("DATABASE_URL", raising=False)
    patch.setattr(track, "open_engines", lambda *paths: engines(reid=ExportedReid()))
    write_district(place / "data" / "toy")
    serving = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())
    identities = yaml.safe_load((ROOT / "conf" / "identities" / "people.yaml").read_text())
    write_params(place, identities=identities, serving=serving, district={"name": "toy"}, reid={"backbone": "osnet"})
    return place


def answers(place: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((place / "tracks" / "toy" / "answers.json").read_text())
    return content


def test_boxes_of_frames_that_were_made_square_are_written_in_stored_pixels(tracked: Path, tmp_path: Path) -> None:
    district = read_district(tracked / "data" / "toy")
    seen = tracklet(1, unit_vectors(seed=0, number=1, feature=16)[0])
    boxes = np.array([[128, 20, 256, 90]], np.float32)
    seen = replace(seen, camera_id="c1", frames=np.array([3]), boxes_xyxy=boxes, scores=np.ones(1, np.float32))
    track.write_tracklets(tmp_path, district, [seen], {"c1": (64 / 45, 1.0)})
    written = read_tracks(tmp_path / "c1.txt").boxes_xyxy
    np.testing.assert_allclose(written, [[90, 20, 180, 90]], atol=0.01)


def test_tracklets_have_one_number_over_all_cameras(tracked: Path) -> None:
    first, second = (set(read_tracks(tracked / "tracks" / "toy" / f"c{i}.txt").tracks.tolist()) for i in range(2))
    assert first == {1, 2}
    assert second == {3, 4}
    assert sorted(path.name for path in (tracked / "tracks" / "toy" / "crops").iterdir()) == [
        f"{i}.jpg" for i in range(1, 5)
    ]


def test_every_problem_ranks_every_tracklet_with_the_person_first(tracked: Path) -> None:
    content = answers(tracked)
    assert {camera: times[:3] for camera, times in content["frame_times_s"].items()} == {
        camera: [0.0, 0.1, 0.2] for camera in ("c0", "c1")
    }
    red, blue = content["problems"]
    assert (red["id"], blue["id"]) == ("p01", "p02")
    assert len(red["ranked"]) == len(blue["ranked"]) == 4
    assert {one["camera"] for one in red["ranked"][:2]} == {"c0", "c1"}
    colours = [max(one["attributes"]["upper_colour"].items(), key=lambda item: item[1])[0] for one in red["ranked"]]
    assert colours[:2] == ["red", "red"]
    assert max(blue["ranked"][0]["attributes"]["upper_colour"].items(), key=lambda item: item[1])[0] == "blue"
    assert [one["distance"] for one in red["ranked"]] == sorted(one["distance"] for one in red["ranked"])


def test_a_ranked_tracklet_says_where_when_and_how_likely(tracked: Path) -> None:
    best = next(one for one in answers(tracked)["problems"][0]["ranked"] if one["camera"] == "c0")
    fields = "tracklet camera distance probability first_seen last_seen first_frame last_frame crop attributes"
    assert set(best) == set(fields.split())
    assert (best["first_frame"], best["last_frame"]) == (1, 30)
    assert best["first_seen"] == START.isoformat()
    assert best["last_seen"] == (START + timedelta(seconds=2.9)).isoformat()
    assert 0.5 < best["probability"] <= 1
    assert (tracked / "tracks" / "toy" / best["crop"]).is_file()


def test_the_route_follows_the_person_in_time(tracked: Path) -> None:
    route = answers(tracked)["problems"][0]["route"]
    assert [stop["camera"] for stop in route] == ["c0", "c1"]
    assert [stop["time"] for stop in route] == [START.isoformat(), (START + timedelta(seconds=120)).isoformat()]


def test_red_is_one_person_in_both_cameras(tracked: Path) -> None:
    red, blue = answers(tracked)["problems"]
    same = {one["tracklet"] for one in red["ranked"][:2]}
    lines = (tracked / "tracks" / "toy" / "identities.csv").read_text().splitlines()
    assert lines[0] == "tracklet,person"
    people = {int(tracklet): int(person) for tracklet, person in (line.split(",") for line in lines[1:])}
    assert set(people) == {1, 2, 3, 4}
    assert len({people[one] for one in same}) == 1
    assert set(people.values()) == {1, 2, 3}
    assert people[blue["ranked"][0]["tracklet"]] != people[min(same)]


def test_the_store_holds_what_was_seen_and_twice_is_once(tracked: Path) -> None:
    before = answers(tracked)
    track.main()
    assert answers(tracked) == before
    with open_store(tracked / "store") as store:
        assert queries.reason_not_ready(store.engine, "colours-" + "ab" * 6) is None
        found = in_transaction(
            store, queries.described, {"upper_colour": GroupQuery(("red",), ("red", "blue"))}, limit=100
        )
        video = Path("data") / "toy" / "videos" / "c1.mp4"
        assert (
            in_transaction(store, segments.register, "toy", "c1", "moved.mp4", sha256_of(video), START).state == "done"
        )
        assert len(found) == 4
        assert all(store.crops.read(one.crop) for one in found)
        with store.begin() as connection:
            [removal] = connection.execute(sa.select(tables.removals))
            [record] = audit.records(connection)
    assert (removal.tracklets, removal.crops, removal.reason) == (
        4,
        15,
        "all of the district toy was replaced",
    )  # up to four crops of each, and full frames
    counted = {"tracklets": 4, "verdicts": 0, "segments": 2, "gaps": 0, "cases": []}
    assert (record.action, record.details) == (
        "replacement",
        {"removal": removal.id, "district": "toy", **counted},
    )


def test_a_legal_hold_stops_the_stage_before_it_follows_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, monkeypatch)
    with open_store(tmp_path / "store") as store:
        store.replace_sightings("toy", CAMERAS, "net-1", [tracklet(1, unit_vectors(0, 1, 16)[0])])
        put_into_case(store, "toy", [1], legal_hold=True)
    (tmp_path / "data" / "toy" / "videos" / "c1.mp4").unlink()  # following would complain of that
    with pytest.raises(InputError, match="sightings of the district toy can be replaced only when no case"):
        track.main()
    assert not (tmp_path / "tracks" / "toy").exists()


def test_a_camera_without_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, monkeypatch)
    file = tmp_path / "data" / "toy" / "district.yaml"
    content = yaml.safe_load(file.read_text())
    del content["cameras"][1]["start"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="must say when the video of camera c1 starts"):
        track.main()
    assert not (tmp_path / "tracks" / "toy").exists()


def test_cameras_without_video_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, monkeypatch)
    videos = tmp_path / "data" / "toy" / "videos"
    (videos / "c1.mp4").unlink()
    (videos / "problems.yaml").unlink()
    track.main()
    assert (answers(tmp_path)["problems"], list(answers(tmp_path)["frame_times_s"])) == ([], ["c0"])
    assert len(read_tracks(tmp_path / "tracks" / "toy" / "c0.txt").tracks) > 0
    assert (tmp_path / "tracks" / "toy" / "c1.txt").read_text() == ""
    (videos / "c0.mp4").unlink()
    with pytest.raises(InputError, match=r"videos must hold the video of a camera, <camera>\.mp4, got none"):
        track.main()


def test_a_missing_engine_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, monkeypatch)
    monkeypatch.setattr(track, "open_engines", perception.open_engines)
    with pytest.raises(ArtifactError, match="toy/detector must be an engine for the task detector; it is missing"):
        track.main()


def test_where_nobody_walks_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, monkeypatch)
    for camera in ("c0", "c1"):
        write_video(tmp_path / "data" / "toy" / "videos" / f"{camera}.mp4", [], seconds=1)
    track.main()
    assert [(one["ranked"], one["route"]) for one in answers(tmp_path)["problems"]] == [([], []), ([], [])]
    assert (tmp_path / "tracks" / "toy" / "c0.txt").read_text() == ""


def test_it_says_that_a_model_which_was_in_use_has_not_seen_the_new_sightings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(tmp_path, monkeypatch)
    track.main()
    with open_store(Path("store")) as store, store.begin() as connection:
        table = tables.tracklet_embeddings
        columns = [column.name for column in table.columns]
        by_another = [sa.literal("other") if name == "model_version" else table.c[name] for name in columns]
        connection.execute(sa.insert(table).from_select(columns, sa.select(*by_another)))
    track.main()  # no model was rolled out: the pipeline replaces what it made
    assert "the new sightings" not in caplog.text
    with open_store(Path("store")) as store, store.begin() as connection:
        connection.execute(sa.insert(table).from_select(columns, sa.select(*by_another)))
        rollout.use(connection, "other", "Kim", "fewer people are found")
    track.main()
    [said] = [one.getMessage() for one in caplog.records if "the new sightings of toy" in one.getMessage()]
    assert f"have embeddings by {ExportedReid().card.version} alone" in said
    assert "those that they replace had some by other, too; run serving.reembed" in said
