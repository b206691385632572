import os
from pathlib import Path

import pytest

from serving.video.folders import files_of


def test_a_folder_gives_the_files_of_its_subfolders_and_says_what_is_passed_over(tmp_path: Path) -> None:
    names = [
        "b.MP4",
        "a.mkv",
        "a.mkv.yaml",
        "2026-05-12/c1/a.ts",
        ".hidden.mp4",
        ".cache/x.mp4",
        "thumb.JPG",
        "b.idx",
        "Thumbs.db",
    ]
    for name in [*names, "gone.mp4.yaml"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = files_of(tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in found.files] == ["a.mkv", "b.MP4", "2026-05-12/c1/a.ts"]
    assert found.refused == []
    missing, others = found.passed_over
    assert "gone.mp4.yaml was passed over: there is no gone.mp4" in missing
    assert "5 files in" in others
    assert "no videos: 1 .idx, 1 .jpg, 3 hidden" in others


def test_a_file_is_itself_and_a_missing_one_too(tmp_path: Path) -> None:
    assert files_of(tmp_path / "missing.mp4").files == [tmp_path / "missing.mp4"]


def test_links_are_followed_once_and_broken_ones_named(tmp_path: Path) -> None:
    disk, folder = tmp_path / "disk", tmp_path / "recordings"
    for place in (disk / "c1", folder):
        place.mkdir(parents=True)
    (disk / "c1" / "a.mp4").touch()
    (folder / "linked").symlink_to(disk / "c1")
    (folder / "again").symlink_to(folder)
    (folder / "b.mp4").symlink_to(disk / "c1" / "a.mp4")
    (folder / "c.mp4").symlink_to(disk / "gone.mp4")
    (folder / "d.mp4").symlink_to(folder / "d.mp4")
    found = files_of(folder)
    assert [file.name for file in found.files] == ["b.mp4", "a.mp4"]
    assert [str(error).split(" must")[0] for error in found.refused] == [
        str(folder / "c.mp4"),
        str(folder / "d.mp4"),
    ]


def test_files_that_are_still_being_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4.part").touch()
    (tmp_path / "b.mp4.TMP").touch()
    assert [str(error).split(" must")[0][-10:] for error in files_of(tmp_path).refused] == ["a.mp4.part", "/b.mp4.TMP"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    [error] = files_of(tmp_path).refused
    assert "closed must be readable" in str(error)
