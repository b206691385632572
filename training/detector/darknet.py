"""Darknet's `.weights`: a header, then the values of each convolution as float32, layer by layer.

Header: version (major, minor, revision) as int32, then how many images were trained on: uint64 since 0.2, int32 before.
A convolution: bias, or with batch normalisation bias, scale, running mean, running variance; then the kernel.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from domain.atomic import atomic_file
from domain.errors import InputError
from training.detector.layers import Convolution
from training.detector.network import DarknetNetwork

_VERSION = (0, 2, 5)  # what AlexeyAB's Darknet writes
_PARTIAL = re.compile(r"\.conv\.(\d+)$")


@dataclass(frozen=True)
class LoadedWeights:
    """Result of `load_weights`."""

    version: tuple[int, int, int]
    seen_images: int
    num_values: int  # number of the file's values loaded into the network
    layers: tuple[int, ...]  # Darknet's numbers of the convolutions that were loaded
    file_classes: int | None  # classes the file was trained for; None for a partial file
    reinitialised: tuple[int, ...]  # head layers not loaded: the file has another number of classes
    kept_classes: tuple[int, ...] | None  # classes of the file that the heads loaded instead

    def __str__(self) -> str:
        """A summary in one line."""
        loaded = f"{self.num_values} values into {len(self.layers)} layers"
        if self.reinitialised:
            return (
                f"{loaded}; the file has {self.file_classes} classes, so the heads {self.reinitialised} are not loaded"
            )
        if self.kept_classes is not None:
            return f"{loaded}; of the file's {self.file_classes} classes the heads load {self.kept_classes}"
        return loaded


def load_weights(network: DarknetNetwork, file: Path, classes: Sequence[int] | None = None) -> LoadedWeights:
    """Load `file` into `network` and return what was loaded.

    A file named `*.conv.N` holds the first N layers, for pre-training; the others are not changed. From a file with
    another number of classes all layers but the heads are loaded, and of the heads those of `classes`.

    Args:
        network: of the same definition as the file; the number of classes may differ.
        file: of Darknet, or written by `save_weights`.
        classes: indices of the network's classes among the file's, such as `[0]` for the person of COCO; with them the
            heads load boxes, objectness and these classes. Used only if the numbers of classes differ.

    Raises:
        InputError: if the file is missing, does not hold exactly the network's values (names the layer), or does not
            have `classes`.
    """
    if not file.is_file():
        raise InputError(f"{file} must be a Darknet weight file; it is missing")
    version, seen, values = _read_header(file)
    partial = _PARTIAL.search(file.name)
    file_classes = None if partial else _classes_of(network, len(values))
    last = int(partial[1]) if partial else len(network.layers)
    heads = {head.layer - 1: len(head.mask) * (5 + (file_classes or 0)) for head in network.yolo_heads}
    changed = file_classes not in (None, network.num_classes)
    kept = _kept_classes(network, file, file_classes, classes) if changed and classes is not None else None

    position = 0
    loaded: list[int] = []
    reinitialised: list[int] = []
    for number, layer in _convolutions(network, last):
        is_other_head = changed and number in heads
        skipped = is_other_head and kept is None
        tensors = _tensors(layer)
        num = heads[number] * (layer.conv.weight[0].numel() + 1) if is_other_head else sum(t.numel() for t in tensors)
        if position + num > len(values):
            raise InputError(
                f"{file} must hold {num} values for layer {number} ({_describe(network, number)}), got "
                f"{len(values) - position}: it is cut short or of another network"
            )
        if not skipped:
            part = values[position : position + num]
            if is_other_head and kept is not None:
                part = _of_classes(part, heads[number], 5 + (file_classes or 0), kept)
            _fill(tensors, part, file, number)
        (reinitialised if skipped else loaded).append(number)
        position += num
    if position < len(values):
        raise InputError(
            f"{file} must end after layer {loaded[-1] if loaded else 0} ({position} values), got "
            f"{len(values) - position} values more: it is of another network"
        )
    network.seen_images = 0 if changed or partial else seen
    num_used = sum(
        t.numel() for number, layer in _convolutions(network, last) if number in loaded for t in _tensors(layer)
    )
    return LoadedWeights(version, seen, num_used, tuple(loaded), file_classes, tuple(reinitialised), kept)


def save_weights(network: DarknetNetwork, file: Path) -> None:
    """Write the network's values to `file` as Darknet reads them, whole or not at all."""
    with atomic_file(file) as aside, aside.open("wb") as stream:
        stream.write(np.array(_VERSION, "<i4").tobytes())
        stream.write(np.array([network.seen_images], "<u8").tobytes())
        for _, layer in _convolutions(network, len(network.layers)):
            for tensor in _tensors(layer):
                stream.write(tensor.detach().cpu().float().numpy().astype("<f4").tobytes())


def _read_header(file: Path) -> tuple[tuple[int, int, int], int, np.ndarray]:
    content = file.read_bytes()
    header = np.frombuffer(content[:12], "<i4", count=len(content[:12]) // 4)
    if len(header) < 3:
        raise InputError(f"{file} must begin with a header of 3 numbers, got {len(content)} bytes")
    major, minor, revision = (int(value) for value in header)
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise InputError(f"{file} must be a Darknet weight file, got the version {major}.{minor}.{revision}")
    kind, size = ("<u8", 8) if major * 10 + minor >= 2 else ("<u4", 4)
    body = content[12 + size :]
    if len(content) < 12 + size or len(body) % 4:
        raise InputError(f"{file} must hold whole float32 values after its header, got {len(content)} bytes")
    seen = int(np.frombuffer(content[12 : 12 + size], kind)[0])
    return (major, minor, revision), seen, np.frombuffer(body, "<f4")


def _classes_of(network: DarknetNetwork, num_values: int) -> int:
    """Number of classes of a file with this number of values; the network's own number if none fits exactly."""
    own = sum(t.numel() for _, layer in _convolutions(network, len(network.layers)) for t in _tensors(layer))
    per_class = 0
    for head in network.yolo_heads:
        convolution = network.layers[head.layer - 1]
        if not isinstance(convolution, Convolution):
            return network.num_classes
        per_class += len(head.mask) * (convolution.conv.weight[0].numel() + 1)
    classes, rest = divmod(num_values - own, per_class)
    classes += network.num_classes
    return classes if rest == 0 and classes >= 1 else network.num_classes


def _kept_classes(
    network: DarknetNetwork, file: Path, file_classes: int | None, classes: Sequence[int]
) -> tuple[int, ...]:
    if len(classes) != network.num_classes or not all(0 <= each < (file_classes or 0) for each in classes):
        raise InputError(
            f"classes to keep must be {network.num_classes} of the {file_classes} of {file}, from 0, "
            f"got {list(classes)}"
        )
    return tuple(classes)


def _of_classes(values: np.ndarray, num_outputs: int, outputs_an_anchor: int, classes: Sequence[int]) -> np.ndarray:
    """Of a head's values, a bias and a row of weights for each output, those of box, objectness and some classes."""
    chosen = [0, 1, 2, 3, 4, *(5 + each for each in classes)]
    rows = [first + output for first in range(0, num_outputs, outputs_an_anchor) for output in chosen]
    bias, weights = values[:num_outputs], values[num_outputs:].reshape(num_outputs, -1)
    return np.concatenate([bias[rows], weights[rows].ravel()])


def _convolutions(network: DarknetNetwork, last: int) -> Iterator[tuple[int, Convolution]]:
    for number, layer in enumerate(network.layers):
        if number < last and isinstance(layer, Convolution):
            yield number, layer


def _tensors(layer: Convolution) -> list[Tensor]:
    """The layer's values in the file's order."""
    norm, conv = layer.norm, layer.conv
    if norm is None:
        assert conv.bias is not None  # a convolution without batch normalisation has one
        return [conv.bias, conv.weight]
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return [norm.bias, norm.weight, norm.running_mean, norm.running_var, conv.weight]


def _fill(tensors: list[Tensor], values: np.ndarray, file: Path, number: int) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"{file} must hold finite values, got others in layer {number}")
    position = 0
    with torch.no_grad():
        for tensor in tensors:
            part = values[position : position + tensor.numel()]
            tensor.copy_(torch.from_numpy(part.astype(np.float32)).reshape(tensor.shape))
            position += tensor.numel()


def _describe(network: DarknetNetwork, number: int) -> str:
    section = network.definition.layers[number]
    return f"{section.name}, line {section.line} of {section.file}"
