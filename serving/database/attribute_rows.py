"""Attributes of tracklets in narrow rows, because a search by description reads the row of every tracklet.

A row is an array with a place for each label. It holds probabilities as whole millionths. New labels get the next
places, so a row ends before the labels that came later: they count as 0. A tracklet has a row of each attribute model
that has described it. Their probabilities mean the same, so that a tracklet which one model has not described can be
compared by those of another.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from domain.attribute_query import LEAST_PROBABILITY, SURE_PROBABILITY, AttributeQuery, GroupQuery
from serving.database import tables

_SUREST = ""  # pseudo label of a group, at whose place the group's highest probability lies
_Label = tuple[str, str]  # group and label
Attributes = Mapping[str, Mapping[str, float]]  # group -> label -> probability


def attribute_rows(
    connection: sa.Connection, described: Sequence[tuple[Mapping[str, Any], Attributes]], model_version: str
) -> list[dict[str, Any]]:
    """Rows of `tracklet_attributes`; gives new labels places. The caller has locked writers.

    Args:
        connection: to the database.
        described: rows of `tracklets` with their attributes.
        model_version: of the attribute model; empty if unknown, or without one.
    """
    attributes = [_millionths(each) for _, each in described]
    places = _places(connection, {label for millionths in attributes for label in millionths})
    columns = ("district", "day", "camera_id", "first_seen", "last_seen")
    return [
        {name: row[name] for name in columns}
        | {"tracklet_id": row["id"], "model_version": model_version, "probabilities": _in_places(millionths, places)}
        for (row, _), millionths in zip(described, attributes, strict=True)
    ]


def attributes_in(connection: sa.Connection, rows: Iterable[Sequence[int]]) -> list[dict[str, dict[str, float]]]:
    """Group -> label -> probability of each array of a row.

    A group belongs to the model that made the row if its highest probability is above 0.
    """
    table = tables.attribute_labels
    labels = [(row.group_name, row.label) for row in connection.execute(sa.select(table).order_by(table.c.place))]
    return [_attributes(labels, millionths) for millionths in rows]


def log_likelihood(connection: sa.Connection, description: AttributeQuery) -> sa.ColumnElement[float]:
    """Log-likelihood of `description` given a row: the sum over groups, as in `serving.matching.description`."""
    table = tables.attribute_labels
    labels = sa.select(table).where(table.c.group_name.in_(list(description)))
    places = {(row.group_name, row.label): row.place for row in connection.execute(labels)}
    logs = [sa.func.ln(_fit(group, query, places)) for group, query in description.items()]
    return sum(logs[1:], start=logs[0])


def _attributes(labels: Sequence[_Label], millionths: Sequence[int]) -> dict[str, dict[str, float]]:
    known = list(zip(labels, millionths, strict=False))  # a row ends before the labels that came later
    attributes: dict[str, dict[str, float]] = {
        group: {} for (group, label), highest in known if label == _SUREST and highest
    }
    for (group, label), number in known:
        if label != _SUREST and group in attributes:
            attributes[group][label] = number / 1e6
    return attributes


def _fit(group: str, query: GroupQuery, places: Mapping[_Label, int]) -> sa.ColumnElement[float]:
    """Probability that an allowed label of `group` applies, `LEAST_PROBABILITY`..1."""
    allowed = [_at(places.get((group, label))) for label in query.allowed]
    likely: sa.ColumnElement[Any] = sa.cast(sum(allowed[1:], start=allowed[0]), sa.Float) / sa.literal(1e6, sa.Float)
    if query.or_unknown:
        unsure = _at(places.get((group, _SUREST))) < round(1e6 * SURE_PROBABILITY)
        likely = sa.case((unsure, sa.func.greatest(likely, query.chance)), else_=likely)
    return sa.func.least(sa.func.greatest(likely, LEAST_PROBABILITY), 1.0)


def _at(place: int | None) -> sa.ColumnElement[int]:
    """Millionths at a place of a row; 0 without a place."""
    probabilities = tables.tracklet_attributes.c.probabilities
    return sa.func.coalesce(probabilities[place], 0) if place is not None else sa.literal(0)


def _millionths(attributes: Attributes) -> dict[_Label, int]:
    """Probabilities of a tracklet in millionths, with the highest of each group."""
    labels = {(group, label): p for group, of_group in attributes.items() for label, p in of_group.items()}
    surest = {(group, _SUREST): max(of_group.values(), default=0.0) for group, of_group in attributes.items()}
    return {label: round(1e6 * probability) for label, probability in (labels | surest).items()}


def _places(connection: sa.Connection, labels: set[_Label]) -> dict[_Label, int]:
    """Place of each label, from 1 as PostgreSQL counts; inserts new labels at the next places."""
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
