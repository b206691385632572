"""A torch network as one ONNX file that takes `uint8` pictures: scaling, normalisation and output form are inside."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import onnx
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from domain.atomic import atomic_file
from domain.model_card import ModelCard
from export.engines.engine import INPUT_NAME

Precision = Literal["fp32", "fp16"]
CARD_KEY, WEIGHTS_KEY = "dongseon.card", "dongseon.weights_sha256"
_EXAMPLE_BATCH = 2  # a batch of 1 would freeze the axis


class EngineNetwork(nn.Module):
    """A network with its card's preparation before it and its task's output form behind it.

    Input: `uint8 [batch, height, width, 3]` RGB. Output: a tuple in the order of the card's `output_names`, all
    float32: detector boxes `[batch, anchor, 4]` and scores `[batch, anchor, class]`; attributes probabilities
    `[batch, labels]` a group; re-ID embeddings `[batch, feature]` of unit length.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, card: ModelCard, precision: Precision = "fp32") -> None:
        """Wrap `network` (put into eval mode; with "fp16" turned to half precision in place)."""
        super().__init__()
        dtype = torch.float16 if precision == "fp16" else torch.float32
        self.network = network.eval().to(dtype)
        self._decoded: Any = getattr(network, "decoded", None)
        self.card = card
        std = torch.tensor(card.channel_std, dtype=torch.float64)
        mean = torch.tensor(card.channel_mean, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * std)).to(dtype).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).to(dtype).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs in the order of the card's `output_names`."""
        # TensorRT wants a uint8 input to go straight into a cast, so the axes are moved afterwards.
        pixels = images.to(self.scale.dtype).permute(0, 3, 1, 2)
        prepared = pixels * self.scale + self.shift
        if self.card.task == "detector":
            boxes, scores = self._decoded(prepared)
            return boxes.float(), scores.float()
        outputs = self.network(prepared)
        if self.card.task == "reid":
            return (normalize(outputs.float(), dim=1),)
        return tuple(outputs[name].float().softmax(dim=1) for name in self.card.output_names)


def write_onnx(network: EngineNetwork, file: Path, weights_sha256: str = "") -> None:
    """Write `network` as a single ONNX `file` with a dynamic batch and its card in the metadata, whole or not at all.

    Args:
        network: see `EngineNetwork`.
        file: to write.
        weights_sha256: checksum of the weight file the network was read from, kept in the metadata.
    """
    card = network.card
    example = torch.zeros(_EXAMPLE_BATCH, card.input_height_px, card.input_width_px, 3, dtype=torch.uint8)
    with _quiet_exporter():
        program = torch.onnx.export(
            network.eval(),
            (example,),
            input_names=[INPUT_NAME],
            output_names=list(card.output_names),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # Paths and lines of the exporting machine are of no use to whoever opens the file.
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    bare = card.model_copy(update={"engines": ()})
    onnx.helper.set_model_props(
        model, {CARD_KEY: bare.model_dump_json(exclude_defaults=True), WEIGHTS_KEY: weights_sha256}
    )
    model.producer_name = "dongseon"
    with atomic_file(file) as aside:
        onnx.save(model, aside)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's progress and its advice on other input types out of a stage's output."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
