"""Endpoint of /v1 for the models behind a sighting. It is asked by POST, so that no address holds the reason."""

from fastapi import APIRouter

from serving.cases.visible import require_in_view
from serving.database import audit, deployments
from serving.database.audit import Action
from serving.database.deployments import Trail
from serving.web.dependencies import CurrentAccount, Transaction
from serving.web.errors import declared
from serving.web.footage_api import SightingInPath, ViewRequest

router = APIRouter()


@router.post("/trail/{district}/{tracklet_id}", responses=declared(400, 404, 408, 413, 503))
def trail(connection: Transaction, account: CurrentAccount, sighting: SightingInPath, asked: ViewRequest) -> Trail:
    """Models that made a sighting which the case shows, and those added for searches: versions, runs, data, commits."""
    require_in_view(connection, account, asked.case, sighting)
    found = deployments.trail(connection, sighting.district, sighting.tracklet_id)
    details = {"case_id": asked.case, "reason": asked.reason, **sighting.model_dump()}
    audit.append(connection, account.name, Action.TRAIL, details)
    return found
