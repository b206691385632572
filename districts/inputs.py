"""The user's own folders that a district is made of: DVC looks at them, and they do not change while they are read."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from domain.errors import InputError
from domain.paths import users_file
from domain.settings import read_params


def require_watched(key: str, path: Path | None) -> None:
    """Raise `InputError` if DVC does not look at the folder `district.<key>`: `params.yaml` was changed by hand."""
    inputs = read_params().get("inputs")
    if path is None or not isinstance(inputs, dict):
        return
    watched, needed = Path(str(inputs.get(key))), users_file(path)
    if watched.resolve() != needed.resolve():
        raise InputError(
            f"inputs.{key} of params.yaml must be district.{key}, {needed}, so that DVC notices changes, got "
            f"{watched}; params.yaml is composed: python -m conf.compose district=… district.{key}=…"
        )


def state_of(folders: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Size and time of the last change of each file in `folders`."""
    return {
        str(Path(place, name)): ((status := Path(place, name).stat()).st_size, status.st_mtime_ns)
        for folder in folders
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if Path(place, name).exists()
    }


def require_unchanged(before: Mapping[str, tuple[int, int]], folders: Sequence[Path]) -> None:
    """Raise `InputError` if a file of `folders` changed since `before`; DVC would take it for prepared."""
    after = state_of(folders)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise InputError(
            f"the user's files must not change while they are prepared, got {len(changed)} that did, such as "
            f"{changed[0]}; run it again once nothing writes there"
        )
