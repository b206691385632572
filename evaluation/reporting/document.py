"""Sections as a document: Markdown with pictures beside it, and HTML with pictures inside."""

import base64
import mimetypes
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import markdown
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from districts.layout import read_district
from domain.cores import machine
from evaluation.experiments.provenance import Provenance
from evaluation.reporting.parts import Section

_PICTURE = re.compile(r'src="pictures/([^"]+)"')


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


def write_report(parts: Sequence[Section], facts: dict[str, Any], reports: Path, name: str) -> None:
    """Write `<name>.md` with its pictures beside it, and `<name>.html` with its pictures inside.

    Args:
        parts: of the text.
        facts: title, and what else the template `<name>.md.j2` shows.
        reports: folder.
        name: of the template and the files.
    """
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
    text = templates.get_template(f"{name}.md.j2").render(sections=parts, **facts)
    text = re.sub(r"\n{3,}", "\n\n", text)
    (reports / f"{name}.md").write_text(text, encoding="utf-8")
    reader = markdown.Markdown(extensions=["tables"])
    reader.preprocessors.deregister("html_block")  # names and sources are the data's: HTML in them is text
    reader.inlinePatterns.deregister("html")
    names = {picture.name for part in parts for picture in part.pictures}
    body = _PICTURE.sub(
        lambda match: f'src="{_embedded(reports / "pictures" / match[1])}"' if match[1] in names else match[0],
        reader.convert(text),
    )
    html = templates.get_template("report.html.j2").render(body=Markup(body), **facts)
    (reports / f"{name}.html").write_text(html, encoding="utf-8")


def _embedded(picture: Path) -> str:
    kind = mimetypes.guess_type(picture.name)[0]
    return f"data:{kind};base64," + base64.b64encode(picture.read_bytes()).decode()
