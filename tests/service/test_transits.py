"""Transit times learnt from operation, and what has drifted, on a street that people walk along."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from domain.errors import InputError
from domain.model_card import read_card
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.transits import main
from tests.helpers.deployments import write_deployment
from tests.helpers.sightings import CAMERAS, NOON, tracklet
from tests.helpers.street import APART_M, Crops, walk_along

METRES_PER_DEGREE = 111_195.08
STREET = [
    camera.model_copy(update={"latitude": 35.85 + number * APART_M / METRES_PER_DEGREE})
    for number, camera in enumerate(CAMERAS)
]


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.chdir(tmp_path)
    return write_deployment(tmp_path)


def fill(deployment: Deployment, crops: Crops) -> None:
    """The sightings of a street, one for each two crops."""
    once = crops.of(np.arange(len(crops.times_s)) % 2 == 0)
    seen = []
    for number, (camera, time_s, embedding) in enumerate(
        zip(once.cameras, once.times_s, once.embeddings, strict=True), start=1
    ):
        one = tracklet(number, embedding.astype(np.float32), camera=int(camera) - 1)
        begin = NOON + timedelta(seconds=float(time_s))
        seen.append(replace(one, first_seen=begin, last_seen=begin + timedelta(seconds=5)))
    version = read_card(deployment.engine(deployment.reid)).version
    with open_store(deployment.store) as store:
        store.replace_sightings("demo", STREET, version, seen)


def test_times_are_learnt_from_operation_and_a_clock_that_jumps_is_told(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(deployment, walk_along(120, 3, seed=1, unlike=0.3))
    main()
    assert "clock" not in (said := capsys.readouterr().out)
    assert said.endswith("nothing was changed; --write uses the times that were learnt\n")
    assert deployment.transits().version == ""
    main(["--write"])
    learnt = deployment.transits()
    assert f"version {learnt.version}; restart the service" in capsys.readouterr().out
    assert learnt.model is not None
    on_time, late = learnt.model.of_walks(np.array([1, 1]), np.array([2, 2]), np.array([APART_M / 1.3, 900.0]))
    assert on_time > 1 > 0 > late

    fill(deployment, walk_along(120, 3, seed=2, unlike=0.3).with_clock(3, 600.0))
    main()
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "clock" in line]
    assert told.startswith("cam2: its clock is 6")
    assert "s ahead of the others, give or take" in told
    assert deployment.transits().version == learnt.version


def test_a_district_that_has_nothing_to_learn_from(deployment: Deployment) -> None:
    fill(deployment, walk_along(4, 1, seed=1))
    with pytest.raises(InputError, match=r"must have sightings of two cameras by the model .*, got 1"):
        main()
