"""A trained detector from the folder that `train_detector` wrote."""

import pickle
from pathlib import Path

import torch

from domain.errors import ArtifactError, InputError
from training.detector.darknet_cfg import read_cfg
from training.detector.network import DarknetNetwork

CFG, WEIGHTS, DARKNET_WEIGHTS = "network.cfg", "weights.pt", "weights.weights"


def load_detector(folder: Path) -> DarknetNetwork:
    """The network of `folder` (`network.cfg` and `weights.pt`), on the CPU, in eval mode.

    Raises:
        ArtifactError: if a file is missing or does not fit the other.
    """
    try:
        network = DarknetNetwork(read_cfg(folder / CFG))
        network.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
    except (InputError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ArtifactError(f"{folder} must hold a trained detector; rerun train_detector ({error})") from error
    return network.eval()
