"""PA-100K in its own layout becomes an attribute set."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.io import savemat

from districts import prepare
from districts.importers.intake import Intake
from districts.importers.pa100k import _COLUMNS, import_pa100k
from districts.layout import read_attribute_split
from domain.errors import InputError
from domain.images import write_image
from domain.schemas import read_schema

WOMAN = {"Female", "Age18-60", "Back", "Backpack", "Trousers"}
CHILD = {"AgeLess18", "Front", "Side", "Shorts"}  # two views: whoever labelled it could not say


def cells(texts: list[str]) -> np.ndarray:
    array = np.empty((len(texts), 1), object)
    array[:, 0] = texts
    return array


def write_set(folder: Path, columns: tuple[str, ...] = _COLUMNS) -> Path:
    """Two pictures per split: a woman, and a child whose view is unknown."""
    rows = np.array([[name in marked for name in _COLUMNS] for marked in (WOMAN, CHILD)], np.uint8)
    content = {"attributes": cells(list(columns))}
    for first, split in enumerate(("train", "val", "test")):
        names = [f"{2 * first + number:06d}.jpg" for number in (1, 2)]
        content |= {f"{split}_images_name": cells(names), f"{split}_label": rows}
        for name in names:
            write_image(folder / "data" / name, np.full((20, 10, 3), 90, np.uint8))
    savemat(folder / "annotation.mat", content)
    return folder


def test_columns_become_groups_and_what_is_unclear_is_unknown(tmp_path: Path) -> None:
    import_pa100k("pa", Intake(write_set(tmp_path / "source"), tmp_path / "pa"))
    schema = read_schema("pa100k")
    table = read_attribute_split(tmp_path / "pa", "val", schema)
    woman, child = (
        {g.name: g.label_names[value] if value >= 0 else "" for g, value in zip(schema.groups, row, strict=True)}
        for row in table.labels
    )
    assert table.images == ["000003.jpg", "000004.jpg"]
    assert {name for name, label in woman.items() if label == "present"} == {"female", "backpack", "trousers"}
    assert (woman["age"], woman["view"], woman["hat"]) == ("age_18_60", "back", "absent")
    assert (child["age"], child["view"], child["female"], child["shorts"]) == ("under_18", "", "absent", "present")
    assert (tmp_path / "pa/attributes/images/000003.jpg").samefile(tmp_path / "source/data/000003.jpg")


def test_the_stage_imports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_set(tmp_path / "source")
    district = {"name": "pa", "importer": "pa100k", "source": str(source), "demo": None}
    Path("params.yaml").write_text(yaml.safe_dump({"district": district}))
    prepare.main()
    assert "0 fatal defects" in Path("data/pa/data_report.md").read_text()


def test_another_order_of_columns_is_refused(tmp_path: Path) -> None:
    source = write_set(tmp_path / "source", columns=("Hat", *_COLUMNS[1:]))
    with pytest.raises(InputError, match=r"first difference: \['Female \(got Hat\)'\]"):
        import_pa100k("pa", Intake(source, tmp_path / "pa"))


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    source = write_set(tmp_path / "source")
    (source / "data" / "000004.jpg").unlink()
    intake = Intake(source, tmp_path / "pa")
    import_pa100k("pa", intake)
    assert [str(finding) for finding in intake.findings] == [
        f"fatal: {source}/data/000004.jpg: must be a file; it is missing"
    ]


@pytest.mark.parametrize("content", [None, b"", b"no matrix"])
def test_what_is_no_annotation_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "annotation.mat").write_bytes(content)
    with pytest.raises(InputError, match="must be PA-100K's annotation file"):
        import_pa100k("pa", Intake(tmp_path, tmp_path / "pa"))


@pytest.mark.slow
def test_the_real_sample_has_its_split_sizes(tmp_path: Path, real_data: Path) -> None:
    import_pa100k("pa", Intake(real_data / "pa100k", tmp_path / "pa"))
    schema = read_schema("pa100k")
    sizes = {
        split: len(read_attribute_split(tmp_path / "pa", split, schema).images) for split in ("train", "val", "test")
    }  # type: ignore[arg-type]
    assert sizes == {"train": 1200, "val": 100, "test": 100}
