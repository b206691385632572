"""The BentoML service PersonSearch: `bentoml serve serving.service:PersonSearch`, or from the Bento of `package`.

Its engines and `params.yaml` lie beside its code, so the same module runs from the repository and from a Bento.
"""

import gc
import os
import sys
from pathlib import Path

import bentoml
from _bentoml_sdk.service.config import SSLSchema
from bentoml._internal.utils.analytics import usage_stats
from starlette.middleware.authentication import AuthenticationMiddleware
from threadpoolctl import threadpool_limits

from domain.errors import InputError
from domain.privacy import TELEMETRY_OFF, switch_telemetry_off
from serving.batched_engines import BatchedEngines
from serving.deployment import Deployment
from serving.footage.footage import Footage
from serving.logs import write_json_logs
from serving.supervisor import mend_supervisor
from serving.watching.lapses import Lapses
from serving.watching.watcher import Watcher
from serving.watching.webhook import Webhook
from serving.web.api import build_api
from serving.web.connections import limit_connections
from serving.web.gate import Gate, credential
from serving.web.http_settings import CIPHERS
from serving.web.middleware.account import account_name
from serving.web.middleware.metrics import DatabaseFigures, own_metrics_folder
from serving.web.middleware.overload import AtMost, AtMostOf, Deadline, HeldRefusals, SteadyBody
from serving.web.middleware.private_answers import PrivateAnswers
from serving.web.middleware.rate_limit import PacedBodies, RateLimit
from serving.web.middleware.refusals import RefusalsInAudit
from serving.web.middleware.request_log import RequestLog
from serving.web.operator_page import build_page
from serving.web.sign_in import refuse
from serving.web.watch_api import EVENTS, EVENTS_S

switch_telemetry_off()
usage_stats.do_not_track.cache_clear()  # `bentoml serve` has cached the setting before it imports this
write_json_logs()
mend_supervisor()  # it imports this before it begins to listen
threadpool_limits(1, "blas")  # its threads keep a core busy for tens of ms after a product, which the database needs
sys.setswitchinterval(0.001)  # a search waits for the interpreter many times, each time behind who holds it: 5 ms else
_metrics_folder = own_metrics_folder()
_deployment = Deployment.read(Path(__file__).resolve().parent.parent)
_http = _deployment.settings.service
try:
    _store = _deployment.store
    if _http.tls is not None:
        _http.tls.require_private_key()
except InputError as error:  # a line instead of a traceback, before anything listens
    sys.exit(f"error: {error}")
_api, _page = build_api(), build_page()
_gate = _page.state.gate = Gate(_deployment.settings.access)
limit_connections(_http)
os.environ["FORWARDED_ALLOW_IPS"] = ",".join(map(str, _http.trusted_proxies))  # uvicorn reads it when it starts
_ssl: SSLSchema = {"enabled": _http.tls is not None}
if _http.tls is not None:
    _ssl |= {"certfile": str(_http.tls.certificate), "keyfile": str(_http.tls.key), "ciphers": CIPHERS}


@bentoml.service(
    name="PersonSearch",
    workers=1,
    http={"host": _http.host, "port": _http.port},
    ssl=_ssl,
    traffic={"timeout": _http.longest_request_s},  # never reached: middleware.overload answers before, in our form
    runner_probe={"enabled": False},  # __is_ready__ checks the engines itself
    tracing={"excluded_urls": ".*"},  # no collector of spans runs, and refused requests would pay for them too
    logging={"access": {"enabled": False}},  # serving.web.middleware.request_log writes it
    envs=[{"name": "BENTOML_DO_NOT_TRACK", "value": TELEMETRY_OFF["BENTOML_DO_NOT_TRACK"]}],
)
@bentoml.asgi_app(_page, path="/")
@bentoml.asgi_app(_api, path="/v1")
class PersonSearch:
    """Finds the sightings of a person in a photo; /readyz when the engines and the store answer."""

    _engines = bentoml.depends(BatchedEngines)

    def __init__(self) -> None:
        """Load nothing yet; /readyz and /v1/status report missing engines or a missing store."""
        self._search_service = _deployment.open_search(self._engines)
        _api.state.search_service = _page.state.search_service = self._search_service
        _gate.store = self._search_service.store
        _api.state.footage = Footage(self._search_service.store, _deployment.settings.footage)
        _api.state.footage.start()
        _api.state.watcher = Watcher(self._search_service, _deployment.settings.search)
        _api.state.watcher.start()
        _api.state.events_s = EVENTS_S
        self._lapses = Lapses(self._search_service.store)
        self._lapses.start()
        address = _deployment.settings.alerts.webhook
        self._webhook = Webhook(address, self._search_service.store) if address is not None else None
        if self._webhook is not None:
            self._webhook.start()
        _api.state.max_upload_bytes = _http.max_upload_bytes
        _api.state.threads = _http.threads
        _api.state.viewing = _deployment.settings.viewing
        _api.state.cases = _page.state.cases = _deployment.settings.cases
        gc.freeze()  # a full collection stops all threads for 0.15 s, to look at what the modules hold until the end

    def __is_ready__(self) -> bool:
        """Whether a search can be answered; BentoML calls it for /readyz."""
        return self._search_service.reason_not_ready() is None

    @bentoml.on_shutdown
    def close(self) -> None:
        """Leave the store; the embedded database stops with its last user."""
        _api.state.watcher.close()
        self._lapses.close()
        if self._webhook is not None:
            self._webhook.close()
        _api.state.footage.close()
        self._search_service.close()


assert isinstance(PersonSearch, bentoml.Service), "what bentoml.service makes of the class"
PersonSearch.add_asgi_middleware(RequestLog)  # the outermost, around all of BentoML's own answers too
PersonSearch.add_asgi_middleware(PrivateAnswers)
PersonSearch.add_asgi_middleware(HeldRefusals)
PersonSearch.add_asgi_middleware(AtMostOf, most=_http.max_concurrent_per_account, client=credential)
PersonSearch.add_asgi_middleware(AtMost, most=_http.max_concurrent, below="/v1/", but=[EVENTS])  # before the database
PersonSearch.add_asgi_middleware(Deadline, seconds=_http.timeout_s)
PersonSearch.add_asgi_middleware(RefusalsInAudit, store=lambda: _api.state.search_service.store())
PersonSearch.add_asgi_middleware(AuthenticationMiddleware, backend=_gate, on_error=refuse)  # and this too
PersonSearch.add_asgi_middleware(AtMostOf, most=_http.max_concurrent_per_account, client=account_name)
PersonSearch.add_asgi_middleware(SteadyBody, min_bytes_s=_http.min_bytes_s, grace_s=_http.grace_s)
PersonSearch.add_asgi_middleware(
    RateLimit,
    requests_per_minute=_http.requests_per_minute,
    searches_per_minute=_http.searches_per_minute,
    crops_per_minute=_http.crops_per_minute,
)
PersonSearch.add_asgi_middleware(PacedBodies, bytes_s=_http.upload_bytes_s, burst=_http.max_upload_bytes)
PersonSearch.add_asgi_middleware(DatabaseFigures, store=lambda: _api.state.search_service.store())
