"""Compose `conf/` into `params.yaml` as `dvc exp run` does: `python -m conf.compose [experiment=smoke …]`."""

import argparse
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="Hydra's, such as experiment=smoke or reid.lr=0.001")
    compose(parser.parse_args().overrides, PARAMS)
