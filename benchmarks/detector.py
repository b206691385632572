"""YOLOv4's training step and inference beside ultralytics' own networks and OpenCV's Darknet reader, as JSON.

    python -m benchmarks.detector                                  # YOLOv4-tiny at 416, on the CPU
    python -m benchmarks.detector --network yolov4 --size 608 --batch 2
    python -m benchmarks.detector --device cuda --batch 64         # AMP and channels-last on and off
    python -m benchmarks.detector --device cuda --batch 64 --compiled   # torch.compile too, which takes minutes

Method: random weights and pictures, the same for all. A training step is what ultralytics' trainer does with a batch
that is loaded: loss, backward, clipped SGD step, moving average. The peers are ultralytics networks of about the same
FLOPs, which are counted, so that the step is also given per FLOP. On a CPU each case runs in a process of its own, so
that its peak of memory is its own, and cases take turns, for a shared machine is not always as fast; on a GPU, whose
memory torch counts, all run in this process. The first step is not counted. What is measured is told on stderr at once.
"""

import argparse
import gc
import json
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from domain.cores import available_cores
from export.settings import Precision

_PEERS = {"yolov4-tiny": ("yolo11s.yaml",), "yolov4": ("yolov5l.yaml", "yolov8l.yaml", "yolo11x.yaml")}
_PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
_CLASSES = 1
_PEOPLE_A_PICTURE = 4


def training_batch(batch: int, size: int, device: str) -> dict[str, Any]:
    """Seeded noise with a few people a picture, as ultralytics' loader gives it."""
    import torch

    generator = torch.Generator().manual_seed(0)
    people = batch * _PEOPLE_A_PICTURE
    boxes = torch.rand(people, 4, generator=generator) * torch.tensor([0.8, 0.6, 0.1, 0.3])
    made = {
        "img": torch.rand(batch, 3, size, size, generator=generator),
        "batch_idx": torch.arange(batch).repeat_interleave(_PEOPLE_A_PICTURE).float(),
        "cls": torch.zeros(people, 1),
        "bboxes": boxes + torch.tensor([0.1, 0.2, 0.05, 0.1]),
    }
    return {name: tensor.to(device) for name, tensor in made.items()}


def build(name: str, size: int) -> Any:
    """The network `name` as ultralytics' trainer holds it: ours, or one of its own if it is a `.yaml`."""
    import torch

    torch.manual_seed(0)
    # the trainer's module first: it keeps ultralytics off the network
    from training.allocator import keep_freed_memory
    from training.detector.network import DarknetNetwork, read_definition
    from training.detector.trainer import TrainableDetector

    keep_freed_memory()  # as the trainer does
    if not name.endswith(".yaml"):
        definition = read_definition(name).with_classes(_CLASSES).with_input_size(size, size)
        model: Any = TrainableDetector(DarknetNetwork(definition), {0: "person"})
        model.args = SimpleNamespace(nbs=64)
        return model
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel(name, nc=_CLASSES, verbose=False)
    model.args = get_cfg()
    return model


def in_memory_format(model: Any, variant: dict[str, bool]) -> Any:
    """`model` as the variant wants it; without a wish as its own trainer holds it."""
    import torch

    if "channels_last" not in variant:
        return model
    return model.to(memory_format=torch.channels_last if variant["channels_last"] else torch.contiguous_format)


def gigaflops(model: Any, size: int) -> float:
    """Of one picture forward, a multiplication and an addition being two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.eval()(torch.zeros(1, 3, size, size))
    return float(counter.get_total_flops()) / 1e9


def time_training(name: str, options: argparse.Namespace, variant: dict[str, bool]) -> dict[str, float]:
    """A training step's wall clock and memory."""
    import torch

    model = build(name, options.size)
    from ultralytics.utils.torch_utils import ModelEMA  # after our trainer, which keeps it out of the user's home

    flops = gigaflops(model, options.size)
    model = model.to(options.device).train()
    average = ModelEMA(model)
    model = in_memory_format(model, variant)
    forward = torch.compile(model) if variant.get("compile") else model
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
    batch = training_batch(options.batch, options.size, options.device)

    def step() -> None:
        with torch.autocast(options.device, torch.bfloat16, enabled=variant.get("amp", False)):
            loss, _ = model.loss(batch, forward(batch["img"]))
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update(model)
        if options.device == "cuda":
            torch.cuda.synchronize()

    seconds = median_time(step, options.repeats)
    return {
        "gigaflops_a_picture_forward": flops,
        "step_s": seconds,
        "pictures_a_second": options.batch / seconds,
        "gigaflops_a_second": 3 * flops * options.batch / seconds,  # backward is two forwards
        "peak_memory_gb": peak_memory_gb(options.device),
    }


def time_torch(name: str, options: argparse.Namespace, variant: dict[str, bool]) -> dict[str, float]:
    """Inference by torch as it is, decoded."""
    import torch

    model = build(name, options.size).eval().to(options.device)
    model = in_memory_format(model, variant)
    forward = torch.compile(model) if variant.get("compile") else model
    images = training_batch(options.batch, options.size, options.device)["img"]

    def infer() -> None:
        with torch.inference_mode(), torch.autocast(options.device, torch.bfloat16, enabled=variant.get("amp", False)):
            forward(images)
        if options.device == "cuda":
            torch.cuda.synchronize()

    return speed(infer, options)


def write_files(name: str, size: int, folder: str) -> None:
    """The network as engines and as Darknet's files, in a process that is not measured."""
    from domain.model_card import ModelCard, write_card
    from export.onnx_graph import EngineNetwork, export_onnx
    from export.settings import Profile
    from training.detector.darknet import save_weights

    card = ModelCard(
        task="detector",
        architecture=name,
        input_height_px=size,
        input_width_px=size,
        resize="letterbox",
        output_names=("boxes", "scores"),
        class_names=("person",),
        district="none",
    )
    network, place = build(name, size).network, Path(folder)
    profile = Profile(min_batch=1, opt_batch=8, max_batch=64)
    engines = export_onnx(
        EngineNetwork(network, card), place, profile, precisions=_PRECISIONS, calibration_images=pictures(4, size)
    )
    write_card(card.model_copy(update={"engines": engines}), place)
    network.definition.write(place / "network.cfg")
    save_weights(network, place / "network.weights")


def pictures(batch: int, size: int) -> np.ndarray:
    """Seeded noise, `uint8 [batch, height, width, 3]`."""
    return np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)


def time_engine(folder: str, precision: str, options: argparse.Namespace) -> dict[str, float]:
    """Inference by the ONNX engine that the service runs."""
    from export.engines import load
    from export.engines.files import onnx_name

    engine = load(Path(folder) / onnx_name(precision))
    images = pictures(options.batch, options.size)
    return speed(lambda: engine(images), options)


def time_opencv(folder: str, options: argparse.Namespace) -> dict[str, float]:
    """Inference by OpenCV's Darknet reader, of pictures that are scaled already."""
    import cv2

    images = np.ascontiguousarray(pictures(options.batch, options.size).transpose(0, 3, 1, 2), np.float32) / 255
    reader = cv2.dnn.readNetFromDarknet(f"{folder}/network.cfg", f"{folder}/network.weights")
    names = reader.getUnconnectedOutLayersNames()

    def infer() -> None:
        reader.setInput(images)
        reader.forward(names)

    return speed(infer, options)


def speed(infer: Callable[[], Any], options: argparse.Namespace) -> dict[str, float]:
    """Figures of one way to infer."""
    seconds = median_time(infer, options.repeats)
    return {
        "batch_s": seconds,
        "pictures_a_second": options.batch / seconds,
        "peak_memory_gb": peak_memory_gb(options.device),
    }


def median_time(function: Callable[[], Any], repeats: int) -> float:
    """Median wall clock of a call in seconds, after one that is not counted."""
    function()
    times_s = []
    for _ in range(repeats):
        start = perf_counter()
        function()
        times_s.append(perf_counter() - start)
    return float(np.median(times_s))


def peak_memory_gb(device: str) -> float:
    """Of this process, or of the GPU."""
    if device == "cuda":
        import torch

        return float(torch.cuda.max_memory_allocated() / 1e9)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def gpu_name() -> str:
    """Of the first GPU."""
    import torch

    return torch.cuda.get_device_name()


def in_own_process(measure: Callable[..., Any], *arguments: Any) -> Any:
    """What `measure` returns, from a fresh process."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def measure(place: tuple[str, str], case: tuple[Any, ...], options: argparse.Namespace) -> dict[str, float]:
    """Figures of one case of `list_cases`."""
    function, *arguments = case
    if options.device == "cuda":
        free_gpu()
        figures: dict[str, float] = function(*arguments)
    else:
        figures = in_own_process(function, *arguments)
    print(" ".join(place), {name: round(value, 4) for name, value in figures.items()}, file=sys.stderr, flush=True)
    return figures


def free_gpu() -> None:
    """Forget what the case before has used."""
    import torch

    gc.collect()
    torch.compiler.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=sorted(_PEERS), default="yolov4-tiny")
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="all cases one after the other, so often; medians count")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--peers", nargs="+", help="ultralytics networks; those of about the same FLOPs if not given")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too, on a GPU")
    options = parser.parse_args()
    options.peers = options.peers or _PEERS[options.network]
    with tempfile.TemporaryDirectory() as folder:
        cases = list_cases(options, folder)
        if options.device == "cpu":
            in_own_process(write_files, options.network, options.size, folder)
        rounds = [
            {place: measure(place, case, options) for place, case in cases.items()} for _ in range(options.rounds)
        ]
    results: dict[str, Any] = {"training": {}, "inference": {}}
    for part, title in cases:
        measured = [each[part, title] for each in rounds]
        results[part][title] = {name: float(np.median([each[name] for each in measured])) for name in measured[0]}
    if options.device == "cpu":
        rates = {title: figures["pictures_a_second"] for title, figures in results["inference"].items()}
        opencv = rates[f"{options.network}, OpenCV"]
        results["engine_by_opencv"] = {
            each: rates[f"{options.network}, engine, {each}"] / opencv for each in _PRECISIONS
        }
    step = {title: figures["gigaflops_a_second"] for title, figures in results["training"].items()}
    results["training_speed_per_flop_by_peer"] = {
        peer: step[f"{options.network}, plain"] / step[f"{peer}, plain"] for peer in options.peers
    }
    machine = {
        "machine": platform.machine(),
        "gpu": gpu_name() if options.device == "cuda" else None,
        "cores": available_cores(),
        "python": platform.python_version(),
    }
    json.dump({"metadata": machine | vars(options), "results": results}, sys.stdout, indent=2)
    print()


def list_cases(options: argparse.Namespace, folder: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What is measured by part and title: a function and its arguments."""
    variants: dict[str, dict[str, bool]] = {"plain": {}}
    if options.device == "cuda":
        variants = {
            "plain": {"channels_last": False},
            "amp": {"amp": True, "channels_last": False},
            "amp, channels-last": {"amp": True, "channels_last": True},
        }
        if options.compiled:
            variants["amp, channels-last, compiled"] = {"amp": True, "channels_last": True, "compile": True}
    ours = options.network
    cases: dict[tuple[str, str], tuple[Any, ...]] = {}
    for title, variant in variants.items():
        for name in (ours, *options.peers):
            cases["training", f"{name}, {title}"] = time_training, name, options, variant
            cases["inference", f"{name}, torch, {title}"] = time_torch, name, options, variant
    if options.device == "cpu":
        for precision in _PRECISIONS:
            cases["inference", f"{ours}, engine, {precision}"] = time_engine, folder, precision, options
        cases["inference", f"{ours}, OpenCV"] = time_opencv, folder, options
    return cases


if __name__ == "__main__":
    main()
