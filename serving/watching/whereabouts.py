"""Where and when the people of watches were, as far as it is known."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from domain.cameras import Camera, CameraKey
from serving.cases.standing import Standing, sightings_standing
from serving.database import queries, tables
from serving.database.districts import cameras_by_key
from serving.matching.transits import Seen
from serving.search.messages import SightingId
from serving.search.search import SightingKey, seen_in
from serving.search.seen_at import SeenAt, seen_of


def whereabouts(connection: sa.Connection, watches: Sequence[sa.Row[Any]]) -> dict[int, list[Seen]]:
    """Where and when the person of each watch was: by its question, and by the matches of its case since.

    Args:
        connection: to the database.
        watches: rows of `tables.watches`.
    """
    matches, others = (_judged(connection, watches, each) for each in (Standing.CONFIRMED, Standing.REJECTED))
    keys = {row.id: matches[row.case_id] | (_confirmed(row.question) - others[row.case_id]) for row in watches}
    every = set().union(*keys.values())
    stored = {(one.district, one.id): seen_in(one) for one in queries.tracklets(connection, every)} if every else {}
    cameras = cameras_by_key(connection)
    return {
        row.id: [*(stored[key] for key in keys[row.id] & stored.keys()), *_told(row.question, cameras)]
        for row in watches
    }


def _judged(
    connection: sa.Connection, watches: Sequence[sa.Row[Any]], standing: Standing
) -> defaultdict[int, set[SightingKey]]:
    """The sightings of this standing in the cases of watches."""
    of_case: defaultdict[int, set[SightingKey]] = defaultdict(set)
    cases = tables.cases.c.id.in_({row.case_id for row in watches})
    for case, key in sightings_standing(connection, cases, standing):
        of_case[case].add(key)
    return of_case


def _confirmed(question: Mapping[str, Any]) -> set[SightingKey]:
    """The sightings that the question said to be of the person."""
    named = [SightingId.model_validate(one) for one in question.get("confirmed", [])]
    return {(one.district, one.tracklet_id) for one in named}


def _told(question: Mapping[str, Any], cameras: Mapping[CameraKey, Camera]) -> Iterator[Seen]:
    """Where and when others saw the person; a camera whose district was removed since tells nothing."""
    names = {f"{district}/{camera}" for district, camera in cameras}
    for one in map(SeenAt.model_validate, question.get("seen_at", [])):
        if one.camera is None or one.camera in names:
            yield seen_of(one, cameras)
