"""The part of an engine that all runtimes share: it checks pictures, splits large batches and answers empty ones."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from domain.errors import InputError, require_shape
from domain.model_card import EngineFile, ModelCard

INPUT_NAME = "images"


class Runner(Protocol):
    """An opened engine file: runs one batch of at most the profile's maximum."""

    output_shapes: Mapping[str, tuple[int, ...]]  # of one picture, without the batch axis

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs, `float32 [batch, …]` by name, for contiguous `images`, `uint8 [batch, height, width, 3]`."""


class Engine:
    """A network ready to run; call it with pictures. Safe to call from several threads at once.

    Attributes:
        card: the model's card: input size, outputs, labels, thresholds.
        file: the entry of the card that was opened; says runtime, precision and profile.
        notice: why this file and not a plan runs on a machine with a GPU; empty where there is nothing to say.
    """

    def __init__(self, card: ModelCard, file: EngineFile, runner: Runner, notice: str = "") -> None:
        """An engine of an opened file; `load` opens files."""
        self.card = card
        self.file = file
        self.notice = notice
        self._runner = runner

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of the network by name, `float32 [batch, …]`; see the card's `output_names`.

        A batch above the profile's maximum is split; an empty one gives empty arrays of the right shape.

        Args:
            images: `uint8 [batch, height, width, 3]` RGB of the card's input size; scaling and normalisation are
                inside the engine.

        Raises:
            InputError: if `images` has another type or shape.
        """
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            got = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
            raise InputError(f"images must be a uint8 array of RGB values 0..255, got {got}")
        require_shape(INPUT_NAME, images, (None, self.card.input_height_px, self.card.input_width_px, 3))
        if len(images) == 0:
            return {name: np.zeros((0, *shape), np.float32) for name, shape in self._runner.output_shapes.items()}
        largest = self.file.max_batch
        parts = [
            self._runner.run(np.ascontiguousarray(images[start : start + largest]))
            for start in range(0, len(images), largest)
        ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
