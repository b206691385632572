"""Attribute and re-ID sets of the demo district: crops of people with the labels an annotator could give."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from districts.demo.cuts import Cut, clear_rows, evenly_spaced, jittered
from districts.demo.ground_truth import VIEWS, GroundTruth
from districts.demo.people import Person
from districts.demo.sessions import Session
from districts.demo.streets import PICTURE_SIZE
from districts.layout import DISTRACTOR_IDENTITY, JUNK_IDENTITY
from domain.attributes import UNKNOWN

_GAP_S = 3.0  # a person out of sight for longer makes another visit
_MIN_ROWS = 2
_CROPS_PER_PASSING = 2
_TRAIN_ATTRIBUTE_CROPS = 2  # per visit: more crops of the same clothes would be memorised
_RE_ID_PASSERS_BY = 3  # every third is in the re-ID set: seen once by one camera, they teach little across cameras
_EYEWEAR_FROM_THE_SIDE_PX = 140  # below this height a face in profile is only a few pixels wide
_HIDDEN_HAIR = {"hat": ("sport_cut", "bald"), "helmet": ("sport_cut", "bald", "bob")}
_JUNK_PER_VISIT, _EMPTY_CROPS = 1, 12
_PARTS = {"train": ("bounding_box_train",), "val": ("bounding_box_val",), "test": ("query", "bounding_box_test")}


@dataclass
class CropSets:
    """Contribution of one video to the sets."""

    cuts: list[Cut] = field(default_factory=list)
    attribute_rows: list[dict[str, str]] = field(default_factory=list)


def cut_crops(
    session: Session, number: int, truth: GroundTruth, roaming: set[int], unknown_share: float, rng: np.random.Generator
) -> CropSets:
    """Crops from the video of camera `number`.

    Args:
        roaming: identities seen by several cameras; in the test set only these can be queries, the others are
            distractors.
        unknown_share: fraction of the labels that is withheld.
    """
    sets, place = CropSets(), session.plan.places[number]
    people = {person.identity: person for person in session.people}
    for visit in truth.visits(round(_GAP_S * session.settings.fps)):
        rows = clear_rows(truth, visit)
        if len(rows) < _MIN_ROWS:
            continue
        identity = int(truth.identities[rows[0]])
        num_crops = _CROPS_PER_PASSING if session.is_passer_by(identity) else session.settings.crops_per_visit
        chosen = evenly_spaced(rows, num_crops + (session.split == "test"))
        described = set(evenly_spaced(chosen, _TRAIN_ATTRIBUTE_CROPS) if session.split == "train" else chosen)
        query = int(rng.choice(chosen)) if session.split == "test" and identity in roaming else -1
        for row in chosen:
            part = _PARTS[session.split][-1 if row != query else 0]
            is_distractor = session.split == "test" and identity not in roaming
            name = _market_name(session, number, truth, row, DISTRACTOR_IDENTITY if is_distractor else identity)
            box = jittered(truth.boxes_xyxy[row], rng)
            picture = f"{identity:04d}_{name.split('_', 1)[1]}"
            files: tuple[str, ...] = (f"attributes/images/{picture}",) if row in described else ()
            if not session.is_passer_by(identity) or (session.split == "train" and identity % _RE_ID_PASSERS_BY == 0):
                files += (f"reid/{part}/{name}",)
            sets.cuts.append(Cut(int(truth.frames[row]), box, files))
            if row not in described:
                continue
            known = known_labels(people[identity], truth, row, rng, unknown_share)
            scene = {"place": place.kind, **session.labels(int(truth.frames[row]))}
            sets.attribute_rows.append(
                {"image": picture, "identity": str(identity), "camera": place.id, **known, **scene}
            )
    if session.split == "test":
        sets.cuts.extend(_junk(session, number, truth, rng))
        sets.cuts.extend(_empty_crops(session, number, truth, rng))
    return sets


def known_labels(
    person: Person, truth: GroundTruth, row: int, rng: np.random.Generator, unknown_share: float
) -> dict[str, str]:
    """Labels by group of the person in the row's box; invisible and withheld labels are unknown."""
    view = int(truth.views[row])
    labels = {"view": VIEWS[view] if view >= 0 else UNKNOWN, **person.labels}
    height_px = truth.heights_px[row]
    if view >= 0 and (VIEWS[view] == "back" or (VIEWS[view] == "side" and height_px < _EYEWEAR_FROM_THE_SIDE_PX)):
        labels["eyewear"] = UNKNOWN
    if labels["hair"] in _HIDDEN_HAIR.get(labels["headwear"], ()):
        labels["hair"] = UNKNOWN
    if truth.boxes_xyxy[row, 3] > PICTURE_SIZE[1] - 3:  # the feet are below the picture
        labels |= {"shoe_colour": UNKNOWN, "height": UNKNOWN}
    if truth.boxes_xyxy[row, 1] < 3:  # the head is above the picture
        labels |= {"hair": UNKNOWN, "headwear": UNKNOWN, "eyewear": UNKNOWN, "height": UNKNOWN}
    return {name: UNKNOWN if rng.random() < unknown_share else label for name, label in labels.items()}


def roaming_identities(truths: list[GroundTruth], gap_frames: int) -> set[int]:
    """Identities with usable crops in at least two cameras."""
    cameras: dict[int, set[int]] = {}
    for number, truth in enumerate(truths):
        for visit in truth.visits(gap_frames):
            if len(clear_rows(truth, visit)) >= _MIN_ROWS:
                cameras.setdefault(int(truth.identities[visit[0]]), set()).add(number)
    return {identity for identity, seen in cameras.items() if len(seen) >= 2}


def times_of_crops(session: Session, cuts: list[Cut]) -> dict[str, float]:
    """POSIX time of each re-ID crop among `cuts`, by file name."""
    return {
        Path(file).name: session.time_of(cut.frame).timestamp()
        for cut in cuts
        for file in cut.files
        if file.startswith("reid/")
    }


def gap_frames(session: Session) -> int:
    """Number of frames out of sight after which a person's return is another visit."""
    return round(_GAP_S * session.settings.fps)


def _market_name(session: Session, number: int, truth: GroundTruth, row: int, identity: int) -> str:
    frame = int(truth.frames[row])
    take, _ = session.moment(frame)
    prefix = "-1" if identity == JUNK_IDENTITY else f"{identity:04d}"
    order = int(np.sum(truth.frames[:row] == frame))
    return f"{prefix}_c{number + 1}s{take + 1}_{frame:06d}_{order:02d}.jpg"


def _junk(session: Session, number: int, truth: GroundTruth, rng: np.random.Generator) -> list[Cut]:
    """Junk crops, which are not scored: people mostly hidden, and upper or lower halves of people."""
    cuts = []
    for visit in truth.visits(gap_frames(session)):
        hidden = visit[(truth.visibilities[visit] < 0.5) & (truth.visibilities[visit] > 0.2)]
        for row in evenly_spaced(hidden[truth.heights_px[hidden] > 30], _JUNK_PER_VISIT):
            box = truth.boxes_xyxy[row].copy()
            if rng.random() < 0.5:
                box[rng.choice([1, 3])] = (box[1] + box[3]) / 2
            name = _market_name(session, number, truth, int(row), JUNK_IDENTITY)
            cuts.append(Cut(int(truth.frames[row]), jittered(box, rng), (f"reid/bounding_box_test/{name}",)))
    return cuts


def _empty_crops(session: Session, number: int, truth: GroundTruth, rng: np.random.Generator) -> list[Cut]:
    """Distractors without people: parts of the street, like false alarms of a detector."""
    cuts: list[Cut] = []
    for trial in range(200):
        frame = int(rng.integers(1, session.num_frames + 1))
        height = float(rng.uniform(60, 130))
        left, top = rng.uniform(0, PICTURE_SIZE[0] - 0.45 * height), rng.uniform(60, PICTURE_SIZE[1] - height)
        box = np.array([left, top, left + 0.42 * height, top + height])
        others = truth.boxes_xyxy[truth.frames == frame]
        low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
        if np.any((high - low).clip(0).prod(axis=1) > 0):
            continue
        name = f"{DISTRACTOR_IDENTITY:04d}_c{number + 1}s1_{frame:06d}_{50 + trial % 50:02d}.jpg"
        cuts.append(Cut(frame, tuple(box.tolist()), (f"reid/bounding_box_test/{name}",)))
        if len(cuts) == _EMPTY_CROPS:
            break
    return cuts
