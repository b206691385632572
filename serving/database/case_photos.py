"""Where photos of cases lie, encrypted beside the crops, and the removal of those whose case is gone."""

import sqlalchemy as sa

from serving.database import tables
from serving.database.crops import Crops

_TOP = "photos"


def photo_path(case_id: int, photo_id: int) -> str:
    """Path of a photo, below the address of the crops."""
    return f"{_TOP}/{case_id}/{photo_id}.photo"


def delete_photos_without_case(connection: sa.Connection, crops: Crops) -> int:
    """Deletes the photos that no row names; returns their number."""
    table = tables.case_photos
    connection.execute(sa.text("LOCK TABLE case_photos IN SHARE MODE"))  # waits for photos that are being kept
    rows = connection.execute(sa.select(table.c.case_id, table.c.id))
    named = {photo_path(row.case_id, row.id) for row in rows}
    unnamed = sorted(set(crops.sizes(_TOP)) - named)
    return len(unnamed) - len(crops.delete(unnamed))
