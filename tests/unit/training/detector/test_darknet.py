"""Darknet's weight files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from domain.errors import InputError
from training.detector.darknet import load_weights, save_weights
from training.detector.darknet_cfg import parse_cfg
from training.detector.network import DarknetNetwork

CFG = """[net]
[conv]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky
[conv]
filters=12
size=1
activation=linear
[yolo]
mask=0,1
anchors=8,16,16,32
classes=1
num=2
"""
NUM_FIRST, NUM_HEAD = 4 * 4 + 4 * 3 * 9, 12 + 12 * 4


def small_network(seed: int, num_classes: int = 1) -> DarknetNetwork:
    torch.manual_seed(seed)
    network = DarknetNetwork(parse_cfg(CFG, "small").with_classes(num_classes))
    for parameter in network.state_dict().values():
        if parameter.is_floating_point():
            parameter.copy_(torch.rand(parameter.shape) + 0.1)
    return network.eval()


def same_outputs(network: DarknetNetwork, other: DarknetNetwork) -> bool:
    images = torch.rand(1, 3, 8, 8)
    return torch.equal(network.heads(images)[0], other.heads(images)[0])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    network, other = small_network(0), small_network(1)
    network.seen_images = 2**40
    save_weights(network, tmp_path / "a.weights")
    assert not same_outputs(network, other)
    loaded = load_weights(other, tmp_path / "a.weights")
    assert same_outputs(network, other)
    assert (loaded.version, loaded.seen_images, other.seen_images) == ((0, 2, 5), 2**40, 2**40)
    assert (loaded.num_values, loaded.layers, loaded.reinitialised) == (NUM_FIRST + NUM_HEAD, (0, 1), ())


def test_values_are_in_darknets_order(tmp_path: Path) -> None:
    network = small_network(0)
    save_weights(network, tmp_path / "a.weights")
    values = np.fromfile(tmp_path / "a.weights", "<f4", offset=20)
    layer, head = network.layers[0], network.layers[1]
    for position, tensor in enumerate(
        [layer.norm.bias, layer.norm.weight, layer.norm.running_mean, layer.norm.running_var]
    ):
        np.testing.assert_array_equal(values[position * 4 : position * 4 + 4], tensor.detach().numpy())
    np.testing.assert_array_equal(values[16:NUM_FIRST], layer.conv.weight.detach().numpy().ravel())
    np.testing.assert_array_equal(values[NUM_FIRST : NUM_FIRST + 12], head.conv.bias.detach().numpy())


def test_a_header_of_an_old_version_is_four_bytes_shorter(tmp_path: Path) -> None:
    network, other = small_network(0), small_network(1)
    save_weights(network, tmp_path / "new.weights")
    body = (tmp_path / "new.weights").read_bytes()[20:]
    (tmp_path / "old.weights").write_bytes(np.array([0, 1, 0, 77], "<i4").tobytes() + body)
    assert load_weights(other, tmp_path / "old.weights").seen_images == 77
    assert same_outputs(network, other)


def test_a_partial_file_fills_the_first_layers_only(tmp_path: Path) -> None:
    network, other = small_network(0), small_network(1)
    head = other.layers[1].conv.weight.clone()
    save_weights(network, tmp_path / "a.weights")
    (tmp_path / "a.conv.1").write_bytes((tmp_path / "a.weights").read_bytes()[: 20 + 4 * NUM_FIRST])
    loaded = load_weights(other, tmp_path / "a.conv.1")
    assert (loaded.layers, loaded.file_classes) == ((0,), None)
    assert torch.equal(other.layers[0].conv.weight, network.layers[0].conv.weight)
    assert torch.equal(other.layers[1].conv.weight, head)


def test_another_number_of_classes_leaves_the_head_and_says_so(tmp_path: Path) -> None:
    coco, person = small_network(0, num_classes=80), small_network(1)
    head = person.layers[1].conv.weight.clone()
    save_weights(coco, tmp_path / "coco.weights")
    loaded = load_weights(person, tmp_path / "coco.weights")
    assert (loaded.file_classes, loaded.layers, loaded.reinitialised) == (80, (0,), (1,))
    assert "the file has 80 classes, so the heads (1,) are not loaded" in str(loaded)
    assert torch.equal(person.layers[0].conv.weight, coco.layers[0].conv.weight)
    assert torch.equal(person.layers[1].conv.weight, head)


def test_heads_can_keep_a_class_of_the_file(tmp_path: Path) -> None:
    coco, person = small_network(0, num_classes=80), small_network(1)
    save_weights(coco, tmp_path / "coco.weights")
    loaded = load_weights(person, tmp_path / "coco.weights", classes=[7])
    assert (loaded.layers, loaded.reinitialised, loaded.kept_classes) == ((0, 1), (), (7,))
    assert "of the file's 80 classes the heads load (7,)" in str(loaded)
    images = torch.rand(2, 3, 8, 8)
    of_coco, of_person = coco.heads(images)[0], person.heads(images)[0]
    assert of_person.shape[1] == 2 * 6
    of_coco = of_coco.unflatten(1, (2, 85))[:, :, [0, 1, 2, 3, 4, 5 + 7]]
    torch.testing.assert_close(of_person.unflatten(1, (2, 6)), of_coco)


@pytest.mark.parametrize("classes", [[80], [-1], [], [0, 1]])
def test_classes_the_file_does_not_have_cannot_be_kept(tmp_path: Path, classes: list[int]) -> None:
    save_weights(small_network(0, num_classes=80), tmp_path / "coco.weights")
    with pytest.raises(InputError, match=r"classes to keep must be 1 of the 80 of .*coco\.weights, from 0, got"):
        load_weights(small_network(1), tmp_path / "coco.weights", classes)


@pytest.mark.parametrize(
    ("num_values", "message"),
    [
        pytest.param(
            NUM_FIRST - 1, f"{NUM_FIRST} values for layer 0 .*got {NUM_FIRST - 1}: it is cut short", id="first"
        ),
        pytest.param(
            NUM_FIRST + NUM_HEAD - 3, f"{NUM_HEAD} values for layer 1 .*got {NUM_HEAD - 3}: it is cut short", id="head"
        ),
        pytest.param(
            NUM_FIRST + NUM_HEAD + 3,
            rf"must end after layer 1 \({NUM_FIRST + NUM_HEAD} values\), got 3 values more",
            id="too long",
        ),
    ],
)
def test_files_of_another_length_name_the_layer_and_how_many(num_values: int, message: str, tmp_path: Path) -> None:
    header = np.array([0, 2, 5, 0, 0], "<i4").tobytes()
    (tmp_path / "a.weights").write_bytes(header + np.zeros(num_values, "<f4").tobytes())
    with pytest.raises(InputError, match=message):
        load_weights(small_network(0), tmp_path / "a.weights")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"12345", "must begin with a header of 3 numbers, got 5 bytes", id="no header"),
        pytest.param(
            b"\x89PNG\r\n\x1a\n" + bytes(40), "must be a Darknet weight file, got the version", id="a picture"
        ),
        pytest.param(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + b"123", "whole float32 values", id="half a value"),
        pytest.param(np.array([0, 2, 5], "<i4").tobytes(), "whole float32 values after its header", id="cut header"),
    ],
)
def test_files_that_are_no_weights_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.weights").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_weights(small_network(0), tmp_path / "a.weights")


def test_missing_files_and_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is missing"):
        load_weights(small_network(0), tmp_path / "no.weights")
    values = np.zeros(NUM_FIRST + NUM_HEAD, "<f4")
    values[NUM_FIRST] = np.nan
    (tmp_path / "a.weights").write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + values.tobytes())
    with pytest.raises(InputError, match="must hold finite values, got others in layer 1"):
        load_weights(small_network(0), tmp_path / "a.weights")
