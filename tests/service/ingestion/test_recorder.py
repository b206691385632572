"""Live cameras are recorded into a ring, which stays within its bounds and shows what is around a sighting."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from serving.database import segments
from serving.database.districts import add_cameras
from serving.database.retention import remove_before
from serving.database.ring import Piece, Ring
from serving.database.store import Store
from serving.footage.footage import Footage
from serving.ingestion.recorder import Recorder, RingSettings
from tests.helpers.clips import box_of, mark_of, pictures_of
from tests.helpers.sightings import CAMERAS, in_transaction, put_into_case
from tests.helpers.stamped_videos import write_stamped
from tests.helpers.walkers import COLOURS, HEIGHT, WIDTH, Walker, follow_files, picture

FPS = 10
START = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
RED = Walker("red", -60, 20, seen_s=(4.0, 9.0))
SETTINGS = RingSettings(hours=1e5, gigabytes=1, piece_s=2)  # what is recorded here is old


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen seconds with B-frames, as cameras of the better kind send them."""
    times_s = [number / FPS for number in range(14 * FPS)]
    file = tmp_path_factory.mktemp("street") / "gate.ts"
    return write_stamped(
        file, times_s, size=(WIDTH, HEIGHT), picture=lambda number: picture([RED], number / FPS), reorders=True
    )


@pytest.fixture
def store(shared_store: Store) -> Store:
    """Empty, but for cameras."""
    remove_before(shared_store, datetime.now(UTC) + timedelta(days=1), "test")
    ring = Ring(shared_store.crops)
    ring.remove_oldest(ring.pieces(), datetime.now(UTC), 0)
    with shared_store.begin() as connection:
        add_cameras(connection, "demo", CAMERAS, time_zone="UTC")
    return shared_store


def record(store: Store, file: Path, settings: RingSettings = SETTINGS, start: datetime = START) -> Recorder:
    """As a connection to a camera that sends `file`, whose first frame was taken at `start`."""
    recorder = Recorder(store, "demo", "cam0", settings)
    with av.open(str(file)) as container:
        recorder.begin()
        zero_s: list[float] = []
        moment: Callable[[float], datetime | None] = lambda camera_s: (  # noqa: E731
            start + timedelta(seconds=camera_s - zero_s[0]) if zero_s else None
        )
        for packet in container.demux(video=0):
            zero_s += [frame.time for frame in packet.decode()]
            recorder.add(packet, moment)
        recorder.end(moment)
    recorder.close(10)
    return recorder


def test_a_clip_of_a_live_sighting_comes_from_the_ring_with_the_frame_on_the_person(store: Store, street: Path) -> None:
    record(store, street)
    [followed] = follow_files([street])
    tracklets = [one for one in followed.tracklets if one.camera_id == street.stem]
    assert len(tracklets) == 1
    [one] = [type(each)(**vars(each) | {"camera_id": "cam0"}) for each in tracklets]
    segment = in_transaction(store, segments.register, "demo", "cam0", "stream cam0", "stream cam0@x", START)
    store.add_sightings(segment.id, [one], "m")  # the segment goes on
    footage = Footage(lambda: store)
    try:
        number = segment.id * segments.IDS_A_SEGMENT + one.id
        assert footage.about("demo", number).has_clip
        clip = b"".join(footage.clip("demo", number, footage.window("demo", number, 2, 2)))
    finally:
        footage.close()
    pictures = pictures_of(clip)
    assert len(pictures) == pytest.approx(FPS * 9, abs=2)
    for image in pictures:
        person, mark = box_of(image, COLOURS["red"]), mark_of(image)
        assert (person is None) == (mark is None)
        if person is not None and mark is not None:
            assert all(0 <= inner - outer <= 6 for inner, outer in zip(person[:2], mark[:2], strict=True))


def test_pieces_are_encrypted_and_of_one_connection_are_joined(store: Store, street: Path) -> None:
    record(store, street)
    later = START + timedelta(seconds=14.1)
    record(store, street, start=later)  # the camera was cut off for a moment
    ring = Ring(store.crops)
    pieces = ring.pieces("demo", "cam0")
    assert len({piece.connection for piece in pieces}) == 2
    for piece in pieces:
        assert b"\x47\x40" not in (store.folder / piece.path).read_bytes()[:400:188], "no transport stream"
    moment = START + timedelta(seconds=13)
    found = ring.recording("demo", "cam0", moment, moment - timedelta(seconds=4), moment + timedelta(seconds=30))
    assert {piece.connection for piece in found} == {pieces[0].connection}
    assert found[0].start <= moment - timedelta(seconds=4)
    assert found[-1].end == pytest.approx(START + timedelta(seconds=13.9), abs=timedelta(milliseconds=2))


def test_the_oldest_go_when_hours_or_bytes_are_used_up_but_not_what_is_held(store: Store) -> None:
    ring, minute = Ring(store.crops), timedelta(minutes=1)
    pieces = [Piece("demo", "cam0", 1, START + i * minute, START + (i + 1) * minute) for i in range(10)]
    for piece in pieces:
        ring.put(piece, b"x" * 1000)
    size = ring.pieces()[0].num_bytes
    held = [(START + 2.2 * minute, START + 2.8 * minute)]
    assert ring.remove_oldest(ring.pieces(), START + 4.5 * minute, 1e9, held) == 3
    left = [round((piece.start - START) / minute) for piece in ring.pieces()]
    assert left == [2, 4, 5, 6, 7, 8, 9]
    assert ring.remove_oldest(ring.pieces(), START, 3 * size, held) == 3
    assert [round((piece.start - START) / minute) for piece in ring.pieces()] == [2, 7, 8, 9]


def test_retention_removes_pieces_but_those_around_held_sightings(store: Store, street: Path) -> None:
    record(store, street, start=START)
    late = START + timedelta(minutes=10)
    record(store, street, start=late)
    [followed] = follow_files([street])
    one = followed.tracklets[0]
    segment = in_transaction(store, segments.register, "demo", "cam0", "stream cam0", "stream cam0@y", START)
    store.add_sightings(segment.id, [type(one)(**vars(one) | {"camera_id": "cam0"})], "m")
    put_into_case(store, "demo", [segment.id * segments.IDS_A_SEGMENT + one.id], legal_hold=True)
    remove_before(store, START + timedelta(hours=1), "old")
    assert {piece.start < late for piece in Ring(store.crops).pieces()} == {True}


def test_what_the_container_cannot_hold_is_said(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "old.avi"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(picture([RED], number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    record(store, file)
    assert "camera cam0: its video is not recorded, it must be H.264 or HEVC, got mjpeg" in caplog.text
    assert Ring(store.crops).pieces() == []


@pytest.mark.soak
@pytest.mark.parametrize(
    ("hours", "recordings"), [pytest.param(0.5, 1e6, id="by hours"), pytest.param(24, 20, id="by bytes")]
)
def test_an_hour_of_video_stays_within_the_bounds_and_uses_them(
    store: Store, street: Path, monkeypatch: pytest.MonkeyPatch, hours: float, recordings: float
) -> None:
    monkeypatch.setattr("serving.ingestion.recorder._PRUNE_EVERY_S", 0.0)
    record(store, street, start=datetime.now(UTC) - timedelta(hours=1))
    most_bytes = recordings * sum(piece.num_bytes for piece in Ring(store.crops).pieces())
    bounded = RingSettings(hours=hours, gigabytes=most_bytes / 1e9, piece_s=2)
    for second in range(0, 3600, 14):
        record(store, street, bounded, start=datetime.now(UTC) - timedelta(seconds=3600 - second))
    pieces = Ring(store.crops).pieces()
    size, oldest = sum(piece.num_bytes for piece in pieces), datetime.now(UTC) - pieces[0].start
    print(f"after an hour: {size / 1e6:.2f} MB of at most {most_bytes / 1e6:.2f}, the oldest piece is {oldest} old")
    assert 0.9 < max(size / most_bytes, oldest / timedelta(hours=hours)) < 1.05
