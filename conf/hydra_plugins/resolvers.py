"""Values that the YAML files compute. Hydra, also DVC's, imports what lies in a folder named `hydra_plugins`."""

from pathlib import Path

from omegaconf import OmegaConf

_DVC = ".dvc"
_FILES = {".cfg", ".yaml", ".yml"}


def ratio(part: float, whole: float) -> float:
    """`part` divided by `whole`."""
    return part / whole


def project() -> Path:
    """The project's folder, also in a queued experiment."""
    parts = Path(__file__).resolve().parents[2].parts
    return Path(*parts[: parts.index(_DVC) if _DVC in parts else None])


def input_path(path: str | None, instead: str) -> str:
    """The absolute `path` of a user's file or folder, or `instead` if there is none.

    It is absolute, as a queued experiment runs in a copy of the project, below `.dvc/tmp`, without files that git does
    not know.
    """
    return instead if path is None else str(project() / Path(path).expanduser())


def input_file(path: str | None, instead: str) -> str:
    """As `input_path` for a setting that is either a file or the name of something that comes with the project."""
    return input_path(path if Path(path or "").suffix in _FILES else None, instead)


OmegaConf.register_new_resolver("ratio", ratio, replace=True)
OmegaConf.register_new_resolver("input", input_path, replace=True)
OmegaConf.register_new_resolver("input_file", input_file, replace=True)
