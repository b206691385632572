"""What a report shows of an evaluation beside its metrics: `plots/<district>/<model>/details.json`, and curves as data.

Metrics are few and flat, so that `dvc metrics` and MLflow can list them; the rest lies here.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from domain.errors import ArtifactError

_FILE = "details.json"
_MOST_POINTS = 400  # of a curve


def write_details(details: Mapping[str, Any], plots: Path) -> None:
    """Write nested plain values into a folder of plots."""
    text = json.dumps(details, indent=1, ensure_ascii=False, allow_nan=False)
    (plots / _FILE).write_text(text + "\n", encoding="utf-8")


def read_details(plots: Path) -> dict[str, Any]:
    """The details in a folder of plots; none if it has none.

    Raises:
        ArtifactError: if they are not JSON.
    """
    file = plots / _FILE
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    except ValueError as error:
        raise ArtifactError(f"{file} must be JSON; rerun the evaluation that wrote it ({error})") from error


def write_curve(columns: Mapping[str, Sequence[float] | np.ndarray], file: Path) -> None:
    """Write a curve as CSV for `dvc plots`, each column one axis; a long one keeps 400 points, its ends among them."""
    length = len(next(iter(columns.values())))
    places = np.unique(np.linspace(0, length - 1, min(length, _MOST_POINTS)).round().astype(int))
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        writer.writerows([f"{float(column[place]):.6g}" for column in columns.values()] for place in places)
