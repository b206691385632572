"""Files of weights: `weights.pt`, a state dict beside the card of a trained model, and those of others."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from domain.errors import ArtifactError, InputError

WEIGHTS = "weights.pt"
_NUMPY = ("numpy.core", "numpy._core")
_REFUSED = re.compile(r"(?:GLOBAL|Unsupported global: GLOBAL|Unsupported class) ([\w.]+)")
UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError)  # raised by torch.load


class _Nothing:
    """Stands in a file of others for an object that is no weight, such as a score; it does nothing, whatever comes."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


# Torchreid's trainer notes its score as a number of NumPy, others their arguments; none of it is built here.
_IGNORED: list[Any] = [
    *((_Nothing, f"{core}.multiarray.{name}") for core in _NUMPY for name in ("scalar", "_reconstruct")),
    *((_Nothing, name) for name in ("numpy.dtype", "numpy.ndarray", "argparse.Namespace", "pathlib.PosixPath")),
]


def read_plain(file: Path) -> Mapping[str, Any]:
    """The mapping in a torch file of others, on the CPU; beside tensors it may hold plain values and NumPy's numbers.

    No code in the file is run.

    Raises:
        InputError: if it is missing, unreadable, holds objects, or no mapping.
    """
    try:
        with torch.serialization.safe_globals(_IGNORED):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"weights must be a file, {file} is missing") from error
    except UNREADABLE as error:
        named = _REFUSED.search(str(error))
        got = f"an object of {named[1]}" if named else str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{file} must hold weights and plain values, for no code in a file is run, got {got}; where it comes from, "
            "save its state_dict() alone"
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(f"{file} must hold a state dict of tensors, got {type(content).__name__}")
    return content


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
