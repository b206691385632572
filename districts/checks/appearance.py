"""How pictures look: black, of one colour, blurred, tiny, or the same in two splits or under two identities."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from districts.box_files import YoloBox, parse_labels
from districts.checks.looks import Look
from districts.checks.near_duplicates import near_duplicates
from districts.checks.pictures import of_pictures
from districts.checks.readings import Readings
from districts.checks.splits import attribute_pictures
from districts.findings import Finding, Shown, gathered
from districts.layout import DISTRACTOR_IDENTITY, REID_PARTS, SPLITS, find_pictures, identity_and_camera
from domain.errors import InputError

_BLACK, _BLACK_CONTRAST = 10, 5  # grey values
_ONE_COLOUR_CONTRAST = 2
_SMALL_PICTURE_PX, _LEAST_SHARPNESS, _LEAST_SHARPNESS_SMALL = 256, 0.05, 0.03
_LEAST_WIDTH_PX, _LEAST_HEIGHT_PX = 10, 20  # of a crop in which a person can be told

_TRAITS: dict[str, Callable[[Look], bool]] = {
    "are black": lambda look: look.brightness < _BLACK and look.contrast < _BLACK_CONTRAST,
    "are of one colour": lambda look: look.contrast < _ONE_COLOUR_CONTRAST,
    "are blurred": lambda look: (
        look.sharpness
        < (_LEAST_SHARPNESS if max(look.width_px, look.height_px) >= _SMALL_PICTURE_PX else _LEAST_SHARPNESS_SMALL)
    ),
}
_TINY = f"are smaller than {_LEAST_WIDTH_PX} × {_LEAST_HEIGHT_PX} pixels, in which a person cannot be told"


def check_appearance(folder: Path, readings: Readings) -> Iterator[Finding]:
    """Pictures of the district in `folder` that show little, or the same as a picture of another split or identity."""
    scenes: dict[str, list[Path]] = {split: _pictures(folder / "detection" / "images" / split) for split in SPLITS}
    crops: dict[str, list[Path]] = {split: attribute_pictures(folder / "attributes", split) for split in SPLITS}
    parts: dict[str, list[Path]] = {part: _pictures(folder / "reid" / part) for part in REID_PARTS}
    people = [*parts.values(), _pictures(folder / "attributes" / "images")]
    looks = readings.looks([file for files in (*scenes.values(), *people, *crops.values()) for file in files])
    for split, files in scenes.items():
        yield from _labelled_in_the_dark(folder / "detection" / "labels" / split, files, looks)
        yield from _odd(files, looks, _TRAITS)
    for files in people:
        yield from _odd(files, looks, {_TINY: _is_tiny, **_TRAITS})
    evaluated = parts["query"] + parts["bounding_box_test"]
    split_parts = {name: parts[name] for name in ("bounding_box_train", "bounding_box_val")}
    for splits in (scenes, crops, {**split_parts, "query and bounding_box_test": evaluated}):
        yield from _across_splits(splits, looks, readings)
    for files in (*split_parts.values(), evaluated):
        yield from _across_identities(files, looks)


def _is_tiny(look: Look) -> bool:
    return look.width_px < _LEAST_WIDTH_PX or look.height_px < _LEAST_HEIGHT_PX


def _odd(
    files: Sequence[Path], looks: Mapping[Path, Look], traits: Mapping[str, Callable[[Look], bool]]
) -> Iterator[Finding]:
    """A finding for each trait, each picture in the first that it has."""
    found: dict[str, list[Path]] = {}
    for file in files:
        trait = next((trait for trait, has in traits.items() if file in looks and has(looks[file])), None)
        if trait is not None:
            found.setdefault(trait, []).append(file)
    for trait, odd in found.items():
        yield of_pictures(odd[0].parent, trait, odd)


def _labelled_in_the_dark(labels: Path, files: Sequence[Path], looks: Mapping[Path, Look]) -> Iterator[Finding]:
    """Pictures that are black or of one colour in which people are labelled."""
    found = []
    for file in files:
        look, label_file = looks.get(file), labels / f"{file.stem}.txt"
        if look is None or look.contrast >= _BLACK_CONTRAST:
            continue
        if boxes := _boxes(label_file):
            message = f"{len(boxes)} people are labelled in {file}, which is black or of one colour"
            found.append(Finding(False, str(label_file), message, tuple(Shown(file, box) for box in boxes)))
    yield from gathered(found, labels, "files label people in pictures that are black or of one colour")


def _boxes(file: Path) -> list[YoloBox]:
    try:
        return list(parse_labels(file)[0].values()) if file.is_file() else []
    except InputError:  # `check_detection` says why
        return []


def _across_splits(
    splits: Mapping[str, Sequence[Path]], looks: Mapping[Path, Look], readings: Readings
) -> Iterator[Finding]:
    """Pictures that show the same as one of another split, without those that are byte for byte the same."""
    digests = readings.digests([file for files in splits.values() for file in files])
    for first, other in combinations(splits, 2):
        known = {digests.get(file) for file in splits[first]} - {None}
        rest = [file for file in splits[other] if digests.get(file) not in known]
        found = [
            _alike(file, twin, f"shows the same as {twin} in {first}; splits must share no picture")
            for file, twin in near_duplicates(splits[first], rest, looks)
        ]
        message = f"of {len(splits[other])} pictures of {other} show the same as one of {first}, in another file"
        yield from gathered(found, splits[other][0].parent if found else Path(), message)


def _across_identities(files: Sequence[Path], looks: Mapping[Path, Look]) -> Iterator[Finding]:
    """Crops that show the same under two identities."""
    identities = {}
    for file in files:
        try:
            identities[file] = identity_and_camera(file)[0]
        except InputError:  # `check_reid` says why
            continue
    people = [file for file, identity in identities.items() if identity > DISTRACTOR_IDENTITY]
    pairs = near_duplicates(people, people, looks, identities)
    found = [
        _alike(file, twin, f"shows the same as {twin}, which is another identity; one of the two is wrong")
        for file, twin in pairs
    ]
    yield from gathered(found, files[0].parent if found else Path(), "crops show the same as one of another identity")


def _alike(file: Path, twin: Path, message: str) -> Finding:
    return Finding(False, str(file), message, (Shown(file), Shown(twin)))


def _pictures(folder: Path) -> list[Path]:
    return find_pictures(folder) if folder.is_dir() else []
