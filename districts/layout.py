"""Layout of a district's folder, `data/<district>/`, in the formats of existing data sets, with its readers.

district.yaml     name, time zone, cameras, attribute schema, source, licence
detection/        YOLO: images/{train,val,test}, labels/{train,val,test}, one class: person
attributes/       images/, {train,val,test}.csv: image, identity, camera, one column per group; empty cell: unknown
reid/             Market-1501: bounding_box_train, query, bounding_box_test; 0001_c1s1_000151_00.jpg; -1 junk,
                  0000 distractor; bounding_box_val (optional) holds identities for validation while training;
                  times.csv (optional): image, time_s: when each crop was taken, in seconds on one clock or ISO 8601
videos/           <camera>.mp4, <camera>.txt (MOTChallenge ground truth), problems.yaml: people to find; a camera may
                  have no video, or a video without ground truth
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import available_timezones

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from domain.attributes import UNKNOWN, AttributeSchema, Group
from domain.cameras import Camera
from domain.errors import InputError, place_of, shown
from domain.foreign_files import read_rows, read_yaml
from domain.names import InnerPath, Name, is_hidden, is_inner_path

Split = Literal["train", "val", "test"]
ReidPart = Literal["bounding_box_train", "bounding_box_val", "query", "bounding_box_test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
REID_PARTS: tuple[ReidPart, ...] = ("bounding_box_train", "bounding_box_val", "query", "bounding_box_test")
_Model = TypeVar("_Model", bound=BaseModel)
JUNK_IDENTITY, DISTRACTOR_IDENTITY = -1, 0
_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_MOST_NAMED = 8  # wrong values in one message
_LATEST_S = 1e11  # the year 5138 since 1970
_NUMBER = re.compile(r"([+-]?\d{1,9})(?:\.0+)?")  # a spreadsheet or pandas may write 12.0
# Market-1501 itself has files that end with .jpg.jpg.
_MARKET_NAME = re.compile(r"(-1|\d{1,9})_c(\d{1,9})s\d+_\d+_\d+(?:\.(?:jpg|jpeg|png|bmp|webp))+", re.IGNORECASE)


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("time_zone", "a time zone must be an IANA name, such as Asia/Seoul")
    return name


def _with_different_ids(cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
    ids = [camera.id for camera in cameras]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise PydanticCustomError(
            "camera_ids",
            "each camera must have an id of its own; {ids} is there repeatedly",
            {"ids": ", ".join(repeated)},
        )
    return cameras


class District(BaseModel):
    """Content of `district.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    time_zone: Annotated[str, AfterValidator(_known_time_zone)]  # IANA, such as Asia/Seoul
    attribute_schema: InnerPath  # a schema's name, or a .yaml file relative to the district's folder
    source: str
    licence: str
    # Numbered from 1 in this order in re-ID file names; empty without videos.
    cameras: Annotated[tuple[Camera, ...], AfterValidator(_with_different_ids)]


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
class AttributeRow:
    """One picture of the attribute set."""

    image: str
    identity: int
    camera: str
    labels: list[int]  # per group, as in `AttributeTable`


@dataclass(frozen=True)
class ReidTable:
    """One folder of the re-ID set."""

    images: list[str]  # file names
    identities: Int64[np.ndarray, " image"]  # -1 junk, 0 distractor
    cameras: Int64[np.ndarray, " image"]  # from 1
    times_s: Float64[np.ndarray, " image"]  # seconds on one clock; NaN: unknown

    def only(self, chosen: Bool[np.ndarray, " image"]) -> "ReidTable":
        """The chosen pictures."""
        images = [image for image, is_chosen in zip(self.images, chosen, strict=True) if is_chosen]
        return ReidTable(images, self.identities[chosen], self.cameras[chosen], self.times_s[chosen])


def read_district(folder: Path) -> District:
    """Read `district.yaml` in `folder`.

    Raises:
        InputError: if it is missing or invalid.
    """
    file = folder / "district.yaml"
    return _validate(District, _read_yaml(file), str(file))


def filmed_cameras(folder: Path, district: District) -> tuple[Camera, ...]:
    """The cameras of the district in `folder` that have a video."""
    return tuple(camera for camera in district.cameras if (folder / "videos" / f"{camera.id}.mp4").is_file())


def annotated_cameras(folder: Path, district: District) -> tuple[Camera, ...]:
    """The cameras of the district in `folder` whose videos have ground truth."""
    return tuple(camera for camera in district.cameras if (folder / "videos" / f"{camera.id}.txt").is_file())


def read_problems(folder: Path) -> list[Problem]:
    """Read `videos/problems.yaml` in `folder`; none without that file. Raises `InputError` as `read_district` does."""
    file = folder / "videos" / "problems.yaml"
    if not file.exists():
        return []
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
    rows = [read_attribute_row(file, line, row, schema) for line, row in read_attribute_rows(file, schema).items()]
    return AttributeTable(
        images=[row.image for row in rows],
        identities=np.array([row.identity for row in rows], np.int64),
        cameras=[row.camera for row in rows],
        labels=np.array([row.labels for row in rows], np.int64).reshape(len(rows), len(schema.groups)),
    )


def read_attribute_rows(file: Path, schema: AttributeSchema) -> dict[int, dict[str, str]]:
    """The rows of a split by line, with the columns that `schema` asks for; raises as `read_rows` does."""
    return read_rows(file, ("image", "identity", "camera", *schema.group_names))


def read_attribute_row(file: Path, line: int, row: dict[str, str], schema: AttributeSchema) -> AttributeRow:
    """The picture that `row` describes.

    Raises:
        InputError: names `file`, `line` and all that is wrong in the row.
    """
    image, wrong = row["image"].replace("\\", "/"), []  # of a table from Windows
    if not is_inner_path(image):
        wrong.append(f"image must be the path of a picture in images/, got {shown(row['image'])}")
    if (identity := whole_number(row["identity"])) is None:
        wrong.append(f"identity must be a whole number, got {shown(row['identity'])}")
    wrong += [
        f"{group.name} must be one of {', '.join(group.label_names)}, got {shown(row[group.name])}"
        for group in schema.groups
        if row[group.name] not in (UNKNOWN, *group.label_names)
    ]
    if wrong or identity is None:
        raise InputError(f"{file}, line {line}: {'; '.join(wrong)}")
    return AttributeRow(image, identity, row["camera"], [_label_index(row, group) for group in schema.groups])


def read_reid_folder(folder: Path, part: ReidPart) -> ReidTable:
    """Read a folder of `reid/` by its Market-1501 file names, in name order, with the times of `reid/times.csv`.

    Raises:
        InputError: if it is missing or empty, a name does not follow the format, or as `read_crop_times` does.
    """
    names, identities, cameras = [], [], []
    for picture in list_pictures(folder / "reid" / part):
        identity, camera = identity_and_camera(picture)
        names.append(picture.name)
        identities.append(identity)
        cameras.append(camera)
    times = read_crop_times(folder / "reid" / "times.csv")
    times_s = np.array([times.get(name, math.nan) for name in names], np.float64)
    return ReidTable(names, np.array(identities, np.int64), np.array(cameras, np.int64), times_s)


def read_crop_times(file: Path) -> dict[str, float]:
    """Time of each crop by its file name, in seconds on one clock; none without the file.

    Raises:
        InputError: if a column is missing, a time is none, or a crop has two; names file and line.
    """
    times: dict[str, float] = {}
    for line, row in read_rows(file, ("image", "time_s")).items() if file.exists() else ():
        time_s = seconds(row["time_s"])
        if time_s is None:
            got = shown(row["time_s"])
            raise InputError(
                f"{file}, line {line}: time_s must be seconds or a time like 2026-05-01T12:30:00, got {got}"
            )
        if times.setdefault(row["image"], time_s) != time_s:
            raise InputError(f"{file}, line {line}: each crop must have one time, got two for {shown(row['image'])}")
    return times


def seconds(text: str) -> float | None:
    """The seconds in a cell, or those since 1970 of an ISO 8601 time; without an offset it is UTC. None if it is none.

    Example:
        >>> [seconds(text) for text in ("12.5", "1970-01-01T09:01:00+09:00", "1970-01-01 00:01", "noon", "nan")]
        [12.5, 60.0, 60.0, None, None]
    """
    try:
        number = float(text)
    except ValueError:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return number if abs(number) < _LATEST_S else None


def identity_and_camera(picture: Path) -> tuple[int, int]:
    """Identity and camera of a re-ID picture, from its name.

    Raises:
        InputError: if the name does not follow the format of Market-1501.
    """
    fields = _MARKET_NAME.fullmatch(picture.name)
    if not fields:
        raise InputError(f"{picture} must be named like 0001_c1s1_000151_00.jpg")
    return int(fields[1]), int(fields[2])


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
    """Pictures in the existing `folder` in name order, without hidden files; it may hold none."""
    return sorted(path for path in folder.iterdir() if is_picture_name(path.name))


def is_picture_name(name: str) -> bool:
    """Whether a file called `name` is taken for a picture."""
    return Path(name).suffix.lower() in _PICTURE_SUFFIXES and not is_hidden(name)


def whole_number(text: str) -> int | None:
    """The whole number of at most nine digits in a cell; None if it is none.

    Example:
        >>> [whole_number(text) for text in ("0012", "12.0", "12.5", "")]
        [12, 12, None, None]
    """
    digits = _NUMBER.fullmatch(text)
    return int(digits[1]) if digits else None


def _label_index(row: dict[str, str], group: Group) -> int:
    value = row[group.name]
    return -1 if value == UNKNOWN else group.label_names.index(value)


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
        wrong = [f"{place_of(item['loc'])}: {item['msg']}, got {shown(item['input'])}" for item in error.errors()]
        more = f"; and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
        raise InputError(f"{place}: {'; '.join(wrong[:_MOST_NAMED])}{more}") from error
