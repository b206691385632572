"""Attribute network: a torchreid backbone and one softmax head for each group of a schema."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from domain.attributes import AttributeSchema
from domain.errors import ArtifactError
from domain.model_card import read_card
from training.crops.backbone import backbone_features, build_backbone
from training.weights import read_weights, restore


class AttributeNetwork(nn.Module):
    """Backbone, BN neck and one head a group; the heads are one linear layer whose outputs are split by group.

    Args:
        backbone: a torchreid network without classifier, see `build_backbone`.
        feature: length of a feature.
        group_sizes: number of labels of each group, in order.
        stripes: see `backbone_features`.
    """

    def __init__(self, backbone: nn.Module, feature: int, group_sizes: Mapping[str, int], stripes: int) -> None:
        super().__init__()
        self.backbone, self.stripes = backbone, stripes
        self.group_sizes = dict(group_sizes)
        self.neck = nn.BatchNorm1d(feature)
        self.heads = nn.Linear(feature, sum(group_sizes.values()))
        nn.init.normal_(self.heads.weight, std=0.01)
        nn.init.zeros_(self.heads.bias)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map each group to its logits `[batch, label]` of normalised pictures, float `[batch, 3, height, width]`."""
        logits = self.heads(self.neck(backbone_features(self.backbone, images, self.stripes)))
        return dict(zip(self.group_sizes, logits.split(list(self.group_sizes.values()), dim=1), strict=True))

    @torch.no_grad()
    def cool(self, temperatures: Mapping[str, float]) -> None:
        """Divide the logits of each group by its temperature from now on: the heads' weights are scaled."""
        rows = torch.tensor([temperatures[name] for name, size in self.group_sizes.items() for _ in range(size)])
        self.heads.weight.div_(rows[:, None])
        self.heads.bias.div_(rows)


def build_attribute_network(architecture: str, schema: AttributeSchema, stripes: int = 1) -> AttributeNetwork:
    """An attribute network with random weights.

    Args:
        architecture: torchreid's name, such as `osnet_x0_25`.
        schema: groups and labels to predict.
        stripes: see `backbone_features`.

    Raises:
        InputError: if there is no such architecture, or not with `stripes`.
    """
    backbone, feature = build_backbone(architecture, stripes)
    return AttributeNetwork(backbone, feature, {group.name: len(group.labels) for group in schema.groups}, stripes)


def load_attributes(folder: Path) -> AttributeNetwork:
    """The network that `train_attributes` left in `folder`, in eval mode.

    Raises:
        ArtifactError: if its card or weights are missing or unusable.
    """
    card = read_card(folder)
    if card.attribute_schema is None:
        raise ArtifactError(f"the card in {folder} must have an attribute schema; rerun train_attributes")
    network = build_attribute_network(card.architecture, card.attribute_schema, card.stripes)
    restore(network, read_weights(folder, "train_attributes"), folder, "train_attributes")
    return network.eval()


def group_probabilities(logits: Mapping[str, Tensor]) -> Tensor:
    """Softmax of each group's logits, concatenated in the order of the groups, `float32 [batch, all labels]`."""
    return torch.cat([part.float().softmax(dim=1) for part in logits.values()], dim=1)
