"""DVC stage `prepare`: renders or imports a district, adds labels from cases and checks the result: data/<district>."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import field_validator, model_validator

from districts.checks.district import check_district
from districts.counts import counts_of
from districts.data_report import REPORT, DataReport
from districts.demo.render import render_demo
from districts.demo.settings import DemoSettings
from districts.findings import Finding, fatal, require_sound, shown_first
from districts.importers.folder import import_folder
from districts.importers.intake import Intake
from districts.importers.market1501 import import_market1501
from districts.importers.pa100k import import_pa100k
from districts.importers.peta import import_peta
from districts.importing.times import carry_times
from districts.inputs import require_unchanged, require_watched, state_of
from districts.labels import add_labels
from domain.atomic import atomic_folder
from domain.errors import InputError
from domain.left_out import left_out_lines
from domain.names import Name
from domain.paths import DATA, users_file
from domain.settings import Settings, read_params
from domain.stage import run_stage

# Each function takes the district's name, and what takes the files of its source.
_PUBLISHED: dict[str, Callable[[str, Intake], None]] = {
    "market1501": import_market1501,
    "pa100k": import_pa100k,
    "peta": import_peta,
}
_NOT_LOOKED_AT = (
    "one person under two numbers in other pictures, and crops that show another person than their identity: pixels "
    "cannot tell. `dvc repro check_labels` looks at that with a re-ID engine, and writes label_report.html",
)
_IMPORTERS = {"folder": import_folder, **_PUBLISHED}


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
    """Write data/<name> and its data_report.html; of data with a fatal defect, write only the report.

    Raises:
        InputError: if the source is missing or changes meanwhile, the labels are unusable, or a check finds a fatal
            defect.
    """
    settings = PrepareSettings.from_params("district", argv)
    if not argv:
        require_watched("source", settings.source)
        require_watched("labels", settings.labels)
    target = DATA.of(settings.name)
    report, before = target / REPORT, state_of(settings.inputs)
    with atomic_folder(target) as folder:
        findings = _fill(settings, folder, target)
        content = _report(settings, findings, target, folder)
        if any(finding.is_fatal for finding in findings):
            content.write(target)
        require_sound(findings, report)
        require_unchanged(before, settings.inputs)
        content.write(folder)
    for line in (*shown_first(findings), *left_out_lines(read_params(argv))):
        print(line)
    print(f"{report}: {len(findings)} warnings")


def _fill(settings: PrepareSettings, folder: Path, target: Path) -> list[Finding]:
    """Write the district into `folder`, from where it moves to `target`, and check it."""
    intake = Intake(_source(settings, target), folder, target)
    if settings.demo is not None:
        render_demo(settings.name, settings.demo, folder)
    else:
        _IMPORTERS[settings.importer](settings.name, intake)
        carry_times(intake)
    findings = check_district(folder, is_published=settings.importer in _PUBLISHED)
    is_sound = not any(finding.is_fatal for finding in (*intake.findings, *findings))
    if settings.labels is not None and is_sound:
        labels = users_file(settings.labels)
        try:
            findings += add_labels(labels, intake)
        except InputError as error:
            findings.append(fatal(labels, error))
    return intake.of_user(findings)


def _source(settings: PrepareSettings, target: Path) -> Path:
    return users_file(settings.source) if settings.source is not None else target


def _report(settings: PrepareSettings, findings: Sequence[Finding], target: Path, folder: Path) -> DataReport:
    """The report of the data in `folder`, which move to `target` if they are sound."""
    source = _source(settings, target)
    about = f"Checked: {source}. Places are relative to it."
    if any(finding.is_fatal for finding in findings):
        is_earlier = (target / "district.yaml").exists()
        about += f" Refused: {'the data here are those of an earlier run' if is_earlier else 'there are no data here'}."
    return DataReport(settings.name, about, source, counts_of(folder), findings, _NOT_LOOKED_AT)


if __name__ == "__main__":
    run_stage(main)
