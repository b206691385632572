"""The trail of a sighting: from the hit to the registered version, the run, the data and the commit."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from domain.errors import InputError
from domain.model_card import read_card, write_card
from domain.registered import ModelOrigin, RegisteredModel, write_registered
from serving import trail
from serving.cases.visible import show_in_case
from serving.database import audit, deployments, segments
from serving.database.store import Store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from tests.helpers.deployments import RED, api_client_of, fill_store, picture, write_deployment
from tests.helpers.sightings import CAMERAS, NOON, in_transaction, tracklet
from tests.service.test_reembed import NEVER, work_of

PROMOTION = {
    "promoted_by": "Kim",
    "gate": "passed",
    "verdict_reason": "plain/map 86.6 → 100.0, +13.4, and nothing that the gate guards falls.",
    "change of plain/map": "plain/map 86.6 → 100.0, +13.4",
    "change of plain/minp": "plain/minp 79.8 → 100.0, +20.2",
}
LEARNT = {"data_hash": "d" * 32, "git_revision": "c" * 40, "mlflow_run_id": "a1b2"}


def registered(deployment: Deployment) -> Deployment:
    """The deployment, its re-ID engine registered and promoted."""
    folder = deployment.engine(deployment.reid)
    card = read_card(folder).model_copy(update=LEARNT)
    write_card(card, folder)
    one = RegisteredModel(
        task="reid", engine=deployment.reid, registered_model="demo-reid", registered_version="3",
        model_version=card.version, mlflow_run="a1b2", data_hash="d" * 32, git_revision="c" * 40,
        data_counts={"bounding_box_train pictures": 1200, "people": 60}, promotion=PROMOTION,
    )  # fmt: skip
    write_registered([one], folder.parent)
    return deployment


def add_sighting(deployment: Deployment, store: Store) -> int:
    """A sighting as a worker of the deployment stores it, in view of the case 1; returns its number."""
    perception = Perception(*deployment.open_engines(), deployment.perception)
    crop, start = picture(RED, seed=5), NOON + timedelta(hours=1)
    segment = in_transaction(store, segments.register, "demo", CAMERAS[2].id, "a.mp4", "a", start)
    seen = replace(tracklet(1, perception.embed([crop])[0], camera=2, after_s=3600), crops=[crop])
    store.add_segment(
        segment.id, perception.described([seen]), read_card(deployment.engine(deployment.reid)).version, frames=9,
        end=start, deployment_version=deployment.version(), attributes_version=perception.attributes_version,
    )  # fmt: skip
    number = segment.id * segments.IDS_A_SEGMENT + 1
    in_transaction(store, show_in_case, 1, [("demo", number)])
    return number


def store_of(client: TestClient) -> Store:
    opened: Store = client.app.state.search_service.store()  # type: ignore[attr-defined]
    return opened


def test_a_hit_leads_to_registered_version_run_data_and_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = registered(write_deployment(tmp_path / "old"))
    fill_store(deployment)
    monkeypatch.setenv("DONGSEON_STORE", str(deployment.store.resolve()))
    later = write_deployment(tmp_path / "new", reid=1)
    with api_client_of(deployment) as client:
        store = store_of(client)
        number, asked = add_sighting(deployment, store), {"case": 1, "reason": "which model was it"}
        work_of(later, store).run(NEVER)
        answer = client.post(f"/trail/demo/{number}", json=asked)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["deployment_version"] == deployment.version()
        models = [(one["task"], one["model_version"], one["has_made_it"]) for one in told["models"]]
        of = {name: read_card(deployment.engine(name)).version for name in deployment.engines}
        assert models == [
            ("attributes", of["attributes"], True),
            ("detector", of["detector"], True),
            ("reid", of["reid-osnet"], True),
            ("reid", read_card(later.engine(later.reid)).version, False),
        ]
        by_version = {one["model_version"]: one["origin"] for one in told["models"]}
        origin = by_version[of["reid-osnet"]]
        assert (origin["mlflow_run"], origin["data_hash"], origin["git_revision"]) == ("a1b2", "d" * 32, "c" * 40)
        assert origin["registered"]["registered_version"] == "3"
        assert origin["registered"]["promotion"] == PROMOTION
        assert origin["registered"]["data_counts"] == {"bounding_box_train pictures": 1200, "people": 60}
        assert by_version[models[-1][1]] is None  # no process of that deployment has opened the store
        later.record_in(store)
        assert client.post(f"/trail/demo/{number}", json=asked).json()["models"][-1]["origin"] is not None
        of_others = ModelOrigin.model_validate(origin).model_copy(update={"registered": None})
        in_transaction(store, deployments.record, "tried out", [of_others])  # the same model, not promoted there
        still = client.post(f"/trail/demo/{number}", json=asked).json()["models"][2]["origin"]
        assert still["registered"]["registered_version"] == "3"
        hidden = client.post(f"/trail/demo/{number + 1}", json=asked)
        assert (hidden.status_code, hidden.json()["code"]) == (404, "sighting_unknown")
        for missing in asked:
            partly = {name: given for name, given in asked.items() if name != missing}
            assert client.post(f"/trail/demo/{number}", json=partly).status_code == 400
        with store.begin() as connection:
            views = [record.details for record in audit.records(connection) if record.action == "view trail"]
        assert views == [{"case_id": 1, "reason": asked["reason"], "district": "demo", "tracklet_id": number}] * 3
        monkeypatch.chdir(deployment.root)
        trail.main(["demo", str(number)])
        said = capsys.readouterr().out
        told_of_reid = "\n".join(f"  {name}: {text}" for name, text in sorted(PROMOTION.items()))
        data = f"data {'d' * 32} of demo, 1200 bounding_box_train pictures, 60 people"
        assert f"registered as demo-reid 3\n{told_of_reid}\n  run a1b2, {data}" in said
        assert f"commit {'c' * 40}" in said
        with pytest.raises(InputError, match="a trail must be of a stored sighting, got demo/5000"):
            trail.main(["demo", "5000"])


def test_of_what_was_stored_before_the_models_are_told_as_far_as_they_are_known(tmp_path: Path) -> None:
    deployment = write_deployment(tmp_path)
    fill_store(deployment)
    with api_client_of(deployment) as client:
        told = client.post("/trail/demo/1", json={"case": 1, "reason": "which model was it"}).json()
    assert told["deployment_version"] is None
    assert [(one["task"], one["has_made_it"]) for one in told["models"]] == [("reid", True), ("attributes", False)]
    assert json.dumps(told)
