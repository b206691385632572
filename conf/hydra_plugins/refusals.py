"""A line with the likely spelling where Hydra, also DVC's, does not know an option or a key; it would print a dozen.

Hydra has no hook for this, so its loader of configurations is wrapped once it imports what lies in this folder.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dvc.exceptions import DvcException
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

_UNKNOWN_KEY = re.compile(r"Could not override '([^']+)'")
_RESOLVING = "ValueError raised while resolving interpolation: "
_QUOTE = """values with blanks, #, ( or Korean need double quotes inside those of the shell: 'district="수성"'"""
_load = ConfigLoaderImpl.load_configuration


def load_configuration(
    self: ConfigLoaderImpl, config_name: str | None, overrides: list[str], *arguments: Any, **options: Any
) -> Any:
    """Hydra's own, whose refusals are lines that DVC prints as they are."""
    try:
        loaded = _load(self, config_name, overrides, *arguments, **options)
        OmegaConf.to_container(
            OmegaConf.masked_copy(loaded, [str(key) for key in loaded if key != "hydra"]), resolve=True
        )
        return loaded
    except InterpolationResolutionError as error:
        raise DvcException(_first_line(error).partition(_RESOLVING)[2] or str(error)) from None
    except MissingConfigException as error:
        group, _, chosen = str(error.missing_cfg_file).rpartition("/")
        raise DvcException(_option(group or "config", chosen, error.options or ())) from None
    except ConfigCompositionException as error:
        unknown = _UNKNOWN_KEY.search(str(error))
        known = _keys(OmegaConf.to_container(_load(self, config_name, [], RunMode.RUN))) if unknown else ()
        raise DvcException(_key(unknown[1], list(known)) if unknown else _first_line(error)) from None
    except HydraException as error:
        raise DvcException(f"{_first_line(error)}; {_QUOTE}") from None


def _option(group: str, chosen: str, options: Iterable[str]) -> str:
    likely = difflib.get_close_matches(chosen, list(options), n=1)
    return f"{group} must be one of {', '.join(options)}, got {chosen}" + _did_you_mean(likely)


def _key(key: str, known: list[str]) -> str:
    if key.partition(".")[0] == "take":
        return f"the models to take must be added, with a +: '+{key}=…', or +take.detector=<folder>"
    by_end = [each for each in known if each.rpartition(".")[2] in difflib.get_close_matches(key, _ends(known), n=1)]
    likely = difflib.get_close_matches(key, known, n=1, cutoff=0.8) or by_end[:3]
    return f"unknown configuration key {key}" + _did_you_mean(likely)


def _ends(known: Iterable[str]) -> list[str]:
    return [key.rpartition(".")[2] for key in known]


def _did_you_mean(likely: list[str]) -> str:
    return f"; did you mean {' or '.join(likely)}?" if likely else ""


def _first_line(error: Exception) -> str:
    cause = error if str(error) else error.__cause__ or error
    return str(cause).partition("\n")[0]


def _keys(tree: Any, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        yield f"{prefix}{key}"
        yield from _keys(value, f"{prefix}{key}.")


if ConfigLoaderImpl.load_configuration.__module__ == ConfigLoaderImpl.__module__:
    ConfigLoaderImpl.load_configuration = load_configuration  # type: ignore[method-assign]
