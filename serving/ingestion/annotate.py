"""Draws tracklets into their video, to check the tracker by eye."""

import colorsys
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from domain.tracklets import Tracklet
from domain.videos import VideoLimits
from serving.video.files import Frame, VideoReader, video_writer

_GOLDEN_RATIO = 0.618033988749895
_TRAIL_S = 2.0
_NO_IMAGE = np.empty((0, 0, 3), np.uint8)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate_video(source: Path, tracklets: Iterable[Tracklet], target: Path, limits: VideoLimits) -> None:
    """Write `source` to `target` (mp4) with the box, the id and the recent path of each tracklet.

    Raises:
        InputError: if `source` cannot be read.
    """
    rows: dict[int, list[tuple[Tracklet, int]]] = defaultdict(list)
    for tracklet in tracklets:
        for row, frame in enumerate(tracklet.frames.tolist()):
            rows[frame].append((tracklet, row))
    with VideoReader(source, limits=limits) as reader, video_writer(target, reader.fps) as write:
        recent: deque[Frame] = deque()
        for frame in reader:
            recent.append(replace(frame, image=_NO_IMAGE))
            while recent[0].time_s < frame.time_s - _TRAIL_S:
                recent.popleft()
            image = frame.image.copy()
            for tracklet, row in rows[frame.number]:
                first = np.searchsorted(tracklet.frames, recent[0].number)
                draw_person(image, tracklet.id, tracklet.boxes_xyxy[first : row + 1])
            write(image, frame.time_s)


def draw_person(image: np.ndarray, track: int, boxes_xyxy: np.ndarray) -> None:
    """Draw the last of `boxes_xyxy` `[frame, 4]`, the id and the path of the feet into `image` (RGB, in place)."""
    colour = track_colour(track)
    left, top, right, bottom = (round(float(value)) for value in boxes_xyxy[-1])
    thickness = max(1, round(image.shape[0] / 360))
    feet = np.stack([(boxes_xyxy[:, 0] + boxes_xyxy[:, 2]) / 2, boxes_xyxy[:, 3]], axis=1)
    cv2.polylines(image, [feet.round().astype(np.int32)], isClosed=False, color=colour, thickness=thickness)
    cv2.rectangle(image, (left, top), (right, bottom), colour, thickness)
    scale = max(0.4, image.shape[0] / 1000)
    (width, height), _ = cv2.getTextSize(str(track), _FONT, scale, 1)
    cv2.rectangle(image, (left, top - height - 6), (left + width + 4, top), colour, cv2.FILLED)
    cv2.putText(image, str(track), (left + 2, top - 3), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)


def track_colour(track: int) -> tuple[int, int, int]:
    """A bright RGB colour for this id, different from those of neighbouring ids.

    Example:
        >>> track_colour(1) == track_colour(1), track_colour(1) == track_colour(2)
        (True, False)
    """
    red, green, blue = colorsys.hsv_to_rgb(track * _GOLDEN_RATIO % 1, 0.9, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)
