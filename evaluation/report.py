"""DVC stage `report`: metrics/<district>/ and plots/<district>/ -> reports/<district>/report.md, report.html."""

import base64
import mimetypes
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import markdown
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from districts.layout import read_district
from domain.atomic import atomic_folder
from domain.paths import METRICS, PLOTS, REPORTS, configured_district, district_folder
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.experiments.results import read_all_metrics
from evaluation.reporting.sections import Section, sections
from evaluation.show_results import print_results

_PICTURE = re.compile(r'src="(pictures/[^"]+)"')


def main(argv: Sequence[str] = ()) -> None:
    """Write the report of all stages that have run, and print the main metrics."""
    params = read_params(argv)
    district = configured_district(argv)
    metrics = read_all_metrics(METRICS.of(district))
    parts = sections(metrics, PLOTS.of(district))
    facts = district_facts(params, district_folder(argv))
    with atomic_folder(REPORTS.of(district)) as reports:
        write_report(parts, facts, reports)
    print_results(district, metrics, synthetic=facts["synthetic"])


def district_facts(params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Facts on the data for the head of the report."""
    district = read_district(folder)
    return {
        "district": district.name,
        "source": district.source,
        "licence": district.licence,
        "experiment": params.get("experiment_name", ""),
        "synthetic": params["district"].get("importer") == "demo",
    }


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
    body = _PICTURE.sub(
        lambda match: f'src="{_embedded(reports / match[1])}"', markdown.markdown(text, extensions=["tables"])
    )
    html = templates.get_template("report.html.j2").render(body=Markup(body), **facts)
    (reports / "report.html").write_text(html, encoding="utf-8")


def _embedded(picture: Path) -> str:
    kind = mimetypes.guess_type(picture.name)[0]
    return f"data:{kind};base64," + base64.b64encode(picture.read_bytes()).decode()


if __name__ == "__main__":
    run_stage(main)
