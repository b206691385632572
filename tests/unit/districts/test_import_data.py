"""The command that imports: what it writes beside the data, and what it refuses before it reads any."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from districts import import_data, prepare
from districts.checks.district import check_district
from districts.importers.intake import Intake
from districts.importing.times import carry_times
from domain.errors import InputError
from tests.helpers.imports_of_data import draw, run_import
from tests.helpers.project import ROOT


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twenty pictures of one sequence in YOLO's flat form."""
    for number in range(20):
        draw(tmp_path / f"in/f{number:02d}.jpg")
        (tmp_path / f"in/f{number:02d}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "in/classes.txt").write_text("person\n")
    return tmp_path / "in"


def test_prepare_takes_over_what_was_imported(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    district = run_import("yolo", source, "--licence", "CC0-1.0", "--origin", "a test")
    assert "python -m conf.compose district=town && python -m districts.prepare" in capsys.readouterr().out
    conf = yaml.safe_load(Path("conf/district/town.yaml").read_text())
    base = yaml.safe_load((ROOT / "conf/district/base.yaml").read_text())
    settings = base | {key: conf[key] for key in ("name", "source")}
    Path("params.yaml").write_text(yaml.safe_dump({"district": settings}))
    prepare.main()
    assert Path("data/town/detection/images/train/f00.jpg").samefile(source / "f00.jpg")
    described = yaml.safe_load((district / "district.yaml").read_text())
    assert described == {
        "name": "town", "time_zone": "UTC", "attribute_schema": "suseong", "source": "a test", "licence": "CC0-1.0",
        "cameras": [],
    }  # fmt: skip


def test_a_second_import_needs_replace(source: Path) -> None:
    run_import("yolo", source)
    Path("districts-in/town/mine.txt").write_text("a note")
    with pytest.raises(InputError, match=r"districts-in/town must not exist yet, .* import all of them with --replace"):
        run_import("yolo", source)
    assert Path("districts-in/town/mine.txt").exists()
    run_import("yolo", source, "--replace")
    assert not Path("districts-in/town/mine.txt").exists()


def test_a_configuration_of_another_district_is_kept(source: Path) -> None:
    file = Path("conf/district/town.yaml")
    file.parent.mkdir(parents=True)
    file.write_text("name: town\nimporter: market1501\n")
    with pytest.raises(InputError, match=r"conf/district/town\.yaml must not describe other data; choose another"):
        run_import("yolo", source)
    assert file.read_text() == "name: town\nimporter: market1501\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes", "dog"], r"--classes must name classes of the source, person \(20\); got 'dog'"),
        (["--rename", "dog=person"], r"--rename must name a class, an attribute or a value of the source, got 'dog'"),
        (["--rename", "dog"], r"--rename must be OLD=NEW, got 'dog'"),
        (["--splits", "70,30"], r"--splits must be three percentages, such as 70,15,15"),
        (["--splits", "70,20,20"], r"--splits must be percentages from 0 that sum to 100"),
        (["--splits=-10,60,50"], r"--splits must be percentages from 0 that sum to 100"),
        (["--splits", "nan,1,1"], r"--splits must be percentages from 0 that sum to 100"),
        (["--parts", "detection,faces"], r"--parts must be some of detection, reid, attributes, videos, got faces"),
        (["--time-zone", "Seoul"], r"--time-zone must be an IANA name, such as Asia/Seoul, got 'Seoul'"),
        (["--every-s", "0"], r"--every-s and --fps must be above 0"),
        (["--fps", "nan"], r"--every-s and --fps must be above 0"),
        (["--schema", "daegu"], r"an attribute schema must be one of market1501"),
        (["--start", "noon"], r"there is no recording that could begin at --start"),
    ],
)
def test_a_wrong_option_is_named(options: list[str], message: str, source: Path) -> None:
    with pytest.raises(InputError, match=message) as raised:
        run_import("yolo", source, *options)
    assert "\n" not in str(raised.value)
    assert not Path("districts-in/town").exists()


@pytest.mark.parametrize("name", ["../town", "a/b", "", "..", "t" * 65])
def test_a_name_cannot_lead_elsewhere(name: str, source: Path) -> None:
    with pytest.raises(InputError, match="a name must have 1 to 64 letters"):
        run_import("yolo", source, name=name)


def test_settings_that_the_user_added_are_kept(source: Path) -> None:
    run_import("yolo", source)
    with Path("conf/district/town.yaml").open("a") as more:
        more.write("labels: labels-2026-11\n")
    run_import("yolo", source, "--replace")
    assert "labels-2026-11" in Path("conf/district/town.yaml").read_text()


def test_a_published_set_stays_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "PETA").mkdir()
    import_data.main(["peta", "PETA", "town"])
    conf = yaml.safe_load(Path("conf/district/town.yaml").read_text())
    assert (conf["importer"], conf["source"]) == ("peta", "PETA")
    assert not Path("districts-in").exists()
    assert "conf/district/town.yaml makes PETA the district town" in capsys.readouterr().out


def test_times_are_carried_by_name_into_whatever_split(tmp_path: Path) -> None:
    source, folder = tmp_path / "in", tmp_path / "out"
    crops = ["bounding_box_train/0001_c1s1_000001_00.jpg", "query/0002_c1s1_000002_00.jpg.jpg"]
    for crop in crops:
        draw(source / crop)
    draw(folder / "reid/bounding_box_val/0001_c1s1_000001_00.jpg")  # held out
    draw(folder / "reid/query/0002_c1s1_000002_00.jpg.jpg")
    draw(folder / "reid/query/0003_c1s1_000003_00.jpg")
    (source / "times.csv").write_text(f"image,time_s\n{crops[0]},18.04\n{crops[1]},-3\n")
    intake = Intake(source, folder)
    carry_times(intake)
    text = (folder / "reid/times.csv").read_text()
    assert text.split() == ["image,time_s", "0001_c1s1_000001_00.jpg,18.040", "0002_c1s1_000002_00.jpg.jpg,-3.000"]
    assert [each.message for each in intake.of_user([])] == ["gives 2 of 3 re-ID crops a time"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,time\n", "must also have the columns time_s"),
        ("image,time_s\na.jpg,noon\n", r"times\.csv, line 2: time_s must be seconds or an ISO 8601 time"),
        ("image,time_s\nq/a.jpg,1\nq/a.jpg,2\n", r"must give each picture one time, got two for q/a\.jpg"),
    ],
)
def test_wrong_times_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "reid").mkdir()
    (tmp_path / "times.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        carry_times(Intake(tmp_path, tmp_path))


def test_a_missing_source_is_named() -> None:
    with pytest.raises(InputError, match=r"SOURCE must be a folder or a \.zip, got nowhere"):
        import_data.main(["coco", "nowhere", "town"])


def test_an_unknown_format_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        import_data.main(["labelbox", "in", "town"])
    assert "coco" in capsys.readouterr().err


def test_git_does_not_know_pictures_of_people() -> None:
    asked = ["git", "check-ignore", "districts-in/town/detection/images/train/a.jpg"]
    assert subprocess.run(asked, cwd=ROOT, check=False, capture_output=True).returncode == 0


def test_placeholders_are_found_by_the_check(tmp_path: Path) -> None:
    (tmp_path / "d/detection").mkdir(parents=True)
    camera = {"latitude": 0.0, "longitude": 0.0, "fps": 25, "width_px": 8, "height_px": 8}
    known = camera | {"latitude": 35.8, "longitude": 128.6}
    described = {
        "name": "town", "time_zone": "UTC", "attribute_schema": "suseong", "source": "", "licence": "",
        "cameras": [
            known | {"id": "c1", "name": "c1"}, camera | {"id": "c2", "name": "c2"},
            known | {"id": "c3", "name": "c3", "fps": 0.01, "width_px": 1, "height_px": 1},
        ],
    }  # fmt: skip
    (tmp_path / "d/district.yaml").write_text(yaml.safe_dump(described))

    def found() -> list[tuple[bool, str]]:
        findings = check_district(tmp_path / "d")
        return [(each.is_fatal, each.message.partition(" must")[0]) for each in findings if "filled in" in each.message]

    told = ["camera c2: latitude and longitude", "camera c3: fps, width_px and height_px"]
    assert found() == [(False, each) for each in told]
    (tmp_path / "d/videos").mkdir()
    assert found() == [(True, each) for each in told]  # walking times would be wrong


def test_a_zip_is_imported_as_the_folder_in_it(source: Path) -> None:
    archive = Path(shutil.make_archive("export", "zip", source.parent, "in"))
    run_import("yolo", archive, "--dry-run")
    assert [path.name for path in Path("districts-in").iterdir()] == []
    district = run_import("yolo", archive)
    assert (district / "detection/images/train/f00.jpg").read_bytes() == (source / "f00.jpg").read_bytes()
    assert yaml.safe_load((district / "district.yaml").read_text())["source"] == "export"
    assert [path.name for path in Path("districts-in").iterdir()] == ["town"]


def test_what_is_wrong_in_a_zip_is_named_by_the_zip(source: Path) -> None:
    (source / "f03.txt").write_text("0 0.5\n")
    with pytest.raises(InputError, match=r"export\.zip/in/f03\.txt, line 1"):
        run_import("yolo", Path(shutil.make_archive("export", "zip", source.parent, "in")))
    assert [path.name for path in Path("districts-in").iterdir()] == []
