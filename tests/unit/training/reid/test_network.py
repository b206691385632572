"""Networks, and weights made elsewhere."""

import logging
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from domain.errors import ArtifactError, InputError
from domain.model_card import ModelCard, write_card
from training.crops.backbone import backbone_features
from training.reid.network import build_reid_network, embed, load_pretrained, load_reid
from training.weights import WEIGHTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def zoo_state() -> dict[str, torch.Tensor]:
    """As torchreid saves it: no prefix, a classifier for seven people."""
    network = build_reid_network("osnet_x0_25", num_identities=7)
    return network.backbone.state_dict() | {"classifier.weight": torch.zeros(7, 512), "classifier.bias": torch.zeros(7)}


def first_weight(network: torch.nn.Module) -> torch.Tensor:
    return network.state_dict()["backbone.conv1.conv.weight"]


def test_training_gives_logits_and_features_and_evaluation_embeddings() -> None:
    network = build_reid_network("osnet_x0_25", num_identities=7)
    logits, features = network.train()(torch.rand(2, 3, 64, 32))
    assert logits.shape == (2, 7)
    assert features.shape == (2, 512) == network.eval()(torch.rand(2, 3, 64, 32)).shape
    torch.testing.assert_close(embed(network, torch.rand(2, 3, 64, 32)).norm(dim=1), torch.ones(2))


def test_cosines_do_not_depend_on_lengths_and_keep_full_precision_under_autocast() -> None:
    network = build_reid_network("osnet_x0_25", num_identities=3, cosines=True)
    embeddings, directions = torch.randn(4, 512), network.classifier.weight.detach()
    expected = embeddings @ directions.T / embeddings.norm(dim=1)[:, None] / directions.norm(dim=1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network.classifier(7 * embeddings), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("architecture", "feature"), [("osnet_ain_x0_25", 512), ("resnet18", 512), ("resnet50", 2048)])
def test_any_backbone_of_the_zoo_is_built_by_its_name(architecture: str, feature: int) -> None:
    assert build_reid_network(architecture, num_identities=3).feature == feature


@pytest.mark.parametrize(("architecture", "channels"), [("osnet_x0_25", 128), ("resnet18", 512)])
def test_each_stripe_has_its_own_part_of_the_crop(architecture: str, channels: int) -> None:
    network = build_reid_network(architecture, num_identities=3, stripes=2).eval()
    assert network.feature == 2 * channels
    images = torch.rand(2, 3, 128, 64)
    maps = network.backbone.featuremaps(images)
    upper, lower = maps.chunk(2, dim=2)
    expected = torch.stack([upper.mean((2, 3)), lower.mean((2, 3))], dim=2).flatten(1)
    torch.testing.assert_close(backbone_features(network.backbone, images, 2), expected)
    logits, _ = network.train()(images)
    logits.sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.requires_grad and weight.grad is None]
    assert idle == [], "several processes would wait for the gradients of unused weights"


def test_stripes_need_a_backbone_that_gives_its_maps() -> None:
    with pytest.raises(InputError, match="gives its last feature maps"):
        build_reid_network("densenet121", num_identities=3, stripes=6)


@pytest.mark.parametrize(
    ("architecture", "match"), [("osnet_x9", "Unknown model: osnet_x9"), ("pcb_p4", "single class")]
)
def test_a_backbone_that_cannot_be_used_is_refused(architecture: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        build_reid_network(architecture, num_identities=3)


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "module.", "network.module.", "model."])
@pytest.mark.parametrize("wrapped", [True, False], ids=["checkpoint", "state dict"])
def test_zoo_files_load_whatever_their_prefix(
    prefix: str, wrapped: bool, zoo_state: dict[str, torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {prefix + key: value for key, value in zoo_state.items()}
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, tmp_path / "zoo.pth")
    network = build_reid_network("osnet_x0_25", num_identities=5)
    with caplog.at_level(logging.WARNING):
        load_pretrained(network, tmp_path / "zoo.pth")
    torch.testing.assert_close(first_weight(network), zoo_state["conv1.conv.weight"])
    assert "not used: classifier.bias, classifier.weight" in caplog.text


@pytest.mark.slow
def test_own_weights_load_with_neck_and_classifier(tmp_path: Path) -> None:
    trained = build_reid_network("osnet_x0_25", num_identities=5)
    torch.nn.init.normal_(trained.neck.weight)
    torch.save({f"network.{key}": value for key, value in trained.state_dict().items()}, tmp_path / "own.ckpt")
    network = build_reid_network("osnet_x0_25", num_identities=5)
    load_pretrained(network, tmp_path / "own.ckpt")
    for key, value in trained.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value)


def test_imagenet_files_load_without_their_head(tmp_path: Path) -> None:
    trained, network = (build_reid_network("resnet18", num_identities=5) for _ in range(2))
    state = trained.backbone.state_dict()
    torch.save(state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, tmp_path / "imagenet.pth")
    first = next(iter(state))
    assert not torch.equal(network.state_dict()[f"backbone.{first}"], state[first])
    load_pretrained(network, tmp_path / "imagenet.pth")
    for key, value in state.items():
        torch.testing.assert_close(network.state_dict()[f"backbone.{key}"], value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"conv1.conv.weight": torch.zeros(8, 3, 7, 7)}, r"at conv1\.conv\.weight.*\(8, 3", id="shape"),
        pytest.param({"conv1.conv.weight": None}, r"at conv1\.conv\.weight.*no such key", id="missing"),
        pytest.param({"layer9.weight": torch.zeros(1)}, r"at layer9\.weight: the network has no such key", id="more"),
    ],
)
def test_another_architecture_is_refused_with_the_first_key_that_differs(
    change: dict[str, torch.Tensor | None], match: str, zoo_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    state = {key: value for key, value in (zoo_state | change).items() if value is not None}
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(InputError, match=match):
        load_pretrained(build_reid_network("osnet_x0_25", num_identities=5), tmp_path / "other.pth")


@pytest.mark.parametrize(
    "hold",
    [
        pytest.param(lambda state: {"state_dict": state, "rank1": np.float64(0.87), "epoch": 60}, id="torchreid"),
        pytest.param(
            lambda state: {"model": {f"backbone.{k}": v for k, v in state.items()}, "iteration": 3}, id="model"
        ),
        pytest.param(lambda state: {f"module.{k}": v for k, v in state.items()}, id="DataParallel"),
        pytest.param(
            lambda state: {
                "model": {f"module.backbone.{k}": v for k, v in state.items()},
                "cmc": np.array([0.5, 0.9], np.float32),
                "args": Namespace(lr=0.1, out=Path("log")),
            },
            id="scores and arguments",
        ),
        pytest.param(lambda state: {"checkpoint": 1, "net": {"state_dict": state}}, id="one in another"),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoints_of_trainers_are_taken(
    hold: Callable[[dict[str, torch.Tensor]], Any], legacy: bool, tmp_path: Path
) -> None:
    trained, network = (build_reid_network("resnet18", num_identities=5) for _ in range(2))
    state = trained.backbone.state_dict()
    torch.save(hold(state), tmp_path / "model.pth.tar-60", _use_new_zipfile_serialization=not legacy)
    load_pretrained(network, tmp_path / "model.pth.tar-60")
    for key, value in state.items():
        torch.testing.assert_close(network.state_dict()[f"backbone.{key}"], value)


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.file),))


@pytest.mark.parametrize("around", [lambda bad: bad, lambda bad: np.array([bad], object), lambda bad: Namespace(x=bad)])
def test_no_code_in_a_checkpoint_is_run(around: Callable[[Any], Any], tmp_path: Path) -> None:
    content = {"state_dict": {"w": torch.zeros(1)}, "rank1": around(Harmful(tmp_path / "harm"))}
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(InputError, match=r"no code in a file is run, got an object of posix\.mkdir") as refused:
        load_pretrained(build_reid_network("resnet18", num_identities=5), tmp_path / "bad.pth")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_without_weights_names_what_it_holds(tmp_path: Path) -> None:
    torch.save({"optimizer": {}, "epoch": 3}, tmp_path / "half.pth")
    with pytest.raises(InputError, match=r"by itself or as state_dict, model, .*; got epoch, optimizer"):
        load_pretrained(build_reid_network("resnet18", num_identities=5), tmp_path / "half.pth")


def test_what_is_no_weight_file_is_refused(tmp_path: Path) -> None:
    network = build_reid_network("osnet_x0_25", num_identities=5)
    with pytest.raises(InputError, match="is missing"):
        load_pretrained(network, tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"weights and plain values, for no code in a file is run, got .*; where"):
        load_pretrained(network, tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="must hold a state dict of tensors, got list"):
        load_pretrained(network, tmp_path / "list.pth")


def write_model(folder: Path, architecture: str, network: torch.nn.Module, stripes: int = 1) -> None:
    folder.mkdir()
    torch.save(network.state_dict(), folder / WEIGHTS)
    card = ModelCard(
        task="reid",
        architecture=architecture,
        input_height_px=64,
        input_width_px=32,
        resize="stretch",
        output_names=("embeddings",),
        stripes=stripes,
        district="test",
    )
    write_card(card, folder)


@pytest.mark.parametrize("stripes", [1, 6])
def test_a_model_folder_gives_back_its_network(stripes: int, tmp_path: Path) -> None:
    network = build_reid_network("osnet_x0_25", num_identities=5, stripes=stripes).eval()
    write_model(tmp_path / "model", "osnet_x0_25", network, stripes)
    images = torch.rand(2, 3, 64, 32)
    torch.testing.assert_close(load_reid(tmp_path / "model")(images), network(images))


def test_a_model_folder_whose_weights_do_not_fit_names_the_stage(tmp_path: Path) -> None:
    network = build_reid_network("osnet_x0_25", num_identities=5)
    write_model(tmp_path / "other", "osnet_x0_5", network)
    with pytest.raises(ArtifactError, match="must fit the network that the files beside it describe; rerun train_reid"):
        load_reid(tmp_path / "other")
    write_model(tmp_path / "cut", "osnet_x0_25", network)
    (tmp_path / "cut" / WEIGHTS).write_bytes(b"half")
    with pytest.raises(ArtifactError, match="must be readable weights; rerun train_reid"):
        load_reid(tmp_path / "cut")
