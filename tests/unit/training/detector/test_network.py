"""YOLOv4 built from its definition."""

import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from domain.errors import InputError
from training.detector.darknet_cfg import parse_cfg
from training.detector.layers import MaxPool
from training.detector.network import DarknetNetwork, build_yolov4, decode_heads

YOLO = "[yolo]\nmask=0,1\nanchors=8,16,16,32\nclasses=1\nnum=2\n"


def network_of(layers: str, yolo: str = YOLO) -> DarknetNetwork:
    return DarknetNetwork(parse_cfg(f"[net]\nheight=32\nwidth=32\nchannels=3\n{layers}{yolo}", "test"))


@pytest.mark.parametrize(("cfg", "num"), [("yolov4.cfg", 64_363_101), ("yolov4-tiny.cfg", 6_056_606)])
def test_official_definitions_have_the_published_number_of_parameters(cfg: str, num: int, real_data: Path) -> None:
    with torch.device("meta"):
        network = build_yolov4(real_data / "weights" / cfg)
    assert sum(parameter.numel() for parameter in network.parameters()) == num


@pytest.mark.parametrize("name", ["yolov4", "yolov4-tiny"])
def test_our_definitions_are_the_official_ones_with_one_class(name: str, real_data: Path) -> None:
    with torch.device("meta"):
        ours, official = build_yolov4(name), build_yolov4(real_data / "weights" / f"{name}.cfg", num_classes=1)
    assert [str(layer) for layer in ours.layers] == [str(layer) for layer in official.layers]
    assert ours._sources == official._sources
    for head, official_head in zip(ours.yolo_heads, official.yolo_heads, strict=True):
        assert head.anchors_px == official_head.anchors_px
        assert (head.stride, head.scale_x_y) == (official_head.stride, official_head.scale_x_y)
        for option in ("iou_thresh", "iou_normalizer", "cls_normalizer", "ignore_thresh"):
            assert head.section.number(option, 1.0) == official_head.section.number(option, 1.0)


def test_heads_have_the_cfgs_order_and_sizes() -> None:
    network = build_yolov4("yolov4-tiny").eval()
    with torch.inference_mode():
        coarse, fine = network.heads(torch.rand(2, 3, 64, 96))
        boxes, scores = network.decoded(torch.rand(2, 3, 64, 96))
    assert (coarse.shape, fine.shape) == ((2, 18, 2, 3), (2, 18, 4, 6))
    assert (boxes.shape, scores.shape) == ((2, 90, 4), (2, 90, 1))
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (boxes[..., 2:] >= boxes[..., :2]).all()


@pytest.mark.parametrize("scale_x_y", [1.0, 1.2])
def test_decoding_by_hand(scale_x_y: float) -> None:
    network = network_of("[conv]\nfilters=12\nsize=8\nstride=8\nactivation=linear\n", YOLO + f"scale_x_y={scale_x_y}\n")
    raw = torch.zeros(1, 2, 6, 4, 4)
    raw[0, 1, :, 2, 3] = torch.tensor([1.0, -1.0, 0.5, 0.0, 2.0, 3.0])  # second anchor, row 2, column 3
    boxes, scores = decode_heads([raw.flatten(1, 2)], network.yolo_heads)
    index = 16 + 2 * 4 + 3
    sigmoid = torch.sigmoid
    x = (3 + sigmoid(torch.tensor(1.0)) * scale_x_y - (scale_x_y - 1) / 2) * 8
    y = (2 + sigmoid(torch.tensor(-1.0)) * scale_x_y - (scale_x_y - 1) / 2) * 8
    half_width, half_height = 8 * torch.tensor(0.5).exp(), torch.tensor(16.0)
    expected = torch.stack([x - half_width, y - half_height, x + half_width, y + half_height])
    torch.testing.assert_close(boxes[0, index], expected)
    torch.testing.assert_close(scores[0, index, 0], sigmoid(torch.tensor(2.0)) * sigmoid(torch.tensor(3.0)))


def test_new_coords_are_decoded_without_another_logistic() -> None:
    network = network_of(
        "[conv]\nfilters=12\nsize=8\nstride=8\nactivation=logistic\n", YOLO + "scale_x_y=2.0\nnew_coords=1\n"
    )
    raw = torch.full((1, 12, 4, 4), 0.5)
    boxes, scores = decode_heads([raw], network.yolo_heads)
    torch.testing.assert_close(boxes[0, 0], torch.tensor([0.0, -4.0, 8.0, 12.0]))  # anchor 8 × 16 at (4, 4)
    torch.testing.assert_close(scores, torch.full_like(scores, 0.25))


@pytest.mark.parametrize(
    ("size", "stride", "padding", "expected"),
    [
        pytest.param(2, 2, 1, [[6, 8, 9], [16, 18, 19], [21, 23, 24]], id="odd size keeps its border"),
        pytest.param(2, 1, 1, None, id="stride 1 keeps the size, padding right and below"),
        pytest.param(5, 1, 4, None, id="pyramid pooling"),
    ],
)
def test_maxpool_pads_as_darknet(size: int, stride: int, padding: int, expected: list[list[int]] | None) -> None:
    picture = torch.arange(25.0).reshape(1, 1, 5, 5)
    pooled = MaxPool(size, stride, padding)(picture)[0, 0]
    side = (5 + padding - size) // stride + 1
    literal = torch.empty(side, side)
    for row in range(side):
        for column in range(side):
            rows = [row * stride - padding // 2 + k for k in range(size)]
            columns = [column * stride - padding // 2 + k for k in range(size)]
            inside = [picture[0, 0, r, c] for r in rows for c in columns if 0 <= r < 5 and 0 <= c < 5]
            literal[row, column] = torch.stack(inside).max()
    torch.testing.assert_close(pooled, literal)
    if expected:
        assert pooled.tolist() == expected


def test_routes_take_groups_and_shortcuts_add() -> None:
    network = network_of(
        "[conv]\nfilters=4\nsize=1\nactivation=linear\n"
        "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
        "[route]\nlayers=-1,0\n"
        "[shortcut]\nfrom=-1\nactivation=linear\n"
        "[upsample]\nstride=1\n"
        "[conv]\nfilters=12\nsize=1\nactivation=linear\n"
    )
    first, part, both, doubled = (network.layers[number] for number in range(4))
    output = first(torch.rand(1, 3, 2, 2))
    torch.testing.assert_close(part(output), output[:, 2:])
    torch.testing.assert_close(both(part(output), output), torch.cat([output[:, 2:], output], 1))
    torch.testing.assert_close(doubled(output, output), 2 * output)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        pytest.param("[conv]\nfilters=11\n", "line 7, .*must have 12 filters .*got 11", id="filters before yolo"),
        pytest.param(
            "[conv]\nfilters=12\nactivation=gelu\n", "line 7, .*activation must be one of .*got gelu", id="act"
        ),
        pytest.param("[route]\nlayers=-1\n", "line 6, .*must name one of the 0 layers before, got -1", id="no layer"),
        pytest.param(
            "[conv]\nfilters=12\n[route]\nlayers=5\n", "line 8, .*one of the 1 layers before, got 5", id="later"
        ),
        pytest.param("[conv]\nfilters=12\n[route]\nlayers=\n", "line 8, .*layers must name a layer", id="empty route"),
        pytest.param(
            "[conv]\nfilters=9\n[route]\nlayers=-1\ngroups=2\n", "line 9, .*2 groups must divide", id="groups"
        ),
        pytest.param(
            "[conv]\nfilters=9\ngroups=2\n", "line 7, .*groups must divide 3 and 9 channels", id="conv groups"
        ),
        pytest.param(
            "[conv]\nfilters=2\n[maxpool]\nstride=2\n[route]\nlayers=0,1\n",
            r"must have one size, got 1/\[1, 2\]",
            id="sizes",
        ),
        pytest.param(
            "[conv]\nfilters=2\n[conv]\nfilters=3\n[shortcut]\nfrom=-2\n",
            "layer 0 must have 3 channels at 1/1, got 2",
            id="sum",
        ),
        pytest.param("[upsample]\nstride=2\n", "line 6, .*stride must divide 1, got 2", id="upsample"),
    ],
)
def test_layers_that_do_not_fit_are_named_with_their_line(layers: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        network_of(layers)


def test_yolo_options_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match=r"anchors must be 4 numbers \(num=2\), got 2"):
        network_of("[conv]\nfilters=12\n", "[yolo]\nmask=0,1\nanchors=8,16\nclasses=1\nnum=2\n")
    with pytest.raises(InputError, match=r"mask must be of 0\.\.1, got \[0, 2\]"):
        network_of("[conv]\nfilters=12\n", "[yolo]\nmask=0,2\nanchors=8,16,3,4\nclasses=1\nnum=2\n")
    with pytest.raises(InputError, match=r"must have a \[yolo\] layer"):
        network_of("[conv]\nfilters=12\n", "")


def test_unknown_definitions_and_class_counts_are_refused() -> None:
    with pytest.raises(InputError, match="one of yolov4, yolov4-tiny, got yolov9"):
        build_yolov4("yolov9")
    with pytest.raises(InputError, match="num_classes must be at least 1, got 0"):
        build_yolov4("yolov4-tiny", num_classes=0)


def test_outputs_are_freed_with_their_last_use() -> None:
    network = build_yolov4("yolov4").eval()
    made: list[weakref.ref[torch.Tensor]] = []
    most_alive = 0

    def count(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal most_alive
        made.append(weakref.ref(output))
        most_alive = max(most_alive, sum(each() is not None for each in made))

    for layer in network.layers:
        layer.register_forward_hook(count)
    with torch.inference_mode():
        network.heads(torch.zeros(1, 3, 64, 64))
    assert len(made) == 162
    assert most_alive < 10
