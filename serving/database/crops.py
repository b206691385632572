"""Crops of tracklets and the full frames beside them, encrypted: this module alone writes, lists and deletes them.

They lie below an address, a folder or an object storage that fsspec reaches, encrypted by AES-256-GCM with the crop's
path as associated data: a crop that was changed, cut short or put in another's place does not decrypt. A file is the
number of its key (1 byte), 12 bytes of nonce, and the ciphertext of a JPEG with its tag.

The keys lie outside database and crops, in the file that `DONGSEON_CROP_KEY` names, else `<folder of the store>.key`.
Each line is a key, 32 bytes in base64, the newest last: it encrypts new crops, and old crops still decrypt with theirs.
A line `-` stands for a key that was destroyed. `python -m serving.keys` adds keys, and re-encrypts old crops.
`DONGSEON_CROPS` names another address than the store's folder, such as `s3://bucket/crops`, which needs fsspec's
package for it.
"""

import os
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import fsspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fsspec.implementations.local import LocalFileSystem

from domain.atomic import atomic_file
from domain.errors import ArtifactError, InputError, shown
from domain.images import encode_jpeg
from domain.names import is_inner_path
from domain.tracklets import Tracklet

_NONCE_BYTES = 12
_KEY_BYTES = 32
_TOP = "crops"
_CROP_ENDING, _FRAME_ENDING = ".jpg", ".frame.jpg"
_ENCRYPTED = (_TOP, "ring", "photos", "sheets")  # folders of all that the keys encrypt
_DESTROYED = b"-"  # in place of a key, so that the following keys keep their numbers
_ASIDE = ".new"  # ending of a crop that is being re-encrypted
_SEGMENT = re.compile(r"[0-9]{1,18}")
_CROP = re.compile(
    rf"crops/.+/{_SEGMENT.pattern}/[0-9]+(\.frame|\.[0-9]+)?\.jpg"
)  # of `crop_paths` and `frame_path`; other files are left alone
_MORE = re.compile(r"\.[0-9]+\.jpg$")  # ending of a crop that is not the best


def crop_path(district: str, segment_id: int, tracklet_id: int) -> str:
    """Path of a tracklet's crop, below the address."""
    return f"{_folder_of(district)}/{segment_id}/{tracklet_id:06d}{_CROP_ENDING}"


def crop_paths(crop: str, number: int) -> list[str]:
    """Paths of the `number` crops of the tracklet whose best crop lies at `crop`, the best first.

    Example:
        >>> crop_paths("crops/demo/3/000007.jpg", 2)
        ['crops/demo/3/000007.jpg', 'crops/demo/3/000007.2.jpg']
    """
    return [crop, *(f"{crop.removesuffix(_CROP_ENDING)}.{place}{_CROP_ENDING}" for place in range(2, number + 1))]


def frame_path(crop: str) -> str:
    """Path of the full frame that belongs to the crop at `crop`."""
    return f"{crop.removesuffix(_CROP_ENDING)}{_FRAME_ENDING}"


def crop_of(path: str) -> str:
    """Path of the best crop of the tracklet to which `path`, of a crop or of a full frame, belongs.

    Example:
        >>> crop_of(frame_path("crops/demo/3/000007.jpg")), crop_of("crops/demo/3/000007.2.jpg")
        ('crops/demo/3/000007.jpg', 'crops/demo/3/000007.jpg')
    """
    if path.endswith(_FRAME_ENDING):
        return f"{path.removesuffix(_FRAME_ENDING)}{_CROP_ENDING}"
    return _MORE.sub(_CROP_ENDING, path)


def segment_of(path: str) -> int:
    """Segment of the tracklet whose crop lies at `path`."""
    return int(path.rsplit("/", 2)[1])


def open_crops(folder: Path) -> "Crops":
    """Opens the crops of the store in `folder`, and makes a key file where there are neither key file nor crops.

    Raises:
        InputError: if the key file holds something else than keys, or fsspec does not know the kind of address.
        ArtifactError: if there are crops but no key file, for a new key would decrypt none of them.
    """
    key_file = key_file_of(folder)
    address = os.environ.get("DONGSEON_CROPS") or str(folder.resolve())
    try:
        files, root = fsspec.core.url_to_fs(address)
    except (ValueError, ImportError) as error:
        raise InputError(f"DONGSEON_CROPS must be a folder or an address that fsspec knows: {error}") from error
    crops = Crops(files, root, tuple)
    if not key_file.exists():
        if not crops.is_empty():
            raise ArtifactError(
                f"{key_file} must hold the key of the crops in {address}, it is missing; restore it, or set "
                "DONGSEON_CROP_KEY to where it is"
            )
        _make_key(key_file)
    return Crops(files, root, lambda: _read_keys(key_file))


def key_file_of(folder: Path) -> Path:
    """The file with the keys of the crops of the store in `folder`."""
    return Path(os.environ.get("DONGSEON_CROP_KEY") or f"{folder.resolve()}.key")


def read_backup(address: str, key_file: Path) -> "Crops":
    """The crops of a backup: a folder or an address that contains `crops`, or a tar of it; nothing is written there.

    Raises:
        InputError: if the key file or the address is not one, or is missing.
    """
    try:
        is_tar = address.endswith((".tar", ".tar.gz", ".tgz"))
        files, root = fsspec.core.url_to_fs(f"tar://::{address}" if is_tar else address)
        return Crops(files, root, lambda: _read_keys(key_file))
    except (ValueError, ImportError, OSError) as error:
        raise InputError(f"the crops {address} and their keys {key_file} must be readable: {error}") from error


def add_key(file: Path) -> int:
    """Add a new key to `file`, which encrypts from now on; returns its number.

    Raises:
        InputError: if the file does not hold keys.
    """
    keys = _read_keys(file)
    _replace_keys(file, [*keys, AESGCM.generate_key(bit_length=8 * _KEY_BYTES)])
    return len(keys)


def destroy_old_keys(file: Path) -> int:
    """Remove all keys but the newest from `file`; returns how many there were. Crops of theirs cannot be read any more.

    Raises:
        InputError: if the file does not hold keys.
    """
    *old, newest = _read_keys(file)
    _replace_keys(file, [*(None for _ in old), newest])
    return sum(key is not None for key in old)


class Crops:
    """Encrypted crops, named by `crop_path`; `open_crops` makes it. Safe to share between threads.

    Args:
        files: storage of the crops.
        root: address of the crops in `files`.
        read_keys: returns the keys, of which the last encrypts; called again when a crop has a number without a key,
            and before crops are written. None is a key that was destroyed.
    """

    def __init__(
        self, files: fsspec.AbstractFileSystem, root: str, read_keys: Callable[[], Collection[bytes | None]]
    ) -> None:
        self._files, self._root, self._read_keys = files, root.rstrip("/"), read_keys
        self._load_keys()

    def write(self, district: str, segment_id: int, tracklets: Iterable[Tracklet]) -> None:
        """Writes the crops and the full frame of each tracklet of a segment. Idempotent.

        Raises:
            OSError: if a crop cannot be written, such as on a full disk.
        """
        jpegs: dict[str, bytes] = {}
        for one in tracklets:
            path = crop_path(district, segment_id, one.id)
            encoded = [encode_jpeg(one.crops[0]), *one.more_crops]
            jpegs |= dict(zip(crop_paths(path, len(encoded)), encoded, strict=True))
            if one.full_frame is not None:
                jpegs[frame_path(path)] = one.full_frame.jpeg
        self.write_files(jpegs)

    def write_files(self, files: Mapping[str, bytes]) -> None:
        """Writes files, by path. Idempotent.

        Raises:
            OSError: if one cannot be written, such as on a full disk.
        """
        if files:
            with suppress(OSError, InputError):  # the file is being changed: the keys are those from before
                self._load_keys()
        for folder in {self._address(path).rpartition("/")[0] for path in files}:
            self._files.makedirs(folder, exist_ok=True)
        if files:  # object storages take many at a time
            self._files.pipe({self._address(path): self._encrypted(path, content) for path, content in files.items()})

    def read(self, path: str) -> bytes:
        """The crop or full frame at `path`, as JPEG.

        Raises:
            FileNotFoundError: if there is none.
            ArtifactError: if `path` leads out of the crops' folder, the crop was changed or is of another path, or its
                key is missing.
        """
        return self._decrypted(path, self._files.cat_file(self._address(path)))

    def of_district(self, district: str) -> set[str]:
        """Paths of all crops and full frames of `district`, also of those that no row names."""
        folder = _folder_of(district)
        return {path for path in self._below(folder) if path.count("/") == folder.count("/") + 2}

    def of_segment(self, district: str, segment_id: int) -> list[str]:
        """Paths of all crops and full frames of a segment."""
        return self._below(f"{_folder_of(district)}/{segment_id}")

    def strange(self, districts: Collection[str]) -> list[str]:
        """Paths of what lies among the crops though no segment of `districts` put it there; nothing removes it."""
        found = self._inside(_TOP)
        known = {f"{_TOP}/{district.split('/')[0]}" for district in districts}
        strange = [path for path in found if path not in known]
        for district in districts:
            if is_inner_path(district):
                inside = self._inside(_folder_of(district))
                strange += [path for path in inside if not _SEGMENT.fullmatch(path.rpartition("/")[2])]
        return sorted(strange)

    def sizes(self, folder: str) -> dict[str, int]:
        """Path -> bytes of every file below `folder`, whatever it is; none if there is no such folder."""
        address = self._address(folder)
        self._files.invalidate_cache()  # other processes write too
        found = self._files.find(address, detail=True) if self._files.isdir(address) else {}
        return {file.removeprefix(f"{self._root}/"): int(about["size"] or 0) for file, about in found.items()}

    def is_empty(self) -> bool:
        """Whether there is no crop of any district."""
        return not self._below(_TOP)

    def delete(self, paths: Iterable[str]) -> list[OSError]:
        """Deletes crops and the folders that they leave empty; returns the error of each that could not be deleted."""
        failures = []
        for path in paths:
            try:
                address = self._address(path)
                self._files.rm_file(address)
            except ArtifactError as error:
                failures.append(OSError(str(error)))
                continue
            except OSError as error:
                failures.append(error)
            with suppress(OSError):  # the folder is not empty, or this kind of storage has no folders
                self._files.rmdir(address.rpartition("/")[0])
        return failures

    def encrypt_anew(self, path: str) -> bool:
        """Encrypt the crop at `path` with the newest key; False if it is, or the crop was removed meanwhile.

        A process that is killed meanwhile leaves the crop as it was, or as it shall be.

        Raises:
            ArtifactError: as `read` does.
            OSError: if it cannot be written.
        """
        address = self._address(path)
        try:
            if self._files.cat_file(address, start=0, end=1) == bytes([len(self._ciphers) - 1]):
                return False
            content = self._encrypted(path, self._decrypted(path, self._files.cat_file(address)))
        except FileNotFoundError:
            return False
        if isinstance(self._files, LocalFileSystem):
            self._files.pipe_file(f"{address}{_ASIDE}", content)
            Path(f"{address}{_ASIDE}").replace(address)
        else:  # an object storage has the old or the new object
            self._files.pipe_file(address, content)
        return True

    def all(self) -> list[str]:
        """Paths of all that is encrypted, in order; removes what an `encrypt_anew` that was killed left beside."""
        self._files.invalidate_cache()  # other processes write too
        found = []
        for address in (self._address(top) for top in _ENCRYPTED):
            for file in self._files.find(address) if self._files.isdir(address) else []:
                if file.endswith(_ASIDE):
                    self._files.rm_file(file)
                else:
                    found.append(file.removeprefix(f"{self._root}/"))
        return sorted(found)

    def by_key(self, paths: Iterable[str]) -> Counter[int]:
        """How many of the crops each key encrypts, by its number."""
        numbers = Counter[int]()
        for path in paths:
            with suppress(FileNotFoundError):
                numbers[self._files.cat_file(self._address(path), start=0, end=1)[0]] += 1
        return numbers

    @property
    def newest_key(self) -> int:
        """Number of the key that encrypts, from 0."""
        return len(self._ciphers) - 1

    def _load_keys(self) -> None:
        self._ciphers = [None if key is None else AESGCM(key) for key in self._read_keys()]

    def _decrypted(self, path: str, content: bytes) -> bytes:
        number, nonce, ciphertext = content[:1], content[1 : 1 + _NONCE_BYTES], content[1 + _NONCE_BYTES :]
        try:
            if number[0] >= len(self._ciphers):  # another process may write with a newer key than this one has read
                self._load_keys()
            if (cipher := self._ciphers[number[0]]) is None:
                raise ArtifactError(f"the crop {path} does not decrypt: its key was destroyed")
            return cipher.decrypt(nonce, ciphertext, path.encode())
        except (IndexError, ValueError, OSError, InvalidTag) as error:  # InputError, of the key file, is a ValueError
            raise ArtifactError(
                f"the crop {path} must be as it was written and its key in the key file; it does not decrypt"
            ) from error

    def _encrypted(self, path: str, content: bytes) -> bytes:
        number, nonce, cipher = len(self._ciphers) - 1, os.urandom(_NONCE_BYTES), self._ciphers[-1]
        assert cipher is not None, "the newest key is never destroyed"
        return bytes([number]) + nonce + cipher.encrypt(nonce, content, path.encode())

    def _below(self, folder: str) -> list[str]:
        address = self._address(folder)
        self._files.invalidate_cache()  # other processes write too
        found = self._files.find(address) if self._files.isdir(address) else []
        paths = [file.removeprefix(f"{self._root}/") for file in found]
        return [path for path in paths if _CROP.fullmatch(path)]

    def _inside(self, folder: str) -> list[str]:
        """Paths of files and folders that lie directly in `folder`; the folder itself if it cannot be read."""
        try:
            found = self._files.ls(self._address(folder), detail=False)
        except FileNotFoundError:
            return []
        except OSError:
            return [folder]
        return [str(each).rstrip("/").removeprefix(f"{self._root}/") for each in found]

    def _address(self, path: str) -> str:
        """Address of `path`; raises `ArtifactError` if it leads out of the crops' folder."""
        if not is_inner_path(path):
            raise ArtifactError(f"the path of a crop must lead into the folder of the crops, got {shown(path)}")
        return f"{self._root}/{path}"


def _folder_of(district: str) -> str:
    return f"{_TOP}/{district}"


def _make_key(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    key = b64encode(AESGCM.generate_key(bit_length=8 * _KEY_BYTES)) + b"\n"
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(key)
    try:
        os.link(aside, file)  # if two processes make a key at the same moment, both read the key of the first
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def _replace_keys(file: Path, keys: Sequence[bytes | None]) -> None:
    with atomic_file(file) as aside:
        aside.touch(file.stat().st_mode & 0o777)
        aside.write_bytes(b"".join((_DESTROYED if key is None else b64encode(key)) + b"\n" for key in keys))


def _read_keys(file: Path) -> list[bytes | None]:
    try:
        lines = file.read_bytes().split()
        keys = [None if line == _DESTROYED else b64decode(line, validate=True) for line in lines]
    except NotBase64:
        keys = []
    if not keys or keys[-1] is None or any(key is not None and len(key) != _KEY_BYTES for key in keys):
        raise InputError(f"{file} must hold a key a line, {_KEY_BYTES} bytes in base64; it holds something else")
    return keys
