from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from serving.video.files import VideoReader
from serving.video.frame_times import FrameTimes, Stamped
from tests.helpers.stamped_videos import restamp, write_stamped

pytestmark = pytest.mark.slow

BASE = [number / 10 for number in range(60)]
WRAP = 2**33 / 90_000


def date(times: Sequence[float | None]) -> tuple[list[float], FrameTimes]:
    """Times that are given to frames with these timestamps, whose file declares 10 frames a second."""
    dates = FrameTimes(0.1)
    dated = [time_s for _, time_s in dates.dated(Stamped(number, time_s) for number, time_s in enumerate(times))]
    assert all(later > earlier for earlier, later in pairwise(dated))
    return dated, dates


def changed(places: slice, times: Sequence[float | None]) -> list[float | None]:
    """The usual times, but for those at `places`."""
    return [*BASE[: places.start], *times, *BASE[places.stop :]]


def test_usual_times_are_taken_as_they_are_and_nothing_is_said() -> None:
    for first in (0.0, 5.0, 1.7e9):
        dated, dates = date([first + time_s for time_s in BASE])
        assert dated == pytest.approx(BASE, abs=1e-6)
        assert (dates.end_s, dates.remarks, dates.pauses_s) == (pytest.approx(6, abs=1e-6), [], [])


@pytest.mark.parametrize(
    ("times", "remark"),
    [
        pytest.param(changed(slice(20, 21), [18002.0]), "between them: frame 21", id="hours ahead"),
        pytest.param(changed(slice(20, 21), [3.7]), "between them: frame 21", id="a little ahead"),
        pytest.param(changed(slice(20, 21), [0.0]), "between them: frame 21", id="zero"),
        pytest.param(changed(slice(20, 21), [-90000.0]), "between them: frame 21", id="a day back"),
        pytest.param(changed(slice(20, 24), [900, 900.1, 900.2, 900.3]), "4, from frame 21 on", id="four ahead"),
        pytest.param(changed(slice(20, 24), [0.0, 0.1, 0.2, 0.3]), "4, from frame 21 on", id="four back"),
        pytest.param(changed(slice(59, 60), [7000.0]), "between them: frame 60", id="the last one"),
        pytest.param(changed(slice(0, 1), [50000.0]), "begin anew after frame 1;", id="the first one ahead"),
        pytest.param(changed(slice(0, 1), [-50000.0]), "begin anew after frame 1;", id="the first one back"),
        pytest.param(changed(slice(20, 24), [2.0] * 4), "3, from frame 22 on", id="time stands still"),
        pytest.param(changed(slice(5, 9), [None] * 4), "4, from frame 6 on", id="no time"),
        pytest.param([*BASE[:20], *(time_s - 1 for time_s in BASE[20:])], "begin anew after frame 20;", id="set back"),
        pytest.param([*BASE[:30], *BASE[:30]], "begin anew after frame 30;", id="two recordings in a file"),
        pytest.param(changed(slice(10, 40), BASE[:30]), "begin anew after frame 10;", id="set back and right again"),
        pytest.param(
            [*BASE[:20], *(18002 + number / 1e5 for number in range(40))], "frame 21", id="a muxer that must rise"
        ),
        pytest.param(
            [*BASE[:20], *(max(5 + number / 1e5, time_s) for number, time_s in enumerate(BASE[20:]))],
            "frame 21",
            id="a muxer that must rise, until it is right",
        ),
    ],
)
def test_times_that_the_neighbours_do_not_share_date_no_other_frame(times: list[float | None], remark: str) -> None:
    dated, dates = date(times)
    assert dated == pytest.approx(BASE, abs=0.02)
    assert dates.end_s == pytest.approx(6, abs=0.02)
    assert remark in "; ".join(dates.remarks)
    assert dates.pauses_s == []


def test_frames_without_any_time_are_dated_by_the_rate_and_it_is_said() -> None:
    for times in ([None] * 60, [4.0] * 60):
        dated, dates = date(times)
        assert dated == pytest.approx(BASE)
        assert "gives its frames no times of their own; they are dated at 10 frames a second" in dates.remarks[0]


def test_timestamps_that_wrap_go_on() -> None:
    dated, dates = date([(WRAP - 2 + time_s) % WRAP for time_s in BASE])
    assert dated == pytest.approx(BASE, abs=1e-6)
    assert dates.remarks == []


def test_a_rate_that_falls_is_taken_as_it_is() -> None:
    times = [*(number / 10 for number in range(20)), *(2.0 + number for number in range(40))]
    dated, dates = date(times)
    assert dated == times
    assert (dates.remarks, dates.end_s) == ([], 42.0)


def test_a_pause_is_kept_and_said() -> None:
    dated, dates = date([*BASE[:30], *(time_s + 600 for time_s in BASE[30:])])
    assert dated[-1] == pytest.approx(605.9)
    assert dates.pauses_s == [pytest.approx((2.9, 603.0))]
    assert dates.remarks == ["pauses for more than 10 s once, 0:10:00 in all"]


def test_a_step_of_hours_that_all_following_frames_share_ends_the_video() -> None:
    dated, dates = date([*BASE[:30], *(time_s + 18_000 for time_s in BASE[30:])])
    assert dated == BASE[:30]
    assert "jump ahead by 5:00:00 after frame 30; the frames after it are left out" in dates.remarks[0]
    assert dates.end_s == pytest.approx(3.0)


def test_the_last_frame_has_its_own_duration_if_that_is_plausible() -> None:
    for own_s, end_s in ((0.15, 1.05), (None, 1.0), (5.0, 1.0), (0.0, 1.0)):
        dates = FrameTimes(0.1)
        list(dates.dated(Stamped(number, number / 10, own_s) for number in range(10)))
        assert dates.end_s == pytest.approx(end_s)


def read(file: Path) -> tuple[list[float], VideoReader]:
    with VideoReader(file) as reader:
        return [frame.time_s for frame in reader], reader


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts", ".flv"])
@pytest.mark.parametrize("declared_fps", [2, 10, 200], ids=str)
def test_a_video_ends_with_its_last_frame_whatever_rate_its_header_says(
    tmp_path: Path, suffix: str, declared_fps: float
) -> None:
    times = [*(number / 10 for number in range(20)), *(2 + number * 0.8 for number in range(15))]
    dated, reader = read(write_stamped(tmp_path / f"a{suffix}", times, declared_fps=declared_fps))
    assert dated == pytest.approx(times, abs=0.002)
    assert reader.end_s == pytest.approx(times[-1], abs=0.9)
    assert reader.end_s > times[-1]
    assert reader.fps == pytest.approx(34 / times[-1], rel=1e-3)
    assert reader.damage is None


@pytest.mark.parametrize(
    "time_of",
    [
        pytest.param(lambda number, time_s: time_s + 4000 * (number in (30, 31)), id="two frames ahead"),
        pytest.param(lambda number, time_s: time_s + WRAP - 103.5, id="wraps"),
        pytest.param(lambda number, time_s: time_s + 40_000, id="begins late"),
        pytest.param(lambda number, time_s: time_s if number < 30 else time_s - 2, id="set back"),
    ],
)
def test_a_transport_stream_keeps_its_times(tmp_path: Path, time_of: object) -> None:
    file = write_stamped(tmp_path / "a.ts", BASE)
    restamp(file, time_of)  # type: ignore[arg-type]
    dated, reader = read(file)
    assert dated == pytest.approx(BASE, abs=0.02)
    assert reader.end_s == pytest.approx(6, abs=0.02)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".ts"])
def test_frames_that_are_stored_in_another_order_keep_their_times(tmp_path: Path, suffix: str) -> None:
    dated, reader = read(write_stamped(tmp_path / f"a{suffix}", BASE, reorders=True))
    assert dated == pytest.approx(BASE, abs=0.002)
    assert reader.damage is None


def test_a_stream_without_a_container_is_dated_and_it_is_said(tmp_path: Path) -> None:
    dated, reader = read(write_stamped(tmp_path / "a.h264", BASE))
    assert np.ptp(np.diff(dated)) < 1e-6
    assert reader.damage is not None
    assert "no times of their own; they are dated at" in reader.damage
