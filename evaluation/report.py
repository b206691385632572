"""DVC stage `report`: metrics/<district>/ and plots/<district>/ -> reports/<district>/report.md, report.html."""

import base64
import mimetypes
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import markdown
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from districts.counts import counts_of
from districts.layout import read_district
from domain.atomic import atomic_folder
from domain.cores import machine
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
from evaluation.reporting.engine_facts import read_parities
from evaluation.reporting.parts import Evaluated, Section, Table
from evaluation.reporting.rows import NOTHING
from evaluation.reporting.sections import sections
from evaluation.show_results import print_results
from evaluation.transit.files import read_transits

_COUNTED = ("detection by split", "re-ID by part", "attributes by split", "data by camera")
_ROUNDING = 1e-6
_PICTURE = re.compile(r'src="pictures/([^"]+)"')


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
        write_report(parts, facts, reports)
    log_report(district, metrics, [REPORTS.of(district) / "report.html"])
    print_results(district, metrics, synthetic=facts["synthetic"])
    for line in left_out_lines(params):
        print(line)


def engine_versions(params: dict[str, Any], district: str) -> dict[str, str]:
    """The version of each engine of the district, by name, and that of the deployment, as `tracking`."""
    cards = {file.parent.name: read_card(file) for file in ENGINES.of(district).glob(f"*/{CARD}")}
    versions = {name: card.version for name, card in cards.items()}
    tracking = params["tracking"]
    deployed = [tracking["detector"], tracking["attributes"], f"reid-{params['reid']['backbone']}"]
    if all(name in cards for name in deployed if name):
        folder = TRANSITS.of(district)
        transits = read_transits(folder)[1].version if folder.is_dir() else ""
        versions["tracking"] = version_of_deployment((cards[name] for name in deployed if name), transits)
    return versions


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


def district_facts(params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Facts on data, code and machine for the head of the report."""
    district, provenance = read_district(folder), Provenance.of(folder)
    written = datetime.now(UTC).astimezone(ZoneInfo(district.time_zone))
    origin = [
        f"Written {written:%Y-%m-%d %H:%M} ({district.time_zone})",
        f"configuration {params.get('experiment_name', '') or 'without a name'}",
        f"code {provenance.git_revision[:12] + ('-dirty' if provenance.git_revision.endswith('-dirty') else '')}",
        f"data {provenance.data_hash[:12] or 'without a hash'}",
        f"machine: {machine()}",
    ]
    return {
        "district": district.name,
        "source": district.source,
        "licence": district.licence,
        "origin": "; ".join(origin) + ".",
        "synthetic": params["district"].get("importer") == "demo",
    }


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


def write_report(parts: Sequence[Section], facts: dict[str, Any], reports: Path) -> None:
    """Write report.md with its pictures beside it, and report.html with its pictures inside."""
    (reports / "pictures").mkdir()
    for picture in (picture for part in parts for picture in part.pictures):
        shutil.copyfile(picture.file, reports / "pictures" / picture.name)
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "reporting" / "templates"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = templates.get_template("report.md.j2").render(sections=parts, **facts)
    text = re.sub(r"\n{3,}", "\n\n", text)
    (reports / "report.md").write_text(text, encoding="utf-8")
    reader = markdown.Markdown(extensions=["tables"])
    reader.preprocessors.deregister("html_block")  # names and sources are the data's: HTML in them is text
    reader.inlinePatterns.deregister("html")
    names = {picture.name for part in parts for picture in part.pictures}
    body = _PICTURE.sub(
        lambda match: f'src="{_embedded(reports / "pictures" / match[1])}"' if match[1] in names else match[0],
        reader.convert(text),
    )
    html = templates.get_template("report.html.j2").render(body=Markup(body), **facts)
    (reports / "report.html").write_text(html, encoding="utf-8")


def _embedded(picture: Path) -> str:
    kind = mimetypes.guess_type(picture.name)[0]
    return f"data:{kind};base64," + base64.b64encode(picture.read_bytes()).decode()


if __name__ == "__main__":
    run_stage(main)
