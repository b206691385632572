"""A folder from which the service can run, with tiny engines and a store of coloured people, and who asks it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.paths import TRANSITS
from evaluation.transit import fit_transits, walks_of_people
from evaluation.transit.files import TransitCard, write_transits
from serving.access.accounts import Account, create_account
from serving.access.roles import Role
from serving.cases.cases import open_case
from serving.cases.visible import show_in_case
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.footage.footage import Footage
from serving.perception.perception import Perception
from serving.search.service import SearchService
from serving.watching.watcher import Watcher
from serving.web.api import build_api
from serving.web.gate import AuthenticatedAccount
from tests.helpers.project import ROOT
from tests.helpers.sightings import CAMERAS, tracklet
from tests.helpers.tiny_engines import write_engines

RED, GREEN, BLUE = (220, 60, 40), (40, 220, 60), (30, 50, 230)
PEOPLE = (RED, GREEN, BLUE)
MAX_UPLOAD_BYTES = 300_000
REVIEWER = Account("reviewer", Role.REVIEWER, datetime.now(UTC), expires=None, disabled=None)
FOR_CASE = {"case": "1", "reason": "a child is missing"}  # what every search and route must say; by `fill_store`


class SignedIn:
    """Middleware that hands requests on as `serving.web.gate` does, from an account whom it has let in."""

    def __init__(self, app: ASGIApp, account: Account = REVIEWER) -> None:
        self._app = app
        self._account = account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "user": AuthenticatedAccount(self._account)}, receive, send)


@contextmanager
def client_of(app: Starlette, deployment: Deployment, account: Account = REVIEWER) -> Iterator[TestClient]:
    """Asks `app`, the API or the page, over the engines and store of `deployment` as `account`, who has signed in."""
    app.add_middleware(SignedIn, account=account)
    app.state.search_service = search_service(deployment)
    app.state.footage = Footage(app.state.search_service.store)
    app.state.events_s = 0.1
    app.state.cases = deployment.settings.cases
    app.state.watcher = Watcher(app.state.search_service, deployment.settings.search)
    try:
        with TestClient(app) as client:
            yield client
    finally:
        app.state.footage.close()
        app.state.search_service.close()


@contextmanager
def api_client_of(
    deployment: Deployment, max_upload_bytes: int = MAX_UPLOAD_BYTES, account: Account = REVIEWER
) -> Iterator[TestClient]:
    """Asks the API of `deployment` as `account`."""
    api = build_api()
    api.state.max_upload_bytes, api.state.threads = max_upload_bytes, 2
    api.state.viewing = deployment.settings.viewing
    with client_of(api, deployment, account) as client:
        yield client


def search_service(deployment: Deployment) -> SearchService:
    """Over the engines of `deployment`, in this process."""
    return deployment.open_search(deployment.load_engines())


def token_of(deployment: Deployment, name: str, role: Role) -> str:
    """The token of a new account."""
    with open_store(deployment.store) as store, store.begin() as connection:
        return create_account(connection, name, role, "test")


def write_deployment(folder: Path, reid: int = 0, attributes: float = 3.0) -> Deployment:
    """`params.yaml` with the repository's own settings, and `engines/demo` by `tiny_engines.write_engines`.

    But for an account's requests a minute: a test does in a minute what an operator does in an hour.
    """
    sections = {
        "serving": yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text()),
        "tracking": yaml.safe_load((ROOT / "conf" / "tracking" / "tracklets.yaml").read_text()),
        "reid": {"backbone": "osnet"},
        "district": {"name": "demo"},
    }
    sections["serving"]["service"] |= {f"{each}_per_minute": 1_000_000 for each in ("requests", "searches", "crops")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(sections))
    write_engines(folder / "engines" / "demo", reid, attributes)
    return Deployment.read(folder)


def picture(colour: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A person of this colour: `uint8 [48, 24, 3]`, a little noisy."""
    noise = np.random.default_rng(seed).normal(scale=12, size=(48, 24, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def fill_store(deployment: Deployment) -> None:
    """Each of `PEOPLE` seen four times in turn: tracklets 1, 4, 7, 10 are red, 2, 5, … green, 3, 6, … blue.

    The case 1 shows all of them.
    """
    engines = deployment.open_engines()
    perception = Perception(*engines, deployment.perception)
    crops = [picture(PEOPLE[i % 3], seed=i) for i in range(12)]
    embeddings = perception.embed(crops)
    found = [replace(tracklet(i + 1, embeddings[i], camera=i % 2, after_s=60 * i), crops=[crops[i]]) for i in range(12)]
    with open_store(deployment.store) as store:
        version = engines.reid.card.version
        store.replace_sightings(
            "demo", CAMERAS, version, perception.described(found),
            time_zone="Asia/Seoul", attributes_version=perception.attributes_version,
        )  # fmt: skip
        with store.begin() as connection:
            case = open_case(connection, REVIEWER, "A missing child", operators=[])
            show_in_case(connection, case.id, [("demo", one.id) for one in found])


def write_learnt_times(folder: Path, district: str = "demo") -> str:
    """Transit times in `folder/transits/<district>`: everybody rides from `cam0` to `cam1` in 20 s; their version."""
    begins = 200.0 * np.arange(60)
    people, cameras = np.repeat(np.arange(1, 61), 2), np.tile([1, 2], 60)
    times_s = np.stack([begins, begins + 20 + begins % 3], axis=1).ravel()
    model = fit_transits(walks_of_people(people, cameras, times_s), cameras, times_s)
    transits = folder / TRANSITS.of(district)
    transits.mkdir(parents=True)
    return write_transits(transits, model, TransitCard(district=district, cameras={1: "cam0", 2: "cam1"})).version
