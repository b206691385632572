"""Where the project lies, and what its configuration says."""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[2]


def section(name: str, option: str) -> dict[str, Any]:
    """The section `name` as `conf/<name>/<option>.yaml` composes it, without an experiment."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        values: Any = OmegaConf.to_container(compose(overrides=[f"+{name}={option}"]))
    return dict(values[name])
