"""Restores a backup into a folder of its own and verifies it: rows, audit, and that each crop opens with its key.

    python -m serving.rehearse_restore sightings.dump --crops crops.tar --key store.key [--head NUMBER:HASH]

The installation is not touched: the dump goes into an embedded PostgreSQL in `--scratch`, and the crops are read where
they are. A rehearsal that was killed goes on where it was. The folder is deleted when the backup is whole; otherwise it
stays to be looked at, and holds all that the backup does.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import sqlalchemy as sa

from domain.atomic import atomic_file
from domain.errors import ArtifactError, InputError
from domain.files import sha256_of
from serving.database import audit, schema, tables
from serving.database.commands import run_command
from serving.database.crops import Crops, read_backup
from serving.database.embedded import TOOLS, EmbeddedServer

_DATABASE = "rehearsal"
_SAVED_EVERY = 500  # crops
_MOST_NAMED = 20  # crops that do not open, in the error
_COPY, _COPY_ENDS = re.compile(rb"COPY (\S+) .*FROM stdin;"), b"\\.\n"  # lines of pg_restore before and after rows


@dataclass
class Progress:
    """How far a rehearsal came; a file in the scratch folder."""

    dump: str  # SHA-256
    is_restored: bool = False
    verified: int = 0  # crops, in the order of their paths
    broken: list[str] = field(default_factory=list)  # what is wrong with crops

    def save(self, scratch: Path) -> None:
        """Write it."""
        with atomic_file(scratch / "progress.json") as aside:
            aside.write_text(json.dumps(asdict(self)))


def main(argv: Sequence[str] = ()) -> None:
    """Restore, verify, and say what the backup holds.

    Raises:
        InputError: if the dump, the crops or the key file cannot be read, or the scratch folder is of another backup.
        BrokenAuditError: if a record of the audit was changed, removed or moved.
        ArtifactError: if the dump cannot be restored, rows are missing, or crops do not open.
    """
    options = _parser().parse_args(list(argv))
    if not options.dump.is_file():
        raise InputError(f"DUMP must be a file that pg_dump --format=custom wrote, got {options.dump}")
    noted = audit.Head.parse(options.head) if options.head else None
    crops = read_backup(options.crops, options.key)
    scratch = options.scratch
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    progress = _begin(scratch, options.dump)
    with closing(EmbeddedServer(scratch / "postgres")) as server:
        server.open()
        if not progress.is_restored:
            _restore(server, options.dump)
            progress.is_restored = True
            progress.save(scratch)
        _verify(server, noted, crops, progress, scratch)
    if progress.broken:
        named = "\n".join(progress.broken[:_MOST_NAMED])
        raise ArtifactError(
            f"each crop of the backup must open, {len(progress.broken)} of {progress.verified} do not:\n{named}"
        )
    shutil.rmtree(scratch)
    print(f"the backup is whole: {progress.verified} crops open with the keys of {options.key}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.rehearse_restore", description="try out a backup")
    parser.add_argument("dump", type=Path, help="file that pg_dump --format=custom wrote")
    parser.add_argument("--crops", required=True, help="tar of the folder `crops`, or the folder or address above it")
    parser.add_argument("--key", type=Path, required=True, help="the copy of the key file")
    parser.add_argument("--head", help="NUMBER:HASH that serving.audit verify printed before the backup")
    default = Path(tempfile.gettempdir()) / f"dongseon-rehearsal-{os.getuid()}"
    parser.add_argument("--scratch", type=Path, default=default, help="folder for it; default: %(default)s")
    return parser


def _begin(scratch: Path, dump: Path) -> Progress:
    """The progress of an earlier rehearsal of the same dump in `scratch`, or a new one."""
    digest, file = sha256_of(dump), scratch / "progress.json"
    if file.is_file():
        progress = Progress(**json.loads(file.read_text()))
        if progress.dump != digest:
            raise InputError(f"--scratch must be of this dump, {scratch} is of another; delete it, or name another")
        print(f"goes on in {scratch}, {progress.verified} crops are verified")
        return progress
    if any(scratch.iterdir()):
        raise InputError(f"--scratch must be empty or of an earlier rehearsal, {scratch} is neither")
    progress = Progress(digest)
    progress.save(scratch)
    return progress


def _restore(server: EmbeddedServer, dump: Path) -> None:
    """Restore the dump into a database of its own, and require every row of it there."""
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT")
    with closing(engine.connect()) as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)")
        connection.exec_driver_sql(f"CREATE DATABASE {_DATABASE}")
    engine.dispose()
    options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", f"--dbname={_DATABASE}"]
    ended = subprocess.run(
        [TOOLS / "pg_restore", *options, dump],
        env=os.environ | server.environment,
        pass_fds=server.descriptors,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise ArtifactError(f"{dump} must be a dump that can be restored, pg_restore says: {ended.stderr.strip()}")
    expected = _rows_in(dump)
    engine = sa.create_engine(server.url.set(database=_DATABASE))
    with closing(engine.connect()) as connection:
        found = {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM ONLY {name}").scalar_one() for name in expected
        }
    engine.dispose()
    if missing := [
        f"{found[name]} of {number} of {name}" for name, number in expected.items() if found[name] != number
    ]:
        raise ArtifactError(f"all rows of {dump} must be restored, got {', '.join(missing)}")
    print(f"restored {sum(expected.values())} rows in {len(expected)} tables", flush=True)


def _rows_in(dump: Path) -> dict[str, int]:
    """Rows of each table by the dump itself."""
    numbers: dict[str, int] = {}
    table = None
    with subprocess.Popen([TOOLS / "pg_restore", "--data-only", "--file=-", dump], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if table is not None and line != _COPY_ENDS:
                numbers[table] += 1
            elif table is not None:
                table = None
            elif begin := _COPY.match(line):
                table = begin[1].decode()
                numbers[table] = 0
    return numbers


def _verify(server: EmbeddedServer, noted: audit.Head | None, crops: Crops, progress: Progress, scratch: Path) -> None:
    """Verify the audit and every crop that a row names; adds what is wrong with crops to `progress`."""
    engine = sa.create_engine(server.url.set(database=_DATABASE))
    with engine.begin() as connection:
        schema.upgrade(connection)  # of a backup of an older version
        head = audit.verify(connection, noted)
        print(f"audit: {head.number} records, none changed, missing or moved", flush=True)
        named = tables.tracklets.c.crop
        for path in connection.execute(sa.select(named).order_by(named).offset(progress.verified)).scalars():
            try:
                crops.read(path)
            except (ArtifactError, OSError) as error:
                progress.broken.append(f"  {path}: {error}")
            progress.verified += 1
            if progress.verified % _SAVED_EVERY == 0:
                progress.save(scratch)
                print(f"{progress.verified} crops", flush=True)
    engine.dispose()


if __name__ == "__main__":
    run_command(main)
