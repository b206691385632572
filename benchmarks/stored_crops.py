"""How well the stored crops stand in for the video: mAP of their embeddings beside those of ingest, as JSON.

    python -m benchmarks.stored_crops                     # in the repository, where the stage `track` has run
    python -m benchmarks.stored_crops --root ../finished

Ingest gives a sighting the mean over all frames that it embeds, weighed by their quality; `serving.reembed` gives it
the mean over the crops that are kept. Both are by one re-ID engine, so that only the crops differ. Each tracklet
with more than half of its boxes on a person of the videos' ground truth is a query for that person's tracklets in other
cameras, among all tracklets. Differences have 95 % intervals of a paired bootstrap over people. Bytes are those of the
tables with their indexes, and of the encrypted files, over all sightings of the store.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from jaxtyping import Float, Float32, Int

from benchmarks.finished import people_of, print_measures
from domain.embeddings import cosine_distances, unit_length
from domain.errors import InputError
from domain.images import decode_jpeg
from domain.model_card import read_card
from domain.paths import TRACKS
from evaluation.intervals.bootstrap import Sample, difference, ratios, resample
from evaluation.intervals.of_retrieval import UNIT
from evaluation.retrieval import RetrievalScores, evaluate_retrieval
from serving.database import tables
from serving.database.crops import crop_paths, frame_path
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception

_REPEATS = 1000
_DISTRACTOR = 0  # identity of a tracklet of nobody in the ground truth
_TABLES = ("tracklets", "tracklet_embeddings", "tracklet_attributes")


def sightings(store: Store, district: str, model_version: str) -> Sequence[sa.RowMapping]:
    """Stored sightings of the district, with their embeddings of ingest."""
    seen, embedded = tables.tracklets, tables.tracklet_embeddings
    same = [seen.c.district == embedded.c.district, seen.c.id == embedded.c.tracklet_id, seen.c.day == embedded.c.day]
    columns = [seen.c[name] for name in ("id", "camera_id", "crop", "num_crops")]
    query = sa.select(*columns, embedded.c.embedding).join_from(seen, embedded, sa.and_(*same)).order_by(seen.c.id)
    by_model = (seen.c.model_version == model_version) & (embedded.c.model_version == model_version)
    with store.begin() as connection:
        return connection.execute(query.where(seen.c.district == district, by_model)).mappings().all()


def embeddings_by_crops(
    store: Store, perception: Perception, rows: Sequence[sa.RowMapping]
) -> list[Float32[np.ndarray, "sighting feature"]]:
    """Embeddings from the best stored crop of each sighting, from the best two, …, up to all of them."""
    of_crops = [
        perception.embed([decode_jpeg(store.crops.read(path)) for path in crop_paths(row["crop"], row["num_crops"])])
        for row in rows
    ]
    return [
        np.stack([unit_length(each[:number].mean(axis=0)) for each in of_crops])
        for number in range(1, max(map(len, of_crops)) + 1)
    ]


def scores_of(
    embeddings: Float[np.ndarray, "sighting feature"],
    people: Int[np.ndarray, " sighting"],
    cameras: Int[np.ndarray, " sighting"],
) -> RetrievalScores:
    """Each sighting is a query, and all are the gallery."""
    return evaluate_retrieval(cosine_distances(embeddings, embeddings), people, people, cameras, cameras)


def sample_of(scores: RetrievalScores, people: Int[np.ndarray, " sighting"]) -> Sample:
    """mAP, with people as units."""
    counted = scores.first_ranks > 0
    units, person = np.unique(people[counted], return_inverse=True)
    above = np.bincount(person, scores.average_precisions[counted])
    means = ratios({"map": above}, {"map": np.bincount(person).astype(np.float64)})
    return Sample(UNIT, len(units), int(counted.sum()), means)


def bytes_a_sighting(store: Store) -> dict[str, float]:
    """Of each table with its indexes, of the best crops, the other crops and the full frames."""
    size = sa.text(
        "SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size(:name))"
        " FROM pg_partition_tree(:name)"  # a table without partitions has none
    )
    seen = tables.tracklets
    with store.begin() as connection:
        sizes = {name: int(connection.execute(size, {"name": name}).scalar_one()) for name in _TABLES}
        rows = connection.execute(sa.select(seen.c.crop, seen.c.full_frame)).all()
    files = store.crops.sizes("crops")
    sizes["best_crops"] = sum(files[row.crop] for row in rows)
    sizes["full_frames"] = sum(files[frame_path(row.crop)] for row in rows if row.full_frame is not None)
    sizes["more_crops"] = sum(files.values()) - sizes["best_crops"] - sizes["full_frames"]
    return {name: size / len(rows) for name, size in sizes.items()}


def measure(deployment: Deployment) -> dict[str, Any]:
    """Scores of both kinds of embeddings, and bytes.

    Raises:
        InputError: if the store lacks the tracklets of the stage `track`.
    """
    version = read_card(deployment.engine(deployment.reid)).version
    person_of = people_of(deployment.root, deployment.district)
    with open_store(deployment.store) as store:
        rows = sightings(store, deployment.district, version)
        if missing := person_of.keys() - {row["id"] for row in rows}:
            raise InputError(
                f"the store must hold all tracklets of {TRACKS.of(deployment.district)} by the model {version}, lacks "
                f"{len(missing)}; rerun track"
            )
        perception = Perception(*deployment.open_engines(), deployment.perception)
        by_crops = embeddings_by_crops(store, perception, rows)
        sizes = bytes_a_sighting(store)
    people = np.array([person_of.get(row["id"], _DISTRACTOR) for row in rows])
    _, cameras = np.unique([row["camera_id"] for row in rows], return_inverse=True)
    stored = np.array([row["embedding"] for row in rows], np.float32)
    ingest = scores_of(stored, people, cameras)
    theirs = resample(sample_of(ingest, people), _REPEATS)
    crops = []
    for number, embeddings in enumerate(by_crops, start=1):
        scores = scores_of(embeddings, people, cameras)
        change = difference(resample(sample_of(scores, people), _REPEATS), theirs, "map")
        crops.append(
            {
                "crops": number,
                "map": scores.mean_average_precision,
                "rank1": scores.rank(1),
                "map_change": change.value,
                "map_change_low": change.low,
                "map_change_high": change.high,
                "mean_cosine_to_ingest": float((embeddings * stored).sum(axis=1).mean()),
            }
        )
    metadata = {"district": deployment.district, "model": version, "sightings": len(rows), "cameras": len(set(cameras))}
    metadata |= {"people": theirs.num_units, "queries": ingest.num_valid_queries}
    metadata |= {"crops_a_sighting": float(np.mean([row["num_crops"] for row in rows]))}
    return {
        "metadata": metadata,
        "results": {
            "ingest": {"map": ingest.mean_average_precision, "rank1": ingest.rank(1)},
            "stored_crops": crops,
            "bytes_a_sighting": sizes,
        },
    }


def main() -> None:
    """Print one JSON document."""
    print_measures(__doc__, measure)


if __name__ == "__main__":
    main()
