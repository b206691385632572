import shutil
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pytest

from domain.errors import ArtifactError, InputError
from serving.database.crops import Crops, crop_path, open_crops, segment_of
from tests.helpers.sightings import tracklet

CROP = np.random.default_rng(0).integers(0, 256, (48, 24, 3), np.uint8)
PATH, OTHER = crop_path("demo", 1, 7), crop_path("demo", 1, 8)


def write(crops: Crops, number: int = 7) -> None:
    crops.write("demo", 1, [replace(tracklet(number, np.ones(4, np.float32)), crops=[CROP])])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_what_is_written_is_read_and_lies_there_unreadable(folder: Path) -> None:
    crops = open_crops(folder)
    write(crops)
    jpeg = crops.read(PATH)
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == CROP.shape
    stored = (folder / PATH).read_bytes()
    assert b"JFIF" in jpeg
    assert b"JFIF" not in stored
    assert cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR) is None
    write(crops, 8)
    assert (folder / OTHER).read_bytes()[13:] != stored[13:]  # no nonce twice


def test_the_key_lies_beside_the_store_for_its_owner_only(folder: Path) -> None:
    open_crops(folder)
    key = folder.parent / "store.key"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    open_crops(folder)
    assert key.read_bytes() == before


def test_another_place_for_key_and_crops(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DONGSEON_CROP_KEY", str(tmp_path / "keys" / "crops"))
    monkeypatch.setenv("DONGSEON_CROPS", "memory://bucket")
    write(open_crops(folder))
    assert (tmp_path / "keys" / "crops").is_file()
    assert not folder.exists()
    assert open_crops(folder).of_district("demo") == {PATH}
    assert open_crops(folder).read(PATH)
    assert open_crops(folder).delete([PATH]) == []
    assert open_crops(folder).is_empty()


@pytest.mark.parametrize("place", [0, 1, 20, -1])
def test_a_changed_crop_does_not_decrypt(folder: Path, place: int) -> None:
    crops = open_crops(folder)
    write(crops)
    content = bytearray((folder / PATH).read_bytes())
    content[place] ^= 1
    (folder / PATH).write_bytes(content)
    with pytest.raises(ArtifactError, match="does not decrypt"):
        crops.read(PATH)


@pytest.mark.parametrize("kept", [0, 1, 13, 20])
def test_a_crop_cut_short_does_not_decrypt(folder: Path, kept: int) -> None:
    crops = open_crops(folder)
    write(crops)
    (folder / PATH).write_bytes((folder / PATH).read_bytes()[:kept])
    with pytest.raises(ArtifactError, match="does not decrypt"):
        crops.read(PATH)


def test_a_crop_in_the_place_of_another_does_not_decrypt(folder: Path) -> None:
    crops = open_crops(folder)
    write(crops)
    shutil.copy(folder / PATH, folder / OTHER)
    with pytest.raises(ArtifactError):
        crops.read(OTHER)


def test_a_new_key_closes_and_the_old_still_opens(folder: Path) -> None:
    write(open_crops(folder))
    key = folder.parent / "store.key"
    old = key.read_bytes()
    key.write_bytes(old + b64encode(bytes(range(32))) + b"\n")
    both = open_crops(folder)
    write(both, 8)
    assert both.read(PATH)
    assert both.read(OTHER)
    key.write_bytes(old)
    with pytest.raises(ArtifactError):
        open_crops(folder).read(OTHER)


def test_a_service_that_runs_since_before_a_new_key_opens_what_it_closed(folder: Path) -> None:
    service = open_crops(folder)
    key = folder.parent / "store.key"
    key.write_bytes(key.read_bytes() + b64encode(bytes(range(32))) + b"\n")
    write(open_crops(folder))
    assert service.read(PATH)
    key.write_bytes(b"")
    write(service, 8)  # with the newest that it knows
    assert service.read(OTHER)
    (folder / PATH).write_bytes(b"\x02" + (folder / PATH).read_bytes()[1:])
    with pytest.raises(ArtifactError, match="does not decrypt"):  # a key that nobody has
        service.read(PATH)


def test_crops_without_their_key_are_not_given_a_new_one(folder: Path) -> None:
    write(open_crops(folder))
    (folder.parent / "store.key").unlink()
    with pytest.raises(ArtifactError, match="must hold the key of the crops"):
        open_crops(folder)
    assert not (folder.parent / "store.key").exists()


@pytest.mark.parametrize("content", [b"", b"secret", b64encode(bytes(16)), b64encode(bytes(32)) + b"\nshort\n"])
def test_a_file_without_keys_is_refused(folder: Path, content: bytes) -> None:
    (folder.parent / "store.key").write_bytes(content)
    with pytest.raises(InputError, match="a key a line"):
        open_crops(folder)


def test_an_unknown_kind_of_address_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DONGSEON_CROPS", "nowhere://bucket")
    with pytest.raises(InputError, match="DONGSEON_CROPS"):
        open_crops(folder)


def test_a_missing_crop_and_a_full_disk(folder: Path) -> None:
    crops = open_crops(folder)
    with pytest.raises(FileNotFoundError):
        crops.read(PATH)
    [failure] = crops.delete([PATH])
    assert isinstance(failure, FileNotFoundError)
    assert crops.of_district("demo") == set()
    full = Crops(fsspec.filesystem("file"), "/dev/full", lambda: [bytes(32)])
    with pytest.raises(OSError, match="/dev/full"):
        write(full)


def test_crops_know_their_segment_and_go_with_their_folders(folder: Path) -> None:
    crops = open_crops(folder)
    for segment in (1, 12, 2):
        crops.write("demo", segment, [tracklet(7, np.ones(4, np.float32))])
    assert {segment_of(path) for path in crops.of_district("demo")} == {1, 2, 12}
    assert crops.of_segment("demo", 1) == [PATH]
    assert crops.delete(crops.of_segment("demo", 12) + crops.of_segment("demo", 2)) == []
    assert [entry.name for entry in (folder / "crops" / "demo").iterdir()] == ["1"]


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("head", [b"", b"\x00", b"\x00" * 13], ids=["plain", "with a key's number", "with a nonce"])
def test_a_plain_picture_in_place_of_a_crop_is_refused(folder: Path, ending: str, head: bytes) -> None:
    crops = open_crops(folder)
    write(crops)
    _, picture = cv2.imencode(ending, CROP)
    (folder / PATH).write_bytes(head + picture.tobytes())
    with pytest.raises(ArtifactError, match=r"000007\.jpg must be as it was written.*does not decrypt"):
        crops.read(PATH)


@pytest.mark.parametrize(
    "other", [crop_path("demo", 2, 7), crop_path("other", 1, 7), crop_path("demo", 1, 70), "crops/demo/1/7.jpg"]
)
def test_a_crop_that_was_moved_or_renamed_does_not_decrypt(folder: Path, other: str) -> None:
    """To another segment, district or number, or to another name of its own number."""
    crops = open_crops(folder)
    write(crops)
    (folder / other).parent.mkdir(parents=True, exist_ok=True)
    (folder / PATH).rename(folder / other)
    with pytest.raises(ArtifactError, match="does not decrypt"):
        crops.read(other)


def test_a_crop_of_another_store_does_not_decrypt(folder: Path, tmp_path: Path) -> None:
    write(open_crops(tmp_path / "other"))
    crops = open_crops(folder)
    write(crops)
    shutil.copy(tmp_path / "other" / PATH, folder / PATH)
    with pytest.raises(ArtifactError, match="does not decrypt"):
        crops.read(PATH)


def test_what_no_district_put_among_the_crops_is_named(folder: Path) -> None:
    crops = open_crops(folder)
    write(crops)
    for name in ("crops/demo/000007.jpg", "crops/demo/x/1.jpg", "crops/old/1/000001.jpg", "crops/a/b/1/000001.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    assert crops.strange(["demo", "a/b", "..", "nowhere"]) == ["crops/demo/000007.jpg", "crops/demo/x", "crops/old"]
    assert crops.of_district("demo") == {PATH}


def test_files_that_are_no_crops_are_left_alone(folder: Path) -> None:
    crops = open_crops(folder)
    write(crops)
    for name in ("crops/demo/000007.jpg", "crops/demo/1/.DS_Store", "crops/notes.txt"):
        (folder / name).write_bytes(b"")
    assert crops.of_district("demo") == {PATH}
    crops.delete([PATH])
    assert crops.is_empty()


@pytest.mark.parametrize("district", ["../../outside", "..", "/etc", "a\\b", "a//b"])
def test_no_crop_lies_outside_of_the_store(folder: Path, district: str) -> None:
    crops = open_crops(folder)
    write(crops)
    beside = set(folder.parent.rglob("*"))
    with pytest.raises(ArtifactError, match="the path of a crop must lead into the folder of the crops"):
        crops.write(district, 1, [replace(tracklet(7, np.ones(4, np.float32)), crops=[CROP])])
    with pytest.raises(ArtifactError, match="the path of a crop must lead into the folder of the crops"):
        crops.of_district(district)
    assert set(folder.parent.rglob("*")) == beside


def test_a_path_that_leads_out_of_the_store_is_neither_read_nor_deleted(folder: Path) -> None:
    crops = open_crops(folder)
    write(crops)
    outside = folder.parent / "000001.jpg"
    outside.write_bytes(b"of somebody else")
    path = f"crops/../../{outside.name}"
    with pytest.raises(ArtifactError, match="must lead into the folder of the crops"):
        crops.read(path)
    [failure] = crops.delete([path, PATH])
    assert "must lead into the folder of the crops" in str(failure)
    assert outside.exists()
    assert crops.of_district("demo") == set(), "one bad path keeps no other crop"


def test_the_crops_of_a_district_are_not_those_of_an_older_one_below_it(folder: Path) -> None:
    crops = open_crops(folder)
    write(crops)
    crops.write("demo/old", 2, [tracklet(7, np.ones(4, np.float32))])  # older versions took such a name
    assert crops.of_district("demo") == {PATH}
    [old] = crops.of_district("demo/old")
    assert crops.delete([old]) == []
