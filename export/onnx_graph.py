"""A torch network as one ONNX file that takes `uint8` pictures: scaling, normalisation and output form are inside."""

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxscript import opset18 as op
from torch import Tensor, nn
from torch.nn.functional import normalize

from domain.atomic import atomic_file
from domain.files import sha256_of
from domain.model_card import EngineFile, ModelCard
from export.engines.engine import INPUT_NAME
from export.engines.files import onnx_name
from export.half_precision import to_half
from export.quantization import to_int8
from export.settings import Precision, Profile

CARD_KEY, WEIGHTS_KEY = "dongseon.card", "dongseon.weights_sha256"
_EXAMPLE_BATCH = 2  # a batch of 1 would freeze the axis


class EngineNetwork(nn.Module):
    """A network with its card's preparation before it and its task's output form behind it.

    The network takes normalised float `[batch, 3, height, width]` and gives: detector (boxes, scores); attributes
    logits by group; re-ID embeddings. Here the input is `uint8 [batch, height, width, 3]` RGB, and the output a tuple
    in the order of the card's `output_names`, float32: detector boxes `[batch, anchor, 4]` and scores
    `[batch, anchor, class]`; attributes probabilities `[batch, label]` a group; re-ID embeddings `[batch, feature]` of
    unit length.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        """Wrap `network`, a float32 one on the CPU, and put it into eval mode."""
        super().__init__()
        self.network = network.eval()
        self.card = card
        std = torch.tensor(card.channel_std, dtype=torch.float64)
        mean = torch.tensor(card.channel_mean, dtype=torch.float64)
        # One number if all channels have the same: three numbers cost a quantised network a tenth of its time.
        scale = 1 / (255 * (std[:1] if len(set(card.channel_std)) == 1 else std))
        self.register_buffer("scale", scale.float().reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).float().reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs in the order of the card's `output_names`."""
        # TensorRT wants a uint8 input to go straight into a cast, so the axes are moved afterwards.
        pixels = images.float().permute(0, 3, 1, 2)
        prepared = pixels * self.scale
        outputs = self.network(prepared + self.shift if any(self.card.channel_mean) else prepared)
        if self.card.task == "detector":
            boxes_xyxy, scores = outputs
            return boxes_xyxy, scores
        if self.card.task == "reid":
            return (normalize(outputs, dim=1),)
        return tuple(outputs[name].softmax(dim=1) for name in self.card.output_names)


def export_onnx(
    network: EngineNetwork,
    folder: Path,
    profile: Profile,
    weights_sha256: str = "",
    *,
    precisions: Sequence[Precision] = ("fp32",),
    calibration_images: np.ndarray | None = None,
) -> tuple[EngineFile, ...]:
    """Write `network` as ONNX into `folder`, one file per precision, and return their entries for the card, in order.

    Each file has a dynamic batch and the card in its metadata, and is written whole or not at all.

    Args:
        network: see `EngineNetwork`.
        folder: engine folder.
        profile: batch sizes; a larger batch is split when the engine runs.
        weights_sha256: checksum of the weight file the network was read from, kept in the metadata.
        precisions: of the files to write, the one for CPUs first.
        calibration_images: `uint8 [batch, height, width, 3]`, pictures from which int8 takes its ranges.

    Raises:
        InputError: if a weight is too large for fp16, or int8 has no pictures.
    """
    started = time.perf_counter()
    graph = network_graph(network, weights_sha256)
    entries = []
    for precision in precisions:
        model = graph
        if precision == "fp16":
            model = to_half(graph)
        elif precision == "int8":
            model = to_int8(graph, calibration_images)
        file = folder / onnx_name(precision)
        with atomic_file(file) as aside:
            onnx.save(model, aside)
        entries.append(
            EngineFile(
                file=file.name,
                runtime="onnxruntime",
                precision=precision,
                sha256=sha256_of(file),
                **profile.model_dump(),
                build_s=round(time.perf_counter() - started, 2),
            )
        )
        started = time.perf_counter()
    return tuple(entries)


def network_graph(network: EngineNetwork, weights_sha256: str) -> onnx.ModelProto:
    """`network` as a float32 ONNX graph; the arguments are those of `export_onnx`."""
    card = network.card
    example = torch.zeros(_EXAMPLE_BATCH, card.input_height_px, card.input_width_px, 3, dtype=torch.uint8)
    neutral = [f"output.{index}" for index in range(len(card.output_names))]
    with _quiet_exporter():
        program = torch.onnx.export(
            network.eval(),
            (example,),
            input_names=[INPUT_NAME],
            output_names=neutral,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            external_data=False,
            custom_translation_table={torch.ops.aten.mish.default: _mish},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _rename_outputs(model.graph, dict(zip(neutral, card.output_names, strict=True)))
    # Paths and lines of the exporting machine are of no use in the file.
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    bare = card.model_copy(update={"engines": ()})
    onnx.helper.set_model_props(
        model, {CARD_KEY: bare.model_dump_json(exclude_defaults=True), WEIGHTS_KEY: weights_sha256}
    )
    model.producer_name = "dongseon"
    onnx.checker.check_model(model)
    return model


def _mish(inputs: Any) -> Any:
    """x·tanh(ln(1 + eˣ)) as x - 2x / ((1 + eˣ)² + 1), which holds where eˣ overflows too.

    ONNX has the operator Mish, but ONNX Runtime computes it through a Softplus that takes as long as all convolutions.
    """
    grown = op.Add(op.Exp(inputs), 1.0)
    return op.Sub(inputs, op.Mul(inputs, op.Div(2.0, op.Add(op.Mul(grown, grown), 1.0))))


def _rename_outputs(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Name the outputs; an inner value that already has such a name, for example `view`, is renamed.

    The exporter would let both have it, and the file would be no valid graph.
    """
    new = {name: f"{name}.inner" for name in names.values()} | names
    for node in graph.node:
        for values in (node.input, node.output):
            for position, name in enumerate(values):
                values[position] = new.get(name, name)
    for value in (*graph.initializer, *graph.value_info, *graph.output):
        value.name = new.get(value.name, value.name)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's progress and its advice on input types out of a stage's output."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
