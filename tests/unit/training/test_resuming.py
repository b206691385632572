"""Which checkpoints a training goes on from, and that those of others are moved aside."""

from pathlib import Path
from typing import Any

import pytest

from domain.errors import InputError
from training.resuming import claim, digest

IDENTITY = {
    "lr": 0.1,
    "steps_at": (0.5, 0.75),
    "max_epochs": 40,
    "validation_batch": 256,
    "hardware": {"accelerator": "auto", "devices": 1, "num_workers": 4, "precision": "32", "cache_in_memory_mib": 4096},
    "data": "as it was",
}


def identity(**changed: Any) -> dict[str, Any]:
    return IDENTITY | changed | {"hardware": IDENTITY["hardware"] | changed.get("hardware", {})}  # type: ignore[operator]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints of 15 epochs."""
    folder = tmp_path / "checkpoints" / "reid-osnet"
    assert not claim(folder, IDENTITY, lambda _: 15)
    (folder / "last.ckpt").write_text("15")
    (folder / "mlflow_run_id").write_text("run")
    return folder


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "going on after 15 of 40 epochs\n"),
        ({"hardware": {"num_workers": 0}}, "epochs, with hardware.num_workers: 4 → 0\n"),
        (
            {"hardware": {"cache_in_memory_mib": 0, "devices": 2}},
            "hardware.cache_in_memory_mib: 4096 → 0, hardware.dev",
        ),
        ({"hardware": {"accelerator": "cpu"}, "validation_batch": 8}, "hardware.accelerator: auto → cpu, validation_"),
        ({"max_epochs": 60}, "15 of 60 epochs, with max_epochs: 40 → 60; the learning rate follows the new number"),
        ({"max_epochs": 15}, "15 of 15 epochs"),
    ],
)
def test_the_same_training_goes_on(
    folder: Path, changed: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert claim(folder, identity(**changed), lambda _: 15)
    assert said in capsys.readouterr().out
    assert (folder / "last.ckpt").read_text() == "15"
    assert claim(folder, identity(**changed), lambda _: 15)  # what differed is noted
    assert capsys.readouterr().out.endswith("epochs\n")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"lr": 0.2}, "are of another training (lr: 0.1 → 0.2)"),
        ({"lr": 0.2, "hardware": {"num_workers": 0}}, "are of another training (lr: 0.1 → 0.2)"),
        ({"hardware": {"precision": "bf16-mixed"}}, "(hardware.precision: 32 → bf16-mixed)"),
        ({"data": "changed"}, "are of another training (other data)"),
        ({"triplet_margin": 0.3}, "(triplet_margin: None → 0.3)"),
        ({"max_epochs": 14}, "have 15 epochs, more than max_epochs=14"),
    ],
)
def test_checkpoints_of_another_training_are_moved_aside(
    folder: Path, changed: dict[str, Any], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not claim(folder, identity(**changed), lambda _: 15)
    beside = folder.with_name("reid-osnet-before-1")
    said = capsys.readouterr().out
    assert why in said
    assert f"moved to {beside}" in said
    assert {file.name for file in beside.iterdir()} == {"last.ckpt", "mlflow_run_id", "settings.json"}
    assert [file.name for file in folder.iterdir()] == ["settings.json"]


def test_nothing_that_was_moved_aside_is_replaced(folder: Path) -> None:
    for number in (1, 2, 3):
        (folder / "last.ckpt").write_text(str(number))
        assert not claim(folder, identity(lr=number), lambda _: 15)
    kept = [folder.with_name(f"reid-osnet-before-{number}") / "last.ckpt" for number in (1, 2, 3)]
    assert [file.read_text() for file in kept] == ["1", "2", "3"]


def test_checkpoints_that_cannot_be_used_are_moved_aside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not claim(folder, IDENTITY, lambda _: None)
    assert "cannot be used: moved to" in capsys.readouterr().out
    assert folder.with_name("reid-osnet-before-1").is_dir()


def test_before_the_first_checkpoint_there_is_nothing_to_move(folder: Path) -> None:
    (folder / "last.ckpt").unlink()
    assert not claim(folder, IDENTITY, lambda _: None)
    assert (folder / "mlflow_run_id").exists()  # the same run goes on
    assert not claim(folder, identity(lr=0.2), lambda _: None)
    assert [path.name for path in folder.parent.iterdir()] == ["reid-osnet"]
    assert not (folder / "mlflow_run_id").exists()


def test_a_digest_is_of_contents_and_places(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "a.jpg").write_bytes(b"one")
        (folder / "b.jpg").write_bytes(b"two")
    whole = digest(here.iterdir(), here)
    assert whole == digest(there.iterdir(), there)
    assert whole != digest([here / "a.jpg"], here)
    (here / "a.jpg").write_bytes(b"eno")  # of the same size
    assert whole != digest(here.iterdir(), here)
    (there / "b.jpg").rename(there / "c.jpg")
    assert whole != digest(there.iterdir(), there)
    with pytest.raises(InputError, match=r"nowhere\.jpg must be a readable file: No such file"):
        digest([tmp_path / "nowhere.jpg"], tmp_path)
