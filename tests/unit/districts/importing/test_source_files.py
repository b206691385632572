"""Files are found below the source by the names that annotations give, and nowhere else."""

from pathlib import Path

import pytest

from districts.importing.source_files import SourceFiles, split_of
from domain.errors import InputError


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


@pytest.mark.parametrize(
    "named",
    [
        "a b.jpg", "images/a b.jpg", "./images/a b.jpg", "../set/images/a b.jpg", "/home/else/set/images/a b.jpg",
        "D:\\set\\images\\a b.jpg", "images/a%20b.jpg",
    ],
)  # fmt: skip
def test_paths_of_other_machines_lead_to_the_file_here(named: str, tmp_path: Path) -> None:
    assert SourceFiles(write(tmp_path / "set", "images/a b.jpg")).find(named) == tmp_path / "set/images/a b.jpg"


@pytest.mark.parametrize("named", ["../secret.txt", "/etc/passwd", "..", "", "images", "b.jpg\0"])
def test_no_name_leads_out(named: str, tmp_path: Path) -> None:
    write(tmp_path, "secret.txt")
    with pytest.raises(InputError, match=r"must be below .*set; it is missing"):
        SourceFiles(write(tmp_path / "set", "images/b.jpg")).find(named)


def test_of_several_the_likeliest_is_taken(tmp_path: Path) -> None:
    files = SourceFiles(write(tmp_path, "train/1.jpg", "val/1.jpg", "val/cam/1.jpg"))
    assert files.find("val/1.jpg") == tmp_path / "val/1.jpg"
    assert files.find("1.jpg", split="train") == tmp_path / "train/1.jpg"
    assert files.find("1.jpg", near=tmp_path / "val/cam") == tmp_path / "val/cam/1.jpg"
    with pytest.raises(InputError, match=r"here: the file '1\.jpg' must be only once below"):
        files.find("1.jpg", "here")


def test_hidden_files_are_passed_over_and_links_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "c.jpg")
    source = write(tmp_path / "set", "a.jpg", "._a.jpg", "Thumbs.db", "__MACOSX/a.jpg", ".git/b.jpg")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "again").symlink_to(source)
    assert [str(file.relative_to(source)) for file in SourceFiles(source).files] == ["a.jpg", "linked/c.jpg"]


@pytest.mark.parametrize(
    ("words", "split"),
    [
        (("annotations", "instances_train2017.json"), "train"),
        (("valid", "labels"), "val"),
        (("training", "test"), "test"),
        (("trainval.txt",), None),
        (("contest", "latest"), None),
        (("Test-01",), "test"),
    ],
)
def test_splits_are_words_of_a_path(words: tuple[str, ...], split: str | None) -> None:
    assert split_of(words) == split
