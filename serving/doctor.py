"""Looks for what is wrong with an installation, and measures how many cameras this machine carries.

    python -m serving.doctor

A line for each thing that it looked at: `ok`, `warning` or `error`; it ends with 1 if there is an error. It changes
nothing, but the tables of an older version are brought up to date, as by every command. Settings: params.yaml in the
current folder.
"""

import resource
import shutil
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import sqlalchemy as sa
from cryptography import x509

from domain.errors import ArtifactError, DongseonError
from serving.access.accounts import accounts
from serving.database import cameras, tables
from serving.database.commands import run_command
from serving.database.connection import old_pgvector
from serving.database.crops import key_file_of
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from serving.search.engines import SearchEngines

_LEAST_FREE_BYTES = 10 * 2**30
_LEAST_FILES = 2000
_LEAST_DAYS = 14  # that a certificate is still valid
_LEAST_LOOKS_PER_S = 1.9  # less is thin, see serving.database.tables.processed
_MEASURED_S = 2.0
_PICTURE = (720, 1280, 3)
_PEOPLE = 4  # in a picture of the measurement


Level = Literal["ok", "warning", "error"]


class Finding(NamedTuple):
    """What one look said."""

    level: Level
    text: str


def main(argv: Sequence[str] = ()) -> None:
    """Print all findings.

    Raises:
        InputError: if the settings are invalid, or name no store.
        ArtifactError: if there is an error among the findings.
    """
    deployment = Deployment.read(Path(), argv)
    num_errors = 0
    for finding in findings(deployment):
        print(f"{finding.level:8}{finding.text}", flush=True)
        num_errors += finding.level == "error"
    if num_errors:
        raise ArtifactError(f"an installation must be without errors, this one has {num_errors}")


def findings(deployment: Deployment, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[Finding]:
    """Look at the machine, the files, the engines and the database in turn; `now` is this machine's clock."""
    yield _open_files()
    yield from _certificate(deployment, now())
    yield from _folder(deployment.store)
    looks_per_s = yield from _engines(deployment)
    if not deployment.store.is_dir():
        return
    try:
        with open_store(deployment.store) as store:
            yield Finding("ok", f"the database answers at {store.engine.url.render_as_string(hide_password=True)}")
            yield from _database(store, deployment, now)
            yield from _crops(store)
            yield _cameras(store, looks_per_s)
    except (DongseonError, sa.exc.DBAPIError) as error:
        yield Finding("error", str(error.orig if isinstance(error, sa.exc.DBAPIError) else error))


def _open_files() -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    level: Level = "ok" if most == resource.RLIM_INFINITY or most >= _LEAST_FILES else "error"
    return Finding(level, f"a process may open {most} files (ulimit -Hn, LimitNOFILE), it needs {_LEAST_FILES} or more")


def _certificate(deployment: Deployment, now: datetime) -> Iterator[Finding]:
    tls = deployment.settings.service.tls
    if tls is None:
        return
    try:
        tls.require_private_key()
        days = (x509.load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_after_utc - now).days
    except (DongseonError, OSError, ValueError) as error:
        yield Finding("error", f"the certificate in serving.service.tls must be readable: {error}")
    else:
        level: Level = "ok" if days >= _LEAST_DAYS else "error" if days < 0 else "warning"
        yield Finding(level, f"the certificate {tls.certificate} is valid for {days} days")


def _folder(store: Path) -> Iterator[Finding]:
    if not store.is_dir():
        yield Finding(
            "error", f"the folder of the store {store} must be there; python -m serving.accounts first makes it"
        )
        return
    free = shutil.disk_usage(store).free
    level: Level = "ok" if free >= _LEAST_FREE_BYTES else "error"
    needed = f"at least {_LEAST_FREE_BYTES / 2**30:.0f} GB must be free"
    yield Finding(level, f"{free / 2**30:.1f} GB are free at {store}" + ("" if level == "ok" else f", {needed}"))
    key = key_file_of(store)
    if key.exists() and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IRGRP:
        yield Finding("error", f"only its owner may read the key of the crops {key}: chmod 600")


def _engines(deployment: Deployment) -> Generator[Finding, None, float | None]:
    """Findings on the engines; returns the pictures a second that this machine looks at, None without engines."""
    softness = deployment.settings.search.probability_softness
    try:
        reid = deployment.engine(deployment.reid)
        engines = SearchEngines.reach(
            deployment.load_engines(), deployment.perception, reid, softness, deployment.transits()
        )
    except DongseonError as error:
        yield Finding("error", str(error))
        return None
    for name, status in engines.status.items():
        level: Level = "warning" if status.notice else "ok"
        yield Finding(level, f"the engine {name} runs by {status.runtime}, {status.precision} {status.notice}".rstrip())
    rate = _pictures_per_s(engines.perception)
    many, few = int(rate / 5), int(rate / _LEAST_LOOKS_PER_S)
    yield Finding(
        "ok",
        f"this machine looks at {rate:.1f} pictures a second with {_PEOPLE} people each: {many} cameras at 5 looks a "
        f"second, {few} at {_LEAST_LOOKS_PER_S:g}, below which coverage says that a time is thin",
    )
    return rate


def _pictures_per_s(perception: Perception) -> float:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, _PICTURE, np.uint8)
    crops = [np.ascontiguousarray(picture[:256, 128 * i : 128 * (i + 1)]) for i in range(_PEOPLE)]
    number = -1  # the first one warms up
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < _MEASURED_S or number < 1:
        perception.detect([picture])
        perception.embed(crops)
        if perception.describes:
            perception.attributes(crops)
        number += 1
        if number == 0:
            began = time.perf_counter()
    return number / spent


def _database(store: Store, deployment: Deployment, now: Callable[[], datetime]) -> Iterator[Finding]:
    if warning := old_pgvector(store.engine):
        yield Finding("error", warning)
    extension = "SELECT extversion, default_version FROM pg_extension JOIN pg_available_extensions ON name = extname "
    with store.begin() as connection:
        installed, available = connection.exec_driver_sql(extension + "WHERE extname = 'vector'").one()
        before = now()
        there = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        apart_s = max(before - there, there - now(), timedelta()).total_seconds()  # a slow answer is no wrong clock
        let_in = [one for one in accounts(connection) if one.disabled is None]
        failed = connection.execute(
            sa.select(sa.func.count()).where(tables.segments.c.state == "failed").select_from(tables.segments)
        ).scalar_one()
    if installed != available:
        yield Finding(
            "error", f"the database uses pgvector {installed}: ALTER EXTENSION vector UPDATE, {available} is there"
        )
    most_s = deployment.settings.route.clock_tolerance_s
    said = f"this machine's clock is {apart_s:.1f} s from the database's"
    yield Finding("ok" if apart_s <= most_s else "error", f"{said}; routes allow {most_s:g} s between cameras")
    if not let_in:
        yield Finding("warning", "nobody can sign in: python -m serving.accounts first")
    if failed:
        yield Finding(
            "warning", f"{failed} segments of video failed: SELECT source, error FROM segments WHERE state = 'failed'"
        )


def _crops(store: Store) -> Iterator[Finding]:
    """Whether the oldest and the newest crop open."""
    table = tables.tracklets
    with store.begin() as connection:
        ends = [
            connection.execute(sa.select(table.c.crop).order_by(order).limit(1)).scalar()
            for order in (table.c.day, table.c.day.desc())
        ]
    for crop in dict.fromkeys(filter(None, ends)):
        try:
            store.crops.read(crop)
        except (ArtifactError, OSError) as error:
            yield Finding("error", f"{error}; the key file is {key_file_of(store.folder)}")
            return
    yield Finding("ok", "the oldest and the newest crop open" if any(ends) else "there is no crop yet")


def _cameras(store: Store, looks_per_s: float | None) -> Finding:
    with store.begin() as connection:
        number = sum(one.retired is None for one in cameras.in_service(connection).values())
    said = f"{number} cameras are in service"
    if looks_per_s is not None and number * _LEAST_LOOKS_PER_S > looks_per_s:
        return Finding(
            "error", f"{said}, this machine carries {int(looks_per_s / _LEAST_LOOKS_PER_S)}; the others would be thin"
        )
    return Finding("ok", said)


if __name__ == "__main__":
    run_command(main)
