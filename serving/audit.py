"""The audit on the command line: verify the chain of its hashes, export its records, or name unusual viewing.

    python -m serving.audit verify [--head NUMBER:HASH]
    python -m serving.audit export > audit.jsonl
    python -m serving.audit unusual [--days 7]

`verify` prints today's head; note it elsewhere and give it to a later `verify`, which then also notices records that
were cut off at the end or rewritten. `unusual` names accounts that viewed very many crops in a day, many without a
verdict, or that were refused often; `verify` does so for the last week. Settings: section `serving` of params.yaml in
the current folder.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TextIO

from domain.errors import InputError
from serving.database import audit
from serving.database.commands import run_command
from serving.database.store import Store, open_store
from serving.database.viewing import ViewingSettings, unusual_days
from serving.deployment import ServingSettings

_A_WEEK, _MOST_DAYS = 7, 365


def main(argv: Sequence[str] = ()) -> None:
    """Verify, export, or name unusual viewing.

    Raises:
        InputError: if the settings, the head or the days are wrong, or the database does not answer.
        BrokenAuditError: if a record was changed, removed or moved.
    """
    options = _parser().parse_args(argv)
    settings = ServingSettings.from_params("serving")
    with open_store(settings.store_folder) as store:
        match options.command:
            case "export":
                _export(store)
            case "unusual":
                _name_unusual(store, settings.viewing, options.days, sys.stdout)
            case _:
                noted = audit.Head.parse(options.head) if options.head else None
                with store.begin() as connection:
                    head = audit.verify(connection, noted)
                print(
                    f"{head.number} records, none changed, missing or moved; note this head elsewhere and hand it in "
                    "next time:"
                )
                print(f"  python -m serving.audit verify --head {head}")
                _name_unusual(store, settings.viewing, _A_WEEK, sys.stderr)  # apart from the head


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.audit", description="verify, export or judge the audit")
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="name the first record that is changed, missing or moved")
    verifying.add_argument("--head", help="NUMBER:HASH that an earlier verify printed")
    commands.add_parser("export", help="print all records as JSON lines")
    judging = commands.add_parser("unusual", help="name accounts that viewed unusually many crops in a day")
    judging.add_argument("--days", type=int, default=_A_WEEK, help="days to look at, today included")
    return parser


def _export(store: Store) -> None:
    with store.begin() as connection:
        audit.append(connection, audit.command_account(), audit.Action.EXPORT, {"what": "audit"})
    with store.begin() as connection:
        for record in audit.records(connection):
            print(audit.as_line(record))


def _name_unusual(store: Store, settings: ViewingSettings, days: int, out: TextIO) -> None:
    if not 1 <= days <= _MOST_DAYS:
        raise InputError(f"--days must be 1 to {_MOST_DAYS}, got {days}")
    with store.begin() as connection:
        found = unusual_days(connection, settings, days)
    print(f"unusual viewing in the last {days} days: {len(found) or 'none'}", file=out)
    for each in found:
        print(f"  {each}", file=out)


if __name__ == "__main__":
    run_command(main)
