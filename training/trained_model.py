"""The result of each training: the folder `models/<district>/<name>`, and the network in the experiment log."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from domain.atomic import atomic_folder
from domain.files import sha256_of
from domain.model_card import ModelCard, write_card
from domain.paths import MODELS
from evaluation.experiments.log import TrainingRun
from training.weights import WEIGHTS


def write_trained(
    name: str,
    network: nn.Module,
    card: ModelCard,
    run: TrainingRun,
    *,
    logged: nn.Module | None = None,
    write_more: Callable[[Path], None] | None = None,
) -> Path:
    """Write weights and card to `models/<district>/<name>`, whole or not at all, and log the network to MLflow.

    Args:
        name: of the model, such as `reid-osnet`.
        network: in eval mode on the CPU.
        card: with the district, without provenance, which is taken from `run`.
        run: the open run of the training.
        logged: `network` with a single output, if it has several; MLflow serves no others.
        write_more: writes the model's other files into its folder.

    Returns:
        the folder.
    """
    source = run.provenance
    provenance = {"data_hash": source.data_hash, "git_revision": source.git_revision, "mlflow_run_id": run.run_id}
    target = MODELS.of(card.district) / name
    with atomic_folder(target) as folder:
        torch.save(network.state_dict(), folder / WEIGHTS)
        provenance["weights_sha256"] = sha256_of(folder / WEIGHTS)
        write_card(card.model_copy(update=provenance), folder)
        if write_more:
            write_more(folder)
    example = np.zeros((2, 3, card.input_height_px, card.input_width_px), np.float32)  # batch 1 would freeze the axis
    run.log_model(logged or network, example, name)
    return target
