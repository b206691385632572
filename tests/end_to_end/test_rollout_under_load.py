"""A re-ID model goes live and back while people search, judge and are filmed, and each process is killed at any moment.

A deployment is a link to a folder of code and engines; who deploys points it at the next one and restarts its commands.
"""

import random
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from domain.images import decode_jpeg, encode_jpeg
from domain.model_card import read_card, write_card
from domain.paths import BENTO, PREVIOUS
from domain.settings import PARAMS
from serving import package
from serving.access.accounts import create_account
from serving.access.roles import Role
from serving.database import audit, reembedding, tables
from serving.database.crops import crop_paths
from serving.database.reembedding import Models
from serving.database.store import Store, open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from tests.end_to_end.conftest import free_port, succeed, wait_until
from tests.helpers.deployments import BLUE, FOR_CASE, GREEN, picture, write_deployment
from tests.helpers.killed import QUICK
from tests.helpers.project import ROOT
from tests.helpers.recordings import segment_states, write_district
from tests.helpers.rtsp import Server, require_server
from tests.helpers.sightings import CAMERAS, in_transaction, put_into_case
from tests.helpers.tiny_engines import write_engines, write_walker_detector
from tests.helpers.two_models import write_models, write_project
from tests.helpers.units import Unit, kill, victims
from tests.helpers.walkers import COLOURS, Walker
from tests.service.test_reembed import by_model, fill_with, models_of

READY_S = 120
SEARCH_EVERY_S, JUDGE_EVERY_S = 0.4, 1.5
PERSON = COLOURS["red"]  # who is searched for, stored now and then, and filmed
BY = ("--by", "Kim", "--reason", "a test")
OF_REGISTRY = "noise"  # district of the models, by `write_project`
IS_RECORDED = 1_000_000  # sightings of recordings and live cameras have greater numbers than those of `fill_with`
NUM_RECORDINGS = 6  # half of them before the new model is deployed
ALL = (
    "the service", "the engines", "the supervisor", "a worker", "the live cameras", "the re-embedding",
    "the postmaster", "a backend", "everything",
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How much of it."""

    stored: int  # sightings by the old model
    one_in: int  # of the stored sightings shows the person who is searched for; divides 300
    rate: int  # sightings a second of the re-embedding
    kills: tuple[int, int, int]  # while it re-embeds, after the switch and after the roll-back
    victims: Sequence[str]
    is_promoted: bool  # through the registry; else the folders are just written


# Of the processes that need not import the whole service when they start again.
SMALL = Scale(150, 15, 4, (2, 1, 1), ("the engines", "the live cameras", "the re-embedding"), is_promoted=False)
WHOLE = Scale(10_000, 300, 25, (14, 3, 3), ALL, is_promoted=True)


@dataclass(frozen=True)
class Answer:
    """What a client was answered."""

    begin: float
    end: float
    status: int | None  # None: there was no answer
    retry_after: str | None = None
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Version of the re-ID model in use."""
        return str(self.content["model_version"])

    @property
    def seen(self) -> dict[int, datetime]:
        """Number of each sighting that was found, and when it was first seen."""
        hits = self.content.get("sightings", ())
        return {hit["tracklet_id"]: datetime.fromisoformat(hit["first_seen"]) for hit in hits}

    def has_old_and_since(self, moment: datetime) -> bool:
        """Whether it has stored sightings and some that were seen since the moment."""
        return any(number < IS_RECORDED for number in self.seen) and any(time > moment for time in self.seen.values())


@dataclass
class Clients:
    """A person who searches and a person who judges, until `close`, and what they were answered."""

    address: str
    token: str
    searches: list[Answer] = field(default_factory=list)
    judged: list[tuple[int, str, Answer]] = field(default_factory=list)  # sighting, verdict
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._threads = [threading.Thread(target=each) for each in (self._search, self._judge)]
        for each in self._threads:
            each.start()

    def close(self) -> None:
        self._is_over.set()
        for each in self._threads:
            each.join()

    def ask(self, method: str, path: str, **body: Any) -> Answer:
        begin, headers = time.monotonic(), {"Authorization": f"Bearer {self.token}"}
        with suppress(httpx.TransportError):
            answer = httpx.request(method, self.address + path, headers=headers, timeout=READY_S, **body)
            content = answer.json() if answer.status_code == 200 else {}
            retry_after = answer.headers.get("Retry-After")
            return Answer(begin, time.monotonic(), answer.status_code, retry_after, content)
        return Answer(begin, time.monotonic(), None)

    def search(self) -> Answer:
        photo = encode_jpeg(picture(PERSON, seed=777))
        return self.ask("POST", "/v1/search", data=FOR_CASE | {"top_k": "300"}, files={"photo": photo})

    def is_served(self) -> bool:
        return self.search().status == 200

    def answered(self, holds: Callable[[Answer], bool], since: float = 0) -> bool:
        """Whether any search that began later got such an answer."""
        return any(one.status == 200 and one.begin > since and holds(one) for one in self.searches)

    def _search(self) -> None:
        while not self._is_over.wait(SEARCH_EVERY_S):
            self.searches.append(self.search())

    def _judge(self) -> None:
        rng = random.Random(0)
        while not self._is_over.wait(JUDGE_EVERY_S):
            found = list(self.searches[-1].seen) if self.searches else []
            if found:
                number, verdict = rng.choice(found), rng.choice(("confirmed", "none"))
                given = {"district": "demo", "tracklet_id": number, "verdict": verdict}
                self.judged.append((number, verdict, self.ask("POST", "/v1/cases/1/verdicts", json=given)))


def written_release(base: Path, number: int) -> Path:
    """A deployment with the re-ID model `number` and the one before, as `serving.package` stages it."""
    deployment = write_deployment(base / f"release-{number}", reid=number)
    write_walker_detector(deployment.engine(""))
    if number:
        write_engines(base / "before", reid=number - 1)
        shutil.copytree(base / "before" / "reid-osnet", deployment.engine(PREVIOUS) / "reid-osnet")
    package._stage_code(deployment.root)
    return deployment.root


def promoted_release(base: Path, number: int) -> Path:
    """The same, registered, compared with the one before, promoted and packaged by the commands of the manual."""
    project, made = base / "project", base / f"made-{number}"
    if not number:
        write_project(project)
        params = yaml.safe_load((project / PARAMS).read_text())
        limits = {f"{each}_per_minute": 1_000_000 for each in ("requests", "searches", "crops")}
        params["serving"]["service"] |= limits
        (project / PARAMS).write_text(yaml.safe_dump(params))
    write_engines(made, reid=number)
    write_walker_detector(made)
    write_models(base / f"said-{number}", (0.8, 0.97)[number], str(number), seed=number)
    new = ["reid-osnet"] if number else ["detector", "attributes", "reid-osnet"]
    for name in new:
        engine, predicted = (project / stage / OF_REGISTRY / name for stage in ("engines", "predictions"))
        for source, target in ((made / name, engine), (base / f"said-{number}" / name, predicted)):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
        card = read_card(engine).model_copy(update={"district": OF_REGISTRY})
        for folder in (engine, predicted):
            write_card(card, folder)
    python = partial(succeed, project, sys.executable, "-m")
    python("evaluation.register", *new)
    if number:
        python("evaluation.compare", "challenger")
    python("evaluation.promote", *BY)
    python("serving.package", "--from", f"champions/{OF_REGISTRY}")
    return shutil.copytree(project / BENTO.of(OF_REGISTRY) / "src", base / f"release-{number}")


@dataclass
class Running:
    """A deployment in work, and its clients."""

    folder: Path  # a link to the release
    store: Path
    clients: Clients
    units: dict[str, Unit]
    disturbed: list[tuple[float, float]] = field(default_factory=list)  # when a process was killed or replaced

    def begin(self) -> None:
        """Returns when the service answers and the live camera's sightings are found."""
        self._wait(self.clients.is_served, 0)
        self.wait_for(lambda one: max(one.seen, default=0) > IS_RECORDED)

    def wait_for(self, holds: Callable[[Answer], bool], timeout_s: float = READY_S) -> None:
        """Returns when a search from now on gets such an answer."""
        since = time.monotonic()
        wait_until(lambda: self.clients.answered(holds, since), timeout_s, self.log)

    def deploy(self, release: Path) -> None:
        """Point the link at the release and restart all commands; returns when the service is the new one."""
        began, aside = time.monotonic(), self.folder.with_name("next")
        aside.symlink_to(release)
        aside.replace(self.folder)
        replaced = {name: unit.process.pid for name, unit in self.units.items()}
        for unit in self.units.values():
            unit.restart()
        wait_until(lambda: all(unit.process.pid != replaced[name] for name, unit in self.units.items()), 60, self.log)
        self._wait(self.clients.is_served, began)

    def kill(self, name: str) -> None:
        """Kill a process; returns when a search is answered again."""
        wait_until(lambda: len(self._victims(name)) > 0, READY_S, self.log)
        began = time.monotonic()
        kill(self._victims(name))
        time.sleep(3)  # in which what depends on it goes, too
        self._wait(self.clients.is_served, began)

    def kill_some(self, rng: random.Random, names: Sequence[str], number: int) -> None:
        """Kill so many, each of the names before one of them again, at random moments."""
        order = [name for _ in range(number) for name in rng.sample(names, len(names))]
        for name in order[:number]:
            time.sleep(rng.uniform(0, 4))
            self.kill(name)

    def log(self) -> str:
        return "".join(f"{name}:\n{unit.log.read_text()[-2000:]}\n" for name, unit in self.units.items())

    def _victims(self, name: str) -> Sequence[Any]:
        others = {other: unit for other, unit in self.units.items() if other != "the service"}
        return victims(name, self.units["the service"], others, self.store)

    def _wait(self, is_true: Callable[[], bool], began: float) -> None:
        wait_until(is_true, READY_S, self.log)
        self.disturbed.append((began, time.monotonic()))


def fill(store: Path, release: Path, scale: Scale) -> str:
    """Sightings by the release's models and a case under legal hold with some of them; an operator's token."""
    people = (PERSON, *((GREEN, BLUE) * scale.one_in)[: scale.one_in - 1])
    with open_store(store) as opened:
        fill_with(opened, Deployment.read(release), scale.stored, people)
        put_into_case(opened, "demo", [1, 2, scale.stored], legal_hold=True)
        return in_transaction(opened, create_account, "reviewer", Role.REVIEWER, "test")


def take_in(release: Path, district: Path) -> None:
    """The recordings in the district's folder wait for a worker."""
    succeed(release, sys.executable, "-m", "serving.ingest", str(district), "--district", "demo")


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Server]:
    require_server()
    server = Server(tmp_path / "pictures", (Walker("red", 20, 40),), seconds=12).start()
    yield server
    server.kill()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "scale", [pytest.param(SMALL, id="small"), pytest.param(WHOLE, id="whole", marks=pytest.mark.soak)]
)
def test_nothing_is_lost_while_a_model_goes_live_and_back_and_each_process_is_killed(
    scale: Scale, camera: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, live, rng = tmp_path / "store", tmp_path / "live", random.Random(0)
    prepare(tmp_path, monkeypatch)
    release_of = partial(promoted_release if scale.is_promoted else written_release, tmp_path)
    first = release_of(0)
    token, port = fill(store, first, scale), free_port()
    district = write_district(tmp_path / "demo", NUM_RECORDINGS // 2)
    take_in(first, district)
    live.symlink_to(first)
    with open_store(store) as opened:
        stored_before = stored_rows(opened)
    with ExitStack() as stack:
        stack.callback(lambda: open_store(store).close())  # the last one to leave stops the database

        def start(*command: str) -> Unit:
            return stack.enter_context(closing(Unit(live, *command)))

        units = {name: start(*command) for name, command in commands(tmp_path, port, camera).items()}
        clients = stack.enter_context(closing(Clients(f"http://127.0.0.1:{port}", token)))
        running = Running(live, store, clients, units)
        running.begin()

        second = release_of(1)
        newest, before = models_of(Deployment.read(second)), models_of(Deployment.read(first))
        running.deploy(second)
        deployed = datetime.now(UTC)
        all_cameras = write_district(tmp_path / "later", NUM_RECORDINGS)
        for file in all_cameras.rglob("*.*"):  # those that are there stay, for an encoder writes another file each time
            if file.name == "district.yaml" or not (district / "videos" / file.name).exists():
                shutil.copy(file, district / file.relative_to(all_cameras))
        take_in(second, district)
        units["the re-embedding"] = start("serving.reembed", "--follow", "--rate", str(scale.rate))
        running.kill_some(rng, scale.victims, scale.kills[0])
        running.wait_for(lambda one: one.model == newest.reid, 60 + scale.stored / scale.rate)
        switched = datetime.now(UTC)
        running.kill_some(rng, scale.victims, scale.kills[1])
        succeed(live, sys.executable, "-m", "serving.rollout", "use", before.reid, *BY)
        running.kill_some(rng, scale.victims, scale.kills[2])
        running.wait_for(lambda one: one.model == before.reid and one.has_old_and_since(switched))
        clients.close()

        opened = stack.enter_context(open_store(store))
        wait_until(partial(is_whole, opened, newest), 300, running.log)
    told = require_answers(running)
    assert clients.answered(lambda one: one.model == before.reid and one.has_old_and_since(deployed))  # mixed period
    assert clients.answered(lambda one: one.model == newest.reid and one.has_old_and_since(deployed))
    with open_store(store) as opened:
        require_nothing_lost(opened, clients, stored_before)
        require_both_embeddings(opened, Deployment.read(second), before.reid, min(300, scale.stored))
    with capsys.disabled():
        print(f"\n{scale}: {told}")


def prepare(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all commands have one store, and models be made in a folder of their own."""
    monkeypatch.setenv("DONGSEON_STORE", str(base / "store"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (base / "project").mkdir()
    monkeypatch.chdir(base / "project")


def commands(base: Path, port: int, camera: Server) -> dict[str, tuple[str, ...]]:
    """What runs of a deployment from the beginning."""
    streams = base / "cameras.yaml"
    streams.write_text(yaml.safe_dump({"district": "demo", "cameras": {CAMERAS[2].id: camera.address()}}))
    quick = (f"serving.streams.{each}" for each in (f"file={streams}", "segment_s=10", "max_lost_s=1"))
    return {
        "the service": ("bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)),
        "a worker": ("serving.worker", *QUICK, "serving.ingest.max_attempts=100"),
        "the live cameras": ("serving.streams", *quick),
    }


def stored_rows(store: Store) -> list[tuple[Any, ...]]:
    """What the store holds of sightings by `fill_with`, but for models that come later, and of cases under hold."""
    seen, cases = tables.tracklets, tables.cases
    with store.begin() as connection:
        rows = connection.execute(sa.select(seen).where(seen.c.id < IS_RECORDED).order_by(seen.c.id)).all()
        held = connection.execute(sa.select(cases).where(cases.c.legal_hold).order_by(cases.c.id)).all()
    return [tuple(map(str, row)) for row in (*rows, *held)]


def is_whole(store: Store, models: Models) -> bool:
    """Whether all recordings are done, and all sightings have what the models say."""
    states = segment_states(store)
    are_done = all(state == "done" for source, state in states.items() if source.endswith(".mp4"))
    return are_done and not in_transaction(store, reembedding.pending_segments, models, 1)


def require_answers(running: Running) -> Counter[str]:
    """No request failed but while a process was killed or replaced, or by a 503 that says when to ask again.

    Returns how many there were of each.
    """
    told: Counter[str] = Counter()
    asked = {"search": running.clients.searches, "verdict": [answer for *_, answer in running.clients.judged]}
    for kind, answers in asked.items():
        for one in answers:
            told[f"{kind} {one.status or 'without an answer'}"] += 1
            is_disturbed = any(one.begin <= end and one.end >= begin for begin, end in running.disturbed)
            assert one.status in (200, 503) or (one.status is None and is_disturbed), one
            assert one.status != 503 or one.retry_after is not None, one
        assert told[f"{kind} 200"] > len(answers) / 4, told
    return told


def require_nothing_lost(store: Store, clients: Clients, stored_before: list[tuple[Any, ...]]) -> None:
    """Sightings, cases, verdicts and the audit are whole."""
    assert stored_rows(store) == stored_before
    found = {number for one in clients.searches for number in one.seen}
    table, seen = tables.verdicts, tables.tracklets
    with store.begin() as connection:
        there = {row.id: row.camera_id for row in connection.execute(sa.select(seen.c.id, seen.c.camera_id))}
        verdicts = Counter(map(tuple, connection.execute(sa.select(table.c.tracklet_id, table.c.verdict))))
        audit.verify(connection)
        used = connection.execute(sa.select(tables.models_in_use.c.account).order_by(tables.models_in_use.c.id))
        assert list(used.scalars()) == ["service", "Kim"]
    assert found <= there.keys()
    given = Counter((number, verdict) for number, verdict, answer in clients.judged if answer.status == 200)
    assert not given - verdicts
    recorded = Counter(camera for number, camera in there.items() if camera.startswith("c") and camera[1:].isdigit())
    assert recorded == {f"c{number}": 1 + number % 2 for number in range(1, NUM_RECORDINGS + 1)}


def require_both_embeddings(store: Store, deployment: Deployment, before: str, checked: int) -> None:
    """All sightings have embeddings by both models; those of stored ones are what the new model says of their crops."""
    newest = models_of(deployment).reid
    with store.begin() as connection:
        seen = tables.tracklets.c
        numbers = set(connection.execute(sa.select(seen.id)).scalars())
        stored = connection.execute(sa.select(seen.id, seen.crop, seen.num_crops).where(seen.id <= checked)).all()
    by_newest = by_model(store, newest)
    assert numbers == by_newest.keys() == by_model(store, before).keys()
    crops = [[decode_jpeg(store.crops.read(path)) for path in crop_paths(one.crop, one.num_crops)] for one in stored]
    expected = Perception(*deployment.open_engines(), deployment.perception).embed_people(crops)
    for one, embedding in zip(stored, expected, strict=True):
        np.testing.assert_allclose(by_newest[one.id], embedding, atol=2e-3)  # half precision
    assert len(stored) == checked
