"""Importer of data that already have our layout, see `districts.layout`."""

import os
import unicodedata
from pathlib import Path

from districts.findings import Finding
from districts.importers.intake import Intake
from domain.errors import InputError


def import_folder(_: str, intake: Intake) -> None:
    """Take over every file of the source but hidden ones; links are followed, and names composed (NFC).

    macOS writes Korean names in the other form, in which they do not equal those in tables.

    Raises:
        InputError: if the source is not a folder.
    """
    if not intake.source.is_dir():
        raise InputError(f"district.source must be a folder in the layout of districts/layout.py, got {intake.source}")
    intake.stands_for("", intake.source)
    _take_folder(intake.source, "", intake, (intake.source.resolve(),))


def _take_folder(folder: Path, inner: str, intake: Intake, above: tuple[Path, ...]) -> None:
    if not os.access(folder, os.R_OK | os.X_OK):
        intake.findings.append(Finding(True, str(folder), "must be readable for this user; it is not"))
        return
    for entry in sorted(folder.iterdir()):
        if intake.is_passed_over(entry):
            continue
        name = inner + unicodedata.normalize("NFC", entry.name)
        if not entry.is_dir():
            intake.take(entry, name)
        elif entry.resolve() in above:
            intake.findings.append(Finding(True, str(entry), "must not be a link to a folder in which it lies"))
        else:
            (intake.folder / name).mkdir(exist_ok=True)
            intake.stands_for(name, entry)
            _take_folder(entry, f"{name}/", intake, (*above, entry.resolve()))
