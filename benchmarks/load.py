"""Many searchers at once against a running service: latencies, answers by status, overload and recovery, as JSON.

    make serve &                                                     # after make demo
    python -m benchmarks.load --photos data/demo/reid/query --seconds 300

All of them are one address, so raise `serving.service.searches_per_minute` far above what they can ask before `package`.
First `--searchers` people search one photo after the other for `--seconds`; then `--crowd` of them for a tenth of that,
which is meant to be more than the service works on at once; then one searcher again. A searcher begins the next search
when the last is answered, or a second after it was turned away.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import numpy as np

_BUSY = 503


async def search_for(url: str, photos: Sequence[bytes], searchers: int, seconds: float) -> dict[str, Any]:
    """What `searchers` who search at once for `seconds` saw."""
    statuses: Counter[str] = Counter()
    latencies_s: dict[bool, list[float]] = {True: [], False: []}  # by whether it was answered 503
    end = perf_counter() + seconds

    async def keep_searching(client: httpx.AsyncClient, first: int) -> None:
        for photo in cycle([*photos[first % len(photos) :], *photos[: first % len(photos)]]):
            start = perf_counter()
            if start >= end:
                return
            try:
                answer = await client.post("/v1/search", files={"photo": ("photo.jpg", photo, "image/jpeg")})
            except httpx.HTTPError as error:
                statuses[type(error).__name__] += 1
                continue
            statuses[str(answer.status_code)] += 1
            latencies_s[answer.status_code == _BUSY].append(perf_counter() - start)
            if answer.status_code == _BUSY:
                await asyncio.sleep(float(answer.headers["Retry-After"]))

    limits = httpx.Limits(max_connections=searchers)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
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
    results = {
        name: asyncio.run(search_for(options.url, photos, searchers, seconds))
        for name, searchers, seconds in (
            ("one", 1, options.seconds / 30),
            ("many", options.searchers, options.seconds),
            ("overload", options.crowd, options.seconds / 10),
            ("one_again", 1, options.seconds / 30),
        )
    }
    metadata = {"machine": platform.machine(), "cores": len(os.sched_getaffinity(0)), "photos": len(photos)}
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
