"""Engines of a few numbers for the tests of the service: colours stand for people.

The detector finds one person, in the left half, in any picture that is not dark; an embedding depends on a crop's mean
colour; whoever is more red than blue carries a backpack.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from domain.attributes import AttributeSchema, Group, Label
from domain.files import sha256_of
from domain.model_card import EngineFile, ModelCard, write_card
from tests.helpers import walkers

HEIGHT, WIDTH, FEATURE = 32, 32, 8
BAGS = AttributeSchema(
    name="bags",
    groups=(
        Group(
            name="bag",
            english="bag",
            korean="가방",
            labels=(Label(name="none", korean="없음", absent=True), Label(name="backpack", korean="배낭")),
        ),
    ),
)


def write_engines(engines: Path, reid: int = 0, attributes: float = 3.0) -> None:
    """`engines/{detector,attributes,reid-osnet}`.

    Args:
        engines: folder of theirs.
        reid: seed of the re-ID model; another makes another model.
        attributes: sharpness of the attribute model; another makes another model, below 0 one that is always wrong.
    """
    person = np.array([[[0, 0, WIDTH / 2, HEIGHT]]], np.float32)
    _write(
        engines / "detector",
        _card("detector", output_names=("boxes", "scores"), class_names=("person",), score_threshold=0.3,
              iou_threshold=0.5),
        [
            helper.make_node("ReduceMean", ["colours", "one"], ["grey"], keepdims=1),
            helper.make_node("Unsqueeze", ["grey", "one"], ["scores"]),
            helper.make_node("Mul", ["scores", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "person"], ["boxes"]),
        ],
        {"person": person, "zero": np.array([0], np.float32)},
        {"boxes": ["batch", 1, 4], "scores": ["batch", 1, 1]},
    )  # fmt: skip
    _write(
        engines / "attributes",
        _card("attributes", output_names=("bag",), attribute_schema=BAGS),
        [
            helper.make_node("MatMul", ["colours", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["bag"], axis=1),
        ],
        {"weights": attributes * np.array([[-1, 1], [0, 0], [1, -1]], np.float32)},
        {"bag": ["batch", 2]},
    )
    rng = np.random.default_rng(reid)
    _write(
        engines / "reid-osnet",
        _card("reid", output_names=("embeddings",), feature=FEATURE, match_distance=0.2),
        [
            helper.make_node("Sub", ["colours", "middle"], ["centred"]),
            helper.make_node("MatMul", ["centred", "weights"], ["features"]),
            helper.make_node("LpNormalization", ["features"], ["embeddings"], axis=1, p=2),
        ],
        {"weights": rng.normal(size=(3, FEATURE)).astype(np.float32), "middle": np.array([0.45], np.float32)},
        {"embeddings": ["batch", FEATURE]},
    )


def write_walker_detector(engines: Path) -> None:
    """In place of the detector of `write_engines`: finds the coloured person in a grey picture, if there is one.

    It is for pictures of `tests.helpers.walkers`, with one walker at a time.
    """
    shutil.rmtree(engines / "detector")
    card = _card("detector", output_names=("boxes", "scores"), class_names=("person",), score_threshold=0.3,
                 iou_threshold=0.5, input_height_px=walkers.HEIGHT, input_width_px=walkers.WIDTH)  # fmt: skip
    nodes = [
        helper.make_node("ReduceMax", ["pixels", "three"], ["brightest"], keepdims=0),
        helper.make_node("ReduceMin", ["pixels", "three"], ["darkest"], keepdims=0),
        helper.make_node("Sub", ["brightest", "darkest"], ["colourfulness"]),
        helper.make_node("Greater", ["colourfulness", "grey_levels"], ["is_coloured"]),
        helper.make_node("Cast", ["is_coloured"], ["coloured"], to=TensorProto.FLOAT),
    ]
    # A column or row belongs to the person if enough of its pixels are coloured.
    for side, across, low, high in (("columns", "one", "left", "right"), ("rows", "two", "top", "bottom")):
        nodes += [
            helper.make_node("ReduceMean", ["coloured", across], [f"{side}_share"], keepdims=0),
            helper.make_node("Greater", [f"{side}_share", f"{side}_least"], [f"{side}_is"]),
            helper.make_node("Cast", [f"{side}_is"], [side], to=TensorProto.FLOAT),
            helper.make_node("ArgMax", [side], [low], axis=1, keepdims=1),
            helper.make_node("ArgMax", [side], [f"{high}_last"], axis=1, keepdims=1, select_last_index=1),
            helper.make_node("Add", [f"{high}_last", "one"], [high]),
        ]
    nodes += [
        helper.make_node("Concat", ["left", "top", "right", "bottom"], ["sides"], axis=1),
        helper.make_node("Cast", ["sides"], ["box"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["box", "one"], ["boxes"]),
        helper.make_node("ReduceMax", ["columns", "one"], ["is_there"], keepdims=1),
        helper.make_node("Unsqueeze", ["is_there", "one"], ["scores"]),
    ]
    constants = {
        "two": np.array([2]),
        "three": np.array([3]),
        "grey_levels": np.array([90], np.float32),
        "columns_least": np.array([20 / walkers.HEIGHT], np.float32),
        "rows_least": np.array([8 / walkers.WIDTH], np.float32),
    }
    _write(engines / "detector", card, nodes, constants, {"boxes": ["batch", 1, 4], "scores": ["batch", 1, 1]})


def _card(task: str, **more: object) -> ModelCard:
    return ModelCard.model_validate(
        {
            "task": task,
            "architecture": "mean-colour",
            "input_height_px": HEIGHT,
            "input_width_px": WIDTH,
            "resize": "stretch",
            "district": "demo",
            **more,
        }
    )


def _write(
    folder: Path,
    card: ModelCard,
    nodes: list[NodeProto],
    constants: dict[str, np.ndarray],
    outputs: dict[str, list[str | int]],
) -> None:
    """A graph of `nodes` over `colours`, the mean colour `[batch, 3]` in 0..1."""
    colours = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "height_width"], ["means"], keepdims=0),
        helper.make_node("Div", ["means", "white"], ["colours"]),
    ]
    every = {"height_width": np.array([1, 2]), "one": np.array([1]), "white": np.array([255], np.float32), **constants}
    shape = ["batch", card.input_height_px, card.input_width_px, 3]
    graph = helper.make_graph(
        [*colours, *nodes],
        folder.name,
        [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in every.items()],
    )
    folder.mkdir(parents=True)
    file = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), file)
    entry = EngineFile(
        file=file.name,
        runtime="onnxruntime",
        precision="fp32",
        sha256=sha256_of(file),
        min_batch=1,
        opt_batch=8,
        max_batch=64,
    )
    write_card(card.model_copy(update={"engines": (entry,), "weights_sha256": entry.sha256}), folder)
