"""The audit on the command line: verify the chain of its hashes, or export its records.

    python -m serving.audit verify [--head NUMBER:HASH]
    python -m serving.audit export > audit.jsonl

`verify` prints today's head; note it elsewhere and give it to a later `verify`, which then also notices records that
were cut off at the end or rewritten. Settings: section `serving` of params.yaml in the current folder.
"""

import argparse
from collections.abc import Sequence

from domain.stage import run_stage
from serving.database import audit
from serving.database.store import open_store
from serving.deployment import ServingSettings


def main(argv: Sequence[str] = ()) -> None:
    """Verify or export.

    Raises:
        InputError: if the settings or the head are wrong, or the database does not answer.
        BrokenAuditError: if a record was changed, removed or moved.
    """
    parser = argparse.ArgumentParser(prog="python -m serving.audit", description="verify or export the audit")
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="name the first record that is changed, missing or moved")
    verifying.add_argument("--head", help="NUMBER:HASH that an earlier verify printed")
    commands.add_parser("export", help="print all records as JSON lines")
    options = parser.parse_args(argv)
    settings = ServingSettings.from_params("serving")
    with open_store(settings.store_folder) as store:
        if options.command == "export":
            with store.begin() as connection:
                audit.append(connection, audit.command_account(), audit.Action.EXPORT, {"what": "audit"})
            with store.begin() as connection:
                for record in audit.records(connection):
                    print(audit.as_line(record))
            return
        noted = audit.Head.parse(options.head) if options.head else None
        with store.begin() as connection:
            head = audit.verify(connection, noted)
    print(f"{head.number} records, none changed, missing or moved; note this head elsewhere and hand it in next time:")
    print(f"  python -m serving.audit verify --head {head}")


if __name__ == "__main__":
    run_stage(main)
