"""Attributes of tracklets as a search by description reads them: narrow rows, for it reads those of every tracklet.

A probability is a whole number of millionths, as precise as it is stored in `tracklets`, at the place of its label in
an array. Places are given to labels as they come, so a row knows nothing of labels that came later: they count as 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from domain.attribute_query import LEAST_PROBABILITY, SURE_PROBABILITY, AttributeQuery, GroupQuery
from serving.database import tables

_SUREST = ""  # no label is called so: the place of a group's highest probability
_Label = tuple[str, str]  # group and label


def attribute_rows(connection: sa.Connection, tracklets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `tracklet_attributes` for rows of `tracklets`; new labels get places. The caller has locked writers."""
    described = [_millionths(row["attributes"]) for row in tracklets]
    places = _places(connection, {label for each in described for label in each})
    own = [column.name for column in tables.tracklet_attributes.c if column.name in tables.tracklets.c]
    return [
        {name: row[name] for name in own} | {"tracklet_id": row["id"], "probabilities": _in_places(each, places)}
        for row, each in zip(tracklets, described, strict=True)
    ]


def log_likelihood(connection: sa.Connection, description: AttributeQuery) -> sa.ColumnElement[float]:
    """Sum over groups of the logarithm of how well a row fits: as `serving.matching.description` has it."""
    table = tables.attribute_labels
    asked = sa.select(table).where(table.c.group_name.in_(list(description)))
    places = {(row.group_name, row.label): row.place for row in connection.execute(asked)}
    logs = [sa.func.ln(_fit(group, wanted, places)) for group, wanted in description.items()]
    return sum(logs[1:], start=logs[0])


def _fit(group: str, wanted: GroupQuery, places: Mapping[_Label, int]) -> sa.ColumnElement[float]:
    """Probability that an allowed label of `group` holds, `LEAST_PROBABILITY`..1."""
    allowed = [_at(places.get((group, label))) for label in wanted.allowed]
    likely: sa.ColumnElement[Any] = sa.cast(sum(allowed[1:], start=allowed[0]), sa.Float) / sa.literal(1e6, sa.Float)
    if wanted.or_unknown:
        unsure = _at(places.get((group, _SUREST))) < round(1e6 * SURE_PROBABILITY)
        likely = sa.case((unsure, sa.func.greatest(likely, wanted.chance)), else_=likely)
    return sa.func.least(sa.func.greatest(likely, LEAST_PROBABILITY), 1.0)


def _at(place: int | None) -> sa.ColumnElement[int]:
    """Millionths at a place of a row."""
    probabilities = tables.tracklet_attributes.c.probabilities
    return sa.func.coalesce(probabilities[place], 0) if place is not None else sa.literal(0)


def _millionths(attributes: Mapping[str, Mapping[str, float]]) -> dict[_Label, int]:
    """Probabilities of a tracklet, and of each group the highest."""
    labels = {(group, label): p for group, each in attributes.items() for label, p in each.items()}
    surest = {(group, _SUREST): max(each.values(), default=0.0) for group, each in attributes.items()}
    return {label: round(1e6 * probability) for label, probability in (labels | surest).items()}


def _places(connection: sa.Connection, labels: set[_Label]) -> dict[_Label, int]:
    """Where each of `labels` is, from 1 on as PostgreSQL counts; new ones get the next places."""
    table = tables.attribute_labels
    known = {(row.group_name, row.label): row.place for row in connection.execute(sa.select(table))}
    new = {label: place for place, label in enumerate(sorted(labels - set(known)), start=len(known) + 1)}
    if new:
        rows = [{"group_name": group, "label": label, "place": place} for (group, label), place in new.items()]
        connection.execute(sa.insert(table), rows)
    return known | new


def _in_places(millionths: Mapping[_Label, int], places: Mapping[_Label, int]) -> list[int]:
    array = [0] * max((places[label] for label in millionths), default=0)
    for label, number in millionths.items():
        array[places[label] - 1] = number
    return array
