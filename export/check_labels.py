"""DVC stage `check_labels`: a re-ID engine over all crops -> label_reports/<district>, labels that looks contradict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from districts.counts import Records
from districts.data_report import DataReport
from districts.findings import Finding, Shown, gathered, listed, shown_first
from districts.layout import (
    DISTRACTOR_IDENTITY,
    REID_PARTS,
    SPLITS,
    read_attribute_split,
    read_district,
    read_reid_folder,
)
from domain.atomic import atomic_folder
from domain.errors import ArtifactError, InputError
from domain.paths import DATA, ENGINES, LABELS, configured_district, users_file
from domain.schemas import read_schema
from domain.settings import Settings, name_in, read_params
from domain.stage import run_stage
from evaluation.label_errors import (
    Comparison,
    Division,
    Pair,
    compare,
    divided_identities,
    near_copies,
    nearest_of,
    possible_pairs,
    suspected_crops,
    whitened,
)
from export.engines import load
from export.engines.engine import Engine
from export.pictures import resized_batches, stacked
from export.settings import ExportSettings

REPORT = "label_report.html"
_SHOWN_CROPS = 6  # of an identity
_TITLE = "Label report"


class CheckLabelsSettings(Settings):
    """Section `check_labels`."""

    engine: Path | None


@dataclass(frozen=True)
class CropSet:
    """Crops of people who are named, of the re-ID or the attribute set."""

    name: str
    files: list[Path]
    parts: Sequence[str]  # split or re-ID part of each crop
    identities: Int64[np.ndarray, " crop"]
    cameras: Int64[np.ndarray, " crop"]
    num_unnamed: int  # crops left out: junk, distractors and unknown people

    def __len__(self) -> int:
        return len(self.files)


def main(argv: Sequence[str] = ()) -> None:
    """Write label_reports/<district>.

    Raises:
        ArtifactError: if the engine is missing, or does not run here.
        InputError: if it embeds no people, or the district has no crops of two people.
    """
    settings, export = CheckLabelsSettings.from_params("check_labels", argv), ExportSettings.from_params("export", argv)
    district = configured_district(argv)
    backbone = name_in(read_params(argv), "reid", "backbone")
    place = ENGINES.of(district) / f"reid-{backbone}" if settings.engine is None else users_file(settings.engine)
    if not place.is_dir():
        raise ArtifactError(
            f"{place} must be a re-ID engine; train and export it, or set check_labels.engine to another"
        )
    engine = load(place, threads=export.threads)
    if engine.card.task != "reid":
        raise InputError(f"check_labels.engine must be a re-ID engine, got {place} for the task {engine.card.task}")
    sets = [crops for crops in read_crop_sets(DATA.of(district)) if len(np.unique(crops.identities)) > 1]
    if not sets:
        raise InputError(f"{DATA.of(district)} must have crops of two people in reid/ or attributes/ to check labels")
    embedded = _embed(engine, sets, export.predict_batch)
    records, findings = [], list[Finding]()
    for crops in sets:
        embeddings = np.stack([embedded[_key(file)] for file in crops.files])
        record, found = examine(crops, embeddings)
        records.append(record)
        findings += found
    report = _report(district, place, records, findings)
    with atomic_folder(LABELS.of(district)) as folder:
        report.write(folder)
    for line in shown_first(findings):
        print(line)
    print(f"{LABELS.of(district) / REPORT}: {len(findings)} warnings")


def read_crop_sets(folder: Path) -> list[CropSet]:
    """Crops of people in `reid/`, and those in `attributes/` that are not the same files, of the parts that exist."""
    sets = [_read_reid(folder)] if (folder / "reid").is_dir() else []
    known = {_key(file) for crops in sets for file in crops.files}
    if (folder / "attributes").is_dir():
        sets.append(_read_attributes(folder, known))
    return sets


def _read_reid(folder: Path) -> CropSet:
    parts = [part for part in REID_PARTS if (folder / "reid" / part).is_dir()]
    tables = [read_reid_folder(folder, part) for part in parts]
    files = [folder / "reid" / part / name for part, table in zip(parts, tables, strict=True) for name in table.images]
    of_part = [part for part, table in zip(parts, tables, strict=True) for _ in table.images]
    identities = np.concatenate([table.identities for table in tables])
    return _named("re-ID", files, of_part, identities, np.concatenate([table.cameras for table in tables]))


def _read_attributes(folder: Path, known: set[tuple[int, int]]) -> CropSet:
    """Crops of the attribute set whose files are not in `known`."""
    schema_name = read_district(folder).attribute_schema
    schema_file = folder / schema_name
    schema = read_schema(schema_file if schema_file.is_file() else schema_name)
    files, parts, identities, cameras = [], list[str](), list[int](), list[str]()
    for split in SPLITS:
        table = read_attribute_split(folder, split, schema)
        for name, identity, camera in zip(table.images, table.identities.tolist(), table.cameras, strict=True):
            file = folder / "attributes" / "images" / name
            if _key(file) not in known:
                files.append(file)
                parts.append(split)
                identities.append(identity)
                cameras.append(camera)
    numbers = {camera: number for number, camera in enumerate(sorted(set(cameras)), start=1)}
    camera_numbers = np.array([numbers[camera] for camera in cameras], np.int64)
    return _named("attributes", files, parts, np.array(identities, np.int64), camera_numbers)


def _named(name: str, files: list[Path], parts: Sequence[str], identities: np.ndarray, cameras: np.ndarray) -> CropSet:
    chosen = np.flatnonzero(identities > DISTRACTOR_IDENTITY).tolist()
    return CropSet(
        name,
        [files[crop] for crop in chosen],
        [parts[crop] for crop in chosen],
        identities[chosen],
        cameras[chosen],
        len(files) - len(chosen),
    )


def _key(file: Path) -> tuple[int, int]:
    """The file itself, whatever its names: hard links are one."""
    status = file.stat()
    return status.st_dev, status.st_ino


def _embed(
    engine: Engine, sets: Sequence[CropSet], batch: int
) -> dict[tuple[int, int], Float32[np.ndarray, " feature"]]:
    """Embedding of each file, by its key."""
    files = {_key(file): file for crops in sets for file in crops.files}
    batches = resized_batches(list(files.values()), engine.card, batch, "crops")
    embeddings = np.concatenate([engine(stacked(pictures))["embeddings"] for pictures in batches])
    return dict(zip(files, embeddings, strict=True))


def examine(
    crops: CropSet, embeddings: Float32[np.ndarray, "crop feature"]
) -> tuple[dict[str, str | int], list[Finding]]:
    """What was compared in a set, for the report, and what contradicts its labels."""
    people = whitened(embeddings, crops.identities, crops.cameras)
    found = compare(people, crops.identities)
    record: dict[str, str | int] = {
        "set": crops.name,
        "crops": len(crops),
        "identities": len(found.names),
        "crops of nobody named, left out": crops.num_unnamed,
        "crops whose nearest one is of their identity": f"{found.share_right:.1%}",
        "similarity to the nearest of the own identity, median": f"{found.same_person:.2f}",
        "similarity to the nearest of another, median": f"{found.stranger:.2f}",
    }
    place = crops.files[0].parent.parent
    if found.same_person <= found.stranger:
        message = "this engine does not tell these people apart, so their labels are not looked at; take another engine"
        return record, [Finding(False, str(place), message)]
    arguments = people, crops.identities, crops.cameras, found
    return record, [
        *gathered(list(_copies(crops, embeddings)), place, "crops are nearly the same as one of another identity"),
        *gathered(list(_suspected(crops, people, found)), place, "crops resemble another identity, not their own"),
        *gathered([_pair(crops, pair) for pair in possible_pairs(*arguments)], place, "pairs may be one person"),
        *gathered([_divided(crops, each) for each in divided_identities(*arguments)], place, "may be two people"),
    ]


def _copies(crops: CropSet, embeddings: Float32[np.ndarray, "crop feature"]) -> Iterator[Finding]:
    for crop, twin in near_copies(embeddings, crops.identities):
        message = (
            f"identity {crops.identities[crop]} in {crops.parts[crop]} looks nearly the same as {crops.files[twin]}, "
            f"which is identity {crops.identities[twin]} in {crops.parts[twin]}; one of the two numbers is wrong"
        )
        yield Finding(False, str(crops.files[crop]), message, _shown(crops, [crop, twin]))


def _suspected(crops: CropSet, people: Float32[np.ndarray, "crop feature"], found: Comparison) -> Iterator[Finding]:
    reported = set[int]()
    for crop in suspected_crops(found).tolist():
        own, other = crops.identities[crop], found.names[found.other_identity[crop]]
        nearest = nearest_of(people, crop, crops.identities == other)
        if nearest in reported:  # it is the other one that is wrong
            continue
        reported.add(crop)
        is_own = crops.identities == own
        is_own[crop] = False
        message = (
            f"is identity {own}, but resembles {crops.files[nearest]} of identity {other} ({found.other[crop]:.2f}), "
            f"not the other crops of its own ({found.own[crop]:.2f})"
        )
        shown = _shown(crops, [crop, nearest, nearest_of(people, crop, is_own)])
        yield Finding(False, str(crops.files[crop]), message, shown)


def _pair(crops: CropSet, pair: Pair) -> Finding:
    numbers = [np.flatnonzero(crops.identities == identity).tolist() for identity in (pair.first, pair.second)]
    places = [", ".join(sorted({crops.parts[crop] for crop in each})) for each in numbers]
    others = "crops of other cameras" if pair.across_cameras else "crops"
    message = (
        f"identities {pair.first} ({places[0]}) and {pair.second} ({places[1]}) may be one person: of {pair.num_crops} "
        f"{others} {pair.crossing} are nearest to one of the other number; of one person {pair.if_one:.1f} would be, "
        f"of two people who look alike {pair.if_two:.1f}"
    )
    shown = [crop for each in numbers for crop in each[:_SHOWN_CROPS]]
    return Finding(False, str(crops.files[numbers[0][0]]), message, _shown(crops, shown))


def _divided(crops: CropSet, division: Division) -> Finding:
    names = listed([crops.files[crop].name for crop in division.few])
    message = (
        f"identity {division.identity} may be two people: {len(division.few)} of its "
        f"{len(division.few) + len(division.many)} crops resemble the others of their cameras by "
        f"{division.likeness:.2f}, and nine in ten pairs of people by less than {division.of_strangers:.2f}: {names}"
    )
    shown = [*division.few[:_SHOWN_CROPS].tolist(), *division.many[:_SHOWN_CROPS].tolist()]
    return Finding(False, str(crops.files[division.few[0]]), message, _shown(crops, shown))


def _shown(crops: CropSet, numbers: Sequence[int]) -> tuple[Shown, ...]:
    return tuple(Shown(crops.files[crop]) for crop in numbers)


def _report(district: str, engine: Path, records: Records, findings: Sequence[Finding]) -> DataReport:
    about = (
        f"Labels of the crops in {DATA.of(district)}, compared with how {engine} sees them. Each is worth a look, not "
        "an error yet: an engine also mistakes people in like clothes for one. Similarities are 1 for equal crops; how "
        "alike people are comes from the set itself."
    )
    missing = [
        "labels of attributes, which a re-ID engine does not know",
        "crops of nobody named: junk, distractors and people without identity",
    ]
    return DataReport(
        district, about, DATA.of(district), {"what was compared": records}, findings, missing, _TITLE, REPORT
    )


if __name__ == "__main__":
    run_stage(main)
