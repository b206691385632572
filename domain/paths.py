"""Output folders of the stages, relative to the working directory; `dvc.yaml` names the same folders."""

from collections.abc import Sequence
from pathlib import Path

from domain.settings import name_in, read_params

DATA = Path("data")  # data/<district>: see districts.layout
MODELS = Path("models")  # models/<model>: weights and card.json, written by training
ENGINES = Path("engines")  # engines/<model>: model.onnx, *.plan, card.json, parity.json, by export
PREDICTIONS = Path("predictions")  # predictions/<model>: *.npz, by export.predict
METRICS = Path("metrics")  # metrics/<model>.json, by evaluation
PLOTS = Path("plots")  # plots/<model>/*.png, by evaluation
TRACKS = Path("tracks")  # <camera>.txt (MOTChallenge), crops/, identities.csv, answers.json, by serving.track
REPORTS = Path("reports")  # report.md, report.html, by evaluation.report
BENTO = Path("bento")  # the built Bento, by serving.package
STORE = Path("store")  # embedded PostgreSQL and crops, filled by serving.track; not a DVC output
DVC = ".dvc"


def district_folder(argv: Sequence[str] = ()) -> Path:
    """`data/<district>` of the district that `params.yaml` names after the overrides in `argv`.

    Raises:
        InputError: if it names none, or the name cannot be a folder's.
    """
    return DATA / name_in(read_params(argv), "district", "name")


def project_folder(folder: Path) -> Path:
    """`folder`, or the project of a queued DVC experiment, which runs in a copy below `.dvc/tmp`."""
    parts = folder.resolve().parts
    return Path(*parts[: parts.index(DVC)]) if DVC in parts else folder.resolve()


def users_file(path: Path) -> Path:
    """A file or folder that a setting names, absolute: relative to the project, also in a queued experiment."""
    return project_folder(Path.cwd()) / path.expanduser()
