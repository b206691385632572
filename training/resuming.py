"""To which training a folder of checkpoints belongs: it goes on, or the folder is moved aside, never deleted."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

from domain.atomic import atomic_file
from domain.errors import InputError

_NOTE = "settings.json"
_DATA = "data"
_WORK = ("*.ckpt", "*.pt")
# What may differ when a training goes on: where it computes does not change what it learns.
_FREE = {
    "max_epochs",
    "minutes",
    "validation_batch",
    "hardware.accelerator",
    "hardware.devices",
    "hardware.num_workers",
    "hardware.cache_in_memory_mib",
}


def digest(files: Iterable[Path], folder: Path) -> str:
    """One value of the contents of `files` and their places in `folder`; files elsewhere count by their content.

    Raises:
        InputError: if a file cannot be read.
    """
    ordered = sorted(files)
    whole = blake2b(digest_size=16)
    with ThreadPoolExecutor() as pool:
        for file, content in zip(ordered, pool.map(_digest, ordered), strict=True):
            place = str(file.relative_to(folder)) if file.is_relative_to(folder) else ""
            whole.update(f"{place}\0{content}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()


def digest_of_text(text: str) -> str:
    """One value of `text`."""
    return blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def claim(folder: Path, identity: Mapping[str, Any], epochs_done: Callable[[Path], int | None]) -> bool:
    """Let `folder` hold the checkpoints of the training that `identity` describes; True if it can go on there.

    A training goes on if only workers, memory, devices or the number of epochs differ. Checkpoints of any other
    training are moved to a folder beside, and a line says where and why.

    Args:
        folder: of the checkpoints; it is created.
        identity: nested plain values: settings, with `max_epochs`, seed, and the digest of the data.
        epochs_done: from the folder to the number of whole epochs in its checkpoints; None if they cannot be used.
    """
    now: dict[str, Any] = json.loads(json.dumps(_flat(identity), default=str))
    goes_on = _has_work(folder) and _goes_on(folder, now, epochs_done(folder))
    if not goes_on and _read(folder / _NOTE) != now:
        shutil.rmtree(folder, ignore_errors=True)  # it has no checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / _NOTE) as aside:
        aside.write_text(json.dumps(now, indent=2, sort_keys=True))
    return goes_on


def _goes_on(folder: Path, now: dict[str, Any], done: int | None) -> bool:
    before = _read(folder / _NOTE)
    changed = {
        key: f"{before.get(key)} → {now.get(key)}" for key in now.keys() | before.keys() if _differ(key, before, now)
    }
    other = sorted(changed.keys() - _FREE)
    if not before or done is None:
        why = "cannot be used"
    elif other:
        why = f"are of another training ({_listed(changed, other)})"
    elif done > now["max_epochs"]:
        why = f"have {done} epochs, more than max_epochs={now['max_epochs']}"
    else:
        print(f"{folder}: going on after {done} of {now['max_epochs']} epochs" + _said(changed))
        return True
    kept = _unused(folder)
    folder.rename(kept)
    print(f"the checkpoints in {folder} {why}: moved to {kept}, which is yours to remove; training starts anew")
    return False


def _has_work(folder: Path) -> bool:
    return any(file for pattern in _WORK for file in folder.rglob(pattern))


def _said(changed: Mapping[str, str]) -> str:
    if not changed:
        return ""
    rate = "; the learning rate follows the new number of epochs from here on" if "max_epochs" in changed else ""
    return f", with {_listed(changed, sorted(changed))}{rate}"


def _listed(changed: Mapping[str, str], keys: list[str]) -> str:
    said = ("other data" if key == _DATA or key.startswith(f"{_DATA}.") else f"{key}: {changed[key]}" for key in keys)
    return ", ".join(dict.fromkeys(said))


def _differ(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return bool(before.get(key) != now.get(key))


def _unused(folder: Path) -> Path:
    number = 1
    while (beside := folder.with_name(f"{folder.name}-before-{number}")).exists():
        number += 1
    return beside


def _read(note: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(note.read_text()))
    except (OSError, ValueError):
        return {}


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            whole = blake2b(digest_size=16)
            while part := content.read(1 << 20):
                whole.update(part)
    except OSError as error:
        raise InputError(f"{file} must be a readable file: {error.strerror}") from error
    return whole.hexdigest()


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
