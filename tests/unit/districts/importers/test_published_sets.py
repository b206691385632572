"""Market-1501 and PETA in their own layouts become sets of ours; the MATLAB files are laid out as published code reads
them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.io import savemat

from districts import prepare
from districts.checks.district import check_district
from districts.importers import peta
from districts.importers.intake import Intake
from districts.importers.market1501 import import_market1501
from districts.importers.peta import import_peta
from districts.importers.published_sets import read_matlab
from districts.layout import read_attribute_split, read_reid_folder
from domain.errors import InputError
from domain.images import write_image
from domain.schemas import read_schema

COLOURS = {
    "up": ("black", "white", "red", "purple", "yellow", "gray", "blue", "green"),
    "down": ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown"),
}
WOMAN = {"gender": 2, "hair": 2, "up": 2, "down": 1, "clothes": 1, "age": 3, "handbag": 2, "upgray": 2, "downpink": 2}


def cells(texts: list[str]) -> np.ndarray:
    array = np.empty((len(texts), 1), object)
    array[:, 0] = texts
    return array


def picture(file: Path, seed: int) -> None:
    write_image(file, np.random.default_rng(seed).integers(0, 255, (24, 12, 3), dtype=np.uint8))


def market_fields(people: Mapping[int, Mapping[str, int]]) -> dict[str, Any]:
    """The struct of one part; what a person does not say is 1."""
    names = ["gender", "hair", "up", "down", "clothes", "hat", "backpack", "bag", "handbag", "age"]
    names += [kind + colour for kind, colours in COLOURS.items() for colour in colours]
    fields: dict[str, Any] = {name: np.array([[says.get(name, 1) for says in people.values()]]) for name in names}
    return fields | {"image_index": cells([f"{identity:04d}" for identity in people])}


def labels_of(folder: Path, split: Any, schema_name: str) -> dict[str, dict[str, str]]:
    """Label of each group by picture; an empty text is unknown."""
    schema = read_schema(schema_name)
    table = read_attribute_split(folder, split, schema)
    return {
        image: {
            group.name: group.label_names[value] if value >= 0 else ""
            for group, value in zip(schema.groups, row, strict=True)
        }
        for image, row in zip(table.images, table.labels.tolist(), strict=True)
    }


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Nine training identities, the eighth of them held out; a woman as query; junk and a distractor."""
    folder = tmp_path / "Market-1501"
    number = 0
    for identity in range(1, 10):
        for camera in (1, 2):
            number += 1
            picture(folder / "bounding_box_train" / f"{identity:04d}_c{camera}s1_{number:06d}_00.jpg", number)
    picture(folder / "query" / "0050_c1s1_000100_00.jpg", 100)
    for place, name in enumerate(("0050_c2s1_000101_00.jpg", "-1_c1s1_000102_00.jpg", "0000_c3s1_000103_00.jpg")):
        picture(folder / "bounding_box_test" / name, 101 + place)
    train = market_fields({identity: {} for identity in range(1, 10)})
    content = {"market_attribute": {"train": train, "test": market_fields({50: WOMAN})}}
    savemat(folder / "market_attribute.mat", content)
    return folder


def test_market1501_becomes_reid_and_attribute_sets(market: Path, tmp_path: Path) -> None:
    import_market1501("market", Intake(market, tmp_path / "district"))
    woman = labels_of(tmp_path / "district", "test", "market1501")
    assert woman == {
        "0050_c2s1_000101_00.jpg": {
            "gender": "female",
            "hair": "long",
            "sleeve": "short",
            "lower_length": "long",
            "lower_type": "dress",
            "hat": "absent",
            "backpack": "absent",
            "bag": "absent",
            "handbag": "present",
            "age": "adult",
            "upper_colour": "grey",
            "lower_colour": "pink",
        }
    }
    assert {name[:4] for name in labels_of(tmp_path / "district", "val", "market1501")} == {"0008"}
    assert len(labels_of(tmp_path / "district", "train", "market1501")) == 16
    held_out = read_reid_folder(tmp_path / "district", "bounding_box_val")
    assert held_out.identities.tolist() == [8, 8]
    assert sorted(read_reid_folder(tmp_path / "district", "bounding_box_test").identities.tolist()) == [-1, 0, 50]


def test_a_colour_that_is_not_one_is_unknown(market: Path, tmp_path: Path) -> None:
    people = {50: WOMAN | {"upgreen": 2, "downpink": 1, "age": 7}}
    content = {"market_attribute": {"train": market_fields({1: {}}), "test": market_fields(people)}}
    savemat(market / "market_attribute.mat", content)
    import_market1501("market", Intake(market, tmp_path / "district"))
    (labels,) = labels_of(tmp_path / "district", "test", "market1501").values()
    assert (labels["upper_colour"], labels["lower_colour"], labels["age"], labels["hair"]) == ("", "", "", "long")


def test_a_matlab_file_that_crashes_its_reader_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    savemat(file, {"names": np.array([["a.jpg"], ["b.jpg"]], dtype=object)})
    assert read_matlab(file, "-")["names"].shape == (2, 1)
    size = b"\x05\0\0\0\x08\0\0\0\x01\0\0\0\x05\0\0\0"  # eight bytes of whole numbers: 1 and 5, the letters of a name
    file.write_bytes(file.read_bytes().replace(size, size.replace(b"\x08", b"\0")))
    with pytest.raises(InputError, match=r"a\.mat must be the annotations; it is damaged"):
        read_matlab(file, "the annotations")
    file.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\x02IM" + bytes(500))
    with pytest.raises(InputError, match=r"a\.mat must be the annotations: .*HDF"):
        read_matlab(file, "the annotations")


def test_imported_market1501_passes_the_checks(market: Path, tmp_path: Path) -> None:
    import_market1501("market", Intake(market, tmp_path / "district"))
    findings = list(check_district(tmp_path / "district"))
    assert not [finding for finding in findings if finding.is_fatal]
    assert not [finding for finding in findings if "camera" in finding.message]  # the district lists none


def test_what_is_not_market1501_is_refused(market: Path, tmp_path: Path) -> None:
    picture(market / "query" / "somebody.jpg", 1)
    intake = Intake(market, tmp_path / "a")
    import_market1501("market", intake)
    assert [*map(str, intake.findings)] == [
        f"fatal: {market}/query/somebody.jpg: must be named like 0001_c1s1_000151_00.jpg"
    ]
    savemat(market / "market_attribute.mat", {"market_attribute": {"train": {"age": np.ones((1, 2))}}})
    with pytest.raises(InputError, match="must hold `market_attribute` with the published fields"):
        import_market1501("market", Intake(market, tmp_path / "b"))
    (market / "market_attribute.mat").write_bytes(b"no matrix")
    with pytest.raises(InputError, match=r"market_attribute\.mat must be the attributes of Market-1501"):
        import_market1501("market", Intake(market, tmp_path / "c"))
    with pytest.raises(InputError, match="must hold the folders of Market-1501; bounding_box_train is missing"):
        import_market1501("market", Intake(tmp_path, tmp_path / "d"))


def test_market1501_without_attributes_is_a_reid_set(market: Path, tmp_path: Path) -> None:
    (market / "market_attribute.mat").unlink()
    for part in ("query", "bounding_box_test"):
        (market / part / "Thumbs.db").write_bytes(b"\xd0\xcf")
    picture(market / "bounding_box_test" / "0000_c4s6_022316_04.jpg.jpg", 9)  # as published
    intake = Intake(market, tmp_path / "district")
    import_market1501("market", intake)
    findings = [*map(str, intake.of_user(check_district(tmp_path / "district", is_published=True)))]
    assert not [finding for finding in findings if finding.startswith("fatal")]
    assert f"warning: {market}/market_attribute.mat: is missing, so the attribute set is left out" in findings[0]
    assert "2 hidden files or folders are passed over: query/Thumbs.db, bounding_box_test/Thumbs.db" in findings[1]
    assert not (tmp_path / "district" / "attributes").exists()
    assert len(read_reid_folder(tmp_path / "district", "bounding_box_test").images) == 4


@pytest.mark.slow
@pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.soak)])
def test_the_real_market1501_comes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_data: Path, share: int
) -> None:
    """Of each part each picture in `share` and all whose names are unusual, through links."""
    monkeypatch.chdir(tmp_path)
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / "in" / part).mkdir(parents=True)
        files = sorted((real_data / "market1501" / part).iterdir())
        for file in {*files[::share], *(file for file in files if file.name.count(".") > 1)}:
            (tmp_path / "in" / part / file.name).symlink_to(file)
    (tmp_path / "in/market_attribute.mat").symlink_to(real_data / "market1501/market_attribute.mat")
    district = {"name": "market", "importer": "market1501", "source": "in"}
    Path("params.yaml").write_text(yaml.safe_dump({"district": district}))
    prepare.main()
    assert "0 fatal defects" in Path("data/market/data_report.md").read_text()
    gallery = read_reid_folder(Path("data/market"), "bounding_box_test")
    assert sum(name.endswith(".jpg.jpg") for name in gallery.images) == 5
    assert {-1, 0} < set(gallery.identities.tolist())
    assert not any(path.is_symlink() for path in Path("data").rglob("*"))


def write_peta(folder: Path, columns: tuple[str, ...] = peta._COLUMNS) -> Path:
    """Four pictures: two to train on, one to validate on, one to test on; the last is a man in jeans."""
    marks = np.zeros((4, 4 + len(columns) + 3))
    for name in ("personalLess45", "personalMale", "lowerBodyJeans"):
        marks[3, 4 + peta._COLUMNS.index(name)] = 1
    parts = np.empty((2, 1), object)
    for place, orders in enumerate((([1], [2], [3, 4]), ([2, 3], [1], [4]))):
        split = {name: np.array(order)[:, None] for name, order in zip(("a", "b", "c"), orders, strict=True)}
        parts[1 - place, 0] = split
    content = {"table": marks, "names": cells([*columns, "x", "y", "z"]), "groups": 0, "partition": parts}
    folder.mkdir(parents=True)
    savemat(folder / "PETA.mat", {"peta": content})
    for number in range(1, 5):
        picture(folder / "images" / f"{number:05d}.png", number)
    return folder


def test_peta_becomes_an_attribute_set(tmp_path: Path) -> None:
    import_peta("peta", Intake(write_peta(tmp_path / "source"), tmp_path / "district"))
    assert list(labels_of(tmp_path / "district", "train", "peta")) == ["00002.png", "00003.png"]
    assert list(labels_of(tmp_path / "district", "val", "peta")) == ["00001.png"]
    (man,) = labels_of(tmp_path / "district", "test", "peta").values()
    assert man["age"] == "age_31_45"
    assert {name for name, label in man.items() if label == "present"} == {"male", "jeans"}
    assert labels_of(tmp_path / "district", "val", "peta")["00001.png"]["age"] == ""
    assert [finding for finding in check_district(tmp_path / "district") if finding.is_fatal] == []


def test_what_is_not_peta_is_refused(tmp_path: Path) -> None:
    source = write_peta(tmp_path / "source", columns=("carryingCat", *peta._COLUMNS[1:]))
    with pytest.raises(InputError, match=r"first difference: personalLess30 \(got carryingCat\)"):
        import_peta("peta", Intake(source, tmp_path / "a"))
    savemat(source / "PETA.mat", {"peta": np.zeros(3)})
    with pytest.raises(InputError, match="must hold `peta` with pictures, attribute names and partitions"):
        import_peta("peta", Intake(source, tmp_path / "b"))
