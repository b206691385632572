"""Zip archives of data, unpacked for an import: nothing outside of their folder, and no more than fits on the disk."""

import errno
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from domain.errors import InputError, shown
from domain.names import is_hidden

_MOST_FILES = 1_000_000
_SPARE_BYTES = 1 << 30  # that stay free on the disk
_MOST_TIMES, _ANY_BYTES = 100, 1 << 30  # growth of what exceeds a gigabyte; annotations shrink to a tenth
# What Python's readers raise of a damaged archive; one of LZMA can ask for 4 GB of memory.
_BROKEN = (zipfile.BadZipFile, zlib.error, LZMAError, UnicodeDecodeError, NotImplementedError, EOFError, MemoryError)
_IN_UTF8 = 0x800  # flag of an entry whose name is in UTF-8
_ENCRYPTED = 0x1


@contextmanager
def unpacked(source: Path, beside: Path) -> Iterator[Path]:
    """`source`, if it is a folder; of a zip archive a folder of its name, which is deleted after the block.

    Args:
        source: folder or zip archive.
        beside: folder in which the archive is unpacked, on the disk on which the data will lie.

    Raises:
        InputError: if the archive is damaged, encrypted or too large, or a name in it leads out or is there twice; and
            what the block raises, with the archive's name in place of the folder's.
    """
    if source.suffix.lower() != ".zip" or not source.is_file():
        yield source
        return
    beside.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", suffix=".partial", dir=beside) as aside:
        folder = Path(aside) / source.stem
        try:
            _unpack(source, folder)
        except _BROKEN as error:
            raise InputError(f"{source} must be a whole zip archive: {str(error) or type(error).__name__}") from error
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(f"{source} must hold no file where it also has a folder: {error.filename}") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                named = shown(str(error.filename).removeprefix(f"{folder}/"))
                raise InputError(f"{source} must hold files with names that fit this disk, got {named}") from error
            if error.errno == errno.EINVAL:  # a place before the beginning of the archive
                raise InputError(f"{source} must be a whole zip archive: {error}") from error
            raise
        try:
            yield folder
        except InputError as error:
            raise InputError(str(error).replace(str(folder), str(source))) from error


def _unpack(source: Path, folder: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _require_bounded(source, entries, shutil.disk_usage(folder.parent).free)
        taken = set[PurePosixPath]()
        folder.mkdir()
        for entry in entries:
            name = _name_of(source, entry)
            if any(is_hidden(part) for part in name.parts):
                continue
            if name in taken:
                raise InputError(f"{source} must hold each file once, got {shown(str(name))} twice")
            taken.add(name)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as content, target.open("xb") as file:
                shutil.copyfileobj(content, file)


def _require_bounded(source: Path, entries: list[zipfile.ZipInfo], free: int) -> None:
    """Raise `InputError` if `entries` are too many or too large; no more bytes than they state are read."""
    if len(entries) > _MOST_FILES:
        raise InputError(f"{source} must hold at most {_MOST_FILES} files, got {len(entries)}")
    total, packed = sum(entry.file_size for entry in entries), source.stat().st_size
    if total > max(_ANY_BYTES, _MOST_TIMES * packed):
        raise InputError(f"{source} must grow to at most {_MOST_TIMES} times its size, got {total} bytes of {packed}")
    if total > free - _SPARE_BYTES:
        raise InputError(
            f"{source} unpacked must fit on the disk and leave 1 GB free, got {total} bytes of {free} free"
        )
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise InputError(f"{source} must not be encrypted; unzip it first")


def _name_of(source: Path, entry: zipfile.ZipInfo) -> PurePosixPath:
    """Path of an entry within the archive; names without a mark are UTF-8, as macOS writes them, or Korean Windows'."""
    text = entry.filename
    if not entry.flag_bits & _IN_UTF8:
        raw = text.encode("cp437")
        for encoding in ("utf-8", "cp949"):
            try:
                text = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    name = PurePosixPath(text.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or not name.parts or ":" in name.parts[0] or "\0" in text:
        raise InputError(f"{source} must hold files within itself, got {shown(text)}")
    return name
