import pytest

from training import progress
from training.progress import Estimate


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
