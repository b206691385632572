import pytest

from training import progress
from training.progress import Estimate, say


def test_the_time_is_told_once_from_the_batches_after_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([100.0, 114.0])  # after the third batch and after the tenth: two seconds each
    monkeypatch.setattr(progress, "perf_counter", lambda: next(clock))
    estimate = Estimate(pictures=640, batches=20, epochs=5)
    for _ in range(50):
        estimate.after_batch()
    assert capsys.readouterr().out.splitlines() == [
        "training on 640 pictures: 5 epochs of 20 batches",
        "about 3 min to go, at 2.00 s a batch, validation apart",  # 90 batches
    ]


def test_a_log_gets_five_lines_of_a_training_with_the_time_that_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    for epoch in range(1, 21):
        say(epoch, 20, {"train/loss": 1 / epoch}, left_s=60.0 * (20 - epoch))
    assert capsys.readouterr().out.splitlines() == [
        "epoch 4 of 20: train/loss 0.25; about 16 min to go",
        "epoch 8 of 20: train/loss 0.125; about 12 min to go",
        "epoch 12 of 20: train/loss 0.0833; about 8 min to go",
        "epoch 16 of 20: train/loss 0.0625; about 4 min to go",
        "epoch 20 of 20: train/loss 0.05",
    ]
