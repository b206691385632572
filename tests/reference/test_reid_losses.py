"""Losses and networks give the same numbers as torchreid's."""

import warnings
from pathlib import Path

import pytest
import torch

from training.reid.losses import BatchHardTripletLoss
from training.reid.network import build_reid_network, load_pretrained

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torchreid.reid.losses import CrossEntropyLoss, TripletLoss
    from torchreid.reid.models import build_model


def batch(seed: int, num_identities: int, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    identities = torch.arange(num_identities).repeat_interleave(images)
    return torch.randn(len(identities), 16, generator=generator), identities


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("num_identities", "images"), [(2, 2), (4, 4), (16, 4), (8, 1)])
def test_triplet_loss_equals_torchreids(seed: int, num_identities: int, images: int) -> None:
    features, identities = batch(seed, num_identities, images)
    ours, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss, expected = BatchHardTripletLoss(0.3)(ours, identities), TripletLoss(0.3)(theirs, identities)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("wrong", ["easy positives", "another margin"])
def test_comparison_would_notice_a_wrong_triplet_loss(wrong: str) -> None:
    features, identities = batch(0, 8, 4)
    if wrong == "another margin":
        loss = BatchHardTripletLoss(0.4)(features, identities)
    else:
        distances = torch.cdist(features, features)
        same = identities[:, None] == identities[None]
        nearest_same = distances.masked_fill(~same | torch.eye(len(features), dtype=torch.bool), torch.inf).amin(1)
        loss = (0.3 + nearest_same - distances.masked_fill(same, torch.inf).amin(1)).relu().mean()
    assert loss.item() != pytest.approx(TripletLoss(0.3)(features, identities).item(), abs=1e-4)


def test_label_smoothed_cross_entropy_equals_torchreids() -> None:
    logits, classes = torch.randn(12, 7, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 7
    ours = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(logits, classes)
    theirs = CrossEntropyLoss(num_classes=7, eps=0.1, use_gpu=False, label_smooth=True)(logits, classes)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    assert torch.nn.CrossEntropyLoss()(logits, classes).item() != pytest.approx(theirs.item(), abs=1e-3)


def pictures() -> torch.Tensor:
    return torch.randn(3, 3, 256, 128, generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def test_embeddings_of_zoo_weights_equal_torchreids_own_features(real_data: Path) -> None:
    file = real_data / "weights" / "osnet_x0_25_msmt17.pth"
    theirs = build_model("osnet_x0_25", 1041, loss="triplet", pretrained=False).eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    ours = build_reid_network("osnet_x0_25", num_identities=5)
    load_pretrained(ours, file)
    torch.testing.assert_close(ours.eval()(pictures()), theirs(pictures()), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_comparison_would_notice_a_neck_that_changes_features(real_data: Path) -> None:
    ours = build_reid_network("osnet_x0_25", num_identities=5)
    load_pretrained(ours, real_data / "weights" / "osnet_x0_25_msmt17.pth")
    assert ours.neck.running_mean is not None
    plain = ours.eval()(pictures())
    ours.neck.running_mean.fill_(0.01)
    assert (ours(pictures()) - plain).abs().max() > 1e-3
