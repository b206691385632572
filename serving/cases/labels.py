"""Judged and corrected sightings of cases as labelled crops, for retraining."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from domain.atomic import atomic_folder
from domain.csv_cells import inert
from domain.images import decode_jpeg, encode_jpeg
from serving.cases.boxes import Box, last_boxes
from serving.cases.corrections import last_corrections
from serving.cases.standing import Standing, sightings_standing
from serving.database import queries, tables
from serving.database.crops import frame_path
from serving.database.districts import stored_districts
from serving.database.store import Store
from serving.database.tracklet_rows import StoredTracklet
from serving.search.search import SightingKey

_COLUMNS = ("file", "identity", "case", "verdict", "district", "camera_id", "tracklet_id", "first_seen", "last_seen")
_CROPS = "bounding_box_train"
_SIDES = ("left", "top", "right", "bottom")  # pixels


@dataclass(frozen=True)
class Exported:
    """Numbers of pictures."""

    judged: int
    corrected: int  # of which attributes were corrected
    framed: int  # full frames in which boxes were corrected


def export_labels(store: Store, folder: Path) -> Exported:
    """Writes crops, `labels.csv`, corrected attributes and boxes to a new `folder`, all or nothing.

    A crop whose box somebody corrected is cut anew from the full frame.

    Raises:
        ArtifactError: if a crop cannot be decrypted.
    """
    judged = _judged(store)
    confirmed_cases = sorted({case for case, _, _, verdict in judged if verdict == Standing.CONFIRMED})
    identity_of_case = {case: identity for identity, case in enumerate(confirmed_cases, start=1)}
    with store.begin() as connection:
        stored = queries.tracklets(connection, {(row[1], row[2]) for row in judged})
        districts = stored_districts(connection)
    cameras = [(district.name, camera.id) for district in districts for camera in district.cameras]
    tracklets = {(tracklet.district, tracklet.id): tracklet for tracklet in stored}
    number, boxes = 0, _corrected_boxes(store)
    with atomic_folder(folder) as aside, (aside / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        (aside / _CROPS).mkdir()
        table = csv.DictWriter(file, _COLUMNS)
        table.writeheader()
        for case, district, tracklet_id, verdict in judged:
            tracklet = tracklets.get((district, tracklet_id))
            if tracklet is None:
                continue
            identity = identity_of_case[case] if verdict == Standing.CONFIRMED else 0
            camera = cameras.index((district, tracklet.camera.id)) + 1
            name = f"{identity:04d}_c{camera}s1_{number:06d}_00.jpg"
            (aside / _CROPS / name).write_bytes(_crop(store, tracklet, boxes))
            times = tracklet.first_seen.isoformat(), tracklet.last_seen.isoformat()
            cells = (name, identity, case, verdict, district, tracklet.camera.id, tracklet_id, *times)
            table.writerow(inert(dict(zip(_COLUMNS, cells, strict=True))))
            number += 1
        people = {row[1:3]: identity_of_case[row[0]] for row in judged if row[3] == Standing.CONFIRMED}
        corrected = _write_corrected(store, aside / "attributes", people, len(confirmed_cases), boxes)
        framed = _write_frames(store, aside / "detection", boxes)
    return Exported(number, corrected, framed)


def _write_corrected(
    store: Store,
    folder: Path,
    people: dict[SightingKey, int],
    last_identity: int,
    boxes: Mapping[SightingKey, Box],
) -> int:
    """Writes corrected sightings as a training split of `districts.layout`; returns their number.

    Groups that nobody corrected are unknown. Sightings that no case confirms get identities of their own.
    """
    labels: dict[SightingKey, dict[str, str]] = {}
    with store.begin() as connection:
        for row in connection.execute(last_corrections(sa.true())):
            labels.setdefault((row.district, row.tracklet_id), {})[row.group_name] = row.label
        known = connection.execute(sa.select(tables.attribute_labels.c.group_name).distinct()).scalars().all()
        stored = queries.tracklets(connection, labels) if labels else []
    if not stored:
        return 0
    groups = sorted({*known, *(group for each in labels.values() for group in each)})
    (folder / "images").mkdir(parents=True)
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["image", "identity", "camera", *groups])
        table.writeheader()
        for number, one in enumerate(sorted(stored, key=lambda each: (each.district, each.id)), start=1):
            key, image = (one.district, one.id), f"{number:06d}.jpg"
            (folder / "images" / image).write_bytes(_crop(store, one, boxes))
            identity = people.get(key, last_identity + number)
            told = {"image": image, "identity": identity, "camera": one.camera.id, **labels[key]}
            table.writerow(inert(dict.fromkeys(groups, "") | told))
    return len(stored)


def _write_frames(store: Store, folder: Path, boxes: Mapping[SightingKey, Box]) -> int:
    """Writes full frames with the boxes that people drew in them as `boxes.csv`; returns their number.

    They are to be completed in a labelling tool: nobody has looked for other people in them.
    """
    with store.begin() as connection:
        stored = queries.tracklets(connection, boxes) if boxes else []
    frames = [(one, frame) for one in stored if (frame := _full_frame(store, one)) is not None]
    if not frames:
        return 0
    (folder / "images").mkdir(parents=True)
    with (folder / "boxes.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["image", *_SIDES, "district", "camera_id", "tracklet_id"])
        table.writeheader()
        for number, (one, frame) in enumerate(frames, start=1):
            image = f"{number:06d}.jpg"
            (folder / "images" / image).write_bytes(frame)
            sides = dict(zip(_SIDES, boxes[one.district, one.id], strict=True))
            told = {"district": one.district, "camera_id": one.camera.id, "tracklet_id": one.id}
            table.writerow(inert({"image": image, **sides, **told}))
    return len(frames)


def _corrected_boxes(store: Store) -> dict[SightingKey, Box]:
    with store.begin() as connection:
        return {(row.district, row.tracklet_id): row.box_xyxy for row in connection.execute(last_boxes(sa.true()))}


def _crop(store: Store, seen: StoredTracklet, boxes: Mapping[SightingKey, Box]) -> bytes:
    """JPEG of the person: cut by the corrected box, if there are one and a full frame, else as it was stored."""
    box = boxes.get((seen.district, seen.id))
    frame = _full_frame(store, seen) if box is not None else None
    if box is None or frame is None:
        return store.crops.read(seen.crop)
    image = decode_jpeg(frame)
    height, width = image.shape[:2]
    left, top = (int(min(max(side, 0), most - 1)) for side, most in zip(box[:2], (width, height), strict=True))
    right, bottom = math.ceil(min(box[2], width)), math.ceil(min(box[3], height))
    return encode_jpeg(image[top : max(bottom, top + 1), left : max(right, left + 1)])


def _full_frame(store: Store, seen: StoredTracklet) -> bytes | None:
    try:
        return store.crops.read(frame_path(seen.crop))
    except FileNotFoundError:  # none was kept
        return None


def _judged(store: Store) -> list[tuple[int, str, int, str]]:
    """Case, district, tracklet id and standing, confirmed or rejected, of each judged sighting, in this order."""
    with store.begin() as connection:
        return sorted(
            (case, *key, standing)
            for standing in (Standing.CONFIRMED, Standing.REJECTED)
            for case, key in sightings_standing(connection, sa.true(), standing)
        )
