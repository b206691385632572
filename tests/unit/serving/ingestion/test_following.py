"""Videos of which few frames are looked at."""

from pathlib import Path

import pytest

from serving.database.segments import Looks
from serving.ingestion.following import TrackingSettings
from tests.helpers.walkers import BLUE, GREEN, RED, follow_files, settings, write_video


@pytest.mark.slow
@pytest.mark.parametrize(("stride", "looked_at"), [(1, 60), (5, 12), (10, 6)])
def test_everybody_is_found_and_the_looks_are_counted(tmp_path: Path, stride: int, looked_at: int) -> None:
    video = write_video(tmp_path / "street.mp4", [RED, GREEN, BLUE], fps=10, seconds=6)
    chosen = TrackingSettings.model_validate(settings().model_dump() | {"frame_stride": stride})
    [followed] = follow_files([video], chosen=chosen)
    assert followed.looks == Looks(looked_at, due=looked_at)
    assert len(followed.tracklets) == 3
    assert all(tracklet.duration_s >= 4.5 for tracklet in followed.tracklets)


@pytest.mark.slow
def test_what_cannot_be_read_was_due(tmp_path: Path) -> None:
    content = bytearray(write_video(tmp_path / "street.mp4", [RED], fps=10, seconds=6).read_bytes())
    begin = content.index(b"mdat")
    for place in range(begin + (content.index(b"moov") - begin) // 2, content.index(b"moov"), 2):
        content[place] ^= 0xFF
    (tmp_path / "damaged.mp4").write_bytes(content)
    [followed] = follow_files([tmp_path / "damaged.mp4"])
    assert followed.damage is not None
    assert followed.looks.unreadable > 0
    assert followed.looks.due == followed.looks.looked_at + followed.looks.unreadable
