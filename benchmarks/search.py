"""Search in stores of growing size: latency with and without filters and re-ranking, recall, growth, as JSON.

    python -m benchmarks.search                               # 10,000 and 100,000 tracklets
    python -m benchmarks.search --tracklets 1000000           # some 5 GB of disk, and minutes to build the index
    python -m benchmarks.search --models 2                    # as while a new model is rolled out

Method: the store of the service, an embedded PostgreSQL with the same HNSW index, is filled with clustered vectors:
people are points in a space of few dimensions, surrounded by their tracklets. Queries are further views of people in
the store, one after the other. Attributes are random labels of the schema `suseong`. Recall is the share of the exact
nearest neighbours that the store returns; with a place and time, of the first 20 of all tracklets ranked by looks,
place and time, without re-ranking.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import psycopg
import sqlalchemy as sa
import yaml
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb
from threadpoolctl import threadpool_limits

from domain.attribute_query import AttributeQuery
from domain.attributes import AttributeSchema
from domain.cameras import Camera
from domain.cores import available_cores
from domain.embeddings import unit_length
from domain.schemas import read_schema
from domain.settings import PARAMS
from serving.database import queries, tables
from serving.database.attribute_rows import attribute_rows
from serving.database.locks import lock_cases, lock_writers
from serving.database.partitions import create_partitions, day_of
from serving.database.store import Store, open_store
from serving.database.tracklet_filter import TrackletFilter
from serving.matching.description import LabelQuestion, read_description
from serving.matching.match_curve import MatchCurve
from serving.matching.transits import Seen, Transits
from serving.matching.walking import WalkingSettings
from serving.search.coverage import coverage_of
from serving.search.search import Hit, Searcher, SearchSettings

_FEATURE, _LATENT = 512, 48
_TRACKLETS_A_PERSON, _SPREAD = 12, 0.6  # of one person's tracklets, in units of the spread of people
_CAMERAS, _DAYS = 40, 30
_SEGMENT_S = 300  # of video, of each camera
_START = datetime(2026, 5, 1, tzinfo=UTC)
_CHUNK = 20_000
_NEAREST, _FIRST = 100, 20
_EXHAUSTIVE = 25  # queries for which all tracklets are ranked by looks, place and time
_BUILD_MEMORY = "2GB"
_COPIED_TYPES = {
    "district": "text",
    "day": "date",
    "camera_id": "text",
    "first_seen": "timestamptz",
    "last_seen": "timestamptz",
    "model_version": "text",
}
_COLUMN_TYPES = {
    **_COPIED_TYPES,
    "id": "int8",
    "segment_id": "int8",
    "boxes": "jsonb",
    "quality": "float8",
    "crop": "text",
}
_EMBEDDING_TYPES = {**_COPIED_TYPES, "tracklet_id": "int8", "segment_id": "int8", "embedding": "halfvec"}
_ATTRIBUTE_TYPES = {**_COPIED_TYPES, "tracklet_id": "int8", "probabilities": "int4[]"}


_SEGMENTS = (
    sa.text(  # one statement: the triggers that keep `processed` run once; the last tracklet may end in the last
        f"""
    INSERT INTO segments (district, camera_id, source, checksum, start, "end", state, model_version)
    SELECT 'bench', 'c' || camera, 'bench', begin_s::text, CAST(:start AS timestamptz) + begin_s * interval '1 s',
        CAST(:start AS timestamptz) + (begin_s + :length_s) * interval '1 s', 'done', 'bench'
    FROM generate_series(0, :last_s, :length_s) AS begin_s, generate_series(0, {_CAMERAS - 1}) AS camera
    ORDER BY begin_s, camera
    """
    )
)
_SEGMENT_MODELS = sa.text(
    "INSERT INTO segment_models SELECT id, :model, 'reid' FROM segments WHERE state = 'done' ON CONFLICT DO NOTHING"
)
_DESCRIPTIONS = 1000
_QUESTIONS: dict[str, dict[str, Any]] = {
    "a red top": {"upper_colour": "red"},
    "a woman in a red or pink top and a skirt": {
        "gender": "female",
        "upper_colour": {"is": ["red", "pink"]},
        "lower_type": "skirt",
    },
    "a top that is not red, or unknown": {"upper_colour": {"is_not": ["red"], "or_unknown": True}},
}


def descriptions(schema: AttributeSchema) -> list[dict[str, dict[str, float]]]:
    """Probabilities of all labels of `schema`, by chance: group -> label -> probability."""
    rng = np.random.default_rng(1)
    return [
        {
            group.name: dict(
                zip(group.label_names, rng.dirichlet([0.3] * len(group.labels)).round(6).tolist(), strict=True)
            )
            for group in schema.groups
        }
        for _ in range(_DESCRIPTIONS)
    ]


class People:
    """Vectors of people, by seed."""

    def __init__(self, number: int) -> None:
        """`number` people."""
        self._rng = np.random.default_rng(0)
        self._centres = self._rng.standard_normal((number, _LATENT), dtype=np.float32)
        self._outward = self._rng.standard_normal((_LATENT, _FEATURE), dtype=np.float32) / np.sqrt(_LATENT)

    def seen(self, number: int) -> np.ndarray:
        """Embeddings `float32 [number, feature]` of tracklets of people by chance."""
        who = self._rng.integers(0, len(self._centres), number)
        latent = self._centres[who] + _SPREAD * self._rng.standard_normal((number, _LATENT), dtype=np.float32)
        own = 0.3 * self._rng.standard_normal((number, _FEATURE), dtype=np.float32)
        return unit_length(latent @ self._outward + own)


def camera_of(name: str) -> Camera:
    """The camera `c<number>`: along a street, 900 m from the next."""
    number = int(name[1:])
    return Camera(
        id=name, name=f"Gate {number}", latitude=35.8, longitude=128.5 + number / 100, fps=10, width_px=64, height_px=48
    )


def seen_there(place: int, number: int) -> dict[str, Any]:
    """Where and when tracklet `place` of `number` was seen: spread evenly over the days, and over the cameras."""
    first_seen = _START + timedelta(seconds=place * _DAYS * 86400 / number)
    last_seen = first_seen + timedelta(seconds=8)
    return {
        "district": "bench",
        "id": place,
        "day": day_of(last_seen),
        "camera_id": f"c{place * 7919 % _CAMERAS}",
        "first_seen": first_seen,
        "last_seen": last_seen,
        "model_version": "bench",
    }


def segment_of(place: int, number: int) -> int:
    """Number of its segment, from 0 on."""
    return int(place * _DAYS * 86400 / number // _SEGMENT_S) * _CAMERAS + place * 7919 % _CAMERAS


def fill(
    store: Store,
    url: str,
    people: People,
    number: int,
    attributes: Sequence[dict[str, dict[str, float]]],
    models: Sequence[str],
) -> tuple[np.ndarray, dict[str, float]]:
    """Put `number` tracklets into the empty store, with what each of `models` says; returns the first model's
    embeddings in half precision, and what it took.

    Partitions and index are made as the store makes them; rows are copied, which inserts them faster.
    """
    cameras = [camera_of(f"c{i}") for i in range(_CAMERAS)]
    store.replace_sightings("bench", cameras, "bench", [])
    with store.begin() as connection:
        lock_writers(connection)
        lock_cases(connection)
        connection.execute(_SEGMENTS, {"start": _START, "last_s": _DAYS * 86400, "length_s": _SEGMENT_S})
        for model in models:
            connection.execute(_SEGMENT_MODELS, {"model": model})
        create_partitions(connection, (day_of(_START + timedelta(days=day)) for day in range(_DAYS + 1)))
        first_segment = connection.execute(sa.select(sa.func.min(tables.segments.c.id))).scalar_one()

    def seen() -> Iterator[dict[str, Any]]:
        for place in range(number):
            yield seen_there(place, number) | {"segment_id": first_segment + segment_of(place, number)}

    kept = np.empty((number, _FEATURE), np.float16)
    more = {"boxes": Jsonb([[1, 2, 3, 4, 5, 0.9]]), "quality": 0.8, "crop": "none"}
    start = perf_counter()
    with psycopg.connect(url) as writing:
        register_vector(writing)
        _write(writing, "tracklets", _COLUMN_TYPES, (row | more for row in seen()))
        for model in models:
            vectors = _vectors(people, number, kept if model == models[0] else np.empty_like(kept))
            named = {"model_version": model}
            embedded = (
                row | named | {"tracklet_id": row["id"], "embedding": HalfVector(vector)}
                for row, vector in zip(seen(), vectors, strict=True)
            )
            _write(writing, "tracklet_embeddings", _EMBEDDING_TYPES, embedded)
    copied = perf_counter()
    with store.begin() as connection:
        for model in models:
            for first in range(0, number, _CHUNK):
                places = range(first, min(first + _CHUNK, number))
                pairs = [(seen_there(place, number), attributes[place % _DESCRIPTIONS]) for place in places]
                rows = attribute_rows(connection, pairs, model)
                _write(connection.connection, "tracklet_attributes", _ATTRIBUTE_TYPES, rows)
    attributed = perf_counter()
    with store.begin() as connection:
        connection.execute(sa.text(f"SET LOCAL maintenance_work_mem = '{_BUILD_MEMORY}'"))
        for model in models:
            connection.execute(tables.create_embedding_index(model, _FEATURE))
    built = perf_counter()
    with store.begin() as connection:
        engine = connection.engine
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE tracklets, tracklet_embeddings, tracklet_attributes"))
        sizes = connection.execute(
            sa.text(
                "SELECT sum(pg_table_size(inhrelid)) FILTER (WHERE relkind IN ('r', 'p')),"
                " sum(pg_relation_size(inhrelid)) FILTER (WHERE inhparent = to_regclass(:index))"
                " FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            ),
            {"index": tables.embedding_index(models[0])},
        ).one()
    return kept, {
        "copy_s": copied - start,
        "attributes_s": attributed - copied,
        "index_s": built - attributed,
        "table_gb": float(sizes[0]) / 1e9,
        "index_gb": float(sizes[1]) / 1e9,
    }


def _vectors(people: People, number: int, kept: np.ndarray) -> Iterator[np.ndarray]:
    """`number` embeddings, which are written to `kept` too."""
    for first in range(0, number, _CHUNK):
        part = people.seen(min(_CHUNK, number - first)).astype(np.float16)
        kept[first : first + len(part)] = part
        yield from part


def _write(connection: Any, table: str, types: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    with connection.cursor().copy(_copy(table, types)) as copy:
        copy.set_types(list(types.values()))
        for row in rows:
            copy.write_row([row[name] for name in types])


def _copy(table: str, columns: Mapping[str, str]) -> str:
    return f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"


def question(asked: Mapping[str, Any]) -> dict[str, LabelQuestion]:
    """`asked` as the question of a search."""
    return {group: LabelQuestion.model_validate(labels) for group, labels in asked.items()}


def by_words(searcher: Searcher, description: AttributeQuery, _: np.ndarray) -> list[Hit]:
    """Searches by attributes alone."""
    return searcher.search(description=description)


def true_nearest(queries: np.ndarray, kept: np.ndarray, count: int) -> list[set[int]]:
    """The `count` nearest rows of `kept` to each query."""
    similarity = np.concatenate(
        [queries @ kept[first : first + _CHUNK].astype(np.float32).T for first in range(0, len(kept), _CHUNK)], axis=1
    )
    return [set(row.tolist()) for row in np.argpartition(-similarity, count - 1, axis=1)[:, :count]]


def fused_recall(
    searcher: Searcher, transits: Transits, seen: Seen, curve: MatchCurve, photos: np.ndarray, kept: np.ndarray
) -> float:
    """Share of the first `_FIRST` of all tracklets, by looks, place and time, that a search finds among its first."""
    number = len(kept)
    rows = [seen_there(place, number) for place in range(number)]
    cameras = {(row["district"], row["camera_id"]): camera_of(row["camera_id"]) for row in rows[:_CAMERAS]}
    at = [(row["district"], row["camera_id"]) for row in rows]
    times_s = np.array([row["first_seen"].timestamp() + 4 for row in rows])
    evidence = transits.evidence([seen], at, times_s, cameras)
    shares = []
    for photo in photos[:_EXHAUSTIVE]:
        distances = 1 - kept.astype(np.float32) @ photo - curve.softness * evidence
        true = set(np.argpartition(distances, _FIRST)[:_FIRST].tolist())
        found = {hit.tracklet_id for hit in searcher.search(photo, seen_at=[seen], top_k=_FIRST)}
        shares.append(len(found & true) / _FIRST)
    return float(np.mean(shares))


def timed(search: Callable[[np.ndarray], Any], queries: np.ndarray) -> tuple[dict[str, float], list[Any]]:
    """Latencies and answers of `search` for `queries`; a tenth of them run before as warm-up."""
    for query in queries[: len(queries) // 10]:
        search(query)
    answers, times_s = [], []
    for query in queries:
        start = perf_counter()
        answers.append(search(query))
        times_s.append(perf_counter() - start)
    p50, p95 = np.percentile(times_s, (50, 95)).tolist()
    return {"p50_ms": 1000 * p50, "p95_ms": 1000 * p95}, answers


def _started_again(folder: Path) -> Store:
    """New store whose embedded server was started twice, for its cache has its full size from the second start on."""
    open_store(folder).close()
    return open_store(folder)


def measure(number: int, num_queries: int, num_models: int) -> dict[str, Any]:
    """Measures a store of `number` tracklets with embeddings and attributes of so many models."""
    serving = yaml.safe_load(Path(PARAMS).read_text())["serving"]
    settings, top_k = SearchSettings.model_validate(serving["search"]), serving["service"]["top_k"]
    walking = {name: serving["route"][name] for name in WalkingSettings.model_fields}
    with tempfile.TemporaryDirectory() as folder, _started_again(Path(folder) / "store") as store:
        url = store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        people = People(max(1, number // _TRACKLETS_A_PERSON))
        schema = read_schema("suseong")
        kept, filled = fill(
            store, url, people, number, descriptions(schema), ["bench", *(f"bench-{i}" for i in range(1, num_models))]
        )
        photos = people.seen(num_queries)
        curve, transits = MatchCurve(0.3, 0.05), Transits(WalkingSettings.model_validate(walking))
        searcher = Searcher(store, curve, settings, "bench", transits, "bench")
        four = [("bench", f"c{i}") for i in range(1, 5)]
        middle = _START + timedelta(days=_DAYS / 2)
        place = camera_of("c20")
        seen = Seen(place.latitude, place.longitude, middle.timestamp(), ("bench", "c20"), within_s=300)
        cases: dict[str, Callable[[np.ndarray], Any]] = {
            f"nearest {_NEAREST}": lambda query: queries.nearest(store.engine, query, "bench", _NEAREST),
            "… of 4 cameras": lambda query: queries.nearest(
                store.engine, query, "bench", _NEAREST, TrackletFilter(four)
            ),
            "… of one day": lambda query: queries.nearest(
                store.engine, query, "bench", _NEAREST, TrackletFilter(None, middle, middle + timedelta(days=1))
            ),
            f"re-ranked {settings.candidates}": lambda query: searcher.search(query, top_k=top_k),
            f"re-ranked {settings.candidates}, of 4 cameras": lambda query: searcher.search(
                query, top_k=top_k, where=TrackletFilter(four)
            ),
            f"re-ranked {settings.candidates} and {settings.candidates // 2}, with seen at": lambda query: (
                searcher.search(query, top_k=top_k, seen_at=[seen])
            ),
            **{
                f"described: {words}": partial(by_words, searcher, read_description(question(asked), schema))
                for words, asked in _QUESTIONS.items()
            },
            "coverage of each answer": lambda _: coverage_of(store, "bench"),
        }
        latencies, answers = {}, {}
        with threadpool_limits(1, "blas"):  # as the service does
            for title, search in cases.items():
                latencies[title], answers[title] = timed(search, photos)
        true = true_nearest(photos, kept, _NEAREST)
        returned = answers[f"nearest {_NEAREST}"]
        recall = [
            len({tracklet.id for tracklet in answer} & nearest) / _NEAREST
            for answer, nearest in zip(returned, true, strict=True)
        ]
        by_looks = Searcher(store, curve, settings.model_copy(update={"lambda_value": 1.0}), "bench", transits, "bench")
        recall_fused = fused_recall(by_looks, transits, seen, curve, photos, kept)
        with store.begin() as connection:
            huge_pages = connection.exec_driver_sql("SHOW huge_pages_status").scalar_one()
        return {
            **filled,
            "huge_pages": huge_pages,
            "latencies": latencies,
            f"recall_at_{_NEAREST}": float(np.mean(recall)),
            "least_recall": min(recall),
            f"recall_at_{_FIRST}_with_seen_at": recall_fused,
        }


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracklets", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--models", type=int, default=1, help="with embeddings and attributes of each tracklet")
    options = parser.parse_args()
    results = {}
    for number in options.tracklets:
        print(f"{number} tracklets", file=sys.stderr)
        results[number] = measure(number, options.queries, options.models)
    metadata = {
        "machine": platform.machine(),
        "cores": available_cores(),
        "feature": _FEATURE,
        "queries": options.queries,
        "models": options.models,
    }
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
