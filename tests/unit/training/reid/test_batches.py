"""Crops, augmentation, sampling and the distance that decides a match."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from domain.errors import InputError
from domain.images import write_image
from training.crops.augmentation import (
    CHANNEL_MEAN,
    CHANNEL_STD,
    Augmentation,
    AugmentationSettings,
    Normalise,
    jitter_colour,
    random_rectangles,
    shift_and_flip,
)
from training.crops.data import CropDataset
from training.crops.optimization import configure_optimizer
from training.reid.losses import BatchHardTripletLoss, CircleLoss
from training.reid.operating_point import best_match_distance
from training.reid.sampling import IdentityBatches
from training.settings import OptimizationSettings


def crops() -> torch.Tensor:
    return torch.randint(0, 256, (5, 3, 12, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_crops_are_the_same_from_memory_and_from_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for file in files:
        write_image(file, rng.integers(0, 256, (20, 9, 3), np.uint8))
    cached, decoded = (CropDataset(files, np.arange(4), 12, 8, mib) for mib in (1, 0))
    assert cached.is_in_memory
    assert not decoded.is_in_memory
    torch.testing.assert_close(cached[[3, 1]].images, decoded[[3, 1]].images)
    assert cached[[3, 1]].labels.tolist() == [3, 1]
    assert cached[[3, 1]].images.shape == (2, 3, 12, 8)


def test_a_crop_that_does_not_open_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"torn\.jpg must be a readable picture"):
        CropDataset([tmp_path / "torn.jpg"], np.zeros(1), 12, 8, 1)


def test_without_augmentation_the_pictures_are_only_scaled() -> None:
    settings = AugmentationSettings(
        flip_probability=0, pad_px=0, colour_jitter=0, erase_probability=0, erase_largest=0.1
    )
    torch.testing.assert_close(Augmentation(settings)(crops()), crops().float() / 255)


def test_all_augmentations_together_keep_shape_and_range() -> None:
    settings = AugmentationSettings(
        flip_probability=0.5, pad_px=2, colour_jitter=0.3, erase_probability=0.5, erase_largest=0.3
    )
    augmented = Augmentation(settings)(crops())
    assert augmented.shape == (5, 3, 12, 8)
    assert 0 <= augmented.min() <= augmented.max() <= 1


def test_a_flip_mirrors_and_a_shift_moves_without_wrapping() -> None:
    flipped, inside = shift_and_flip(crops(), pad_px=0, flip_probability=1)
    torch.testing.assert_close(flipped, crops().flip(3))
    assert inside.all()
    torch.manual_seed(0)
    shifted, inside = shift_and_flip(crops(), pad_px=3, flip_probability=0)
    rows, columns = inside[0, 0].any(1).nonzero()[:, 0], inside[0, 0].any(0).nonzero()[:, 0]
    assert len(rows) >= 9
    assert len(columns) >= 5
    kept = shifted[0][:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    windows = crops()[0].unfold(1, len(rows), 1).unfold(2, len(columns), 1)
    assert (windows == kept[:, None, None]).all(dim=(0, 3, 4)).any()


def test_normalising_takes_mean_and_deviation_out() -> None:
    grey = torch.tensor(CHANNEL_MEAN).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    torch.testing.assert_close(Normalise()(grey), torch.zeros(2, 3, 4, 4))
    black = Normalise()(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten()
    torch.testing.assert_close(black, -torch.tensor(CHANNEL_MEAN) / torch.tensor(CHANNEL_STD))


def test_jitter_changes_each_picture_by_itself() -> None:
    torch.manual_seed(0)
    same = torch.full((4, 3, 6, 6), 0.4)
    assert len(jitter_colour(same, 0.3)[:, 0, 0, 0].unique()) == 4


def test_jitter_is_brightness_then_saturation_then_contrast() -> None:
    images, strength = crops().float() / 255, 0.3
    torch.manual_seed(0)
    jittered = jitter_colour(images, strength)
    torch.manual_seed(0)
    widths = (1, strength), (3, strength / 4), (1, strength), (1, strength)
    drawn = [1 + (torch.rand(5, channels) * 2 - 1)[:, :, None, None] * width for channels, width in widths]
    bright = images * drawn[0] * drawn[1]

    def grey(pictures: torch.Tensor) -> torch.Tensor:
        return (pictures * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)

    coloured = grey(bright) + (bright - grey(bright)) * drawn[2]
    middle = grey(coloured).mean((2, 3), keepdim=True)
    torch.testing.assert_close(jittered, (middle + (coloured - middle) * drawn[3]).clamp(0, 1))


def test_erased_rectangles_keep_to_their_size() -> None:
    torch.manual_seed(0)
    erased = random_rectangles(torch.zeros(200, 3, 32, 16), probability=0.5, largest=0.3)
    shares = erased.float().mean((1, 2, 3))
    assert 0.35 < (shares > 0).float().mean() < 0.65
    assert shares.max() < 0.36


def test_too_few_people_for_a_batch_are_refused() -> None:
    with pytest.raises(InputError, match="at most the number of identities to train on, 2, got 4"):
        IdentityBatches(np.array([1, 1, 2]), 4, 2, seed=0)
    with pytest.raises(InputError, match="multiple of the 2 processes, got 3"):
        IdentityBatches(np.arange(3), 3, 2, seed=0, world_size=2)


def test_a_soft_margin_is_the_logarithm_of_one_and_the_exponential() -> None:
    features, identities = torch.tensor([[0.0], [1.0], [1.5], [5.0]]), torch.tensor([0, 0, 1, 1])
    excess = [1.0 - 1.5, 1.0 - 0.5, 3.5 - 0.5, 3.5 - 4.0]  # farthest of the same - nearest of another
    expected = sum(math.log1p(math.exp(each)) for each in excess) / 4
    assert BatchHardTripletLoss(None)(features, identities).item() == pytest.approx(expected, abs=1e-6)


def circle_loss(cosines: list[list[float]], identities: list[int], scale: float, margin: float) -> float:
    """Equation 9 of the paper with each label as a proxy of its class, pair by pair, without smoothing."""
    total = 0.0
    for row, own in zip(cosines, identities, strict=True):
        pulls = [max(0, 1 + margin - each if place == own else each + margin) for place, each in enumerate(row)]
        positive = math.exp(-scale * pulls[own] * (row[own] - (1 - margin)))
        negative = sum(
            math.exp(scale * pull * (each - margin))
            for place, (pull, each) in enumerate(zip(pulls, row, strict=True))
            if place != own
        )
        total += math.log(1 + positive * negative)
    return total / len(cosines)


def test_circle_loss_is_that_of_the_paper() -> None:
    cosines = [[0.9, 0.1, -0.4], [0.3, 0.2, 0.8], [-0.9, 0.7, 0.71], [1.0, -1.0, 0.0]]
    identities = [0, 1, 2, 0]
    loss = CircleLoss(8, 0.25, label_smoothing=0)(torch.tensor(cosines), torch.tensor(identities))
    assert loss.item() == pytest.approx(circle_loss(cosines, identities, 8, 0.25), rel=1e-5)


def test_circle_loss_pulls_what_lacks_most_and_lets_be_what_is_right() -> None:
    cosines = torch.tensor([[0.2, 0.6, -0.3], [0.95, 0.1, 0.1]], requires_grad=True)
    CircleLoss(8, 0.25, label_smoothing=0)(cosines, torch.tensor([0, 0])).backward()
    assert cosines.grad is not None
    own, near, far = cosines.grad[0].tolist()
    assert own < 0 < near
    assert near > far == 0, "an identity at less than -margin is far enough"
    assert cosines.grad[1].abs().max() < cosines.grad[0].abs().max() / 5


@pytest.mark.parametrize("margin", [0.3, None])
def test_triplet_loss_of_one_person_alone_is_zero(margin: float | None) -> None:
    features = torch.randn(4, 3, requires_grad=True)
    loss = BatchHardTripletLoss(margin)(features, torch.zeros(4, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_without_a_same_or_a_different_pair_there_is_no_match_distance() -> None:
    embeddings = np.eye(2, dtype=np.float32)
    assert best_match_distance(embeddings, np.array([1, 1]), np.array([1, 2])) is None
    assert best_match_distance(embeddings, np.array([1, 2]), np.array([1, 2])) is None
    assert best_match_distance(embeddings, np.array([1, 1]), np.array([1, 1])) is None


def optimization(**changes: Any) -> OptimizationSettings:
    plain = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 0.01, "warmup_fraction": 0.5, "schedule": "cosine"}
    more = {"momentum": 0.9, "final_lr_fraction": 0.0, "steps_at": (0.5, 0.75)}
    return OptimizationSettings.model_validate(plain | more | changes)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (
            "cosine",
            [0.05, 0.1, 0.1, 0.1 * 0.962, 0.1 * 0.854, 0.1 * 0.691, 0.1 * 0.5, 0.1 * 0.309, 0.1 * 0.146, 0.0038],
        ),
        ("steps", [0.05, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001]),
    ],
)
def test_the_rate_follows_the_schedule(schedule: str, rates: list[float]) -> None:
    network = torch.nn.Linear(2, 2)
    configured: Any = configure_optimizer(network, 10, optimization(schedule=schedule, warmup_fraction=0.2))
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(10):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert seen == pytest.approx(rates, abs=1e-4)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_and_biases_are_not_decayed(name: str) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    settings = optimization(optimizer=name)
    configured = configure_optimizer(network, 10, settings)
    groups = configured["optimizer"].param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.01), (3, 0.0)]
    assert groups[0]["lr"] == pytest.approx(0.1 / 5)
