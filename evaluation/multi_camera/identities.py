"""How well people keep one id over all cameras: `tracks/identities.csv`, scored as one video of all cameras."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from districts.box_files import TrackTable
from domain.answers import IDENTITIES
from domain.errors import ArtifactError
from evaluation.tracking import TrackingScores, score_tracking


def score_people(
    truth: Mapping[str, TrackTable], result: Mapping[str, TrackTable], people: Mapping[int, int], iou_threshold: float
) -> TrackingScores:
    """Scores of all cameras as one video, in which every person keeps one id from camera to camera.

    The cameras come one after the other in the order of `truth`; only MOTA's switches depend on it.

    Args:
        truth: of each camera; who is seen in several has one id in all.
        result: tracklets of each camera; their ids are unique over all.
        people: the person of each tracklet id.
        iou_threshold: overlap from which a box may be right, for IDF1 and MOTA.

    Raises:
        ArtifactError: if a tracklet has no person, or a person is in two boxes of a frame.
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
            f"{IDENTITIES} must say who each tracklet of camera {camera} is, lacks {unknown}; rerun track"
        )
    named = replace(table, tracks=np.array([people[track] for track in table.tracks.tolist()], np.int64))
    boxes, counts = np.unique(np.stack([named.frames, named.tracks], axis=1), axis=0, return_counts=True)
    if (counts > 1).any():
        frame, person = boxes[counts > 1][0]
        raise ArtifactError(
            f"{IDENTITIES} must have nobody twice in a picture, got person {person} so in frame {frame} of camera "
            f"{camera}; rerun track"
        )
    return named


def _one_after_the_other(tables: Sequence[TrackTable], starts: Sequence[int] | np.ndarray) -> TrackTable:
    shifted = [replace(table, frames=table.frames + start) for table, start in zip(tables, starts, strict=True)]
    return TrackTable(
        *(
            np.concatenate([getattr(table, name) for table in shifted])
            for name in ("frames", "tracks", "boxes_xyxy", "confidences")
        )
    )
