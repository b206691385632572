"""The figures mean something: the same training and scoring on people dealt out at random falls to chance."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.retrieval import evaluate_retrieval
from tests.helpers.crops import small_settings, write_reid_set
from training.reid.task import choose_queries
from training.reid.train import ReidSettings, read_validation_crops, train_reid


def settings() -> ReidSettings:
    backbones = {"osnet": {"architecture": "osnet_x0_25", "weights": None, "stripes": 3, "share_of_epochs": 1.0}}
    gentle = {"flip_probability": 0.5, "pad_px": 3, "colour_jitter": 0.1, "erase_probability": 0, "erase_largest": 0.1}
    return ReidSettings.model_validate(
        small_settings(
            "reid",
            "osnet_resnet50",
            backbones=backbones,
            augmentation=gentle,
            identities_per_batch=8,
            images_per_identity=4,
            max_epochs=14,
            validate_every_epochs=14,
            lr=0.003,
        )
    )


def trained_map(folder: Path) -> float:
    _, scores = train_reid(settings(), folder, seed=0, checkpoints=folder / "ckpt", log_curves=lambda *_: None)
    return scores["val/map"]


def chance_map(folder: Path) -> float:
    crops = read_validation_crops(settings(), folder)
    assert crops is not None
    identities, cameras = crops[range(len(crops))].labels.numpy().T
    asks = choose_queries(identities, cameras)
    rng = np.random.default_rng(0)
    drawn = [
        evaluate_retrieval(
            rng.random((asks.sum(), (~asks).sum()), np.float32),
            identities[asks],
            identities[~asks],
            cameras[asks],
            cameras[~asks],
        ).mean_average_precision
        for _ in range(20)
    ]
    return float(np.mean(drawn))


def test_true_identities_are_found_again_and_shuffled_ones_only_by_chance(tmp_path: Path) -> None:
    true, shuffled = write_reid_set(tmp_path / "true"), write_reid_set(tmp_path / "shuffled", shuffle_seed=5)
    assert trained_map(true) > 0.55
    assert trained_map(shuffled) == pytest.approx(chance_map(shuffled), abs=0.07)
    assert chance_map(true) < 0.2
