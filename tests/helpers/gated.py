"""The API and the page behind their gate, in this process."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Mount

from serving.deployment import Deployment
from serving.footage.footage import Footage
from serving.watching.watcher import Watcher
from serving.web.api import build_api
from serving.web.gate import Gate
from serving.web.middleware.refusals import RefusalsInAudit
from serving.web.operator_page import build_page
from serving.web.sign_in import refuse
from tests.helpers.deployments import search_service


def application(deployment: Deployment) -> Starlette:
    """As in `serving.service`, without BentoML's own endpoints."""
    api, page = build_api(), build_page()
    gate = page.state.gate = Gate(deployment.settings.access)
    api.state.search_service = page.state.search_service = search_service(deployment)
    gate.store = api.state.search_service.store
    api.state.footage = Footage(api.state.search_service.store)
    api.state.events_s = 0.1
    api.state.watcher = Watcher(api.state.search_service, deployment.settings.search)
    api.state.max_upload_bytes, api.state.threads = 300_000, 2
    api.state.viewing = deployment.settings.viewing
    api.state.cases = page.state.cases = deployment.settings.cases
    through_gate = Middleware(AuthenticationMiddleware, backend=gate, on_error=refuse)
    in_audit = Middleware(RefusalsInAudit, store=api.state.search_service.store)
    app = Starlette(routes=[Mount("/v1", api), Mount("/", page)], middleware=[in_audit, through_gate])
    app.state.search_service, app.state.gate = api.state.search_service, gate
    return app


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
