"""Feature extractors from torchreid by architecture name, and weights made elsewhere, read by path."""

import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from domain.errors import ArtifactError, InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it complains that its compiled ranking is missing; ours is used
    from torchreid.reid.models import build_model

WEIGHTS = "weights.pt"
_LOG = logging.getLogger(__name__)
_WRAPPERS = ("module.", "network.", "model.")  # DataParallel, our Lightning tasks, others' Lightning tasks
_HEADS = {"classifier.weight", "classifier.bias", "fc.weight", "fc.bias"}  # of torchreid and of torchvision
_UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError)  # by torch.load
_COUNTER = "num_batches_tracked"  # old files have none, and nothing depends on it


def build_trunk(architecture: str, stripes: int) -> tuple[nn.Module, int]:
    """A torchreid network without its classifier, and the length of its features; weights are random.

    Args:
        architecture: such as `osnet_x0_25`, `osnet_x1_0`, `osnet_ain_x1_0`, `resnet50`.
        stripes: as `trunk_features` will be asked for.

    Raises:
        InputError: if torchreid has no such network, or it has not one feature and one classifier, or does not give
            the maps that stripes need.
    """
    try:
        trunk = build_model(architecture, num_classes=1, loss="triplet", pretrained=False)
    except KeyError as error:
        raise InputError(str(error.args[0])) from error
    if not isinstance(getattr(trunk, "classifier", None), nn.Linear):
        raise InputError(f"architecture must be one with a single classifier on one feature, got {architecture}")
    feature = trunk.classifier.in_features
    trunk.classifier = nn.Identity()
    if stripes == 1:
        return trunk, feature
    if not hasattr(trunk, "featuremaps"):
        raise InputError(
            f"with stripes the architecture must be one that gives its last maps, such as osnet_x1_0 or resnet50, got "
            f"{architecture}"
        )
    if isinstance(own_head := getattr(trunk, "fc", None), nn.Module):
        own_head.requires_grad_(False)  # torchreid's layer after the average, which stripes do not use
    with torch.inference_mode():
        feature = trunk_features(trunk.eval(), torch.zeros(1, 3, 64, 32), stripes).shape[1]
    return trunk.train(), feature


def trunk_features(trunk: Any, images: Tensor, stripes: int) -> Tensor:
    """Features `[batch, feature]` of normalised pictures.

    With one stripe they are torchreid's own. With more they are its last maps averaged over so many horizontal
    stripes: hair is at the top of a crop and shoes at its bottom, and an average over the whole crop mixes them.
    Source: Sun et al. 2018, "Beyond part models" (arXiv:1711.09349), without its layer that shortens each stripe.
    """
    if stripes > 1:
        return adaptive_avg_pool2d(trunk.featuremaps(images), (stripes, 1)).flatten(1)
    output = trunk(images)
    return output[1] if isinstance(output, tuple) else output  # (logits, features) in train mode


def load_pretrained(network: nn.Module, file: Path) -> None:
    """Load weights made elsewhere into `network`, which has a `trunk` and one or more heads.

    Read are state dicts and checkpoints of torchreid's zoo, of ImageNet training, of Lightning and of this project
    (`weights.pt`), with `weights_only=True`. Prefixes such as `module.` are taken off. A head for other classes is
    left as it was, and that is logged. A BN neck that the file does not have stays as it is: a fresh one is the
    identity, so embeddings are then the features that torchreid itself gives.

    Raises:
        InputError: if the file cannot be read, or holds another architecture; names the first key that differs.
    """
    own = network.state_dict()
    values = _without_prefixes(_read_tensors(file))
    if not any(key.startswith("trunk.") for key in values):
        values = {
            key if key in _HEADS and f"trunk.{key}" not in own else f"trunk.{key}": value
            for key, value in values.items()
        }
    _require_same_trunk(own, values, file)
    fitting = {key: value for key, value in values.items() if key in own and own[key].shape == value.shape}
    left_out = sorted(key for key in values if key not in fitting)
    unset = sorted(key for key in own if key not in fitting and not key.endswith(_COUNTER))
    network.load_state_dict(fitting, strict=False)
    if left_out or unset:
        _LOG.warning(
            "%s: not used: %s; not in the file, so left as initialised: %s",
            file.name,
            ", ".join(left_out) or "nothing",
            ", ".join(unset) or "nothing",
        )


def read_own_weights(folder: Path, stage: str) -> dict[str, Tensor]:
    """The state dict that training left in `folder`.

    Raises:
        ArtifactError: if it is missing or unusable; names `stage`.
    """
    try:
        values: dict[str, Tensor] = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise ArtifactError(f"{folder / WEIGHTS} must be readable weights; rerun {stage} ({error})") from error
    return values


def restore(network: nn.Module, weights: Mapping[str, Tensor], folder: Path, stage: str) -> None:
    """Put the `weights` read from `folder` into `network`.

    Raises:
        ArtifactError: if they are of another network than the card beside them says; names `stage`.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(f"{folder / WEIGHTS} must fit the card beside it; rerun {stage} ({error})") from error


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"weights must be a file, {file} is missing") from error
    except _UNREADABLE as error:
        raise InputError(f"{file} must hold weights and nothing else (a torch state dict): {error}") from error
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    tensors = (
        {key: value for key, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise InputError(f"{file} must hold a state dict of tensors, got {type(content).__name__}")
    return tensors


def _without_prefixes(values: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS * 2:  # a Lightning task around a DataParallel network, or the other way
        inside = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        values = inside or values
    return values


def _require_same_trunk(own: Mapping[str, Tensor], values: Mapping[str, Tensor], file: Path) -> None:
    for key, weight in own.items():
        if not key.startswith("trunk.") or key.endswith(_COUNTER):
            continue
        came = "no such key" if key not in values else f"shape {tuple(values[key].shape)}"
        if came != f"shape {tuple(weight.shape)}":
            raise InputError(
                f"{file} must hold weights of the same architecture; first difference at {key.removeprefix('trunk.')}: "
                f"the network has shape {tuple(weight.shape)}, the file {came}"
            )
    for key in values:
        if key.startswith("trunk.") and key not in own:
            raise InputError(
                f"{file} must hold weights of the same architecture; first difference at {key.removeprefix('trunk.')}: "
                "the network has no such key"
            )
