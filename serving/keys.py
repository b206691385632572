"""The keys of the crops: after one leaked, add another, encrypt all with it, and destroy the old ones.

    python -m serving.keys list          # how many crops each key encrypts
    python -m serving.keys add           # a new key, which encrypts from now on
    python -m serving.keys reencrypt     # all crops of older keys with the newest; run it again after it was killed
    python -m serving.keys destroy-old   # once no crop needs them; backups from before need the old key file

Frames, photos of cases and recordings of live cameras count as crops. The service, workers and live cameras go on
meanwhile: they read the key file again when they need a key, and before they write. Settings: section `serving` of
params.yaml in the current folder.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby

from domain.errors import ArtifactError, InputError
from serving.database import audit
from serving.database.commands import run_command
from serving.database.crops import add_key, destroy_old_keys, key_file_of
from serving.database.locks import hold_removers
from serving.database.store import Store, open_store
from serving.deployment import ServingSettings

_PROGRESS = 1000  # crops from one line to the next


def main(argv: Sequence[str] = ()) -> None:
    """List, add or destroy keys, or re-encrypt crops; all but the list is recorded in the audit.

    Raises:
        InputError: if the key file holds something else than keys, or the database does not answer.
        ArtifactError: if a crop does not decrypt, or old keys are to be destroyed that crops need.
    """
    command = _command(argv)
    settings = ServingSettings.from_params("serving")
    key_file = key_file_of(settings.store_folder)
    with open_store(settings.store_folder) as store:
        match command:
            case "list":
                print(*_lines(store), sep="\n")
            case "add":
                number = add_key(key_file)
                _record(store, {"what": "key added", "key": number})
                print(f"{key_file}: key {number} encrypts from now on; next: python -m serving.keys reencrypt")
            case "reencrypt":
                _reencrypt(store)
            case _:
                _destroy_old(store)


def _command(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description="the keys of the crops")
    parser.add_argument("command", choices=["list", "add", "reencrypt", "destroy-old"])
    return str(parser.parse_args(list(argv)).command)


def _lines(store: Store) -> Iterator[str]:
    numbers, newest = store.crops.by_key(store.crops.all()), store.crops.newest_key
    for number in range(newest + 1):
        yield f"key {number}: {numbers[number]} crops" + (", encrypts new ones" if number == newest else "")


def _reencrypt(store: Store) -> None:
    paths, done, damaged = store.crops.all(), 0, []
    num_old = len(paths) - store.crops.by_key(paths)[store.crops.newest_key]
    print(f"{num_old} of {len(paths)} crops are to be encrypted with key {store.crops.newest_key}", flush=True)
    for _, segment in groupby(paths, lambda path: path.rpartition("/")[0]):
        with hold_removers(store.engine):  # otherwise a crop that is removed meanwhile would be written again
            for path in segment:
                try:
                    done += store.crops.encrypt_anew(path)
                except ArtifactError as error:
                    damaged.append(f"  {error}")
                if done and done % _PROGRESS == 0:
                    print(f"{done} of {num_old}", flush=True)
    _record(store, {"what": "crops re-encrypted", "key": store.crops.newest_key, "crops": done})
    if damaged:
        listed = "\n".join(damaged)
        raise ArtifactError(f"all crops must decrypt, {len(damaged)} of {len(paths)} do not and were left:\n{listed}")
    print(f"{done} crops encrypted; next: python -m serving.keys destroy-old")


def _destroy_old(store: Store) -> None:
    numbers = store.crops.by_key(store.crops.all())
    if needed := sum(numbers.values()) - numbers[store.crops.newest_key]:
        raise InputError(
            f"old keys must not be needed any more, {needed} crops need them; first python -m serving.keys reencrypt"
        )
    number = destroy_old_keys(key_file_of(store.folder))
    _record(store, {"what": "old keys destroyed", "keys": number})
    print(f"{number} old keys are destroyed; backups from before need the key file from before")


def _record(store: Store, details: dict[str, str | int]) -> None:
    with store.begin() as connection:
        audit.append(connection, audit.command_account(), audit.Action.KEYS, details)


if __name__ == "__main__":
    run_command(main)
