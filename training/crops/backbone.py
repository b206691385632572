"""Feature extractors of torchreid, chosen by architecture name, and pretrained weights read from files."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from domain.errors import InputError
from training.weights import read_plain

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchreid warns that its compiled ranking is missing, which is not used
    from torchreid.reid.models import build_model

_LOG = logging.getLogger(__name__)
_BACKBONE = "backbone."  # how keys of the backbone begin in our networks
_WRAPPERS = ("module.", "network.", "model.")  # DataParallel, our Lightning tasks, others' Lightning tasks
_HOLDERS = ("state_dict", "model", "model_state_dict", "net", "weights")  # of the tensors in a trainer's checkpoint
_HEADS = {"classifier.weight", "classifier.bias", "fc.weight", "fc.bias"}  # of torchreid and of torchvision
_COUNTER = "num_batches_tracked"  # missing in old files, and without effect here


def build_backbone(architecture: str, stripes: int) -> tuple[nn.Module, int]:
    """A torchreid network with random weights and without classifier, and the length of its features.

    Args:
        architecture: such as `osnet_x0_25`, `osnet_x1_0`, `osnet_ain_x1_0`, `resnet50`.
        stripes: see `backbone_features`.

    Raises:
        InputError: if torchreid has no such network, or it does not have exactly one feature and one classifier, or it
            does not give the feature maps that stripes need.
    """
    try:
        backbone = build_model(architecture, num_classes=1, loss="triplet", pretrained=False)
    except KeyError as error:
        raise InputError(str(error.args[0])) from error
    if not isinstance(getattr(backbone, "classifier", None), nn.Linear):
        raise InputError(f"architecture must be one with a single classifier on one feature, got {architecture}")
    feature = backbone.classifier.in_features
    backbone.classifier = nn.Identity()
    if stripes == 1:
        return backbone, feature
    if not hasattr(backbone, "featuremaps"):
        raise InputError(
            f"stripes need an architecture that gives its last feature maps, such as osnet_x1_0 or resnet50, got "
            f"{architecture}"
        )
    if isinstance(own_head := getattr(backbone, "fc", None), nn.Module):
        own_head.requires_grad_(False)  # torchreid's layer after the average, which stripes do not use
    with torch.inference_mode():
        feature = backbone_features(backbone.eval(), torch.zeros(1, 3, 64, 32), stripes).shape[1]
    return backbone.train(), feature


def backbone_features(backbone: Any, images: Tensor, stripes: int) -> Tensor:
    """Features `[batch, feature]` of normalised pictures.

    With one stripe they are torchreid's own features. With more they are its last feature maps, averaged over each of
    the horizontal stripes: hair is at the top of a crop and shoes are at its bottom, and an average over the whole crop
    mixes them.
    Source: Sun et al. 2018, "Beyond part models" (arXiv:1711.09349), without its layer that shortens each stripe.
    """
    if stripes > 1:
        return adaptive_avg_pool2d(backbone.featuremaps(images), (stripes, 1)).flatten(1)
    output = backbone(images)
    return output[1] if isinstance(output, tuple) else output  # (logits, features) in train mode


def load_pretrained(network: nn.Module, file: Path) -> None:
    """Load pretrained weights into `network`, which has a `backbone` and one or more heads.

    Accepts state dicts and checkpoints of torchreid, of ImageNet training, of Lightning and of this project
    (`weights.pt`); no code in them is run. Prefixes such as `module.` are removed. A head for other classes is not
    loaded, and a warning is logged. A BN neck that is not in the file keeps its values: a new neck is the identity, so
    embeddings then equal torchreid's own features.

    Raises:
        InputError: if the file cannot be read, or holds another architecture; names the first key that differs.
    """
    own = network.state_dict()
    values = _without_prefixes(_read_tensors(file))
    if not any(key.startswith(_BACKBONE) for key in values):
        values = {
            key if key in _HEADS and _BACKBONE + key not in own else _BACKBONE + key: value
            for key, value in values.items()
        }
    _require_same_backbone(own, values, file)
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


def _read_tensors(file: Path) -> dict[str, Tensor]:
    content = read_plain(file)
    for _ in _HOLDERS:  # a checkpoint may lie in another
        content = next((content[key] for key in _HOLDERS if isinstance(content.get(key), Mapping)), content)
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        keys = ", ".join(sorted(map(str, content))[:8]) or "nothing"
        raise InputError(f"{file} must hold a state dict of tensors, by itself or as {', '.join(_HOLDERS)}; got {keys}")
    return tensors


def _without_prefixes(values: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS * 2:  # a Lightning task around a DataParallel network, or the other way
        inside = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        values = inside or values
    return values


def _require_same_backbone(own: Mapping[str, Tensor], values: Mapping[str, Tensor], file: Path) -> None:
    needed = [key for key in own if key.startswith(_BACKBONE) and not key.endswith(_COUNTER)]
    unknown = [key for key in values if key.startswith(_BACKBONE) and key not in own]
    for key in needed + unknown:
        in_network, in_file = (
            f"shape {tuple(tensors[key].shape)}" if key in tensors else "no such key" for tensors in (own, values)
        )
        if in_network != in_file:
            raise InputError(
                f"{file} must hold weights of the same architecture; first difference at "
                f"{key.removeprefix(_BACKBONE)}: the network has {in_network}, the file {in_file}"
            )
