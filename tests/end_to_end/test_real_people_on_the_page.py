"""Ten people of market1501 on the page: crops of six cameras are sightings with their times, a crop is the photo."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pytest

from districts.layout import read_crop_times, read_reid_folder
from domain.cameras import Camera
from domain.images import Picture
from domain.tracklets import Tracklet
from export.import_weights import main as import_weights
from serving import package
from serving.access.roles import Role
from serving.database.store import open_store
from serving.deployment import Deployment
from serving.perception.perception import Perception
from tests.end_to_end.conftest import free_port, server
from tests.helpers.browser import Browser
from tests.helpers.deployments import token_of, write_deployment
from tests.helpers.operator import Operator
from tests.helpers.sightings import NOON, tracklet

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
SOUGHT, OTHERS = 10, 40  # people
VISIT_S = 30.0  # crops of one person at one camera within this time are one sighting
MOST_CLICKS = 5
LEAST_FOUND = 9


@dataclass(frozen=True)
class Market:
    """A served store of sightings, and who is in them."""

    address: str
    token: str
    identity_of: dict[int, int]  # tracklet -> person
    photos: dict[int, Path]  # person -> photo


@pytest.fixture(scope="module")
def market(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("market") / "service"
    deployment = write_deployment(folder)
    weights, engines = real_data / "weights", folder / "engines" / "demo"
    for engine, arguments in {
        "reid-osnet": ["task=reid", "backbone=osnet_x0_25", f"weights={weights / 'osnet_x0_25_msmt17.pth'}"],
        "detector": [
            "task=detector",
            f"weights={weights / 'yolov4-tiny.weights'}",
            f"cfg={weights / 'yolov4-tiny.cfg'}",
        ],
    }.items():
        shutil.rmtree(engines / engine)
        import_weights([*arguments, f"out={engines / engine}"])
    package._stage_code(folder)
    identity_of, photos = fill_with_market(Deployment.read(folder), real_data)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(folder, command, f"http://127.0.0.1:{port}/readyz", timeout_s=600):
        token = token_of(deployment, "lee", Role.REVIEWER)
        yield Market(f"http://127.0.0.1:{port}", token, identity_of, photos)


def fill_with_market(deployment: Deployment, real_data: Path) -> tuple[dict[int, int], dict[int, Path]]:
    """Sightings of the sought people at cameras other than their photo's, and of others at all cameras."""
    (deployment.root / "reid").symlink_to(real_data / "market1501")
    query, gallery = (read_reid_folder(deployment.root, part) for part in ("query", "bounding_box_test"))
    photo_of = {identity: row for row, identity in reversed(list(enumerate(query.identities.tolist())))}
    people = sorted(photo_of)[: SOUGHT + OTHERS]
    sought = people[:SOUGHT]
    times = {
        Path(image).name: time_s for image, time_s in read_crop_times(real_data / "market1501" / "times.csv").items()
    }
    rows = [
        (identity, camera, times[gallery.images[row]], row)
        for row, (identity, camera) in enumerate(
            zip(gallery.identities.tolist(), gallery.cameras.tolist(), strict=True)
        )
        if identity in people
        and not (identity in sought and camera == query.cameras[photo_of[identity]])
    ]  # fmt: skip
    engines = deployment.open_engines()
    perception = Perception(*engines, deployment.perception)
    found: list[Tracklet] = []
    identity_of: dict[int, int] = {}
    for (identity, camera, _), group in groupby(sorted(rows), lambda each: (*each[:2], each[2] // VISIT_S)):
        crops = [(time_s, read(real_data / "market1501" / "bounding_box_test" / gallery.images[row]))
                 for _, _, time_s, row in group]  # fmt: skip
        embeddings = perception.embed([crop for _, crop in crops])
        number = len(found) + 1
        identity_of[number] = identity
        mean = embeddings.mean(axis=0)
        seen = tracklet(number, mean / np.linalg.norm(mean), after_s=crops[0][0])
        lasts = NOON + timedelta(seconds=crops[-1][0] + 1)
        found.append(replace(seen, camera_id=f"c{camera}", last_seen=lasts, crops=[crops[0][1]]))
    cameras = [
        Camera(id=f"c{number}", name=f"카메라 {number}", latitude=40.0 + number / 2000, longitude=116.33, fps=25,
               width_px=1920, height_px=1080)
        for number in range(1, 7)
    ]  # fmt: skip
    with open_store(deployment.store) as store:
        store.replace_sightings(
            "demo", cameras, engines.reid.card.version, perception.described(found), time_zone="Asia/Shanghai"
        )
    photos = {each: real_data / "market1501" / "query" / query.images[photo_of[each]] for each in sought}
    return identity_of, photos


def read(file: Path) -> Picture:
    return cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)


def test_ten_people_are_found_by_at_most_five_clicks(market: Market, chromium: str) -> None:
    with Browser(chromium) as browser:
        operator = Operator(browser)
        operator.sign_in(market.address, market.token)
        operator.open_case("시장에서 사라진 열 사람", "실종 신고")
        first, clicks = {}, []
        for person, photo in market.photos.items():
            shown = operator.find([photo])
            clicks.append(operator.clicks)
            first[person] = market.identity_of[shown[0][1]]
            operator.clear()
            operator.clicks = 0
        print(f"clicks to the first picture {clicks}; first sighting of each person {first}")
        assert clicks[0] <= MOST_CLICKS
        assert max(clicks[1:]) <= MOST_CLICKS
        assert sum(person == shown for person, shown in first.items()) >= LEAST_FOUND, first
