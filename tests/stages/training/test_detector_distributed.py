"""Two processes that share a batch learn what one process learns from all of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from training.detector.network import build_yolov4
from training.detector.trainer import TrainableDetector

NUM_PROCESSES, NOMINAL_BATCH = 2, 8


def detector() -> TrainableDetector:
    torch.manual_seed(3)
    model = TrainableDetector(build_yolov4("yolov4-tiny"), {0: "person"})
    model.args = SimpleNamespace(nbs=NOMINAL_BATCH)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()  # its statistics are each process's own
    return model


def pictures(of: slice) -> dict[str, Any]:
    """Part of four pictures with three people; one has nobody."""
    images = torch.rand(4, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.6], [0.3, 0.5, 0.2, 0.6], [0.7, 0.4, 0.1, 0.4]])
    index = torch.tensor([0, 0, 3])
    inside = (index >= of.start) & (index < of.stop)
    return {
        "img": images[of],
        "batch_idx": (index[inside] - of.start).float(),
        "cls": torch.zeros(int(inside.sum()), 1),
        "bboxes": boxes[inside],
    }


def gradients(model: TrainableDetector) -> list[Tensor]:
    return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


def learn(rank: int, folder: Path) -> None:
    """One process's step, as ultralytics does it: the loss times the number of processes, whose mean DDP takes."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=NUM_PROCESSES)
    model = detector()
    wrapped = DistributedDataParallel(model, find_unused_parameters=True, broadcast_buffers=False)
    loss, _ = wrapped(pictures(slice(2 * rank, 2 * rank + 2)))
    (loss * NUM_PROCESSES).backward()
    torch.save(gradients(model), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    alone = detector()
    loss, _ = alone(pictures(slice(0, 4)))
    loss.backward()
    expected = gradients(alone)
    spawn(learn, args=(tmp_path,), nprocs=NUM_PROCESSES)
    both = [torch.load(tmp_path / f"{rank}.pt") for rank in range(NUM_PROCESSES)]
    assert max(float(gradient.abs().max()) for gradient in expected) > 1e-3
    for one, other, whole in zip(*both, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        torch.testing.assert_close(one, whole, rtol=1e-4, atol=1e-6)
