import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from domain.errors import InputError
from domain.model_card import ModelCard
from export.onnx_graph import EngineNetwork, network_graph
from export.quantization import to_int8

pytestmark = pytest.mark.slow

CARD = ModelCard(
    task="reid",
    architecture="three-layers",
    input_height_px=16,
    input_width_px=16,
    resize="stretch",
    channel_mean=(0.5, 0.4, 0.3),
    channel_std=(0.2, 0.25, 0.3),
    output_names=("embeddings",),
    feature=8,
    district="none",
)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)


class ThreeLayers(nn.Module):
    """Two convolutions and a matrix product."""

    def __init__(self, activation: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.activation = activation or nn.ReLU()
        self.first, self.second = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3)
        self.last = nn.Linear(32, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.activation(self.second(self.activation(self.first(images)))).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return network_graph(EngineNetwork(ThreeLayers(), CARD), weights_sha256="abc")


@pytest.fixture(scope="module")
def quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    return to_int8(model, IMAGES)


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def test_answers_are_near_those_of_float32_and_not_the_same(model: onnx.ModelProto, quantised: onnx.ModelProto) -> None:
    fresh = np.random.default_rng(1).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    distance = np.abs(run(quantised, fresh) - run(model, fresh))
    assert 0 < distance.max() < 0.05


def test_inner_weights_are_bytes_of_seven_bits_and_the_last_layer_stays_float32(quantised: onnx.ModelProto) -> None:
    graph = quantised.graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions = [value for name, value in weights.items() if value.ndim == 4 and "weight" in name]
    assert [value.dtype for value in convolutions] == [np.int8, np.int8]
    assert all(32 < np.abs(value.astype(int)).max() <= 64 for value in convolutions)
    matrix = next(node for node in graph.node if node.op_type in ("Gemm", "MatMul"))
    assert weights[matrix.input[1]].dtype == np.float32


def test_scales_are_a_channels_own(quantised: onnx.ModelProto) -> None:
    scales = [tensor for tensor in quantised.graph.initializer if "weight" in tensor.name and "scale" in tensor.name]
    assert [tuple(tensor.dims) for tensor in scales] == [(32,), (32,)]


def test_mish_is_whole_and_in_float32_between_the_layers_in_bytes() -> None:
    model = network_graph(EngineNetwork(ThreeLayers(nn.Mish()), CARD), weights_sha256="abc")
    quantised = to_int8(model, IMAGES)
    readers = {value: node for node in quantised.graph.node for value in node.input}
    for node in quantised.graph.node:
        if node.op_type == "Exp":
            inside = [node]
            while inside[-1].op_type != "Sub":
                inside.append(readers[inside[-1].output[0]])
            assert [each.op_type for each in inside] == ["Exp", "Add", "Mul", "Add", "Div", "Mul", "Sub"]
    assert sum(node.op_type == "Exp" for node in quantised.graph.node) == 2
    distance = np.abs(run(quantised, IMAGES) - run(model, IMAGES))
    assert 0 < distance.max() < 0.05


def test_the_card_goes_along(model: onnx.ModelProto, quantised: onnx.ModelProto) -> None:
    properties = {entry.key: entry.value for entry in quantised.metadata_props}
    assert properties.items() >= {entry.key: entry.value for entry in model.metadata_props}.items()
    assert properties["dongseon.weights_sha256"] == "abc"


def test_without_pictures_there_are_no_ranges(model: onnx.ModelProto) -> None:
    with pytest.raises(InputError, match="int8 needs pictures to take ranges from, got none"):
        to_int8(model, IMAGES[:0])
