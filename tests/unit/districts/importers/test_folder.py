"""A district's folder as people have it comes in; what cannot is listed whole, under the user's own files."""

import shutil
import unicodedata
from pathlib import Path

import pytest
import yaml

from districts import prepare
from districts.box_files import read_detection_split
from districts.layout import read_attribute_split, read_district
from domain.errors import InputError
from tests.helpers.districts import COLUMNS, LABELS, SCHEMA, draw_picture, write_district, write_table

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound district without videos, and the settings that take it over as `mine`."""
    monkeypatch.chdir(tmp_path)
    folder = write_district(tmp_path / "source")
    shutil.rmtree(folder / "videos")
    settings = {"name": "mine", "importer": "folder", "source": str(folder)}
    Path("params.yaml").write_text(yaml.safe_dump({"district": settings}))
    return folder


def prepared(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The warnings of the report, but for labels that are few."""
    prepare.main()
    assert "warnings" in capsys.readouterr().out
    lines = Path("data/mine/data_report.md").read_text().splitlines()
    return [line for line in lines if line.startswith("| ") and "too few to learn" not in line][1:]


def test_a_sound_folder_comes_in_without_a_word(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepared(capsys) == []
    assert Path("data/mine/detection/images/val/a.png").samefile(source / "detection/images/val/a.png")


def test_texts_of_windows_are_utf8_in_the_district(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file, encoding in (
        ("detection/labels/train/a.txt", "utf-8-sig"),
        ("attributes/train.csv", "utf-16"),
        ("attributes/val.csv", "utf-8-sig"),
    ):
        text = (source / file).read_text()
        (source / file).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    described = (source / "district.yaml").read_text().replace("a test", "수성구")
    (source / "district.yaml").write_bytes(described.encode("cp949"))
    (source / "readme.txt").write_bytes("café".encode("cp1252"))  # no part of the data
    (said,) = prepared(capsys)
    assert said == (
        "| district.yaml | is not in UTF-8 and was read as cp949; look at its Korean, or save it as UTF-8 (in Excel as "
        "“CSV UTF-8”, in Notepad with the encoding UTF-8) |"
    )
    assert read_district(Path("data/mine")).source == "수성구"
    assert Path("data/mine/detection/labels/train/a.txt").read_bytes().startswith(b"0 0.5")
    assert (source / "detection/labels/train/a.txt").read_bytes().startswith(b"\xef\xbb\xbf")  # the user's stays
    assert len(read_attribute_split(Path("data/mine"), "train", SCHEMA).images) == 12


def test_a_table_in_an_unknown_encoding_is_refused(source: Path) -> None:
    (source / "attributes/val.csv").write_bytes("image;identité\n".encode("cp1252"))
    with pytest.raises(
        InputError, match=r"fatal: .*/source/attributes/val\.csv: must be text in UTF-8, byte 13 is not"
    ):
        prepare.main()


def test_hidden_files_are_passed_over_and_counted(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in [path for path in source.rglob("*") if path.is_dir()]:
        (folder / ".DS_Store").write_bytes(b"Bud1")
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX" / "a.png").write_bytes(b"x")
    for name in ("._a.png", "Thumbs.db", "desktop.ini"):
        (source / "detection/images/train" / name).write_bytes(b"x")
    (said,) = prepared(capsys)
    assert said.startswith(f"| {source} | 19 hidden files or folders are passed over: __MACOSX, attributes/.DS_Store, ")
    assert not list(Path("data/mine").rglob(".*"))
    assert not Path("data/mine/__MACOSX").exists()


@pytest.mark.parametrize("kind", ["absolute", "relative", "folder"])
def test_links_are_followed(source: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    pool, images = tmp_path / "pool", source / "detection/images"
    shutil.move(images, pool)
    if kind == "folder":
        images.symlink_to("../../pool")
    for split in ("train", "val", "test"):
        if kind != "folder":
            (images / split).mkdir(parents=True)
            up = pool if kind == "absolute" else Path("../../../../pool")
            (images / split / "a.png").symlink_to(up / split / "a.png")
    assert prepared(capsys) == []
    for picture in Path("data/mine/detection/images").rglob("*.png"):
        assert not picture.is_symlink()
        assert picture.samefile(pool / picture.parent.name / "a.png")


def test_a_broken_link_is_named(source: Path) -> None:
    (source / "detection/images/train/b.png").symlink_to("../pool/b.png")
    (source / "detection/again").symlink_to("..")
    with pytest.raises(InputError, match="got 2 fatal defects") as caught:
        prepare.main()
    picture = source / "detection/images/train/b.png"
    assert f"fatal: {picture}: must be a file; it is a link to ../pool/b.png, which is missing" in str(caught.value)
    assert f"fatal: {source}/detection/again: must not be a link to a folder in which it lies" in str(caught.value)


def test_names_of_macos_fit_tables_of_others(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apart = unicodedata.normalize("NFD", "정문")
    draw_picture(source / "attributes/images" / f"{apart}.png")
    draw_picture(source / "detection/images/train" / f"{apart}.png")
    (source / "detection/labels/train/정문.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    rows = [{"image": f"{name}.png", "identity": "7", "camera": "c1", **LABELS} for name in ("1_0", "정문")]
    write_table(source / "attributes/train.csv", rows, COLUMNS)
    warnings = prepared(capsys)
    assert len(warnings) == 1
    assert "11 pictures are in no table" in warnings[0]
    assert len(read_detection_split(Path("data/mine"), "train")[1].boxes_xyxy) == 1

    draw_picture(source / "detection/images/train/정문.png")  # both forms, two pictures
    with pytest.raises(InputError, match=r"must have another name than .*; both would be detection/images/train/정문"):
        prepare.main()


def test_upper_case_endings_and_other_formats_come_in(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.JPG", "c.JPEG", "d.bmp", "e.webp"):
        draw_picture(source / "detection/images/train" / name)
        (source / f"detection/labels/train/{name[0]}.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    assert prepared(capsys) == []
    assert len(read_detection_split(Path("data/mine"), "train")) == 5


def test_the_report_of_refused_data_has_every_defect_under_the_users_files(source: Path) -> None:
    for number in range(25):
        draw_picture(source / "detection/images/train" / f"n{number}.png")
        lines = ["0 0.5 0.5 1.2 0.4", "0 0.5 0.5 0.2 0.4", "0 0.5 x 0.2 0.4"]
        (source / "detection/labels/train" / f"n{number}.txt").write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        prepare.main()
    message = str(caught.value)
    assert message.startswith(
        "the data must pass its checks, got 50 fatal defects, all listed in data/mine/data_report.html:\n"
    )
    assert len(message.splitlines()) == 22
    assert message.endswith("\nand 30 more")
    assert ".partial" not in message
    assert f"fatal: {source}/detection/labels/train/n0.txt, line 1: class must be 0" in message
    report = Path("data/mine/data_report.md").read_text()
    assert "Refused: there are no data here." in report
    for number in range(25):
        assert report.count(f"| detection/labels/train/n{number}.txt, line ") == 2
    assert sorted(path.name for path in Path("data/mine").rglob("*")) == [
        f"data_report.{kind}" for kind in ("html", "json", "md")
    ]


def test_a_refused_run_says_that_the_data_beside_the_report_are_earlier_ones(source: Path) -> None:
    prepare.main()
    (source / "attributes/val.csv").unlink()
    with pytest.raises(InputError, match=rf"fatal: {source}/attributes/val\.csv: must exist"):
        prepare.main()
    assert "Refused: the data here are those of an earlier run." in Path("data/mine/data_report.md").read_text()
    assert Path("data/mine/attributes/val.csv").is_file()
    (source / "attributes/val.csv").write_text(Path("data/mine/attributes/val.csv").read_text())
    prepare.main()
    assert "Refused" not in Path("data/mine/data_report.md").read_text()


def test_labels_that_cannot_be_used_are_in_the_report(source: Path) -> None:
    settings = {"name": "mine", "importer": "folder", "source": str(source), "labels": str(source / "nowhere")}
    Path("params.yaml").write_text(yaml.safe_dump({"district": settings}))
    with pytest.raises(InputError, match=r"fatal: .*/nowhere: district\.labels must be a folder that"):
        prepare.main()
    assert "labels.csv is missing |" in Path("data/mine/data_report.md").read_text()


def test_a_folder_in_place_of_a_file_is_named(source: Path) -> None:
    (source / "attributes/val.csv").unlink()
    (source / "attributes/val.csv").mkdir()
    with pytest.raises(InputError, match=r"attributes/val\.csv: must be a file"):
        prepare.main()


def test_findings_name_the_partial_folder_nowhere(source: Path) -> None:
    (source / "district.yaml").write_text("name: x\n")
    shutil.rmtree(source / "reid/query")
    with pytest.raises(InputError):
        prepare.main()
    report = Path("data/mine/data_report.md").read_text()
    assert ".partial" not in report
    assert "| reid/query | must be a folder of pictures; it is missing |" in report
