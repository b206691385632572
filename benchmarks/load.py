"""Simultaneous searches of a running service: latencies, answers by status, overload and recovery, as JSON.

    make serve                                       # after make demo; it prints a reviewer's token the first time
    DONGSEON_TOKEN=dongseon_… python -m benchmarks.load --photos data/demo/reid/query --seconds 300

Searches need a case; with the reviewer's token the benchmark opens one and closes it at the end. All searches are of
one account, so raise `serving.service.requests_per_minute`, `searches_per_minute` and `max_concurrent_per_account` far
above their number before `package`.

First `--searchers` clients search one photo after the other for `--seconds`; then `--crowd` clients for a tenth of that
time, which should exceed the service's limit; then one client again. A client starts its next search after the answer,
or a second after a refusal. The clients use aiohttp: with two hundred in one pool of httpx, finding connections takes
seconds of a core, which would count as time of the service.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import httpx
import numpy as np

from domain.cores import available_cores

_TOO_OFTEN, _BUSY = 429, 503


@dataclass(frozen=True)
class Service:
    """A running service, with the headers and form fields of every search."""

    url: str
    headers: dict[str, str]
    form: dict[str, str]


async def search_for(service: Service, photos: Sequence[bytes], searchers: int, seconds: float) -> dict[str, Any]:
    """Answers and latencies of `searchers` clients that search at the same time for `seconds`."""
    statuses: Counter[str] = Counter()
    latencies_s: dict[bool, list[float]] = {True: [], False: []}  # by whether it was answered 503
    end = perf_counter() + seconds

    async def keep_searching(client: aiohttp.ClientSession, first: int) -> None:
        for photo in cycle([*photos[first % len(photos) :], *photos[: first % len(photos)]]):
            start = perf_counter()
            if start >= end:
                return
            form = aiohttp.FormData(service.form)
            form.add_field("photo", photo, filename="photo.jpg", content_type="image/jpeg")
            try:
                async with client.post("/v1/search", data=form) as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                statuses[type(error).__name__] += 1
                continue
            statuses[str(answer.status)] += 1
            latencies_s[answer.status == _BUSY].append(perf_counter() - start)
            if answer.status in (_BUSY, _TOO_OFTEN):
                await asyncio.sleep(float(answer.headers["Retry-After"]))

    async with aiohttp.ClientSession(
        service.url,
        headers=service.headers,
        timeout=aiohttp.ClientTimeout(total=120),
        connector=aiohttp.TCPConnector(limit=searchers),
    ) as client:
        start = perf_counter()
        await asyncio.gather(*(keep_searching(client, number) for number in range(searchers)))
        taken_s = perf_counter() - start
    figures = {"searchers": searchers, "seconds": taken_s, "answers": dict(statuses)}
    for busy, name in ((False, "answered"), (True, "turned_away")):
        if latencies_s[busy]:
            p50, p95, p99 = np.percentile(latencies_s[busy], (50, 95, 99)).tolist()
            figures[name] = {"a_second": len(latencies_s[busy]) / taken_s, "p50_s": p50, "p95_s": p95, "p99_s": p99}
    return figures


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:3000")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of .jpg files to search for")
    parser.add_argument("--searchers", type=int, default=50)
    parser.add_argument("--crowd", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    photos = [file.read_bytes() for file in sorted(options.photos.glob("*.jpg"))]
    if not photos:
        parser.error(f"--photos must hold .jpg files, {options.photos} holds none")
    token = os.environ.get("DONGSEON_TOKEN")
    if token is None:
        parser.error("DONGSEON_TOKEN must hold a reviewer's token; see python -m serving.accounts")
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=options.url, headers=headers) as client:
        opened = client.post("/v1/cases", json={"title": "benchmarks.load"}).raise_for_status().json()
    service = Service(options.url, headers, {"case": str(opened["id"]), "reason": "a measurement"})
    results = {
        name: asyncio.run(search_for(service, photos, searchers, seconds))
        for name, searchers, seconds in (
            ("one", 1, options.seconds / 30),
            ("many", options.searchers, options.seconds),
            ("overload", options.crowd, options.seconds / 10),
            ("one_again", 1, options.seconds / 30),
        )
    }
    with httpx.Client(base_url=options.url, headers=headers) as client:
        client.post(f"/v1/cases/{opened['id']}/close").raise_for_status()
    metadata = {"machine": platform.machine(), "cores": available_cores(), "photos": len(photos)}
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
