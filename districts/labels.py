"""Adds sightings judged in cases, exported by `serving.labels`, to the re-ID training set.

LABELS/bounding_box_train/*.jpg    one crop per judged sighting
LABELS/labels.csv                  one line per crop, see `LabelledCrop`
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from districts.box_files import read_tracks
from districts.checks.pictures import PictureChecks
from districts.checks.readings import Readings
from districts.findings import Finding
from districts.importers.intake import Intake
from districts.layout import (
    District,
    ReidPart,
    list_pictures,
    read_district,
    read_reid_folder,
)
from domain.errors import InputError, place_of, shown
from domain.foreign_files import read_rows
from domain.names import Name
from domain.video_probe import seconds_until

_TRAIN: ReidPart = "bounding_box_train"
_EVALUATION: tuple[ReidPart, ...] = ("bounding_box_val", "query", "bounding_box_test")


class LabelledCrop(BaseModel):
    """A line of `labels.csv`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Name  # in bounding_box_train
    identity: int = Field(ge=0)  # one per case, from 1; 0: rejected
    case: int
    verdict: Literal["confirmed", "rejected"]
    district: Name
    camera_id: Name
    tracklet_id: int
    first_seen: AwareDatetime
    last_seen: AwareDatetime

    @property
    def sighting(self) -> tuple[str, int]:
        """District and tracklet of the crop; cases that judge the same sighting have one crop each."""
        return self.district, self.tracklet_id


_Person = list[LabelledCrop]  # confirmed crops of one case, or of several joined cases


def add_labels(labels: Path, intake: Intake) -> list[Finding]:
    """Take the confirmed crops in `labels` into `reid/bounding_box_train` of the district that `intake` fills.

    Each case is one person; cases that confirm the same sighting are joined. New identities follow the largest one in
    `reid/`. Cameras keep their numbers of `district.yaml`; cameras of other districts get the numbers after those.

    The crops are for training only. A whole case is left out if one of its crops is a picture of validation, query or
    gallery, or was seen in one of the district's videos during its ground truth, on which tracking is tested.
    Also left out: crops whose picture is no longer in `labels`; people with fewer than two crops (no positive pair);
    and rejected sightings (their identity is unknown, and two of them may show the same person).

    Returns:
        Warnings: what was left out and why, joined cases, people seen by a single camera.

    Raises:
        InputError: if `labels` is not an export of labels, a line of its table is invalid, the district has no re-ID
            training set, or no person in `labels` can be trained on.
    """
    table, crops, folder = labels / "labels.csv", labels / _TRAIN, intake.folder
    district, rows = read_district(folder), _read_table(table)
    confirmed = [row for row in rows if row.verdict == "confirmed"]
    removed = {row.file for row in confirmed if not (crops / row.file).is_file()}
    warnings = [f"the picture {file} is missing; left out" for file in sorted(removed)]
    if rejected := len(rows) - len(confirmed):
        warnings.append(f"{rejected} rejected crops show unknown people; left out")
    evaluated = _Evaluated.of_district(folder, district)
    chosen = []
    for person in _people(confirmed):
        present = [row for row in person if row.file not in removed]
        reason = evaluated.reason_against(person, [crops / row.file for row in present])
        if reason is None and len({row.sighting for row in present}) < 2:
            reason = "a person needs at least two confirmed crops for a positive pair"
        if reason is None:
            chosen.append(present)
            warnings.extend(_remarks(present))
        else:
            warnings.append(f"{_name(person)}: {reason}; left out")
    if not chosen:
        raise InputError(
            f"{labels} must hold a person with two confirmed crops who is in no evaluation set; export more with "
            "`python -m serving.labels` or set district.labels=null; got:\n" + "\n".join(warnings or ["no crops"])
        )
    checks = PictureChecks(crops, Readings(), is_evaluated=False)
    for person in chosen:
        for row in person:
            checks.look_at(crops / row.file)
    _take_crops(chosen, crops, intake, district)
    return [Finding(False, str(table), message) for message in warnings] + list(checks.summary())


@dataclass(frozen=True)
class _Evaluated:
    """The evaluation sets of a district, by which their people are recognised."""

    district: str
    pictures: set[bytes]  # digests of the pictures in validation, query and gallery
    windows: dict[str, tuple[datetime, datetime]]  # camera -> first and last time of its video's ground truth

    @classmethod
    def of_district(cls, folder: Path, district: District) -> "_Evaluated":
        parts = [folder / "reid" / part for part in _EVALUATION]
        pictures = {_digest(file) for part in parts if part.is_dir() for file in list_pictures(part)}
        windows = {}
        for camera in district.cameras:
            truth, start = folder / "videos" / f"{camera.id}.txt", camera.start
            if truth.is_file() and start is not None and start.tzinfo is not None:  # otherwise the checks stop the run
                num_frames = int(read_tracks(truth).frames.max(initial=0))
                shown_s = _seconds_until(truth.with_suffix(".mp4"), num_frames)  # its rate may be another, and vary
                windows[camera.id] = start, start + timedelta(seconds=max(shown_s, num_frames / camera.fps))
        return cls(district.name, pictures, windows)

    def reason_against(self, person: _Person, pictures: Sequence[Path]) -> str | None:
        """Reason not to train on `person`, whose crops are `pictures`, or None."""
        if any(_digest(file) in self.pictures for file in pictures):
            return "a crop is also a picture of validation, query or gallery"
        if any(self._is_filmed(row) for row in person):
            return "the person was seen in a video on which tracking is tested"
        return None

    def _is_filmed(self, row: LabelledCrop) -> bool:
        if row.district != self.district or row.camera_id not in self.windows:
            return False
        start, end = self.windows[row.camera_id]
        return row.first_seen <= end and row.last_seen >= start


def _seconds_until(video: Path, frame: int) -> float:
    """Time of a frame since the first; 0 if the video is missing or unreadable, which the checks say."""
    try:
        return (seconds_until(video, frame) or 0.0) if frame else 0.0
    except InputError:
        return 0.0


def _digest(file: Path) -> bytes:
    return sha256(file.read_bytes()).digest()


def _read_table(file: Path) -> list[LabelledCrop]:
    if not file.is_file():
        raise InputError(f"district.labels must be a folder that `python -m serving.labels` wrote; {file} is missing")
    rows = read_rows(file, LabelledCrop.model_fields)
    return [_read_row(file, line, row) for line, row in rows.items()]


def _read_row(file: Path, line: int, row: dict[str, str]) -> LabelledCrop:
    try:
        return LabelledCrop.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        column = place_of(first["loc"])
        raise InputError(
            f"{file}, line {line}: {column}: {first['msg']}, got {shown(first['input'])}; export the labels again with "
            "`python -m serving.labels`"
        ) from error


def _people(confirmed: Sequence[LabelledCrop]) -> list[_Person]:
    """Confirmed crops grouped by person; cases that share a sighting are joined."""
    people: list[_Person] = []
    for identity in sorted({row.identity for row in confirmed}):
        person = [row for row in confirmed if row.identity == identity]
        sightings = {row.sighting for row in person}
        same = [other for other in people if any(row.sighting in sightings for row in other)]
        people = [other for other in people if other not in same]
        people.append([row for case in (*same, person) for row in case])
    return people


def _remarks(person: _Person) -> Iterator[str]:
    """Remarks on a person who is trained on."""
    if len(_cases(person)) > 1:
        yield f"{_name(person)}: joined into one person, for they confirm the same sighting"
    if len({(row.district, row.camera_id) for row in person}) == 1:
        yield f"{_name(person)}: only one camera saw the person, who teaches nothing across cameras"


def _cases(person: _Person) -> list[int]:
    return sorted({row.case for row in person})


def _name(person: _Person) -> str:
    cases = _cases(person)
    return f"case{'s' if len(cases) > 1 else ''} {', '.join(map(str, cases))}"


def _take_crops(people: Sequence[_Person], crops: Path, intake: Intake, district: District) -> None:
    folder = intake.folder
    training = read_reid_folder(folder, _TRAIN)
    others = [read_reid_folder(folder, part) for part in _EVALUATION if (folder / "reid" / part).is_dir()]
    last = max(0, *(int(table.identities.max()) for table in (training, *others)))
    cameras = {(district.name, camera.id): number for number, camera in enumerate(district.cameras, start=1)}
    next_camera = max(len(cameras), int(training.cameras.max())) + 1
    for identity, person in enumerate(people, start=last + 1):
        for number, row in enumerate({row.sighting: row for row in person}.values()):
            key = row.district, row.camera_id
            if key not in cameras:
                cameras[key], next_camera = next_camera, next_camera + 1
            name = f"{identity:04d}_c{cameras[key]}s1_{number:06d}_00.jpg"
            intake.take(crops / row.file, f"reid/{_TRAIN}/{name}")
