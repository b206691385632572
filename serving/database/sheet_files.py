"""Where sheets for officers on foot lie, encrypted beside the crops, and the removal of those that are over."""

import sqlalchemy as sa

from serving.database import tables
from serving.database.crops import Crops
from serving.database.open_cases import closed_at

_TOP = "sheets"


def sheet_path(case_id: int, sheet_id: int) -> str:
    """Path of what a sheet's link shows, below the address of the crops."""
    return f"{_TOP}/{case_id}/{sheet_id}.sheet"


def pdf_path(case_id: int, sheet_id: int) -> str:
    """Path of a sheet's PDF, below the address of the crops."""
    return f"{_TOP}/{case_id}/{sheet_id}.pdf"


def is_in_use() -> sa.ColumnElement[bool]:
    """Condition of a sheet, joined with its case: it was not revoked, its time is not over, and its case is open."""
    table = tables.sheets
    return table.c.revoked.is_(None) & (table.c.expires > sa.func.now()) & closed_at().is_(None)


def delete_sheets_out_of_use(connection: sa.Connection, crops: Crops) -> int:
    """Deletes the files of sheets that are out of use or have no row; returns their number."""
    table = tables.sheets
    connection.execute(sa.text("LOCK TABLE sheets IN SHARE MODE"))  # waits for sheets that are being kept
    rows = connection.execute(sa.select(table.c.case_id, table.c.id).join(tables.cases).where(is_in_use()))
    kept = {path(row.case_id, row.id) for row in rows for path in (sheet_path, pdf_path)}
    over = sorted(set(crops.sizes(_TOP)) - kept)
    return len(over) - len(crops.delete(over))
