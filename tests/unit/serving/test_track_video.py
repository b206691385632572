import json
from pathlib import Path

import cv2
import pytest

from districts.box_files import read_tracks
from domain.errors import ArtifactError, InputError
from domain.images import read_image
from serving import track_video
from serving.video.files import VideoReader
from tests.helpers.walkers import Walker, engines, write_params, write_video

pytestmark = pytest.mark.slow


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml and a video; engines that see coloured boxes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        track_video,
        "open_engines",
        lambda detector, reid, attributes, without_plan: engines(describes=attributes is not None),
    )
    write_params(tmp_path)
    write_video(tmp_path / "street.mp4", [Walker("red", 20, 40), Walker("green", 280, -40)], seconds=3)
    return tmp_path


def run(*more: str, video: str = "street.mp4") -> None:
    track_video.main(["--video", video, "--detector", "d", "--reid", "r", "--out", "out", *more])


def test_it_writes_tracks_crops_video_and_summary(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--attributes", "a")
    out = workplace / "out"
    table = read_tracks(out / "tracks.txt")
    assert set(table.tracks.tolist()) == {1, 2}
    assert (table.frames.min(), table.frames.max()) == (1, 30)
    assert read_image(out / "crops" / "1_1.jpg").shape[0] > 40
    assert len(list((out / "crops").glob("1_*.jpg"))) > 1
    summary = json.loads((out / "summary.json").read_text())
    assert json.loads(capsys.readouterr().out) == summary
    assert (summary["frames"], summary["tracklets"], summary["tracklets_longer_than_1s"]) == (30, 2, 2)
    assert summary["frames_per_second"] > 0
    assert sum(summary["stage_share"].values()) == pytest.approx(1, abs=1e-3)
    assert set(json.loads((out / "attributes.json").read_text())) == {"1", "2"}
    assert sorted(path.name for path in workplace.iterdir()) == ["out", "params.yaml", "street.mp4"]


@pytest.mark.slow
def test_the_annotated_video_shows_the_boxes(workplace: Path) -> None:
    run()
    with VideoReader(workplace / "out" / "annotated.mp4") as drawn, VideoReader(workplace / "street.mp4") as plain:
        pairs = list(zip(drawn, plain, strict=True))
    assert len(pairs) == 30
    changed = cv2.absdiff(pairs[15][0].image, pairs[15][1].image).max(axis=2) > 60
    assert 50 < changed.sum() < 3000


@pytest.mark.slow
def test_a_second_run_replaces_the_first(workplace: Path) -> None:
    run("--attributes", "a")
    run()
    assert not (workplace / "out" / "attributes.json").exists()
    assert (workplace / "out" / "summary.json").is_file()


def test_a_folder_with_something_else_is_left_alone(workplace: Path) -> None:
    (workplace / "out").mkdir()
    (workplace / "out" / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="--out must be a new folder or the result of an earlier run; out has other"):
        run()
    assert (workplace / "out" / "diary.txt").read_text() == "mine"


def test_a_broken_video_leaves_nothing(workplace: Path) -> None:
    (workplace / "broken.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(InputError, match=r"broken\.mp4 must be a video"):
        run(video="broken.mp4")
    assert not (workplace / "out").exists()


def test_a_damaged_video_is_followed_as_far_as_it_goes(
    workplace: Path, real_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (workplace / "cut.avi").write_bytes((real_data / "video" / "vtest.avi").read_bytes()[:400_000])
    run(video="cut.avi")
    summary = json.loads((workplace / "out" / "summary.json").read_text())
    assert 0 < summary["frames"] < 795
    assert "ends early" in summary["damage"]
    assert "ends early" in caplog.text


def test_a_missing_engine_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    with pytest.raises(ArtifactError, match="d must be an engine for the task detector; it is missing"):
        run()


def test_a_typo_in_a_setting_is_named(workplace: Path) -> None:
    with pytest.raises(InputError, match=r"unknown configuration key tracking\.frame_strid; did you mean tracking\."):
        run("tracking.frame_strid=2")


def test_settings_can_be_overridden(workplace: Path) -> None:
    run("tracking.tracker.confirm_observations=99")
    assert json.loads((workplace / "out" / "summary.json").read_text())["tracklets"] == 0
