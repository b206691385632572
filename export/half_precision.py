"""An ONNX graph in half precision: what TensorRT, strongly typed, runs as fp16.

Everything up to the last layer with weights computes in float16; what only shapes the output (decoding boxes, softmax,
unit length) stays in float32, for there a rounding error is the result's error. Inputs and outputs keep their types.
ONNX Runtime's converter is not used: it raises weights that underflow to the smallest half-precision number, and limits
weights that overflow without an error.
"""

import copy
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from domain.errors import InputError

_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_FLOAT32_INPUTS = {"Resize": {1, 2}}  # the operator allows only float32 for these
_LARGEST = float(np.finfo(np.float16).max)


def to_half(model: ModelProto) -> ModelProto:
    """A copy of the float32 `model` whose weighted part is float16.

    Raises:
        InputError: if a weight is too large for half precision; names it.
    """
    model = copy.deepcopy(model)
    graph = model.graph
    del graph.value_info[:]  # they say float32
    _separate_outputs(graph)
    inner = _nodes_up_to_weights(graph.node)
    _convert_constants(graph, [graph.node[index] for index in sorted(inner)])
    for index in inner:
        _convert_attributes(graph.node[index])
    _cast_where_float32_goes_on(model, inner)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True))
    return model


def _nodes_up_to_weights(nodes: Iterable[NodeProto]) -> set[int]:
    """Indices of the nodes with weights and of all nodes before them."""
    nodes = list(nodes)
    producers = {output: index for index, node in enumerate(nodes) for output in node.output}
    waiting = [index for index, node in enumerate(nodes) if node.op_type in _WEIGHTED]
    reached: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index not in reached:
            reached.add(index)
            waiting += [producers[name] for name in nodes[index].input if name in producers]
    return reached


def _convert_constants(graph: GraphProto, inner: list[NodeProto]) -> None:
    """Give the `inner` nodes half-precision copies of their float32 initializers; drop unused ones."""
    by_name = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    halves: dict[str, TensorProto] = {}
    for node in inner:
        kept = _FLOAT32_INPUTS.get(node.op_type, set())
        for position, name in enumerate(node.input):
            if name in by_name and position not in kept:
                if name not in halves:
                    halves[name] = _half_tensor(by_name[name], f"{name}.half")
                node.input[position] = f"{name}.half"
    used = {name for node in graph.node for name in node.input}
    left = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*left, *halves.values()])


def _convert_attributes(node: NodeProto) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(_half_tensor(attribute.t, attribute.t.name))


def _half_tensor(tensor: TensorProto, name: str) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    if values.size and np.abs(values).max() > _LARGEST:
        raise InputError(
            f"weights must be at most {_LARGEST:.0f} for half precision, got {np.abs(values).max():.4g} in "
            f"{tensor.name}; export with precision=fp32"
        )
    return numpy_helper.from_array(values.astype(np.float16), name)


def _cast_where_float32_goes_on(model: ModelProto, inner: set[int]) -> None:
    """Put a cast to float32 behind each half-precision value that a node outside `inner` reads."""
    graph = model.graph
    half_values = _half_values(model, inner)
    read_outside = {name for index, node in enumerate(graph.node) if index not in inner for name in node.input}
    nodes: list[NodeProto] = []
    for index, node in enumerate(graph.node):
        nodes.append(node)
        if index in inner:
            nodes += [
                helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT)
                for name in node.output
                if name in half_values & read_outside
            ]
            continue
        for position, name in enumerate(node.input):
            if name in half_values:
                node.input[position] = f"{name}.float"
    nodes = [copy.deepcopy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)


def _separate_outputs(graph: GraphProto) -> None:
    """Put a cast to float32 before every output, so that no node with weights writes one itself."""
    outputs = [output.name for output in graph.output]
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name in outputs:
                    names[position] = f"{name}.before_cast"
    graph.node.extend(
        helper.make_node("Cast", [f"{name}.before_cast"], [name], to=TensorProto.FLOAT) for name in outputs
    )


def _half_values(model: ModelProto, inner: set[int]) -> set[str]:
    """Names of the float16 values that `inner` nodes give; whole numbers and booleans are not among them."""
    inferred = onnx.shape_inference.infer_shapes(model)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    given = {name for index in inner for name in model.graph.node[index].output}
    return {name for name in given if types.get(name) == TensorProto.FLOAT16}
