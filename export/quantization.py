"""An ONNX graph with 8-bit weights and activations, ranges taken from pictures: what a CPU runs as int8.

What lies between the first and the last layers with weights is quantised, weights per channel. Scaling of the pixels,
the last layers with weights and what shapes their output (decoding boxes, softmax, unit length) stay in float32: an
error there is the result's error, and they cost little. So does the inside of Mish, whose steps are far larger than
what comes out.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from domain.errors import InputError
from export.engines.engine import INPUT_NAME

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_CALIBRATION_BATCH = 8
_CALIBRATION_PIXELS = 2**20  # of a batch: all activations are in memory until their ranges are known


def to_int8(model: ModelProto, images: np.ndarray | None) -> ModelProto:
    """A quantised copy of the float32 `model`, in ONNX's quantise-dequantise form.

    Weights take 7 of the 8 bits: CPUs without dot-product instructions (VNNI) add two products in 16 bits, which 8-bit
    weights overflow, silently.

    Args:
        model: takes `uint8 [batch, height, width, 3]`.
        images: that many pictures; the ranges of all values inside the network are those that these give rise to.

    Raises:
        InputError: if there is no picture.
    """
    if images is None or len(images) == 0:
        raise InputError("int8 needs pictures to take ranges from, got none; give some, or leave int8 out")
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        source, fused, quantised = (Path(folder) / f"{name}.onnx" for name in ("source", "fused", "quantised"))
        onnx.save(model, source)
        quant_pre_process(source, fused, skip_symbolic_shape=True)  # batch normalisation into the convolutions
        graph = onnx.load(fused).graph
        quantize_static(
            fused,
            quantised,
            _Batches(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[*_outside_layers(graph), *_exponential_activations(graph)],
            extra_options={"CalibMovingAverage": True},  # so that an outlier of one picture does not widen the range
        )
        result = onnx.load(quantised)
    onnx.helper.set_model_props(result, {entry.key: entry.value for entry in model.metadata_props})
    result.producer_name = model.producer_name
    onnx.checker.check_model(result)
    return result


class _Batches(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        pixels = images.shape[1] * images.shape[2]
        batch = min(_CALIBRATION_BATCH, max(1, _CALIBRATION_PIXELS // pixels))
        self._parts: Iterator[np.ndarray] = (images[start : start + batch] for start in range(0, len(images), batch))

    def get_next(self) -> dict[str, np.ndarray] | None:
        part = next(self._parts, None)
        return None if part is None else {INPUT_NAME: part}


def _outside_layers(graph: GraphProto) -> list[str]:
    """Names of the nodes before the first layers with weights, and of the last such layers and all nodes after them."""
    producers = {output: node for node in graph.node for output in node.output}
    weighted = [node for node in graph.node if node.op_type in _WEIGHTED]
    before = {node.name: _upstream(node, producers) for node in weighted}
    inner = set().union(*before.values())  # all nodes before a layer with weights
    scaling = set().union(*(above for above in before.values() if not above & before.keys()))
    return [node.name for node in graph.node if node.name not in inner or node.name in scaling]


def _exponential_activations(graph: GraphProto) -> list[str]:
    """Names of the nodes from each exponential to the subtraction that it ends in: Mish, as `onnx_graph` writes it."""
    consumers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for value in node.input:
            consumers.setdefault(value, []).append(node)
    inside: list[str] = []
    waiting = [node for node in graph.node if node.op_type == "Exp"]
    while waiting:
        node = waiting.pop()
        inside.append(node.name)
        if node.op_type != "Sub":
            waiting += [reader for value in node.output for reader in consumers.get(value, ())]
    return inside


def _upstream(node: NodeProto, producers: dict[str, NodeProto]) -> set[str]:
    """Names of all nodes before `node`."""
    reached: set[str] = set()
    waiting = [node]
    while waiting:
        for value in waiting.pop().input:
            producer = producers.get(value)
            if producer is not None and producer.name not in reached:
                reached.add(producer.name)
                waiting.append(producer)
    return reached


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep ONNX Runtime's advice to prepare the graph, which is already done, out of a stage's output."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
