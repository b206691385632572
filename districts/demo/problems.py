"""Search problems in the demo district's videos, as in the study's tracking test."""

import numpy as np

from districts.demo.crop_sets import gap_frames, known_labels
from districts.demo.cuts import Cut, clear_rows, evenly_spaced, jittered
from districts.demo.ground_truth import GroundTruth
from districts.demo.sessions import Session
from districts.layout import Problem

_MIN_CAMERAS, _CROPS, _ATTRIBUTES = 3, 2, 7


def pose_problems(
    session: Session, truths: list[GroundTruth], count: int, rng: np.random.Generator
) -> tuple[list[Problem], dict[int, list[Cut]]]:
    """At most `count` problems, and the crops to cut for them by camera number.

    Each problem is about a different person, seen by at least three cameras (two, if nobody is seen by three), with
    crops and labels from a single visit.
    """
    visits: dict[int, list[tuple[int, np.ndarray]]] = {}
    for number, truth in enumerate(truths):
        for visit in truth.visits(gap_frames(session)):
            rows = clear_rows(truth, visit)
            if len(rows) >= _CROPS:
                visits.setdefault(int(truth.identities[rows[0]]), []).append((number, rows))
    num_cameras = {identity: len({number for number, _ in seen}) for identity, seen in sorted(visits.items())}
    enough = min(_MIN_CAMERAS, max(num_cameras.values(), default=_MIN_CAMERAS))
    eligible = [identity for identity, number in num_cameras.items() if number >= max(2, enough)]
    problems: list[Problem] = []
    cuts: dict[int, list[Cut]] = {}
    for identity in rng.permutation(eligible)[:count]:
        seen = visits[int(identity)]
        number, rows = seen[rng.integers(len(seen))]
        problem, pictures = _pose(session, int(identity), number, truths[number], rows, len(problems) + 1, rng)
        problems.append(problem)
        cuts.setdefault(number, []).extend(pictures)
    return problems, cuts


def _pose(
    session: Session,
    identity: int,
    number: int,
    truth: GroundTruth,
    rows: np.ndarray,
    ordinal: int,
    rng: np.random.Generator,
) -> tuple[Problem, list[Cut]]:
    name = f"p{ordinal:02d}"
    largest = rows[np.argsort(-truth.heights_px[rows] * truth.visibilities[rows], kind="stable")]
    chosen = evenly_spaced(np.sort(largest[: max(_CROPS, len(largest) // 2)]), _CROPS)
    crops = [f"problems/{name}_{i}.jpg" for i in range(1, len(chosen) + 1)]
    pictures = [
        Cut(int(truth.frames[row]), jittered(truth.boxes_xyxy[row], rng), (f"videos/{crop}",))
        for row, crop in zip(chosen, crops, strict=True)
    ]
    person = next(person for person in session.people if person.identity == identity)
    known = known_labels(person, truth, int(chosen[0]), rng, unknown_share=0.0)
    groups = [group for group, label in known.items() if label and group not in {"view", "height"}]
    described = sorted(rng.choice(groups, min(_ATTRIBUTES, len(groups)), replace=False), key=groups.index)
    return Problem(
        id=name,
        identity=identity,
        crops=tuple(crops),
        attributes={str(group): known[group] for group in described},
        camera=session.plan.places[number].id,
        frame=int(truth.frames[chosen[0]]),
    ), pictures
