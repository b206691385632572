"""Laws of the tracker: no id twice, nobody in two tracks, order of boxes and other trackers do not matter."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.boxes import Detections
from domain.tracklets import Tracklet
from serving.tracking.association import cheapest_pairs, clear_pairs
from serving.tracking.crop_quality import CropFeatures
from serving.tracking.tracker import Tracker
from tests.helpers import walkers

START = datetime(2026, 5, 1, tzinfo=UTC)
FEATURE = 8
Frames = list[tuple[np.ndarray, np.ndarray]]  # boxes [box, 4] and scores [box] of each frame


@st.composite
def crowds(draw: st.DrawFn) -> Frames:
    """A few people who walk at random, often near each other, some frames missing them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    people, num_frames = draw(st.integers(1, 6)), draw(st.integers(1, 25))
    places = rng.uniform(0, 150, (people, 2))
    speeds = rng.normal(0, 4, (people, 2))
    frames = []
    for _ in range(num_frames):
        places = places + speeds
        seen = rng.random(people) < 0.8
        low = places[seen] + rng.normal(0, 1, (seen.sum(), 2))
        boxes = np.concatenate([low, low + np.array([20, 50])], axis=1).astype(np.float32)
        frames.append((boxes, rng.uniform(0.2, 1, seen.sum()).astype(np.float32)))
    return frames


def new_tracker() -> Tracker:
    return Tracker("c1", START, walkers.settings().tracker, strong_score=0.5, match_distance=0.4)


def features_of(boxes: np.ndarray) -> CropFeatures:
    """CropFeatures that depend on the box alone, so that every order of boxes gives the same."""
    waves = np.sin(boxes.sum(axis=1, keepdims=True) / 40 * np.arange(1, FEATURE + 1)) + 1.5
    embeddings = (waves / np.linalg.norm(waves, axis=1, keepdims=True)).astype(np.float32)
    return CropFeatures(embeddings, np.full(len(boxes), 0.5), [np.zeros((2, 2, 3), np.uint8)] * len(boxes))


def show(tracker: Tracker, number: int, boxes: np.ndarray, scores: np.ndarray) -> list[Tracklet]:
    plan = tracker.plan(number, number / 10, Detections(boxes, scores, np.zeros(len(scores), np.int64)))
    return tracker.update(plan, features_of(plan.boxes_xyxy[plan.to_embed]))


def follow(frames: Frames) -> list[Tracklet]:
    tracker = new_tracker()
    ended = [
        one for number, (boxes, scores) in enumerate(frames, start=1) for one in show(tracker, number, boxes, scores)
    ]
    return ended + tracker.close()


def same(ones: list[Tracklet], others: list[Tracklet]) -> bool:
    return len(ones) == len(others) and all(
        one.id == other.id
        and np.array_equal(one.frames, other.frames)
        and np.array_equal(one.boxes_xyxy, other.boxes_xyxy)
        and np.array_equal(one.embedding, other.embedding)
        for one, other in zip(ones, others, strict=True)
    )


@given(crowds())
def test_no_id_comes_twice(frames: Frames) -> None:
    ids = [one.id for one in follow(frames)]
    assert len(ids) == len(set(ids))


@given(crowds())
def test_ids_go_on_after_closing(frames: Frames) -> None:
    tracker = new_tracker()
    ids: list[int] = []
    for offset in (0, len(frames)):
        for number, (boxes, scores) in enumerate(frames, start=1 + offset):
            ids += [one.id for one in show(tracker, number, boxes, scores)]
        ids += [one.id for one in tracker.close()]
    assert len(ids) == len(set(ids))


@given(crowds())
def test_a_box_is_in_one_tracklet_at_most(frames: Frames) -> None:
    seen: set[tuple[int, bytes]] = set()
    given_boxes = {(number, box.tobytes()) for number, (boxes, _) in enumerate(frames, start=1) for box in boxes}
    for one in follow(frames):
        pairs = {(int(frame), box.tobytes()) for frame, box in zip(one.frames, one.boxes_xyxy, strict=True)}
        observed = pairs & given_boxes
        assert not observed & seen
        seen |= observed


@given(crowds(), st.integers(0, 2**32 - 1))
def test_the_order_of_boxes_changes_nothing(frames: Frames, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = []
    for boxes, scores in frames:
        order = rng.permutation(len(scores))
        shuffled.append((boxes[order], scores[order]))
    assert same(follow(frames), follow(shuffled))


@given(crowds(), crowds())
def test_trackers_share_nothing(frames: Frames, others: Frames) -> None:
    alone = follow(frames)
    mine, other = new_tracker(), new_tracker()
    together: list[Tracklet] = []
    for number, (boxes, scores) in enumerate(frames, start=1):
        together += show(mine, number, boxes, scores)
        show(other, number, *others[number % len(others)])
    assert same(alone, together + mine.close())


@given(crowds())
def test_frames_rise_and_lie_between_first_and_last(frames: Frames) -> None:
    for one in follow(frames):
        assert (np.diff(one.frames) > 0).all()
        assert (one.first_frame, one.last_frame) == (one.frames[0], one.frames[-1])
        assert len(one.frames) == len(one.boxes_xyxy) == len(one.scores)
        assert abs(np.linalg.norm(one.embedding) - 1) < 1e-5
        assert one.crops


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1))
def test_clear_pairs_are_what_the_cheapest_assignment_would_choose(
    seed: int, num_tracks: int, num_boxes: int, margin: float
) -> None:
    costs = np.random.default_rng(seed).random((num_tracks, num_boxes))
    tracks, boxes = clear_pairs(costs, margin)
    assert len(set(tracks.tolist())) == len(tracks)
    assert len(set(boxes.tolist())) == len(boxes)
    chosen = dict(zip(*(side.tolist() for side in cheapest_pairs(costs, max_cost=1.0)), strict=True))
    if margin >= 1:
        assert not len(tracks) or num_tracks == num_boxes == 1
    for track, box in zip(tracks.tolist(), boxes.tolist(), strict=True):
        assert costs[track, box] == costs[track].min() == costs[:, box].min()
        assert margin == 0 or num_tracks > num_boxes or num_boxes > num_tracks or track in chosen
