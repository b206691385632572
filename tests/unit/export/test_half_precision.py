import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from domain.errors import InputError
from export.half_precision import to_half


def network(weight: np.ndarray, *, output_of_weights: bool = False) -> onnx.ModelProto:
    """uint8 pictures -> cast, scaled -> matrix product -> softmax, or the product itself."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weight"], ["result" if output_of_weights else "logits"]),
    ]
    if not output_of_weights:
        nodes += [
            helper.make_node("Mul", ["logits", "scale"], ["tempered"]),
            helper.make_node("Softmax", ["tempered"], ["result"]),
        ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 4])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.array(1 / 255, np.float32), "scale"), numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


WEIGHT = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, (5, 4), dtype=np.uint8)


@pytest.mark.parametrize("output_of_weights", [False, True])
def test_half_precision_rounds_and_keeps_the_outputs_type(output_of_weights: bool) -> None:
    model = network(WEIGHT, output_of_weights=output_of_weights)
    half, full = run(to_half(model), IMAGES), run(model, IMAGES)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < 5e-3


def test_weights_become_float16_and_what_follows_them_stays_float32() -> None:
    model = to_half(network(WEIGHT))
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert types == {
        "scale": TensorProto.FLOAT,
        "scale.half": TensorProto.FLOAT16,
        "weight.half": TensorProto.FLOAT16,
    }


def test_the_original_is_left_as_it_was() -> None:
    model = network(WEIGHT)
    before = model.SerializeToString()
    to_half(model)
    assert model.SerializeToString() == before


def test_a_weight_too_large_for_half_precision_is_named() -> None:
    with pytest.raises(InputError, match=r"weights must be at most 65504 for half precision, got 1e\+06 in weight"):
        to_half(network(np.full((4, 2), 1e6, np.float32)))


def test_values_named_like_outputs_do_not_collide() -> None:
    model = network(WEIGHT)
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = ["result.inner" if name == "scaled" else name for name in values]
    assert np.abs(run(to_half(model), IMAGES) - run(model, IMAGES)).max() < 5e-3
