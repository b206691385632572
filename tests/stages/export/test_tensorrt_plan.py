import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from domain.errors import ArtifactError, InputError
from domain.files import sha256_of
from domain.model_card import EngineFile, ModelCard, read_card, write_card
from export.engines.plan_building import PlanPrecision, build_plan
from export.half_precision import to_half
from export.onnx_graph import EngineNetwork, export_onnx
from export.settings import Profile
from export.tensorrt_plan import main
from training.detector.network import build_yolov4

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed on this machine"
)
PROFILE = Profile(min_batch=1, opt_batch=4, max_batch=8)
CARD = ModelCard(
    task="reid",
    architecture="tiny",
    input_height_px=8,
    input_width_px=8,
    resize="stretch",
    output_names=("embeddings",),
    feature=4,
    district="none",
)


def write_graph(file: Path, operator: str = "Conv") -> None:
    """uint8 pictures -> cast -> channels first -> convolution -> mean."""
    kernel = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(operator, ["planes", "kernel"], ["features"], domain="" if operator == "Conv" else "nobody"),
        helper.make_node("ReduceMean", ["features", "axes"], ["embeddings"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(kernel, "kernel"), helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("nobody", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_graph(tmp_path / "model.onnx")
    onnx.save(to_half(onnx.load(tmp_path / "model.onnx")), tmp_path / "model.fp16.onnx")
    describe(tmp_path)
    return tmp_path


def describe(folder: Path) -> tuple[EngineFile, EngineFile]:
    """Write the card that fits the ONNX files of `folder`; its entries, fp32 and fp16."""
    single, half = (
        EngineFile(
            file=file,
            runtime="onnxruntime",
            precision=precision,
            sha256=sha256_of(folder / file),
            **PROFILE.model_dump(),
        )
        for file, precision in (("model.onnx", "fp32"), ("model.fp16.onnx", "fp16"))
    )
    write_card(CARD.model_copy(update={"engines": (single, half)}), folder)
    return single, half


@needs_rtx
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_plan_is_built_without_a_gpu(folder: Path, precision: PlanPrecision) -> None:
    source = describe(folder)[("fp32", "fp16").index(precision)]
    entry = build_plan(folder, CARD, source, builder="tensorrt_rtx", capabilities=["8.0", "8.6", "8.9", "12.0"])
    assert entry.precision == precision
    assert (folder / "model.plan").stat().st_size > 1000
    assert entry.sha256 == sha256_of(folder / "model.plan")
    assert entry.runtime == "tensorrt_rtx"
    assert entry.runtime_version
    assert entry.compute_capabilities == ("8.0", "8.6", "8.9", "12.0")
    assert entry.max_batch == 8


@pytest.mark.soak
@needs_rtx
def test_the_full_yolov4_at_608_becomes_a_plan_without_a_gpu(tmp_path: Path) -> None:
    card = CARD.model_copy(
        update={
            "task": "detector",
            "input_height_px": 608,
            "input_width_px": 608,
            "output_names": ("boxes", "scores"),
            "class_names": ("person",),
        }
    )
    torch.manual_seed(0)
    network = EngineNetwork(build_yolov4("yolov4"), card)
    _, half = export_onnx(network, tmp_path, PROFILE, precisions=["fp32", "fp16"])
    entry = build_plan(tmp_path, card, half, builder="tensorrt_rtx", capabilities=["8.0", "8.6", "8.9", "12.0"])
    assert entry.compute_capabilities == ("8.0", "8.6", "8.9", "12.0")
    size = (tmp_path / "model.plan").stat().st_size
    assert 2 * 63_000_000 < size < 4 * 63_000_000  # its 64 million weights, in half precision


@needs_rtx
def test_the_command_builds_the_plan_and_notes_it_in_the_card(folder: Path) -> None:
    main([f"folder={folder}", 'compute_capabilities=["8.6"]', "precision=fp32"])
    main([f"folder={folder}", 'compute_capabilities=["8.9"]'])
    entries = read_card(folder).engines
    assert [entry.file for entry in entries] == ["model.onnx", "model.fp16.onnx", "model.plan"]
    assert entries[2].compute_capabilities == ("8.9",)
    assert entries[2].precision == "fp32"  # as the plan before


@needs_rtx
def test_an_unknown_compute_capability_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"compute capability must be one of 7\.5, 8\.0.*for tensorrt_rtx, got '5\.2'"):
        main([f"folder={folder}", 'compute_capabilities=["5.2"]'])
    assert not (folder / "model.plan").exists()


REFUSED = r"model\.onnx must be a usable ONNX file; export the model again "


@needs_rtx
def test_a_graph_the_builder_cannot_read_is_refused(folder: Path) -> None:
    write_graph(folder / "model.onnx", operator="Riddle")
    describe(folder)
    with pytest.raises(ArtifactError, match=REFUSED):
        main([f"folder={folder}", 'compute_capabilities=["8.6"]', "precision=fp32"])


@needs_rtx
def test_what_is_no_onnx_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"\xff\xff nothing")
    describe(folder)
    with pytest.raises(ArtifactError, match=REFUSED) as caught:
        main([f"folder={folder}", 'compute_capabilities=["8.6"]', "precision=fp32"])
    assert "\n" not in str(caught.value)


@needs_rtx
def test_an_onnx_file_that_was_changed_is_refused(folder: Path) -> None:
    (folder / "model.fp16.onnx").write_bytes(b"other")
    with pytest.raises(ArtifactError, match=r"model\.fp16\.onnx does not fit its card"):
        main([f"folder={folder}", 'compute_capabilities=["8.6"]'])


def test_a_folder_without_onnx_is_refused(folder: Path) -> None:
    write_card(CARD, folder)
    with pytest.raises(
        ArtifactError, match=r"must hold model\.fp16\.onnx for a plan in fp16, its card lists none; export the"
    ):
        main([f"folder={folder}", 'compute_capabilities=["8.6"]'])


def test_without_a_gpu_its_kind_must_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.engines.plan_building.compute_capability", lambda: None)
    with pytest.raises(InputError, match="this machine has no NVIDIA GPU to build for; name them, such as"):
        main([f"folder={folder}"])


def test_a_missing_builder_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.engines.plan_building.importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"the builder tensorrt_rtx must be installed \(tensorrt-rtx\)"):
        main([f"folder={folder}", 'compute_capabilities=["8.6"]'])


def test_tensorrt_itself_needs_a_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.engines.plan_building._import", lambda builder: onnx)
    monkeypatch.setattr("export.engines.plan_building.compute_capability", lambda: None)
    with pytest.raises(InputError, match="the builder tensorrt needs an NVIDIA GPU, this machine has none"):
        main([f"folder={folder}", "builder=tensorrt", 'compute_capabilities=["8.6"]'])


def test_a_profile_is_in_order() -> None:
    with pytest.raises(ValueError, match="min_batch <= opt_batch <= max_batch"):
        Profile(min_batch=4, opt_batch=2, max_batch=8)
