"""A sheet as a PDF, to print or to carry on a telephone."""

import json
from collections.abc import Mapping
from io import BytesIO

from fpdf import FPDF
from pylopdf_fonts_ko import sans_path

from serving.sheets.sheet import Sheet, Stop
from serving.sheets.texts import certainty, heading, span, validity

MANIFEST = "manifest.json"
_FONT = "NotoSansKR"
_MARGIN, _WIDTH = 14, 182  # mm
_PERSON_MM, _FRAME_MM = (34, 68), (120, 68)  # most width and height of the pictures of a stop
_SOFT = 90  # grey of small letters


class _Page(FPDF):
    """A4 pages with a line at the foot."""

    def __init__(self, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot
        self.add_font(_FONT, fname=sans_path())
        self.set_margin(_MARGIN)
        self.set_auto_page_break(auto=True, margin=18)

    def footer(self) -> None:
        """Number of the page, and until when the sheet may be used."""
        self.set_y(-14)
        self.set_font(_FONT, size=8)
        self.set_text_color(_SOFT)
        self.cell(w=_WIDTH, text=f"{self._foot} · {self.page_no()}/{{nb}}", align="C")

    def line_of(self, text: str, size: float, grey: int = 0) -> None:
        """A paragraph over the whole width."""
        self.set_font(_FONT, size=size)
        self.set_text_color(grey)
        self.multi_cell(w=_WIDTH, h=size * 0.5, text=text, new_x="LMARGIN", new_y="NEXT")


def write_pdf(sheet: Sheet, words: Mapping[str, str]) -> bytes:
    """The PDF of a sheet; its manifest is attached as `manifest.json`.

    Args:
        sheet: what it shows.
        words: words of the sheet, by key.
    """
    case = words["case"].format(number=sheet.case_id)
    page = _Page(f"{case} · {validity(sheet, words)}")
    page.set_title(case)
    page.set_creation_date(sheet.made)
    page.set_lang(sheet.language)
    page.add_page()
    page.line_of(heading(sheet, words), 18)
    page.line_of(validity(sheet, words), 9, _SOFT)
    if sheet.note:
        page.ln(2)
        page.line_of(sheet.note, 12)
    page.ln(3)
    page.image(BytesIO(sheet.map), w=_WIDTH)
    page.ln(2)
    page.line_of(words["covered"], 9, _SOFT)
    page.line_of(words["handle"], 9, _SOFT)
    for stop in sheet.stops:
        _add_stop(page, stop, sheet, words)
    page.ln(4)
    page.line_of(words["manifest"], 10)
    for listed in sheet.manifest:
        page.line_of(f"{listed.name}  {listed.sha256}", 7, _SOFT)
    manifest = {"case": sheet.case_id, "files": [listed.model_dump() for listed in sheet.manifest]}
    page.embed_file(bytes=json.dumps(manifest, indent=1).encode(), basename=MANIFEST)
    return bytes(page.output())


def _add_stop(page: _Page, stop: Stop, sheet: Sheet, words: Mapping[str, str]) -> None:
    """A stop keeps on one page."""
    height_mm = 22 + (_FRAME_MM[1] if stop.frame is not None else 8)
    if page.will_page_break(height_mm):
        page.add_page()
    page.ln(4)
    page.line_of(f"{stop.number}. {stop.camera}", 14)
    page.line_of(span(stop), 11)
    page.line_of(certainty(stop, sheet, words), 11, _SOFT)
    if stop.frame is None or stop.person is None:
        page.line_of(words["no_picture"], 9, _SOFT)
        return
    page.ln(1)
    top = page.get_y()
    for picture, left, (width, height) in (
        (stop.person, _MARGIN, _PERSON_MM),
        (stop.frame, _MARGIN + _PERSON_MM[0] + 6, _FRAME_MM),
    ):
        page.image(BytesIO(picture), x=left, y=top, w=width, h=height, keep_aspect_ratio=True)
    page.set_y(top + _FRAME_MM[1])
