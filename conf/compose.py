"""Compose `conf/` into `params.yaml` as `dvc exp run` does: `python -m conf.compose [experiment=smoke …]`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from dvc.utils.hydra import compose_and_dump

from domain.atomic import atomic_file
from domain.settings import PARAMS


def compose(overrides: Sequence[str], target: Path) -> None:
    """Write the composition of `conf/config.yaml` under Hydra `overrides` to `target`, whole or not at all."""
    conf = Path(__file__).resolve().parent
    with atomic_file(target) as aside:
        compose_and_dump(str(aside), str(conf), None, "config", str(conf.parent), list(overrides))


if __name__ == "__main__":
    compose(sys.argv[1:], PARAMS)
