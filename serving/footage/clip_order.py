"""What a process that makes clips is told, and what it answers."""

import struct

from pydantic import BaseModel, ConfigDict

from domain.videos import VideoLimits

READY = b"+"
ORDER = struct.Struct("<Q")  # bytes of the order, which come with the descriptor of the video
# Before each part of a clip, and after the last: bytes of the refusal that follows (0: none), bytes of the part that
# follows (0: the clip is whole).
ANSWER = struct.Struct("<QQ")
MOST_REFUSAL_BYTES = 1000
MOST_CLIP_BYTES = 200_000_000


class ClipOrder(BaseModel):
    """A part of a video, and a person in it. Times are seconds since the first frame of the video."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str  # of the video, in messages
    begin_s: float
    end_s: float
    first_seen_s: float | None = None  # of the person; None: no person is marked
    # frame, left, top, right, bottom; the frame at `first_seen_s` has the number of the first box, later ones count on
    boxes: list[tuple[int, float, float, float, float]] = []
    limits: VideoLimits = VideoLimits()
    most_side_px: int = 1280  # of the clip; larger pictures are scaled down
    is_quick: bool = False  # whether scaling may cost sharpness to save time
    cpu_s: float = 20.0  # processor time, after which the process ends
