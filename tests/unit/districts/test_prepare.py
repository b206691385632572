"""The stage `prepare`: settings, the folder importer, and that nothing damaged ever reaches data/."""

from pathlib import Path

import pytest
import yaml

from conf.compose import compose
from districts import prepare, preview
from districts.box_files import read_labelled_frame, read_tracks
from districts.findings import Finding
from districts.layout import read_district, read_reid_folder
from domain.errors import InputError
from tests.helpers.project import ROOT


def write_params(**district: object) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"seed": 1, "district": district}))


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def source(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data that the checks, replaced here, find sound."""
    folder = workplace / "source"
    (folder / "videos").mkdir(parents=True)
    (folder / "videos" / "c1.mp4").write_text("film")
    monkeypatch.setattr(prepare, "check_district", lambda folder, **_: [])
    write_params(name="mine", importer="folder", source=str(folder), demo=None)
    return folder


def test_a_folder_is_taken_over_without_a_second_copy(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare.main()
    assert Path("data/mine/videos/c1.mp4").samefile(source / "videos" / "c1.mp4")
    assert "0 fatal defects, 0 warnings" in Path("data/mine/data_report.md").read_text()
    assert "data/mine/data_report.html: 0 warnings" in capsys.readouterr().out


def test_times_of_the_source_come_along(source: Path) -> None:
    crop = source / "reid/bounding_box_train/0001_c1s1_000001_00.jpg"
    crop.parent.mkdir(parents=True)
    crop.write_text("a picture")
    (source / "times.csv").write_text("image,time_s\nbounding_box_train/0001_c1s1_000001_00.jpg,7.5\n")
    prepare.main()
    assert Path("data/mine/reid/times.csv").read_text().split() == ["image,time_s", f"{crop.name},7.500"]


def test_a_file_system_without_hard_links_gets_copies(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*paths: str) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr("os.link", refuse)
    prepare.main()
    assert Path("data/mine/videos/c1.mp4").read_text() == "film"
    assert not Path("data/mine/videos/c1.mp4").samefile(source / "videos" / "c1.mp4")


def test_a_fatal_defect_leaves_the_earlier_data_in_place(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare.main()
    monkeypatch.setattr(
        prepare, "check_district", lambda folder, **_: [Finding(True, "videos/c1.txt, line 3", "is wrong")]
    )
    found = r"fatal: videos/c1\.txt, line 3: is wrong"
    expected = rf"must pass its checks, got 1 fatal defects, all listed in data/mine/data_report\.html:\n{found}"
    with pytest.raises(InputError, match=expected):
        prepare.main()
    assert Path("data/mine/videos/c1.mp4").is_file()
    assert [path.name for path in Path("data").iterdir()] == ["mine"]


def test_a_missing_source_is_named() -> None:
    write_params(name="mine", importer="folder", source="nowhere")
    with pytest.raises(InputError, match=r"district\.source must be a folder .* got .*/nowhere"):
        prepare.main()
    assert not Path("data/mine").exists()


def test_an_unknown_importer_is_refused_with_the_known_ones() -> None:
    write_params(name="mine", importer="yolo", source="source")
    expected = r"district\.importer: .*must be one of demo, folder, market1501, pa100k, peta, got 'yolo'"
    with pytest.raises(InputError, match=expected):
        prepare.main()


def test_an_importer_needs_its_settings() -> None:
    write_params(name="mine", importer="folder")
    with pytest.raises(InputError, match="the importer folder needs `source`"):
        prepare.main()
    write_params(name="mine", importer="demo")
    with pytest.raises(InputError, match="the importer demo needs the section `demo`"):
        prepare.main()


def test_the_demo_is_not_rendered_for_another_importer() -> None:
    demo = yaml.safe_load((ROOT / "conf/district/demo.yaml").read_text())["demo"]
    write_params(name="mine", importer="folder", source="source", demo=demo)
    with pytest.raises(InputError, match="the section `demo` must be null with the importer folder"):
        prepare.main()


def test_the_preview_needs_a_prepared_district() -> None:
    write_params(name="mine", importer="folder", source="nowhere")
    with pytest.raises(InputError, match=r"data/mine/district\.yaml must exist"):
        preview.main([])


@pytest.mark.slow
def test_the_committed_settings_are_valid() -> None:
    names = sorted(file.stem for file in (ROOT / "conf" / "district").glob("*.yaml") if file.stem != "base")
    assert names == ["demo", "market1501", "pa100k", "peta", "suseong"]
    for name in names:
        compose([f"district={name}", "experiment=scratch"], Path("params.yaml"))  # finetune needs files of weights
        assert prepare.PrepareSettings.from_params("district").name == name


def test_readers_name_what_is_missing(workplace: Path) -> None:
    with pytest.raises(InputError, match=r"district\.yaml must exist"):
        read_district(workplace)
    with pytest.raises(InputError, match=r"query must be a folder of pictures; it is missing"):
        read_reid_folder(workplace, "query")
    with pytest.raises(InputError, match=r"c1\.txt must exist \(MOTChallenge text\)"):
        read_tracks(workplace / "c1.txt")
    with pytest.raises(InputError, match=r"a\.png must be a readable picture"):
        read_labelled_frame(workplace / "a.png", workplace)
