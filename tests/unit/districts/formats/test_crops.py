"""Re-ID sets in their published arrangements, folders of identities and tables of crops become re-ID sets."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from districts.checks.district import check_district
from districts.layout import REID_PARTS, read_attribute_split, read_district, read_reid_folder
from domain.errors import InputError
from domain.schemas import read_schema
from tests.helpers.imports_of_data import draw, run_import

pytestmark = pytest.mark.slow

TRAIN, VAL, QUERY, GALLERY = REID_PARTS


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def draw_all(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        draw(folder / name, 8, 16)
    return folder


def people(district: Path) -> dict[str, list[tuple[int, int]]]:
    """Identity and camera of each crop by part."""
    tables = {part: read_reid_folder(district, part) for part in REID_PARTS if (district / "reid" / part).is_dir()}
    return {
        part: sorted(zip(table.identities.tolist(), table.cameras.tolist(), strict=True))
        for part, table in tables.items()
    }


def is_sound(district: Path) -> bool:
    return not [finding for finding in check_district(district) if finding.is_fatal]


def test_cuhk03_np(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = [f"bounding_box_train/{person:04d}_c{camera}_{camera}1.png" for person in (3, 7, 9) for camera in (1, 2)]
    query, gallery = ["0002_c1_1.png", "0002_c2_9.png"], ["0002_c1_2.png", "0002_c2_3.png"]
    test = [*(f"query/{name}" for name in query), *(f"bounding_box_test/{name}" for name in gallery)]
    district = run_import("cuhk03", draw_all(tmp_path / "cuhk03-np/labeled", [*train, *test]))
    found = people(district)
    assert {identity for identity, _ in found[TRAIN] + found[VAL]} == {3, 7, 9}
    assert len({identity for identity, _ in found[VAL]}) == 1
    assert (found[QUERY], found[GALLERY]) == ([(2, 1), (2, 2)], [(2, 1), (2, 2)])
    assert "1 of 3 training identities are held out for validation" in capsys.readouterr().out
    assert is_sound(district)
    draw_all(tmp_path / "cuhk03-np/detected", train)
    with pytest.raises(InputError, match=r"must hold bounding_box_train once, got .*detected/.* and .*labeled/"):
        run_import("cuhk03", tmp_path / "cuhk03-np", name="both")


def test_cuhk03_as_torchreid_unpacks_it(tmp_path: Path) -> None:
    names = [
        f"{pair}_{person:03d}_{view}_{number:02d}.png"
        for pair in (1, 5)
        for person in range(1, 5)
        for view in (1, 2)
        for number in (1, 2)
    ]
    district = run_import("cuhk03", draw_all(tmp_path / "cuhk03/images_labeled", names))
    found = people(district)
    cameras: dict[int, set[int]] = {identity // 10_000: set() for part in found.values() for identity, _ in part}
    for part in found.values():
        for identity, camera in part:
            cameras[identity // 10_000].add(camera)
    assert cameras == {1: {1, 2}, 5: {9, 10}}  # one number in two pairs is two people
    assert sum(map(len, found.values())) == 32
    assert [camera.id for camera in read_district(district).cameras] == [f"c{number}" for number in range(1, 11)]
    assert is_sound(district)
    draw_all(tmp_path / "cuhk03/images_detected", names[:1])
    with pytest.raises(InputError, match=r"one set, .*, got images_detected, images_labeled"):
        run_import("cuhk03", tmp_path / "cuhk03", name="both")


@pytest.mark.parametrize(
    ("form", "folders"),
    [
        ("{:04d}_c{}_f0046182.jpg", ("bounding_box_train", "query", "bounding_box_test")),  # DukeMTMC-reID
        ("{:04d}_c{:03d}_00016450_0.jpg", ("image_train", "image_query", "image_test")),  # VeRi-776
        ("{:04d}_c{}s1_000151_00.jpg.jpg", ("bounding_box_train", "query", "bounding_box_test")),  # Market-1501
    ],
)
def test_other_named_sets(form: str, folders: tuple[str, str, str], tmp_path: Path) -> None:
    train, query, gallery = folders
    names = [f"{train}/{form.format(person, camera)}" for person in (1, 2) for camera in (1, 11)]
    names += [f"{query}/{form.format(5, 1)}", f"{gallery}/{form.format(5, 11)}", f"{gallery}/{form.format(0, 1)}"]
    district = run_import("named-crops", draw_all(tmp_path / "set", [*names, "readme/picture.jpg"]))
    found = people(district)
    assert (found[QUERY], found[GALLERY]) == ([(5, 1)], [(0, 1), (5, 11)])
    assert is_sound(district)


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("named-crops", ["query/somebody.jpg"], r"query/somebody\.jpg must be named like 0001_c1s1_000151_00\.jpg, or"),
        ("named-crops", ["query/0001_gate_1.jpg"], r"query/0001_gate_1\.jpg must be named like"),
        (
            "named-crops",
            ["a/query/1_c1.jpg", "b/query/1_c2.jpg"],
            r"hold query once, got .*a/query and .*b/query; name",
        ),
        ("named-crops", ["readme/1_c1.jpg"], "must hold the folders bounding_box_train, query and .*, got none"),
        ("named-crops", [], "must hold the folders bounding_box_train, query and .*, got none"),
        ("cuhk03", ["images_labeled/1_001_3_01.png"], r"1_001_3_01\.png must be named like 1_001_1_01\.png: pair of"),
        ("cuhk03", [], "must hold the pictures of one set, images_labeled or images_detected, got none"),
    ],
)
def test_what_is_wrong_in_a_named_set_is_named_in_one_line(
    kind: str, names: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=message) as error:
        run_import(kind, draw_all(tmp_path / "in", names))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "districts-in/town").exists()


@pytest.fixture
def msmt(tmp_path: Path) -> Path:
    """Two people to train on, whose last pictures are in list_val.txt, and one to test."""
    root = tmp_path / "MSMT17_V1"
    lists: dict[str, list[str]] = {name: [] for name in ("train", "val", "query", "gallery")}
    for person in (0, 1):
        for number, (name, day) in enumerate((("train", "0303morning"), ("train", "0113noon"), ("val", "0303morning"))):
            path = f"{person:04d}/{person:04d}_{number:03d}_{number + 1:02d}_{day}_{number:04d}_0.jpg"
            lists[name].append(f"{path} {person}")
            draw(root / "train" / path)
    for number, name in enumerate(("query", "gallery")):
        path = f"0000/0000_{number:03d}_{14 + number}_0302afternoon_0099_{number}_ex.jpg"
        lists[name].append(f"{path} 0")
        draw(root / "test" / path)
    for name, lines in lists.items():
        (root / f"list_{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_msmt17(msmt: Path) -> None:
    district = run_import("msmt17", msmt)
    found = people(district)
    assert sorted(found[TRAIN] + found[VAL]) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert {identity for identity, _ in found[VAL]} in ({1}, {2})  # list_val.txt shares people with list_train.txt
    assert (found[QUERY], found[GALLERY]) == ([(3, 14)], [(3, 15)])
    assert len(read_district(district).cameras) == 15
    assert is_sound(district)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("list_query.txt", None, r"must hold MSMT17's lists; list_query\.txt is missing"),
        ("list_query.txt", "a.jpg\n", r"list_query\.txt, line 1: must be a path and an identity from 0"),
        ("list_query.txt", "a.jpg -1\n", r"line 1: must be a path and an identity from 0"),
        ("list_query.txt", "0000/a.jpg 1\n", r"line 1: a name must be like 0000_000_01_0303morning_0015_0\.jpg"),
        (
            "list_query.txt",
            "../0000_000_01_0303noon_0015_0.jpg 1\n",
            r"line 1: the file 'test/\.\./0000",
        ),
    ],
)
def test_what_is_wrong_in_msmt17_is_named(file: str, text: str | None, message: str, msmt: Path) -> None:
    (msmt / file).unlink()
    if text is not None:
        (msmt / file).write_text(text)
    with pytest.raises(InputError, match=message):
        run_import("msmt17", msmt)


FOLDERS = {
    "identity, then camera": "{identity}/cam_{camera}/{number}.jpg",
    "camera, then identity": "Camera{camera}/{identity}/{number}.jpg",
    "camera in the name": "{identity}/x_c{camera}s1_{number}.jpg",
    "below one folder of a split": "train/{identity}/c{camera}_{number}.jpg",
}


@pytest.mark.parametrize("form", FOLDERS.values(), ids=FOLDERS.keys())
def test_folders_of_identities(form: str, tmp_path: Path) -> None:
    identities = [f"person {number}" for number in range(1, 11)]
    names = [
        form.format(identity=identity, camera=camera, number=number)
        for identity in identities
        for camera in (1, 3)
        for number in (1, 2)
    ]
    source = draw_all(tmp_path / "in", names)
    if form.startswith("train"):
        draw_all(source, ["test/somebody/c1_1.jpg", "test/somebody/c1_2.jpg", "test/somebody/c3_1.jpg"])
    district = run_import("identity-folders", source)
    found = people(district)
    sets = {part: {identity for identity, _ in crops} for part, crops in found.items()}
    assert sets[QUERY] <= sets[GALLERY]
    assert not sets[TRAIN] & sets[VAL] | sets[TRAIN] & sets[GALLERY] | sets[VAL] & sets[GALLERY]
    assert {camera for crops in found.values() for _, camera in crops} == {1, 3}
    assert sum(map(len, found.values())) == sum(1 for _ in source.rglob("*.jpg"))
    assert is_sound(district)


def test_without_cameras_queries_count_as_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{identity:04d}/{number}.jpg" for identity in range(1, 11) for number in range(3)]
    district = run_import("identity-folders", draw_all(tmp_path / "in", names))
    found = people(district)
    assert {camera for _, camera in found[QUERY]} == {1}
    assert {camera for _, camera in found[TRAIN] + found[VAL] + found[GALLERY]} == {2}
    assert "no camera is known: queries count as of c1 and all others as of c2" in capsys.readouterr().out
    assert is_sound(district)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param([], "must hold a folder of pictures for each identity, got no picture", id="empty"),
        pytest.param(["a.jpg"], r"in 0 to 0 folders; a table of crops is", id="flat"),
        pytest.param(["1/a.jpg", "2/c1/a.jpg"], r"alone, got pictures in 1 to 2 folders", id="mixed depths"),
        pytest.param(["1/north/a.jpg"], r"with cameras such as c1 or cam2, got others", id="no cameras"),
        pytest.param(["1/c1_a.jpg", "2/b.jpg"], "must have a camera, or none, got 1 of 2 without", id="one"),
        pytest.param(["train/1/c1_a.jpg", "other/c1_a.jpg"], "got 1 in none", id="not all in a split"),
        pytest.param(["train/1/c1.jpg", "test/1/c1.jpg"], "identity 1 must be in one split of the source", id="in two"),
        pytest.param(["1/c1.jpg", "1/c2.jpg"], "enough to train and to test", id="one person"),
    ],
)  # fmt: skip
def test_folders_that_are_none_of_identities(names: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=message):
        run_import("identity-folders", draw_all(tmp_path / "in", names))


def write_table(folder: Path, rows: Sequence[Sequence[object]], name: str = "crops.csv") -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows(rows)
    return folder


def test_a_table_of_crops_with_times_and_attributes(tmp_path: Path) -> None:
    rows: list[Sequence[object]] = [["Filename", "person_id", "camid", "frame", "time_s", "gender", "shoes"]]
    rows += [
        [f"p{person}_{camera[0]}_{frame}.png", f"P{person}", camera, frame, 10 * person + frame, gender, "x"]
        for person, gender in enumerate(["Male", "여성"] * 5)
        for camera in ("north gate", "2")
        for frame in (1, 2)
    ]
    source = write_table(draw_all(tmp_path / "in", [f"all/{row[0]}" for row in rows[1:]]), rows)
    district = run_import("crop-table", source)
    assert [camera.id for camera in read_district(district).cameras] == ["c2", "north-gate"]
    assert is_sound(district)
    times = dict(csv.reader((district / "reid/times.csv").open()))
    names = {file.name for file in (district / "reid").glob("*/*.png")}
    assert set(times) - {"image"} == names
    assert len(names) == 40
    seventh = [name for name in names if name.startswith("0007_")]  # P6
    assert {times[name] for name in seventh} == {"61.000", "62.000"}
    schema = read_schema("suseong")
    for split in ("train", "val", "test"):
        table = read_attribute_split(district, split, schema)  # type: ignore[arg-type]
        gender = table.labels[:, schema.group_names.index("gender")]
        assert [schema.group("gender").label_names[label] for label in gender] == [
            "male" if identity % 2 else "female" for identity in table.identities
        ]
        reid = {"train": TRAIN, "val": VAL, "test": GALLERY}[split]
        assert set(table.identities.tolist()) == {identity for identity, _ in people(district)[reid]}


def test_identities_of_any_length_are_numbered_in_their_order(tmp_path: Path) -> None:
    names = [f"{'9' * length}_c{camera}.jpg" for length in (5000, 2, 30) for camera in (1, 2)]
    short = [f"{place}.jpg" for place in range(len(names))]
    rows = [["image", "pid", "cam", "split"]]
    rows += [
        [file, name.split("_")[0], name[-5], "train" if len(name) < 40 else "test"]
        for file, name in zip(short, names, strict=True)
    ]
    district = run_import("crop-table", write_table(draw_all(tmp_path / "in", short), rows))
    assert {identity for identity, _ in people(district)[GALLERY]} == {3}


def test_times_of_a_table_of_its_own(tmp_path: Path) -> None:
    names = [f"{person}_c{camera}_{number}.jpg" for person in range(1, 11) for camera in (1, 2) for number in (1, 2)]
    rows = [["image", "identity", "camera"], *([name, *name.split("_")[:2]] for name in names)]
    source = write_table(draw_all(tmp_path / "in", names), rows)
    write_table(source, [["image", "time_s"], *([name, place] for place, name in enumerate(names))], "times.csv")
    district = run_import("crop-table", source)
    assert len((district / "reid/times.csv").read_text().splitlines()) == 41


def test_attributes_without_identities(tmp_path: Path) -> None:
    rows = [["image", "split", "gender"]]
    rows += [[f"{place}.jpg", split, "male"] for place, split in enumerate(("train", "train", "val", "test"))]
    district = run_import("crop-table", write_table(draw_all(tmp_path / "in", [row[0] for row in rows[1:]]), rows))
    schema = read_schema("suseong")
    assert read_attribute_split(district, "train", schema).identities.tolist() == [1, 2]
    assert read_attribute_split(district, "test", schema).identities.tolist() == [4]
    assert not (district / "reid").exists()
    assert is_sound(district)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([["who", "identity"], ["a.jpg", "1"]], r"crops\.csv, line 1: must have the column", id="image"),
        pytest.param([["image", "path"], ["a.jpg", "a.jpg"]], r"one column for image, got image, path", id="two"),
        pytest.param([["image", "id"], ["b.jpg", "1"]], r"line 2: the file 'b\.jpg' must be below", id="missing"),
        pytest.param([["image", "id"], ["", "1"]], r"line 2: image must name a picture", id="empty cell"),
        pytest.param([["image", "id"], ["../../etc/passwd", "1"]], r"line 2: the file '\.\./\.\./", id="path"),
        pytest.param([["image", "id", "split"], ["a.jpg", "1", "some"]], r"line 2: split must be one of", id="split"),
        pytest.param([["image", "id", "frame"], ["a.jpg", "1", "x"]], r"line 2: frame must be a number", id="frame"),
        pytest.param([["image", "id", "time_s"], ["a.jpg", "1", "noon"]], r"line 2: time_s must be", id="time"),
        pytest.param([["image", "id"]], r"line 1: must have the column image and rows", id="no rows"),
    ],
)
def test_a_wrong_table_is_named_by_its_line(rows: list[list[str]], message: str, tmp_path: Path) -> None:
    source = write_table(draw_all(tmp_path / "in", ["a.jpg"]), rows)
    with pytest.raises(InputError, match=message) as raised:
        run_import("crop-table", source)
    assert "\n" not in str(raised.value)
    write_table(source, rows, "other.csv")
    with pytest.raises(InputError, match=r"must hold one \.csv of crops, got .*crops\.csv, .*other\.csv"):
        run_import("crop-table", source)
