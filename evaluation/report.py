"""DVC stage `report`: metrics/<district>/ and plots/<district>/ -> reports/<district>/report.md, report.html."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from districts.counts import counts_of
from domain.atomic import atomic_folder
from domain.errors import ArtifactError
from domain.left_out import left_out_lines
from domain.model_card import CARD, read_card, version_of_deployment
from domain.paths import ENGINES, METRICS, PLOTS, REPORTS, TRANSITS, configured_district, district_folder
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.across import across_section
from evaluation.details import read_details
from evaluation.experiments.outcomes import log_report
from evaluation.experiments.provenance import Provenance
from evaluation.experiments.results import read_all_metrics
from evaluation.origin import require_fitting
from evaluation.past import Run, read_runs
from evaluation.reporting.comparisons import compare
from evaluation.reporting.document import district_facts, write_report
from evaluation.reporting.engine_facts import read_parities
from evaluation.reporting.parts import Evaluated, Section, Table
from evaluation.reporting.rows import NOTHING
from evaluation.reporting.sections import sections
from evaluation.show_results import print_results
from evaluation.transit.files import read_transits

_COUNTED = ("detection by split", "re-ID by part", "attributes by split", "data by camera")
_ROUNDING = 1e-6


def main(argv: Sequence[str] = ()) -> None:
    """Write the report of all stages that have run, and print the main metrics."""
    params = read_params(argv)
    district = configured_district(argv)
    metrics = read_all_metrics(METRICS.of(district))
    folder = district_folder(argv)
    require_fitting(district, Provenance.of(folder).data_hash, engine_versions(params, district), metrics)
    evaluated = {name: read_evaluated(district, name, values) for name, values in metrics.items()}
    facts = district_facts(params, folder)
    absent = "".join(f"{line}. " for line in left_out_lines(params))
    tables = (models_table(district, metrics), *counts_tables(folder))
    origin = Section("Where these figures come from", "", True, absent, tables)
    across = across_section()
    parts = [*sections(evaluated, read_parities(ENGINES.of(district))), *([across] if across else []), origin]
    with atomic_folder(REPORTS.of(district)) as reports:
        write_report(parts, facts | {"title": f"results on {district}"}, reports, "report")
    log_report(district, metrics, [REPORTS.of(district) / "report.html"])
    print_results(district, metrics, synthetic=facts["synthetic"])
    for line in left_out_lines(params):
        print(line)


def engine_versions(params: dict[str, Any], district: str) -> dict[str, str]:
    """The version of each engine of the district, by name, and that of the deployment, as `tracking`."""
    cards = {file.parent.name: read_card(file) for file in ENGINES.of(district).glob(f"*/{CARD}")}
    versions = {name: card.version for name, card in cards.items()}
    deployed = deployed_models(params)
    if all(name in cards for name in deployed):
        folder = TRANSITS.of(district)
        transits = read_transits(folder)[1].version if folder.is_dir() else ""
        versions["tracking"] = version_of_deployment((cards[name] for name in deployed), transits)
    return versions


def deployed_models(params: Mapping[str, Any]) -> list[str]:
    """Names of the engines that a district deploys together."""
    tracking = params["tracking"]
    names = tracking["detector"], tracking["attributes"], f"reid-{params['reid']['backbone']}"
    return [name for name in names if name]


def read_evaluated(district: str, name: str, metrics: Mapping[str, Any]) -> Evaluated:
    """What the evaluation of the model `name` left, and the earlier runs beside it."""
    plots = PLOTS.of(district) / name
    details = read_details(plots)
    comparison = compare(name, read_runs(district, name), details.get("run"))
    if comparison.ours is not None:
        require_one_evaluation(name, metrics, comparison.ours)
    return Evaluated(metrics, plots, details, comparison)


def require_one_evaluation(name: str, metrics: Mapping[str, Any], run: Run) -> None:
    """Refuse metrics of another evaluation than the plots beside them, as a stage that was killed leaves them.

    Raises:
        ArtifactError: names a figure that differs.
    """
    for figure, value in run.resampled.values.items():
        *outer, key = figure.split("/")
        values = metrics
        for part in outer:
            values = values.get(part, {})
        written = values.get(key, value) if isinstance(values, Mapping) else value
        if written is not None and abs(written - value) > _ROUNDING:
            raise ArtifactError(
                f"metrics and plots of {name} must be of one evaluation, but {figure} is {written:.4f} in one and "
                f"{value:.4f} in the other; rerun the evaluation"
            )


def models_table(district: str, metrics: Mapping[str, Any]) -> Table:
    """Each evaluated model: what it is, and what it was trained on."""
    rows = []
    for name in metrics:
        file = ENGINES.of(district) / name / CARD
        if file.is_file():
            card = read_card(file)
            trained = f"{card.district} {card.data_hash[:12]}".strip() if not card.source else card.source
            version = card.version
            run = card.mlflow_run_id[:12] or NOTHING
            rows.append((name, version, trained, card.git_revision[:12] or NOTHING, run))
    columns = ("model", "version", "trained on", "commit", "MLflow run")
    return Table(columns, rows, "Models:")


def counts_tables(folder: Path) -> tuple[Table, ...]:
    """How much data the district has."""
    tables = []
    for title, records in counts_of(folder).items():
        if title in _COUNTED:
            columns = tuple(dict.fromkeys(name for record in records for name in record))
            cells = [tuple(_cell(record.get(name, NOTHING)) for name in columns) for record in records]
            tables.append(Table(columns, cells, f"{title[0].upper()}{title[1:]}:"))
    return tuple(tables)


def _cell(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    run_stage(main)
