"""Cameras by command, and the coverage of cameras that came late or went."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.errors import InputError
from serving import cameras, streams
from serving.database import audit, segments, tables
from serving.database.audit import Action
from serving.database.cameras import retire_camera
from serving.database.districts import stored_districts
from serving.database.store import Store
from serving.search.coverage import coverage_of
from tests.helpers.deployments import write_deployment
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, tracklet, unit_vectors

AT = "35.8584,128.6306"
SOMEBODY = unit_vectors(seed=0, number=1, feature=16)[0]


@pytest.fixture
def here(tmp_path: Path, database: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which commands use `store`."""
    write_deployment(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database)
    return tmp_path


def test_a_camera_is_added_renamed_moved_retired_and_brought_back(
    here: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras.main(["add", "suseong", "gate", "--name", "정문", "--at", AT, "--time-zone", "Asia/Seoul"])
    cameras.main(["rename", "suseong", "gate", "North gate"])
    cameras.main(["move", "suseong", "gate", "35.9, 128.7"])
    (district,) = in_transaction(store, stored_districts)
    camera = district.cameras[0]
    assert (district.name, district.time_zone, camera.id) == ("suseong", "Asia/Seoul", "gate")
    assert (camera.name, camera.latitude, camera.longitude) == ("North gate", 35.9, 128.7)
    cameras.main(["retire", "suseong", "gate"])
    assert in_transaction(store, stored_districts) == []
    cameras.main(["list"])
    line = capsys.readouterr().out.splitlines()[-1].split("\t")
    assert line[:3] == ["suseong/gate", "North gate", "35.900000,128.700000"]
    assert line[3].startswith("retired 2")
    assert line[4] == "no video yet"
    cameras.main(["add", "suseong", "gate", "--name", "again", "--at", AT])
    assert [one.name for one in in_transaction(store, stored_districts)[0].cameras] == ["again"]
    with store.begin() as connection:
        recorded = [one.details for one in audit.records(connection) if one.action == Action.CAMERA]
    assert [one["change"] for one in recorded] == ["add", "change", "change", "retire", "add"]
    assert recorded[2]["from"] == {"latitude": 35.8584, "longitude": 128.6306}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["add", "new", "c1", "--at", AT],
            "the time zone of the new district new must be an IANA name, such as Asia/Seoul, got None",
        ),
        (["add", "new", "c1", "--at", AT, "--time-zone", "KST"], "such as Asia/Seoul, got KST"),
        (["add", "demo", "cam0", "--at", AT], "must have an id of its own, demo has cam0; rename or move"),
        (["add", "demo", "c9", "--at", AT, "--time-zone", "Asia/Seoul"], "time zone of demo must stay UTC"),
        (["add", "demo", "c9", "--at", "95,128"], "latitude Input should be less than or equal to 90, got '95'"),
        (["add", "demo", "../c9", "--at", AT], "id a name must have 1 to 64 letters"),
        (["add", "../demo", "c9", "--at", AT, "--time-zone", "UTC"], "a name must have 1 to 64 letters"),
        (["move", "demo", "cam0", "here"], "a place must be LATITUDE,LONGITUDE such as .*, got 'here'"),
        (["rename", "demo", "c9", "x"], "the camera must be stored, demo has no c9; python -m serving.cameras list"),
        (["rename", "demo", "cam0", "x\ud800"], "name .* no NUL and no half of a surrogate pair"),
        (["add", "demo", "c9", "--at", AT, "--name", "x" * 201], "name Input should have at most 200 letters"),
        (["retire", "other", "cam0"], "the camera must be stored, other has no cam0"),
    ],
)
def test_a_wrong_command_changes_nothing_and_says_why(here: Path, store: Store, command: list[str], said: str) -> None:
    store.replace_sightings("demo", CAMERAS, "net-1", [])
    with pytest.raises(InputError, match=said):
        cameras.main(command)
    assert [one.cameras for one in in_transaction(store, stored_districts)] == [CAMERAS]


def test_a_table_of_a_spreadsheet_is_taken_whole(here: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.replace_sightings("demo", CAMERAS, "net-1", [])
    same, renamed, other = CAMERAS
    table = "id,name,latitude,longitude,owner\n"
    for one, name in ((same, same.name), (renamed, "Market, east")):
        table += f'{one.id},"{name}",{one.latitude},{one.longitude},city\n'
    (here / "cameras.csv").write_text(f"{table}new,,35.86,128.63,city\n", encoding="utf-8-sig")
    cameras.main(["import", "demo", "cameras.csv"])
    assert "1 cameras added, 1 changed, 1 as they were, 1 not in the table stay" in capsys.readouterr().out
    names = {one.id: one.name for one in in_transaction(store, stored_districts)[0].cameras}
    assert names == {same.id: same.name, renamed.id: "Market, east", other.id: other.name, "new": "new"}


def test_a_table_with_a_wrong_line_names_all_of_them_and_adds_none(here: Path, store: Store) -> None:
    (here / "cameras.csv").write_text("id,name,latitude,longitude\na,A,35,128\nb,B,,128\na,A,35,128\n")
    with pytest.raises(InputError, match=r"line 3: latitude .*, got ''\n  line 4: a stands above already"):
        cameras.main(["import", "suseong", "cameras.csv", "--time-zone", "Asia/Seoul"])
    assert in_transaction(store, stored_districts) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,name\na,A\n", "line 1: must also have the columns latitude, longitude, got 'id, name'"),
        ("id,name,latitude,longitude\na,門,35,128\n".encode("shift_jis"), "must be text in UTF-8, .* Excel"),
        (b"id,name,latitude,longitude\na,A\0,35,128\n", "line 2: name .* no NUL"),
        (b"id,name,latitude,longitude\n", "must describe a camera of its own:\n  none"),
        (f"id,name,latitude,longitude\na,A,{'9' * 9000},1\n".encode(), "latitude .*, got .{,200}$"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "cameras.csv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        cameras.read_table(tmp_path / "cameras.csv")


def test_a_table_of_korean_excel_is_read_and_a_device_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "cameras.csv"
    file.write_bytes("id;name;latitude;longitude\na;정문;35;128\n".encode("cp949"))
    assert [camera.name for camera in cameras.read_table(file)] == ["정문"]
    for endless in (Path("/dev/zero"), tmp_path / "pipe.csv"):
        if not endless.exists():
            os.mkfifo(endless)
        with pytest.raises(InputError, match="must be a regular file"):
            cameras.read_table(endless)


def test_coverage_misses_nothing_before_a_camera_came_and_after_it_went(store: Store) -> None:
    in_service, came, went = (camera.id for camera in CAMERAS)
    store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, SOMEBODY), tracklet(2, SOMEBODY, camera=1)])
    with store.begin() as connection:
        began = sa.update(tables.cameras).where(tables.cameras.c.id == came)
        connection.execute(began.values(begun=NOON + timedelta(seconds=2)))
        segments.open_gap(connection, "demo", went, NOON - timedelta(days=3), "away")
        retire_camera(connection, "demo", went, NOON - timedelta(days=2), "kim")

    def shares(since_s: float, until_s: float) -> dict[str, float]:
        window = (NOON + timedelta(seconds=since_s), NOON + timedelta(seconds=until_s))
        return {one.camera_id: one.share for one in coverage_of(store, "net-1", None, *window).cameras}

    assert shares(-5, 5) == {in_service: 0.5, came: 1.0}  # its own video is older than its begin
    assert shares(0, 10) == {in_service: 0.5, came: 0.5}
    assert shares(-10, -5) == {in_service: 0.0}
    assert shares(-4 * 86400, -3.5 * 86400) == {in_service: 0.0, went: 0.0}
    with store.begin() as connection:
        assert connection.execute(sa.select(tables.gaps.c.until)).scalar() == NOON - timedelta(days=2)


def test_a_retired_camera_keeps_its_sightings_and_is_not_followed(here: Path, store: Store) -> None:
    store.replace_sightings("demo", CAMERAS, "net-1", [tracklet(1, SOMEBODY)])
    (here / "cameras.yaml").write_text(f"district: demo\ncameras: {{{CAMERAS[0].id}: 'rtsp://127.0.0.1/x'}}\n")
    cameras.main(["retire", "demo", CAMERAS[0].id])
    assert CAMERAS[0] in in_transaction(store, stored_districts)[0].cameras
    with pytest.raises(
        InputError, match=f"got {CAMERAS[0].id}; add them by python -m serving.cameras, or take retired"
    ):
        streams.main(["serving.streams.file=cameras.yaml"])
