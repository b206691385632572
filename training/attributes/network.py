"""Attribute network: a torchreid trunk and one softmax head for each group of a schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from domain.attributes import AttributeSchema
from domain.errors import ArtifactError, InputError
from domain.model_card import read_card
from training.trunk import build_trunk, read_own_weights, restore

STRIPES = 6


class AttributeNetwork(nn.Module):
    """Logits of each group, from the trunk's last maps averaged over horizontal stripes.

    Hair is at the top of a crop and shoes at its bottom: an average over the whole crop would mix them. Stripes as in
    Sun et al. 2018 (arXiv:1711.09349). The heads are one linear layer whose outputs are cut group by group.
    """

    trunk: Any  # torch types a module's attribute as `Tensor | Module`, which hides `featuremaps`

    def __init__(self, trunk: nn.Module, channels: int, group_sizes: Mapping[str, int]) -> None:
        """Put the parts together.

        Args:
            trunk: a torchreid network with `featuremaps`, see `build_trunk`.
            channels: of its last maps.
            group_sizes: number of labels of each group, in order.
        """
        super().__init__()
        self.trunk = trunk
        self.group_sizes = dict(group_sizes)
        self.stripes = nn.AdaptiveAvgPool2d((STRIPES, 1))
        self.neck = nn.BatchNorm1d(STRIPES * channels)
        self.heads = nn.Linear(STRIPES * channels, sum(group_sizes.values()))
        nn.init.normal_(self.heads.weight, std=0.01)
        nn.init.zeros_(self.heads.bias)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Group to logits `[batch, label]`, of normalised pictures float `[batch, 3, height, width]`."""
        striped: Tensor = self.stripes(self.trunk.featuremaps(images)).flatten(1)
        logits = self.heads(self.neck(striped))
        return dict(zip(self.group_sizes, logits.split(list(self.group_sizes.values()), dim=1), strict=True))


def build_attribute_network(backbone: str, schema: AttributeSchema) -> AttributeNetwork:
    """A network with random weights; `backbone` is a torchreid architecture, such as `osnet_x0_25`.

    Raises:
        InputError: if there is no such architecture.
    """
    trunk, _ = build_trunk(backbone)
    if not hasattr(trunk, "featuremaps"):
        raise InputError(
            f"attributes need a trunk that gives its last maps, such as osnet_x1_0 or resnet50, got {backbone}"
        )
    for own_head in (module for module in (trunk.fc,) if module is not None):
        own_head.requires_grad_(False)  # torchreid's layer after the average, which stripes do not use
    with torch.inference_mode():
        channels = cast(Any, trunk.eval()).featuremaps(torch.zeros(1, 3, 64, 32)).shape[1]
    sizes = {group.name: len(group.labels) for group in schema.groups}
    return AttributeNetwork(trunk.train(), channels, sizes)


def load_attributes(folder: Path) -> AttributeNetwork:
    """The network that `train_attributes` left in `folder`, in eval mode.

    Raises:
        ArtifactError: if its card or weights are missing or unusable.
    """
    card = read_card(folder)
    if card.attribute_schema is None:
        raise ArtifactError(f"the card in {folder} must have an attribute schema; rerun train_attributes")
    network = build_attribute_network(card.architecture, card.attribute_schema)
    restore(network, read_own_weights(folder, "train_attributes"), folder, "train_attributes")
    return network.eval()


def group_probabilities(logits: Mapping[str, Tensor]) -> Tensor:
    """Softmax of each group, one group after the other, `float32 [batch, all labels]`."""
    return torch.cat([part.float().softmax(dim=1) for part in logits.values()], dim=1)
