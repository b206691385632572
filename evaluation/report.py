"""DVC stage `report`: metrics/*.json and plots/ -> reports/report.md, reports/report.html."""

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
from domain.paths import PLOTS, REPORTS
from domain.settings import read_params
from domain.stage import run_stage
from evaluation.report_sections import Section, glance, sections
from evaluation.results import read_metrics
from evaluation.settings import district_folder

_MODELS = ("detector", "attributes", "reid-osnet", "reid-resnet50", "tracking")
_PICTURE = re.compile(r'src="(pictures/[^"]+)"')


def main(argv: Sequence[str] = ()) -> None:
    """Write the report of whatever has been measured, and print its head."""
    params = read_params(argv)
    metrics = {name: read_metrics(name) for name in _MODELS}
    parts = sections(metrics, PLOTS)
    facts = district_facts(params, district_folder(argv))
    with atomic_folder(REPORTS) as reports:
        write_report(parts, facts, reports)
    print(terminal_table(glance(metrics)))
    if facts["synthetic"]:
        print("The district is synthetic: these figures show that the pipeline works, not how it does on real streets.")
    print(
        f"Report: {REPORTS / 'report.html'}   Runs: mlflow ui --backend-store-uri sqlite:///mlflow.db   "
        "Service: make serve"
    )


def district_facts(params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the head of the report says of the data."""
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
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = templates.get_template("report.md.j2").render(sections=parts, **facts)
    text = re.sub(r"\n{3,}", "\n\n", text)
    (reports / "report.md").write_text(text, encoding="utf-8")
    body = _PICTURE.sub(
        lambda found: f'src="{_embedded(reports / found[1])}"', markdown.markdown(text, extensions=["tables"])
    )
    html = templates.get_template("report.html.j2").render(body=Markup(body), **facts)
    (reports / "report.html").write_text(html, encoding="utf-8")


def terminal_table(rows: Sequence[tuple[str, str, str]]) -> str:
    """Aligned columns: name, the study's figure, ours, in percent.

    Example:
        >>> print(terminal_table([("AP50", "90.1", "88.0")]))
        percent   study    ours
        AP50       90.1    88.0
    """
    width = max(len(name) for name, _, _ in [*rows, ("percent", "", "")])
    lines = [f"{'percent':{width}} {'study':>7} {'ours':>7}"]
    lines += [f"{name:{width}} {study:>7} {ours:>7}" for name, study, ours in rows]
    return "\n".join(lines)


def _embedded(picture: Path) -> str:
    kind = mimetypes.guess_type(picture.name)[0]
    return f"data:{kind};base64," + base64.b64encode(picture.read_bytes()).decode()


if __name__ == "__main__":
    run_stage(main)
