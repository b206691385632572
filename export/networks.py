"""Trained networks from the folders that the trainings wrote, ready to be exported."""

from pathlib import Path

from torch import nn

from domain.model_card import ModelCard
from export.onnx_graph import EngineNetwork
from training.attributes.network import load_attributes
from training.detector.network import load_detector
from training.reid.network import load_reid


def load_network(folder: Path, card: ModelCard) -> EngineNetwork:
    """The network in `folder` with its card's preparation and output form around it.

    Raises:
        ArtifactError: if the weights are missing or unusable; names the stage to rerun.
    """
    network: nn.Module
    if card.task == "detector":
        network = load_detector(folder)
    elif card.task == "attributes":
        network = load_attributes(folder)
    else:
        network = load_reid(folder)
    return EngineNetwork(network, card)
