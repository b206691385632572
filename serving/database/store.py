"""The store of sightings: PostgreSQL with pgvector for rows and embeddings, files for crops.

Without an address it is an embedded PostgreSQL in `<folder>/postgres`, a real server that comes from the package
registry and is shared by all processes that open the same folder; `DATABASE_URL` names another. Crops lie in
`<folder>/crops`. `DATABASE_REPLICA_URL` may name a read replica of the database, for searches.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from domain.cameras import Camera
from domain.tracklets import Tracklet
from serving.database import audit, removals, segments, tables, tracklet_rows
from serving.database.attribute_rows import attribute_rows
from serving.database.connection import connect, connect_replica
from serving.database.crops import open_crops
from serving.database.damage import Damage
from serving.database.embedded import EmbeddedServer
from serving.database.holds import require_no_hold
from serving.database.locks import hold_removers, lock_cases, lock_crops, lock_writers
from serving.database.orphans import delete_orphans
from serving.database.partitions import create_partitions, day_of
from serving.database.replica import Replica
from serving.database.segments import Looks, ProcessedVideo, RegisteredSegment, require_storable, videos_of
from serving.database.watches import announce_sightings


def open_store(folder: Path, url: str | None = None) -> "Store":
    """Opens the store in `folder`, and creates its tables when new; close it, or use it as a context manager.

    Args:
        folder: for crops, and for the embedded database when there is no address.
        url: of another PostgreSQL with pgvector; the environment's `DATABASE_URL` when None.

    Raises:
        InputError: if the database at the address does not answer, or a replica is named for an embedded one.
        ArtifactError: if the embedded database does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    engine, embedded = connect(folder / "postgres", url)
    try:
        return Store(folder, engine, embedded, connect_replica(engine, embedded))
    except BaseException:
        engine.dispose()
        if embedded is not None:
            embedded.close()
        raise


class Store(AbstractContextManager["Store"]):
    """Database and crops of one or more districts; `open_store` makes it. Safe to share between threads.

    It has the operations that write rows together with crops. All others are functions of a connection, see the modules
    beside this one.

    Args:
        folder: folder of the crops.
        engine: of the database; the store disposes of it.
        embedded: open server of the database, if it is an embedded one; the store closes it.
        replica: of the database, if it has one; the store disposes of its engine.
    """

    def __init__(
        self, folder: Path, engine: sa.Engine, embedded: EmbeddedServer | None = None, replica: Replica | None = None
    ) -> None:
        self.folder = folder
        self.crops = open_crops(folder)
        self.engine = engine
        self.replica = replica
        self.damage = Damage(engine)
        self._embedded = embedded

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the last process to do so stops the embedded server. Idempotent."""
        self.engine.dispose()
        if self.replica is not None:
            self.replica.engine.dispose()
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            embedded.close()

    def replica_that_keeps_up(self) -> Replica | None:
        """The read replica; None without one, or while it does not keep up."""
        return self.replica if self.replica is not None and self.replica.keeps_up() else None

    def begin(self) -> AbstractContextManager[sa.Connection]:
        """A connection in a transaction, which is committed at the end of the context."""
        return self.engine.begin()

    def replace_sightings(
        self,
        district: str,
        cameras: Sequence[Camera],
        model_version: str,
        tracklets: Iterable[Tracklet],
        *,
        time_zone: str = "UTC",
        videos: Mapping[str, ProcessedVideo] | None = None,
        deployment_version: str | None = None,
        attributes_version: str = "",
    ) -> None:
        """Replaces everything stored for `district` in one transaction. Idempotent.

        Segments and gaps of `district` are replaced too; each camera of `videos` gets one segment that is done. Cases
        lose their sightings and verdicts of `district`, for the numbers now mean other people. The audit and the table
        `removals` record what was removed.

        Args:
            district: name of the district.
            cameras: all cameras of the district, also those without tracklets.
            model_version: `ModelCard.version` of the re-ID engine.
            tracklets: tracklets of all cameras, with ids that are unique in the district.
            time_zone: time zone of the district, by its IANA name; times are shown in it.
            videos: video of each camera, by camera id; without one, a camera's segment lasts from its first tracklet to
                its last.
            deployment_version: `version_of_deployment` of all engines; None if unknown.
            attributes_version: `ModelCard.version` of the attribute engine; empty if unknown, or without one.

        Raises:
            InputError: if embeddings differ in length, an id occurs twice, a tracklet's camera is not among `cameras`,
                or a case under legal hold has sightings of `district`.
            OSError: if a crop of what was replaced cannot be deleted; everything else is done.
        """
        new = list(tracklets)
        require_storable(new, {camera.id for camera in cameras})
        processed = {**videos_of(new), **(videos or {})}
        by_camera = {camera_id: [one for one in new if one.camera_id == camera_id] for camera_id in processed}
        with hold_removers(self.engine):
            with self.begin() as connection:
                require_no_hold(connection, district)  # before crops are written, and again below
                ids = {camera_id: segments.next_id(connection) for camera_id in processed}
            for camera_id, segment_id in ids.items():
                self.crops.write(district, segment_id, by_camera[camera_id])
            with self.begin() as connection:
                lock_writers(connection)
                lock_cases(connection)
                replaced = removals.remove_district(connection, district)
                connection.execute(sa.insert(tables.districts), {"name": district, "time_zone": time_zone})
                connection.execute(
                    sa.insert(tables.cameras), [{"district": district, **camera.model_dump()} for camera in cameras]
                )
                for camera_id, video in processed.items():
                    segment = segments.insert_processed(connection, ids[camera_id], district, camera_id, video)
                    _fill_segment(
                        connection, segment, by_camera[camera_id], model_version, attributes_version,
                        deployment_version=deployment_version, frames=video.frames, end=video.end,
                        damage=video.damage, looks=video.looks, left_out=video.left_out,
                    )  # fmt: skip
                if replaced is not None:
                    audit.append_replacement(connection, replaced.details)
            orphans = delete_orphans(self.engine, self.crops, [district])
            if replaced is not None:
                with self.begin() as connection:
                    removals.count_crops(connection, replaced.number, orphans.deleted)
        if orphans.failures:
            raise orphans.failures[0]

    def add_sightings(
        self, segment_id: int, tracklets: Iterable[Tracklet], model_version: str, attributes_version: str = ""
    ) -> None:
        """Stores sightings of a segment that goes on, in one transaction. Idempotent.

        `Tracklet.id` is their number in the segment. Their embeddings by other models are stored, too. They are found
        from now on; `add_segment` with no others ends it.

        Raises:
            InputError: if the segment is not registered, embeddings differ in length, or a tracklet is of another
                camera.
        """
        first = segment_id * segments.IDS_A_SEGMENT
        new = [replace(tracklet, id=first + tracklet.id) for tracklet in tracklets]
        with self.begin() as connection:
            lock_crops(connection, segment_id)
            segment = segments.of(connection, segment_id)
            require_storable(new, {segment.camera_id})
            table = tables.tracklets
            stored = set(
                connection.execute(sa.select(table.c.id).where(table.c.segment_id == segment_id)).scalars()
            )  # by a process whose answer was lost
            new = [tracklet for tracklet in new if tracklet.id not in stored]
            if not new:
                return
            self.crops.write(segment.district, segment_id, new)
            lock_writers(connection)
            lock_cases(connection)
            _insert_tracklets(connection, segment, new, model_version, attributes_version)

    def add_segment(
        self,
        segment_id: int,
        tracklets: Iterable[Tracklet],
        model_version: str,
        *,
        frames: int,
        end: datetime,
        damage: str | None = None,
        looks: Looks | None = None,
        left_out: Sequence[tuple[datetime, datetime]] = (),
        deployment_version: str | None = None,
        attributes_version: str = "",
        previous_version: str = "",
    ) -> None:
        """Stores the tracklets of a registered segment and sets it done, in one transaction. Idempotent.

        Tracklets are renumbered by first frame and id, so that ids are unique in their district. Crops are written
        first, so a row never lacks its crop; crops of a killed process are overwritten by the next attempt, or removed
        by the retention. The segment that this one replaces is removed in the same transaction; the audit records it.

        Args:
            segment_id: see `serving.database.segments.register`.
            tracklets: tracklets of the segment.
            model_version: `ModelCard.version` of the re-ID engine.
            frames: number of decoded frames.
            end: end of the segment, with a time zone.
            damage: what could not be decoded.
            looks: how densely it was looked at; None if unknown, which counts as densely.
            left_out: times within it that were not looked at, in order.
            deployment_version: `version_of_deployment` of all engines; None if unknown.
            attributes_version: as of `replace_sightings`.
            previous_version: `ModelCard.version` of the re-ID engine that was in use before, if all sightings of the
                segment have embeddings by it, too; else empty.

        Raises:
            InputError: if the segment is not registered, embeddings differ in length, a tracklet is of another camera,
                or a case under legal hold has sightings of the segment that is replaced.
        """
        ordered = sorted(tracklets, key=lambda tracklet: (tracklet.first_frame, tracklet.id))
        first = segment_id * segments.IDS_A_SEGMENT
        new = [replace(tracklet, id=number) for number, tracklet in enumerate(ordered, start=first + 1)]
        replaced = None
        with self.begin() as connection:
            lock_crops(connection, segment_id)
            segment = segments.of(connection, segment_id)
            require_storable(new, {segment.camera_id})
            if segment.state == "done":
                return
            self.crops.write(segment.district, segment_id, new)
            lock_writers(connection)
            if new or segment.replaces is not None:
                lock_cases(connection)
            segment = segments.of(connection, segment_id, locked=True)
            if segment.replaces is not None:
                replaced = removals.remove_segment(connection, segment.district, segment.replaces)
            _fill_segment(
                connection, segment, new, model_version, attributes_version,
                previous_version=previous_version, deployment_version=deployment_version, frames=frames, end=end,
                damage=damage, looks=looks, left_out=left_out,
            )  # fmt: skip
            if replaced is not None:
                audit.append_replacement(connection, replaced.details)
        if replaced is not None and segment.replaces is not None:
            paths = self.crops.of_segment(segment.district, segment.replaces)
            failures = self.crops.delete(paths)  # the next retention deletes the others
            with self.begin() as connection:
                removals.count_crops(connection, replaced.number, len(paths) - len(failures))


def _fill_segment(
    connection: sa.Connection,
    segment: RegisteredSegment,
    tracklets: Sequence[Tracklet],
    model_version: str,
    attributes_version: str,
    *,
    previous_version: str = "",
    deployment_version: str | None,
    frames: int | None,
    end: datetime,
    damage: str | None,
    looks: Looks | None,
    left_out: Sequence[tuple[datetime, datetime]],
) -> None:
    """Inserts the rows of a segment and sets it done. Searches may wait from the rows to the commit."""
    if tracklets:
        _insert_tracklets(connection, segment, tracklets, model_version, attributes_version)
    segments.finish(
        connection, segment.id, tracklets, model_version, attributes_version, previous_version=previous_version,
        deployment_version=deployment_version, frames=frames, end=end, damage=damage, looks=looks, left_out=left_out,
    )  # fmt: skip


def _insert_tracklets(
    connection: sa.Connection,
    segment: RegisteredSegment,
    tracklets: Sequence[Tracklet],
    model_version: str,
    attributes_version: str,
) -> None:
    create_partitions(connection, (day_of(tracklet.last_seen) for tracklet in tracklets))
    rows = [tracklet_rows.row_of(tracklet, segment, model_version) for tracklet in tracklets]
    pairs = list(zip(rows, tracklets, strict=True))
    embeddings = [
        tracklet_rows.embedding_row(row, embedding, version)
        for row, one in pairs
        for version, embedding in {**one.more_embeddings, model_version: one.embedding}.items()
    ]
    for version, length in {one["model_version"]: len(one["embedding"]) for one in embeddings}.items():
        connection.execute(tables.create_embedding_index(version, length))
    described = attribute_rows(connection, [(row, one.attributes) for row, one in pairs], attributes_version)
    connection.execute(sa.insert(tables.tracklets), rows)
    connection.execute(sa.insert(tables.tracklet_embeddings), embeddings)
    connection.execute(sa.insert(tables.tracklet_attributes), described)
    announce_sightings(connection, rows)
