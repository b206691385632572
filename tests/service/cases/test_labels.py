"""Verdicts of cases as Market-1501 crops for retraining."""

import csv
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import yaml

from districts import prepare
from districts.layout import read_reid_folder
from domain.errors import InputError
from domain.images import write_image
from serving import labels
from serving.cases.verdict import Verdict
from serving.database import audit, tables
from serving.database.store import Store, open_store
from tests.helpers.crops import small_settings, write_reid_set
from tests.helpers.deployments import write_deployment
from tests.helpers.sightings import CAMERAS, tracklet, unit_vectors
from training.reid.train import ReidSettings, read_training_crops, train_reid


def judge(store: Store, title: str, verdicts: list[tuple[int, Verdict]], district: str = "demo") -> None:
    """Open a case and give these verdicts in it, one after the other."""
    with store.begin() as connection:
        insert = sa.insert(tables.cases).values(title=title, legal_hold=False).returning(tables.cases.c.id)
        case = connection.execute(insert).scalar_one()
        for number, verdict in verdicts:
            row = {"case_id": case, "district": district, "tracklet_id": number, "verdict": verdict, "account": "kim"}
            connection.execute(sa.insert(tables.verdicts), row)


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three cases, the first of which confirmed nobody; tracklet 9 is stored no more."""
    monkeypatch.chdir(tmp_path)
    with open_store(write_deployment(tmp_path).store) as store:
        embeddings = unit_vectors(seed=0, number=5, feature=8)
        found = [tracklet(i + 1, embeddings[i], camera=i % 3) for i in range(5)]
        store.replace_sightings("demo", CAMERAS, "net-1", found)
        judge(store, "Nobody", [(1, Verdict.REJECTED)])
        judge(
            store,
            "Red",
            [(1, Verdict.CONFIRMED), (2, Verdict.CONFIRMED), (2, Verdict.REJECTED), (9, Verdict.CONFIRMED)],
        )
        judge(
            store, "Blue", [(3, Verdict.CONFIRMED), (4, Verdict.CONFIRMED), (4, Verdict.NONE), (5, Verdict.CONFIRMED)]
        )
    return tmp_path


def test_the_last_verdicts_become_identities_and_distractors(deployment: Path) -> None:
    labels.main(["reid"])
    table = read_reid_folder(deployment, "bounding_box_train")
    assert sorted(zip(table.identities.tolist(), table.cameras.tolist(), strict=True)) == [
        (0, 1),
        (0, 2),
        (1, 1),
        (2, 2),
        (2, 3),
    ]
    rows = list(csv.DictReader((deployment / "reid" / "labels.csv").open(encoding="utf-8")))
    assert {row["file"] for row in rows} == set(table.images)
    assert [(row["identity"], row["verdict"], row["tracklet_id"]) for row in rows] == [
        ("0", "rejected", "1"),
        ("1", "confirmed", "1"),
        ("0", "rejected", "2"),
        ("2", "confirmed", "3"),
        ("2", "confirmed", "5"),
    ]
    assert [(row["first_seen"], row["last_seen"]) for row in rows[:1]] == [
        ("2026-05-01T12:00:00+00:00", "2026-05-01T12:00:05+00:00")
    ]
    with open_store(deployment / "store") as store, store.begin() as connection:
        (record,) = [each for each in audit.records(connection) if each.action == "export"]
        assert record.details == {"what": "labels", "folder": str(deployment / "reid")}


def test_no_cell_of_the_table_is_a_formula(deployment: Path) -> None:
    strange = "=1+1"  # from before names were checked
    with open_store(deployment / "store") as store:
        store.replace_sightings(strange, CAMERAS, "net-1", [tracklet(1, unit_vectors(seed=0, number=1, feature=8)[0])])
        with store.begin() as connection:
            connection.execute(sa.update(tables.verdicts).values(district=strange, tracklet_id=1))
    labels.main(["reid"])
    rows = list(csv.DictReader((deployment / "reid" / "labels.csv").open(encoding="utf-8")))
    assert {row["district"] for row in rows} == {f"'{strange}"}


def test_an_export_that_is_broken_off_is_recorded(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "export_labels", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        labels.main(["reid"])
    with open_store(deployment / "store") as store, store.begin() as connection:
        assert len([each for each in audit.records(connection) if each.action == "export"]) == 1


def test_an_existing_folder_is_not_touched(deployment: Path) -> None:
    (deployment / "reid").mkdir()
    with pytest.raises(InputError, match="must go to a folder that does not exist, got reid"):
        labels.main(["reid"])


def exported(verdict: str, case: str) -> list[str]:
    """Files of the export `judged`."""
    with Path("judged/labels.csv").open(encoding="utf-8") as lines:
        return [row["file"] for row in csv.DictReader(lines) if (row["verdict"], row["case"]) == (verdict, case)]


def write_source(folder: Path) -> None:
    """The district `demo` with two people to train on, two to validate on, one to test on, and the store's cameras."""
    write_reid_set(folder, num_train=2, num_val=2)
    for part, camera in (("query", 1), ("bounding_box_test", 2)):
        picture = np.full((32, 16, 3), 100 + camera, np.uint8)
        write_image(folder / "reid" / part / f"0009_c{camera}s1_000000_00.jpg", picture)
    described = {
        "name": "demo",
        "time_zone": "UTC",
        "attribute_schema": "suseong",
        "source": "drawn",
        "licence": "none",
    }
    cameras = [camera.model_dump(mode="json") for camera in CAMERAS]
    (folder / "district.yaml").write_text(yaml.safe_dump(described | {"cameras": cameras}))


def test_what_was_judged_is_trained_on(deployment: Path) -> None:
    labels.main(["judged"])
    write_source(deployment / "source")
    district = {"name": "demo", "importer": "folder", "source": "source", "labels": "judged"}
    (deployment / "params.yaml").write_text(yaml.safe_dump({"district": district}))
    prepare.main()
    data = deployment / "data" / "demo"
    table = read_reid_folder(data, "bounding_box_train")
    judged = [place for place, identity in enumerate(table.identities) if identity > 9]
    assert [(table.identities[place], table.cameras[place]) for place in judged] == [(10, 2), (10, 3)]
    crops = {
        (deployment / "judged" / "bounding_box_train" / row).read_bytes() for row in exported("confirmed", case="3")
    }
    assert {(data / "reid" / "bounding_box_train" / table.images[place]).read_bytes() for place in judged} == crops
    report = (data / "data_report.md").read_text()
    assert "case 2: a person needs at least two confirmed crops for a positive pair; left out" in report
    assert "2 rejected crops show unknown people; left out" in report

    backbones = {"osnet_x0_25": {"architecture": "osnet_x0_25", "weights": None, "stripes": 1, "share_of_epochs": 1.0}}
    small = {"backbone": "osnet_x0_25", "backbones": backbones, "identities_per_batch": 3, "max_epochs": 1}
    settings = ReidSettings.model_validate(small_settings("reid", "osnet_resnet50", **small))
    assert read_training_crops(settings, data / "reid")[1].tolist().count(2) == 2
    train_reid(settings, data / "reid", 0, deployment / "checkpoints", lambda points, epoch: None)
