"""Output folders of the stages, relative to the working directory; `dvc.yaml` names the same folders.

Below each lies a folder for each district, so that districts stand side by side in one clone: `ENGINES.of("demo")`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.settings import name_in, read_params


@dataclass(frozen=True)
class OutputFolder:
    """A folder in which stages write, each district in a folder of its own."""

    name: str

    def of(self, district: str) -> Path:
        """The folder of one district, such as `engines/demo`."""
        return Path(self.name, district)


DATA = OutputFolder("data")  # see districts.layout
MODELS = OutputFolder("models")  # <model>/: weights and card.json, written by training
CHECKPOINTS = OutputFolder("checkpoints")  # <model>/: of a training that has not ended; not a DVC output
ENGINES = OutputFolder("engines")  # <model>/: model.onnx, *.plan, card.json, parity.json, by export
PREDICTIONS = OutputFolder("predictions")  # <model>/: *.npz and card.json of the engine, by export.predict
LABELS = OutputFolder("label_reports")  # label_report.html, .md, .json, by export.check_labels
TRANSITS = OutputFolder("transits")  # transits.npz, card.json, densities.png, by evaluation.fit_transits
METRICS = OutputFolder("metrics")  # <model>.json, by evaluation
PLOTS = OutputFolder("plots")  # <model>/*.png, by evaluation
TRACKS = OutputFolder("tracks")  # <camera>.txt (MOTChallenge), crops/, identities.csv, answers.json, by serving.track
REPORTS = OutputFolder("reports")  # report.md, report.html, by evaluation.report
COMPARISONS = OutputFolder("comparisons")  # <challenger>/: compare.html, compare.json; not a DVC output
CHAMPIONS = OutputFolder("champions")  # <model>/, registered.json: what is in use, by evaluation.promote
HISTORY = OutputFolder("history")  # <model>/<id>.npz: figures of each evaluation, for later ones; not a DVC output
PREVIOUS = "previous"  # folder of the re-ID engine in use before, beside the others in engines/ and champions/
BENTO = OutputFolder("bento")  # the built Bento, by serving.package
STORE = Path("store")  # embedded PostgreSQL and crops of all districts, filled by serving.track; not a DVC output
DVC = ".dvc"


def configured_district(argv: Sequence[str] = ()) -> str:
    """The district that `params.yaml` names after the overrides in `argv`.

    Raises:
        InputError: if it names none, or the name cannot be a folder's.
    """
    return name_in(read_params(argv), "district", "name")


def district_folder(argv: Sequence[str] = ()) -> Path:
    """`data/<district>` of the `configured_district`."""
    return DATA.of(configured_district(argv))


def project_folder(folder: Path) -> Path:
    """`folder`, or the project of a queued DVC experiment, which runs in a copy below `.dvc/tmp`."""
    parts = folder.resolve().parts
    return Path(*parts[: parts.index(DVC)]) if DVC in parts else folder.resolve()


def users_file(path: Path) -> Path:
    """A file or folder that a setting names, absolute: relative to the project, also in a queued experiment."""
    return project_folder(Path.cwd()) / path.expanduser()
