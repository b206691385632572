"""The ring: the last hours of live cameras, in encrypted pieces of some seconds that lie beside the crops.

A piece is an MPEG transport stream with the camera's own packets. Its name says from when to when it lasts, and of
which connection it is: pieces of one connection can be joined. The oldest go when hours or bytes are used up, except
what lies around sightings of cases under legal hold.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from domain.errors import ArtifactError
from serving.database import tables
from serving.database.crops import Crops
from serving.database.holds import held_sightings

AROUND = timedelta(seconds=60)  # of a held sighting: its recording stays
_TOP = "ring"
_PIECE = re.compile(
    rf"{_TOP}/(?P<district>.+)/(?P<camera>[^/]+)/\d{{10}}/(?P<connection>\d+)-(?P<start>\d+)-(?P<end>\d+)\.ts"
)
_MOST_JOINED = 200  # pieces of a clip

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Piece:
    """Some seconds of a camera's video."""

    district: str
    camera_id: str
    connection: int
    start: datetime  # of its first frame
    end: datetime  # of its last frame
    num_bytes: int = 0

    @property
    def path(self) -> str:
        """Path below the address of the crops; a folder an hour."""
        numbers = f"{self.connection}-{_ms(self.start)}-{_ms(self.end)}"
        return f"{_TOP}/{self.district}/{self.camera_id}/{self.start:%Y%m%d%H}/{numbers}.ts"


@dataclass(frozen=True)
class Ring:
    """Pieces of live cameras' video, encrypted as crops are. Safe to share between threads."""

    files: Crops

    def put(self, piece: Piece, content: bytes) -> None:
        """Write a piece.

        Raises:
            OSError: if it cannot be written, such as on a full disk.
        """
        self.files.write_files({piece.path: content})

    def covers(self, district: str, camera_id: str, moment: datetime) -> bool:
        """Whether there is a piece of this moment."""
        return any(piece.start <= moment <= piece.end for piece in self._around(district, camera_id, moment, moment))

    def recording(
        self, district: str, camera_id: str, moment: datetime, since: datetime, until: datetime
    ) -> list[Piece]:
        """Pieces of the connection that sent `moment`, in order, of which each reaches into `since` to `until`."""
        near = self._around(district, camera_id, since, until)
        connections = {piece.connection for piece in near if piece.start <= moment <= piece.end}
        found = [one for one in near if one.connection in connections and one.end >= since and one.start <= until]
        return sorted(found, key=lambda piece: piece.start)[:_MOST_JOINED]

    def joined(self, pieces: Iterable[Piece]) -> bytes:
        """The video of consecutive pieces, those that cannot be read left out."""
        contents = []
        for piece in pieces:
            try:
                contents.append(self.files.read(piece.path))
            except (FileNotFoundError, ArtifactError):  # it went meanwhile, or was cut short by a kill
                continue
        return b"".join(contents)

    def pieces(self, district: str | None = None, camera_id: str | None = None) -> list[Piece]:
        """All pieces, of one camera or of all, oldest first."""
        folder = "/".join([_TOP, *(part for part in (district, camera_id) if part is not None)])
        return sorted(_pieces(self.files.sizes(folder)), key=lambda piece: piece.start)

    def remove_oldest(
        self, pieces: Sequence[Piece], before: datetime, most_bytes: float, kept: Collection[Span] = ()
    ) -> int:
        """Remove the oldest of `pieces`: those that ended before `before` or are too many bytes; returns their number.

        Pieces that reach into a span of `kept` stay, and do not count.
        """
        free = [one for one in pieces if not any(one.start <= end and one.end >= start for start, end in kept)]
        excess = sum(piece.num_bytes for piece in free) - most_bytes
        gone = []
        for piece in free:
            if piece.end >= before and excess <= 0:
                break
            gone.append(piece.path)
            excess -= piece.num_bytes
        return len(gone) - len(self.files.delete(gone))

    def _around(self, district: str, camera_id: str, since: datetime, until: datetime) -> list[Piece]:
        """Pieces in the folders of these hours, and of the hour before: a piece may begin there."""
        hour = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        found: list[Piece] = []
        while hour <= until:
            found += _pieces(self.files.sizes(f"{_TOP}/{district}/{camera_id}/{hour:%Y%m%d%H}"))
            hour += timedelta(hours=1)
        return found


def held_spans(connection: sa.Connection, district: str, camera_id: str) -> list[Span]:
    """Times of a camera whose recording stays, because a case under legal hold has a sighting there."""
    seen = tables.tracklets
    is_held = sa.tuple_(seen.c.district, seen.c.id).in_(held_sightings())
    of_camera = (seen.c.district == district) & (seen.c.camera_id == camera_id)
    rows = connection.execute(sa.select(seen.c.first_seen, seen.c.last_seen).where(of_camera, is_held))
    return [(row.first_seen - AROUND, row.last_seen + AROUND) for row in rows]


def _pieces(sizes: dict[str, int]) -> list[Piece]:
    found = ((_PIECE.fullmatch(path), size) for path, size in sizes.items())
    return [
        Piece(
            match["district"],
            match["camera"],
            int(match["connection"]),
            _moment(int(match["start"])),
            _moment(int(match["end"])),
            size,
        )
        for match, size in found
        if match is not None
    ]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
