"""YOLOv4 and its variants, built layer by layer from their Darknet definition."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from domain.errors import ArtifactError, InputError
from training.detector.darknet_cfg import Definition, Section, read_cfg
from training.detector.layers import Flow, build_layer
from training.weights import read_weights, restore

CFG = "network.cfg"  # a trained detector's definition, beside its weights
DEFINITIONS = Path(__file__).parent / "definitions"
_MAX_EXPONENT = 8.0  # a box 3,000 times its anchor: beyond any picture, and its exponential stays finite


@dataclass(frozen=True)
class YoloHead:
    """Options of a `[yolo]` layer: how its input is decoded, and how it is trained."""

    layer: int  # Darknet's number of the layer
    stride: int  # input pixels a cell
    anchors_px: tuple[tuple[float, float], ...]  # width, height of this head's anchors, in input pixels
    all_anchors_px: tuple[tuple[float, float], ...]  # of every head: a person is assigned to the best of them
    mask: tuple[int, ...]  # which of all anchors are this head's
    num_classes: int
    scale_x_y: float  # grid sensitivity: lets a centre reach the cell's border
    new_coords: bool  # scaled YOLOv4: the layer before is logistic already, and sizes are (2 x)² of the anchor
    section: Section  # the rest, which the loss reads

    @property
    def num_outputs(self) -> int:
        """Values an anchor: box, objectness, classes."""
        return 5 + self.num_classes


class DarknetNetwork(nn.Module):
    """A detector as its `.cfg` defines it; `layers[i]` is Darknet's layer number i.

    Args:
        definition: the content of the `.cfg`.

    Raises:
        InputError: if an option of a layer does not fit the layers before it; names its line.
    """

    def __init__(self, definition: Definition) -> None:
        super().__init__()
        self.definition = definition
        self.seen_images = 0  # Darknet's count of images trained on, kept in the header of its weights
        channels = definition.net.integer("channels", default=3, minimum=1)
        flows: list[Flow] = []
        self.layers = nn.ModuleList()
        self.yolo_heads: list[YoloHead] = []
        for number, section in enumerate(definition.layers):
            layer, flow = build_layer(section, number, flows, channels)
            self.layers.append(layer)
            flows.append(flow)
            if section.name == "yolo":
                self.yolo_heads.append(_read_head(section, number, flow))
        if not self.yolo_heads:
            raise InputError(f"{definition.name}: must have a [yolo] layer")
        self._sources = [flow.sources for flow in flows]
        last_use = {source: number for number, sources in enumerate(self._sources) for source in sources}
        heads = {head.layer for head in self.yolo_heads}
        self._used_up: list[list[int]] = [[] for _ in flows]  # by layer: the inputs that no later layer reads
        for source, number in last_use.items():
            if source not in heads:
                self._used_up[number].append(source)
        self.stride = max(flow.stride for flow in flows)

    @property
    def num_classes(self) -> int:
        """Number of classes; each anchor has a score for each."""
        return self.yolo_heads[0].num_classes

    def heads(self, images: Tensor) -> list[Tensor]:
        """Input of each `[yolo]` in the cfg's order, float `[batch, anchors * (5 + classes), rows, columns]`.

        Args:
            images: float `[batch, 3, height, width]`, RGB, 0..1; height and width are multiples of `stride`.
        """
        outputs = {-1: images}
        for number, layer in enumerate(self.layers):
            outputs[number] = layer(*(outputs[source] for source in self._sources[number]))
            for source in self._used_up[number]:
                del outputs[source]
        return [outputs[head.layer] for head in self.yolo_heads]

    def decoded(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Every anchor's box, `[batch, anchor, 4]` xyxy in input pixels, and scores, `[batch, anchor, class]` in 0..1.

        A score is objectness × class probability. Anchors are in the order head, anchor of the head, row, column.
        """
        return decode_heads(self.heads(images), self.yolo_heads)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `decoded`; the export traces this method."""
        return self.decoded(images)


def build_yolov4(cfg: Path | str, num_classes: int | None = None) -> DarknetNetwork:
    """A detector with random weights from a Darknet definition.

    Args:
        cfg: a `.cfg` file, or the name of a definition that comes with the project: `yolov4`, `yolov4-tiny`.
        num_classes: replaces the definition's own.

    Raises:
        InputError: if there is no such definition, or it defines no network.
    """
    definition = read_definition(cfg)
    if num_classes is not None:
        if num_classes < 1:
            raise InputError(f"num_classes must be at least 1, got {num_classes}")
        definition = definition.with_classes(num_classes)
    return DarknetNetwork(definition)


def load_detector(folder: Path) -> DarknetNetwork:
    """The network that `train_detector` left in `folder`, in eval mode.

    Raises:
        ArtifactError: if its definition or weights are missing or unusable.
    """
    try:
        network = DarknetNetwork(read_cfg(folder / CFG))
    except InputError as error:
        raise ArtifactError(f"{folder / CFG} must define a network; rerun train_detector ({error})") from error
    restore(network, read_weights(folder, "train_detector"), folder, "train_detector")
    return network.eval()


def read_definition(cfg: Path | str) -> Definition:
    """The definition in a `.cfg` file, or of that name in the project; raises `InputError` if there is none."""
    file = Path(cfg)
    if file.suffix != ".cfg":
        file = DEFINITIONS / f"{cfg}.cfg"
        if not file.is_file():
            known = ", ".join(sorted(path.stem for path in DEFINITIONS.glob("*.cfg")))
            raise InputError(f"cfg must be a .cfg file or one of {known}, got {cfg}")
    return read_cfg(file)


def decode_heads(raw: list[Tensor], heads: list[YoloHead]) -> tuple[Tensor, Tensor]:
    """Boxes and scores, as `DarknetNetwork.decoded` describes them, of raw head tensors."""
    boxes, scores = [], []
    for tensor, head in zip(raw, heads, strict=True):
        values = split_anchors(tensor, head)
        boxes.append(_corners(decode_boxes(values, head)).flatten(1, 3))
        confidence = values[..., 4:] if head.new_coords else values[..., 4:].sigmoid()
        scores.append((confidence[..., :1] * confidence[..., 1:]).flatten(1, 3))
    return torch.cat(boxes, 1), torch.cat(scores, 1)


def split_anchors(tensor: Tensor, head: YoloHead) -> Tensor:
    """A raw head as `[batch, anchor, row, column, 5 + class]`."""
    return tensor.unflatten(1, (len(head.anchors_px), head.num_outputs)).permute(0, 1, 3, 4, 2)


def decode_boxes(values: Tensor, head: YoloHead) -> Tensor:
    """Boxes `[batch, anchor, row, column, 4]`, cxcywh in input pixels, of the values of `split_anchors`."""
    rows, columns = values.shape[2:4]
    cell_y, cell_x = torch.meshgrid(
        torch.arange(rows, device=values.device, dtype=values.dtype),
        torch.arange(columns, device=values.device, dtype=values.dtype),
        indexing="ij",
    )
    cells = torch.stack([cell_x, cell_y], -1)  # [row, column, 2]
    anchors = torch.tensor(head.anchors_px, device=values.device, dtype=values.dtype)[:, None, None]
    return decode_cells(values[..., :4], cells, anchors, head)


def decode_cells(raw_boxes: Tensor, cells: Tensor, anchors_px: Tensor, head: YoloHead) -> Tensor:
    """Boxes `[..., 4]`, cxcywh in input pixels, of raw ones `[..., 4]` in `cells` `[..., 2]` (column, row)."""
    offset = raw_boxes[..., :2] if head.new_coords else raw_boxes[..., :2].sigmoid()
    centre = (cells + offset * head.scale_x_y - (head.scale_x_y - 1) / 2) * head.stride
    growth = (raw_boxes[..., 2:] * 2) ** 2 if head.new_coords else raw_boxes[..., 2:].clamp(max=_MAX_EXPONENT).exp()
    return torch.cat([centre, growth * anchors_px], -1)


def _corners(boxes_cxcywh: Tensor) -> Tensor:
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def _read_head(section: Section, number: int, flow: Flow) -> YoloHead:
    values = section.numbers("anchors")
    num = section.integer("num", default=len(values) // 2, minimum=1)
    mask = section.integers("mask") if "mask" in section.options else list(range(num))
    if len(values) != 2 * num:
        raise InputError(
            f"{section.place('anchors')}: anchors must be {2 * num} numbers (num={num}), got {len(values)}"
        )
    if not all(0 <= index < num for index in mask):
        raise InputError(f"{section.place('mask')}: mask must be of 0..{num - 1}, got {mask}")
    anchors = tuple(zip(values[::2], values[1::2], strict=True))
    head = YoloHead(
        layer=number,
        stride=flow.stride,
        anchors_px=tuple(anchors[index] for index in mask),
        all_anchors_px=anchors,
        mask=tuple(mask),
        num_classes=section.integer("classes", default=20, minimum=1),
        scale_x_y=section.number("scale_x_y", default=1.0),
        new_coords=bool(section.integer("new_coords", default=0)),
        section=section,
    )
    if flow.channels != len(mask) * head.num_outputs:
        raise InputError(
            f"{section.place()}: the layer before must have {len(mask) * head.num_outputs} filters "
            f"({len(mask)} anchors × (5 + {head.num_classes} classes)), got {flow.channels}"
        )
    return head
