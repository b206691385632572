"""Writes crops of people as the re-ID and attribute sets of a district.

An identity is in one split only. Of each test identity that two or more cameras saw, one crop a camera becomes a query,
where that camera has another crop; the rest is the gallery.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from districts.importing.splits import Shares, split_people
from districts.layout import DISTRACTOR_IDENTITY, SPLITS, ReidPart, Split, identity_and_camera
from domain.attributes import UNKNOWN, AttributeSchema
from domain.errors import InputError

_PARTS: dict[Split, ReidPart] = {"train": "bounding_box_train", "val": "bounding_box_val", "test": "bounding_box_test"}
_SPLIT_OF: dict[ReidPart, Split] = {
    "bounding_box_train": "train", "bounding_box_val": "val", "query": "test", "bounding_box_test": "test",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """A crop with its place in the sets; `write` puts the picture into a file."""

    identity: int | None  # None: unknown
    camera: str  # empty: unknown
    write: Callable[[Path], None]
    suffix: str = ".jpg"
    part: ReidPart | None = None  # where the source has parts
    sequence: int = 1
    frame: int | None = None
    time_s: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    name: str = ""  # of the file in the source


def place_people(samples: Sequence[Sample], shares: Shares) -> tuple[list[Sample], list[str]]:
    """Samples of known people with their parts, and notes on what was done.

    Parts of the source are kept. Without queries, some are taken from `bounding_box_test`; without `bounding_box_val`,
    some training identities are held out for it; without cameras, queries count as of another camera than the others.

    Raises:
        InputError: if some samples of the source have a part and others have none, or an identity is in two splits.
    """
    known = [sample for sample in samples if sample.identity is not None]
    with_part = [sample for sample in known if sample.part is not None]
    notes = []
    if not known:
        return [], []
    if not with_part:
        placed = place_by_split(known, split_people([_identity(each) for each in known], shares))
        notes.append("the source has no splits: people are split by identity")
    elif len(with_part) < len(known):
        raise InputError(f"all crops must be in a part of the source, got {len(known) - len(with_part)} in none")
    else:
        placed, notes = _complete(with_part, shares)
    if without := sum(not each.camera for each in placed):
        if without < len(placed):
            raise InputError(f"all crops must have a camera, or none, got {without} of {len(placed)} without")
        placed = [replace(each, camera="c1" if each.part == "query" else "c2") for each in placed]
        notes.append("no camera is known: queries count as of c1 and all others as of c2; re-ID figures are too high")
    return placed, notes


def _complete(samples: Sequence[Sample], shares: Shares) -> tuple[list[Sample], list[str]]:
    """Samples of a source with parts, with the parts that it lacks."""
    _require_apart(samples)
    placed, notes = list(samples), []
    parts = {each.part for each in placed}
    if "query" not in parts:
        people = [each for each in placed if each.part == "bounding_box_test" and _identity(each) > DISTRACTOR_IDENTITY]
        queries = _queries(people)
        placed = [replace(each, part="query") if id(each) in queries else each for each in placed]
        notes.append(f"the source has no queries: {len(queries)} test crops become queries, one of a person and camera")
    if "bounding_box_val" not in parts and shares.val and shares.train:
        trained = {_identity(each) for each in placed if each.part == "bounding_box_train"}
        held_out = _held_out(trained, shares)
        placed = [replace(each, part="bounding_box_val") if each.identity in held_out else each for each in placed]
        notes.append(f"{len(held_out)} of {len(trained)} training identities are held out for validation")
    return placed, notes


def place_by_split(samples: Sequence[Sample], splits: Mapping[int, Split]) -> list[Sample]:
    """Samples of known people with the part of their identity's split."""
    queries = _queries([each for each in samples if splits[_identity(each)] == "test"])
    return [replace(each, part="query" if id(each) in queries else _PARTS[splits[_identity(each)]]) for each in samples]


def part_of(split: Split) -> ReidPart:
    """The part of a split's people, apart from queries."""
    return _PARTS[split]


def has_reid_parts(placed: Sequence[Sample]) -> bool:
    """Whether there is someone to train on, to search for and to find."""
    return {"bounding_box_train", "query", "bounding_box_test"} <= {each.part for each in placed}


def write_reid(folder: Path, placed: Sequence[Sample], camera_numbers: Mapping[str, int]) -> None:
    """Write re-ID folders, and `times.csv` where all crops have times."""
    names = _file_names(placed, camera_numbers)
    for sample, name in zip(placed, names, strict=True):
        assert sample.part is not None
        target = folder / "reid" / sample.part / name
        target.parent.mkdir(parents=True, exist_ok=True)
        sample.write(target)
    times = {name: each.time_s for each, name in zip(placed, names, strict=True) if each.time_s is not None}
    if times:
        write_times(folder / "reid" / "times.csv", times)


def write_times(file: Path, times: Mapping[str, float]) -> None:
    """Write the time of each crop, in seconds on one clock, by file name."""
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["image", "time_s"])
        writer.writerows([name, f"{time:.3f}"] for name, time in sorted(times.items()))


def attribute_splits(samples: Sequence[Sample], shares: Shares) -> dict[Split, list[Sample]]:
    """The samples with attributes by split: that of their part, or of their identity; unknown people are each one."""
    labelled = [each for each in samples if each.attributes and (each.identity is None or each.identity > 0)]
    unknown = iter(range(-1, -len(labelled) - 1, -1))
    people = [next(unknown) if each.identity is None else each.identity for each in labelled]
    without = [person for each, person in zip(labelled, people, strict=True) if each.part is None]
    drawn = split_people(without, shares)
    chosen: dict[Split, list[Sample]] = {split: [] for split in SPLITS}
    for each, person in zip(labelled, people, strict=True):
        chosen[drawn[person] if each.part is None else _SPLIT_OF[each.part]].append(each)
    return chosen


def write_attributes(folder: Path, splits: Mapping[Split, Sequence[Sample]], schema: AttributeSchema) -> None:
    """Write `attributes/images` and a table for each split; people without identity are numbered after the others."""
    images = folder / "attributes" / "images"
    images.mkdir(parents=True)
    every = [each for samples in splits.values() for each in samples]
    following = max((each.identity or 0 for each in every), default=0)
    number = 0
    for split, samples in splits.items():
        with (folder / "attributes" / f"{split}.csv").open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, ["image", "identity", "camera", *schema.group_names], restval=UNKNOWN)
            writer.writeheader()
            for sample in samples:
                number, name = number + 1, f"{number + 1:07d}{sample.suffix}"
                if (identity := sample.identity) is None:
                    following = identity = following + 1
                sample.write(images / name)
                writer.writerow({"image": name, "identity": identity, "camera": sample.camera, **sample.attributes})


def _identity(sample: Sample) -> int:
    assert sample.identity is not None
    return sample.identity


def _held_out(trained: set[int], shares: Shares) -> set[int]:
    """Identities for validation; those of training and validation have the proportion of their shares."""
    total = shares.train + shares.val
    people = {identity for identity in trained if identity > DISTRACTOR_IDENTITY}
    splits = split_people(people, Shares(shares.train / total, shares.val / total, 0))
    return {identity for identity, split in splits.items() if split == "val"}


def _queries(samples: Sequence[Sample]) -> set[int]:
    """`id` of each sample that becomes a query."""
    people: dict[int, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for each in samples:
        people[_identity(each)][each.camera].append(each)
    chosen = set()
    for cameras in people.values():
        several = [crops for crops in cameras.values() if len(crops) > 1]
        if len(cameras) > 1 or (several and "" in cameras):
            chosen |= {id(crops[0]) for crops in several or list(cameras.values())[:1]}
    return chosen


def _require_apart(samples: Sequence[Sample]) -> None:
    splits: dict[int, Split] = {}
    for each in samples:
        assert each.part is not None
        identity = _identity(each)
        if identity > DISTRACTOR_IDENTITY and splits.setdefault(identity, _SPLIT_OF[each.part]) != _SPLIT_OF[each.part]:
            raise InputError(
                f"identity {identity} must be in one split of the source, got {splits[identity]} and "
                f"{_SPLIT_OF[each.part]}"
            )


def _file_names(placed: Sequence[Sample], camera_numbers: Mapping[str, int]) -> list[str]:
    taken, names = Counter[tuple[object, ...]](), []
    for number, each in enumerate(placed, start=1):
        camera, frame = camera_numbers[each.camera], each.frame if each.frame is not None else number
        key = each.identity, camera, each.sequence, frame
        taken[key] += 1
        identity = "-1" if each.identity == -1 else f"{_identity(each):04d}"
        written = f"{identity}_c{camera}s{each.sequence}_{frame:06d}_{taken[key]:02d}{each.suffix}"
        names.append(each.name if _says(each.name, _identity(each), camera) else written)
    return names


def _says(name: str, identity: int, camera: int) -> bool:
    """Whether a name of the source says identity and camera as Market-1501 does, so that it can stay."""
    try:
        return identity_and_camera(Path(name)) == (identity, camera)
    except InputError:
        return False
