"""Registers engines of the district as challengers: `python -m evaluation.register [MODEL …] [key=value …]`.

MODEL is detector, attributes or reid-<backbone>; by default all that the district deploys. Each becomes a version of
the registered model <district>-<task> in MLflow, with what serving needs and its predictions on the test data. A model
for whose task the district has no test data has none, cannot be compared, and that is said.
"""

import argparse
from collections.abc import Sequence

from domain.paths import configured_district
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.experiments.registry import register
from evaluation.report import deployed_models


def main(argv: Sequence[str] = ()) -> None:
    """Register, and name each version.

    Raises:
        ArtifactError: if an engine, or its predictions on the test data, are missing or of another model.
        AwayError: if the log does not answer.
    """
    parser = argparse.ArgumentParser(prog="python -m evaluation.register", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("given", nargs="*", help="models such as reid-osnet, and settings such as reid.backbone=osnet")
    given = parser.parse_args(argv).given
    overrides, named = ([each for each in given if ("=" in each) is setting] for setting in (True, False))
    params, district = read_params(overrides), configured_district(overrides)
    for name in named or deployed_models(params):
        is_scored = f"{name}-{district}" in params["stages"]["predict"]
        version = register(district, name, is_scored=is_scored)
        not_scored = "" if is_scored else "; the district has no test data for it, so it cannot be compared"
        print(f"{version.title}: {version.tags['model_version']}, the challenger{not_scored}")


if __name__ == "__main__":
    run_stage(main)
