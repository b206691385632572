"""Reports on a district's data: what they hold and what is wrong with them, as HTML, Markdown and JSON."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from districts.checks.readings import with_stderr
from districts.counts import Records
from districts.findings import Finding, Shown
from domain.atomic import atomic_file
from domain.errors import InputError
from domain.images import read_image, require_picture

REPORT = "data_report.html"
_MOST_PICTURES, _MOST_THUMBNAILS = 12, 600  # of a finding, and of a report
_MOST_RECORDS = 200  # of one table in HTML; the JSON has all
_THUMBNAIL_PX, _QUALITY = 128, 80
_BOX = (229, 62, 62)
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=lambda name: name is not None and ".html" in name,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class DataReport:
    """Content of the report; places and pictures are named by the user's files."""

    name: str  # of the district
    about: str  # a sentence on the data that were checked
    root: Path  # folder that `about` names; places below are relative to it
    counts: dict[str, Records]
    findings: Sequence[Finding]
    not_looked_at: Sequence[str] = ()
    title: str = "Data report"
    file: str = REPORT

    def write(self, folder: Path) -> None:
        """Write `file`, and the same as `.md` and `.json`, into `folder`, for this user alone."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        texts = {".html": self._html(), ".md": self._markdown(), ".json": self._json()}
        for suffix, text in texts.items():
            with atomic_file((folder / self.file).with_suffix(suffix)) as aside:
                aside.write_text(text, encoding="utf-8")
                aside.chmod(0o600)  # people are in it

    def _json(self) -> str:
        content = {
            "district": self.name,
            "source": str(self.root),
            "about": self.about,
            "num_fatal": len(self._chosen(is_fatal=True)),
            "num_warnings": len(self._chosen(is_fatal=False)),
            "counts": self.counts,
            "findings": [_record(finding) for finding in self.findings],
            "not_looked_at": self.not_looked_at,
        }
        return json.dumps(content, ensure_ascii=False, indent=1)

    def _html(self) -> str:
        thumbnails = _Thumbnails()
        sections = [
            (title, [(self._short(finding.place), finding.message, thumbnails.of(finding)) for finding in chosen])
            for title, chosen in self._sections()
        ]
        return _TEMPLATES.get_template("data_report.html.j2").render(
            **self._facts(),
            sections=sections,
            counts={title: records[:_MOST_RECORDS] for title, records in self.counts.items()},
            left_out={title: max(len(records) - _MOST_RECORDS, 0) for title, records in self.counts.items()},
            most_thumbnails=_MOST_THUMBNAILS if thumbnails.are_too_many else 0,
        )

    def _markdown(self) -> str:
        sections = [
            (title, [(_cell(self._short(finding.place)), _cell(finding.message)) for finding in chosen])
            for title, chosen in self._sections()
        ]
        return _TEMPLATES.get_template("data_report.md.j2").render(**self._facts(), sections=sections)

    def _facts(self) -> dict[str, Any]:
        numbers = {"num_fatal": len(self._chosen(is_fatal=True)), "num_warnings": len(self._chosen(is_fatal=False))}
        texts = {"title": self.title, "name": self.name, "about": self.about, "not_looked_at": self.not_looked_at}
        return {**texts, **numbers, "json_name": Path(self.file).with_suffix(".json").name}

    def _sections(self) -> list[tuple[str, list[Finding]]]:
        sections = [("Fatal", self._chosen(is_fatal=True)), ("Warnings", self._chosen(is_fatal=False))]
        return [(title, chosen) for title, chosen in sections if chosen]

    def _chosen(self, *, is_fatal: bool) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_fatal == is_fatal]

    def _short(self, place: str) -> str:
        return place.removeprefix(f"{self.root}/")


class _Thumbnails:
    """Makes the thumbnails of findings until there are too many for one page."""

    def __init__(self) -> None:
        self.are_too_many = False
        self._made: dict[Shown, str | None] = {}

    def of(self, finding: Finding) -> list[tuple[str, str]]:
        """Address of the picture in itself, and the name of the user's file, of the first pictures of `finding`."""
        pairs = []
        for picture in finding.pictures[:_MOST_PICTURES]:
            if picture not in self._made and len(self._made) >= _MOST_THUMBNAILS:
                self.are_too_many = True
                break
            if picture not in self._made:
                self._made[picture], _ = with_stderr(partial(_thumbnail, picture))
            if address := self._made[picture]:
                pairs.append((address, picture.name or str(picture.file)))
        return pairs


def _thumbnail(picture: Shown) -> str | None:
    """A small JPEG of the picture with its box as a `data:` address; None if it cannot be read."""
    try:
        require_picture(picture.file)
        image = read_image(picture.file)
    except InputError:
        return None
    height, width = image.shape[:2]
    scale = _THUMBNAIL_PX / max(height, width)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=method)
    if picture.box is not None:
        x, y, box_width, box_height = picture.box
        corners = np.array([x - box_width / 2, y - box_height / 2, x + box_width / 2, y + box_height / 2])
        left, top, right, bottom = (corners * [*small.shape[1::-1], *small.shape[1::-1]]).round().astype(int).tolist()
        cv2.rectangle(small, (left, top), (max(left, right - 1), max(top, bottom - 1)), _BOX, 2)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _record(finding: Finding) -> dict[str, Any]:
    pictures = [{"file": shown.name or str(shown.file), "box": shown.box} for shown in finding.pictures]
    return {
        "is_fatal": finding.is_fatal,
        "place": finding.place,
        "message": finding.message,
        "pictures": pictures,
    }


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
