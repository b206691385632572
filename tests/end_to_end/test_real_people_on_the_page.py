"""Ten people of market1501 on the page: crops of six cameras are sightings with their times, a crop is the photo."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pytest

from districts.layout import ReidTable, read_crop_times, read_reid_folder
from domain.cameras import Camera
from domain.images import Picture
from domain.paths import TRANSITS
from domain.tracklets import Tracklet
from evaluation.transit import fit_transits, walks_of_people
from evaluation.transit.files import TransitCard, write_transits
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
TIME_ZONE = "Asia/Shanghai"


@dataclass(frozen=True)
class Market:
    """A served store of sightings, and who is in them."""

    address: str
    token: str
    identity_of: dict[int, int]  # tracklet -> person
    photos: dict[int, "Photo"]  # by person


@dataclass(frozen=True)
class Photo:
    """A crop of a query, and where and when it was taken."""

    file: Path
    camera: str
    taken: datetime


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
    write_transits_of_market(folder)
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:PersonSearch", "--port", str(port)]
    with server(folder, command, f"http://127.0.0.1:{port}/readyz", timeout_s=600):
        token = token_of(deployment, "lee", Role.REVIEWER)
        yield Market(f"http://127.0.0.1:{port}", token, identity_of, photos)


def fill_with_market(deployment: Deployment, real_data: Path) -> tuple[dict[int, int], dict[int, Photo]]:
    """Sightings of the sought people at cameras other than their photo's, and of others at all cameras."""
    (deployment.root / "reid").symlink_to(real_data / "market1501")
    query, gallery = (read_market(deployment.root, part) for part in ("query", "bounding_box_test"))
    photo_of = {identity: row for row, identity in reversed(list(enumerate(query.identities.tolist())))}
    people = sorted(photo_of)[: SOUGHT + OTHERS]
    sought = people[:SOUGHT]
    rows = [
        (identity, camera, gallery.times_s[row], row)
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
            "demo", cameras, engines.reid.card.version, perception.described(found), time_zone=TIME_ZONE
        )
    photos = {
        each: Photo(
            real_data / "market1501" / "query" / query.images[row],
            f"demo/c{query.cameras[row]}",
            NOON + timedelta(seconds=float(query.times_s[row])),
        )
        for each in sought
        for row in [photo_of[each]]
    }
    return identity_of, photos


def write_transits_of_market(folder: Path) -> None:
    """Transit times of the training people, who are no test people, where the service reads them."""
    crops = read_market(folder, "bounding_box_train")
    walks = walks_of_people(crops.identities, crops.cameras, crops.times_s)
    model = fit_transits(walks, crops.cameras, crops.times_s)
    cameras = {number: f"c{number}" for number in range(1, 7)}
    (folder / TRANSITS.of("demo")).mkdir(parents=True)
    write_transits(folder / TRANSITS.of("demo"), model, TransitCard(district="demo", cameras=cameras))


def read_market(folder: Path, part: str) -> ReidTable:
    """The crops of a part with their times, which `times.csv` gives by part and name."""
    crops, times = read_reid_folder(folder, part), read_crop_times(folder / "reid" / "times.csv")
    return replace(crops, times_s=np.array([times[f"{part}/{image}"] for image in crops.images]))


def read(file: Path) -> Picture:
    return cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    ("is_told", "least"),
    [
        pytest.param(False, 7, id="by looks alone"),  # these weights have seen nothing of the district
        pytest.param(True, LEAST_FOUND, id="with place and time of the photo"),
    ],
)
def test_ten_people_are_found_by_at_most_five_clicks(market: Market, chromium: str, is_told: bool, least: int) -> None:
    with Browser(chromium) as browser:
        operator = Operator(browser)
        operator.sign_in(market.address, market.token)
        operator.open_case("시장에서 사라진 열 사람", "실종 신고")
        first, clicks = {}, []
        for person, photo in market.photos.items():
            if is_told:
                local = photo.taken.astimezone(ZoneInfo(TIME_ZONE))
                operator.tell_where_seen(photo.camera, local.isoformat(timespec="seconds")[:19], within_minutes=1)
            shown = operator.find([photo.file])
            clicks.append(operator.clicks)
            first[person] = market.identity_of[shown[0][1]]
            operator.clear()
            operator.clicks = 0
    print(f"clicks to the first picture {clicks}; first sighting of each person {first}")
    assert max(clicks) <= MOST_CLICKS
    assert sum(person == shown for person, shown in first.items()) >= least, first
