"""Re-identification network: a torchreid trunk, a BN neck and a classifier over the training identities."""

from pathlib import Path

import torch
from torch import Tensor, nn

from domain.model_card import read_card
from training.crops.backbone import build_trunk, load_pretrained, read_own_weights, restore, trunk_features

__all__ = ["ReidNetwork", "build_reid_network", "embed", "load_pretrained", "load_reid"]


class ReidNetwork(nn.Module):
    """Features for the triplet loss before the BN neck; embeddings and identity logits after it.

    A neck that was never trained is the identity in eval mode, so with weights from torchreid's zoo, which have none,
    embeddings equal torchreid's own features.
    Source: Luo et al. 2019, "Bag of tricks and a strong baseline for deep person re-identification".
    """

    def __init__(self, trunk: nn.Module, feature: int, num_identities: int, stripes: int) -> None:
        """Put the parts together.

        Args:
            trunk: a torchreid network without classifier, see `build_trunk`.
            feature: length of a feature.
            num_identities: people to tell apart while training.
            stripes: see `trunk_features`.
        """
        super().__init__()
        self.trunk, self.stripes = trunk, stripes
        self.feature = feature
        self.neck = nn.BatchNorm1d(feature)
        self.neck.bias.requires_grad_(False)  # the neck's outputs stay around the origin, where angles are compared
        assert self.neck.running_var is not None
        self.neck.running_var.fill_(1 - self.neck.eps)
        self.classifier = nn.Linear(feature, num_identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Of normalised pictures float `[batch, 3, height, width]`.

        Returns:
            embeddings `[batch, feature]` in eval mode, not yet of unit length; in train mode logits
            `[batch, identity]` and features `[batch, feature]`.
        """
        features = trunk_features(self.trunk, images, self.stripes)
        embeddings = self.neck(features)
        return (self.classifier(embeddings), features) if self.training else embeddings


def build_reid_network(backbone: str, num_identities: int, stripes: int = 1) -> ReidNetwork:
    """A network with random weights; `backbone` is a torchreid architecture, such as `osnet_x0_25` or `resnet50`.

    Raises:
        InputError: if there is no such architecture, or not with `stripes`.
    """
    trunk, feature = build_trunk(backbone, stripes)
    return ReidNetwork(trunk, feature, num_identities, stripes)


def load_reid(folder: Path) -> ReidNetwork:
    """The network that `train_reid` left in `folder`, in eval mode.

    Raises:
        ArtifactError: if its card or weights are missing or unusable.
    """
    card = read_card(folder)
    weights = read_own_weights(folder, "train_reid")
    network = build_reid_network(card.architecture, len(weights.get("classifier.weight", ())), card.stripes)
    restore(network, weights, folder, "train_reid")
    return network.eval()


def embed(network: nn.Module, images: Tensor) -> Tensor:
    """Unit-length embeddings `[batch, feature]` of normalised pictures; `network` is in eval mode."""
    return nn.functional.normalize(network(images).to(torch.float32), dim=1)
