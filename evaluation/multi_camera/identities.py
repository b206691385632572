"""Tracking scores of global ids: all cameras as one video, with the ids of `identities.csv` of `track`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from districts.box_files import TrackTable
from domain.answers import IDENTITIES
from domain.errors import ArtifactError
from evaluation.tracking import TrackingScores, score_tracking


def score_people(
    truth: Mapping[str, TrackTable], result: Mapping[str, TrackTable], people: Mapping[int, int], iou_threshold: float
) -> TrackingScores:
    """Scores of all cameras as one video, in which a person has one id in all cameras.

    The cameras follow each other in the order of `truth`; only the switches in MOTA depend on it.

    Args:
        truth: ground truth of each camera; a person has one id in all cameras.
        result: tracklets of each camera; their ids are unique over all cameras.
        people: person of each tracklet id.
        iou_threshold: minimum IoU of a correct box, for IDF1 and MOTA.

    Raises:
        ArtifactError: if a tracklet has no person, or a person has two boxes in a frame.
    """
    named = {camera: _under_people(camera, table, people) for camera, table in result.items()}
    lengths = [max((int(t.frames.max()) for t in (truth[c], named[c]) if len(t.frames)), default=0) for c in truth]
    starts = np.cumsum([0, *lengths])[:-1]
    return score_tracking(
        _one_after_the_other(list(truth.values()), starts),
        _one_after_the_other([named[camera] for camera in truth], starts),
        iou_threshold,
    )


def _under_people(camera: str, table: TrackTable, people: Mapping[int, int]) -> TrackTable:
    unknown = sorted(set(table.tracks.tolist()) - people.keys())
    if unknown:
        raise ArtifactError(
            f"{IDENTITIES} must have a person for each tracklet of camera {camera}, lacks {unknown}; rerun track"
        )
    named = replace(table, tracks=np.array([people[track] for track in table.tracks.tolist()], np.int64))
    boxes, counts = np.unique(np.stack([named.frames, named.tracks], axis=1), axis=0, return_counts=True)
    if (counts > 1).any():
        frame, person = boxes[counts > 1][0]
        raise ArtifactError(
            f"{IDENTITIES} must have a person at most once in a frame, got person {person} twice in frame {frame} of "
            f"camera {camera}; rerun track"
        )
    return named


def _one_after_the_other(tables: Sequence[TrackTable], starts: Int[np.ndarray, " camera"]) -> TrackTable:
    shifted = [replace(table, frames=table.frames + start) for table, start in zip(tables, starts, strict=True)]
    return TrackTable(
        *(
            np.concatenate([getattr(table, name) for table in shifted])
            for name in ("frames", "tracks", "boxes_xyxy", "confidences")
        )
    )
