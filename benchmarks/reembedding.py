"""How fast stored sightings get embeddings and attributes of new models, as JSON.

    python -m benchmarks.reembedding                                     # after make demo
    python -m benchmarks.reembedding --root ../finished --sightings 5000 reid.backbone=resnet50

The sightings are those of the stage `track` with all their crops, again and again into a store of their own, as though
other models had seen them. Then `serving.reembed` does its work with the engines of the deployment: first a new re-ID
and a new attribute model, then a new re-ID model alone. `seconds` are those of the work, without the start of the
process; `cpu_seconds` are of all cores and without the database's processes.
"""

import argparse
import json
import platform
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import sqlalchemy as sa

from domain.cameras import Camera
from domain.cores import available_cores
from domain.errors import InputError
from domain.images import decode_jpeg
from domain.model_card import read_card
from domain.tracklets import Tracklet
from serving.database import tables
from serving.database.crops import crop_paths
from serving.database.reembedding import Models
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from serving.reembed import Reembedding

_EARLIER = Models("earlier-000000000000", "earlier-000000000000")


def stored(store: Store, district: str) -> tuple[list[Camera], list[Tracklet]]:
    """Cameras and sightings of the district, with their crops as they are stored.

    Raises:
        InputError: if there are none.
    """
    seen, embedded, cameras = tables.tracklets, tables.tracklet_embeddings, tables.cameras
    same = [seen.c.district == embedded.c.district, seen.c.id == embedded.c.tracklet_id, seen.c.day == embedded.c.day]
    joined = sa.select(seen, embedded.c.embedding).join_from(seen, embedded, sa.and_(*same)).order_by(seen.c.id)
    with store.begin() as connection:
        rows = connection.execute(joined.where(seen.c.district == district)).mappings().all()
        places = connection.execute(sa.select(cameras).where(cameras.c.district == district)).mappings().all()
    if not rows:
        raise InputError(f"the store must hold sightings of {district}, got none; run the stage track")
    fields = Camera.model_fields.keys()
    return [Camera(**{name: row[name] for name in fields if name in row}) for row in places], [
        _tracklet(row, [store.crops.read(path) for path in crop_paths(row["crop"], row["num_crops"])]) for row in rows
    ]


def measure(deployment: Deployment, number: int) -> dict[str, Any]:
    """Rates of both kinds of work."""
    with open_store(deployment.store) as store:
        cameras, tracklets = stored(store, deployment.district)
    many = [replace(tracklets[place % len(tracklets)], id=place + 1) for place in range(number)]
    perception = Perception(*deployment.open_engines(), deployment.perception)
    reid = read_card(deployment.engine(deployment.reid)).version
    results = {}
    for name, attributes in (("re-ID and attributes", perception.attributes_version), ("re-ID", _EARLIER.attributes)):
        with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "store") as store:
            store.replace_sightings(
                deployment.district, cameras, _EARLIER.reid, many, attributes_version=_EARLIER.attributes
            )
            results[name] = _run(Reembedding(store, perception, Models(reid, attributes)), number)
    metadata = {"machine": platform.machine(), "cores": available_cores(), "model": reid, "sightings": number}
    metadata |= {"crops_a_sighting": float(np.mean([1 + len(one.more_crops) for one in many]))}
    return {"metadata": metadata, "results": results}


def _run(work: Reembedding, number: int) -> dict[str, float]:
    start, cpu_start = perf_counter(), process_time()
    with redirect_stdout(sys.stderr):  # on which it tells how far it is
        work.run(threading.Event())
    seconds, cpu_s = perf_counter() - start, process_time() - cpu_start
    assert work.num_done == number, "all sightings lacked an embedding by the new model"
    return {"sightings_a_second": number / seconds, "seconds": seconds, "cpu_seconds": cpu_s}


def _tracklet(row: sa.RowMapping, jpegs: Sequence[bytes]) -> Tracklet:
    """As it was before it was stored, but for its boxes."""
    first_seen: datetime = row["first_seen"]
    return Tracklet(
        id=row["id"],
        camera_id=row["camera_id"],
        first_frame=1,
        last_frame=1,
        first_seen=first_seen,
        last_seen=row["last_seen"],
        frames=np.array([1]),
        boxes_xyxy=np.array([[0, 0, 1, 1]], np.float32),
        scores=np.ones(1, np.float32),
        embedding=np.asarray(row["embedding"], np.float32),
        attributes={"none": {"none": 1.0}},
        quality=1.0,
        crops=[decode_jpeg(jpegs[0])],
        more_crops=jpegs[1:],
    )


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(), help="repository whose stage `track` has run")
    parser.add_argument("--sightings", type=int, default=2000)
    parser.add_argument("overrides", nargs="*", help="settings, such as reid.backbone=resnet50")
    options = parser.parse_args()
    json.dump(measure(Deployment.read(options.root, options.overrides), options.sightings), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
