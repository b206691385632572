"""The trail of a sighting: the models that made it and those added for searches, with their versions, runs and data.

Each process that works on the store records of which models its deployment consists, so that the trail of a sighting
leads to them also when the deployment is gone.
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, TypeAdapter
from sqlalchemy.dialects import postgresql

from domain.errors import InputError
from domain.model_card import Task
from domain.registered import ModelOrigin
from serving.database import tables

_ORIGINS = TypeAdapter(tuple[ModelOrigin, ...])


class ModelOfSighting(BaseModel):
    """A model that says something of a sighting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    model_version: str
    has_made_it: bool  # when the video was processed; else it was added for searches
    origin: ModelOrigin | None  # None: no deployment with it was recorded


class Trail(BaseModel):
    """Models of a sighting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    district: str
    tracklet_id: int
    deployment_version: str | None  # that processed the video; None if unknown
    models: list[ModelOfSighting]


def record(connection: sa.Connection, version: str, models: Sequence[ModelOrigin]) -> None:
    """Records of which models a deployment consists. What the registry says of them now counts."""
    table = tables.deployments
    new = postgresql.insert(table).values(version=version, models=_ORIGINS.dump_python(tuple(models), mode="json"))
    connection.execute(new.on_conflict_do_update(index_elements=["version"], set_={"models": new.excluded.models}))


def trail(connection: sa.Connection, district: str, tracklet_id: int) -> Trail:
    """The trail of a stored sighting.

    Raises:
        InputError: if it is not stored.
    """
    seen, segments = tables.tracklets, tables.segments
    of_sighting = (seen.c.district == district) & (seen.c.id == tracklet_id)
    query = sa.select(seen.c.day, seen.c.model_version, segments.c.deployment_version)
    made = connection.execute(query.join_from(seen, segments).where(of_sighting)).first()
    if made is None:
        raise InputError(
            f"a trail must be of a stored sighting, got {district}/{tracklet_id}", code="sightings_removed"
        )
    recorded = {
        row.version: _ORIGINS.validate_python(row.models) for row in connection.execute(sa.select(tables.deployments))
    }
    by: dict[tuple[Task, str], bool] = {
        (one.task, one.model_version): True for one in recorded.get(made.deployment_version, ())
    }
    by |= {("reid", made.model_version): True}
    learnt: tuple[tuple[Task, sa.Table], ...] = (
        ("reid", tables.tracklet_embeddings),
        ("attributes", tables.tracklet_attributes),
    )
    for task, table in learnt:
        same = (table.c.district == district) & (table.c.tracklet_id == tracklet_id) & (table.c.day == made.day)
        versions = sa.select(table.c.model_version).where(same).order_by(table.c.model_version)
        by = {**dict.fromkeys(((task, one) for one in connection.execute(versions).scalars() if one), False), **by}
    every = [one for models in recorded.values() for one in models]
    every.sort(key=lambda one: one.registered is not None)  # a deployment that was not promoted may have the same model
    origins = {(one.task, one.model_version): one for one in every}
    return Trail(
        district=district,
        tracklet_id=tracklet_id,
        deployment_version=made.deployment_version,
        models=[
            ModelOfSighting(
                task=task, model_version=version, has_made_it=has_made_it, origin=origins.get((task, version))
            )
            for (task, version), has_made_it in sorted(by.items(), key=lambda one: (not one[1], one[0]))
        ],
    )


def lines_of(found: Trail) -> Iterator[str]:
    """The trail as text, a line for each step."""
    yield f"sighting {found.district}/{found.tracklet_id}, by the deployment {found.deployment_version or 'unknown'}"
    for model in found.models:
        yield f"{model.task} {model.model_version}{'' if model.has_made_it else ', added for searches'}"
        origin = model.origin
        if origin is None:
            yield "  no deployment with it was recorded"
            continue
        if origin.registered is not None:
            yield f"  registered as {origin.registered.registered_model} {origin.registered.registered_version}"
            yield from (f"  {name}: {text}" for name, text in sorted(origin.registered.promotion.items()))
        counts = origin.registered.data_counts if origin.registered is not None else {}
        counted = "".join(f", {number} {name}" for name, number in sorted(counts.items()))
        data = f"{origin.data_hash or 'unknown'} of {origin.district}{counted}"
        yield f"  run {origin.mlflow_run or 'unknown'}, data {data}"
        yield f"  commit {origin.git_revision or 'unknown'}" + (f", from {origin.source}" if origin.source else "")
