import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from domain.errors import ArtifactError, InputError
from domain.files import sha256_of
from domain.model_card import EngineFile, ModelCard, read_card, write_card
from export.engines import load
from export.engines.tensorrt_runtime import require_fitting
from tests.helpers.project import ROOT

HEIGHT, WIDTH, MAX_BATCH = 6, 4, 8
CARD = ModelCard(
    task="reid",
    architecture="channel-means",
    input_height_px=HEIGHT,
    input_width_px=WIDTH,
    resize="stretch",
    output_names=("embeddings",),
    feature=3,
    district="none",
)
PLAN = EngineFile(
    file="model.plan",
    runtime="tensorrt_rtx",
    precision="fp16",
    sha256="0" * 64,
    min_batch=1,
    opt_batch=4,
    max_batch=MAX_BATCH,
    runtime_version="1.7.0",
    compute_capabilities=("8.0", "8.6"),
)


def write_graph(file: Path, output: str = "embeddings", width: int = WIDTH) -> None:
    """A network that gives the mean of each channel."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], [output], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "channel-means",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", HEIGHT, width, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)


def describe(folder: Path, *plans: EngineFile) -> None:
    """Write the card that fits `model.onnx` of `folder`."""
    entry = EngineFile(
        file="model.onnx",
        runtime="onnxruntime",
        precision="fp32",
        sha256=sha256_of(folder / "model.onnx"),
        min_batch=1,
        opt_batch=4,
        max_batch=MAX_BATCH,
    )
    write_card(CARD.model_copy(update={"engines": (entry, *plans)}), folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_graph(tmp_path / "model.onnx")
    describe(tmp_path)
    return tmp_path


def pictures(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (batch, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.mark.parametrize("batch", [0, 1, 7, MAX_BATCH, MAX_BATCH + 1, 3 * MAX_BATCH + 5])
def test_every_size_of_batch_gives_one_answer_a_picture(folder: Path, batch: int) -> None:
    images = pictures(batch)
    outputs = load(folder, threads=1)(images)
    assert list(outputs) == ["embeddings"]
    assert outputs["embeddings"].dtype == np.float32
    assert outputs["embeddings"].shape == (batch, 3)
    np.testing.assert_allclose(outputs["embeddings"], images.mean(axis=(1, 2)), rtol=1e-5)


def test_a_view_with_reversed_channels_is_read_as_it_looks(folder: Path) -> None:
    images = pictures(3)
    engine = load(folder, threads=1)
    np.testing.assert_array_equal(engine(images[..., ::-1])["embeddings"], engine(images)["embeddings"][:, ::-1])


def test_a_file_opens_like_its_folder(folder: Path) -> None:
    engine = load(folder / "model.onnx", threads=1)
    assert engine.card.architecture == "channel-means"
    assert engine.file.runtime == "onnxruntime"


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(pictures(2).astype(np.float32), id="float32"),
        pytest.param(pictures(2).astype(np.int8), id="int8"),
        pytest.param(pictures(2).tolist(), id="a list"),
    ],
)
def test_another_type_is_refused(folder: Path, images: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"images must be a uint8 array of RGB values 0..255, got (float32|int8|list)"):
        load(folder, threads=1)(images)


@pytest.mark.parametrize(
    "shape", [(HEIGHT, WIDTH, 3), (2, 3, HEIGHT, WIDTH), (2, HEIGHT, WIDTH, 4), (2, WIDTH, HEIGHT, 3), (0, 1, 1, 3)]
)
def test_another_shape_is_refused(folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"images must have shape \(any, 6, 4, 3\), got"):
        load(folder, threads=1)(np.zeros(shape, np.uint8))


def test_threads_below_one_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="threads must be at least 1 or None, got 0"):
        load(folder, threads=0)


def test_callers_in_several_threads_get_their_own_answers(folder: Path) -> None:
    engine = load(folder, threads=1)
    wrong: list[int] = []

    def call(seed: int) -> None:
        for repeat in range(20):
            images = pictures(batch=1 + (seed + repeat) % 12, seed=seed)
            if not np.allclose(engine(images)["embeddings"], images.mean(axis=(1, 2)), rtol=1e-5):
                wrong.append(seed)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere.*must be a model card; rerun the stage"):
        load(tmp_path / "nowhere" / "model.onnx")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx must be a readable file; export the model again \(No such"):
        load(folder)


def test_a_changed_file_does_not_fit_its_card(folder: Path) -> None:
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ArtifactError, match=r"model\.onnx does not fit its card: sha256 must begin with \w{12}, got"):
        load(folder)


def test_a_corrupt_file_gets_one_clear_line(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])
    describe(folder)  # as if the damage came before the checksum
    with pytest.raises(
        ArtifactError, match=r"model\.onnx must be a usable ONNX file; export the model again"
    ) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_card_of_other_outputs_does_not_fit(folder: Path) -> None:
    write_graph(folder / "model.onnx", output="features")
    describe(folder)
    with pytest.raises(ArtifactError, match="does not fit its card: outputs must be embeddings, got features"):
        load(folder)


def test_a_card_of_another_size_does_not_fit(folder: Path) -> None:
    write_graph(folder / "model.onnx", width=WIDTH + 1)
    describe(folder)
    with pytest.raises(ArtifactError, match=r"does not fit its card: inputs must be .*6, 4, 3.*, got .*6, 5, 3"):
        load(folder)


def test_a_file_the_card_does_not_list_is_refused(folder: Path) -> None:
    (folder / "other.onnx").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"other\.onnx must be an engine of the card beside it, which lists model"):
        load(folder / "other.onnx")


def test_a_runtime_the_card_does_not_list_is_refused(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="must hold an engine for tensorrt, its card lists onnxruntime"):
        load(folder, runtime="tensorrt")


@pytest.mark.parametrize(
    ("installed", "capability", "message"),
    [
        pytest.param("1.7.0", None, "this machine has no NVIDIA GPU; load model.onnx instead", id="no GPU"),
        pytest.param(None, "8.6", "tensorrt_rtx is not installed; install it or load model.onnx", id="no runtime"),
        pytest.param("1.8.0", "8.6", "this machine has version 1.8.0; rebuild it here", id="another version"),
        pytest.param("1.7.0", "9.0", "this machine's GPU has 9.0; rebuild it here from its ONNX", id="another GPU"),
    ],
)
def test_a_plan_for_another_machine_says_what_it_was_built_for(
    installed: str | None, capability: str | None, message: str
) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        require_fitting(Path("engines/x/model.plan"), PLAN, installed, capability)
    assert "was built by tensorrt_rtx 1.7.0 for compute capability 8.0, 8.6" in str(caught.value)


def test_a_plan_for_this_machine_is_accepted() -> None:
    require_fitting(Path("model.plan"), PLAN, "1.7.0", "8.6")  # would raise
    with pytest.raises(ArtifactError):
        require_fitting(Path("model.plan"), PLAN, "1.7.0", "8.9")


@pytest.fixture
def folder_with_plan(folder: Path) -> Path:
    (folder / "model.plan").write_bytes(b"plan")
    describe(folder, PLAN.model_copy(update={"sha256": hashlib.sha256(b"plan").hexdigest()}))
    return folder


def test_without_a_gpu_the_folder_opens_as_onnx(folder_with_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: None)
    assert load(folder_with_plan, threads=1).file.runtime == "onnxruntime"


def test_a_plan_that_does_not_fit_the_gpu_is_replaced_with_a_warning(
    folder_with_plan: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: "12.9")
    engine = load(folder_with_plan, threads=1)
    assert engine.file.runtime == "onnxruntime"
    assert "ONNX Runtime on the CPU runs instead of a plan" in caplog.text
    assert engine.notice in caplog.text
    assert "this machine" in engine.notice


def test_a_plan_that_does_not_fit_the_gpu_stops_where_it_must_not_be_replaced(
    folder_with_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: "12.9")
    with pytest.raises(ArtifactError, match=r"was built by tensorrt_rtx .*; this machine"):
        load(folder_with_plan, threads=1, without_plan="stop")


def test_a_folder_without_a_plan_stops_on_a_gpu_where_it_must_not_be_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: "8.6")
    with pytest.raises(ArtifactError, match=r"holds no plan for this machine's GPU \(8\.6\)"):
        load(folder, threads=1, without_plan="stop")


def test_a_plan_is_rebuilt_where_that_is_wanted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed on this machine")
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: "8.6")
    graph = onnx.load(folder / "model.onnx")
    onnx.save(graph, folder / "model.fp16.onnx")  # without weights, half precision is the same graph
    single = read_card(folder).engines[0]
    half = single.model_copy(update={"file": "model.fp16.onnx", "precision": "fp16"})
    half = half.model_copy(update={"sha256": sha256_of(folder / "model.fp16.onnx")})
    write_card(CARD.model_copy(update={"engines": (single, half)}), folder)
    with pytest.raises(ArtifactError, match="this machine has no NVIDIA GPU"):  # built, and then not opened here
        load(folder, threads=1, without_plan="rebuild")
    plan = read_card(folder).engines[-1]
    assert (plan.file, plan.precision, plan.compute_capabilities) == ("model.plan", "fp16", ("8.6",))
    assert plan.sha256 == sha256_of(folder / "model.plan")


def test_a_gpu_provider_that_does_not_start_is_no_silent_cpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.engines.loading.compute_capability", lambda: "8.6")
    monkeypatch.setattr("export.engines.loading.gpu_provider", lambda: "CUDAExecutionProvider")
    with pytest.raises(ArtifactError, match="must run by CUDAExecutionProvider, which does not start on this machine"):
        load(folder, threads=1)


def test_the_first_onnx_file_of_the_card_is_what_a_cpu_runs(folder: Path) -> None:
    onnx.save(onnx.load(folder / "model.onnx"), folder / "model.int8.onnx")
    single = read_card(folder).engines[0]
    small = single.model_copy(update={"file": "model.int8.onnx", "precision": "int8"})
    small = small.model_copy(update={"sha256": sha256_of(folder / "model.int8.onnx")})
    for entries in ((single, small), (small, single)):
        write_card(CARD.model_copy(update={"engines": entries}), folder)
        assert load(folder, threads=1).file == entries[0]
    assert load(folder / "model.onnx", threads=1).file == single


def test_a_plan_asked_for_by_name_is_never_replaced(folder_with_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.engines.cuda_driver.compute_capability", lambda: None)
    with pytest.raises(ArtifactError, match="this machine has no NVIDIA GPU"):
        load(folder_with_plan / "model.plan")


@pytest.mark.slow
def test_engines_need_no_torch() -> None:
    code = "import export.engines, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    imported = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout
    assert not {"torch", "hydra", "mlflow"} & set(imported.split())
