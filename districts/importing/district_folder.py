"""Turns what a reader returns into a district's folder, or says what it would hold."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from districts.importers.intake import link_or_copy
from districts.importing.annotated import Annotated, Box, Crop, Picture
from districts.importing.box_fractions import BoxCounts, clipped, cut
from districts.importing.choice import Choice, choose
from districts.importing.crop_sets import (
    Sample,
    attribute_splits,
    has_reid_parts,
    part_of,
    place_people,
    write_attributes,
    write_reid,
)
from districts.importing.description import CameraFacts, numbered_cameras, write_description
from districts.importing.detection_set import require_one_annotation, write_pictures
from districts.importing.filmed_people import Filmed, film
from districts.importing.options import Options
from districts.importing.recordings import write_recording
from districts.importing.source_files import SourceFiles
from districts.importing.splits import split_pictures
from districts.importing.times import read_times, time_of
from districts.layout import REID_PARTS, SPLITS, ReidPart, Split
from domain.errors import InputError
from domain.images import read_image, write_image
from domain.schemas import read_schema


def import_annotated(annotated: Annotated, files: SourceFiles, options: Options, folder: Path | None) -> list[str]:
    """Write the district into `folder`, or nothing if it is None.

    Returns:
        What the district holds, then what was guessed or left out.

    Raises:
        InputError: if the source holds nothing to import, or an option or a file does not fit.
    """
    schema = read_schema(options.schema)
    chosen = choose(annotated, Choice(options.classes, options.renamed), schema)
    require_one_annotation(chosen.pictures)
    pictures, notes = split_pictures(chosen.pictures, options.shares)
    filmed = film(chosen.recordings, options)
    samples = _samples_of_crops(chosen.crops, files)
    placed, said = place_people(samples, options.shares)
    placed += filmed.samples
    notes = [*chosen.notes, *notes, *filmed.notes, *said]

    with_people = [*placed, *(each for each in samples if each.identity is None), *_samples_of_pictures(pictures)]
    labelled = attribute_splits(with_people, options.shares)
    parts = {
        "detection": any(picture.split == "train" for picture in pictures) or filmed.has_training_frames,
        "reid": has_reid_parts(placed),
        "attributes": all(labelled.values()),
        "videos": filmed.has_tests,
    }
    if not any(parts.values()):
        raise InputError(
            f"{files.root} must hold pictures, recordings or crops of people, enough to train and to test, got "
            f"{len(pictures)} pictures, {len(filmed.plans)} recordings and {len(samples)} crops"
        )
    written = [part for part in options.parts if parts[part]]
    if placed and not parts["reid"]:
        notes.append(
            "no re-ID set: it needs people to train on, and others whom two cameras saw"
            + ("; --shared-identities, if a track id is the same person in all recordings" if filmed.plans else "")
        )
    cameras = _cameras(filmed, with_people)
    counts = BoxCounts()
    if folder is not None:
        if "reid" in written:
            write_reid(folder, placed, {camera.id: number for number, camera in enumerate(cameras, start=1)})
        if "attributes" in written:
            write_attributes(folder, labelled, schema)
        if "detection" in written:
            write_pictures(folder, pictures, counts)
        for plan in filmed.plans:
            requests = filmed.requests[plan.recording.camera]
            write_recording(folder, plan, counts, requests, detection="detection" in written, video="videos" in written)
        write_description(
            folder,
            options.name,
            cameras,
            schema=options.schema,
            time_zone=options.time_zone,
            source=options.source or files.root.name,
            licence=options.licence,
        )
    holds = _holds(written, pictures, filmed, placed, labelled)
    return [*holds, f"cameras: {', '.join(camera.id for camera in cameras) or 'none'}", *notes, *counts.notes()]


def _samples_of_crops(crops: Sequence[Crop], files: SourceFiles) -> list[Sample]:
    times = read_times(files.root)
    return [
        Sample(
            crop.identity,
            crop.camera,
            lambda target, file=crop.file: link_or_copy(file, target),  # type: ignore[misc]
            crop.file.suffix.lower(),
            crop.part,
            crop.sequence,
            crop.frame,
            time_of(files.relative(crop.file), times) if crop.time_s is None else crop.time_s,
            crop.attributes,
            crop.file.name,
        )
        for crop in crops
    ]


def _samples_of_pictures(pictures: Sequence[Picture]) -> list[Sample]:
    """People with attributes in pictures of the detection set; nobody knows who they are."""

    return [
        Sample(None, "", _cut_out(picture, box), part=part_of(picture.split), attributes=box.attributes)
        for picture in pictures
        if picture.split is not None
        for box in picture.boxes
        if box.attributes and clipped(box.xyxy)
    ]


def _cut_out(picture: Picture, box: Box) -> Callable[[Path], None]:
    return lambda target: write_image(target, cut(read_image(picture.file), box.xyxy), 95)


def _cameras(filmed: Filmed, samples: Sequence[Sample]) -> list[CameraFacts]:
    facts = {facts.id: facts for facts in filmed.cameras}
    seen = {sample.camera for sample in samples if sample.camera}
    return [facts.get(each, CameraFacts(each)) for each in numbered_cameras([*facts, *(seen - set(facts))])]


def _holds(
    written: Sequence[str],
    pictures: Sequence[Picture],
    filmed: Filmed,
    placed: Sequence[Sample],
    labelled: Mapping[Split, Sequence[Sample]],
) -> list[str]:
    """A line for each part of the district."""
    said = []
    if "detection" in written:
        counts, boxes = Counter(picture.split for picture in pictures), Counter[Split | None]()
        for picture in pictures:
            boxes[picture.split] += len(picture.boxes)
        counts.update(filmed.num_frames)
        boxes.update(filmed.num_boxes)
        each = (f"{counts[split]} pictures with {boxes[split]} people to {split}" for split in SPLITS)
        said.append(f"detection: {', '.join(each)}")
    if "reid" in written:
        people = {part: _people_in(placed, part) for part in REID_PARTS}
        crops = Counter(sample.part for sample in placed)
        each = (f"{crops[part]} crops of {len(people[part])} people in {part}" for part in REID_PARTS if crops[part])
        said.append(f"re-ID: {', '.join(each)}; {sum(sample.time_s is not None for sample in placed)} with times")
    if "attributes" in written:
        said.append(f"attributes: {', '.join(f'{len(labelled[split])} crops to {split}' for split in SPLITS)}")
    if "videos" in written:
        said += [
            f"videos: {plan.recording.camera}, {float(len(plan.test_frames) / plan.test_fps):.1f} s to test"
            for plan in filmed.plans
        ]
    return said


def _people_in(placed: Sequence[Sample], part: ReidPart) -> set[int]:
    return {each.identity for each in placed if each.part == part and each.identity and each.identity > 0}
