"""The data of a run as MLflow shows it: a district's folder with its hash, its counts and where it comes from."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from mlflow.data import sources
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from districts.layout import is_picture_name, read_district

Use = Literal["training", "evaluation", "report"]
_MAX_DIGEST = 36  # MLflow's limit
_LINK = re.compile(r"https?://[^\s,;)>\]]+")
_IDENTITY = re.compile(r"(\d+)_")  # begins the name of a re-ID crop; junk has a minus sign
_VIDEO = ".mp4"


class DistrictData(MetaDataset):
    """The data of a district.

    Args:
        district: its folder, such as `data/demo`.
        kind: its part in the folder of this name, such as `reid`; empty for all parts.
        data_hash: of the district's data; empty if it is not known.
        use: of the data; MLflow shows one use of a data set in a run, so data to evaluate on has a name of its own.
    """

    def __init__(self, district: Path, kind: str, data_hash: str, use: Use) -> None:
        folder = district / kind
        self._profile = counts(folder) | _origin(district)
        link = _LINK.search(str(self._profile.get("source", "")))
        source = HTTPDatasetSource(link[0]) if link else sources.LocalArtifactDatasetSource(str(folder))  # type: ignore[attr-defined]  # made at import
        name = "/".join(filter(None, (district.name, kind))) + (" test" if use == "evaluation" else "")
        # MLflow keeps the first counts of a name and a digest, and would make up a digest of the name alone.
        unknown = f"unknown-{hashlib.sha256(json.dumps(self._profile).encode()).hexdigest()[:8]}"
        super().__init__(source, name, data_hash[:_MAX_DIGEST] or unknown)
        self.use = use

    @property
    def profile(self) -> dict[str, Any]:
        """Pictures of each part and people of re-ID, source and licence."""
        return self._profile

    def to_dict(self) -> dict[str, str]:
        """Fields of MLflow's entity."""
        return super().to_dict() | {"profile": json.dumps(self._profile, ensure_ascii=False)}


def counts(folder: Path) -> dict[str, int]:
    """Numbers of pictures, videos, rows of tables and, in a re-ID folder, of people, by place in `folder`."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    pictures = Counter(str(file.parent.relative_to(folder)) for file in files if is_picture_name(file.name))
    found = {f"{place} pictures" if place != "." else "pictures": number for place, number in pictures.items()}
    for table in (file for file in files if file.suffix == ".csv"):
        found[f"{table.stem} rows"] = max(0, len(table.read_text(encoding="utf-8").splitlines()) - 1)
    if videos := sum(file.suffix == _VIDEO for file in files):
        found["videos"] = videos
    if folder.name == "reid":
        begun = (_IDENTITY.match(file.name) for file in files if is_picture_name(file.name))
        found["people"] = len({match[1] for match in begun if match and int(match[1])})
    return dict(sorted(found.items()))


def _origin(district_folder: Path) -> dict[str, str]:
    if not (district_folder / "district.yaml").is_file():
        return {}
    district = read_district(district_folder)
    return {"source": district.source, "licence": district.licence}
