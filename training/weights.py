"""The weights in the folder of a trained model, `weights.pt`: a state dict beside the model card."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from domain.errors import ArtifactError

WEIGHTS = "weights.pt"
UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError)  # raised by torch.load


def read_weights(folder: Path, stage: str) -> dict[str, Tensor]:
    """The state dict that the training `stage` left in `folder`, on the CPU.

    Raises:
        ArtifactError: if it is missing or unusable; names `stage`.
    """
    try:
        values: dict[str, Tensor] = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ArtifactError(f"{folder / WEIGHTS} must be readable weights; rerun {stage} ({error})") from error
    return values


def restore(network: nn.Module, weights: Mapping[str, Tensor], folder: Path, stage: str) -> None:
    """Put the `weights` read from `folder` into `network`.

    Raises:
        ArtifactError: if they are of another network than the files beside them describe; names `stage`.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(
            f"{folder / WEIGHTS} must fit the network that the files beside it describe; rerun {stage} ({error})"
        ) from error
