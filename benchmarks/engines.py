"""Engines beside torch, OpenCV and OpenVINO, by network, precision and batch, as JSON and a plot.

    python -m benchmarks.engines --plot docs/engines.svg
    python -m benchmarks.engines --networks yolov4-tiny --batches 1 8

Method: random weights (a network's time does not depend on them), seeded noise as pictures, all cores. Every case is a
process of its own with its own peak of memory, and all cases take turns, round by round, for a shared machine is not
always as fast; the latencies of all rounds count together. Engines and OpenVINO take uint8 pictures and scale them
inside; torch and OpenCV are given scaled floats and so have a little less to do.

The limit: `matmul_gflops` is what ONNX Runtime reaches here on a large matrix product, in float32 and in bytes. A
network's operations over its time, by that, is how near it is to what the machine can do; and bytes cannot win by more
than the two rates are apart. CPUs with dot-product instructions for bytes (VNNI) have them three to four times apart.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.detector import build, gigaflops, in_own_process, peak_memory_gb
from domain.cores import available_cores
from domain.model_card import ModelCard, write_card
from export.settings import Precision

_SIZES = {"yolov4-tiny": (416, 416), "yolov4": (608, 608), "osnet_x1_0": (256, 128), "resnet50": (256, 128)}
_DETECTORS = ("yolov4-tiny", "yolov4")
_PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
_LEAST_S, _LEAST_CALLS = 1.0, 5  # a batch is measured for so long, and so often
_PACKAGES = ("onnxruntime", "torch", "opencv-python-headless", "openvino")
_PRODUCT = 1536  # rows and columns of the matrices whose product shows the machine's rate

Infer = Callable[[np.ndarray], Any]
Opened = Callable[[int], Infer]  # of a batch's size


def wrapped(name: str) -> Any:
    """The network `name` with random weights as it is exported, and its card."""
    import torch

    from export.onnx_graph import EngineNetwork
    from training.crops.augmentation import CHANNEL_MEAN, CHANNEL_STD
    from training.reid.network import build_reid_network

    height, width = _SIZES[name]
    common: Any = {"architecture": name, "input_height_px": height, "input_width_px": width, "district": "none"}
    if name in _DETECTORS:
        card = ModelCard(
            task="detector", resize="letterbox", output_names=("boxes", "scores"), class_names=("person",), **common
        )
        return EngineNetwork(build(name, width).network, card)
    torch.manual_seed(0)
    card = ModelCard(
        task="reid",
        resize="stretch",
        channel_mean=CHANNEL_MEAN,
        channel_std=CHANNEL_STD,
        output_names=("embeddings",),
        **common,
    )
    return EngineNetwork(build_reid_network(name, num_identities=1), card)


def prepare(name: str, folder: str) -> float:
    """Write the engine folder of the network, and OpenCV's files; GFLOP of a picture."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from export.onnx_graph import export_onnx
    from export.settings import Profile
    from training.detector.darknet import save_weights

    place, network = Path(folder), wrapped(name)
    entries = export_onnx(
        network,
        place,
        Profile(min_batch=1, opt_batch=8, max_batch=64),
        precisions=_PRECISIONS,
        calibration_images=pictures(name, 16),
    )
    write_card(network.card.model_copy(update={"engines": entries}), place)
    if name in _DETECTORS:
        network.network.definition.write(place / "network.cfg")
        save_weights(network.network, place / "network.weights")
        return gigaflops(build(name, _SIZES[name][1]), _SIZES[name][1])
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.from_numpy(pictures(name, 1)))
    return float(counter.get_total_flops()) / 1e9


def pictures(name: str, batch: int) -> np.ndarray:
    """Seeded noise, `uint8 [batch, height, width, 3]`."""
    return np.random.default_rng(0).integers(0, 256, (batch, *_SIZES[name], 3), dtype=np.uint8)


def floats(name: str, batch: int) -> np.ndarray:
    """The same as `float32 [batch, 3, height, width]`, 0..1."""
    return np.ascontiguousarray(pictures(name, batch).transpose(0, 3, 1, 2), dtype=np.float32) / 255


def open_engine(name: str, folder: str, precision: str) -> Iterator[Opened]:
    """Ours: ONNX Runtime."""
    from export.engines import load
    from export.engines.files import onnx_name

    engine = load(Path(folder) / onnx_name(precision))
    yield lambda batch: engine


def open_openvino(name: str, folder: str, precision: str) -> Iterator[Opened]:
    """OpenVINO on the same ONNX file."""
    import openvino

    from export.engines.files import onnx_name

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(Path(folder) / onnx_name(precision)), "CPU")
    yield lambda batch: compiled


def open_torch(name: str, folder: str, compiled: str) -> Iterator[Opened]:
    """Torch, eager or compiled."""
    import torch

    network = wrapped(name).network
    forward = torch.compile(network, dynamic=False) if compiled == "compiled" else network
    with torch.inference_mode():
        yield lambda batch: lambda images: forward(torch.from_numpy(images))


def open_opencv(name: str, folder: str, _: str) -> Iterator[Opened]:
    """OpenCV's dnn: Darknet files of a detector, a plain ONNX file with a fixed batch of another network."""
    import cv2
    import torch

    def opened(batch: int) -> Infer:
        if name in _DETECTORS:
            reader = cv2.dnn.readNetFromDarknet(f"{folder}/network.cfg", f"{folder}/network.weights")
        else:
            file, example = f"{folder}/opencv{batch}.onnx", torch.from_numpy(floats(name, batch))
            torch.onnx.export(wrapped(name).network, (example,), file, dynamo=False, opset_version=17)
            reader = cv2.dnn.readNetFromONNX(file)
        names = reader.getUnconnectedOutLayersNames()
        cv2.setNumThreads(available_cores())  # importing ultralytics leaves it a single one

        def infer(images: np.ndarray) -> Any:
            reader.setInput(images)
            return reader.forward(names)

        return infer

    yield opened


_CASES: dict[str, tuple[Callable[[str, str, str], Iterator[Opened]], str, Callable[[str, int], np.ndarray]]] = {
    "engine, fp32": (open_engine, "fp32", pictures),
    "engine, int8": (open_engine, "int8", pictures),
    "torch": (open_torch, "eager", floats),
    "torch, compiled": (open_torch, "compiled", floats),
    "OpenCV": (open_opencv, "", floats),
    "OpenVINO, fp32": (open_openvino, "fp32", pictures),
    "OpenVINO, int8": (open_openvino, "int8", pictures),
}


def measure(title: str, name: str, folder: str, batches: Sequence[int]) -> dict[str, Any]:
    """Latencies in seconds by batch, and the peak of memory; or why the case does not run here."""
    open_case, kind, made = _CASES[title]
    latencies: dict[int, list[float]] = {}
    try:
        for opened in open_case(name, folder, kind):
            for batch in batches:
                infer, images = opened(batch), made(name, batch)
                infer(images)
                latencies[batch] = list(_timed(infer, images))
    except Exception as error:  # noqa: BLE001  a peer may miss anything, such as a compiler; the others go on
        return {"not_run": f"{type(error).__name__}: {error}".strip().splitlines()[0]}
    return {"latencies_s": latencies, "peak_memory_gb": peak_memory_gb("cpu")}


def _timed(infer: Infer, images: np.ndarray) -> Iterator[float]:
    calls, spent_s = 0, 0.0
    while calls < _LEAST_CALLS or spent_s < _LEAST_S:
        start = perf_counter()
        infer(images)
        taken_s = perf_counter() - start
        calls, spent_s = calls + 1, spent_s + taken_s
        yield taken_s


def matmul_gflops() -> dict[str, float]:
    """Rate of ONNX Runtime on one large matrix product, in float32 and in bytes; G operations a second."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rng, size, rates = np.random.default_rng(0), _PRODUCT, {}
    whole = rng.integers(-63, 64, (size, size)).astype(np.int8)
    cases: dict[str, tuple[str, np.ndarray, int, int, np.ndarray]] = {
        "fp32": ("MatMul", whole.astype(np.float32), TensorProto.FLOAT, TensorProto.FLOAT, whole.astype(np.float32)),
        "int8": ("MatMulInteger", whole, TensorProto.UINT8, TensorProto.INT32, np.abs(whole).astype(np.uint8)),
    }
    for precision, (operator, weights, taken, given, values) in cases.items():
        graph = helper.make_graph(
            [helper.make_node(operator, ["a", "b"], ["c"])],
            "product",
            [helper.make_tensor_value_info("a", taken, [size, size])],
            [helper.make_tensor_value_info("c", given, [size, size])],
            [numpy_helper.from_array(weights, "b")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        session.run(None, {"a": values})
        times_s = list(_timed(lambda array, session=session: session.run(None, {"a": array}), values))  # type: ignore[misc]
        rates[precision] = 2 * size**3 / float(np.median(times_s)) / 1e9
    return rates


def summary(rounds: Sequence[dict[str, Any]], gflop: float, rates: dict[str, float]) -> dict[str, Any]:
    """Figures of one case over its rounds."""
    if any("not_run" in each for each in rounds):
        return rounds[0]
    figures: dict[str, Any] = {"peak_memory_gb": max(each["peak_memory_gb"] for each in rounds), "batches": {}}
    for batch in rounds[0]["latencies_s"]:
        latencies = np.concatenate([each["latencies_s"][batch] for each in rounds])
        speed = batch / float(np.median(latencies))
        figures["batches"][batch] = {
            "p50_ms": 1000 * float(np.median(latencies)),
            "p95_ms": 1000 * float(np.percentile(latencies, 95)),
            "pictures_a_second": speed,
            "gflops": speed * gflop,
            "of_matmul_fp32": speed * gflop / rates["fp32"],
        }
    return figures


def plot(results: dict[str, Any], file: Path) -> None:
    """Pictures a second by batch, a panel a network."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(results), figsize=(6 * len(results), 4.2), squeeze=False)
    for panel, (name, found) in zip(panels[0], results.items(), strict=True):
        for title, figures in found["cases"].items():
            if "batches" in figures:
                speeds = [each["pictures_a_second"] for each in figures["batches"].values()]
                panel.plot(list(figures["batches"]), speeds, marker="o", label=title)
        panel.set(title=name, xlabel="batch", ylabel="pictures a second", xscale="log", ylim=(0, None))
        batches = [int(batch) for batch in next(iter(found["cases"].values()))["batches"]]
        panel.set_xticks(batches, [str(batch) for batch in batches])
        panel.minorticks_off()
        panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=sorted(_SIZES), default=["yolov4-tiny", "osnet_x1_0"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="an SVG or PNG file")
    options = parser.parse_args()
    rates = in_own_process(matmul_gflops)
    results: dict[str, Any] = {}
    for name in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            gflop: Any = in_own_process(prepare, name, folder)
            rounds: list[dict[str, Any]] = []
            for turn in range(options.rounds):
                print(f"{name}: round {turn + 1} of {options.rounds}", file=sys.stderr)
                rounds.append(
                    {title: in_own_process(measure, title, name, folder, options.batches) for title in _CASES}
                )
        cases = {title: summary([each[title] for each in rounds], gflop, rates) for title in _CASES}
        results[name] = {"gflop_a_picture": gflop, "ratios": ratios(cases), "cases": cases}
    if options.plot:
        plot(results, options.plot)
    metadata = {
        "machine": platform.machine(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
        "batches": options.batches,
        "rounds": options.rounds,
        "matmul_gflops": rates,
    }
    json.dump({"metadata": metadata, "results": results}, sys.stdout, indent=2)
    print()


def ratios(cases: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Of pictures a second, by batch: the fp32 engine beside each peer, and the int8 engine beside it."""
    ours = cases["engine, fp32"]["batches"]
    found: dict[str, dict[int, float]] = {}
    for title, figures in cases.items():
        if title == "engine, fp32" or "batches" not in figures:
            continue
        speeds = {batch: each["pictures_a_second"] for batch, each in figures["batches"].items()}
        if title == "engine, int8":
            found["int8 by fp32"] = {batch: speed / ours[batch]["pictures_a_second"] for batch, speed in speeds.items()}
        elif not title.endswith("int8"):
            found[f"fp32 by {title}"] = {
                batch: ours[batch]["pictures_a_second"] / speed for batch, speed in speeds.items()
            }
    return found


if __name__ == "__main__":
    main()
