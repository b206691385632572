"""Attribute network: a torchreid trunk and one softmax head for each group of a schema."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from domain.attributes import AttributeSchema
from domain.errors import ArtifactError
from domain.model_card import read_card
from training.crops.backbone import build_trunk, read_own_weights, restore, trunk_features


class AttributeNetwork(nn.Module):
    """Logits of each group; the heads are one linear layer on all features, whose outputs are cut group by group."""

    def __init__(self, trunk: nn.Module, feature: int, group_sizes: Mapping[str, int], stripes: int) -> None:
        """Put the parts together.

        Args:
            trunk: a torchreid network without classifier, see `build_trunk`.
            feature: length of a feature.
            group_sizes: number of labels of each group, in order.
            stripes: see `trunk_features`.
        """
        super().__init__()
        self.trunk, self.stripes = trunk, stripes
        self.group_sizes = dict(group_sizes)
        self.neck = nn.BatchNorm1d(feature)
        self.heads = nn.Linear(feature, sum(group_sizes.values()))
        nn.init.normal_(self.heads.weight, std=0.01)
        nn.init.zeros_(self.heads.bias)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Group to logits `[batch, label]`, of normalised pictures float `[batch, 3, height, width]`."""
        logits = self.heads(self.neck(trunk_features(self.trunk, images, self.stripes)))
        return dict(zip(self.group_sizes, logits.split(list(self.group_sizes.values()), dim=1), strict=True))

    @torch.no_grad()
    def cool(self, temperatures: Mapping[str, float]) -> None:
        """Divide the logits of each group by its temperature, once and for all: the heads' weights take it in."""
        rows = torch.tensor([temperatures[name] for name, size in self.group_sizes.items() for _ in range(size)])
        self.heads.weight.div_(rows[:, None])
        self.heads.bias.div_(rows)


def build_attribute_network(backbone: str, schema: AttributeSchema, stripes: int = 1) -> AttributeNetwork:
    """A network with random weights; `backbone` is a torchreid architecture, such as `osnet_x0_25`.

    Raises:
        InputError: if there is no such architecture, or not with `stripes`.
    """
    trunk, feature = build_trunk(backbone, stripes)
    return AttributeNetwork(trunk, feature, {group.name: len(group.labels) for group in schema.groups}, stripes)


def load_attributes(folder: Path) -> AttributeNetwork:
    """The network that `train_attributes` left in `folder`, in eval mode.

    Raises:
        ArtifactError: if its card or weights are missing or unusable.
    """
    card = read_card(folder)
    if card.attribute_schema is None:
        raise ArtifactError(f"the card in {folder} must have an attribute schema; rerun train_attributes")
    network = build_attribute_network(card.architecture, card.attribute_schema, card.stripes)
    restore(network, read_own_weights(folder, "train_attributes"), folder, "train_attributes")
    return network.eval()


def group_probabilities(logits: Mapping[str, Tensor]) -> Tensor:
    """Softmax of each group, one group after the other, `float32 [batch, all labels]`."""
    return torch.cat([part.float().softmax(dim=1) for part in logits.values()], dim=1)
