"""Zip archives are unpacked into their own folder, within bounds, and named where they are wrong."""

import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from districts.importing import archives
from districts.importing.archives import unpacked
from domain.errors import InputError


def pack(file: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file


def names_in(source: Path) -> dict[str, bytes]:
    with unpacked(source, source.parent / "beside") as folder:
        assert folder.name == source.stem
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_files_are_there_while_they_are_needed(tmp_path: Path) -> None:
    source = pack(tmp_path / "a.zip", {"a/1.txt": b"one", "a/사람.txt": b"two", "__MACOSX/a/._1.txt": b"", "b/": b""})
    assert names_in(source) == {"a/1.txt": b"one", "a/사람.txt": b"two"}
    assert [*(tmp_path / "beside").iterdir()] == []


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    with unpacked(tmp_path, tmp_path / "beside") as folder:
        assert folder == tmp_path
    assert not (tmp_path / "beside").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_names_without_a_mark_are_those_of_macos_or_korean_windows(encoding: str, tmp_path: Path) -> None:
    placeholder, written = b"x" * len("정문.txt".encode(encoding)), "정문.txt".encode(encoding)
    file = pack(tmp_path / "a.zip", {placeholder.decode(): b"one"})
    file.write_bytes(file.read_bytes().replace(placeholder, written))
    assert names_in(file) == {"정문.txt": b"one"}


@pytest.mark.parametrize("name", ["../a.txt", "a/../../b.txt", "/etc/passwd", "..\\a.txt", "C:\\a.txt"])
def test_no_name_leads_out(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.zip must hold files within itself, got"):
        names_in(pack(tmp_path / "a.zip", {"good.txt": b"", name: b"bad"}))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "beside"]


def test_a_link_is_a_file_that_leads_nowhere(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert names_in(tmp_path / "a.zip") == {"link": b"/etc/passwd"}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[40:60] = bytes(20)
    file.write_bytes(content)


def encrypt(file: Path) -> None:
    content = file.read_bytes()
    at = content.index(b"PK\x01\x02") + 8
    file.write_bytes(content[:at] + struct.pack("<H", 1) + content[at + 2 :])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "must be a whole zip archive: File is not a zip file"),
        (damage, "must be a whole zip archive: "),
        (encrypt, "must not be encrypted; unzip it first"),
        (lambda file: file.write_bytes(b""), "must be a whole zip archive"),
    ],
)
def test_a_damaged_archive_is_named(spoil: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    file = pack(tmp_path / "a.zip", {"1.txt": bytes(range(256)) * 9})
    spoil(file)
    with pytest.raises(InputError, match=message):
        names_in(file)
    assert [*(tmp_path / "beside").iterdir()] == []


@pytest.mark.slow
def test_an_archive_with_any_bytes_changed_is_taken_or_refused(tmp_path: Path) -> None:
    file, random = pack(tmp_path / "a.zip", {"a/1.jpg": bytes(range(50)), "b.txt": b"hello" * 50}), Random(0)
    whole, num_refused = file.read_bytes(), 0
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            content[random.randrange(len(content))] = random.randrange(256)
        file.write_bytes(content)
        try:
            names_in(file)
        except InputError:  # any other error is a bug
            num_refused += 1
    assert 100 < num_refused < 400


@pytest.mark.parametrize("name", ["가" * 100 + ".jpg", "a/" * 3000 + "1.jpg"], ids=["a name", "a path"])
def test_a_name_that_no_disk_takes_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.zip must hold files with names that fit this disk, got '[a가]"):
        names_in(pack(tmp_path / "a.zip", {name: b""}))


def test_an_archive_that_asks_for_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.txt", "one" * 100)
    content = file.read_bytes()
    at = content.index(b"\x5d\x00\x00") + 1  # the size of the dictionary, behind LZMA's usual properties
    file.write_bytes(content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), hard))
    try:
        with pytest.raises(InputError, match="must be a whole zip archive: MemoryError"):
            names_in(file)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("1.txt", "two")
    with pytest.raises(InputError, match=r"must hold each file once, got '1\.txt' twice"):
        names_in(tmp_path / "a.zip")
    with pytest.raises(InputError, match="must hold no file where it also has a folder"):
        names_in(pack(tmp_path / "b.zip", {"a": b"", "a/1.txt": b""}))


def test_an_archive_that_grows_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = pack(tmp_path / "a.zip", {"zeros": bytes(4_000_000)})
    assert len(names_in(file)["zeros"]) == 4_000_000
    monkeypatch.setattr(archives, "_ANY_BYTES", 1_000_000)
    with pytest.raises(InputError, match="must grow to at most 100 times its size, got 4000000 bytes of"):
        names_in(file)
    monkeypatch.setattr(archives, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(InputError, match="must fit on the disk and leave 1 GB free"):
        names_in(pack(tmp_path / "b.zip", {"one": b"1"}))
    monkeypatch.setattr(archives, "_MOST_FILES", 0)
    with pytest.raises(InputError, match="must hold at most 0 files, got 1"):
        names_in(tmp_path / "b.zip")
