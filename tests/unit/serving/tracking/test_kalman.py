import numpy as np
import pytest

from serving.tracking import kalman

BOX = np.array([[100, 100, 120, 150]])


def moved(frames: int, fps: float, speed_px_s: float) -> kalman.Motion:
    motion = kalman.start(BOX)
    for number in range(1, frames):
        shift = np.array([speed_px_s * number / fps, 0] * 2)
        motion = kalman.correct(kalman.predict(motion, 1 / fps), BOX + shift, np.array([0.9]))
    return motion


def test_it_starts_where_it_was_seen_and_at_rest() -> None:
    motion = kalman.start(BOX)
    np.testing.assert_allclose(motion.boxes_xyxy, BOX)
    np.testing.assert_allclose(kalman.predict(motion, 2.0).boxes_xyxy, BOX)


@pytest.mark.parametrize("fps", [6, 10, 25], ids=str)
def test_it_learns_the_speed_in_seconds_at_any_frame_rate(fps: int) -> None:
    motion = moved(frames=2 * fps, fps=fps, speed_px_s=40)
    assert motion.velocity[0, 0] == pytest.approx(40, rel=0.05)
    centre = kalman.predict(motion, 0.5).position[0, 0]
    assert centre == pytest.approx(110 + 40 * ((2 * fps - 1) / fps + 0.5), abs=2)


def test_uncertainty_grows_unseen_and_shrinks_when_seen() -> None:
    motion = kalman.start(BOX)
    later = kalman.predict(motion, 1.0)
    assert (later.position_var > motion.position_var).all()
    assert (kalman.correct(later, BOX, np.array([0.9])).position_var < later.position_var).all()


def test_many_short_steps_are_as_uncertain_as_a_long_one() -> None:
    short = kalman.start(BOX)
    for _ in range(10):
        short = kalman.predict(short, 0.1)
    long = kalman.predict(kalman.start(BOX), 1.0)
    np.testing.assert_allclose(short.position_var, long.position_var)
    np.testing.assert_allclose(short.velocity_var, long.velocity_var)


def test_a_weak_box_moves_it_less() -> None:
    motion = kalman.predict(kalman.start(BOX), 0.1)
    strong = kalman.correct(motion, BOX + 10, np.array([0.9])).position[0, 0]
    weak = kalman.correct(motion, BOX + 10, np.array([0.1])).position[0, 0]
    assert 110 < weak < strong < 120


def test_one_step_of_one_coordinate_by_hand() -> None:
    motion = kalman.start(np.array([[0, 0, 20, 100]]))  # position variance 25, velocity variance 6400 px²/s²
    motion = kalman.predict(motion, 0.1)  # 25 + 0.01 · 6400 + 3600 · 0.001 / 3 = 90.2
    assert motion.position_var[0, 0] == pytest.approx(90.2)
    assert motion.covariance[0, 0] == pytest.approx(640 + 3600 * 0.01 / 2)
    motion = kalman.correct(motion, np.array([[10, 0, 30, 100]]), np.array([1.0]))
    assert motion.position[0, 0] == pytest.approx(10 + 10 * 90.2 / 115.2)


def test_a_shrinking_box_stays_a_box() -> None:
    motion = kalman.start(BOX)
    for number in range(1, 5):
        motion = kalman.correct(kalman.predict(motion, 0.1), BOX + np.array([0, 10 * number, 0, 0]), np.array([0.9]))
    width, height = kalman.predict(motion, 60.0).position[0, 2:]
    assert width >= 1
    assert height >= 1


def test_deviations_are_larger_the_farther_off() -> None:
    motion = kalman.predict(kalman.start(BOX), 0.1)
    off = kalman.deviations(motion, np.concatenate([BOX, BOX + 10, BOX + 40]))[0]
    assert off[0] == 0
    assert off[0] < off[1] < off[2]


def test_tracks_do_not_touch_each_other() -> None:
    both = kalman.start(np.concatenate([BOX, BOX + 300]))
    alone = kalman.correct(kalman.predict(both[np.array([1])], 0.1), BOX + 310, np.array([0.9]))
    together = kalman.correct(kalman.predict(both, 0.1), np.concatenate([BOX, BOX + 310]), np.array([0.9, 0.9]))
    np.testing.assert_array_equal(together[np.array([1])].position, alone.position)


def test_rows_are_joined_and_replaced() -> None:
    both = kalman.start(BOX).joined(kalman.start(BOX + 5))
    assert len(both) == 2
    changed = both.replaced(np.array([0]), kalman.start(BOX + 9))
    np.testing.assert_allclose(changed.boxes_xyxy, np.concatenate([BOX + 9, BOX + 5]))
    np.testing.assert_allclose(both.boxes_xyxy, np.concatenate([BOX, BOX + 5]))
