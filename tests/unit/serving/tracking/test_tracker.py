from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from districts.box_files import track_table
from domain.boxes import Detections
from domain.errors import InputError
from domain.tracklets import Tracklet, renumber
from serving.tracking.crop_quality import CropFeatures
from serving.tracking.tracker import Tracker
from tests.helpers.walkers import settings

START = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
FPS = 10
A, B = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
Person = tuple[float, float, np.ndarray]  # left edge, score, embedding


def tracker(camera: str = "c1", **changes: float) -> Tracker:
    return Tracker(camera, START, settings(**changes).tracker, strong_score=0.5, match_distance=0.3)


def step(followed: Tracker, frame: int, people: Sequence[Person], fps: float = FPS) -> tuple[list[Tracklet], int]:
    """Show one frame of boxes 20 × 50; the tracklets that ended, and how many boxes were embedded."""
    boxes = np.array([[x, 100, x + 20, 150] for x, _, _ in people], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in people], np.float32)
    plan = followed.plan(frame, (frame - 1) / fps, Detections(boxes, scores, np.zeros(len(people), np.int64)))
    embedding_at = {x: embedding for x, _, embedding in people}
    embedded = [embedding_at[float(box[0])] for box in plan.boxes_xyxy[plan.to_embed]]
    embeddings = np.array(embedded, np.float32).reshape(-1, 2)
    crops = [np.zeros((50, 20, 3), np.uint8)] * len(embedded)
    features = CropFeatures(embeddings, np.full(len(embedded), 0.5), crops)
    return followed.update(plan, features), len(embedded)


def show(followed: Tracker, frames: Sequence[tuple[int, Sequence[Person]]], fps: float = FPS) -> list[Tracklet]:
    ended = [tracklet for frame, people in frames for tracklet in step(followed, frame, people, fps)[0]]
    return ended + followed.close()


def walk(speed_px_s: float, fps: float, num_frames: int) -> list[tuple[int, list[Person]]]:
    places = [float(np.float32(100 + speed_px_s * frame / fps)) for frame in range(1, num_frames + 1)]
    return [(frame, [(x, 0.9, A)]) for frame, x in enumerate(places, start=1)]


def nobody(frames: range) -> list[tuple[int, list[Person]]]:
    return [(frame, []) for frame in frames]


@pytest.mark.parametrize("fps", [0.1, 0.4, 0.5, 1, 1.6, 2, 6, 10, 25], ids=str)
def test_a_walking_person_is_one_tracklet_at_any_frame_rate(fps: float) -> None:
    num_frames = max(6, round(3 * fps))
    speed_px_s = 45.0 if fps > 0.2 else 20.0  # most of a height a second
    [one] = show(tracker(), walk(speed_px_s, fps, num_frames), fps)
    assert (one.first_frame, one.last_frame, len(one.frames)) == (1, num_frames, num_frames)
    assert one.first_seen == START
    assert one.last_seen == START + timedelta(seconds=(num_frames - 1) / fps)
    assert one.duration_s == pytest.approx((num_frames - 1) / fps)
    np.testing.assert_allclose(one.embedding, A, atol=1e-6)


@pytest.mark.parametrize(("fps", "needed"), [(10, 3), (1, 3), (0.6, 2), (0.3, 1)], ids=str)
@pytest.mark.slow
def test_where_looks_are_rare_fewer_of_them_confirm_a_person(fps: float, needed: int) -> None:
    for seen in range(1, 5):
        frames = nobody(range(-8, 1)) + walk(0, fps, seen) + nobody(range(seen + 1, seen + 20))
        assert len(show(tracker(), frames, fps)) == (seen >= needed)


def test_a_look_may_fail_at_once_a_second() -> None:
    frames = [each if each[0] != 4 else (4, []) for each in walk(40, 1, 8)]
    [one] = show(tracker(), frames, fps=1)
    assert one.frames.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_after_a_pause_of_the_camera_nobody_is_continued() -> None:
    before, after = walk(0, 10, 5), [(frame + 200, people) for frame, people in walk(0, 10, 5)]
    assert len(show(tracker(), [*before, *after])) == 2  # 19.6 s later


@pytest.mark.parametrize("fps", [1, 2, 10], ids=str)
def test_people_who_cross_keep_their_ids(fps: int) -> None:
    step_px = 40 / fps
    frames = [
        (frame, [(10.0 + step_px * frame, 0.9, A), (212.0 - step_px * frame, 0.8, B)])
        for frame in range(1, 5 * fps + 1)
    ]
    first, second = sorted(show(tracker(), frames, fps), key=lambda one: one.boxes_xyxy[0, 0])
    np.testing.assert_allclose(first.embedding, A, atol=1e-6)
    np.testing.assert_allclose(second.embedding, B, atol=1e-6)
    assert len(first.frames) == len(second.frames) == 5 * fps


def test_at_once_a_second_nobody_is_continued_by_motion_alone() -> None:
    frames = [(frame, [(100.0, 0.9, A if frame <= 4 else B)]) for frame in range(1, 9)]
    assert [one.last_frame for one in show(tracker(), frames, fps=1)] == [4, 8]
    [one] = show(tracker(), [(frame, people) for frame, people in frames], fps=25)  # a bad crop or two end nothing
    assert one.last_frame == 8


@pytest.mark.parametrize(("size_px", "number"), [((320, 240), 2), ((640, 240), 1), (None, 1)], ids=str)
def test_who_walks_out_of_the_picture_is_not_continued_by_who_comes_in(
    size_px: tuple[int, int] | None, number: int
) -> None:
    followed, ended = tracker(), []
    out = [(frame, 240.0 + 6 * frame) for frame in range(1, 11)]  # 60 pixels a second, to 300
    back = [(frame, 300.0 - 6 * (frame - 30)) for frame in range(31, 41)]
    places = dict(out + back)
    for frame in range(1, 41):
        boxes = np.array([[places[frame], 100, places[frame] + 20, 150]] if frame in places else [], np.float32)
        scores, classes = np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int64)
        plan = followed.plan(frame, frame / FPS, Detections(boxes.reshape(-1, 4), scores, classes), size_px)
        num = len(plan.to_embed)
        crops = [np.zeros((50, 20, 3), np.uint8)] * num
        ended += followed.update(plan, CropFeatures(np.tile(A, (num, 1)), np.full(num, 0.5), crops))
    assert len(ended + followed.close()) == number


@pytest.mark.slow
def test_who_was_hidden_for_long_comes_back_near_by() -> None:
    before = walk(0, 10, 10)
    hidden: list[tuple[int, list[Person]]] = [(frame, []) for frame in range(11, 120)]
    near = [(frame, [(250.0, 0.9, A)]) for frame in range(120, 130)]  # three heights
    far = [(frame, [(400.0, 0.9, A)]) for frame in range(120, 130)]  # six, for which he had the time
    assert len(show(tracker(), before + hidden + near)) == 1
    assert len(show(tracker(), before + hidden + far)) == 2


def test_a_lost_person_is_recognised_by_appearance() -> None:
    before = [(frame, [(100.0, 0.9, A)]) for frame in range(1, 11)]
    hidden: list[tuple[int, list[Person]]] = [(frame, []) for frame in range(11, 26)]
    after = [(frame, [(125.0, 0.9, A)]) for frame in range(26, 36)]
    [one] = show(tracker(), before + hidden + after)
    assert (one.first_frame, one.last_frame) == (1, 35)
    assert len(one.frames) == 20  # 1.6 s are too long to be filled in


def test_somebody_else_at_the_same_place_is_a_new_tracklet() -> None:
    before = [(frame, [(100.0, 0.9, A)]) for frame in range(1, 11)]
    hidden: list[tuple[int, list[Person]]] = [(frame, []) for frame in range(11, 26)]
    after = [(frame, [(125.0, 0.9, B)]) for frame in range(26, 36)]
    assert len(show(tracker(), before + hidden + after)) == 2


def test_nobody_walks_faster_than_the_reach() -> None:
    before = [(frame, [(100.0, 0.9, A)]) for frame in range(1, 11)]
    hidden: list[tuple[int, list[Person]]] = [(frame, []) for frame in range(11, 21)]
    after = [(frame, [(400.0, 0.9, A)]) for frame in range(21, 31)]
    assert len(show(tracker(), before + hidden + after)) == 2


def test_a_tracklet_ends_after_the_longest_absence() -> None:
    followed = tracker(max_lost_s=1.0)
    for frame in range(1, 6):
        step(followed, frame, [(100.0, 0.9, A)])
    ended = [step(followed, frame, [])[0] for frame in range(6, 20)]
    assert [len(tracklets) for tracklets in ended] == [0] * 10 + [1] + [0] * 3
    assert followed.close() == []


def test_short_breaks_are_filled_in_linearly() -> None:
    people = {1: 100.0, 2: 102.0, 3: 104.0, 6: 110.0}
    frames = [(frame, [(people[frame], 0.9, A)] if frame in people else []) for frame in range(1, 7)]
    [one] = show(tracker(), frames)
    assert one.frames.tolist() == [1, 2, 3, 4, 5, 6]
    assert one.boxes_xyxy[:, 0].tolist() == [100, 102, 104, 106, 108, 110]


def test_weak_boxes_continue_but_never_start() -> None:
    strong = [(frame, [(100.0, 0.9, A)]) for frame in range(1, 6)]
    weak = [(frame, [(100.0, 0.3, A), (300.0, 0.3, B)]) for frame in range(6, 16)]
    [one] = show(tracker(), strong + weak)
    assert one.last_frame == 15
    assert one.scores[-1] == pytest.approx(0.3)


def test_a_flicker_is_no_tracklet() -> None:
    assert show(tracker(confirm_observations=3), [(1, [(100.0, 0.9, A)]), (2, [(100.0, 0.9, A)]), (3, [])]) == []


def test_someone_alone_is_embedded_now_and_then_only() -> None:
    followed = tracker(embed_every_s=0.5)
    embedded = [step(followed, frame, [(100.0, 0.9, A)])[1] for frame in range(1, 12)]
    assert embedded == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_people_near_each_other_are_embedded_in_every_frame() -> None:
    followed = tracker()
    embedded = [step(followed, frame, [(100.0, 0.9, A), (104.0, 0.9, B)])[1] for frame in range(1, 6)]
    assert embedded == [2] * 5


def test_the_best_crops_differ_in_time_and_come_best_first() -> None:
    followed = tracker(embed_every_s=0.0, best_crops=2, crop_spacing_s=0.25)
    for frame, quality in enumerate([0.1, 0.9, 0.8, 0.2, 0.3, 0.4, 0.5], start=1):
        box = np.array([[100, 100, 120, 150]], np.float32)
        plan = followed.plan(frame, frame / FPS, Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int64)))
        crop = np.full((50, 20, 3), frame, np.uint8)
        followed.update(plan, CropFeatures(A[None], np.array([quality]), [crop]))
    [one] = followed.close()
    assert [int(crop[0, 0, 0]) for crop in one.crops] == [2, 7]
    assert one.quality == 0.9


def test_the_mean_embedding_is_weighted_by_quality() -> None:
    followed = tracker(embed_every_s=0.0)
    for frame, (embedding, quality) in enumerate([(A, 0.9), (A, 0.9), (B, 0.1), (A, 0.9)], start=1):
        box = np.array([[100, 100, 120, 150]], np.float32)
        plan = followed.plan(frame, frame / FPS, Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int64)))
        followed.update(plan, CropFeatures(embedding[None], np.array([quality]), [np.zeros((50, 20, 3), np.uint8)]))
    [one] = followed.close()
    np.testing.assert_allclose(one.embedding, np.array([2.7, 0.1]) / np.hypot(2.7, 0.1), atol=1e-5)


def test_time_must_rise() -> None:
    followed = tracker("gate")
    step(followed, 2, [])
    with pytest.raises(InputError, match=r"frames of gate must come in order of time, got 0\.1 after 0\.1"):
        step(followed, 2, [])


def test_planning_changes_nothing() -> None:
    followed = tracker()
    step(followed, 1, [(100.0, 0.9, A)])
    box = Detections(np.array([[101, 100, 121, 150]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int64))
    first, second = followed.plan(2, 0.1, box), followed.plan(2, 0.1, box)
    np.testing.assert_array_equal(first.costs, second.costs)


def test_an_empty_video_has_no_tracklets() -> None:
    assert show(tracker(), []) == []
    assert show(tracker(), [(frame, []) for frame in range(1, 5)]) == []


def test_tracklets_of_several_cameras_are_numbered_once() -> None:
    cameras = []
    for camera in ("c2", "c1"):
        frames = [(frame, [(100.0, 0.9, A), (300.0, 0.9, B)]) for frame in range(1, 6)]
        cameras.append(show(tracker(camera), frames))
    numbered = renumber(cameras)
    assert [(one.id, one.camera_id) for one in numbered] == [(1, "c2"), (2, "c2"), (3, "c1"), (4, "c1")]
    table = track_table(numbered[:2])
    assert sorted(zip(table.frames.tolist(), table.tracks.tolist(), strict=True)) == [
        (frame, track) for frame in range(1, 6) for track in (1, 2)
    ]


@pytest.mark.slow
def test_who_stays_too_long_becomes_another_tracklet_without_losing_a_frame() -> None:
    followed = tracker(max_tracklet_s=2.0)
    longest = 0
    ended = []
    for frame in range(1, 101):
        ended += step(followed, frame, [(100.0, 0.9, A), (300.0, 0.9, B)])[0]
        longest = max(longest, *(len(track.frames) for track in followed._tracks))
    ended += followed.close()
    assert longest <= 26  # 2 s, and up to the next embedding, which is due after half a second
    for side, embedding in ((100, A), (300, B)):
        parts = sorted((one for one in ended if one.boxes_xyxy[0, 0] == side), key=lambda one: one.first_frame)
        assert np.concatenate([one.frames for one in parts]).tolist() == list(range(1, 101))
        assert len(parts) == 5
        for one in parts:
            assert one.crops
            np.testing.assert_allclose(one.embedding, embedding, atol=1e-6)
    assert len({one.id for one in ended}) == 10


def test_a_divided_track_is_still_recognised_by_its_appearance() -> None:
    followed = tracker(max_tracklet_s=2.0)
    frames = [(frame, [(100.0, 0.9, A)]) for frame in range(1, 26)]
    frames += [(frame, []) for frame in range(26, 40)]
    frames += [(frame, [(105.0, 0.9, A)]) for frame in range(40, 45)]  # back after longer than `active_s`
    first, second = sorted(show(followed, frames), key=lambda one: one.first_frame)
    assert first.last_frame + 1 == second.first_frame
    assert second.last_frame == 44
