"""Compose `conf/` into `params.yaml` as `dvc exp run` does: `python -m conf.compose [experiment=smoke …]`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.utils.hydra import compose_and_dump

import conf.hydra_plugins.refusals
import conf.hydra_plugins.stages  # noqa: F401  registers resolvers also where Hydra has looked for plugins before
from domain.atomic import atomic_file
from domain.errors import InputError
from domain.settings import PARAMS
from domain.stage import run_stage

CONF = Path(__file__).resolve().parent


def compose(overrides: Sequence[str], target: Path, conf_folder: Path = CONF) -> None:
    """Write the composition of `conf_folder` under Hydra `overrides` to `target`, whole or not at all.

    Raises:
        InputError: if an override is of an unknown key or option, or has no form that Hydra reads.
    """
    with atomic_file(target) as aside:
        try:
            compose_and_dump(str(aside), str(conf_folder), None, "config", str(conf_folder), list(overrides))
        except DvcException as error:
            raise InputError(str(error)) from error


def main(argv: Sequence[str] = ()) -> None:
    """Compose `params.yaml` of this folder with the overrides in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="Hydra's, such as experiment=smoke or reid.lr=0.001")
    compose(parser.parse_args(argv).overrides, PARAMS)


if __name__ == "__main__":
    run_stage(main)
