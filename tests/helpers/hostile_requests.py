"""Requests that nobody sends by mistake, to each endpoint of /v1 but the upload of photos; made from a seed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np

from tests.helpers.deployments import FOR_CASE

T = TypeVar("T")
_DEEP = 100_000
_JSON_TEXTS = (  # JSON that `json.dumps` does not write
    '"\\ud800"',
    '"a\\u0000b"',
    "9" * 5000,
    "1e999",
    "NaN",
    "-Infinity",
    "[" * _DEEP,
    '{"a":' * _DEEP,
    "[" * 900 + "]" * 900,
    "tru",
    '"\\x"',
    "1.0000000000000000000000000000000000001e-400",
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63,
    -(2**64),
    0.5,
    "",
    " ",
    "x" * 100_000,
    "\u202e\ufeff\ufffe",
    "\ufdfa" * 2000,  # eighteen times as long in another normal form
    "e" + "\u0301" * 5000,
    "각" * 5000,
    "../../etc/passwd",
    "'; DROP TABLE audit; --",
    "a" * 64 + "!",
    "a.a" * 30_000,
    [],
    {},
    [[]],
    ["x"] * 20_000,
    {str(number): number for number in range(5000)},
    "2026-05-01T09:00:00" + "0" * 5000,
    "0001-01-01T00:00:00+14:00",
)
_SIGHTING = {"district": "demo", "tracklet_id": 1}
_BODIES: dict[tuple[str, str], dict[str, object]] = {
    ("POST", "/v1/route"): {
        **FOR_CASE,
        "sightings": [_SIGHTING],
        "rejected": [],
        "fill": True,
        "cameras": ["demo/cam0"],
        "area": {"latitude": 35.85, "longitude": 128.6, "radius_m": 100},
        "since": "2026-05-01T00:00:00Z",
        "until": "2026-05-02T00:00:00Z",
    },
    ("POST", "/v1/where-next"): {
        **FOR_CASE,
        "sightings": [_SIGHTING],
        "rejected": [],
        "seen_at": [{"camera": "demo/cam0", "time": "2026-05-01T12:00:00Z", "within_s": 60}],
        "cameras": ["demo/cam1"],
        "until": "2026-05-01T12:30:00Z",
    },
    ("POST", "/v1/sentence"): {"text": "빨간 외투"},
    ("POST", "/v1/cases"): {"title": "x", "operators": []},
    ("POST", "/v1/emergencies"): {"title": "x", "reason": "x"},
    ("POST", "/v1/cases/1/corrections"): {**_SIGHTING, "group": "bag", "label": None},
    ("POST", "/v1/cases/1/boxes"): {**_SIGHTING, "box_xyxy": None},
    ("POST", "/v1/cases/1/sheets"): {"reason": "x", "note": "x", "hours": 1, "language": "ko"},
    ("PUT", "/v1/cases/1/operators"): {"operators": []},
    ("PUT", "/v1/cases/1/legal-hold"): {"held": False},
    ("POST", "/v1/cases/1/verdicts"): {**_SIGHTING, "verdict": "none"},
}
_QUERIES: dict[str, tuple[str, ...]] = {
    "/v1/coverage": ("cameras", "area", "since", "until"),
    "/v1/audit": ("after", "limit"),
    "/v1/crops/demo/1": ("case",),
    "/v1/cameras": ("x",),
    "/v1/cases": ("x",),
}
_PATHS = ("/v1/crops/{}/1", "/v1/crops/demo/{}", "/v1/cases/{}", "/v1/cases/{}/export", "/v1/{}", "/v1/cases/1/{}")
_HEADERS: tuple[dict[str, bytes], ...] = (
    {"X-Request-ID": b"x" * 8000},
    {"X-Request-ID": b"\xff\xfe"},
    {"Accept-Language": b"ko;q=" + b"9" * 8000},
    {"Content-Type": b"application/json; charset=utf-7"},
    {"Content-Type": b"application/json" + b";" * 8000},
    {"Content-Encoding": b"gzip"},
    {"Range": b"bytes=" + b"0-," * 2000},
    {"Cookie": b"a=" + b"b;" * 4000},
    {"Origin": b"http://evil"},
    {"X-Forwarded-For": b"<script>" * 500},
    {"X-HTTP-Method-Override": b"DELETE"},
    {"Expect": b"100-continue"},
)


@dataclass(frozen=True)
class Request:
    """One request; `path` may have a query."""

    kind: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, bytes] = field(default_factory=dict)


def hostile_requests(seed: int, number: int) -> Iterator[Request]:
    """`number` requests."""
    random = np.random.default_rng(seed)
    makers = (_spoiled_json, _spoiled_json, _mutated_json, _spoiled_query, _spoiled_path, _strange_head)
    for _ in range(number):
        yield makers[random.integers(len(makers))](random)


def _spoiled_json(random: np.random.Generator) -> Request:
    """A body with a value in the place of another, or of a part of it."""
    (method, path), body = _any(random, list(_BODIES.items()))
    names = [*body, "unknown", "x" * 5000]
    name = _any(random, names)
    if random.random() < 0.5:
        spoiled = json.dumps({**body, name: "?"}).replace('"?"', _any(random, _JSON_TEXTS))
    else:
        value = _any(random, _VALUES)
        wrapped = _any(
            random, [value, [value], [value] * 2, {"district": value, "tracklet_id": value}, [_SIGHTING, value]]
        )
        spoiled = json.dumps({**body, name: wrapped})
    if random.random() < 0.1:
        spoiled = spoiled[:-1] + "," + spoiled[1:]  # each key twice
    return Request(f"JSON {name[:20]}", method, path, spoiled.encode(), {"Content-Type": b"application/json"})


def _mutated_json(random: np.random.Generator) -> Request:
    (method, path), body = _any(random, list(_BODIES.items()))
    content = np.frombuffer(json.dumps(body).encode(), np.uint8).copy()
    places = random.integers(0, len(content), random.integers(1, 4))
    content[places] = random.integers(0, 256, len(places))
    kind = _any(random, [b"application/json", b"text/plain", b"application/x-www-form-urlencoded", b""])
    return Request("mutated JSON", method, path, content.tobytes(), {"Content-Type": kind})


def _spoiled_query(random: np.random.Generator) -> Request:
    path, names = _any(random, list(_QUERIES.items()))
    value = _text(random)[:8000]
    times = int(random.integers(1, 4))
    query = "&".join(f"{_any(random, [*names, 'x'])}={quote(value, safe='')}"[:16_000] for _ in range(times))
    return Request(f"query of {path}", "GET", f"{path}?{query}")


def _spoiled_path(random: np.random.Generator) -> Request:
    place = _any(random, _PATHS)
    text = quote(_text(random)[:2000], safe=_any(random, ["", "/", "/.%"]))
    return Request(f"path {place}", _any(random, ["GET", "POST", "PUT"]), place.format(text) + "?case=1")


def _strange_head(random: np.random.Generator) -> Request:
    method = _any(random, ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "FOO"])
    path = _any(random, [*_QUERIES, *(path for _, path in _BODIES), "/v1/search", "/v1/openapi.json"])
    return Request("head", method, path, _any(random, [b"", b"{}", bytes(1000)]), _any(random, _HEADERS))


def _text(random: np.random.Generator) -> str:
    texts = [value for value in _VALUES if isinstance(value, str) and value]
    return _any(random, [*texts, *_JSON_TEXTS, "%00", "%ed%a0%80", "\x7f", "-1", "1e400"])


def _any(random: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(random.integers(len(choices)))]
