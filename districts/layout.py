"""Layout of a district's folder, `data/<district>/`, in the formats of existing data sets, with its readers.

district.yaml     name, time zone, cameras, attribute schema, source, licence
detection/        YOLO: images/{train,val,test}, labels/{train,val,test}, one class: person
attributes/       images/, {train,val,test}.csv: image, identity, camera, one column per group; empty cell: unknown
reid/             Market-1501: bounding_box_train, query, bounding_box_test; 0001_c1s1_000151_00.jpg; -1 junk,
                  0000 distractor; bounding_box_val (optional) holds identities for validation while training
videos/           <camera>.mp4, <camera>.txt (MOTChallenge ground truth), problems.yaml: people to find
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import available_timezones

import numpy as np
from jaxtyping import Int64
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from domain.attributes import UNKNOWN, AttributeSchema, Group
from domain.cameras import Camera
from domain.errors import InputError, place_of, shown
from domain.foreign_files import read_rows, read_yaml
from domain.names import InnerPath, Name, is_inner_path

Split = Literal["train", "val", "test"]
ReidPart = Literal["bounding_box_train", "bounding_box_val", "query", "bounding_box_test"]
_Model = TypeVar("_Model", bound=BaseModel)
JUNK_IDENTITY, DISTRACTOR_IDENTITY = -1, 0
_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_NUMBER = re.compile(r"[+-]?\d{1,9}")
_MARKET_NAME = re.compile(r"^(-1|\d{1,9})_c(\d{1,9})s(\d+)_(\d+)_(\d+)\.(?:jpg|jpeg|png)$")


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("time_zone", "a time zone must be an IANA name, such as Asia/Seoul")
    return name


class District(BaseModel):
    """Content of `district.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    time_zone: Annotated[str, AfterValidator(_known_time_zone)]  # IANA, such as Asia/Seoul
    attribute_schema: InnerPath  # a schema's name, or a .yaml file relative to the district's folder
    source: str
    licence: str
    cameras: tuple[Camera, ...]  # numbered from 1 in this order in re-ID file names; empty without videos


class Problem(BaseModel):
    """A search problem of the study's tracking test: find this person in the videos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    identity: int  # in the videos' ground truth; for evaluation only
    crops: tuple[InnerPath, ...] = Field(min_length=1)  # pictures of the person, relative to videos/
    attributes: dict[str, str]  # group -> label, known ones only
    camera: Name  # source of the crops, with `frame`: this visit is the query, so it is not scored
    frame: int


@dataclass(frozen=True)
class AttributeTable:
    """One split of the attribute set."""

    images: list[str]  # file names in attributes/images
    identities: Int64[np.ndarray, " image"]
    cameras: list[str]
    labels: Int64[np.ndarray, "image group"]  # index of the label in its group, -1 unknown


@dataclass(frozen=True)
class ReidTable:
    """One folder of the re-ID set."""

    images: list[str]  # file names
    identities: Int64[np.ndarray, " image"]  # -1 junk, 0 distractor
    cameras: Int64[np.ndarray, " image"]  # from 1


def read_district(folder: Path) -> District:
    """Read `district.yaml` in `folder`.

    Raises:
        InputError: if it is missing or invalid.
    """
    file = folder / "district.yaml"
    return _validate(District, _read_yaml(file), str(file))


def read_problems(folder: Path) -> list[Problem]:
    """Read `videos/problems.yaml` in `folder`; raises `InputError` as `read_district` does."""
    file = folder / "videos" / "problems.yaml"
    entries = _read_yaml(file).get("problems")
    if not isinstance(entries, list):
        raise InputError(f"{file} must have a list `problems`")
    return [_validate(Problem, entry, f"{file}, entry {number}") for number, entry in enumerate(entries, start=1)]


def read_attribute_split(folder: Path, split: Split, schema: AttributeSchema) -> AttributeTable:
    """Read a split of `attributes/` by the groups of `schema`; other columns are ignored.

    Raises:
        InputError: if a column is missing or a label is not in its group; names file and line.
    """
    file = folder / "attributes" / f"{split}.csv"
    if not file.is_file():
        raise InputError(f"{file} must exist")
    rows = read_rows(file, ("image", "identity", "camera", *schema.group_names))
    labelled = [read_attribute_row(file, line, row, schema) for line, row in enumerate(rows, start=2)]
    return AttributeTable(
        images=[row["image"] for row in rows],
        identities=np.array([identity for identity, _ in labelled], np.int64),
        cameras=[row["camera"] for row in rows],
        labels=np.array([labels for _, labels in labelled], np.int64).reshape(len(rows), len(schema.groups)),
    )


def read_attribute_row(file: Path, line: int, row: dict[str, str], schema: AttributeSchema) -> tuple[int, list[int]]:
    """Identity and label index per group (-1 unknown) of a row; an `InputError` names `file` and `line`."""
    if not is_inner_path(row["image"]):
        raise InputError(
            f"{file}, line {line}: image must be the path of a picture in images/, got {shown(row['image'])}"
        )
    labels = [_label_index(file, line, row, group) for group in schema.groups]
    return _integer(file, line, row["identity"]), labels


def read_reid_folder(folder: Path, part: ReidPart) -> ReidTable:
    """Read a folder of `reid/` by its Market-1501 file names, in name order.

    Raises:
        InputError: if it is missing or empty, or a name does not follow the format.
    """
    names, identities, cameras = [], [], []
    for picture in list_pictures(folder / "reid" / part):
        fields = _MARKET_NAME.match(picture.name)
        if not fields:
            raise InputError(f"{picture} must be named like 0001_c1s1_000151_00.jpg")
        names.append(picture.name)
        identities.append(int(fields[1]))
        cameras.append(int(fields[2]))
    return ReidTable(names, np.array(identities, np.int64), np.array(cameras, np.int64))


def list_pictures(folder: Path) -> list[Path]:
    """Pictures in `folder` in name order.

    Raises:
        InputError: if the folder is missing or holds no pictures.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} must be a folder of pictures; it is missing")
    pictures = find_pictures(folder)
    if not pictures:
        raise InputError(f"{folder} must hold pictures ({', '.join(sorted(_PICTURE_SUFFIXES))}), got none")
    return pictures


def find_pictures(folder: Path) -> list[Path]:
    """Pictures in the existing `folder` in name order; it may hold none."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURE_SUFFIXES)


def _label_index(file: Path, line: int, row: dict[str, str], group: Group) -> int:
    value = row[group.name]
    if value == UNKNOWN:
        return -1
    if value not in group.label_names:
        raise InputError(
            f"{file}, line {line}: {group.name} must be one of {', '.join(group.label_names)}, got {shown(value)}"
        )
    return group.label_names.index(value)


def _integer(file: Path, line: int, value: str) -> int:
    if not _NUMBER.fullmatch(value.strip()):
        raise InputError(f"{file}, line {line}: identity must be a whole number, got {shown(value)}")
    return int(value)


def _read_yaml(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise InputError(f"{file} must exist")
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise InputError(f"{file} must hold a mapping, got {type(content).__name__}")
    return content


def _validate(kind: type[_Model], content: Any, place: str) -> _Model:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = place_of(first["loc"])
        raise InputError(f"{place}: {key}: {first['msg']}, got {shown(first['input'])}") from error
