"""Each model on each district that it was evaluated on, as a matrix: `python -m evaluation.across`.

Every evaluation leaves its figures in `history/<district>/`, also that of a model which a district takes from another
one or from elsewhere (`take`). A column is one test set: its figures can be compared. A row is not: districts differ.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from domain.paths import HISTORY, project_folder
from domain.stage import run_stage
from evaluation.past import Run, read_runs
from evaluation.reporting.parts import Section, Table
from evaluation.reporting.rows import NOTHING, Row

_TASKS = {  # the title of each, and its main figure
    "detector": ("Detection AP50", "ap50"),
    "attributes": ("Attributes, instance F1", "instance_f1"),
    "reid-": ("Re-ID mAP without re-ranking", "plain/map"),
}


def main(argv: Sequence[str] = ()) -> None:
    """Print the matrix of each task."""
    tables = across_tables()
    if not tables:
        print(f"no evaluation is kept in {project_folder(Path.cwd()) / HISTORY.name}; run one")
    for table in tables:
        print("\n".join([table.title, *_aligned([table.columns, *table.rows]), ""]))


def across_section() -> Section | None:
    """The matrices for the report; None while there is only one district."""
    tables = tuple(table for table in across_tables() if len(table.columns) > 2)
    text = (
        "Each model on each district that it was evaluated on. A column is one test set, so its figures can be "
        "compared; a row cannot, for districts differ."
    )
    return Section("Across districts", "", True, text, tables) if tables else None


def across_tables() -> tuple[Table, ...]:
    """A table for each task with a kept evaluation: a row for each model, a column for each district."""
    history = project_folder(Path.cwd()) / HISTORY.name
    places = [(folder.parent.name, folder.name) for folder in sorted(history.glob("*/*")) if folder.is_dir()]
    tables = []
    for task, (title, figure) in _TASKS.items():
        runs = {
            (run.origin["model_version"], district): run
            for district, model in places
            if model.startswith(task)
            for run in read_runs(district, model)  # oldest first, so that the newest stands
        }
        if runs:
            tables.append(_table(title, figure, runs))
    return tuple(tables)


def _table(title: str, figure: str, runs: Mapping[tuple[str, str], Run]) -> Table:
    districts = sorted({district for _, district in runs})
    origins = {version: run.origin for (version, _), run in runs.items()}
    trained = {version: origin.get("trained_on", "") for version, origin in origins.items()}
    rows = [
        (
            f"{version}, {_words(origins[version])}",
            *(_cell(runs.get((version, district)), figure) for district in districts),
        )
        for version in sorted(trained, key=lambda version: (trained[version], version))
    ]
    return Table(("model", *districts), rows, f"{title}:")


def _words(origin: Mapping[str, str]) -> str:
    """Of which district a model is, or of which file of weights from elsewhere."""
    source = origin.get("source")
    return f"from {source}" if source else f"trained on {origin.get('trained_on') or 'unknown data'}"


def _cell(run: Run | None, figure: str) -> str:
    if run is None or figure not in run.resampled.values:
        return NOTHING
    estimate = run.resampled.estimates()[figure]
    return Row("x", "").of({"x": estimate.value, "x_low": estimate.low, "x_high": estimate.high})


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


if __name__ == "__main__":
    run_stage(main)
