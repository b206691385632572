"""The layers of a Darknet definition as torch modules."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from domain.errors import InputError
from training.detector.darknet_cfg import Section
from training.detector.mish import Mish

BATCH_NORM_EPSILON = 1e-6  # as OpenCV's Darknet reader; Darknet's own code has had 1e-6 and 1e-5
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "mish": Mish,
    "leaky": lambda: nn.LeakyReLU(0.1, inplace=True),
    "linear": nn.Identity,
    "logistic": nn.Sigmoid,
    "swish": nn.SiLU,
    "relu": lambda: nn.ReLU(inplace=True),
}


@dataclass(frozen=True)
class Flow:
    """Shape of a layer's output, and the layers that are its input."""

    channels: int
    stride: int  # input pixels a cell
    sources: tuple[int, ...]  # layer numbers; -1 is the picture


class Convolution(nn.Module):
    """`[convolutional]`: convolution, optional batch normalisation, activation."""

    def __init__(self, section: Section, in_channels: int) -> None:
        """Raises `InputError` if an option does not fit; names its line."""
        super().__init__()
        size, stride = section.integer("size", 1, minimum=1), section.integer("stride", 1, minimum=1)
        padding = size // 2 if section.integer("pad", 0) else section.integer("padding", 0)
        filters, groups = section.integer("filters", minimum=1), section.integer("groups", 1, minimum=1)
        normalised = bool(section.integer("batch_normalize", 0))
        if in_channels % groups or filters % groups:
            raise InputError(
                f"{section.place('groups')}: groups must divide {in_channels} and {filters} channels, got {groups}"
            )
        self.conv = nn.Conv2d(in_channels, filters, size, stride, padding, groups=groups, bias=not normalised)
        self.norm = nn.BatchNorm2d(filters, eps=BATCH_NORM_EPSILON) if normalised else None
        self.activation = _activation(section, default="logistic")

    def forward(self, inputs: Tensor) -> Tensor:
        """Float `[batch, filters, height / stride, width / stride]`."""
        outputs = self.conv(inputs)
        return self.activation(self.norm(outputs) if self.norm is not None else outputs)


class Route(nn.Module):
    """`[route]`: concatenated outputs of earlier layers, or of each the part `group_id` of `groups` equal parts."""

    def __init__(self, groups: int, group_id: int) -> None:
        super().__init__()
        self.groups, self.group_id = groups, group_id

    def forward(self, *inputs: Tensor) -> Tensor:
        """The inputs, or their parts, concatenated along the channels."""
        if self.groups > 1:
            inputs = tuple(tensor.chunk(self.groups, dim=1)[self.group_id] for tensor in inputs)
        return torch.cat(inputs, 1) if len(inputs) > 1 else inputs[0]


class Shortcut(nn.Module):
    """`[shortcut]`: sum of the previous layer and an earlier one."""

    def __init__(self, section: Section) -> None:
        """Raises `InputError` if the activation is unknown; names its line."""
        super().__init__()
        self.activation = _activation(section, default="linear")

    def forward(self, previous: Tensor, earlier: Tensor) -> Tensor:
        """The sum, float, of the shape of both inputs."""
        return self.activation(previous + earlier)


class MaxPool(nn.Module):
    """`[maxpool]` with Darknet's padding: `padding // 2` cells at left and top, the rest at right and bottom.

    Args:
        size: of the window, in cells.
        stride: in cells.
        padding: of both sides together, in cells.
    """

    def __init__(self, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, inputs: Tensor) -> Tensor:
        """Float `[batch, channels, (height + padding - size) // stride + 1, …]`."""
        before = self.padding // 2
        if self.padding == 2 * before:
            return F.max_pool2d(inputs, self.size, self.stride, before)
        if self.padding == 1 and self.size == self.stride == 2:
            return F.max_pool2d(inputs, 2, 2, ceil_mode=True)  # the same, without a copy
        sides = (before, self.padding - before) * 2
        return F.max_pool2d(F.pad(inputs, sides, value=float("-inf")), self.size, self.stride)


def build_layer(section: Section, number: int, flows: list[Flow], image_channels: int) -> tuple[nn.Module, Flow]:
    """The module of layer `number` and the shape of its output.

    Raises:
        InputError: if an option does not fit; names its line.
    """
    before = flows[-1] if flows else Flow(image_channels, 1, ())
    previous = number - 1
    match section.name:
        case "convolutional":
            layer = Convolution(section, before.channels)
            return layer, Flow(layer.conv.out_channels, before.stride * layer.conv.stride[0], (previous,))
        case "route":
            return _build_route(section, number, flows)
        case "shortcut":
            earlier = _earlier_layer(section, "from", section.integer("from", minimum=-number), number)
            if (flows[earlier].channels, flows[earlier].stride) != (before.channels, before.stride):
                raise InputError(
                    f"{section.place('from')}: layer {earlier} must have {before.channels} channels at 1/"
                    f"{before.stride}, got {flows[earlier].channels} at 1/{flows[earlier].stride}"
                )
            return Shortcut(section), Flow(before.channels, before.stride, (previous, earlier))
        case "maxpool":
            stride = section.integer("stride", 1, minimum=1)
            size = section.integer("size", stride, minimum=1)
            pool = MaxPool(size, stride, section.integer("padding", size - 1))
            return pool, Flow(before.channels, before.stride * stride, (previous,))
        case "upsample":
            return _build_upsample(section, before, previous)
        case "yolo":
            return nn.Identity(), Flow(before.channels, before.stride, (previous,))
    raise InputError(f"{section.place()}: cannot be a layer")


def _build_route(section: Section, number: int, flows: list[Flow]) -> tuple[nn.Module, Flow]:
    indices = section.integers("layers")
    if not indices:
        raise InputError(f"{section.place('layers')}: layers must name a layer")
    sources = tuple(_earlier_layer(section, "layers", index, number) for index in indices)
    groups, group_id = section.integer("groups", 1, minimum=1), section.integer("group_id", 0)
    strides = {flows[source].stride for source in sources}
    if len(strides) > 1:
        raise InputError(f"{section.place('layers')}: layers must have one size, got 1/{sorted(strides)}")
    if group_id >= groups or any(flows[source].channels % groups for source in sources):
        raise InputError(
            f"{section.place('groups')}: {groups} groups must divide the channels "
            f"{[flows[source].channels for source in sources]}, and group_id be below that, got {group_id}"
        )
    channels = sum(flows[source].channels // groups for source in sources)
    return Route(groups, group_id), Flow(channels, strides.pop(), sources)


def _build_upsample(section: Section, before: Flow, previous: int) -> tuple[nn.Module, Flow]:
    scale = section.integer("stride", 2, minimum=1)
    if before.stride % scale:
        raise InputError(f"{section.place('stride')}: stride must divide {before.stride}, got {scale}")
    return nn.Upsample(scale_factor=scale, mode="nearest"), Flow(before.channels, before.stride // scale, (previous,))


def _earlier_layer(section: Section, option: str, index: int, number: int) -> int:
    """The number of the layer that `index` means: counted from the start, or back from this one if negative."""
    layer = index if index >= 0 else number + index
    if not 0 <= layer < number:
        raise InputError(f"{section.place(option)}: must name one of the {number} layers before, got {index}")
    return layer


def _activation(section: Section, default: str) -> nn.Module:
    name = section.text("activation", default)
    if name not in _ACTIVATIONS:
        raise InputError(
            f"{section.place('activation')}: activation must be one of {', '.join(_ACTIVATIONS)}, got {name}"
        )
    return _ACTIVATIONS[name]()
