"""Re-ID sets read by torchreid and by our importers: the same pictures, people and cameras."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from torchreid.reid.data.datasets import init_image_dataset

from districts.layout import JUNK_IDENTITY, REID_PARTS, find_pictures, identity_and_camera
from domain.files import sha256_of
from tests.helpers.imports_of_data import draw, run_import

TRAIN, VAL, QUERY, GALLERY = REID_PARTS
Crops = dict[str, tuple[int, int]]  # checksum of the picture -> identity and camera
NAMED = (
    *(f"bounding_box_train/{{:04d}}_c{camera}{{}}" for camera in (1, 2, 4)),
    *(f"query/{{:04d}}_c{camera}{{}}" for camera in (1, 4)),
    *(f"bounding_box_test/{{:04d}}_c{camera}{{}}" for camera in (1, 2, 4)),
)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def crops_of(crops: Iterable[tuple[Path, int, int]]) -> Crops:
    return {sha256_of(file): (identity, camera) for file, identity, camera in crops if identity != JUNK_IDENTITY}


def ours(district: Path) -> tuple[Crops, Crops]:
    """Crops to train on and crops to test on, of the written district."""
    folders = ((TRAIN, VAL), (QUERY, GALLERY))
    parts = ([district / "reid" / part for part in each] for each in folders)
    files = ([file for part in each if part.is_dir() for file in find_pictures(part)] for each in parts)
    train, test = (crops_of((file, *identity_and_camera(file)) for file in each) for each in files)
    return train, test


def theirs(name: str, root: Path) -> tuple[Crops, Crops]:
    """Crops to train on and crops to test on, by torchreid, whose cameras count from 0."""
    data = init_image_dataset(name, root=str(root), verbose=False)
    train = [*data.train]
    if name == "msmt17":  # torchreid leaves its second list of the same people out
        train += data.process_dir(data.train_dir, data.list_val_path)
    parts = (train, [*data.query, *data.gallery])
    of_train, of_test = (crops_of((Path(file), pid, camera + 1) for file, pid, camera, *_ in part) for part in parts)
    return of_train, of_test


def are_the_same(one: Crops, other: Crops) -> bool:
    """Whether pictures, cameras and people are the same; the numbers of the people may be others."""
    if {file: camera for file, (_, camera) in one.items()} != {file: camera for file, (_, camera) in other.items()}:
        return False
    people = {(one[file][0], other[file][0]) for file in one}
    return len(people) == len({mine for mine, _ in people}) == len({yours for _, yours in people})


def draw_named(folder: Path, ending: str) -> None:
    """Two people to train on and two to test with, and a distractor in the gallery."""
    for form in NAMED:
        for person in (1, 2) if "train" in form else (7, 9):
            draw(folder / form.format(person, ending))
    draw(folder / f"bounding_box_test/0000_c2{ending}")


def write_market1501(root: Path) -> Path:
    source = root / "market1501/Market-1501-v15.09.15"
    draw_named(source, "s1_000151_00.jpg")
    draw(source / "bounding_box_test/-1_c1s1_000151_00.jpg")
    return source


def write_msmt17(root: Path) -> Path:
    source = root / "msmt17/MSMT17_V1"
    lists: dict[str, list[str]] = {}
    for number, name in enumerate(("train", "train", "val", "query", "gallery", "gallery")):
        for person in (0, 1):
            path = f"{person:04d}/{person:04d}_{number:03d}_{number + 1:02d}_0303morning_0015_{number}.jpg"
            draw(source / ("train" if name in ("train", "val") else "test") / path)
            lists.setdefault(name, []).append(f"{path} {person}\n")
    for name, lines in lists.items():
        (source / f"list_{name}.txt").write_text("".join(lines))
    return source


@pytest.mark.parametrize(
    ("theirs_name", "write", "kind"),
    [
        ("market1501", write_market1501, "named-crops"),
        ("msmt17", write_msmt17, "msmt17"),
    ],
)
def test_torchreid_reads_the_same_from_a_published_set(
    theirs_name: str, write: Callable[[Path], Path], kind: str, tmp_path: Path
) -> None:
    train, test = ours(run_import(kind, write(tmp_path / "in")))
    expected_train, expected_test = theirs(theirs_name, tmp_path / "in")
    assert len(train) == 6
    assert are_the_same(train, expected_train)
    assert are_the_same(test, expected_test)


@pytest.mark.parametrize("kind", ["identity-folders", "crop-table"])
def test_torchreid_reads_what_an_import_wrote(kind: str, tmp_path: Path) -> None:
    rows = ["image,identity,camera"]
    expected: Crops = {}
    for person in range(10):
        for camera in (1, 3):
            file = draw(tmp_path / f"in/person {person}/c{camera}_0.jpg")
            rows.append(f"person {person}/{file.name},{person},c{camera}")
            expected[sha256_of(file)] = (person, camera)
    if kind == "crop-table":
        (tmp_path / "in/crops.csv").write_text("\n".join(rows))
    district = run_import(kind, tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/market1501").symlink_to((district / "reid").resolve())
    validation = crops_of((file, *identity_and_camera(file)) for file in find_pictures(district / "reid" / VAL))
    train, test = theirs("market1501", tmp_path / "out")
    assert train.keys().isdisjoint(test)
    assert are_the_same({**test, **validation}, {file: expected[file] for file in (*test, *validation)})
    assert are_the_same(train, {file: expected[file] for file in train})
    assert len(train) + len(test) + len(validation) == 20


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"a": (1, 1), "b": (1, 1), "c": (2, 1)}, id="another camera"),
        pytest.param({"a": (1, 1), "b": (2, 2), "c": (2, 1)}, id="another person"),
        pytest.param({"a": (1, 1), "b": (1, 2), "c": (1, 1)}, id="two people as one"),
        pytest.param({"a": (1, 1), "b": (1, 2)}, id="a picture less"),
    ],
)
def test_the_comparison_notices(wrong: Crops) -> None:
    right = {"a": (1, 1), "b": (1, 2), "c": (2, 1)}
    assert are_the_same(right, {file: (8 - identity, camera) for file, (identity, camera) in right.items()})
    assert not are_the_same(right, wrong)
