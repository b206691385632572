"""Says how far the workers are with the recordings that `serving.ingest` registered: when they end, and what failed.

    python -m serving.progress [DISTRICT]
    python -m serving.progress --every 10        # again and again, until no recording waits

The time until the end goes by the speed of all workers in the last half hour; with more workers it gets shorter.
Settings: section `serving` of params.yaml in the current folder.
"""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from time import sleep

from domain.errors import InputError
from serving.database.commands import run_command
from serving.database.districts import stored_districts
from serving.database.progress import Progress, progress_of
from serving.database.store import open_store
from serving.deployment import ServingSettings


def main(argv: Sequence[str] = ()) -> None:
    """Print the progress, once or until no recording waits.

    Raises:
        InputError: if the settings are invalid, the district is unknown, or the database does not answer.
    """
    arguments = _arguments(argv)
    settings = ServingSettings.from_params("serving")
    with open_store(settings.store_folder) as store:
        while True:
            with store.begin() as connection:
                districts = [one.name for one in stored_districts(connection)]
                if arguments.district not in (None, *districts):
                    raise InputError(
                        f"the district must be a stored one ({', '.join(districts) or 'there is none'}), "
                        f"got {arguments.district}"
                    )
                progress = progress_of(connection, settings.ingest.dead_after_s, arguments.district)
            print(*_lines(progress, datetime.now(UTC)), sep="\n", flush=True)
            if arguments.every is None or not progress.waiting:
                return
            sleep(arguments.every)


def _lines(progress: Progress, now: datetime) -> Iterator[str]:
    total = progress.done + progress.failed + progress.waiting
    yield (
        f"{progress.done} of {total} recordings are done ({progress.hours_done:.1f} hours of video), {progress.failed} "
        f"failed, {progress.waiting} wait ({progress.hours_waiting:.1f} hours), {progress.in_work} of them in work"
    )
    if progress.waiting:
        yield _outlook(progress, now)
    yield from (f"  failed: {one.source}: {one.error}" for one in progress.failures)
    if more := progress.failed - len(progress.failures):
        yield f"  and {more} more that failed"
    yield from (f"  put off: {one.source}: {one.error}" for one in progress.put_off)


def _outlook(progress: Progress, now: datetime) -> str:
    if not progress.workers:
        return "no worker runs; start python -m serving.worker"
    workers = f"{progress.workers} worker{'s' if progress.workers > 1 else ''}"
    if progress.remaining is None:
        return f"{workers}; too few recordings are done to say when all are"
    minutes = round(progress.remaining.total_seconds() / 60)
    ends = (now + progress.remaining).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{workers}, {progress.speed:.1f} hours of video an hour; all are done in about {minutes // 60} h "
        f"{minutes % 60:02} min, at {ends}"
    )


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving.progress", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("district", nargs="?", help="default: all districts")
    parser.add_argument("--every", type=_seconds, metavar="SECONDS", help="print again until no recording waits")
    return parser.parse_args(list(argv))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 86400, got {text}")
    return seconds


if __name__ == "__main__":
    run_command(main)
