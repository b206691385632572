"""Views of recordings, recorded in the audit with case and reason before they are answered."""

import sqlalchemy as sa

from serving.access.accounts import Account
from serving.cases.visible import require_in_view
from serving.database import audit
from serving.database.audit import Action
from serving.footage.footage import Window
from serving.search.messages import SightingId


def record_footage(
    connection: sa.Connection,
    account: Account,
    case_id: int,
    reason: str,
    sighting: SightingId,
    window: Window | None = None,
) -> None:
    """Record that the full frame of a sighting is shown, or a clip of `window` beside it.

    Raises:
        UnknownCaseError, InputError, UnknownSightingError: as `require_in_view`.
    """
    require_in_view(connection, account, case_id, sighting)
    details = {"case_id": case_id, "reason": reason, **sighting.model_dump()}
    if window is not None:
        details |= {
            "camera_id": window.camera_id,
            "since": window.since.isoformat(),
            "until": window.until.isoformat(),
        }
    audit.append(connection, account.name, Action.FOOTAGE, details)
