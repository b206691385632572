"""Values that the YAML files compute. Hydra, also DVC's, imports what lies in a folder named `hydra_plugins`."""

from collections.abc import Iterable

from omegaconf import ListConfig, OmegaConf


def models(backbones: Iterable[str]) -> ListConfig:
    """Names of all models: the detector, the attribute model and one re-ID model for each of `backbones`."""
    return ListConfig(["detector", "attributes", *(f"reid-{backbone}" for backbone in backbones)])


def ratio(part: float, whole: float) -> float:
    """`part` divided by `whole`."""
    return part / whole


OmegaConf.register_new_resolver("models", models, replace=True)
OmegaConf.register_new_resolver("ratio", ratio, replace=True)
