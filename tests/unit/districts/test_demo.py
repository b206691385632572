"""The demo district: who is in it, what is seen of them, and that a seed says it all."""

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from districts import prepare, preview
from districts.box_files import read_detection_split, read_tracks
from districts.demo.crop_sets import known_labels
from districts.demo.filming import Film
from districts.demo.ground_truth import VIEWS, GroundTruth, ground_truth_of, view_index
from districts.demo.palette import COLOURS
from districts.demo.people import Person, draw_people
from districts.demo.render import render_demo
from districts.demo.sessions import SPLITS, plan_session, take_seconds
from districts.demo.settings import DemoSettings
from districts.demo.streets import PICTURE_SIZE, PLACES, camera_of, street_plan
from districts.demo.video import read_frames
from districts.layout import ReidPart, Split, read_attribute_split, read_district, read_problems, read_reid_folder
from domain.cameras import metres_between
from domain.errors import InputError
from domain.images import read_image
from domain.schemas import read_schema

pytestmark = pytest.mark.slow
STARTS = {"train": "2026-04-14T09:00+09:00", "val": "2026-04-21T15:00+09:00", "test": "2026-05-12T18:40+09:00"}


def small(seed: int = 7, num_processes: int = 1) -> DemoSettings:
    return DemoSettings.model_validate(
        {
            "seed": seed,
            "num_processes": num_processes,
            "num_cameras": 2,
            "train": {
                "num_people": 10,
                "num_passers_by": 6,
                "duration_s": 24,
                "fps": 1,
                "num_frames": 12,
                "crops_per_visit": 3,
            },
            "val": {
                "num_people": 5,
                "num_passers_by": 3,
                "duration_s": 16,
                "fps": 1,
                "num_frames": 6,
                "crops_per_visit": 3,
            },
            "test": {
                "num_people": 9,
                "num_passers_by": 0,
                "duration_s": 40,
                "fps": 1,
                "num_frames": 8,
                "crops_per_visit": 3,
            },
            "num_problems": 2,
            "unknown_share": 0.06,
        }
    )


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small district as the stage `prepare` leaves it."""
    workplace = tmp_path_factory.mktemp("workplace")
    section = {"name": "small", "importer": "demo", "source": None, "demo": small().model_dump()}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        Path("params.yaml").write_text(yaml.safe_dump({"district": section}))
        prepare.main()
        preview.main(["--out", str(workplace / "sheet.png")])
    return workplace / "data" / "small"


def test_the_same_seed_gives_the_same_files_however_many_processes(district: Path, tmp_path: Path) -> None:
    render_demo("small", small(num_processes=2), tmp_path)
    expected = digests(district)
    for kind in ("html", "json", "md"):
        del expected[f"data_report.{kind}"]
    assert digests(tmp_path) == expected


def test_another_seed_gives_other_pictures() -> None:
    pictures = [Film(plan_session("test", small(seed)), 0).shoot(10)[0] for seed in (7, 8)]
    assert not np.array_equal(pictures[0], pictures[1])


def test_the_contact_sheet_shows_cameras_and_people(district: Path) -> None:
    sheet = read_image(district.parent.parent / "sheet.png")
    assert sheet.shape[1] > 1000
    assert sheet[:200].std() > 10


def test_a_typo_in_the_settings_is_answered_with_the_likely_name(
    district: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(district.parent.parent)
    with pytest.raises(InputError, match=r"district\.demo\.sed; did you mean district\.demo\.seed"):
        prepare.main(["district.demo.sed=4"])


def test_every_reader_reads_its_part(district: Path) -> None:
    described = read_district(district)
    schema = read_schema(described.attribute_schema)
    assert [camera.id for camera in described.cameras] == ["c1", "c2"]
    assert all(camera.start is not None and camera.start.tzinfo is not None for camera in described.cameras)
    for split in SPLITS:
        assert sum(len(frame.boxes_xyxy) for frame in read_detection_split(district, split)) > 0
        assert len(read_attribute_split(district, split, schema).images) > 0
    assert read_problems(district)


def test_no_identity_is_in_two_splits(district: Path) -> None:
    schema = read_schema("suseong")
    seen = [set(read_attribute_split(district, split, schema).identities.tolist()) for split in SPLITS]
    assert len(seen[0] | seen[1] | seen[2]) == sum(map(len, seen))
    parts = [read_reid_folder(district, part).identities for part in ("bounding_box_train", "query")]
    assert not set(parts[0].tolist()) & set(parts[1].tolist())


def test_each_crop_has_the_time_of_its_frame(district: Path) -> None:
    parts: dict[Split, ReidPart] = {
        "train": "bounding_box_train",
        "val": "bounding_box_val",
        "test": "bounding_box_test",
    }
    for split, part in parts.items():
        crops, session = read_reid_folder(district, part), plan_session(split, small())
        frames = [int(name.split("_")[2]) for name in crops.images]
        takes = [session.moment(frame)[0] for frame in frames]
        start_s = datetime.fromisoformat(STARTS[split]).timestamp()
        seconds = [start_s + 3600 * take + frame - 1 for take, frame in zip(takes, frames, strict=True)]
        assert crops.times_s.tolist() == pytest.approx(seconds), "one frame a second, takes an hour apart"


def test_passers_by_are_described_and_learnt_from_but_never_looked_for(district: Path) -> None:
    session, schema = plan_session("train", small()), read_schema("suseong")
    passers_by = {person.identity for person in session.people if session.is_passer_by(person.identity)}
    assert len(passers_by) == 6
    assert passers_by & set(read_attribute_split(district, "train", schema).identities.tolist())
    assert passers_by & set(read_reid_folder(district, "bounding_box_train").identities.tolist())
    only_val = {person.identity for person in plan_session("val", small()).people[small().val.num_people :]}
    assert not only_val & set(read_reid_folder(district, "bounding_box_val").identities.tolist())


def test_a_passer_by_crosses_one_junction_once() -> None:
    session = plan_session("train", small())
    for number, person in enumerate(session.people):
        if session.is_passer_by(person.identity):
            (walk,) = [walk for walk in session.walks if walk.person == number]
            gaps = [np.linalg.norm(walk.points - place.junction, axis=1).min() for place in PLACES]
            assert sum(gap < 3 for gap in gaps) == 1
            assert walk.take < len(take_seconds("train", small().train))


def test_all_people_of_all_sessions_have_their_own_identity() -> None:
    identities = [person.identity for split in SPLITS for person in plan_session(split, small()).people]
    assert sorted(identities) == list(range(1, 10 + 5 + 9 + 6 + 3 + 1))


def test_every_query_has_a_match_in_another_camera(district: Path) -> None:
    query, gallery = read_reid_folder(district, "query"), read_reid_folder(district, "bounding_box_test")
    for identity, camera in zip(query.identities, query.cameras, strict=True):
        assert np.any((gallery.identities == identity) & (gallery.cameras != camera))
    assert (gallery.identities == 0).any()


def test_ground_truth_boxes_lie_inside_the_frame(district: Path) -> None:
    for camera in read_district(district).cameras:
        table = read_tracks(district / "videos" / f"{camera.id}.txt")
        assert len(table.frames) > 0
        assert table.boxes_xyxy.min() >= 0
        assert np.all(table.boxes_xyxy[:, 2:] <= np.array(PICTURE_SIZE) + 0.01)
        assert np.all(table.boxes_xyxy[:, 2:] > table.boxes_xyxy[:, :2])


def test_boxes_that_do_not_count_are_small_or_hidden(district: Path) -> None:
    rows = np.loadtxt(district / "videos" / "c1.txt", delimiter=",", ndmin=2)
    hidden = (rows[:, 8] < 0.2) | (rows[:, 5] < 24)
    assert np.array_equal(rows[:, 6] == 0, hidden)
    assert np.all((rows[:, 8] >= 0) & (rows[:, 8] <= 1))


def test_a_box_holds_every_pixel_that_the_person_changes() -> None:
    session = plan_session("test", small())
    film = Film(session, 0)
    frame = next(frame for frame in range(1, session.num_frames) if film.shoot(frame)[1])
    one, _, _ = session.sky(frame)
    scenery, light = film.light(one)
    rows = film.add_people(after := light.copy(), scenery, one, frame)
    changed = np.abs(after - light).max(axis=2) > 0.02
    shadow = film._is_ground  # shadows fall outside the boxes
    for _, _, left, top, right, bottom, *_ in rows:
        changed[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = False
    assert not (changed & ~shadow).any()


def test_videos_have_as_many_frames_as_their_session(district: Path) -> None:
    assert sum(1 for _ in read_frames(district / "videos" / "c1.mp4")) == 40


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (file := tmp_path / "c1.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"c1\.mp4 must be a video"):
        next(read_frames(file))


@pytest.mark.parametrize("split", SPLITS)
def test_people_walk_at_walking_speed(split: str) -> None:
    session = plan_session(split, small())  # type: ignore[arg-type]
    assert session.walks
    for walk in session.walks:
        moments = np.arange(walk.start_s, walk.start_s + 60, 0.5)
        places = [place for moment in moments if (place := walk.position(float(moment)))]
        steps = np.linalg.norm(np.diff([place[:2] for place in places], axis=0), axis=1) / 0.5
        assert steps.max() <= 1.7
        assert np.median(steps) >= 0.6


def test_the_way_between_two_cameras_takes_as_long_as_walking() -> None:
    cameras = [camera_of(place, 6, "2026-05-12T18:40:00+09:00") for place in PLACES]
    plan = street_plan(8)
    for number in range(8):
        for other in plan.neighbours(number):
            junctions = np.subtract(PLACES[number].junction, PLACES[other].junction)
            assert metres_between(cameras[number], cameras[other]) <= np.hypot(*junctions) + 2.5


def test_every_label_of_the_schema_occurs() -> None:
    schema = read_schema("suseong")
    people = draw_people(1, 72, schema, np.random.default_rng(3))
    for group in schema.groups:
        if group.of == "person" and group.name != "view":
            assert {person.labels[group.name] for person in people} == set(group.label_names)
    session = plan_session("train", small())
    labels = [session.labels(frame) for frame in range(1, session.num_frames + 1)]
    assert {label["time"] for label in labels} == set(schema.group("time").label_names)
    assert {label["weather"] for label in labels} == set(schema.group("weather").label_names)
    assert {place.kind for place in PLACES} == set(schema.group("place").label_names)


def test_labels_of_a_person_agree_with_each_other() -> None:
    for person in draw_people(1, 200, read_schema("suseong"), np.random.default_rng(5)):
        labels = person.labels
        if labels["upper_type"] == "one_piece":
            assert (labels["lower_type"], labels["gender"]) == ("skirt", "female")
            assert labels["lower_colour"] == labels["upper_colour"]
        assert not (labels["gender"] == "female" and labels["hair"] in {"sport_cut", "bald"})
        assert labels["age"] != "child" or labels["height"] == "short"
        assert (labels["upper_type"], labels["lower_type"]) != ("coat", "short_trousers")
        assert not person.bearded or labels["gender"] == "male"
        assert person.bag != COLOURS[labels["upper_colour"]]


@pytest.mark.parametrize("headwear", ["hat", "helmet", "none"])
@pytest.mark.parametrize("hair", ["sport_cut", "bob", "long", "bald"])
def test_hair_that_a_hat_or_helmet_covers_is_unknown(headwear: str, hair: str) -> None:
    truth = ground_truth_of([(1, 1, 50, 50, 90, 150, 1.0, 0)])
    covered = {"hat": {"sport_cut", "bald"}, "helmet": {"sport_cut", "bald", "bob"}, "none": set()}[headwear]
    person = bareheaded({"headwear": headwear, "hair": hair})
    known = known_labels(person, truth, 0, np.random.default_rng(1), unknown_share=0.0)["hair"]
    assert known == ("" if hair in covered else hair)


def bareheaded(labels: dict[str, str]) -> Person:
    """Somebody without a hat, but for what `labels` says."""
    person = draw_people(1, 1, read_schema("suseong"), np.random.default_rng(1))[0]
    return replace(person, labels=person.labels | {"headwear": "none"} | labels)


@pytest.mark.parametrize(
    ("box", "view", "unknown"),
    [
        pytest.param((50, 50, 90, 150), "front", set(), id="all is seen"),
        pytest.param((50, 50, 90, 150), "back", {"eyewear"}, id="from behind"),
        pytest.param((50, 50, 100, 195), "side", set(), id="in profile, close"),
        pytest.param((50, 50, 90, 150), "side", {"eyewear"}, id="in profile, far away"),
        pytest.param((50, 260, 90, 360), "front", {"shoe_colour", "height"}, id="feet below the picture"),
        pytest.param((50, 0, 90, 90), "front", {"hair", "headwear", "eyewear", "height"}, id="head above the picture"),
    ],
)
def test_what_cannot_be_seen_is_unknown(box: tuple[float, ...], view: str, unknown: set[str]) -> None:
    person = bareheaded({})
    truth = ground_truth_of([(1, 1, *box, 1.0, VIEWS.index(view))])
    labels = known_labels(person, truth, 0, np.random.default_rng(1), unknown_share=0.0)
    assert {group for group, label in labels.items() if not label} == unknown
    assert labels["view"] == view


def test_labels_are_withheld_as_often_as_asked() -> None:
    person = bareheaded({})
    truth, rng = ground_truth_of([(1, 1, 50, 50, 90, 150, 1.0, 0)]), np.random.default_rng(1)
    labels = [label for _ in range(200) for label in known_labels(person, truth, 0, rng, unknown_share=0.25).values()]
    assert labels.count("") / len(labels) == pytest.approx(0.25, abs=0.03)


def test_takes_fill_the_session() -> None:
    for split in SPLITS:
        settings = small().session(split)
        assert sum(take_seconds(split, settings)) == pytest.approx(settings.duration_s)
        session = plan_session(split, small())
        assert session.moment(1) == (0, 0.0)
        with pytest.raises(IndexError, match=r"must be within 1\.\.\d+, got \d+"):
            session.moment(session.num_frames + 1)


def test_views_are_seen_from_the_camera() -> None:
    assert VIEWS[view_index(np.pi, np.pi)] == "front"
    assert VIEWS[view_index(0.0, np.pi)] == "back"
    assert VIEWS[view_index(np.pi / 2, np.pi)] == VIEWS[view_index(-np.pi / 2, np.pi)] == "side"


def test_a_visit_ends_when_a_person_is_long_out_of_sight() -> None:
    rows: list[tuple[float, ...]] = [(frame, 4, 0, 0, 10, 50, 1.0, 0) for frame in (1, 2, 3, 20, 21)]
    truth: GroundTruth = ground_truth_of(rows)
    assert [truth.frames[visit].tolist() for visit in truth.visits(gap_frames=5)] == [[1, 2, 3], [20, 21]]
