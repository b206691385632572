"""`python -m serving.retention` names what it leaves on the machine."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from serving import retention
from serving.database import audit, segments
from serving.database.audit import Action
from serving.database.districts import add_cameras
from serving.database.store import Store, open_store
from serving.unreached import LABELS, VIDEOS, unreached
from tests.helpers.deployments import write_deployment
from tests.helpers.sightings import CAMERAS, NOON


def picture(file: Path, size: int = 1000) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))
    return file


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_folders_of_stages_are_listed_with_number_and_size(project: Path, store: Store) -> None:
    for name in ("tracks/crops/1.jpg", "tracks/crops/2.jpg", ".dvc/cache/files/ab/cd", "mlruns/1/a/scene.jpg"):
        picture(project / name)
    picture(project / "README.md")
    (project / "reports").mkdir()
    with store.begin() as connection:
        places = unreached(project, connection)
    assert {(str(place.path.relative_to(project)), place.files, place.size_bytes) for place in places} == {
        ("tracks", 2, 2000),
        (".dvc/cache", 1, 1000),
        ("mlruns", 1, 1000),
    }


def test_exported_labels_and_videos_are_listed_wherever_they_lie(project: Path, store: Store, tmp_path: Path) -> None:
    picture(tmp_path / "labels" / "bounding_box_train" / "1.jpg")
    video = picture(tmp_path / "recordings" / "c1.mp4")
    of_district = picture(project / "data" / "demo" / "videos" / "c1.mp4")
    with store.begin() as connection:
        for folder in (tmp_path / "labels", tmp_path / "gone"):
            audit.append(connection, "kim", Action.EXPORT, {"what": "labels", "folder": str(folder)})
        register(connection, [str(video), str(of_district), str(tmp_path / "gone.mp4"), "c1@2026-05-12"])
        places = {(place.path, place.holds): place.files for place in unreached(project, connection)}
    assert places.pop((tmp_path / "labels", LABELS)) == 1
    assert places.pop((video.parent, VIDEOS)) == 1
    assert places == {(project / "data" / "demo", "pictures and videos of a district"): 1}


def register(connection: sa.Connection, sources: list[str]) -> None:
    add_cameras(connection, "demo", CAMERAS, time_zone="Asia/Seoul")
    for source in sources:
        segments.register(connection, "demo", CAMERAS[0].id, source, source, NOON)


def test_what_other_users_can_read_is_said(project: Path, store: Store) -> None:
    for folder in (project, *project.parents):
        folder.chmod(folder.stat().st_mode | 0o111)
    for name in ("1.jpg", "2.jpg"):
        picture(project / "tracks" / name).chmod(0o600)
    with store.begin() as connection:
        (place,) = unreached(project, connection)
        assert "other users" not in str(place)
        (project / "tracks").chmod(0o755)
        (project / "tracks" / "1.jpg").chmod(0o644)
        (place,) = unreached(project, connection)
    assert f"other users can read 1: chmod -R go= {project / 'tracks'}" in str(place)


def test_the_command_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = write_deployment(tmp_path)
    open_store(deployment.store).close()
    picture(tmp_path / "tracks" / "1.jpg", 2_500_000)
    monkeypatch.chdir(tmp_path)
    retention.main()
    printed = capsys.readouterr().out
    assert "retention does not reach these places" in printed
    assert f"{tmp_path / 'tracks'}: 1 files, 2.5 MB (crops and embeddings of sightings)" in printed
