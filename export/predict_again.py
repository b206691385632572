"""Predictions of an engine that is not the pipeline's: `python -m export.predict_again ENGINE OUT [key=value …]`.

ENGINE is a folder such as champions/demo/reid-osnet, and OUT the folder of the predictions on the district's test data
of now. So a champion can be compared after the test data have changed: `python -m evaluation.compare challenger OUT`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from domain.paths import DATA, configured_district
from domain.stage import run_stage
from export.engines import load
from export.predict import write_predictions
from export.settings import ExportSettings


def main(argv: Sequence[str] = ()) -> None:
    """Run the engine over all pictures that the evaluation scores.

    Raises:
        ArtifactError: if ENGINE is no engine that runs here.
    """
    parser = argparse.ArgumentParser(prog="python -m export.predict_again", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("engine", type=Path, help="folder of an engine")
    parser.add_argument("out", type=Path, help="folder for the predictions")
    parser.add_argument("overrides", nargs="*", help="settings, such as export.threads=2")
    given = parser.parse_args(argv)
    settings = ExportSettings.from_params("export", given.overrides)
    data = DATA.of(configured_district(given.overrides))
    write_predictions(load(given.engine, threads=settings.threads), data, settings, given.out)


if __name__ == "__main__":
    run_stage(main)
