"""Endpoint of /v1 for the models behind a sighting."""

from typing import Annotated

from fastapi import APIRouter, Query

from serving.cases.visible import require_in_view
from serving.database import audit, deployments
from serving.database.audit import Action
from serving.database.deployments import Trail
from serving.web.case_api import CaseId
from serving.web.dependencies import CurrentAccount, Transaction
from serving.web.errors import declared
from serving.web.footage_api import SightingInPath

router = APIRouter()


@router.get("/trail/{district}/{tracklet_id}", responses=declared(400, 404, 503))
def trail(
    connection: Transaction, account: CurrentAccount, sighting: SightingInPath, case: Annotated[CaseId, Query()]
) -> Trail:
    """Models that made a sighting which the case shows, and those that came later: versions, runs, data, commits."""
    require_in_view(connection, account, case, sighting)
    found = deployments.trail(connection, sighting.district, sighting.tracklet_id)
    details = {"case_id": case, "district": sighting.district, "tracklet_id": sighting.tracklet_id}
    audit.append(connection, account.name, Action.TRAIL, details)
    return found
