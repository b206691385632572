"""An ONNX file is one file: it reads no other, has no operators of others, and is protobuf to its end."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from domain.errors import ArtifactError
from export.engines.onnx_file import read_onnx


def outside(name: str = "w") -> TensorProto:
    """A tensor whose values lie in `secret.bin`."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def graph(*nodes: onnx.NodeProto, **more: object) -> onnx.GraphProto:
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    return helper.make_graph(list(nodes), "g", [], [result], **more)


def model(of: onnx.GraphProto, **more: object) -> onnx.ModelProto:
    return helper.make_model(of, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)


def in_a_branch() -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "b", [], [], initializer=[outside()])
    condition = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    return model(graph(condition, helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)))


def in_a_function() -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], ["y"], value=outside())]
    function = helper.make_function("", "f", [], ["y"], nodes, [helper.make_opsetid("", 17)])
    return model(graph(helper.make_node("f", [], ["y"])), functions=[function])


def sparse() -> onnx.ModelProto:
    made = model(graph(helper.make_node("Identity", ["w"], ["y"])))
    made.graph.sparse_initializer.add().values.CopyFrom(outside())
    return made


IDENTITY = helper.make_node("Identity", ["w"], ["y"])
EXTERNAL: dict[str, Callable[[], onnx.ModelProto]] = {
    "weights": lambda: model(graph(IDENTITY, initializer=[outside()])),
    "a constant": lambda: model(graph(helper.make_node("Constant", [], ["y"], value=outside()))),
    "a branch": in_a_branch,
    "a function": in_a_function,
    "sparse weights": sparse,
}


@pytest.mark.parametrize("kind", EXTERNAL)
def test_a_model_reads_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    file = tmp_path / "model.onnx"
    file.write_bytes(EXTERNAL[kind]().SerializeToString())
    with pytest.raises(ArtifactError, match=r"model\.onnx must be a usable ONNX file.*a tensor lies in another file"):
        read_onnx(file)


@pytest.mark.parametrize("operator", [("Secret", "of.others"), ("EPContext", "com.microsoft")])
def test_a_model_has_no_operators_of_others(tmp_path: Path, operator: tuple[str, str]) -> None:
    file = tmp_path / "model.onnx"
    node = helper.make_node(operator[0], [], ["y"], domain=operator[1])
    file.write_bytes(model(graph(node)).SerializeToString())
    with pytest.raises(ArtifactError, match="operator"):
        read_onnx(file)


def test_a_model_whose_parts_lie_in_it_is_taken(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    content = model(graph(IDENTITY, initializer=[weights])).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content)
    assert read_onnx(tmp_path / "model.onnx") == content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_damaged_model_is_an_artifact_error_or_is_read(tmp_path: Path, noise: bytes, at: int) -> None:
    file = tmp_path / "model.onnx"
    content = in_a_branch().SerializeToString()
    file.write_bytes(content[:at] + noise + content[at + len(noise) :])
    with suppress(ArtifactError):
        read_onnx(file)


def test_levels_without_end_are_refused(tmp_path: Path) -> None:
    inner = graph(IDENTITY)
    for _ in range(30):
        inner = helper.make_graph([helper.make_node("Loop", ["n"], ["y"], body=inner)], "g", [], [])
    (tmp_path / "model.onnx").write_bytes(model(inner).SerializeToString())
    with pytest.raises(ArtifactError, match="it has more than 40 levels"):
        read_onnx(tmp_path / "model.onnx")
