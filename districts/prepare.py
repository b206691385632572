"""DVC stage `prepare`: renders or imports a district, adds labels from cases and checks the result: data/<district>."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import field_validator, model_validator

from districts.checks import check_district
from districts.demo.render import render_demo
from districts.demo.settings import DemoSettings
from districts.findings import require_sound, write_report
from districts.importers.links import link_or_copy
from districts.importers.market1501 import import_market1501
from districts.importers.pa100k import import_pa100k
from districts.importers.peta import import_peta
from districts.inputs import require_unchanged, require_watched, state_of
from districts.labels import add_labels
from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.names import Name
from domain.paths import DATA, users_file
from domain.settings import Settings
from domain.stage import run_stage


def take_over(_: str, source: Path, folder: Path) -> None:
    """Hard-link every file of `source` into `folder`; copy where the file system has no hard links.

    Raises:
        InputError: if `source` is not a folder.
    """
    if not source.is_dir():
        raise InputError(f"district.source must be a folder in the layout of districts/layout.py, got {source}")
    shutil.copytree(source, folder, copy_function=link_or_copy, dirs_exist_ok=True)


# Each function takes the district's name, the source folder and the folder to fill.
_IMPORTERS: dict[str, Callable[[str, Path, Path], None]] = {
    "folder": take_over,
    "market1501": import_market1501,
    "pa100k": import_pa100k,
    "peta": import_peta,
}


class PrepareSettings(Settings):
    """Section `district`."""

    name: Name
    importer: str  # demo, or a key of _IMPORTERS
    source: Path | None = None
    labels: Path | None = None
    demo: DemoSettings | None = None

    @field_validator("importer")
    @classmethod
    def _importer_exists(cls, importer: str) -> str:
        if importer not in ("demo", *_IMPORTERS):
            raise ValueError(f"importer must be one of demo, {', '.join(_IMPORTERS)}")
        return importer

    @model_validator(mode="after")
    def _importer_has_its_settings(self) -> "PrepareSettings":
        if self.importer != "demo" and self.source is None:
            raise ValueError(f"the importer {self.importer} needs `source`, the folder of the existing data")
        if self.importer == "demo" and self.demo is None:
            raise ValueError("the importer demo needs the section `demo`")
        if self.importer != "demo" and self.demo is not None:
            raise ValueError(f"the section `demo` must be null with the importer {self.importer}")
        return self

    @property
    def inputs(self) -> list[Path]:
        """The user's folders that the district is made of."""
        return [users_file(path) for path in (self.source, self.labels) if path is not None]


def main(argv: Sequence[str] = ()) -> None:
    """Write data/<name> and its data_report.md; data with a fatal defect is not written.

    Raises:
        InputError: if the source is missing or changes meanwhile, the labels are unusable, or a check finds a fatal
            defect.
    """
    settings = PrepareSettings.from_params("district", argv)
    if not argv:
        require_watched("source", settings.source)
        require_watched("labels", settings.labels)
    target = DATA / settings.name
    before = state_of(settings.inputs)
    with atomic_folder(target) as folder:
        if settings.demo is not None:
            render_demo(settings.name, settings.demo, folder)
        elif settings.source is not None:
            _IMPORTERS[settings.importer](settings.name, users_file(settings.source), folder)
        labelled = add_labels(users_file(settings.labels), folder) if settings.labels is not None else []
        findings = [*check_district(folder), *labelled]
        report = write_report(folder, findings)
        require_sound(findings)
        require_unchanged(before, settings.inputs)
    print(f"{target / report.name}: {len(findings)} warnings")


if __name__ == "__main__":
    run_stage(main)
