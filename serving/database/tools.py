"""Runs a tool of the embedded PostgreSQL on a store: `psql`, `pg_dump`, `pg_restore`, …

    python -m serving.database.tools store pg_dump --format=custom --file=sightings.dump

The server of the store is started if it does not run, and stops afterwards unless another process uses it. The tool
finds it by its environment, so no argument names a database.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from domain.errors import InputError
from domain.stage import run_stage
from serving.database.embedded import TOOLS, EmbeddedServer


def main(argv: Sequence[str] = ()) -> None:
    """Run the tool and end as it ends.

    Raises:
        InputError: if the folder or the tool does not exist.
        ArtifactError: if the server does not start.
    """
    if len(argv) < 2:
        raise InputError(f"there must be the folder of a store and a tool, got {' '.join(argv) or 'nothing'}")
    folder, tool, *arguments = argv
    if not Path(folder).is_dir() or not (TOOLS / tool).is_file():
        known = ", ".join(sorted(file.name for file in TOOLS.iterdir()))
        raise InputError(f"{folder} must be a folder and {tool} one of {known}")
    with closing(EmbeddedServer(Path(folder) / "postgres")) as server:
        server.open()
        ended = subprocess.run(
            [TOOLS / tool, *arguments], env=os.environ | server.environment, pass_fds=server.descriptors, check=False
        )
    sys.exit(ended.returncode)


if __name__ == "__main__":
    run_stage(main)
