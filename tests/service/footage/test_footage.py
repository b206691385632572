"""The full frame of a sighting and clips around it, over videos of people who walk through."""

import os
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.cameras import Camera
from domain.deadline import OverdueError, deadline_after
from domain.errors import InputError
from domain.tracklets import Tracklet
from domain.videos import VideoLimits
from serving.database import segments
from serving.database.districts import add_cameras
from serving.database.retention import remove_before
from serving.database.store import Store
from serving.footage import clips
from serving.footage.clip_order import ClipOrder
from serving.footage.clips import ClipMakers, NoFootageError
from serving.footage.footage import Footage
from tests.helpers.clips import box_of, mark_of, pictures_of, times_of
from tests.helpers.sightings import in_transaction
from tests.helpers.stamped_videos import remux, turn, write_stamped
from tests.helpers.walkers import COLOURS, HEIGHT, START, WIDTH, Walker, follow_files, picture, write_video

FPS, SECONDS = 10, 20.0
FIRST_PART, PART = 3, 15  # pictures
RED = Walker("red", -160, 20, seen_s=(9.0, 14.0))
BLUE = Walker("blue", 100, 0, top=70)
CAMERAS = [
    Camera(id=name, name=name, latitude=35.85 + i / 1000, longitude=128.6, fps=FPS, width_px=WIDTH, height_px=HEIGHT)
    for i, name in enumerate(["gate", "port", "bank"])
]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("street") / "gate.mp4", [RED, BLUE], fps=FPS, seconds=SECONDS)


@pytest.fixture(scope="module")
def seen(street: Path) -> list[Tracklet]:
    """The red person, then the blue one in pieces."""
    [followed] = follow_files([street])
    return sorted(followed.tracklets, key=lambda one: -one.embedding[0])


@pytest.fixture(scope="module")
def footage(shared_store: Store) -> Iterator[Footage]:
    with shared_store.begin() as connection:
        add_cameras(connection, "demo", CAMERAS, time_zone="UTC")
    opened = Footage(lambda: shared_store)
    yield opened
    opened.close()


def store_recording(store: Store, file: Path, tracklets: list[Tracklet], camera: str = "gate") -> int:
    """Number of the first of `tracklets`, which `file` shows."""
    tracklets = [Tracklet(**vars(one) | {"camera_id": camera}) for one in tracklets]
    segment = in_transaction(store, segments.register, "demo", camera, str(file), f"{file}", START)
    end = START + timedelta(seconds=SECONDS)
    store.add_segment(segment.id, tracklets, "net-1", frames=round(FPS * SECONDS), end=end)
    if not tracklets:
        return 0
    first = min(range(len(tracklets)), key=lambda index: -tracklets[index].embedding[0])
    ordered = sorted(range(len(tracklets)), key=lambda index: (tracklets[index].first_frame, tracklets[index].id))
    return segment.id * segments.IDS_A_SEGMENT + ordered.index(first) + 1


def clip_of(footage: Footage, number: int, before_s: float = 2, after_s: float = 2, camera: str | None = None) -> bytes:
    return b"".join(footage.clip("demo", number, footage.window("demo", number, before_s, after_s, camera)))


def assert_marked(image: np.ndarray) -> None:
    """The frame is close around the red person."""
    person, mark = box_of(image, COLOURS["red"]), mark_of(image)
    assert person is not None
    assert mark is not None
    outside = np.array([-1, -1, 1, 1]) * (np.array(mark) - person)
    assert (outside >= 0).all()
    assert (outside <= 6).all()


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi", "flv"])
def test_the_frame_is_on_the_person_in_each_picture(
    footage: Footage, shared_store: Store, street: Path, seen: list[Tracklet], tmp_path: Path, container: str
) -> None:
    file = tmp_path / f"gate.{container}"
    if container == "avi":  # which cannot hold frames out of order
        times_s = [number / FPS for number in range(round(SECONDS * FPS))]
        write_stamped(file, times_s, size=(WIDTH, HEIGHT), picture=lambda number: picture([RED, BLUE], number / FPS))
    else:
        remux(street, file)  # with one key frame, at the beginning
    number = store_recording(shared_store, file, seen)
    clip = clip_of(footage, number)
    pictures, times_s = pictures_of(clip), times_of(clip)
    assert len(pictures) == len(times_s) == pytest.approx(FPS * 9, abs=2)
    np.testing.assert_allclose(np.diff(times_s), 1 / FPS, atol=0.005)
    marked = [number for number, image in enumerate(pictures) if mark_of(image)]
    assert [times_s[at] for at in (marked[0], marked[-1])] == pytest.approx([2.0, 7.0], abs=0.21)
    for at in marked:
        assert_marked(pictures[at])
    assert marked == [at for at, image in enumerate(pictures) if box_of(image, COLOURS["red"])]


def test_the_full_frame_is_kept_with_the_box_and_goes_with_the_sighting(
    footage: Footage, shared_store: Store, street: Path, seen: list[Tracklet], tmp_path: Path
) -> None:
    number = store_recording(shared_store, remux(street, tmp_path / "kept.mp4"), seen)
    picture = np.asarray(Image.open(BytesIO(footage.frame("demo", number))))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    about = footage.about("demo", number)
    assert about.box_xyxy == pytest.approx(box_of(picture, COLOURS["red"]), abs=3)
    paths = [path for path in shared_store.crops.of_district("demo") if path.endswith(".frame.jpg")]
    assert paths
    for path in paths:
        stored = (shared_store.folder / path).read_bytes()
        assert b"JFIF" not in stored
        assert shared_store.crops.read(path)[:2] == b"\xff\xd8"
    remove_before(shared_store, START + timedelta(days=1), "test")
    assert shared_store.crops.of_district("demo") == set()
    with pytest.raises(NoFootageError, match="must be of a stored sighting, got demo/"):
        footage.frame("demo", number)


def test_a_near_camera_shows_the_same_moment_without_a_frame(
    footage: Footage, shared_store: Store, street: Path, seen: list[Tracklet], tmp_path: Path
) -> None:
    number = store_recording(shared_store, street, seen)
    store_recording(shared_store, remux(street, tmp_path / "bank.mkv"), [], camera="bank")
    about = footage.about("demo", number)
    assert [near.camera_id for near in about.near] == ["bank"], "the other has no recording"
    assert about.near[0].distance_m == pytest.approx(222, abs=1)
    clip, other = clip_of(footage, number), clip_of(footage, number, camera="bank")
    np.testing.assert_array_equal(times_of(other), times_of(clip))
    assert not any(mark_of(image) for image in pictures_of(other))
    with pytest.raises(NoFootageError, match="camera port has no recording of that moment"):
        clip_of(footage, number, camera="port")
    with pytest.raises(InputError, match="camera must be one of the sighting's district, got elsewhere"):
        clip_of(footage, number, camera="elsewhere")


def test_a_recording_that_is_gone_is_said(
    footage: Footage, shared_store: Store, street: Path, seen: list[Tracklet], tmp_path: Path
) -> None:
    file = remux(street, tmp_path / "gone.mp4")
    number = store_recording(shared_store, file, seen)
    file.unlink()
    about = footage.about("demo", number)
    assert (about.has_clip, about.box_xyxy is not None) == (False, True)
    assert "the recording of a sighting must lie where it was processed" in str(about.why_no_clip)
    with pytest.raises(NoFootageError, match="the recording of a sighting must lie where it was processed"):
        clip_of(footage, number)
    os.mkfifo(file)  # from which nothing would ever come
    with pytest.raises(NoFootageError, match="must lie where it was processed"):
        clip_of(footage, number)
    file.unlink()
    file.write_text("no video")
    with pytest.raises(NoFootageError, match="the recording of gate must be a video"):
        clip_of(footage, number)
    assert clip_of(footage, store_recording(shared_store, street, seen)), "the next one is made"


def test_a_turned_video_is_shown_upright(footage: Footage, shared_store: Store, street: Path, tmp_path: Path) -> None:
    file = remux(street, tmp_path / "turned.mp4")
    turn(file, (0, 1, -1, 0))
    [followed] = follow_files([file])
    number = store_recording(shared_store, file, followed.tracklets)
    marked = [image for image in pictures_of(clip_of(footage, number)) if mark_of(image) is not None]
    assert marked[0].shape == (WIDTH, HEIGHT, 3)


def test_the_process_is_bounded_in_time_and_memory(street: Path) -> None:
    makers, whole = ClipMakers(1), ClipOrder(name="the street", begin_s=0, end_s=SECONDS)
    with street.open("rb") as file:
        assert len(times_of(b"".join(makers.make(file.fileno(), whole)))) == FPS * SECONDS
        with pytest.raises(NoFootageError, match=r"the street must be a video that can be decoded in 0\.01 s"):
            list(makers.make(file.fileno(), whole.model_copy(update={"cpu_s": 0.01})))
        with pytest.raises(NoFootageError, match="must have frames of at most 100 pixels"):
            list(makers.make(file.fileno(), whole.model_copy(update={"limits": VideoLimits(max_pixels=100)})))
        with pytest.raises(NoFootageError, match="the street must have pictures from 99 to 100 s, got none"):
            list(makers.make(file.fileno(), whole.model_copy(update={"begin_s": 99, "end_s": 100})))
        with deadline_after(0), pytest.raises(OverdueError):
            list(makers.make(file.fileno(), whole))
        assert list(makers.make(file.fileno(), whole)), "another process takes its place"
    makers.close()


def test_a_clip_comes_in_parts_of_which_the_first_can_be_shown_alone(street: Path) -> None:
    makers, whole = ClipMakers(1), ClipOrder(name="the street", begin_s=0.55, end_s=SECONDS)
    with street.open("rb") as file:
        parts = list(makers.make(file.fileno(), whole))
        abandoned = makers.make(file.fileno(), whole)
        assert next(abandoned) == parts[0]
        abandoned.close()
        assert list(makers.make(file.fileno(), whole)) == parts, "by another process"
    makers.close()
    times_s = times_of(b"".join(parts))
    assert len(parts) == 1 + -(-(len(times_s) - FIRST_PART) // PART) > 2
    np.testing.assert_array_equal(times_of(parts[0]), times_s[:FIRST_PART])
    assert times_s[0] == pytest.approx(0.05), "counted from the begin that was ordered"


def test_a_clip_that_breaks_off_is_no_clip(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makers, whole = ClipMakers(1), ClipOrder(name="the street", begin_s=0, end_s=SECONDS)
    with street.open("rb") as file:
        parts = list(makers.make(file.fileno(), whole))
        monkeypatch.setattr(clips, "MOST_CLIP_BYTES", len(parts[0]) + len(parts[1]))
        broken_off = makers.make(file.fileno(), whole)
        assert [next(broken_off), next(broken_off)] == parts[:2]
        with pytest.raises(NoFootageError, match="the street must be a video that can be decoded without harm"):
            next(broken_off)
        monkeypatch.undo()
        with deadline_after(60):
            overdue = makers.make(file.fileno(), whole)
            next(overdue)
        with deadline_after(0), pytest.raises(OverdueError):
            list(overdue)
        assert list(makers.make(file.fileno(), whole)) == parts, "by another process"
    makers.close()


def test_the_process_can_open_no_other_file(street: Path, tmp_path: Path) -> None:
    """A text that FFmpeg takes for a list of files names one that exists."""
    secret = remux(street, tmp_path / "secret.mp4")
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    makers = ClipMakers(1)
    with playlist.open("rb") as file, pytest.raises(NoFootageError):
        next(makers.make(file.fileno(), ClipOrder(name="a list", begin_s=0, end_s=1)))
    makers.close()


def test_of_a_fast_camera_some_pictures_are_shown(tmp_path: Path) -> None:
    file = write_video(tmp_path / "fast.mp4", [BLUE], fps=60, seconds=2)
    makers = ClipMakers(1)
    with file.open("rb") as opened:
        clip = b"".join(makers.make(opened.fileno(), ClipOrder(name="fast", begin_s=0, end_s=2)))
    makers.close()
    assert np.diff(times_of(clip)) == pytest.approx(1 / 15, abs=0.002)
