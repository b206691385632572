"""Values that the YAML files compute. Hydra, also DVC's, imports what lies in a folder named `hydra_plugins`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

_DVC = ".dvc"
_FILES = {".cfg", ".yaml", ".yml"}


def models(backbones: Iterable[str]) -> ListConfig:
    """Names of all models: the detector, the attribute model and one re-ID model for each of `backbones`."""
    return ListConfig(["detector", "attributes", *(f"reid-{backbone}" for backbone in backbones)])


def ratio(part: float, whole: float) -> float:
    """`part` divided by `whole`."""
    return part / whole


def input_path(path: str | None, instead: str) -> str:
    """The absolute `path` of a user's file or folder, or `instead` if there is none.

    It is absolute, as a queued experiment runs in a copy of the project, below `.dvc/tmp`, without files that git does
    not know.
    """
    parts = Path(__file__).resolve().parents[2].parts
    project = Path(*parts[: parts.index(_DVC) if _DVC in parts else None])
    return instead if path is None else str(project / Path(path).expanduser())


def input_file(path: str | None, instead: str) -> str:
    """As `input_path` for a setting that is either a file or the name of something that comes with the project."""
    return input_path(path if Path(path or "").suffix in _FILES else None, instead)


def weights_of(backbones: Mapping[str, Any], instead: str) -> DictConfig:
    """`input_path` of the `weights` of each of `backbones`."""
    return DictConfig({name: input_path(backbone["weights"], instead) for name, backbone in backbones.items()})


OmegaConf.register_new_resolver("models", models, replace=True)
OmegaConf.register_new_resolver("ratio", ratio, replace=True)
OmegaConf.register_new_resolver("input", input_path, replace=True)
OmegaConf.register_new_resolver("input_file", input_file, replace=True)
OmegaConf.register_new_resolver("weights_of", weights_of, replace=True)
