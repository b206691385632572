"""Re-identification network: a torchreid backbone, a BN neck and a classifier over the training identities."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from domain.model_card import read_card
from training.crops.backbone import backbone_features, build_backbone, load_pretrained
from training.weights import read_weights, restore

__all__ = ["ReidNetwork", "build_reid_network", "embed", "load_pretrained", "load_reid"]


class ReidNetwork(nn.Module):
    """Backbone, BN neck and classifier: features for the triplet loss before the neck, embeddings and logits after it.

    An untrained neck is the identity in eval mode. Weights from torchreid's zoo have no neck, so with them embeddings
    equal torchreid's own features.
    Source: Luo et al. 2019, "Bag of tricks and a strong baseline for deep person re-identification".

    Args:
        backbone: a torchreid network without classifier, see `build_backbone`.
        feature: length of a feature.
        num_identities: number of people in the training set.
        stripes: see `backbone_features`.
        cosines: whether logits are cosines, as `CircleLoss` takes them, instead of products.
    """

    def __init__(self, backbone: nn.Module, feature: int, num_identities: int, stripes: int, *, cosines: bool) -> None:
        super().__init__()
        self.backbone, self.stripes = backbone, stripes
        self.feature = feature
        self.neck = nn.BatchNorm1d(feature)
        self.neck.bias.requires_grad_(False)  # the neck's outputs stay around the origin, where angles are compared
        assert self.neck.running_var is not None
        self.neck.running_var.fill_(1 - self.neck.eps)
        self.classifier = (CosineClassifier if cosines else nn.Linear)(feature, num_identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.01 if cosines else 0.001)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Embeddings in eval mode, logits and features in train mode.

        Args:
            images: normalised pictures, float `[batch, 3, height, width]`.

        Returns:
            in eval mode embeddings `[batch, feature]`, not of unit length; in train mode logits `[batch, identity]` and
            features `[batch, feature]`.
        """
        features = backbone_features(self.backbone, images, self.stripes)
        embeddings = self.neck(features)
        return (self.classifier(embeddings), features) if self.training else embeddings


class CosineClassifier(nn.Linear):
    """Cosines between embeddings and a direction for each identity, in full precision also under autocast."""

    def forward(self, embeddings: Tensor) -> Tensor:
        """Cosines `float32 [batch, identity]` of embeddings `[batch, feature]`."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return linear(normalize(embeddings.float(), dim=1), normalize(self.weight, dim=1))


def build_reid_network(backbone: str, num_identities: int, stripes: int = 1, *, cosines: bool = False) -> ReidNetwork:
    """A re-identification network with random weights.

    Args:
        backbone: torchreid's name of its architecture, such as `osnet_x0_25` or `resnet50`.
        num_identities: number of people in the training set.
        stripes: see `backbone_features`.
        cosines: see `ReidNetwork`.

    Raises:
        InputError: if there is no such architecture, or not with `stripes`.
    """
    return ReidNetwork(*build_backbone(backbone, stripes), num_identities, stripes, cosines=cosines)


def load_reid(folder: Path) -> ReidNetwork:
    """The network that `train_reid` left in `folder`, in eval mode.

    Raises:
        ArtifactError: if its card or weights are missing or unusable.
    """
    card = read_card(folder)
    weights = read_weights(folder, "train_reid")
    network = build_reid_network(card.architecture, len(weights.get("classifier.weight", ())), card.stripes)
    restore(network, weights, folder, "train_reid")
    return network.eval()


def embed(network: nn.Module, images: Tensor) -> Tensor:
    """Unit-length embeddings `[batch, feature]` of normalised pictures; `network` is in eval mode."""
    return normalize(network(images).to(torch.float32), dim=1)
